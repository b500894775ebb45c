//! The report as one JSON document. Sizes are integers in bytes, names are snake_case.

use super::Inspection;
use crate::heap::glibc::{Arena, Figures, Glibc};
use crate::model::advice::Mark;
use crate::model::xray::Row;
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u64 = 1;

fn figures(figures: &Figures) -> Value {
    json!({
        "live_bytes": figures.live,
        "header_bytes": figures.headers,
        "cached_bytes": figures.caches,
        "pinned_bytes": figures.pinned,
        "returnable_bytes": figures.returnable,
        "arena_top_bytes": figures.kept_top,
        "metadata_bytes": figures.metadata,
        "unclear_bytes": figures.unclear,
        "floor_bytes": figures.floor,
        "held_by_top_bytes": figures.under_top,
        "holding_top_bytes": figures.holding_top,
        "live_blocks": figures.live_blocks,
        "cached_blocks": figures.cached_blocks,
        "gaps": figures.free_chunks,
        "largest_gap_bytes": figures.largest_free,
    })
}

fn arena(arena: &Arena) -> Value {
    let mut value = figures(&arena.figures);
    value["address"] = json!(format!("{:#x}", arena.address));
    value["main"] = json!(arena.is_main);
    value["system_bytes"] = json!(arena.system);
    value["heaps"] = json!(arena.heaps);
    value
}

fn glibc(glibc: &Glibc) -> Value {
    let parameters = glibc.parameters.map(|parameters| {
        json!({
            "mmap_threshold_bytes": parameters.mmap_threshold,
            "trim_threshold_bytes": parameters.trim_threshold,
            "top_pad_bytes": parameters.top_pad,
            "arena_max": parameters.arena_max,
            "huge_page_bytes": parameters.huge_page,
            "thresholds_move": parameters.is_dynamic,
            "mapped_blocks": parameters.mapped_blocks,
            "mapped_bytes": parameters.mapped_bytes,
        })
    });
    json!({
        "version": glibc.version.map(|minor| format!("2.{minor}")),
        "layout": glibc.layout.map(|(first, last)| format!("2.{first}-2.{last}")),
        "parameters": parameters,
        "arenas": glibc.arenas.iter().map(arena).collect::<Vec<_>>(),
        "total": figures(&glibc.total()),
        "mapped": {
            "blocks": glibc.mapped.blocks,
            "bytes": glibc.mapped.bytes,
            "resident_bytes": glibc.mapped.resident,
        },
        "thread_caches": glibc.caches,
        "torn": glibc.torn,
        "problem": glibc.problem,
    })
}

fn growth(inspection: &Inspection) -> Value {
    inspection.growth.as_ref().map_or(Value::Null, |growth| {
        json!({
            "looks": growth.looks,
            "seconds": growth.seconds,
            "live_bytes": growth.live,
            "rss_bytes": growth.rss,
            "rising_steps": growth.rising,
            "most_row": growth.most.0.key(),
            "most_bytes": growth.most.1,
        })
    })
}

fn verdict(inspection: &Inspection) -> Value {
    let diagnosis = &inspection.diagnosis;
    let advice = diagnosis.advice.iter().map(|advice| {
        let (gain, mark) = advice.gain.unzip();
        json!({ "text": advice.text, "gain_bytes": gain, "gain_is": mark.map(Mark::key) })
    });
    json!({
        "class": diagnosis.class.key(),
        "text": diagnosis.text,
        "confidence": diagnosis.confidence.key(),
        "evidence": diagnosis.evidence,
        "advice": advice.collect::<Vec<_>>(),
    })
}

/// The document.
pub(crate) fn document(inspection: &Inspection) -> Value {
    let look = &inspection.look;
    let snapshot = &look.snapshot;
    let xray = &inspection.xray;
    let row = |row: Row| {
        json!({
            "key": row.key(),
            "label": xray.label(row),
            "bytes": xray.get(row),
            "estimate": row == Row::Rounding,
        })
    };
    let rows: Vec<Value> =
        Row::ALL.into_iter().filter(|row| xray.get(*row) > 0 || *row == Row::Unexplained).map(row).collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "brkmap_version": env!("CARGO_PKG_VERSION"),
        "pid": inspection.pid,
        "command": snapshot.command,
        "exe": snapshot.exe,
        "threads": snapshot.status.threads,
        "malloc": inspection.malloc,
        "verdict": verdict(inspection),
        "rss_bytes": xray.rss(),
        "peak_rss_bytes": snapshot.status.peak_rss,
        "vm_rss_bytes": snapshot.status.rss,
        "vm_data_bytes": snapshot.status.data,
        "swap_bytes": snapshot.status.swap,
        "lazy_free_bytes": inspection.lazy_free(),
        "huge_bytes": inspection.huge(),
        "zeros_on_huge_bytes": look.zeros_on_huge,
        "waterfall": { "rss_bytes": xray.rss(), "malloc_seen": xray.malloc_seen, "rows": rows },
        "trim": { "returns_bytes": inspection.trim(), "is": Mark::Predicted.key(), "known": xray.malloc_seen },
        "floor_bytes": inspection.floor(),
        "growth": growth(inspection),
        "cgroup": look.limit.as_ref().map(|limit| json!({
            "folder": limit.folder,
            "limit_bytes": limit.limit,
            "used_bytes": limit.used,
            "head_room_bytes": limit.head_room(),
        })),
        "settings": look.settings,
        "runtimes": look.runtimes.iter().map(|runtime| runtime.key()).collect::<Vec<_>>(),
        "glibc": look.glibc.as_ref().map(glibc),
        "read_error": snapshot.heap_error,
        "took_us": inspection.took.as_micros() as u64,
    })
}
