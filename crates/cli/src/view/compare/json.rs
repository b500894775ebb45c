//! The comparison as one JSON document. Sizes are integers in bytes, times are seconds, names are snake_case.

use super::paste::paste;
use super::words::Words;
use super::{INTERVALS, RULE};
use crate::model::compare::calls::MemoryCall;
use crate::model::compare::judge::{Contest, Judgement};
use crate::model::compare::metric::Metric;
use crate::model::compare::result::{CellResult, Comparison, Run};
use crate::model::process::Outcome;
use crate::view::style::Style;
use serde_json::{Map, Value, json};

/// Grows when a field changes its meaning or goes away; new fields do not change it.
const SCHEMA_VERSION: u64 = 1;

fn run(run: &Run) -> Value {
    let (status, signal) = match run.outcome {
        Outcome::Code(code) => (Some(code), None),
        Outcome::Signal(signal) => (None, Some(signal)),
    };
    json!({
        "time_seconds": run.time.as_secs_f64(),
        "cpu_seconds": run.cpu.as_secs_f64(),
        "peak_rss_bytes": run.peak_rss,
        "settled_rss_bytes": run.settled_rss,
        "page_faults": run.faults,
        "exit_status": status,
        "signal": signal,
        "stdout_bytes": run.printed.bytes,
        "stdout_hash": format!("{:016x}", run.printed.hash),
        "seen_at_end": run.seen_at_end,
    })
}

fn intervals(cell: &CellResult) -> Value {
    let one = |metric: Metric| {
        cell.interval(metric).map(|interval| {
            json!({
                "median": interval.median,
                "low": interval.low,
                "high": interval.high,
                "coverage": interval.coverage,
                "runs": interval.runs,
            })
        })
    };
    Metric::ALL.into_iter().map(|metric| (metric.key().to_owned(), json!(one(metric)))).collect::<Map<_, _>>().into()
}

fn system_calls(cell: &CellResult) -> Value {
    let calls = &cell.preview.calls;
    if calls.all == 0 {
        return json!({ "refused": cell.preview.refused });
    }
    let by_name: Map<String, Value> =
        MemoryCall::ALL.into_iter().map(|call| (call.key().to_owned(), json!(calls.get(call)))).collect();
    json!({
        "all": calls.all,
        "for_memory": calls.memory(),
        "by_name": by_name,
        "complete": calls.complete,
        "refused": cell.preview.refused,
    })
}

fn cell(cell: &CellResult, words: &Words, row: Option<usize>) -> Value {
    let set: Map<String, Value> = cell.cell.set().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let others = cell.preview.others.iter().map(|((program, malloc, reason), count)| {
        json!({ "program": program, "malloc": malloc, "not_in_force_because": reason, "processes": count })
    });
    let in_force = cell.preview.in_force.as_ref();
    let standing = |row: usize| -> Map<String, Value> {
        let metrics = words.contest.metrics.iter().enumerate();
        let one = |(index, metric): (usize, &Metric)| {
            let word = match words.contest.standing(index, row, 0) {
                std::cmp::Ordering::Less => "better",
                std::cmp::Ordering::Equal if words.contest.is_sure() => "no_different",
                std::cmp::Ordering::Equal => "unknown",
                std::cmp::Ordering::Greater => "worse",
            };
            (metric.key().to_owned(), json!(word))
        };
        metrics.map(one).collect()
    };
    json!({
        "name": cell.cell.title(),
        "malloc": cell.cell.malloc.name,
        "settings": set,
        "library": cell.cell.malloc.preload.as_ref().map(|path| path.to_string_lossy()),
        "in_force": {
            "malloc": in_force.map(|in_force| &in_force.malloc),
            "as_wanted": cell.not_in_force().is_none(),
            "reason": in_force.and_then(|in_force| in_force.reason).map(|reason| reason.key()),
            "never_called": in_force.map(|in_force| in_force.never_called),
            "missing_in_runs": cell.lost,
        },
        "children": others.collect::<Vec<_>>(),
        "counts": row.is_some(),
        "figures": intervals(cell),
        "system_calls": system_calls(cell),
        "against_first": row.map(standing),
        "on_pareto_front": row.map(|row| words.contest.is_on_front(row)),
        "runs": cell.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

/// The document.
pub(crate) fn document(comparison: &Comparison, contest: &Contest, judgement: &Judgement) -> Value {
    let words = Words { comparison, contest, style: Style { color: false, ascii: false, width: 100 } };
    let row_of = |index: usize| contest.cells.iter().position(|&place| place == index);
    let cells = comparison.cells.iter().enumerate().map(|(index, one)| cell(one, &words, row_of(index)));
    let recommended = words.recommended(judgement);
    let to_use = recommended.iter().map(|&row| {
        let cell = &comparison.cells[contest.cells[row]].cell;
        let paste = paste(cell, &comparison.command).map(|paste| {
            json!({
                "shell": paste.shell,
                "dockerfile": paste.dockerfile,
                "systemd": paste.systemd,
            })
        });
        json!({ "name": cell.title(), "paste": paste })
    });
    let skipped = comparison
        .skipped
        .iter()
        .map(|skipped| json!({ "name": skipped.name, "library": skipped.library, "package": skipped.package }));
    json!({
        "schema_version": SCHEMA_VERSION,
        "brkmap_version": env!("CARGO_PKG_VERSION"),
        "command": comparison.command,
        "verdict": { "kind": judgement.key(), "text": words.verdict(judgement), "use": to_use.collect::<Vec<_>>() },
        "metrics": contest.metrics.iter().map(|metric| metric.key()).collect::<Vec<_>>(),
        "cells": cells.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
        "differences": comparison.differences(),
        "last_words": comparison.last_words,
        "interrupted": comparison.interrupted,
        "runs_wanted": comparison.wanted_runs,
        "ended_after_seconds": comparison.end_after.map(|time| time.as_secs_f64()),
        "sampled_because": comparison.sampled,
        "left_out_of_ld_preload": comparison.left_out,
        "load_per_processor_at_start": comparison.load,
        "took_seconds": comparison.took.as_secs_f64(),
        "method": { "intervals": INTERVALS, "rule": RULE },
    })
}
