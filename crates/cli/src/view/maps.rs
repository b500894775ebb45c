//! The address space as a strip of lines, low to high, with gaps drawn by the logarithm of their size; or as JSON.

use super::style::{Ink, Style};
use crate::look::Look;
use crate::model::spans::{Purpose, Span};
use crate::model::verdict::mib;
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u64 = 1;
/// Cells of a range's picture.
const CELLS: u64 = 24;
/// Gaps smaller than this are not drawn.
const GAP: u64 = 1 << 20;
/// A heap in more ranges than this is in pieces: small ones share lines.
const PIECES: usize = 8;

/// A size of address space, which may be huge.
fn space(bytes: u64) -> String {
    match bytes {
        0..1073741824 => mib(bytes),
        1073741824..1099511627776 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        _ => format!("{:.1} TiB", bytes as f64 / (1u64 << 40) as f64),
    }
}

/// Writes the strip. Ranges of less than a thousandth of RSS share a line with their neighbours, unless `all` is set.
pub(crate) fn text(pid: i32, look: &Look, spans: &[Span], all: bool, style: Style) -> String {
    let rss: u64 = spans.iter().map(|span| span.rss).sum();
    let size: u64 = spans.iter().map(Span::size).sum();
    let title =
        format!("{} (pid {pid}): {} resident of {} of address space", look.snapshot.status.name, mib(rss), space(size));
    let mut lines = vec![style.paint(Ink::Bold, &title)];
    let head = format!("  {:<14}{:>12}{:>12}  {:<w$}  what", "from", "size", "resident", "where", w = CELLS as usize);
    lines.push(head);
    // A heap in hundreds of pieces all over the address space (V8's) would hide the rest.
    let pieces = |purpose: &Purpose| spans.iter().filter(|span| span.purpose == *purpose).count();
    let is_small = |span: &Span| {
        let is_piece = span.rss < rss / 100 && pieces(&span.purpose) > PIECES;
        !all && (span.rss < rss / 1000 || span.rss == 0 || is_piece)
    };
    let mut small: Vec<&Span> = Vec::new();
    let mut end = None;
    for span in spans {
        let gap = end.map_or(0, |end| span.start.saturating_sub(end));
        end = Some(span.end);
        if gap >= GAP && !is_small(span) {
            few(&mut lines, &mut small);
            let length = (gap.ilog2() - 18) as usize;
            let sign = if style.ascii { "." } else { "·" };
            lines.push(format!(
                "  {:<14}{:>12}{:>12}  {}",
                "",
                space(gap),
                "",
                sign.repeat(length.min(CELLS as usize))
            ));
        }
        if is_small(span) {
            small.push(span);
            continue;
        }
        few(&mut lines, &mut small);
        lines.push(line(look, span, style));
    }
    few(&mut lines, &mut small);
    lines.push(format!("  {:<14}{:>12}{:>12}", "sum", space(size), mib(rss)));
    let shades = if style.ascii { "# all, + most, : half, . some" } else { "█ all  ▓ most  ▒ half  ░ some" };
    lines.push(format!("  resident in each part of a range: {shades}; files: by their sum alone"));
    lines.join("\n") + "\n"
}

/// One line for ranges that are small.
fn few(lines: &mut Vec<String>, small: &mut Vec<&Span>) {
    if let Some(first) = small.first() {
        let (size, rss) = small.iter().fold((0, 0), |sum, span| (sum.0 + span.size(), sum.1 + span.rss));
        let most = small.iter().max_by_key(|span| span.rss).unwrap_or(first);
        let what = match small.len() {
            1 => first.purpose.label(),
            count => {
                let alike = small.iter().filter(|span| span.purpose == most.purpose);
                let part: u64 = alike.map(|span| span.rss).sum();
                let is_most = part * 2 > rss && rss >= 1 << 20;
                let most = if is_most { format!(", most: {}", most.purpose.label()) } else { String::new() };
                format!("{count} small ranges{most}")
            }
        };
        let blank = " ".repeat(CELLS as usize);
        lines.push(format!("  {:<14x}{:>12}{:>12}  {blank}  {what}", first.start, space(size), mib(rss)));
    }
    small.clear();
}

fn line(look: &Look, span: &Span, style: Style) -> String {
    let shades = if style.ascii { [' ', '.', ':', '+', '#'] } else { [' ', '░', '▒', '▓', '█'] };
    let shade = |percent: &u64| match percent {
        0 => shades[0],
        1..34 => shades[1],
        34..67 => shades[2],
        67..100 => shades[3],
        _ => shades[4],
    };
    let picture: String = match span.cells(&look.residency, CELLS) {
        Some(cells) => cells.iter().map(shade).collect(),
        // Of a file only the sum is known: a bar.
        None => {
            let filled = (CELLS * span.rss).div_ceil(span.size()).min(CELLS) as usize;
            let sign = if style.ascii { "-" } else { "─" };
            format!("{}{}", sign.repeat(filled), " ".repeat(CELLS as usize - filled))
        }
    };
    let ink = match span.purpose {
        Purpose::BreakHeap | Purpose::Arena(_) | Purpose::MappedBlocks | Purpose::Brkmap => Some(Ink::Used),
        Purpose::Runtime(_) | Purpose::Anonymous => Some(Ink::Kept),
        _ => None,
    };
    let picture = ink.map_or(picture.clone(), |ink| style.paint(ink, &picture));
    let huge = if span.huge > 0 { format!(", {} on huge pages", mib(span.huge)) } else { String::new() };
    let label = super::cut(
        &(span.purpose.label().escape_debug().to_string().replace("\\'", "'") + &huge),
        style.width.saturating_sub(68).max(12),
    );
    format!("  {:<14x}{:>12}{:>12}  {picture}  {label}", span.start, space(span.size()), mib(span.rss))
        .trim_end()
        .to_owned()
}

/// The document.
pub(crate) fn document(pid: i32, look: &Look, spans: &[Span]) -> Value {
    let one = |span: &Span| {
        json!({
            "start": format!("{:#x}", span.start),
            "end": format!("{:#x}", span.end),
            "bytes": span.size(),
            "rss_bytes": span.rss,
            "huge_bytes": span.huge,
            "mappings": span.mappings,
            "purpose": span.purpose.key(),
            "label": span.purpose.label(),
            "resident_percent": span.cells(&look.residency, CELLS),
        })
    };
    json!({
        "schema_version": SCHEMA_VERSION,
        "brkmap_version": env!("CARGO_PKG_VERSION"),
        "pid": pid,
        "rss_bytes": spans.iter().map(|span| span.rss).sum::<u64>(),
        "ranges": spans.iter().map(one).collect::<Vec<_>>(),
    })
}
