//! The address space, low (at the top) to high: a row for each range, as tall as the logarithm of its size; its bar is the
//! range from its first to its last byte, coloured where it is resident.

use super::draw::Canvas;
use super::heat;
use crate::model::picture::{Group, Item, Picture, Range};
use crate::model::verdict::mib;
use crate::view::cut;
use crate::view::maps::{gap_length, space};

const STYLE: &str = include_str!("style.css");

/// Columns: where addresses begin, sizes and resident bytes end, the bar begins, its width, and where words begin.
pub(super) const LEFT: f64 = 24.0;
const SIZE: f64 = 210.0;
const RESIDENT: f64 = 310.0;
const BAR: f64 = 326.0;
const BAR_WIDTH: f64 = 400.0;
const WORDS: f64 = 740.0;
/// Width of the whole.
pub(super) const WIDTH: f64 = 1040.0;
/// Characters that fit behind the bar.
const LABEL: usize = 40;
/// Least height of a row: a line of text.
const ROW: f64 = 18.0;
const PADDING: f64 = 3.0;

fn class(group: Group) -> &'static str {
    match group {
        Group::BreakHeap => "bm-break",
        Group::Arena => "bm-arena",
        Group::MappedBlocks => "bm-mapped",
        Group::Brkmap => "bm-brkmap",
        Group::Runtime => "bm-runtime",
        Group::Anonymous => "bm-anonymous",
        Group::Stack => "bm-stack",
        Group::Program => "bm-program",
        Group::File => "bm-file",
        Group::Shared => "bm-shared",
        Group::Reserved => "bm-reserved",
    }
}

/// Draws the address space of a process as one `<svg>` element: a file of its own, or a part of an HTML page. The heat map of
/// its heaps is below, if the picture has one. One such element fits into a page; its classes begin with `bm`.
pub(crate) fn address_space(picture: &Picture) -> String {
    let mut canvas = Canvas::new(40.0);
    let title = format!("Address space of {} (pid {})", picture.name, picture.pid);
    let (rss, size) = (mib(picture.rss), space(picture.size));
    canvas.text(LEFT, canvas.y, "bm-head", "start", &title);
    canvas.y += 24.0;
    let line = format!("{rss} resident of {size} of address space, low addresses first");
    canvas.text(LEFT, canvas.y, "bm-muted", "start", &line);
    canvas.y += 30.0;
    for (x, anchor, text) in [
        (LEFT, "start", "from"),
        (SIZE, "end", "size"),
        (RESIDENT, "end", "resident"),
        (BAR, "start", "where in the range"),
        (WORDS, "start", "what"),
    ] {
        canvas.text(x, canvas.y, "bm-muted", anchor, text);
    }
    canvas.y += 8.0;
    for item in &picture.items {
        match item {
            Item::Gap(bytes) => gap(&mut canvas, *bytes),
            Item::Range(range) => row(&mut canvas, range),
            Item::Few { start, size, rss, label } => {
                numbers(&mut canvas, ROW, *start, *size, *rss, label);
                canvas.rect((BAR, canvas.y, BAR_WIDTH, ROW), "bm-few", "");
                canvas.y += ROW + PADDING;
            }
        }
    }
    legend(&mut canvas, picture);
    if let Some(map) = &picture.heat {
        heat::draw(&mut canvas, map);
    }
    canvas.y += 16.0;
    canvas.finish(WIDTH, &title, &description(picture), STYLE)
}

/// Height of a range's row.
fn height(size: u64) -> f64 {
    ROW + f64::from(size.max(1 << 16).ilog2() - 16)
}

fn numbers(canvas: &mut Canvas, height: f64, start: u64, size: u64, rss: u64, label: &str) {
    let y = canvas.y + height / 2.0 + 4.5;
    canvas.text(LEFT, y, "bm-num bm-muted", "start", &format!("{start:x}"));
    canvas.text(SIZE, y, "bm-num", "end", &space(size));
    canvas.text(RESIDENT, y, "bm-num", "end", &mib(rss));
    canvas.text(WORDS, y, "", "start", &cut(label, LABEL));
}

fn row(canvas: &mut Canvas, range: &Range) {
    let height = height(range.size);
    let huge = if range.huge > 0 { format!(", {} huge", mib(range.huge)) } else { String::new() };
    let label = cut(&range.label, LABEL.saturating_sub(huge.len())) + &huge;
    numbers(canvas, height, range.start, range.size, range.rss, &label);
    let (start, end) = (range.start, range.start + range.size);
    let tip = format!("{}: {start:x} to {end:x}, {} resident{huge}", range.label, mib(range.rss));
    canvas.rect((BAR, canvas.y, BAR_WIDTH, height), "bm-empty", &tip);
    let name = class(range.group);
    match &range.cells {
        Some(cells) => {
            let width = BAR_WIDTH / cells.len().max(1) as f64;
            let mut shades: [Vec<(f64, f64, f64, f64)>; 4] = Default::default();
            let mut at = BAR;
            for run in cells.chunk_by(|a, b| shade(*a) == shade(*b)) {
                let wide = width * run.len() as f64;
                if let Some(shade) = shade(run[0]) {
                    shades[shade].push((at, canvas.y, wide, height));
                }
                at += wide;
            }
            for (shade, rects) in shades.iter().enumerate() {
                let names = if shade < 3 { format!("{name} bm-s{}", shade + 1) } else { name.to_owned() };
                canvas.rects(rects, &names);
            }
        }
        // Of a file only the sum is known: a thinner bar.
        None => {
            let wide = BAR_WIDTH * range.rss.min(range.size) as f64 / range.size.max(1) as f64;
            canvas.rect((BAR, canvas.y + height * 0.25, wide, height * 0.5), name, "");
        }
    }
    huge_marks(canvas, range, height);
    canvas.y += height + PADDING;
}

/// A line below the parts that have huge pages.
fn huge_marks(canvas: &mut Canvas, range: &Range, height: f64) {
    let width = BAR_WIDTH / range.huge_cells.len().max(1) as f64;
    let mut rects = Vec::new();
    let mut at = BAR;
    for run in range.huge_cells.chunk_by(|a, b| a == b) {
        let wide = width * run.len() as f64;
        if run[0] {
            rects.push((at, canvas.y + height - 4.0, wide, 3.0));
        }
        at += wide;
    }
    canvas.rects(&rects, "bm-huge");
}

fn shade(percent: u64) -> Option<usize> {
    match percent {
        0 => None,
        1..34 => Some(0),
        34..67 => Some(1),
        67..100 => Some(2),
        _ => Some(3),
    }
}

fn gap(canvas: &mut Canvas, bytes: u64) {
    let height = 10.0 + 1.5 * f64::from(gap_length(bytes));
    canvas.dots(BAR + BAR_WIDTH / 2.0, canvas.y + 4.0, height - 8.0);
    let y = canvas.y + height / 2.0 + 4.5;
    canvas.text(SIZE, y, "bm-num bm-muted", "end", &space(bytes));
    canvas.text(WORDS, y, "bm-muted", "start", "gap");
    canvas.y += height + PADDING;
}

/// The colours and marks that occur.
fn legend(canvas: &mut Canvas, picture: &Picture) {
    canvas.y += 22.0;
    let mut groups: Vec<Group> = picture.ranges().map(|range| range.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut entries: Vec<(String, &str)> =
        groups.iter().map(|group| (class(*group).to_owned(), group.label())).collect();
    let has_heap = picture.ranges().any(|range| range.cells.is_some());
    if has_heap {
        let shades = ["up to 1/3 resident", "up to 2/3", "more", "all"];
        let name = groups.first().map_or("bm-break", |group| class(*group));
        for (shade, label) in shades.iter().enumerate() {
            let names = if shade < 3 { format!("{name} bm-s{}", shade + 1) } else { name.to_owned() };
            entries.push((names, label));
        }
    }
    if picture.ranges().any(|range| range.huge > 0) {
        entries.push(("bm-huge".to_owned(), "on huge pages"));
    }
    swatches(canvas, &entries);
    let words = "Rows are as tall as the logarithm of their range's size; dotted: nothing is mapped, by the logarithm too. \
                 Dashed: small ranges together. Thin: files.";
    canvas.text(LEFT, canvas.y, "bm-muted", "start", words);
    canvas.y += 10.0;
}

/// Squares of a colour with their meaning, as many in a row as fit.
pub(super) fn swatches(canvas: &mut Canvas, entries: &[(String, &str)]) {
    let mut x = LEFT;
    for (names, label) in entries {
        let width = 34.0 + 7.2 * label.chars().count() as f64;
        if x + width > WIDTH - LEFT {
            x = LEFT;
            canvas.y += 22.0;
        }
        let is_mark = names == "bm-huge";
        let (top, height) = if is_mark { (canvas.y - 5.0, 3.0) } else { (canvas.y - 11.0, 13.0) };
        canvas.rect((x, top, 13.0, height), names, "");
        canvas.text(x + 19.0, canvas.y, "", "start", label);
        x += width;
    }
    canvas.y += 24.0;
}

/// What the picture shows, in a sentence for those who do not see it.
fn description(picture: &Picture) -> String {
    let mut ranges: Vec<&Range> = picture.ranges().collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.rss));
    let one = |range: &&Range| format!("{} at {:x}, {} resident", range.label, range.start, mib(range.rss));
    let largest: Vec<String> = ranges.iter().take(5).map(one).collect();
    let heat = picture.heat.as_ref().map_or(String::new(), |heat| {
        format!(" In its heaps {} of {} resident are live.", mib(heat.sum.live), mib(heat.sum.resident))
    });
    format!(
        "{} resident of {} of address space, in order of addresses. The largest ranges: {}.{heat}",
        mib(picture.rss),
        space(picture.size),
        largest.join("; ")
    )
}
