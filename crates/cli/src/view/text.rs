//! The report for people: at most 30 lines.

use super::style::{Ink, Style};
use super::{Report, cut, signal_name};
use crate::model::process::{Engine, Outcome, Process};
use crate::model::snapshot::Moment;
use crate::model::verdict::{Class, judge, mib};
use crate::model::waterfall::{Kind, Waterfall};
use crate::trace::Following;
use brkmap_wire::Counter;

/// So many other processes get a line of their own.
const OTHERS: usize = 5;
/// Columns before the bar: label, MiB, per cent.
const BEFORE_BAR: usize = 2 + LABEL + 12 + 8 + 2;
const LABEL: usize = 34;

/// Writes the report.
pub(crate) fn render(report: &Report, style: Style) -> String {
    let mut lines = Vec::new();
    let Some(main) = &report.main else {
        lines.push(format!("brkmap: {}: no sample: it ended before it could be looked at", report.title(40)));
        lines.extend(following(report, style));
        lines.push(time(report, style));
        return lines.join("\n") + "\n";
    };
    let verdict = judge(&main.waterfall, &main.in_force);
    let ink = if verdict.class == Class::NotInForce { Ink::Alert } else { Ink::Bold };
    lines.push(format!("{} {}", style.paint(ink, "brkmap:"), style.paint(ink, &verdict.text)));
    lines.push(header(report, main, style));
    lines.extend(following(report, style));
    lines.push(resident(main, style));
    lines.extend(rows(&main.waterfall, style));
    if let Some(error) = &main.heap_error {
        lines.push(format!("  brkmap's heap could not be read: {error}"));
    }
    lines.extend(main.engine.as_ref().map(|engine| asked(engine, style)).unwrap_or_default());
    lines.push(faults(report, main));
    lines.push(time(report, style));
    lines.extend(others(report, style));
    lines.join("\n") + "\n"
}

fn header(report: &Report, main: &Process, style: Style) -> String {
    let ended = match report.outcome {
        Outcome::Code(code) => format!("exit {code}"),
        Outcome::Signal(signal) => format!("killed by {}", signal_name(signal)),
    };
    let rest = [ended, format!("malloc: {}", main.in_force.malloc), format!("pid {}", main.pid)].join(style.dot());
    let room = style.width.saturating_sub(rest.chars().count() + 3).max(20);
    format!("{}{}{}", report.title(room), style.dot(), rest)
}

fn following(report: &Report, style: Style) -> Option<String> {
    match &report.following {
        Following::All => None,
        Following::Sampled(why) => {
            Some(style.paint(Ink::Alert, &format!("only samples of the command itself, no children: {why}")))
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
    format!("resident: peak {}{}{when} {}{swap}{lag}", mib(main.peak_rss), style.dot(), mib(main.waterfall.rss()))
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
    let cells = style.width.saturating_sub(BEFORE_BAR).clamp(8, 40);
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

fn asked(engine: &Engine, style: Style) -> Vec<String> {
    let get = |counter| engine.get(counter);
    let call = |count, bytes, one: &str, many: &str| {
        let count = get(count);
        (count > 0).then(|| format!("{count} {} {}", if count == 1 { one } else { many }, mib(get(bytes))))
    };
    let refused = |count, what: &str| (get(count) > 0).then(|| format!("{} {what} refused", get(count)));
    let line = |name: &str, parts: Vec<Option<String>>| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let text = if parts.is_empty() { "none".to_owned() } else { parts.join(style.dot()) };
        format!("  {name:<10}{text}")
    };
    vec![
        "asked of the kernel".to_owned(),
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

fn faults(report: &Report, main: &Process) -> String {
    let usage = &report.usage;
    let mut line = format!("faults: {} minor, {} major", main.stat.minor_faults, main.stat.major_faults);
    if !report.others.is_empty() {
        line += &format!(" (with children {} and {})", usage.minor_faults, usage.major_faults);
    }
    line
}

fn time(report: &Report, style: Style) -> String {
    let seconds = |time: std::time::Duration| format!("{:.2} s", time.as_secs_f64());
    let usage = &report.usage;
    let (wall, user, system) = (seconds(report.wall), seconds(usage.user), seconds(usage.system));
    let with = if report.others.is_empty() { "" } else { " (with children)" };
    format!("time: {wall} wall{dot}{user} user{dot}{system} system{with}", dot = style.dot())
}

/// The largest other processes, one line each, and the sum of the rest.
fn others(report: &Report, style: Style) -> Vec<String> {
    if report.others.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["other processes (peak resident, malloc, command)".to_owned()];
    let (large, rest) = report.others.split_at(report.others.len().min(OTHERS));
    lines.extend(large.iter().map(|process| {
        let malloc = match process.in_force.reason {
            None => process.in_force.malloc.clone(),
            Some(reason) => format!("{} ({})", process.in_force.malloc, reason.key()),
        };
        let start = format!("  {:>10}  {malloc:<14}  ", mib(process.peak_rss));
        let room = style.width.saturating_sub(start.chars().count()).max(20);
        start + &cut(&super::command_line(&process.command), room)
    }));
    if !rest.is_empty() {
        let strangers = rest.iter().filter(|process| process.in_force.reason.is_some()).count();
        let strange = if strangers > 0 { format!(", {strangers} not on the wanted malloc") } else { String::new() };
        let sum = rest.iter().map(|process| process.peak_rss).sum();
        lines.push(format!("  {:>10}  {} more, sum of their peaks{strange}", mib(sum), rest.len()));
    }
    if report.not_kept > 0 {
        lines.push(format!("  and {} more that were not kept", report.not_kept));
    }
    lines
}
