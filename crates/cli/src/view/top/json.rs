//! The list as one JSON document. Sizes are integers in bytes, names are snake_case.

use super::{Head, Sums};
use crate::model::top::board::{Board, Entry, Trouble};
use crate::model::top::order::Order;
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away; new fields do not change it.
const SCHEMA_VERSION: u64 = 1;

fn process(entry: &Entry) -> Value {
    let summary = entry.summary.as_ref();
    let state = match (&entry.trouble, entry.gone) {
        (_, Some(_)) if entry.state == 'Z' => "zombie",
        (_, Some(_)) => "gone",
        (Some(Trouble::Denied(_)), None) => "denied",
        (Some(Trouble::Unreadable(_)), None) => "unreadable",
        (None, None) if summary.is_none() => "not_looked_at",
        (None, None) => "looked_at",
    };
    let why = entry.trouble.as_ref().map(|trouble| match trouble {
        Trouble::Denied(why) | Trouble::Unreadable(why) => why,
    });
    json!({
        "pid": entry.id.pid,
        "parent_pid": entry.ppid,
        "name": entry.name,
        "command": entry.command,
        "state": state,
        "why": why,
        "rss_bytes": entry.rss,
        "rss_growth_bytes_per_minute": entry.growth().map(f64::round),
        "live_bytes": summary.and_then(|summary| summary.live),
        "live_growth_bytes_per_minute": summary.and_then(|summary| summary.live_growth).map(f64::round),
        "returnable_bytes": summary.and_then(|summary| summary.returnable),
        "pinned_bytes": summary.and_then(|summary| summary.pinned),
        "malloc": summary.map(|summary| &summary.malloc),
        "verdict": summary.map(|summary| json!({
            "class": summary.class.key(),
            "text": summary.text,
            "confidence": summary.confidence,
        })),
    })
}

/// The document.
pub(crate) fn document(board: &Board, order: &Order, head: &Head) -> Value {
    let sums = Sums::of(board, |_| true);
    let rows = order.rows(board);
    json!({
        "schema_version": SCHEMA_VERSION,
        "brkmap_version": env!("CARGO_PKG_VERSION"),
        "sums": {
            "processes": sums.processes,
            "looked_at": sums.looked_at,
            "troubled": sums.troubled,
            "gone": sums.gone,
            "rss_bytes": sums.rss,
            "live_bytes": sums.live,
            "returnable_bytes": sums.returnable,
            "pinned_bytes": sums.pinned,
        },
        "cgroup": head.group.as_ref().map(|group| json!({
            "folder": group.folder,
            "used_bytes": group.used,
            "limit_bytes": group.limit.as_ref().map(|limit| limit.limit),
            "limit_folder": group.limit.as_ref().map(|limit| &limit.folder),
            "head_room_bytes": group.limit.as_ref().map(|limit| limit.head_room()),
        })),
        "processes": rows.iter().filter_map(|row| board.get(row.id)).map(process).collect::<Vec<_>>(),
    })
}
