//! The address space as JSON: every range, nothing summed up.

use super::CELLS;
use crate::heap::occupancy::Holder;
use crate::look::Look;
use crate::model::heat::{Cell, Heat, Level, Part, Share};
use crate::model::spans::Span;
use crate::proc::residency::OS_PAGE;
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// The document.
pub(crate) fn document(pid: i32, look: &Look, spans: &[Span], heat: Option<&Heat>) -> Value {
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
        "occupancy": heat.map(occupancy),
    })
}

/// The heat map.
pub(crate) fn occupancy(heat: &Heat) -> Value {
    let cells = |of: fn(&Cell) -> u64, part: &Part| part.cells.iter().map(of).collect::<Vec<_>>();
    let part = |part: &Part| {
        json!({
            "start": format!("{:#x}", part.start),
            "end": format!("{:#x}", part.end),
            "label": part.label,
            "resident_bytes": part.sum.resident,
            "live_bytes": part.sum.live,
            "own_table_bytes": part.sum.own,
            "cell_resident_bytes": cells(|cell| cell.resident, part),
            "cell_live_bytes": cells(|cell| cell.live, part),
        })
    };
    let share = |(level, share): (&Level, &Share)| json!({ "level": level.key(), "os_pages": share.os_pages, "live_bytes": share.live });
    let holder = |holder: &Holder| {
        json!({
            "block_bytes_from": holder.from,
            "block_bytes_to": holder.to,
            "live_blocks": holder.live_blocks,
            "os_pages": holder.os_pages,
            "os_pages_alone": holder.alone,
            "would_return_bytes": holder.would_return(),
        })
    };
    json!({
        "os_page_bytes": OS_PAGE,
        "cell_bytes": heat.cell,
        "resident_bytes": heat.sum.resident,
        "live_bytes": heat.sum.live,
        "own_table_bytes": heat.sum.own,
        "sparse_bytes": heat.sparse(),
        "cut": heat.is_cut,
        "ranges": heat.parts.iter().map(part).collect::<Vec<_>>(),
        "smaller_ranges": heat.others,
        "levels": Level::RESIDENT.iter().zip(&heat.shares).map(share).collect::<Vec<_>>(),
        "pinned_by": heat.holders.iter().map(holder).collect::<Vec<_>>(),
    })
}
