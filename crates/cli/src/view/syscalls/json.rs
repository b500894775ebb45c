//! The calls as JSON. Sizes are integers in bytes, times in microseconds, names are snake_case.

use super::list::{error_name, expression};
use super::{Calls, Heading, MoveRow, SiteRow};
use crate::model::calls::summary::Tally;
use crate::model::calls::{Answer, Call, Kind, Mechanism};
use crate::model::process::Outcome;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u64 = 1;

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn tally(tally: &Tally) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value| map.insert(key.to_owned(), value);
    put("calls", json!(tally.calls));
    put("refused", json!(tally.refused));
    put("bytes_came", json!(tally.came));
    put("bytes_went", json!(tally.went));
    put("bytes_given_back", json!(tally.returned));
    put("bytes_reserved", json!(tally.reserved));
    put("rss_effect_bytes", json!(tally.rss));
    put("took_us", json!(micros(tally.took)));
    map
}

fn with(mut map: Map<String, Value>, entries: &[(&str, Value)]) -> Value {
    for (key, value) in entries {
        map.insert((*key).to_owned(), value.clone());
    }
    Value::Object(map)
}

fn site(row: &SiteRow) -> Value {
    let by_kind: Map<String, Value> = Kind::ALL
        .into_iter()
        .filter(|kind| row.site.by_kind[*kind as usize] > 0)
        .map(|kind| (kind.name().to_owned(), json!(row.site.by_kind[kind as usize])))
        .collect();
    let entries = [
        ("site", json!(row.number)),
        ("function", json!(row.number.map(|_| &row.function))),
        ("file", json!(row.number.map(|_| &row.file))),
        ("line", json!(row.line)),
        ("by_call", Value::Object(by_kind)),
        ("first_stack", json!(row.number.map(|_| row.site.stack))),
    ];
    with(tally(&row.site.tally), &entries)
}

fn threshold_move(row: &MoveRow) -> Value {
    let made = &row.made;
    json!({
        "at_us": micros(made.at),
        "pid": made.pid,
        "thread": made.tid,
        "from_bytes": made.from,
        "to_bytes": made.to,
        "trim_threshold_bytes": made.to * 2,
        "place": row.place,
        "stack": made.stack,
    })
}

fn call(call: &Call, sites: &[u32]) -> Value {
    let (result, errno) = match call.answer {
        Answer::Value(value) => (Some(value), None),
        Answer::Refused(number) => (None, Some(error_name(number))),
    };
    let moved = call.moved.map(|(from, to)| json!({ "from_bytes": from, "to_bytes": to }));
    json!({
        "at_us": micros(call.at),
        "took_us": call.took.map(micros),
        "pid": call.pid,
        "thread": call.tid,
        "call": call.kind.name(),
        "text": expression(call),
        "arguments": call.arguments,
        "result": result,
        "errno": errno,
        "mechanism": call.mechanism.key(),
        "bytes": call.change.usable,
        "bytes_reserved": call.change.reserved,
        "bytes_given_back": call.change.returned,
        "rss_before_bytes": call.rss_before,
        "rss_after_bytes": call.rss_after,
        "rss_effect_bytes": call.rss_effect(),
        "stack": call.stack,
        "site": call.stack.and_then(|stack| sites.get(stack as usize)),
        "threshold_move": moved,
    })
}

fn timeline(calls: &Calls) -> Value {
    let summary = &calls.summary;
    let column = |(index, entry): (usize, &Tally)| {
        let entries =
            [("at_us", json!(micros(summary.width) * index as u64)), ("rss_bytes", json!(summary.rss[index]))];
        with(tally(entry), &entries)
    };
    json!({
        "column_us": micros(summary.width),
        "columns": summary.columns.iter().enumerate().map(column).collect::<Vec<_>>(),
    })
}

/// The part that `run --syscalls` and `syscalls` have in common.
pub(crate) fn document(calls: &Calls) -> Value {
    let summary = &calls.summary;
    let kinds =
        Kind::ALL.into_iter().map(|kind| with(tally(&summary.by_kind[kind as usize]), &[("call", json!(kind.name()))]));
    let mechanisms = Mechanism::ALL.into_iter().map(|mechanism| {
        with(tally(&summary.by_mechanism[mechanism as usize]), &[("mechanism", json!(mechanism.key()))])
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "seen_by": calls.mode.key(),
        "time_us": micros(calls.wall),
        "all": tally(&summary.all),
        "by_call": kinds.collect::<Vec<_>>(),
        "by_mechanism": mechanisms.collect::<Vec<_>>(),
        "by_site": calls.sites.iter().map(site).collect::<Vec<_>>(),
        "timeline": timeline(calls),
        "glibc_threshold_moves": calls.moves.iter().map(threshold_move).collect::<Vec<_>>(),
        "glibc_threshold_moves_not_kept": summary.more_moves,
        "processes": summary.processes,
        "calls": calls.calls.iter().map(|one| call(one, &calls.site_of_stack)).collect::<Vec<_>>(),
        "calls_not_kept": calls.not_kept,
        "calls_lost": calls.lost,
        "stacks": calls.stacks,
        "tracers_that_could_not_trace": calls.tracers,
    })
}

/// The document of `syscalls`.
pub(crate) fn with_heading(heading: &Heading, calls: &Calls) -> Value {
    let ended = match heading.outcome {
        Some(Outcome::Code(code)) => json!({ "code": code }),
        Some(Outcome::Signal(signal)) => json!({ "signal": signal, "name": crate::view::signal_name(signal) }),
        None => Value::Null,
    };
    let Value::Object(map) = document(calls) else { return Value::Null };
    let entries = [
        ("brkmap_version", json!(env!("CARGO_PKG_VERSION"))),
        ("command", json!(heading.title)),
        ("pid", json!(heading.pid)),
        ("ended", ended),
        ("malloc", json!(heading.malloc)),
    ];
    with(map, &entries)
}
