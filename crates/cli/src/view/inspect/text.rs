//! The report for people: at most 30 lines of at most the terminal's width.

use super::Inspection;
use crate::heap::glibc::{Glibc, Parameters};
use crate::model::advice::Advice;
use crate::model::diagnosis::{Class, Confidence};
use crate::model::verdict::mib;
use crate::model::xray::Row;
use crate::view::style::{Ink, Style};
use crate::view::{command_line, cut};

/// Columns of a row's name, and in front of its bar.
const LABEL: usize = 34;
const BEFORE_BAR: usize = 2 + LABEL + 12 + 8 + 2;
/// Lines in all.
const MOST_LINES: usize = 30;
/// Bytes that show as 0.0 MiB.
const NOTHING: u64 = 52428;

/// Writes the report.
pub(crate) fn render(inspection: &Inspection, style: Style) -> String {
    let mut head = vec![verdict(inspection, style), evidence(inspection, style), header(inspection, style)];
    head.extend(resident(inspection, style));
    let mut tail = Vec::new();
    tail.extend(problem(inspection, style));
    tail.push(growth(inspection, style));
    tail.extend(trim(inspection, style));
    tail.push(limit(inspection, style));
    tail.extend(settings(inspection, style));
    tail.extend(advice(inspection, style));
    let room = MOST_LINES.saturating_sub(head.len() + tail.len());
    head.extend(rows(inspection, room, style));
    head.extend(tail);
    head.into_iter().map(|line| fit(&line, style)).collect::<Vec<_>>().join("\n") + "\n"
}

/// Cuts a line to the width, codes of colour not counted.
pub(in crate::view) fn fit(line: &str, style: Style) -> String {
    let mut shown = 0;
    let mut out = String::with_capacity(line.len());
    let mut is_code = false;
    for c in line.chars() {
        match c {
            '\x1b' => is_code = true,
            'm' if is_code => {
                is_code = false;
                out.push(c);
                continue;
            }
            _ => {}
        }
        if is_code || shown < style.width {
            shown += usize::from(!is_code);
            out.push(c);
        }
    }
    out.trim_end().to_owned()
}

/// A line with its subject in front.
fn entry(style: Style, subject: &str, text: &str) -> String {
    style.paint(Ink::Bold, &format!("{subject:<12}")) + text
}

fn verdict(inspection: &Inspection, style: Style) -> String {
    let diagnosis = &inspection.diagnosis;
    let ink = match diagnosis.class {
        Class::Growing | Class::Unclear => Ink::Alert,
        _ => Ink::Bold,
    };
    style.paint(ink, &diagnosis.text)
}

pub(in crate::view) fn evidence(inspection: &Inspection, style: Style) -> String {
    let confidence = inspection.diagnosis.confidence;
    let word = match confidence {
        Confidence::Low => style.paint(Ink::Alert, confidence.key()),
        _ => confidence.key().to_owned(),
    };
    format!("confidence {word}: {}", inspection.diagnosis.evidence)
}

fn header(inspection: &Inspection, style: Style) -> String {
    let snapshot = &inspection.look.snapshot;
    let threads = snapshot.status.threads;
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let arenas = inspection.look.glibc.as_ref().map_or(0, |glibc| glibc.arenas.len());
    let mut rest = vec![format!("pid {}", inspection.pid), threads, format!("malloc: {}", inspection.malloc)];
    if arenas > 1 {
        rest.push(format!("{arenas} arenas"));
    }
    let rest = rest.join(style.dot());
    let mut words = snapshot.command.clone();
    // A program that renames itself writes one line of text over its arguments, and leaves empty ones behind.
    while words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    match words.as_slice() {
        [] => words.push(snapshot.status.name.clone()),
        [title] => words = title.split(' ').map(str::to_owned).collect(),
        _ => {}
    }
    if let Some(first) = words.first_mut() {
        *first = first.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let room = style.width.saturating_sub(rest.chars().count() + 3).max(12);
    format!("{}{}{rest}", cut(&command_line(&words), room), style.dot())
}

fn resident(inspection: &Inspection, style: Style) -> Vec<String> {
    let status = &inspection.look.snapshot.status;
    let of = |(name, bytes): &(&str, u64)| format!("{name} {}", mib(*bytes));
    let parts = [("peak", status.peak_rss), ("VmRSS", status.rss), ("VmData", status.data)];
    let parts: Vec<String> = std::iter::once(mib(inspection.xray.rss())).chain(parts.iter().map(of)).collect();
    let others = [("swap", status.swap), ("LazyFree", inspection.lazy_free()), ("on huge pages", inspection.huge())];
    let others: Vec<String> = others.iter().filter(|(_, bytes)| *bytes > 0).map(of).collect();
    let mut lines = vec![entry(style, "resident", &parts.join(style.dot()))];
    if !others.is_empty() {
        lines.push(entry(style, "", &others.join(style.dot())));
    }
    lines
}

pub(in crate::view) fn ink(row: Row) -> Option<Ink> {
    match row {
        Row::Live | Row::Mapped | Row::RuntimeLive => Some(Ink::Used),
        Row::Unexplained => Some(Ink::Alert),
        row if row.is_malloc() || row.is_kept() => Some(Ink::Kept),
        _ => None,
    }
}

/// One line per reason, then the sum. Where lines run short, the smallest reasons share one; "unexplained" never does.
fn rows(inspection: &Inspection, room: usize, style: Style) -> Vec<String> {
    let xray = &inspection.xray;
    let rss = xray.rss();
    let cells = style.width.saturating_sub(BEFORE_BAR).min(40);
    let mut shown: Vec<(String, u64, Option<Ink>, bool)> = Row::ALL
        .into_iter()
        .filter(|&row| xray.get(row) > 0 || row == Row::Unexplained)
        .map(|row| (xray.label(row), xray.get(row), ink(row), row == Row::Unexplained))
        .collect();
    // Rows that would show as nothing share a line, and so do more of them if lines run short. The sum has a line too.
    let room = room.saturating_sub(1).max(4);
    let mut limit = NOTHING;
    let mut sizes: Vec<u64> = shown.iter().filter(|row| !row.3).map(|row| row.1).collect();
    sizes.sort_unstable();
    if shown.len() > room {
        limit = limit.max(sizes[(shown.len() - room).min(sizes.len() - 1)]);
    }
    if sizes.iter().filter(|&&bytes| bytes <= limit).count() > 1 {
        let (small, large): (Vec<_>, Vec<_>) = shown.into_iter().partition(|row| row.1 <= limit && !row.3);
        shown = large;
        let sum = small.iter().map(|row| row.1).sum();
        shown.insert(shown.len().saturating_sub(1), (format!("{} smaller reasons", small.len()), sum, None, false));
    }
    let largest = shown.iter().map(|row| row.1).max().unwrap_or(0);
    let mut lines: Vec<String> = shown
        .iter()
        .map(|(label, bytes, ink, _)| {
            let share = *bytes as f64 * 100.0 / rss.max(1) as f64;
            let bar = style.bar(*bytes, largest, cells);
            let bar = ink.map_or(bar.clone(), |ink| style.paint(ink, &bar));
            format!("  {label:<LABEL$}{:>12}{share:>6.1} %  {bar}", mib(*bytes)).trim_end().to_owned()
        })
        .collect();
    lines.push(style.paint(Ink::Bold, &format!("  {:<LABEL$}{:>12}{:>6.1} %", "sum = resident", mib(rss), 100.0)));
    lines
}

pub(in crate::view) fn problem(inspection: &Inspection, style: Style) -> Option<String> {
    let snapshot = &inspection.look.snapshot;
    let glibc = inspection.look.glibc.as_ref();
    let (torn, problem) = match (&snapshot.heap_error, glibc) {
        (Some(error), _) => (1, error.clone()),
        (None, Some(Glibc { problem: Some(problem), torn, .. })) => (*torn, problem.clone()),
        _ => return None,
    };
    let subject = if torn > 0 { "torn" } else { "not read" };
    Some(entry(style, subject, &style.paint(Ink::Alert, &problem)))
}

fn growth(inspection: &Inspection, style: Style) -> String {
    let Some(growth) = &inspection.growth else {
        return entry(style, "growth", "one look only; see --over and --watch");
    };
    let rate = |bytes: i64| format!("{:+.1}", growth.per_minute(bytes) / f64::from(1 << 20));
    let (live, rss) = (rate(growth.live), rate(growth.rss));
    let mut text = format!("live {live}, resident {rss} MiB/min over {:.1} s", growth.seconds);
    if growth.most.1 > 1 << 20 {
        text += &format!(", most in {}", inspection.xray.label(growth.most.0));
    }
    entry(style, "growth", &text)
}

pub(in crate::view) fn trim(inspection: &Inspection, style: Style) -> Vec<String> {
    if !inspection.xray.malloc_seen {
        let why = match inspection.look.glibc {
            None if inspection.malloc.starts_with("glibc") => "nothing: its malloc has served nothing yet",
            _ => "unknown: the malloc in force cannot be read from outside",
        };
        return vec![entry(style, "trim", why)];
    }
    let trim = format!("malloc_trim(0) would return {} (predicted)", mib(inspection.trim()));
    let floor = format!("{} on OS pages with live bytes: no trim goes below", mib(inspection.floor()));
    vec![entry(style, "trim", &trim), entry(style, "floor", &floor)]
}

pub(in crate::view) fn limit(inspection: &Inspection, style: Style) -> String {
    let text = match &inspection.look.limit {
        Some(limit) => {
            let (used, limit, room) = (mib(limit.used), mib(limit.limit), mib(limit.head_room()));
            format!("limit {limit}{dot}all of the group use {used}{dot}head-room {room}", dot = style.dot())
        }
        None => "no limit".to_owned(),
    };
    entry(style, "cgroup", &text)
}

pub(in crate::view) fn settings(inspection: &Inspection, style: Style) -> Option<String> {
    let parameters = inspection.look.glibc.as_ref().and_then(|glibc| glibc.parameters);
    let mut parts: Vec<String> = parameters.map(|parameters| of_glibc(&parameters)).into_iter().collect();
    parts.extend(inspection.look.settings.iter().map(|variable| cut(&variable.escape_debug().to_string(), 60)));
    (!parts.is_empty()).then(|| entry(style, "in force", &parts.join(style.dot())))
}

fn of_glibc(parameters: &Parameters) -> String {
    let size = |bytes: u64| match bytes {
        bytes if bytes > 1 << 50 => "never".to_owned(),
        bytes if bytes >= 10 << 20 => format!("{}M", bytes >> 20),
        bytes => format!("{}K", bytes >> 10),
    };
    let dynamic = if parameters.is_dynamic { "moving" } else { "fixed" };
    let arenas =
        if parameters.arena_max == 0 { String::new() } else { format!(", arenas <= {}", parameters.arena_max) };
    format!(
        "mmap from {} and trim from {} ({dynamic}), pad {}{arenas}",
        size(parameters.mmap_threshold),
        size(parameters.trim_threshold),
        size(parameters.top_pad)
    )
}

/// What to do, each with what it saves and how that is known.
pub(in crate::view) fn advice(inspection: &Inspection, style: Style) -> Vec<String> {
    let line = |(index, advice): (usize, &Advice)| {
        let subject = if index == 0 { "do" } else { "" };
        let gain = advice.gain.map(|(bytes, mark)| format!("-{}  {}", mib(bytes), mark.key())).unwrap_or_default();
        let room = style.width.saturating_sub(12 + 2 + 1 + 22);
        let text = if gain.is_empty() { advice.text.clone() } else { format!("{:<room$} {gain:>22}", advice.text) };
        entry(style, subject, &format!("{} {text}", index + 1))
    };
    inspection.diagnosis.advice.iter().take(3).enumerate().map(line).collect()
}
