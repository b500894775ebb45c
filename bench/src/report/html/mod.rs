//! A comparison as one page: no script, nothing loaded from anywhere, in the colours of the reader's system. The frame of style
//! and the markup are those of the pages that `brkmap` writes.

#[path = "../../../../crates/cli/src/view/html/markup.rs"]
#[allow(dead_code, reason = "the command's pages need more of it")]
mod markup;
mod plot;

use super::sheets::{self, Entry, Line, Sheet, ratio};
use super::standing::{BEHIND_IN_CPU, BEHIND_IN_RSS, Column, FIRST, Means, Measure, Standing};
use super::{Comparison, svg, words};
use crate::stats::Summary;
use anyhow::{Context, Result};
use markup::{Element, element, of_class};
use plot::Scale;
use std::fs;
use std::path::Path;

const STYLE: &str = include_str!("../../../../crates/cli/src/view/html/style.css");
const OWN_STYLE: &str = include_str!("bench.css");
/// Nothing may be loaded and nothing may run.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Writes the page; a file of that name is replaced.
pub(crate) fn write(comparison: &Comparison, path: &Path) -> Result<()> {
    fs::write(path, render(comparison))
        .with_context(|| format!("--html {}: the file could not be written; name one that can", path.display()))
}

/// A section with its place in the table of contents.
struct Section {
    id: &'static str,
    title: String,
    inner: Vec<Element>,
}

fn render(comparison: &Comparison) -> String {
    let standing = Standing::of(comparison);
    let mut sections = vec![caveats(comparison)];
    if standing.settings > 1 {
        sections.push(summary(comparison, &standing));
    }
    sections.extend(sheets::sheets(comparison).iter().map(|sheet| of_sheet(comparison, sheet)));
    sections.extend(curves(comparison));
    sections.extend(system_calls(comparison));
    let missing = sheets::not_there(comparison);
    if !missing.is_empty() {
        let list = element("ul").children(missing.iter().map(|line| element("li").text(line.replace('`', ""))));
        sections.push(Section { id: "missing", title: "What is not there".into(), inner: vec![list] });
    }
    let title = format!("{} settings × {} allocators", comparison.settings.len(), comparison.allocators.len());
    let html =
        element("html").with("lang", "en").child(head(&title)).child(body(comparison, &standing, &title, sections));
    format!("<!DOCTYPE html>\n{html}\n")
}

fn head(title: &str) -> Element {
    let meta = |name: &'static str, content: &str| element("meta").with("name", name).with("content", content);
    element("head")
        .child(element("meta").with("charset", "utf-8"))
        .child(element("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY))
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(meta("referrer", "no-referrer"))
        .child(element("title").text(format!("brkmap bench: {title}")))
        // Without an icon of its own, a browser would ask for one.
        .child(element("link").with("rel", "icon").with("href", "data:,"))
        .child(element("style").verbatim(STYLE).verbatim(OWN_STYLE))
}

fn body(comparison: &Comparison, standing: &Standing, title: &str, sections: Vec<Section>) -> Element {
    let machine = &comparison.machine;
    let facts = format!("{} · {} CPUs · Linux {}", machine.processor, machine.cpus, machine.kernel);
    let top = of_class("header", "top")
        .child(element("div").child(element("h1").text(title)).child(of_class("p", "soft small").text(facts)))
        .child(of_class("p", "soft small").text(format!("brkmap bench · {} UTC", machine.date)));
    let entry = |section: &Section| {
        element("li").child(element("a").with("href", format!("#{}", section.id)).text(&section.title))
    };
    let contents =
        element("nav").with("aria-label", "contents").child(element("ol").children(sections.iter().map(entry)));
    let main = element("main")
        .with("id", "main")
        .children((standing.settings > 1).then(|| card(comparison, standing)))
        .child(contents)
        .children(sections.into_iter().map(of_section));
    let skip = of_class("a", "skip").with("href", "#main").text("Skip to the report");
    element("body").child(skip).child(of_class("div", "frame").child(top).child(main))
}

fn of_section(section: Section) -> Element {
    let heading = format!("{}-title", section.id);
    element("section")
        .with("id", section.id)
        .with("aria-labelledby", &heading)
        .child(element("h2").with("id", &heading).text(&section.title))
        .children(section.inner)
}

/// The figures that matter most, of brkmap or, without it, of nobody.
fn card(comparison: &Comparison, standing: &Standing) -> Element {
    let base = &comparison.allocators[0].name;
    let Some(ours) = &standing.ours else {
        let text = format!("Ratios to {base} over {} settings", standing.settings);
        return of_class("section", "card").child(of_class("p", "verdict").text(text));
    };
    let column = standing.columns.iter().find(|column| column.allocator == ours.allocator);
    let of =
        |measure| column.and_then(|column| column.means.of(measure)).map_or("-".into(), |value| format!("{value:.3}"));
    let verdict = format!(
        "{} takes {} of {base}'s CPU time and {} of its memory, over {} settings.",
        ours.allocator,
        of(Measure::Cpu),
        of(Measure::Rss),
        standing.settings
    );
    let figure = |measure: Measure| {
        let best = standing.best_rival.of(measure).map_or("-".into(), |value| format!("{value:.3}"));
        element("div")
            .child(element("dt").text(words::measure(standing, measure)))
            .child(element("dd").text(of(measure)))
            .child(of_class("dd", "note").text(format!("best rival of each setting {best}")))
    };
    of_class("section", "card")
        .child(of_class("p", "verdict").text(verdict))
        .child(of_class("dl", "figures").children(Measure::ALL.map(figure)))
}

fn caveats(comparison: &Comparison) -> Section {
    let list = of_class("ul", "caveats")
        .children(words::caveats(comparison).iter().map(|sentence| element("li").text(sentence.replace('`', ""))));
    let commands = element("pre").child(element("code").text(words::commands(comparison).join("\n")));
    let versions = comparison.allocators.iter().map(|one| (one.name.clone(), words::version(one)));
    let facts = words::facts(comparison).into_iter().chain(versions).map(|(name, value)| {
        element("tr").child(element("th").with("scope", "row").text(name)).child(element("td").text(value))
    });
    let table = of_class("table", "facts")
        .child(element("caption").text("The machine, and the version and file of each allocator"))
        .child(element("tbody").children(facts));
    Section { id: "caveats", title: "Read this first".into(), inner: vec![list, commands, table] }
}

fn summary(comparison: &Comparison, standing: &Standing) -> Section {
    let sentences =
        of_class("ul", "caveats").children(words::sentences(standing).iter().map(|text| element("li").text(text)));
    let numbers = of_class("div", "wide").child(every_mean(standing));
    let inner = vec![plot::legend(comparison), means(comparison, standing), sentences, numbers];
    Section { id: "summary", title: "Summary".into(), inner }
}

fn shown(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

/// A plot for each mean.
fn means(comparison: &Comparison, standing: &Standing) -> Element {
    let ratios = standing.columns.iter().flat_map(|column| Measure::ALL.map(|measure| column.means.of(measure)));
    let scale = Scale::over(ratios.flatten());
    let ours = ours_in(comparison);
    let of_measure = |measure: Measure| {
        let entry = |column: &Column| {
            let value = column.means.of(measure).ok_or("-")?;
            let ratio = Summary { median: value, min: value, max: value };
            Ok(Entry { shown: shown(Some(value)), spread: None, ratio, is_resolved: true })
        };
        let entries: Vec<Result<Entry, &str>> = standing.columns.iter().map(entry).collect();
        let own = ours.map(|column| of_class("td", "n").text(shown(standing.columns[column].means.of(measure))));
        element("tr")
            .child(element("th").with("scope", "row").text(words::measure(standing, measure)))
            .child(of_class("td", "bar").child(plot::plot(comparison, &entries, scale)))
            .children(own)
            .child(of_class("td", "n rival").text(shown(standing.best_rival.of(measure))))
    };
    let head = |text: &str| of_class("th", "n").with("scope", "col").text(text);
    let heads = element("tr")
        .child(element("th").with("scope", "col").text("mean"))
        .child(element("th").with("scope", "col").child(scale.head()))
        .children(ours.map(|column| head(&standing.columns[column].allocator)))
        .child(head("best rival of each setting"));
    let caption = format!("Geometric means of the ratios to {}; less is better.", comparison.allocators[0].name);
    of_class("table", "plots")
        .child(element("caption").text(caption))
        .child(element("thead").child(heads))
        .child(element("tbody").children(Measure::ALL.map(of_measure)))
}

/// Every mean of every allocator, a row each.
fn every_mean(standing: &Standing) -> Element {
    let head = |text: &str| of_class("th", "n").with("scope", "col").text(text);
    let measures = Measure::ALL.map(|measure| head(&words::measure(standing, measure)));
    let firsts = words::FIRST.map(|(label, _)| head(label));
    let row = |name: &str, means: &Means, counts: [String; 2]| {
        let numbers = Measure::ALL.map(|measure| shown(means.of(measure)));
        element("tr")
            .child(element("th").with("scope", "row").text(name))
            .children(numbers.iter().chain(&counts).map(|text| of_class("td", "n").text(text)))
    };
    let columns = standing
        .columns
        .iter()
        .map(|column| row(&column.allocator, &column.means, words::FIRST.map(|(_, count)| count(column).to_string())));
    let best = row("best rival of each setting", &standing.best_rival, [String::new(), String::new()]);
    of_class("table", "every")
        .child(element("caption").text("Every mean"))
        .child(
            element("thead")
                .child(element("tr").child(element("th").with("scope", "col")).children(measures).children(firsts)),
        )
        .child(element("tbody").children(columns).child(best))
}

fn ours_in(comparison: &Comparison) -> Option<usize> {
    comparison.allocators.iter().position(|allocator| allocator.name.starts_with("brkmap"))
}

/// A plot for each setting, with brkmap's ratio and the best rival; below, folded, every figure.
fn of_sheet(comparison: &Comparison, sheet: &Sheet) -> Section {
    let scale = Scale::of(sheet);
    let limit = if matches!(sheet.id, "rss" | "sizes") { BEHIND_IN_RSS } else { BEHIND_IN_CPU };
    let caption = match ours_in(comparison) {
        Some(_) => format!(
            "{} brkmap's ratio is red above {limit:.2} × the best of the others, green where it is ahead by more than 3 %.",
            sheet.note
        ),
        None => sheet.note.to_string(),
    };
    let base = &comparison.allocators[0].name;
    let ours = ours_in(comparison);
    let head = |text: &str| of_class("th", "n").with("scope", "col").text(text);
    let heads = element("tr")
        .child(element("th").with("scope", "col").text("setting"))
        .child(element("th").with("scope", "col").child(scale.head()))
        .child(head(base))
        .children(ours.map(|_| head("brkmap")))
        .child(head("best of the others"));
    let plots = of_class("table", "plots")
        .child(element("caption").text(caption))
        .child(element("thead").child(heads))
        .child(element("tbody").children(sheet.lines.iter().map(|line| of_line(comparison, line, ours, scale, limit))));
    let every = element("details")
        .child(element("summary").text("Every figure of this table"))
        .child(of_class("div", "wide").child(every_figure(comparison, sheet)));
    Section { id: sheet.id, title: sheet.title.into(), inner: vec![plot::legend(comparison), plots, every] }
}

fn of_line(comparison: &Comparison, line: &Line, ours: Option<usize>, scale: Scale, limit: f64) -> Element {
    let of = |column: usize| line.entries[column].as_ref();
    let base = of(0).map_or_else(|absent| absent.to_string(), |entry| entry.shown.clone());
    let median = |column: usize| of(column).ok().map(|entry| (column, entry.ratio.median));
    let rivals = (0..line.entries.len()).filter(|column| !comparison.allocators[*column].name.starts_with("brkmap"));
    let best = rivals.filter_map(median).filter(|rival| !rival.1.is_nan()).min_by(|a, b| a.1.total_cmp(&b.1));
    let own = ours.map(|column| {
        let median = match of(column) {
            Ok(entry) => entry.ratio.median,
            Err(absent) => return of_class("td", "n").text(absent),
        };
        let class = match best {
            Some((_, best)) if median > best * limit => "n after",
            Some((_, best)) if median * FIRST < best => "n ahead",
            _ => "n",
        };
        of_class("td", class).text(ratio(median))
    });
    let rival = best
        .map_or(String::new(), |(column, median)| format!("{} {}", comparison.allocators[column].name, ratio(median)));
    element("tr")
        .child(element("th").with("scope", "row").text(&line.name))
        .child(of_class("td", "bar").child(plot::plot(comparison, &line.entries, scale)))
        .child(of_class("td", "n").text(base))
        .children(own)
        .child(of_class("td", "n rival").text(rival))
}

fn every_figure(comparison: &Comparison, sheet: &Sheet) -> Element {
    let heads = comparison.allocators.iter().map(|one| of_class("th", "n").with("scope", "col").text(&one.name));
    let row = |line: &Line| {
        let cell = |(column, entry): (usize, &Result<Entry, &str>)| {
            let place = format!("{} {} {}", sheet.id, line.name, comparison.allocators[column].name);
            let cell = of_class("td", "n").with("data-cell", place);
            let entry = match entry {
                Ok(entry) => entry,
                Err(absent) => return cell.text(absent),
            };
            let mark = if entry.is_resolved || column == 0 { "" } else { "~" };
            let share = if column == 0 { String::new() } else { format!("{mark}{} ", ratio(entry.ratio.median)) };
            cell.text(share).child(of_class("span", "figure small").text(entry.with_spread()))
        };
        element("tr")
            .child(element("th").with("scope", "row").text(&line.name))
            .children(line.entries.iter().enumerate().map(cell))
    };
    of_class("table", "every")
        .child(element("thead").child(element("tr").child(element("th").with("scope", "col")).children(heads)))
        .child(element("tbody").children(sheet.lines.iter().map(row)))
}

/// A plain table of texts.
fn plain(comparison: &Comparison, lines: impl Iterator<Item = (String, Vec<String>)>) -> Element {
    let heads = comparison.allocators.iter().map(|one| of_class("th", "n").with("scope", "col").text(&one.name));
    let row = |(name, cells): (String, Vec<String>)| {
        element("tr")
            .child(element("th").with("scope", "row").text(name))
            .children(cells.iter().map(|cell| of_class("td", "n").text(cell)))
    };
    let table = element("table")
        .child(element("thead").child(element("tr").child(element("th").with("scope", "col")).children(heads)))
        .child(element("tbody").children(lines.map(row)));
    of_class("div", "wide").child(table)
}

/// Resident size over time, drawn and told.
fn curves(comparison: &Comparison) -> Option<Section> {
    let moments = sheets::moments(comparison);
    if moments.is_empty() {
        return None;
    }
    let note = of_class("p", "lead").text(
        "Resident size over the start of the program: before and after most blocks are freed, while it does nothing for a \
         second, and after malloc_trim(0). The drawings show the first run of each cell, the table medians.",
    );
    let drawings = of_class("div", "curves")
        .children(svg::panels_for_page(comparison).iter().map(|panel| element("figure").markup(panel)));
    let lines = moments.into_iter().map(|moment| (format!("{}, {}", moment.setting, moment.moment), moment.shown()));
    let table =
        element("details").child(element("summary").text("Every figure in MiB")).child(plain(comparison, lines));
    Some(Section { id: "giveback", title: "Memory that comes back".into(), inner: vec![note, drawings, table] })
}

fn system_calls(comparison: &Comparison) -> Option<Section> {
    comparison.cells.iter().find(|cell| cell.system_calls.is_some())?;
    let note =
        of_class("p", "lead").text("Of one run under strace; of them brk, mmap, munmap, mremap, madvise, mprotect.");
    let lines = comparison.rows().map(|(row, cells)| {
        let calls = cells.iter().map(|cell| {
            cell.system_calls.map_or(cell.absent().into(), |calls| format!("{} ({})", calls.all, calls.for_memory))
        });
        (row.name.clone(), calls.collect())
    });
    Some(Section { id: "calls", title: "System calls".into(), inner: vec![note, plain(comparison, lines)] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;
    use crate::setting::Kind;

    #[test]
    fn a_page_of_many_allocators_stays_below_two_mebibytes() {
        let names: Vec<String> = (0..60).map(|number| format!("threads-and-more-{number}")).collect();
        let columns = [(1.0, 20.0), (0.5, 10.0), (1.7, 30.0)];
        let made: Vec<_> = names.iter().map(|name| (name.as_str(), Kind::Threads, columns)).collect();
        let mut wide = comparison(&made);
        let rival = wide.allocators[2].clone();
        wide.allocators.extend(
            (0..11).map(|number| crate::allocator::Allocator { name: format!("rival-{number}"), ..rival.clone() }),
        );
        let mut cells = Vec::new();
        for row in wide.cells.chunks(3) {
            cells.extend_from_slice(row);
            for allocator in &wide.allocators[3..] {
                cells.push(crate::suite::Cell { allocator: allocator.name.clone(), ..row[2].clone() });
            }
        }
        wide.cells = cells;
        let page = render(&wide);
        assert_eq!(page.matches("data-cell=\"").count(), 3 * 60 * 14);
        assert!(page.len() < 2 << 20, "{} bytes", page.len());
    }
}
