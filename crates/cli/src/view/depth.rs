//! The part of the text report of `brkmap run` that comes from full looks: the waterfall at the peak and at the end side by
//! side, how near the peak the look was, what a trim would have returned, and what to do.

use super::inspect::text as inspect;
use super::style::{Ink, Style};
use super::text::entry;
use super::{Report, spark};
use crate::model::depth::{Deep, Depth};
use crate::model::process::Process;
use crate::model::snapshot::Moment;
use crate::model::verdict::mib;
use crate::model::xray::Row;

const LABEL: usize = 34;
/// Columns of one look: MiB, per cent.
const COLUMN: usize = 12 + 8;
/// Cells of the timeline.
const CELLS: usize = 48;
/// Share of the peak, in per cent, from which a look shows the peak.
const NEAR: f64 = 90.0;
/// Bytes that show as 0.0 MiB.
const NOTHING: u64 = 52428;

/// RSS over the whole run in one line.
pub(super) fn over_time(main: &Process, style: Style) -> Option<String> {
    let moments = main.depth.timeline.moments();
    let (first, last) = (moments.first()?, moments.last()?);
    let top = moments.iter().map(|moment| moment.rss).max().unwrap_or(0);
    let line = spark::line(moments, CELLS.min(style.width.saturating_sub(40)), style);
    let time = (last.at_ms - first.at_ms) as f64 / 1000.0;
    let text = format!("{}  up to {} in {time:.2} s", style.paint(Ink::Used, &line), mib(top));
    (moments.len() > 1).then(|| entry(style, "over time", &text))
}

/// How near the peak the look at it was, and what it said.
pub(super) fn at_peak(main: &Process, report: &Report, style: Style) -> Option<String> {
    let peak = main.depth.highest()?;
    let is_end = main.depth.lowest().is_none() && main.depth.end.is_some();
    let share = peak.rss() as f64 * 100.0 / main.peak_rss.max(1) as f64;
    let text = if is_end && share >= NEAR {
        format!("as {}, where {share:.1} % of it were there", end_name(main))
    } else if is_end {
        format!("not looked at, it was over too soon; {share:.1} % of it were still there {}", end_name(main))
    } else {
        let (after, wall) = (peak.after.as_secs_f64(), report.wall.as_secs_f64());
        let class = peak.inspection.diagnosis.text.split(':').next().unwrap_or_default();
        let dot = style.dot();
        format!("{class}{dot}look after {after:.2} s of {wall:.2} s at {} ({share:.1} % of the peak)", mib(peak.rss()))
    };
    Some(entry(style, "at peak", &text))
}

fn end_name(main: &Process) -> &'static str {
    match main.moment {
        Moment::AtExit => "at exit",
        Moment::Before(_) | Moment::StillRunning => "at last",
    }
}

/// The looks in the order of time, each with its name.
fn columns(main: &Process) -> Vec<(&'static str, &Deep)> {
    let Depth { peak, end, .. } = &main.depth;
    match (main.depth.lowest(), peak, end) {
        (Some(end), Some(peak), _) => vec![("at peak", peak), (end_name(main), end)],
        (_, _, Some(end)) => vec![(end_name(main), end)],
        (_, peak, None) => peak.iter().map(|peak| ("at peak", &**peak)).collect(),
    }
}

/// One line per reason, with a column for each look, then the sums: at most `room` lines.
pub(super) fn rows(main: &Process, room: usize, style: Style) -> Vec<String> {
    let columns = columns(main);
    let Some((_, first)) = columns.first() else { return Vec::new() };
    let most = |row: Row| columns.iter().map(|(_, deep)| deep.inspection.xray.get(row)).max().unwrap_or(0);
    let of = |row: Row| columns.iter().map(|(_, deep)| deep.inspection.xray.get(row)).collect::<Vec<u64>>();
    let mut limit = NOTHING;
    let mut sizes: Vec<u64> = Row::ALL.into_iter().map(most).filter(|&bytes| bytes > 0).collect();
    sizes.sort_unstable();
    // A heading, a line for the small ones, "unexplained", and the sum stand in any case.
    let room = room.saturating_sub(4).max(4);
    if sizes.len() > room {
        limit = limit.max(sizes[sizes.len() - room - 1]);
    }
    let is_shown = |row: &Row| most(*row) > limit || *row == Row::Unexplained;
    let mut table: Vec<(String, Vec<u64>, Option<Ink>)> =
        Row::ALL.into_iter().filter(is_shown).map(|row| (label(row, &columns), of(row), inspect::ink(row))).collect();
    let small: Vec<Row> = Row::ALL.into_iter().filter(|row| !is_shown(row) && most(*row) > 0).collect();
    match small.as_slice() {
        [] => {}
        [one] => table.insert(table.len() - 1, (label(*one, &columns), of(*one), None)),
        many => {
            let sum = |(_, deep): &(&str, &Deep)| many.iter().map(|row| deep.inspection.xray.get(*row)).sum();
            let label = format!("{} smaller reasons", many.len());
            table.insert(table.len() - 1, (label, columns.iter().map(sum).collect(), None));
        }
    }
    let sums: Vec<u64> = columns.iter().map(|(_, deep)| deep.rss()).collect();
    let cells = style.width.saturating_sub(2 + LABEL + columns.len() * COLUMN + 2).min(40);
    let largest = table.iter().map(|row| row.1[0]).max().unwrap_or(0);
    let figures = |bytes: &[u64]| {
        let one = |(bytes, sum): (&u64, &u64)| {
            format!("{:>12}{:>6.1} %", mib(*bytes), *bytes as f64 * 100.0 / (*sum).max(1) as f64)
        };
        bytes.iter().zip(&sums).map(one).collect::<String>()
    };
    let heading = columns.iter().map(|(name, _)| format!("{name:>12}{:8}", "")).collect::<String>();
    let mut lines: Vec<String> = Vec::new();
    if columns.len() > 1 {
        lines.push(format!("  {:<LABEL$}{}", "", heading.trim_end()));
    }
    lines.extend(table.iter().map(|(label, bytes, ink)| {
        let bar = if cells >= 8 { style.bar(bytes[0], largest, cells) } else { String::new() };
        let bar = ink.map_or(bar.clone(), |ink| style.paint(ink, &bar));
        format!("  {label:<LABEL$}{}  {bar}", figures(bytes)).trim_end().to_owned()
    }));
    lines.push(style.paint(Ink::Bold, &format!("  {:<LABEL$}{}", "sum = resident", figures(&sums))));
    debug_assert_eq!(first.rss(), sums[0]);
    lines
}

/// The name of a row; a look that does not know whose memory it is leaves that to the other.
fn label(row: Row, columns: &[(&str, &Deep)]) -> String {
    let knows = |(_, deep): &&(&str, &Deep)| deep.inspection.xray.get(row) > 0;
    let deep = columns.iter().rfind(knows).or(columns.last());
    deep.map_or_else(String::new, |(_, deep)| deep.inspection.xray.label(row))
}

/// The lines below the rows: what could not be read, trim and floor for each look, limit, settings, and what to do.
pub(super) fn tail(main: &Process, style: Style) -> Vec<String> {
    let columns = columns(main);
    let Some((_, last)) = columns.last() else { return Vec::new() };
    let mut lines: Vec<String> = inspect::problem(&last.inspection, style).into_iter().collect();
    let known = |value: fn(&Deep) -> u64| {
        let seen = columns.iter().filter(|(_, deep)| deep.inspection.xray.malloc_seen);
        seen.map(|(name, deep)| format!("{} {name}", mib(value(deep)))).collect::<Vec<_>>().join(style.dot())
    };
    let trim = known(|deep| deep.inspection.trim());
    if trim.is_empty() {
        lines.extend(inspect::trim(&last.inspection, style));
    } else {
        lines.push(entry(style, "trim", &format!("malloc_trim(0) would return {trim} (predicted)")));
        let floor = known(|deep| deep.inspection.floor());
        lines.push(entry(style, "floor", &format!("OS pages with live bytes: {floor}")));
    }
    if last.inspection.look.limit.is_some() {
        lines.push(inspect::limit(&last.inspection, style));
    }
    lines.extend(inspect::settings(&last.inspection, style));
    lines.extend(inspect::advice(&last.inspection, style));
    lines
}
