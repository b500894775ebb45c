//! The report for people.

use super::paste::paste;
use super::words::{Words, join};
use super::{INTERVALS, RULE};
use crate::model::compare::judge::{Contest, Judgement};
use crate::model::compare::metric::{Metric, seconds, thousands};
use crate::model::compare::result::{CellResult, Comparison, outcome_text};
use crate::view::style::{Ink, Style};
use crate::view::{command_line, cut};

/// Columns of a cell's name, at most.
const NAME: usize = 44;
/// Columns of a median and of an interval.
const MEDIAN: usize = 11;
const INTERVAL: usize = 20;
const CHANGE: usize = 10;

/// Writes the report.
pub(crate) fn render(comparison: &Comparison, contest: &Contest, judgement: &Judgement, style: Style) -> String {
    let words = Words { comparison, contest, style };
    let mut lines = vec![verdict(&words, judgement), header(comparison, style)];
    lines.extend(notes(comparison, style));
    for (index, metric) in contest.metrics.iter().enumerate() {
        lines.push(String::new());
        lines.extend(block(&words, index, *metric));
    }
    if !contest.cells.is_empty() {
        lines.push(String::new());
        lines.extend(rest(&words));
    }
    lines.extend(recommendations(&words, judgement));
    lines.push(String::new());
    lines.extend(method(comparison, contest));
    lines.join("\n") + "\n"
}

fn verdict(words: &Words, judgement: &Judgement) -> String {
    let ink = if matches!(judgement, Judgement::Nothing | Judgement::TooFew) { Ink::Alert } else { Ink::Bold };
    words.style.paint(ink, &format!("brkmap: {}", words.verdict(judgement)))
}

fn header(comparison: &Comparison, style: Style) -> String {
    let runs: Vec<usize> = comparison.cells.iter().map(|cell| cell.runs.len()).filter(|runs| *runs > 0).collect();
    let (least, most) = (runs.iter().min().copied().unwrap_or(0), runs.iter().max().copied().unwrap_or(0));
    let runs = match (least, most) {
        (1, 1) => "1 run of each".to_owned(),
        (least, most) if least == most => format!("{most} runs of each"),
        (least, most) => format!("{least} to {most} runs of each"),
    };
    let mut parts = vec![runs, format!("took {}", seconds(comparison.took.as_secs_f64()))];
    if let Some(limit) = comparison.end_after {
        parts.insert(0, format!("ended after {} s", limit.as_secs_f64()));
    }
    let rest = parts.join(style.dot());
    let room = style.width.saturating_sub(rest.chars().count() + 3).max(20);
    format!("{}{}{rest}", cut(&command_line(&comparison.command), room), style.dot())
}

/// What the reader has to know before the figures.
fn notes(comparison: &Comparison, style: Style) -> Vec<String> {
    let mut all = Vec::new();
    if comparison.interrupted {
        all.push(format!("interrupted; {} runs of each were wanted", comparison.wanted_runs));
    }
    for skipped in &comparison.skipped {
        let (name, library, package) = (&skipped.name, skipped.library, skipped.package);
        all.push(format!("{name} is left out: {library} is not installed (package {package})"));
    }
    for cell in &comparison.cells {
        if let Some(why) = cell.not_in_force() {
            all.push(format!("{} does not count, it was not in force: {why}", cell.cell.title()));
        }
        let (strangers, of) = cell.strangers();
        if strangers > 0 {
            all.push(format!("{}: {strangers} of its {of} child processes were on another malloc", cell.cell.title()));
        }
    }
    if let Some(cell) = comparison.cells.first().filter(|cell| !cell.served().starts_with("glibc")) {
        all.push(format!("without a library the program is on {}", cell.served()));
    }
    let never = |cell: &&CellResult| cell.preview.in_force.as_ref().is_some_and(|in_force| in_force.never_called);
    let never: Vec<String> = comparison.cells.iter().filter(never).map(|cell| cell.cell.title()).collect();
    if !never.is_empty() {
        all.push(format!("the program never called malloc of {}", join(&never, "and")));
    }
    if let Some(outcome) = comparison.failed() {
        let words = comparison.last_words.as_ref().map_or(String::new(), |words| format!("; it said: {words}"));
        all.push(format!("every run failed with {}{words}", outcome_text(outcome)));
    }
    all.extend(comparison.differences());
    if let Some(why) = &comparison.sampled {
        all.push(format!("memory is that of the last sample before the end: {why}"));
    }
    if !comparison.left_out.is_empty() {
        all.push(format!("LD_PRELOAD had {}, which was left out", comparison.left_out.join(" ")));
    }
    if let Some(load) = comparison.load.filter(|load| *load > 1.0) {
        all.push(format!("the machine was busy at the start ({load:.1} tasks for each processor): times spread"));
    }
    all.into_iter().map(|note| style.paint(Ink::Alert, &format!("  ! {note}"))).collect()
}

fn name_width(words: &Words) -> usize {
    let longest = (0..words.contest.cells.len()).map(|row| words.title(row).chars().count()).max().unwrap_or(0);
    longest.clamp(8, NAME)
}

/// One figure that decides: a line for each cell, the best first.
fn block(words: &Words, index: usize, metric: Metric) -> Vec<String> {
    let (contest, style) = (words.contest, words.style);
    let width = name_width(words);
    let bar = style.width.saturating_sub(2 + width + MEDIAN + INTERVAL + CHANGE + 4).min(40);
    let mut rows: Vec<usize> = (0..contest.rows.len()).collect();
    rows.sort_by(|a, b| contest.rows[*a][index].median.total_cmp(&contest.rows[*b][index].median));
    let most = contest.rows.iter().map(|row| row[index].median).fold(0.0, f64::max);
    let against = format!("against {}", words.title(0));
    let head = format!("{:<w$}{:>MEDIAN$}{:>INTERVAL$}   {against}", metric.label(), "median", "95 %", w = width + 2);
    let line = |row: usize| {
        let interval = &contest.rows[row][index];
        let standing = contest.standing(index, row, 0);
        let change = match row {
            0 => String::new(),
            _ if standing.is_eq() && contest.is_sure() => "same".to_owned(),
            _ => words.change(index, row),
        };
        let ink = match standing {
            std::cmp::Ordering::Less => Some(Ink::Used),
            std::cmp::Ordering::Greater => Some(Ink::Kept),
            std::cmp::Ordering::Equal => None,
        };
        let drawn = style.bar((interval.median * 1e6) as u64, (most * 1e6) as u64, bar);
        let drawn = ink.map_or(drawn.clone(), |ink| style.paint(ink, &drawn));
        format!(
            "  {:<width$}{:>MEDIAN$}{:>INTERVAL$}{change:>CHANGE$}   {drawn}",
            cut(&words.title(row), width),
            metric.text(interval.median),
            metric.range(interval.low, interval.high),
        )
    };
    std::iter::once(style.paint(Ink::Bold, &head))
        .chain(rows.into_iter().map(|row| line(row).trim_end().to_owned()))
        .collect()
}

/// The other figures, in a table, and who is on the Pareto front.
fn rest(words: &Words) -> Vec<String> {
    let (contest, style) = (words.contest, words.style);
    let others: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| !contest.metrics.contains(metric)).collect();
    let width = name_width(words);
    let mut head = format!("{:<w$}", "also measured", w = width + 2);
    for metric in &others {
        head += &format!("{:>18}", metric.label());
    }
    head += &format!("{:>10}{:>12}  {}", "calls", "for memory", "Pareto");
    let line = |row: usize| {
        let cell = &words.comparison.cells[contest.cells[row]];
        let mut line = format!("  {:<width$}", cut(&words.title(row), width));
        for metric in &others {
            let text = cell.interval(*metric).map_or("-".to_owned(), |interval| {
                let sign = if style.ascii { "+-" } else { "±" };
                format!("{} {sign}{:.0} %", metric.text(interval.median), interval.spread() * 100.0)
            });
            line += &format!("{text:>18}");
        }
        let (all, memory) = calls(cell);
        let front = if contest.rows.len() > 1 && contest.is_sure() && contest.is_on_front(row) { "front" } else { "" };
        line += &format!("{all:>10}{memory:>12}  {front}");
        line.trim_end().to_owned()
    };
    std::iter::once(style.paint(Ink::Bold, &head)).chain((0..contest.rows.len()).map(line)).collect()
}

fn calls(cell: &CellResult) -> (String, String) {
    let calls = &cell.preview.calls;
    let least = if calls.complete { "" } else { ">" };
    match calls.all {
        0 => ("-".to_owned(), "-".to_owned()),
        all => (format!("{least}{}", thousands(all)), format!("{least}{}", thousands(calls.memory()))),
    }
}

fn recommendations(words: &Words, judgement: &Judgement) -> Vec<String> {
    let style = words.style;
    let mut lines = Vec::new();
    for row in words.recommended(judgement) {
        let cell = &words.comparison.cells[words.contest.cells[row]].cell;
        let Some(paste) = paste(cell, &words.comparison.command) else {
            lines.extend([String::new(), style.paint(Ink::Bold, &format!("to use {}", cell.title()))]);
            lines.push("  nothing to set: the program as it is".to_owned());
            continue;
        };
        lines.extend([String::new(), style.paint(Ink::Bold, &format!("to use {}", cell.title()))]);
        lines.push(format!("  shell       {}", paste.shell));
        for (subject, all) in [("Dockerfile", &paste.dockerfile), ("systemd", &paste.systemd)] {
            let line =
                |(index, line): (usize, &String)| format!("  {:<12}{line}", if index == 0 { subject } else { "" });
            lines.extend(all.iter().enumerate().map(line));
        }
        if !paste.systemd.is_empty() {
            lines.push("              (in /etc/systemd/system/NAME.service.d/malloc.conf)".to_owned());
        }
    }
    lines
}

fn method(comparison: &Comparison, contest: &Contest) -> Vec<String> {
    let coverage = contest.rows.iter().flatten().map(|interval| interval.coverage).fold(1.0, f64::min);
    let held =
        if contest.rows.is_empty() { String::new() } else { format!(" (these hold in {:.1} %)", coverage * 100.0) };
    let order = "interleaved, another one first in each round, after a warm-up run".to_owned();
    let mut lines = vec![format!("{INTERVALS}{held}"), order];
    lines.push(RULE.to_owned());
    let counted = comparison.cells.iter().any(|cell| cell.preview.calls.all > 0);
    if counted {
        lines.push("calls: system calls of all its processes, counted with ptrace in the warm-up run alone".to_owned());
    }
    let refused = comparison.cells.iter().find_map(|cell| cell.preview.refused.as_ref());
    lines.extend(refused.map(|why| format!("calls were not counted: {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::compare::plan::Family;
    use crate::model::compare::result::Skipped;
    use crate::model::compare::result::tests::{cell, comparison};
    use crate::model::in_force::{InForce, Reason};

    const PLAIN: Style = Style { color: false, ascii: true, width: 100 };

    fn rendered(comparison: &Comparison, style: Style) -> String {
        let contest = comparison.contest();
        render(comparison, &contest, &contest.judge(), style)
    }

    fn with(rows: &[(&str, Family, (u64, u64))]) -> Comparison {
        comparison(rows.iter().map(|&(name, family, figures)| cell(name, family, &[figures; 6])).collect())
    }

    #[test]
    fn a_winner_comes_with_its_lines_to_paste() {
        let text = rendered(
            &with(&[("glibc", Family::Glibc, (1000, 100)), ("jemalloc", Family::Jemalloc, (1000, 80))]),
            PLAIN,
        );
        assert!(
            text.starts_with("brkmap: jemalloc wins: peak RSS -20 %, time no different, against glibc\n"),
            "{text}"
        );
        for line in [
            "  shell       env LD_PRELOAD=libjemalloc.so.2 /usr/bin/tool file",
            "  Dockerfile  RUN apt-get update",
            "              ENV LD_PRELOAD=libjemalloc.so.2",
            "              [Service]",
            "  systemd     # once: apt-get install libjemalloc2",
            "              Environment=LD_PRELOAD=libjemalloc.so.2",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.is_ascii());
        let wide: Vec<&str> = text.lines().filter(|line| line.starts_with("  ") && line.len() > 100).collect();
        assert!(wide.iter().all(|line| line.contains("apt-get")), "{wide:?}");
    }

    #[test]
    fn no_difference_is_said_and_nothing_recommended() {
        let text =
            rendered(&with(&[("glibc", Family::Glibc, (100, 50)), ("mimalloc", Family::Mimalloc, (101, 50))]), PLAIN);
        assert!(text.starts_with("brkmap: no difference in time or peak RSS between glibc and mimalloc\n"), "{text}");
        assert!(!text.contains("to use "));
    }

    #[test]
    fn a_trade_off_is_one_sentence_and_both_ends_can_be_pasted() {
        let text = rendered(
            &with(&[
                ("glibc", Family::Glibc, (1000, 100)),
                ("mimalloc", Family::Mimalloc, (800, 130)),
                ("brkmap", Family::Brkmap, (1100, 60)),
                ("tcmalloc", Family::Tcmalloc, (1200, 140)),
            ]),
            PLAIN,
        );
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "brkmap: a trade-off, against glibc: mimalloc is the fastest (time -20 %, peak RSS +30 %); brkmap is the \
             smallest at its peak (time +10 %, peak RSS -40 %)"
        );
        assert!(
            text.contains("to use mimalloc\n")
                && text.contains("to use brkmap\n  shell       brkmap use -- /usr/bin/tool file\n")
        );
        assert_eq!(text.lines().filter(|line| line.ends_with("  front")).count(), 3, "{text}");
    }

    #[test]
    fn what_was_missing_or_not_in_force_is_visible() {
        let mut comparison = with(&[("glibc", Family::Glibc, (10, 5)), ("brkmap", Family::Brkmap, (10, 5))]);
        comparison.cells[1].preview.in_force = Some(InForce::no("linked in", Reason::Static));
        comparison.skipped.push(Skipped {
            name: "jemalloc".to_owned(),
            library: "libjemalloc.so.2",
            package: "libjemalloc2",
        });
        let text = rendered(&comparison, PLAIN);
        assert!(text.starts_with("brkmap: nothing to compare: glibc alone was measured"), "{text}");
        assert!(
            text.contains("! brkmap does not count, it was not in force: a linked-in malloc was, because it is st")
        );
        assert!(text.contains("! jemalloc is left out: libjemalloc.so.2 is not installed (package libjemalloc2)"));
    }

    #[test]
    fn few_runs_are_shown_and_not_judged() {
        let mut comparison = with(&[("glibc", Family::Glibc, (10, 50)), ("brkmap", Family::Brkmap, (10, 5))]);
        comparison.cells.iter_mut().for_each(|cell| cell.runs.truncate(3));
        let text = rendered(&comparison, PLAIN);
        assert!(text.starts_with("brkmap: 3 runs of each are too few to judge: intervals of 95 % need 6"), "{text}");
        assert!(text.contains("(these hold in 75.0 %)"), "{text}");
    }

    #[test]
    fn colour_repeats_what_the_words_say() {
        let comparison = with(&[("glibc", Family::Glibc, (1000, 100)), ("brkmap", Family::Brkmap, (1000, 60))]);
        let coloured = rendered(&comparison, Style { color: true, ..PLAIN });
        let mut plain = String::new();
        let mut inside = false;
        for c in coloured.chars() {
            match c {
                '\x1b' => inside = true,
                'm' if inside => inside = false,
                c if !inside => plain.push(c),
                _ => {}
            }
        }
        assert_eq!(plain, rendered(&comparison, PLAIN));
    }
}
