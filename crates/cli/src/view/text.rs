//! The report for people: at most 30 lines.

use super::style::{Ink, Style};
use super::{Report, UNSEEN, depth, inspect, policy, short_command, signal_name};
use crate::model::diagnosis;
use crate::model::process::{Engine, Outcome, Process};
use crate::model::snapshot::Moment;
use crate::model::verdict::{Class, Judgement, mib};
use crate::model::waterfall::{Kind, Waterfall};
use crate::trace::Following;
use brkmap_wire::Counter;

/// A report is never longer.
const LINES: usize = 30;
/// So many other processes get a line of their own, if there is room.
const OTHERS: usize = 5;
/// Lines that other processes get in any case: a heading, the largest, the sum of the rest.
const LEAST_OTHERS: usize = 3;
/// So many names of allocators are shown.
const NAMES: usize = 3;
/// Columns before the bar: label, MiB, per cent.
const BEFORE_BAR: usize = 2 + LABEL + 12 + 8 + 2;
const LABEL: usize = 34;

/// Writes the report.
pub(crate) fn render(report: &Report, style: Style) -> String {
    let mut lines = Vec::new();
    let Some(main) = &report.main else {
        lines.push(format!("brkmap: {}: no sample: {UNSEEN}", report.title(40)));
        lines.extend(following(report, style));
        lines.push(time(report, style));
        return lines.join("\n") + "\n";
    };
    lines.push(verdict(report, main, style));
    lines.push(header(report, main, style));
    lines.extend(following(report, style));
    lines.push(resident(main, style));
    lines.extend(depth::over_time(main, style));
    if !main.waterfall.ours && main.depth.highest().is_some() {
        return foreign(report, main, lines, style);
    }
    lines.extend(depth::at_peak(main, report, style));
    lines.extend(rows(&main.waterfall, style));
    if let Some(error) = &main.heap_error {
        lines.push(entry(style, "incomplete", &format!("brkmap's heap could not be read to its end: {error}")));
    }
    lines.extend(named(main, style));
    lines.extend(main.engine.as_ref().map(|engine| asked(engine, style)).unwrap_or_default());
    // Two lines follow in any case: faults and time.
    let room = LINES.saturating_sub(2 + lines.len());
    let others = report.others.len();
    let kept_free = if others == 0 { 0 } else { (others + 1).min(LEAST_OTHERS) };
    lines.extend(policy::lines(main, style, room.saturating_sub(kept_free)));
    lines.push(faults(report, main, style));
    lines.push(time(report, style));
    lines.extend(self::others(report, style, LINES.saturating_sub(lines.len())));
    lines.extend(traced(report, style));
    lines.join("\n") + "\n"
}

/// The calls for memory, as a report of its own length below the first.
fn traced(report: &Report, style: Style) -> Vec<String> {
    let summary = report.calls.as_ref().map(|calls| super::syscalls::text::summary(calls, style, LINES - 1));
    summary.map_or(Vec::new(), |lines| [String::new()].into_iter().chain(lines).collect())
}

/// The rest of the report where another malloc served the program: what full looks saw.
fn foreign(report: &Report, main: &Process, mut lines: Vec<String>, style: Style) -> String {
    if let Judgement::Deep(_) = Judgement::of(main)
        && let Some(deep) = main.depth.end.as_deref().or(main.depth.highest())
    {
        lines.insert(1, inspect::text::evidence(&deep.inspection, style));
    }
    lines.extend(depth::at_peak(main, report, style));
    let tail = depth::tail(main, style);
    let kept_free = match report.others.len() {
        0 => 0,
        others => (others + 1).min(LEAST_OTHERS),
    };
    let room = LINES.saturating_sub(lines.len() + tail.len() + 2 + kept_free);
    lines.extend(depth::rows(main, room, style));
    lines.extend(tail);
    lines.push(faults(report, main, style));
    lines.push(time(report, style));
    lines.extend(others(report, style, LINES.saturating_sub(lines.len())));
    lines.extend(traced(report, style));
    lines.into_iter().map(|line| inspect::text::fit(&line, style)).collect::<Vec<_>>().join("\n") + "\n"
}

/// Columns of a line's subject.
pub(super) const SUBJECT: usize = 12;

/// A line with its subject in front.
pub(super) fn entry(style: Style, subject: &str, text: &str) -> String {
    style.paint(Ink::Bold, &format!("{subject:<SUBJECT$}")) + text
}

fn verdict(report: &Report, main: &Process, style: Style) -> String {
    let verdict = Judgement::of(main);
    let ink = if verdict.key() == Class::NotInForce.key() { Ink::Alert } else { Ink::Bold };
    let mut line = format!("brkmap: {}", verdict.text());
    // A compiler driver or a shell script is small itself; what it started may not be.
    if let Some(child) = report.others.first().filter(|child| child.peak_rss / 2 > main.peak_rss) {
        line += &format!("; its child {} reached {}", program_name(child), mib(child.peak_rss));
    }
    style.paint(ink, &line)
}

/// A process' program in a word.
fn program_name(process: &Process) -> String {
    let name = short_command(process, 24);
    name.split(' ').next().unwrap_or_default().to_owned()
}

fn header(report: &Report, main: &Process, style: Style) -> String {
    let ended = match report.outcome {
        Outcome::Code(code) => format!("exit {code}"),
        Outcome::Signal(signal) => format!("killed by {}", signal_name(signal)),
    };
    // A full look also read the version.
    let malloc = match main.depth.end.as_deref().or(main.depth.highest()) {
        Some(deep) if main.in_force.malloc == "glibc" => &deep.inspection.malloc,
        _ => &main.in_force.malloc,
    };
    let rest = [ended, format!("malloc: {malloc}"), format!("pid {}", main.pid)].join(style.dot());
    let room = style.width.saturating_sub(rest.chars().count() + 3).max(20);
    format!("{}{}{}", report.title(room), style.dot(), rest)
}

fn following(report: &Report, style: Style) -> Option<String> {
    let mut losers = report.main.iter().chain(&report.others).filter(|process| process.lost_privilege);
    match (&report.following, losers.next()) {
        (Following::All, Some(first)) => {
            let name = program_name(first);
            let more = match losers.count() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!("{name}{more} should have changed user and could not, being traced; try --no-trace");
            Some(entry(style, "privilege", &style.paint(Ink::Alert, &text)))
        }
        (Following::All, None) => None,
        (Following::Sampled(why), _) => {
            Some(entry(style, "sampled", &style.paint(Ink::Alert, &format!("the command only, no children: {why}"))))
        }
    }
}

fn resident(main: &Process, style: Style) -> String {
    let when = match main.moment {
        Moment::AtExit => "at exit".to_owned(),
        Moment::Before(age) => format!("last sample, {} ms before the end", age.as_millis()),
        Moment::StillRunning => "still running".to_owned(),
    };
    let swap = if main.swap > 0 { format!("{}{} in swap", style.dot(), mib(main.swap)) } else { String::new() };
    let lag = main.status_rss.abs_diff(main.waterfall.rss());
    let lag = match lag > 256 << 10 && lag > main.status_rss / 50 {
        true => format!("{}/proc/PID/status says {}", style.dot(), mib(main.status_rss)),
        false => String::new(),
    };
    let text = format!("peak {}{}{when} {}{swap}{lag}", mib(main.peak_rss), style.dot(), mib(main.waterfall.rss()));
    entry(style, "resident", &text)
}

fn ink(kind: Kind) -> Option<Ink> {
    match kind {
        Kind::Live => Some(Ink::Used),
        Kind::Rounding | Kind::Caches | Kind::Pinned | Kind::Returnable | Kind::Metadata => Some(Ink::Kept),
        Kind::Unexplained => Some(Ink::Alert),
        _ => None,
    }
}

/// One line per reason, then the sum. Rows of malloc stand even when they are 0: that they are is news.
fn rows(waterfall: &Waterfall, style: Style) -> Vec<String> {
    let rss = waterfall.rss();
    let cells = style.width.saturating_sub(BEFORE_BAR).min(40);
    let largest = Kind::ALL.iter().map(|&kind| waterfall.get(kind)).max().unwrap_or(0);
    let shown = |kind: &Kind| {
        let is_malloc = kind.is_malloc() && waterfall.ours;
        is_malloc || waterfall.get(*kind) > 0 || *kind == Kind::Unexplained
    };
    let mut lines: Vec<String> = Kind::ALL
        .into_iter()
        .filter(shown)
        .map(|kind| {
            let bytes = waterfall.get(kind);
            let share = bytes as f64 * 100.0 / rss.max(1) as f64;
            let bar = style.bar(bytes, largest, cells);
            let bar = ink(kind).map_or(bar.clone(), |ink| style.paint(ink, &bar));
            let label = kind.label(waterfall.ours);
            format!("  {label:<LABEL$}{:>12}{share:>6.1} %  {bar}", mib(bytes)).trim_end().to_owned()
        })
        .collect();
    lines.push(style.paint(Ink::Bold, &format!("  {:<LABEL$}{:>12}{:>6.1} %", "sum = resident", mib(rss), 100.0)));
    lines
}

/// What the program named, the largest first; its bytes are in the rows above already.
fn named(main: &Process, style: Style) -> Option<String> {
    let (shown, rest) = main.named.split_at(main.named.len().min(NAMES));
    let mut parts: Vec<String> = shown
        .iter()
        .map(|memory| format!("{} {} of {}", memory.name, mib(memory.resident), mib(memory.bytes)))
        .collect();
    if !rest.is_empty() {
        let sum = rest.iter().map(|memory| memory.resident).sum();
        parts.push(format!("{} more {}", rest.len(), mib(sum)));
    }
    (!parts.is_empty()).then(|| entry(style, "named", &parts.join(style.dot())))
}

fn asked(engine: &Engine, style: Style) -> Vec<String> {
    let get = |counter| engine.get(counter);
    let call = |count, bytes, one: &str, many: &str| {
        let count = get(count);
        (count > 0).then(|| format!("{count} {} {}", if count == 1 { one } else { many }, mib(get(bytes))))
    };
    let refused = |count, what: &str| (get(count) > 0).then(|| format!("{} {what} refused", get(count)));
    let line = |name: &str, parts: Vec<Option<String>>| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        entry(style, name, &if parts.is_empty() { "none".to_owned() } else { parts.join(style.dot()) })
    };
    vec![
        line(
            "break",
            vec![
                call(Counter::BreakGrow, Counter::BreakGrowBytes, "move up", "moves up"),
                call(Counter::BreakShrink, Counter::BreakShrinkBytes, "move down", "moves down"),
                refused(Counter::BreakRefused, "moves"),
            ],
        ),
        line(
            "mappings",
            vec![
                call(Counter::MapRegion, Counter::MapRegionBytes, "region", "regions"),
                call(Counter::MapDirect, Counter::MapDirectBytes, "direct", "direct"),
                call(Counter::MapMetadata, Counter::MapMetadataBytes, "for tables", "for tables"),
                call(Counter::Remap, Counter::RemapBytes, "remap", "remaps"),
                refused(Counter::MapRefused, "mappings"),
            ],
        ),
        line(
            "returned",
            vec![
                call(Counter::Unmap, Counter::UnmapBytes, "unmapping", "unmappings"),
                call(Counter::Purge, Counter::PurgeBytes, "give-back", "give-backs"),
                refused(Counter::PurgeRefused, "give-backs"),
            ],
        ),
    ]
}

fn faults(report: &Report, main: &Process, style: Style) -> String {
    let usage = &report.usage;
    let mut line = format!("{} minor, {} major", main.stat.minor_faults, main.stat.major_faults);
    if !report.others.is_empty() {
        line += &format!(" (with children {} and {})", usage.minor_faults, usage.major_faults);
    }
    entry(style, "faults", &line)
}

fn time(report: &Report, style: Style) -> String {
    let seconds = |time: std::time::Duration| format!("{:.2} s", time.as_secs_f64());
    let usage = &report.usage;
    let (wall, user, system) = (seconds(report.wall), seconds(usage.user), seconds(usage.system));
    let with = if report.others.is_empty() { "" } else { " (with children)" };
    entry(style, "time", &format!("{wall} wall{dot}{user} user{dot}{system} system{with}", dot = style.dot()))
}

/// What is wrong with a process on another malloc, in a word, if it was looked at and anything is.
fn illness(process: &Process) -> String {
    match Judgement::of(process) {
        Judgement::Deep(diagnosis) if diagnosis.class != diagnosis::Class::Fine => {
            format!(", {}", diagnosis.class.key().replace('_', " "))
        }
        _ => String::new(),
    }
}

/// The largest other processes, one line each, and the sum of the rest. At most `room` lines.
fn others(report: &Report, style: Style, room: usize) -> Vec<String> {
    if report.others.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![entry(style, "children", "peak resident, malloc, command")];
    let all = report.others.len();
    let fits = all <= OTHERS && all < room;
    let (large, rest) = report.others.split_at(if fits { all } else { all.min(OTHERS).min(room.saturating_sub(2)) });
    lines.extend(large.iter().map(|process| {
        let malloc = match process.in_force.reason {
            None => process.in_force.malloc.clone() + &illness(process),
            Some(reason) => format!("{} ({})", process.in_force.malloc, reason.key()),
        };
        let start = format!("  {:>10}  {malloc:<14}  ", mib(process.peak_rss));
        let room = style.width.saturating_sub(start.chars().count()).max(20);
        start + &short_command(process, room)
    }));
    if !rest.is_empty() {
        let strangers = rest.iter().filter(|process| process.in_force.reason.is_some()).count();
        let strange = if strangers > 0 { format!(", {strangers} not on the wanted malloc") } else { String::new() };
        let sum = rest.iter().map(|process| process.peak_rss).sum();
        let lost = if report.not_kept > 0 { format!(", and {} not kept", report.not_kept) } else { String::new() };
        lines.push(format!("  {:>10}  {} more, sum of their peaks{strange}{lost}", mib(sum), rest.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Heap, Pin};
    use crate::model::in_force::Wanted;
    use crate::model::snapshot::Snapshot;
    use crate::proc::smaps::Mapping;
    use crate::trace::Usage;
    use brkmap_wire::Move;
    use std::time::Duration;

    const PLAIN: Style = Style { color: false, ascii: true, width: 80 };

    fn process(pid: i32, rss: u64) -> Process {
        let mapping = |name: &str, rss| Mapping { end: 1, rss, swap: rss, name: name.to_owned(), ..Mapping::default() };
        let names = ["[heap]", "", "[stack]", "[vdso]", "/a", "[anon:brkmap region]"];
        let heap = Heap {
            in_use: true,
            live: rss,
            explained: vec![2 * rss],
            counters: vec![3 << 20; brkmap_wire::COUNTERS],
            rules: vec![(3, rss); brkmap_wire::RULES],
            moves: vec![Move { number: 1, freed: 1, from: 1, to: 2, ..Move::default() }; 2],
            pinned: rss,
            pins: (1..9).map(|size| Pin { block_bytes: 8 * size, free_bytes: rss / 8, ..Pin::default() }).collect(),
            ..Heap::default()
        };
        let mut mappings = names.map(|name| mapping(name, rss)).to_vec();
        mappings[0].rss = 3 * rss;
        let mut snapshot = Snapshot {
            mappings,
            heaps: vec![heap],
            command: vec!["/usr/bin/tool".to_owned(), "x".repeat(200)],
            ..Snapshot::default()
        };
        snapshot.status.rss = rss * 10;
        Process::of(pid, &snapshot, &Wanted::Brkmap, Moment::AtExit)
    }

    fn full() -> Report {
        let mut main = process(1, 64 << 20);
        main.heap_error = Some("a page is not mapped".to_owned());
        Report {
            command: vec!["tool".to_owned(), "y".repeat(300)],
            wanted: Wanted::Brkmap,
            outcome: Outcome::Signal(11),
            wall: Duration::from_millis(1234),
            usage: Usage::default(),
            following: Following::Sampled("tracing was refused".to_owned()),
            main: Some(main),
            others: (2..100).map(|pid| process(pid, (200 << 20) - pid as u64)).collect(),
            not_kept: 7,
            calls: None,
        }
    }

    #[test]
    fn the_longest_report_has_thirty_lines() {
        let text = render(&full(), PLAIN);
        assert_eq!(text.lines().count(), 30, "{text}");
        assert!(text.is_ascii());
        assert!(text.contains("its child tool reached "), "{text}");
        assert!(text.contains("killed by SIGSEGV"), "{text}");
        let subjects = ["threshold ", "by rule ", "stayed ", "children ", "faults "];
        assert!(subjects.iter().all(|subject| text.contains(&format!("\n{subject}"))), "{text}");
        assert!(text.contains("97 more, sum of their peaks"), "{text}");
        let is_table = |line: &&str| line.starts_with("  ") || line.contains(" - pid ");
        let too_wide: Vec<_> = text.lines().filter(is_table).filter(|line| line.chars().count() > 80).collect();
        assert!(too_wide.is_empty(), "{too_wide:#?}");
    }

    #[test]
    fn children_get_the_room_that_is_left() {
        for count in 0..12 {
            let others = (0..count).map(|pid| process(pid, 200 << 20)).collect();
            let roomy = Report { others, following: Following::All, not_kept: 0, ..full() };
            let text = render(&roomy, PLAIN);
            assert!(text.lines().count() <= 30, "{text}");
            let children = text.lines().skip_while(|line| !line.starts_with("children")).skip(1);
            assert_eq!(children.clone().count() > 0, count > 0);
            let named = children.filter(|line| line.contains("tool x")).count() as i32;
            let summed = text.contains("more, sum of their peaks");
            assert!(named == count && !summed || summed && named >= 1 && named < count, "{text}");
        }
    }

    #[test]
    fn rows_are_aligned_and_end_in_their_sum() {
        let report = Report { others: vec![], following: Following::All, not_kept: 0, ..full() };
        let text = render(&report, PLAIN);
        let figures: Vec<f64> = text
            .lines()
            .skip_while(|line| !line.starts_with("  "))
            .take_while(|line| line.starts_with("  "))
            .map(|line| {
                let (_, rest) = line.split_at(2 + LABEL);
                rest.trim_start().split(' ').next().unwrap().parse().unwrap()
            })
            .collect();
        let (sum, rows) = figures.split_last().unwrap();
        assert_eq!(rows.len(), 12);
        assert!((rows.iter().sum::<f64>() - sum).abs() < 0.01, "{text}");
    }

    #[test]
    fn a_program_without_a_sample_is_reported_too() {
        let report = Report { main: None, others: vec![], ..full() };
        let text = render(&report, PLAIN);
        assert!(text.starts_with("brkmap: tool yyyy"), "{text}");
        assert!(text.contains("no sample") && text.contains("1.23 s wall"), "{text}");
    }
}
