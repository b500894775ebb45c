//! The heat map in text: cells, how many OS pages are how full, and which sizes of block keep the sparse ones.

use crate::heap::occupancy::Holder;
use crate::model::heat::{Heat, Level, Part};
use crate::model::verdict::mib;
use crate::proc::residency::OS_PAGE;
use crate::view::cut;
use crate::view::style::{Ink, Style};

/// Cells of a line.
pub(crate) const CELLS: usize = 64;
/// Sizes of block that are listed.
const HOLDERS: usize = 10;
/// Columns of a bar.
const BAR: usize = 30;

fn sign(level: Level, style: Style) -> char {
    let signs =
        if style.ascii { [' ', 't', '-', '.', ':', '+', '#'] } else { [' ', 't', '·', '░', '▒', '▓', '█'] };
    signs[level as usize]
}

fn ink(level: Level) -> Option<Ink> {
    match level {
        Level::Free => Some(Ink::Alert),
        Level::Some | Level::Half => Some(Ink::Kept),
        Level::Most | Level::All => Some(Ink::Used),
        Level::Absent | Level::Own => None,
    }
}

/// A size in the unit that fits it; cells are powers of two.
pub(crate) fn short(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1048576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// What is said of ranges that are not drawn.
pub(crate) fn smaller(count: u64) -> String {
    if count == 1 { "and one smaller range".to_owned() } else { format!("and {count} smaller ranges") }
}

/// Writes the map, the shares and the table.
pub(crate) fn lines(heat: &Heat, style: Style) -> Vec<String> {
    let (live, resident) = (heat.sum.live, heat.sum.resident);
    let percent = live * 100 / resident.max(1);
    let title = format!("occupancy: {} live of {} resident in heaps ({percent} %)", mib(live), mib(resident));
    let mut lines = vec![style.paint(Ink::Bold, &title)];
    for part in &heat.parts {
        lines.push(format!(
            "  {:x}  {} live of {} resident: {}",
            part.start,
            mib(part.sum.live),
            mib(part.sum.resident),
            cut(&part.label, 30)
        ));
        lines.extend(rows(part, heat.cell, style));
    }
    if heat.others > 0 {
        lines.push(format!("  {}", smaller(heat.others)));
    }
    if heat.is_cut {
        lines.push(style.paint(Ink::Alert, "  the heap is larger than the record: what lies beyond counts as free"));
    }
    let legend = |level: &Level| format!("{} {}", sign(*level, style), level.label());
    let legend: Vec<String> = Level::RESIDENT.iter().rev().map(legend).collect();
    lines.push(format!("  one sign is {}: {}", short(heat.cell), legend.join(", ")));
    lines.push(String::new());
    lines.extend(shares(heat, style));
    lines.push(String::new());
    lines.extend(holders(heat, style));
    lines
}

/// Lines of cells; those without anything are left out.
fn rows(part: &Part, cell: u64, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_hole = false;
    for (index, cells) in part.cells.chunks(CELLS).enumerate() {
        if cells.iter().all(|cell| cell.level() == Level::Absent) {
            if !is_hole {
                lines.push(format!("  {:<14}{}", "", if style.ascii { "..." } else { "…" }));
            }
            is_hole = true;
            continue;
        }
        is_hole = false;
        let mut picture = String::new();
        for run in cells.chunk_by(|a, b| a.level() == b.level()) {
            let level = run[0].level();
            let text = sign(level, style).to_string().repeat(run.len());
            picture += &ink(level).map_or(text.clone(), |ink| style.paint(ink, &text));
        }
        let start = part.start + (index * CELLS) as u64 * cell;
        lines.push(format!("  {start:<14x}{picture}").trim_end().to_owned());
    }
    lines
}

/// How many OS pages are how full.
fn shares(heat: &Heat, style: Style) -> Vec<String> {
    let most = heat.shares.iter().map(|share| share.os_pages).max().unwrap_or(0);
    let mut lines = vec![format!("  {:<18}{:>10}{:>13}{:>13}", "OS pages", "number", "resident", "live")];
    for (level, share) in Level::RESIDENT.iter().zip(&heat.shares).rev().filter(|(_, share)| share.os_pages > 0) {
        let bar = style.bar(share.os_pages, most, BAR.min(style.width.saturating_sub(58)));
        let bar = ink(*level).map_or(bar.clone(), |ink| style.paint(ink, &bar));
        let (resident, live) = (mib(share.os_pages * OS_PAGE), mib(share.live));
        let line = format!("  {:<18}{:>10}{resident:>13}{live:>13}  {bar}", level.label(), share.os_pages);
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Sizes of a holder, as words.
pub(crate) fn sizes(holder: &Holder) -> String {
    match holder.from == holder.to {
        true => format!("{} B", holder.from),
        false => format!("{} to {}", short(holder.from), short(holder.to.saturating_add(1))),
    }
}

/// Which sizes of block keep OS pages that are not full.
fn holders(heat: &Heat, style: Style) -> Vec<String> {
    if heat.holders.is_empty() {
        return vec!["  no OS page holds live bytes and free ones".to_owned()];
    }
    let head = format!(
        "  {:<18}{:>10}{:>13}{:>13}{:>16}",
        "pinned by size", "OS pages", "held alone", "live blocks", "would come back"
    );
    let mut lines = vec![style.paint(Ink::Bold, &head)];
    for holder in heat.holders.iter().take(HOLDERS) {
        lines.push(format!(
            "  {:<18}{:>10}{:>13}{:>13}{:>16}",
            sizes(holder),
            holder.os_pages,
            holder.alone,
            holder.live_blocks,
            mib(holder.would_return())
        ));
    }
    if heat.holders.len() > HOLDERS {
        lines.push(format!("  and {} more sizes", heat.holders.len() - HOLDERS));
    }
    lines.push(
        "  OS pages with live bytes and free ones; what would come back if the blocks of one size were gone".to_owned(),
    );
    lines
}
