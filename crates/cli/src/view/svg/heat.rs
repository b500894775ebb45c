//! The heat map: a square for each cell of address space, coloured by how much of what is resident there is live; then the
//! sizes of block that keep sparse OS pages.

use super::draw::Canvas;
use super::space::{LEFT, WIDTH, swatches};
use crate::model::heat::{Heat, Level, Part};
use crate::model::verdict::mib;
use crate::view::cut;
use crate::view::maps::{short, sizes, smaller};

/// Where cells begin, how many a row has, and how large they are.
const CELLS: f64 = 140.0;
const PER_ROW: usize = 96;
const CELL: f64 = 9.0;
/// Sizes of block that are listed.
const HOLDERS: usize = 8;

/// Draws map, legend and table below what is there.
pub(super) fn draw(canvas: &mut Canvas, heat: &Heat) {
    canvas.y += 34.0;
    canvas.text(LEFT, canvas.y, "bm-head", "start", "Live bytes on each OS page of malloc's heaps");
    canvas.y += 24.0;
    let (live, resident) = (heat.sum.live, heat.sum.resident);
    let line = format!(
        "{} live of {} resident ({} %), {} on OS pages with live bytes and free ones; one square is {} of address space",
        mib(live),
        mib(resident),
        live * 100 / resident.max(1),
        mib(heat.sparse()),
        short(heat.cell)
    );
    canvas.text(LEFT, canvas.y, "bm-muted", "start", &line);
    canvas.y += 26.0;
    for one in &heat.parts {
        part(canvas, one, heat.cell);
    }
    if heat.others > 0 {
        canvas.text(LEFT, canvas.y, "bm-muted", "start", &smaller(heat.others));
        canvas.y += 22.0;
    }
    canvas.y += 6.0;
    let mut entries: Vec<(String, &str)> =
        Level::RESIDENT.iter().rev().map(|level| (format!("bm-h{}", *level as usize), level.label())).collect();
    entries.push(("bm-empty".to_owned(), Level::Absent.label()));
    swatches(canvas, &entries);
    holders(canvas, heat);
}

fn part(canvas: &mut Canvas, part: &Part, cell: u64) {
    let line = format!("{}: {} live of {} resident", cut(&part.label, 40), mib(part.sum.live), mib(part.sum.resident));
    canvas.text(LEFT, canvas.y, "bm-part", "start", &line);
    canvas.y += 8.0;
    let mut levels: [Vec<(f64, f64, f64, f64)>; 7] = Default::default();
    let mut is_hole = false;
    for (row, cells) in part.cells.chunks(PER_ROW).enumerate() {
        if cells.iter().all(|cell| cell.level() == Level::Absent) {
            if !is_hole {
                canvas.dots(CELLS + 4.0, canvas.y + 2.0, CELL);
                canvas.y += CELL + 4.0;
            }
            is_hole = true;
            continue;
        }
        is_hole = false;
        let start = part.start + (row * PER_ROW) as u64 * cell;
        // Every other row: the font is taller than a row.
        if row % 2 == 0 {
            canvas.text(LEFT, canvas.y + CELL, "bm-num bm-muted", "start", &format!("{start:x}"));
        }
        let mut x = CELLS;
        for run in cells.chunk_by(|a, b| a.level() == b.level()) {
            let wide = CELL * run.len() as f64;
            levels[run[0].level() as usize].push((x, canvas.y + 1.0, wide, CELL - 1.0));
            x += wide;
        }
        canvas.y += CELL + 2.0;
    }
    canvas.rects(&levels[0], "bm-empty");
    for (level, rects) in levels.iter().enumerate().skip(1) {
        canvas.rects(rects, &format!("bm-h{level}"));
    }
    canvas.y += 22.0;
}

fn holders(canvas: &mut Canvas, heat: &Heat) {
    canvas.y += 12.0;
    if heat.holders.is_empty() {
        canvas.text(LEFT, canvas.y, "bm-muted", "start", "No OS page holds live bytes and free ones.");
        return;
    }
    const COLUMNS: [(f64, &str); 5] = [
        (LEFT + 130.0, "block size"),
        (LEFT + 240.0, "OS pages"),
        (LEFT + 350.0, "held alone"),
        (LEFT + 460.0, "live blocks"),
        (LEFT + 600.0, "would come back"),
    ];
    canvas.text(LEFT, canvas.y, "bm-part", "start", "Which sizes of block keep OS pages that are not full");
    canvas.y += 22.0;
    for (x, text) in COLUMNS {
        canvas.text(x, canvas.y, "bm-muted", "end", text);
    }
    canvas.y += 6.0;
    let most = heat.holders.iter().map(|holder| holder.would_return()).max().unwrap_or(0).max(1);
    for holder in heat.holders.iter().take(HOLDERS) {
        canvas.y += 14.0;
        let back = holder.would_return();
        let texts = [
            sizes(holder),
            holder.os_pages.to_string(),
            holder.alone.to_string(),
            holder.live_blocks.to_string(),
            mib(back),
        ];
        for ((x, _), text) in COLUMNS.iter().zip(&texts) {
            canvas.text(*x, canvas.y, "bm-num", "end", text);
        }
        let room = WIDTH - LEFT - (LEFT + 620.0);
        canvas.rect((LEFT + 620.0, canvas.y - 10.0, room * back as f64 / most as f64, 11.0), "bm-h3", "");
        canvas.y += 4.0;
    }
    canvas.y += 20.0;
    let words =
        "Held alone: no other size has a live block there. These OS pages would come back if the blocks were gone.";
    canvas.text(LEFT, canvas.y, "bm-muted", "start", words);
}
