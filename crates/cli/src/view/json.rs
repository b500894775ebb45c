//! The report as one JSON document. Sizes are integers in bytes, times in microseconds, names are snake_case.

use super::Report;
use crate::model::depth::Deep;
use crate::model::in_force::Wanted;
use crate::model::policy::{Returned, ThresholdMove, When, face_key};
use crate::model::process::{Engine, Outcome, Process};
use crate::model::snapshot::Moment;
use crate::model::timeline;
use crate::model::verdict::Judgement;
use crate::model::waterfall::{Kind, Waterfall};
use crate::trace::Following;
use brkmap_wire::Counter;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u64 = 1;

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn outcome(outcome: Option<Outcome>) -> Value {
    match outcome {
        Some(Outcome::Code(code)) => json!({ "code": code }),
        Some(Outcome::Signal(signal)) => json!({ "signal": signal, "name": super::signal_name(signal) }),
        None => Value::Null,
    }
}

fn moment(moment: Moment) -> Value {
    match moment {
        Moment::AtExit => json!({ "at": "exit" }),
        Moment::Before(age) => json!({ "at": "sample", "age_us": micros(age) }),
        Moment::StillRunning => json!({ "at": "still_running" }),
    }
}

fn waterfall(waterfall: &Waterfall) -> Value {
    // Rows of malloc that nobody could know are absent, not zero.
    let known = |kind: &Kind| waterfall.ours || !kind.is_malloc() || waterfall.get(*kind) > 0;
    let rows: Vec<Value> = Kind::ALL
        .into_iter()
        .filter(known)
        .map(|kind| json!({ "key": kind.key(), "bytes": waterfall.get(kind), "estimate": kind == Kind::Rounding }))
        .collect();
    json!({ "rss_bytes": waterfall.rss(), "malloc_seen": waterfall.ours, "rows": rows })
}

fn engine(engine: &Engine) -> Value {
    let get = |counter| engine.get(counter);
    let pair = |count, bytes| json!({ "calls": get(count), "bytes": get(bytes) });
    json!({
        "break": {
            "up": pair(Counter::BreakGrow, Counter::BreakGrowBytes),
            "down": pair(Counter::BreakShrink, Counter::BreakShrinkBytes),
            "refused": get(Counter::BreakRefused),
        },
        "mappings": {
            "regions": pair(Counter::MapRegion, Counter::MapRegionBytes),
            "direct": pair(Counter::MapDirect, Counter::MapDirectBytes),
            "metadata": pair(Counter::MapMetadata, Counter::MapMetadataBytes),
            "refused": get(Counter::MapRefused),
        },
        "unmappings": pair(Counter::Unmap, Counter::UnmapBytes),
        "remaps": pair(Counter::Remap, Counter::RemapBytes),
        "give_backs": pair(Counter::Purge, Counter::PurgeBytes),
        "give_backs_refused": get(Counter::PurgeRefused),
        "direct_live": pair(Counter::DirectLive, Counter::DirectLiveBytes),
        "direct_peak": pair(Counter::DirectPeak, Counter::DirectPeakBytes),
        "live_blocks": engine.live_blocks,
        "heaps": { "active": engine.heaps.0, "idle": engine.heaps.1 },
        "mmap_threshold_bytes": engine.mmap_threshold,
        "out_of_memory": get(Counter::OutOfMemory),
    })
}

fn threshold_move(moved: &ThresholdMove) -> Value {
    let after = match moved.when {
        When::After(ms) => Some(ms * 1000),
        When::Inherited | When::Unknown => None,
    };
    json!({
        "number": moved.made.number,
        "freed_bytes": moved.made.freed,
        "from_bytes": moved.made.from,
        "to_bytes": moved.made.to,
        "after_us": after,
        "before_fork": moved.when == When::Inherited,
        "address": format!("{:#x}", moved.made.address),
        "thread": moved.made.thread,
    })
}

/// The policy at work. What the library does not tell is null, not zero.
fn policy(process: &Process) -> Value {
    if process.engine.is_none() {
        return Value::Null;
    }
    let thresholds = process.policy.thresholds.iter().map(|threshold| {
        json!({
            "engine": face_key(threshold.face),
            "bytes": threshold.bytes,
            "moves": threshold.moved,
            "kept": threshold.kept.iter().map(threshold_move).collect::<Vec<_>>(),
        })
    });
    let returned = process.policy.returned.as_ref().map(|rules| {
        let rule = |rule: &Returned| json!({ "rule": rule.key, "calls": rule.calls, "bytes": rule.bytes });
        rules.iter().map(rule).collect::<Vec<_>>()
    });
    let pins = process.policy.pins.iter().map(|pin| {
        json!({
            "block_bytes": pin.block_bytes,
            "live_blocks": pin.live_blocks,
            "os_pages": pin.os_pages,
            "free_bytes": pin.free_bytes,
        })
    });
    json!({
        "mmap_thresholds": thresholds.collect::<Vec<_>>(),
        "given_back": returned,
        "pinned": pins.collect::<Vec<_>>(),
    })
}

fn timeline_moment(moment: &timeline::Moment) -> Value {
    json!({
        "at_ms": moment.at_ms,
        "rss_bytes": moment.rss,
        "mapped_bytes": moment.mapped,
        "live_bytes": moment.live,
    })
}

/// A full look: the document of `brkmap inspect`, when it was taken, and how much of the peak it saw.
fn look(process: &Process, deep: &Deep) -> Value {
    let mut value = super::inspect::json::document(&deep.inspection);
    value["after_us"] = json!(micros(deep.after));
    value["of_peak"] = json!(deep.rss() as f64 / process.peak_rss.max(1) as f64);
    value
}

fn process(process: &Process, ticks: u64) -> Value {
    let time = |count: u64| count * 1_000_000 / ticks;
    let earlier: Vec<Value> = process
        .earlier
        .iter()
        .map(|e| json!({ "name": e.name, "peak_rss_bytes": e.peak_rss, "age_us": micros(e.age) }))
        .collect();
    let named = process.named.iter().map(|memory| {
        json!({ "name": memory.name, "ranges": memory.ranges, "bytes": memory.bytes, "resident_bytes": memory.resident })
    });
    json!({
        "pid": process.pid,
        "parent": process.ppid,
        "command": process.command,
        "exe": process.exe,
        "seen": moment(process.moment),
        "ended": outcome(process.outcome),
        "malloc": {
            "in_force": process.in_force.malloc,
            "as_wanted": process.in_force.reason.is_none(),
            "never_called": process.in_force.never_called,
            "reason": process.in_force.reason.map(|reason| reason.key()),
            "read_error": process.heap_error,
        },
        "lost_privilege": process.lost_privilege,
        "peak_rss_bytes": process.peak_rss,
        "rss_bytes": process.waterfall.rss(),
        "rss_by_status_bytes": process.status_rss,
        "swap_bytes": process.swap,
        "waterfall": waterfall(&process.waterfall),
        "named": named.collect::<Vec<_>>(),
        "asked_of_kernel": process.engine.as_ref().map(engine),
        "policy": policy(process),
        "faults": { "minor": process.stat.minor_faults, "major": process.stat.major_faults },
        "time": { "user_us": time(process.stat.user_ticks), "system_us": time(process.stat.system_ticks) },
        "before_exec": earlier,
        "timeline": process.depth.timeline.moments().iter().map(timeline_moment).collect::<Vec<_>>(),
        "looks": {
            "peak": process.depth.highest().map(|deep| look(process, deep)),
            "end": process.depth.end.as_deref().map(|deep| look(process, deep)),
        },
    })
}

/// The document. `ticks` is the number of clock ticks per second.
pub(crate) fn document(report: &Report, ticks: u64) -> Value {
    let verdict = report.main.as_ref().map(|main| {
        let verdict = Judgement::of(main);
        json!({ "class": verdict.key(), "text": verdict.text() })
    });
    let (followed, why) = match &report.following {
        Following::All => (true, None),
        Following::Sampled(why) => (false, Some(why)),
    };
    let wanted = match &report.wanted {
        Wanted::Brkmap => "brkmap",
        Wanted::System => "system",
        Wanted::Library(name) => name,
    };
    let processes: Vec<Value> = report.main.iter().chain(&report.others).map(|p| process(p, ticks)).collect();
    let mut document = Map::new();
    let mut put = |key: &str, value| document.insert(key.to_owned(), value);
    put("schema_version", json!(SCHEMA_VERSION));
    put("brkmap_version", json!(env!("CARGO_PKG_VERSION")));
    put("command", json!(report.command));
    put("alloc", json!(wanted));
    put("ended", outcome(Some(report.outcome)));
    put("exit_status", json!(report.outcome.status()));
    put("verdict", json!(verdict));
    put("wall_us", json!(micros(report.wall)));
    put(
        "with_children",
        json!({
            "user_us": micros(report.usage.user),
            "system_us": micros(report.usage.system),
            "minor_faults": report.usage.minor_faults,
            "major_faults": report.usage.major_faults,
        }),
    );
    put("children_followed", json!(followed));
    put("not_followed_because", json!(why));
    put("main_process_seen", json!(report.main.is_some()));
    put("main_process_unseen_because", json!(report.main.is_none().then_some(super::UNSEEN)));
    put("processes_not_kept", json!(report.not_kept));
    put("processes", Value::Array(processes));
    if let Some(calls) = &report.calls {
        put("system_calls", super::syscalls::json::document(calls));
    }
    Value::Object(document)
}
