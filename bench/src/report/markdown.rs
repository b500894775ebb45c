//! A comparison as Markdown: the parts that the document has between its marks.

use super::sheets::{self, Entry, Sheet, ratio};
use super::standing::{Measure, Standing};
use super::{Comparison, words};
use std::fmt::Write as _;

/// What the figures are worth, the machine, the commands.
pub(crate) fn caveats(all: &[Comparison]) -> String {
    let mut text = String::new();
    for comparison in all {
        for sentence in words::caveats(comparison) {
            _ = writeln!(text, "* {sentence}");
        }
        _ = write!(text, "\n```sh\ncargo build --release\n{}\n```\n\n", words::commands(comparison).join("\n"));
        let facts = words::facts(comparison).into_iter().map(|(name, value)| vec![name, value]);
        text += &table(&["machine".into(), "".into()], 2, facts);
        text.push('\n');
        let versions = comparison.allocators.iter().map(|one| vec![one.name.clone(), words::version(one)]);
        text += &table(&["allocator".into(), "version and file".into()], 2, versions);
        text.push('\n');
    }
    text.trim_end().to_string()
}

/// The means, and brkmap against the best rivals.
pub(crate) fn summary(all: &[Comparison]) -> String {
    let mut text = String::new();
    for comparison in all {
        let standing = Standing::of(comparison);
        if standing.settings < 2 {
            continue;
        }
        let base = &comparison.allocators[0].name;
        _ = writeln!(text, "Geometric means of the ratios to {base}; less is better.\n");
        text += &means(comparison, &standing);
        text.push('\n');
        for sentence in words::sentences(&standing) {
            _ = writeln!(text, "* {sentence}");
        }
        text.push('\n');
    }
    let nothing = "No run so far had the settings that the means are taken over.";
    if text.is_empty() { nothing.into() } else { text.trim_end().to_string() }
}

fn means(comparison: &Comparison, standing: &Standing) -> String {
    let shown = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    let mut heads = header("", comparison);
    heads.push("best rival".into());
    let of_measures = Measure::ALL.map(|measure| {
        let columns = standing.columns.iter().map(|column| shown(column.means.of(measure)));
        let all = [words::measure(standing, measure)].into_iter().chain(columns);
        all.chain([shown(standing.best_rival.of(measure))]).collect()
    });
    let first = words::FIRST.map(|(label, of)| {
        let columns = standing.columns.iter().map(|column| of(column).to_string());
        [label.to_string()].into_iter().chain(columns).chain([String::new()]).collect()
    });
    table(&heads, 1, of_measures.into_iter().chain(first))
}

/// The tables, setting by setting.
pub(crate) fn settings(all: &[Comparison]) -> String {
    let mut text = String::new();
    for (number, comparison) in all.iter().enumerate() {
        if all.len() > 1 {
            _ = writeln!(text, "Of `{}`:\n", words::commands(comparison).join("`, `"));
        }
        for sheet in sheets::sheets(comparison) {
            let which = if number > 0 { format!(" ({})", number + 1) } else { String::new() };
            _ = write!(text, "### {}{which}\n\n{}\n\n{}\n", sheet.title, sheet.note, of_sheet(comparison, &sheet));
        }
        text += &over_time(comparison);
        text += &system_calls(comparison);
        for line in sheets::not_there(comparison) {
            _ = writeln!(text, "* {line}");
        }
    }
    text.trim_end().to_string()
}

/// The first column has its figure, the others their ratio to it; what another column printed itself is shown too.
fn of_sheet(comparison: &Comparison, sheet: &Sheet) -> String {
    let lines = sheet.lines.iter().map(|line| {
        let cell = |(number, entry): (usize, &Result<Entry, &str>)| match entry {
            Err(absent) => absent.to_string(),
            Ok(entry) if number == 0 => entry.with_spread(),
            Ok(entry) => {
                let mark = if entry.is_resolved { "" } else { "~" };
                let own =
                    if matches!(sheet.id, "loops" | "sizes") { format!("{} ", entry.shown) } else { String::new() };
                format!("{own}{mark}{}", ratio(entry.ratio.median))
            }
        };
        [line.name.clone()].into_iter().chain(line.entries.iter().enumerate().map(cell)).collect()
    });
    table(&header("", comparison), 1, lines)
}

fn over_time(comparison: &Comparison) -> String {
    let moments = sheets::moments(comparison);
    if moments.is_empty() {
        return String::new();
    }
    let lines = moments
        .into_iter()
        .map(|moment| [format!("{}, {}", moment.setting, moment.moment)].into_iter().chain(moment.shown()).collect());
    let table = table(&header("", comparison), 1, lines);
    format!("### Memory that comes back, MiB over the start\n\nMedians of the runs.\n\n{table}\n")
}

fn system_calls(comparison: &Comparison) -> String {
    if comparison.cells.iter().all(|cell| cell.system_calls.is_none()) {
        return String::new();
    }
    let lines = comparison.rows().map(|(row, cells)| {
        let calls = cells.iter().map(|cell| match cell.system_calls {
            Some(calls) => format!("{} ({})", calls.all, calls.for_memory),
            None => cell.absent().into(),
        });
        [row.name.clone()].into_iter().chain(calls).collect()
    });
    let table = table(&header("", comparison), 1, lines);
    format!(
        "### System calls\n\nOf one run under strace; of them brk, mmap, munmap, mremap, madvise, mprotect.\n\n{table}\n"
    )
}

fn header(first: &str, comparison: &Comparison) -> Vec<String> {
    let names = comparison.allocators.iter().map(|allocator| allocator.name.clone());
    [first.to_string()].into_iter().chain(names).collect()
}

/// A table whose columns after the `names` first ones hold numbers.
fn table(heads: &[String], names: usize, lines: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', "<br>")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<&str> = (0..heads.len()).map(|number| if number < names { "---" } else { "---:" }).collect();
    let mut text = line(heads) + &format!("|{}|\n", rule.join("|"));
    for cells in lines {
        text += &line(&cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;
    use crate::setting::Kind;

    #[test]
    fn a_setting_is_a_line_with_the_figure_first_and_ratios_after_it() {
        let comparison = comparison(&[
            ("a", Kind::Program, [(1.0, 20.0), (0.5, 10.0), (1.005, 20.0)]),
            ("b", Kind::Threads, [(1.0, 5.0), (-1.0, 5.0), (0.5, 5.0)]),
        ]);
        let text = settings(&[comparison]);
        assert!(text.contains("\n| a | 1.00 s ±1% | 0.50 | ~1.00 |\n| b | 1.00 s ±1% | failed | 0.50 |\n"), "{text}");
        assert!(text.contains("\n| a | 20.0 MiB ±0% | 0.50 | ~1.00 |\n"), "{text}");
        assert!(text.ends_with("* failed: b on brkmap: it ended with status 1"), "{text}");
    }

    #[test]
    fn no_text_can_end_a_cell() {
        assert_eq!(table(&["a".into()], 1, [vec!["x|y".into()]]), "| a |\n|---|\n| x\\|y |\n");
    }
}
