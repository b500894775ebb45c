//! The address space, low to high: which parts of each range are resident.

use super::markup::{Element, element, of_class};
use super::table::{Column, mebibytes, size, table};
use crate::model::spans::Span;
use crate::proc::residency::Residency;

/// Parts of a range's picture.
const CELLS: u64 = 120;
/// Ranges with a picture of their own; the largest by residence.
const DRAWN: usize = 40;
/// Rows of the table of all ranges.
const ROWS: usize = 400;
/// Gaps from here on are told.
const GAP: u64 = 1 << 30;

/// The pictures, then every range as a table.
pub(super) fn figure(spans: &[Span], residency: &Residency) -> Vec<Element> {
    let mut by_rss: Vec<&Span> = spans.iter().filter(|span| span.rss > 0).collect();
    by_rss.sort_by_key(|span| std::cmp::Reverse(span.rss));
    let least = by_rss.get(DRAWN).map_or(1, |span| span.rss + 1);
    let mut rows = Vec::new();
    let mut small: Vec<&Span> = Vec::new();
    let mut end = None;
    for span in spans {
        let gap = end.map_or(0, |end| span.start.saturating_sub(end));
        end = Some(span.end);
        if span.rss < least {
            small.push(span);
            continue;
        }
        rows.extend(few(&small));
        small.clear();
        if gap >= GAP {
            rows.push(apart(gap));
        }
        rows.push(row(span, residency));
    }
    rows.extend(few(&small));
    let head = |text: &str, class: &str| element("th").with("scope", "col").with("class", class).text(text);
    let heads = [("range", ""), ("resident where", ""), ("resident, MiB", "n"), ("size", "n")];
    let strip = of_class("table", "bars space")
        .with("role", "table")
        .child(
            element("caption")
                .text("low addresses first, with resident MiB and size; dark: resident, pale: mapped only; of files only the sum is known"),
        )
        .child(element("thead").child(element("tr").children(heads.map(|(text, class)| head(text, class)))))
        .child(element("tbody").with("role", "rowgroup").children(rows));
    vec![strip]
}

fn cell(class: &str, text: &str) -> Element {
    of_class("td", class).with("role", "cell").text(text)
}

/// Ranges too small for a picture, side by side.
fn few(spans: &[&Span]) -> Option<Element> {
    let first = spans.first()?;
    let (bytes, rss) = spans.iter().fold((0u64, 0), |sum, span| (sum.0.saturating_add(span.size()), sum.1 + span.rss));
    let label = match spans.len() {
        1 => first.purpose.label(),
        count => format!("{count} small ranges"),
    };
    Some(
        element("tr")
            .with("role", "row")
            .child(of_class("th", "soft").with("scope", "row").with("role", "rowheader").text(label))
            .child(cell("bar", ""))
            .child(cell("n soft", &mebibytes(rss)))
            .child(cell("n soft", &size(bytes))),
    )
}

fn apart(bytes: u64) -> Element {
    element("tr")
        .with("role", "row")
        .child(of_class("th", "soft").with("scope", "row").with("role", "rowheader").text("⋮ nothing mapped"))
        .child(cell("bar", ""))
        .child(cell("n", ""))
        .child(cell("n soft", &size(bytes)))
}

fn row(span: &Span, residency: &Residency) -> Element {
    element("tr")
        .with("role", "row")
        .with("data-rss", span.rss)
        .child(
            element("th")
                .with("scope", "row")
                .with("role", "rowheader")
                .with("title", format!("{:#x}", span.start))
                .text(span.purpose.label()),
        )
        .child(of_class("td", "bar").with("role", "cell").child(picture(span, residency)))
        .child(cell("n", &mebibytes(span.rss)))
        .child(cell("n", &size(span.size())))
}

/// Resident share of each part, as the height of a column.
fn picture(span: &Span, residency: &Residency) -> Element {
    let height = 18.0;
    let svg = element("svg")
        .with("width", "100%")
        .with("height", height)
        .with("aria-hidden", "true")
        .child(of_class("rect", "track").with("width", "100%").with("height", height));
    let column = |at: f64, wide: f64, share: u64| {
        let tall = (height * share as f64 / 100.0).max(1.0);
        of_class("rect", "held")
            .with("x", format!("{at:.2}%"))
            .with("width", format!("{wide:.2}%"))
            .with("y", format!("{:.1}", height - tall))
            .with("height", format!("{tall:.1}"))
    };
    let Some(cells) = span.cells(residency, CELLS) else {
        return svg.child(column(0.0, super::table::percent(span.rss, span.size()).min(100.0), 50));
    };
    // Equal neighbours share a rectangle.
    let mut all = Vec::new();
    let mut at = 0;
    for group in cells.chunk_by(|one, other| one == other) {
        let (from, count) = (at as f64 * 100.0 / CELLS as f64, group.len() as f64 * 100.0 / CELLS as f64);
        at += group.len();
        if group[0] > 0 {
            all.push(column(from, count, group[0]));
        }
    }
    svg.children(all)
}

/// Every range, for who wants to look one up.
pub(super) fn ranges(spans: &[Span]) -> Element {
    let heads = [
        ("from", Column::Text),
        ("to", Column::Text),
        ("size", Column::Number),
        ("resident, MiB", Column::Number),
        ("on huge pages, MiB", Column::Number),
        ("what", Column::Text),
    ];
    let row = |span: &Span| {
        vec![
            format!("{:x}", span.start),
            format!("{:x}", span.end),
            size(span.size()),
            mebibytes(span.rss),
            mebibytes(span.huge),
            span.purpose.label(),
        ]
    };
    let mut shown: Vec<&Span> = spans.iter().collect();
    let mut caption = "every range of one purpose; mappings side by side are one".to_owned();
    if shown.len() > ROWS {
        shown.sort_by_key(|span| std::cmp::Reverse(span.rss));
        shown.truncate(ROWS);
        shown.sort_by_key(|span| span.start);
        caption = format!("the {ROWS} ranges with most resident bytes, of {}", spans.len());
    }
    table(&caption, &heads, shown.into_iter().map(row))
}
