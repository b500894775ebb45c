//! The address space as a strip of lines, low to high, with gaps drawn by the logarithm of their size; or as JSON.

mod heat;
mod json;

use super::style::{Ink, Style};
use crate::model::picture::{Grain, Group, Item, Picture, Range};
use crate::model::verdict::mib;
pub(crate) use heat::{short, sizes, smaller};
pub(crate) use json::document;

/// Cells of a range's picture.
const CELLS: u64 = 24;

/// The grain of the strip: its heat map has `rows` lines of [`heat::CELLS`] cells.
pub(crate) fn grain(all: bool, rows: u64) -> Grain {
    Grain { cells: CELLS, heat: rows * heat::CELLS as u64, all }
}

/// A size of address space, which may be huge.
pub(crate) fn space(bytes: u64) -> String {
    match bytes {
        0..1073741824 => mib(bytes),
        1073741824..1099511627776 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        _ => format!("{:.1} TiB", bytes as f64 / (1u64 << 40) as f64),
    }
}

/// Cells that a gap is drawn with: more for a larger one, by its logarithm.
pub(crate) fn gap_length(bytes: u64) -> u32 {
    bytes.max(1 << 19).ilog2() - 18
}

/// Writes the strip.
pub(crate) fn text(picture: &Picture, style: Style) -> String {
    let (rss, size) = (mib(picture.rss), space(picture.size));
    let name = picture.name.escape_debug();
    let title = format!("{name} (pid {}): {rss} resident of {size} of address space", picture.pid);
    let mut lines = vec![style.paint(Ink::Bold, &title)];
    lines.push(format!("  {:<14}{:>12}{:>12}  {:<w$}  what", "from", "size", "resident", "where", w = CELLS as usize));
    for item in &picture.items {
        lines.push(match item {
            Item::Gap(bytes) => gap(*bytes, style),
            Item::Range(range) => line(range, style),
            Item::Few { start, size, rss, label } => {
                let blank = " ".repeat(CELLS as usize);
                format!("  {start:<14x}{:>12}{:>12}  {blank}  {}", space(*size), mib(*rss), shown(label, 0, style))
            }
        });
    }
    lines.push(format!("  {:<14}{size:>12}{rss:>12}", "sum"));
    let shades = if style.ascii { "# all, + most, : half, . some" } else { "█ all  ▓ most  ▒ half  ░ some" };
    lines.push(format!("  resident in each part of a range: {shades}; files: by their sum alone"));
    if let Some(heat) = &picture.heat {
        lines.push(String::new());
        lines.extend(heat::lines(heat, style));
    }
    lines.join("\n") + "\n"
}

fn gap(bytes: u64, style: Style) -> String {
    let sign = if style.ascii { "." } else { "·" };
    let length = gap_length(bytes).min(CELLS as u32) as usize;
    format!("  {:<14}{:>12}{:>12}  {}", "", space(bytes), "", sign.repeat(length))
}

/// A label fit for the terminal.
fn shown(label: &str, huge: u64, style: Style) -> String {
    let huge = if huge > 0 { format!(", {} on huge pages", mib(huge)) } else { String::new() };
    let label = label.escape_debug().to_string().replace("\\'", "'") + &huge;
    super::cut(&label, style.width.saturating_sub(68).max(12))
}

fn line(range: &Range, style: Style) -> String {
    let shades = if style.ascii { [' ', '.', ':', '+', '#'] } else { [' ', '░', '▒', '▓', '█'] };
    let shade = |percent: &u64| match percent {
        0 => shades[0],
        1..34 => shades[1],
        34..67 => shades[2],
        67..100 => shades[3],
        _ => shades[4],
    };
    let picture: String = match &range.cells {
        Some(cells) => cells.iter().map(shade).collect(),
        // Of a file only the sum is known: a bar.
        None => {
            let filled = (CELLS * range.rss).div_ceil(range.size.max(1)).min(CELLS) as usize;
            let sign = if style.ascii { "-" } else { "─" };
            format!("{}{}", sign.repeat(filled), " ".repeat(CELLS as usize - filled))
        }
    };
    let ink = match range.group {
        Group::BreakHeap | Group::Arena | Group::MappedBlocks | Group::Brkmap => Some(Ink::Used),
        Group::Runtime | Group::Anonymous => Some(Ink::Kept),
        _ => None,
    };
    let picture = ink.map_or(picture.clone(), |ink| style.paint(ink, &picture));
    let label = shown(&range.label, range.huge, style);
    format!("  {:<14x}{:>12}{:>12}  {picture}  {label}", range.start, space(range.size), mib(range.rss))
        .trim_end()
        .to_owned()
}
