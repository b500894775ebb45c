//! The calls for people: a summary of at most 30 lines, or one view in full.

use super::list::{amount, signed};
use super::{Calls, Heading, MoveRow, SiteRow};
use crate::cli::syscalls::By;
use crate::model::calls::summary::Tally;
use crate::model::calls::{Kind, Mechanism};
use crate::model::process::Outcome;
use crate::view::style::{Ink, Style};
use crate::view::text::{SUBJECT, entry};
use crate::view::{command_line, cut, policy, signal_name};
use std::time::Duration;

/// A summary is never longer.
const LINES: usize = 30;
/// Rows of mechanisms in the summary.
const MECHANISMS: usize = 6;
/// Places in the program that the summary has room for in any case.
const LEAST_SITES: usize = 4;
/// Lines that brkmap's own books get.
const BOOKS: usize = 3;
/// Moves of the threshold in the summary.
const MOVES: usize = 2;
const LABEL: usize = 20;
/// Columns that a place in the program gets at least.
const NAME: usize = 22;
/// Below this width the time of the calls is left out.
const WIDE: usize = 95;

/// Writes the report.
pub(crate) fn render(heading: &Heading, calls: &Calls, by: Option<By>, stacks: bool, style: Style) -> String {
    let mut lines = vec![header(heading, calls, style)];
    match by {
        None if stacks => {
            lines.extend(summary(calls, style, usize::MAX));
            lines.extend(with_stacks(calls, style));
        }
        None => {
            let books = heading.books.as_ref().map(|main| policy::lines(main, style, BOOKS)).unwrap_or_default();
            lines.extend(summary(calls, style, LINES - 1 - books.len()));
            lines.extend(books);
        }
        Some(by) => {
            lines.push(total(calls, style));
            lines.extend(match by {
                By::Call => by_call(calls, style),
                By::Mechanism => by_mechanism(calls, style, usize::MAX),
                By::Site if stacks => with_stacks(calls, style),
                By::Site => by_site(calls, style, usize::MAX),
                By::Time => by_time(calls, style),
            });
        }
    }
    lines.join("\n") + "\n"
}

fn header(heading: &Heading, calls: &Calls, style: Style) -> String {
    let ended = match heading.outcome {
        Some(Outcome::Code(code)) => format!("exit {code}"),
        Some(Outcome::Signal(signal)) => format!("killed by {}", signal_name(signal)),
        None => "runs on".to_owned(),
    };
    let mut rest = vec![ended];
    rest.extend(heading.malloc.as_ref().map(|malloc| format!("malloc: {malloc}")));
    rest.push(format!("pid {}", heading.pid));
    rest.push(calls.mode.text().to_owned());
    let rest = rest.join(style.dot());
    let room = style.width.saturating_sub(rest.chars().count() + 3).max(20);
    format!("{}{}{rest}", cut(&command_line(&heading.title), room), style.dot())
}

/// The summary, without the header, in at most so many lines.
pub(crate) fn summary(calls: &Calls, style: Style, most: usize) -> Vec<String> {
    let mut lines = vec![total(calls, style)];
    lines.extend(notes(calls, style));
    if calls.summary.all.calls == 0 {
        return lines;
    }
    lines.extend(by_call(calls, style));
    let time = strip(calls, style);
    let moves = moves(calls, style, MOVES);
    let rest = most.saturating_sub(lines.len() + time.len() + moves.len());
    lines.extend(by_mechanism(calls, style, MECHANISMS.min(rest.saturating_sub(LEAST_SITES + 2))));
    let room = most.saturating_sub(lines.len() + time.len() + moves.len());
    lines.extend(by_site(calls, style, room.saturating_sub(1).min(if most == usize::MAX { 20 } else { room })));
    lines.extend(time);
    lines.extend(moves);
    lines
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 0.01 => format!("{:.2} ms", short * 1000.0),
        short if short < 1.0 => format!("{:.0} ms", short * 1000.0),
        long => format!("{long:.2} s"),
    }
}

/// The one sentence.
fn total(calls: &Calls, style: Style) -> String {
    let all = &calls.summary.all;
    let mut text = format!("brkmap: {} for memory", count(all.calls, "system call", "system calls"));
    if all.calls > 0 {
        text += &format!(" in {}: {}, {} usable", seconds(calls.wall), plus(all.came), minus(all.went));
    }
    if all.returned > 0 {
        text += &format!(", {} given back", amount(all.returned));
    }
    if all.refused > 0 {
        text += &format!(", {} refused", thousands(all.refused));
    }
    let processes = calls.summary.processes.len();
    if processes > 1 {
        text += &format!("; by {processes} processes");
    }
    style.paint(Ink::Bold, &text)
}

fn plus(bytes: u64) -> String {
    signed(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn minus(bytes: u64) -> String {
    format!("-{}", amount(bytes))
}

/// What was not seen, or could not run as it should.
fn notes(calls: &Calls, style: Style) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(first) = calls.tracers.first() {
        let text =
            format!("{first} traces programs itself and could not, as brkmap traced its children; use --every-call");
        notes.push(entry(style, "hindered", &text));
    }
    if calls.lost > 0 {
        notes.push(entry(style, "lost", &format!("{} came faster than brkmap read them", thousands(calls.lost))));
    }
    notes
}

/// Width of a column of bytes.
fn column(style: Style) -> usize {
    if style.width >= WIDE { 12 } else { 11 }
}

/// The head of a table.
fn head(subject: &str, style: Style) -> String {
    let mut line = format!("{subject:<LABEL$}{:>8}{:>8}", "calls", "refused");
    let width = column(style);
    for name in ["came", "went", "given back", "RSS effect"] {
        line += &format!("{name:>width$}");
    }
    if style.width >= WIDE {
        line += &format!("{:>10}", "time");
    }
    style.paint(Ink::Bold, &line)
}

fn row(label: &str, tally: &Tally, style: Style) -> String {
    let number = |number: u64| if number == 0 { String::new() } else { thousands(number) };
    let bytes = |bytes: u64, sign: &str| if bytes == 0 { String::new() } else { format!("{sign}{}", amount(bytes)) };
    let rss = if tally.rss == 0 { String::new() } else { signed(tally.rss) };
    let label = cut(label, LABEL - 2);
    let mut line =
        format!("  {label:<left$}{:>8}{:>8}", thousands(tally.calls), number(tally.refused), left = LABEL - 2);
    let (width, returned) = (column(style), bytes(tally.returned, ""));
    line += &format!("{:>width$}{:>width$}", bytes(tally.came, "+"), bytes(tally.went, "-"));
    line += &format!("{returned:>width$}{rss:>width$}");
    if style.width >= WIDE && !tally.took.is_zero() {
        line += &format!("{:>10}", seconds(tally.took));
    }
    line.trim_end().to_owned()
}

fn by_call(calls: &Calls, style: Style) -> Vec<String> {
    let rows = Kind::ALL.into_iter().filter_map(|kind| {
        let tally = &calls.summary.by_kind[kind as usize];
        (tally.calls > 0).then(|| row(kind.name(), tally, style))
    });
    [head("call", style)].into_iter().chain(rows).collect()
}

fn by_mechanism(calls: &Calls, style: Style, most: usize) -> Vec<String> {
    let tally = |mechanism: &Mechanism| &calls.summary.by_mechanism[*mechanism as usize];
    let mut all: Vec<Mechanism> = Mechanism::ALL.into_iter().filter(|mechanism| tally(mechanism).calls > 0).collect();
    all.sort_by_key(|mechanism| std::cmp::Reverse(tally(mechanism).weight()));
    let mut lines = vec![head("mechanism", style)];
    lines.extend(all.iter().take(most).map(|mechanism| row(mechanism.label(), tally(mechanism), style)));
    if all.len() > most {
        let rest: Vec<&str> = all[most..].iter().map(|mechanism| mechanism.label()).collect();
        lines.push(cut(&format!("  and {}", rest.join(", ")), style.width));
    }
    lines
}

fn site_row(row: &SiteRow, style: Style) -> String {
    let tally = &row.site.tally;
    let name = match row.number {
        Some(_) => format!("{} ({})", row.function, row.file),
        None => "(no stack)".to_owned(),
    };
    let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let line = row.line.as_ref().map(|line| format!(" {line}")).unwrap_or_default();
    let bytes = |bytes: u64, sign: &str| if bytes == 0 { String::new() } else { format!("{sign}{}", amount(bytes)) };
    let returned = if tally.returned > 0 { format!(" {} given back", amount(tally.returned)) } else { String::new() };
    let numbers =
        format!("  {:>7}{:>12}{:>12}  ", thousands(tally.calls), bytes(tally.came, "+"), bytes(tally.went, "-"));
    let room = style.width.saturating_sub(numbers.chars().count() + returned.chars().count());
    // The name of the function says most.
    let line = if room >= line.chars().count() + NAME { line } else { String::new() };
    format!("{numbers}{}{line}{returned}", cut(&name, room.saturating_sub(line.chars().count()).max(NAME)))
}

fn site_head(style: Style) -> String {
    style.paint(Ink::Bold, &format!("  {:>7}{:>12}{:>12}  {}", "calls", "came", "went", "place in the program"))
}

/// At most `most` lines below the head.
fn by_site(calls: &Calls, style: Style, most: usize) -> Vec<String> {
    let mut lines = vec![site_head(style)];
    let fits = calls.sites.len() <= most;
    let shown = if fits { calls.sites.len() } else { most.saturating_sub(1) };
    lines.extend(calls.sites.iter().take(shown).map(|row| site_row(row, style)));
    if !fits {
        let rest = &calls.sites[shown..];
        let sum = |of: fn(&Tally) -> u64| rest.iter().map(|row| of(&row.site.tally)).fold(0, u64::saturating_add);
        let (number, came, went) = (sum(|tally| tally.calls), sum(|tally| tally.came), sum(|tally| tally.went));
        let numbers = format!("  {:>7}{:>12}{:>12}", thousands(number), plus(came), minus(went));
        lines.push(format!("{numbers}  {}", count(rest.len() as u64, "more place", "more places")));
    }
    lines
}

fn with_stacks(calls: &Calls, style: Style) -> Vec<String> {
    let mut lines = vec![site_head(style)];
    for row in &calls.sites {
        lines.push(site_row(row, style));
        let stack = row.number.and_then(|_| calls.stacks.get(row.site.stack as usize));
        for frame in stack.into_iter().flatten() {
            lines.push(format!("{:>35}{}", "", cut(frame, style.width.saturating_sub(35).max(40))));
        }
    }
    lines
}

/// The mmap threshold and what moved it.
fn moves(calls: &Calls, style: Style, most: usize) -> Vec<String> {
    let subject = |index| if index == 0 { "threshold" } else { "" };
    let text = |row: &MoveRow| {
        let made = &row.made;
        let (from, to) = (amount(made.from), amount(made.to));
        let text = format!(
            "free of {to} at {}: mmap threshold {from}{}{to}, blocks below now come from the break",
            seconds(made.at),
            style.arrow(),
        );
        let by = row.place.as_ref().map(|place| format!("; by {place}")).unwrap_or_default();
        let fits = (SUBJECT + text.chars().count() + by.chars().count()) <= style.width || most == usize::MAX;
        if fits { text + &by } else { text }
    };
    let total = calls.moves.len() as u64 + calls.summary.more_moves;
    let mut lines: Vec<String> = Vec::new();
    let most = if calls.moves.len() > most { most.saturating_sub(1) } else { most };
    for (index, row) in calls.moves.iter().take(most).enumerate() {
        lines.push(entry(style, subject(index), &text(row)));
    }
    let rest = total - lines.len() as u64;
    if let (1.., Some(last)) = (rest, calls.moves.last()) {
        let text = format!("and {}, the last to {}", count(rest, "more move", "more moves"), amount(last.made.to));
        lines.push(entry(style, subject(lines.len()), &text));
    }
    lines
}

/// Heights for a line of small columns; something never looks like nothing.
fn sparkline(values: &[u64], style: Style) -> String {
    let levels: &[char] = if style.ascii {
        &['.', ':', '-', '=', '+', '*', '#']
    } else {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: u64| {
        if value == 0 {
            return ' ';
        }
        let index = (u128::from(value) * levels.len() as u128).div_ceil(u128::from(most)) as usize;
        levels[index.clamp(1, levels.len()) - 1]
    };
    values.iter().map(|&value| level(value)).collect()
}

/// Columns of time fitted to so many cells.
fn cells(calls: &Calls, width: usize, of: fn(&Tally) -> u64) -> Vec<u64> {
    let columns = &calls.summary.columns;
    let group = columns.len().div_ceil(width.max(1)).max(1);
    columns.chunks(group).map(|chunk| chunk.iter().map(of).sum()).collect()
}

/// What came and went over time, in two lines.
fn strip(calls: &Calls, style: Style) -> Vec<String> {
    let width = style.width.saturating_sub(40).clamp(20, 80);
    let lines = [("came", (|tally| tally.came) as fn(&Tally) -> u64), ("went", |tally| tally.went + tally.returned)];
    let group = calls.summary.columns.len().div_ceil(width).max(1) as u32;
    let each = seconds(calls.summary.width * group);
    lines
        .into_iter()
        .map(|(name, of)| {
            let values = cells(calls, width, of);
            let most = values.iter().copied().max().unwrap_or(0);
            let picture = sparkline(&values, style);
            entry(style, name, &format!("|{picture}| at most {} in {each}", amount(most)))
        })
        .collect()
}

fn by_time(calls: &Calls, style: Style) -> Vec<String> {
    let head = format!("  {:>12}{:>9}{:>12}{:>12}{:>12}{:>12}  ", "from", "calls", "came", "went", "given back", "RSS");
    let mut lines = vec![style.paint(Ink::Bold, head.trim_end())];
    let most = calls.summary.columns.iter().map(|column| column.came.max(column.went)).max().unwrap_or(0);
    let room = style.width.saturating_sub(head.chars().count()).min(40);
    let bytes = |bytes: u64| if bytes == 0 { String::new() } else { amount(bytes) };
    for (index, column) in calls.summary.columns.iter().enumerate().filter(|(_, column)| column.calls > 0) {
        let at = seconds(calls.summary.width * index as u32);
        let rss = calls.summary.rss[index].map(amount).unwrap_or_default();
        let bar = style.bar(column.came.max(column.went), most, room);
        let numbers = format!("{:>12}{:>12}{:>12}", bytes(column.came), bytes(column.went), bytes(column.returned));
        lines.push(format!("  {at:>12}{:>9}{numbers}{rss:>12}  {bar}", thousands(column.calls)).trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calls::summary::{Moved, Site, Summary};
    use crate::model::calls::{Answer, Call, Change};
    use crate::view::syscalls::Mode;

    const PLAIN: Style = Style { color: false, ascii: true, width: 80 };

    /// Every call, every mechanism, many places, many moves.
    fn full() -> Calls {
        let mut summary = Summary::default();
        for step in 0..2_000u64 {
            let kind = Kind::ALL[step as usize % Kind::ALL.len()];
            let usable = if kind == Kind::Munmap { -(1i64 << 40) } else { 1 << 30 };
            let call = Call {
                at: Duration::from_millis(step * 7),
                took: Some(Duration::from_secs(3)),
                pid: 1 + (step % 20) as i32,
                tid: 1,
                kind,
                arguments: [0; 6],
                answer: if step % 9 == 0 { Answer::Refused(12) } else { Answer::Value(0) },
                mechanism: Mechanism::ALL[step as usize % Mechanism::ALL.len()],
                change: Change { usable, returned: 1 << 33, reserved: 5 },
                rss_before: Some(1 << 32),
                rss_after: Some(1),
                stack: Some((step % 300) as u32),
                moved: (step % 100 == 0).then_some((step + 1, step + 101)),
            };
            summary.add(&call, Some((step % 300) as u32));
        }
        let row = |(number, site): (Option<u32>, &Site)| SiteRow {
            number,
            function: "a_function\u{1b}".repeat(9),
            file: "libfile.so".repeat(3),
            line: Some("source.c:1234567".to_owned()),
            site: site.clone(),
        };
        let sites = summary.by_weight().into_iter().map(row).collect();
        let moved = |made: &Moved| MoveRow { made: *made, place: Some("f (app)".to_owned()) };
        Calls {
            sites,
            moves: summary.moves.iter().map(moved).collect(),
            summary,
            calls: Vec::new(),
            not_kept: 2_000,
            stacks: vec![vec!["inner (a)".to_owned(), "outer (a)".to_owned()]; 300],
            site_of_stack: (0..300).collect(),
            lost: 5,
            tracers: vec!["gdb".to_owned()],
            mode: Mode::Filter,
            wall: Duration::from_secs(14),
        }
    }

    fn heading() -> Heading {
        let title = vec!["tool".to_owned(), "x".repeat(300)];
        Heading { title, pid: 1, outcome: Some(Outcome::Signal(9)), malloc: Some("glibc".to_owned()), books: None }
    }

    #[test]
    fn the_longest_summary_has_thirty_lines_of_the_right_width() {
        for width in [60, 80, 100, 140] {
            let text = render(&heading(), &full(), None, false, Style { width, ..PLAIN });
            assert_eq!(text.lines().count(), 30, "{text}");
            assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
            let is_table = |line: &&str| line.starts_with("  ") && width >= 80;
            let wide: Vec<_> = text.lines().filter(is_table).filter(|line| line.chars().count() > width).collect();
            assert!(wide.is_empty(), "{wide:#?}");
            for subject in
                ["call ", "mechanism ", "place in the program", "came ", "went ", "threshold ", "hindered ", "lost "]
            {
                assert!(text.contains(subject), "{subject}: {text}");
            }
            assert!(text.contains("more places") && text.contains("more moves, the last to "), "{text}");
        }
    }

    #[test]
    fn one_view_shows_all_of_itself() {
        let lines = |by, stacks| render(&heading(), &full(), Some(by), stacks, PLAIN).lines().count();
        assert_eq!(lines(By::Call, false), 3 + Kind::ALL.len());
        assert_eq!(lines(By::Mechanism, false), 3 + Mechanism::ALL.len());
        assert_eq!(lines(By::Site, false), 3 + 300);
        assert_eq!(lines(By::Site, true), 3 + 300 * 3, "two frames each");
        assert!(lines(By::Time, false) > 50);
    }

    #[test]
    fn a_program_without_calls_has_one_sentence() {
        let calls = Calls { summary: Summary::default(), sites: Vec::new(), moves: Vec::new(), lost: 0, ..full() };
        let calls = Calls { tracers: Vec::new(), ..calls };
        let text = render(&heading(), &calls, None, false, PLAIN);
        assert!(text.ends_with("brkmap: 0 system calls for memory\n"), "{text}");
    }

    #[test]
    fn numbers_are_grouped_and_pictures_fit() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(sparkline(&[0, 1, 50, 100], PLAIN), " .=#");
        assert_eq!(sparkline(&[0, 0], PLAIN), "  ");
    }
}
