//! What the process asked of the kernel.

use super::markup::{Element, element, of_class};
use super::table::{Column, facts, folded, mebibytes, number, size, table};
use crate::heap::glibc::Parameters;
use crate::model::calls::summary::Tally;
use crate::model::calls::{Kind, Mechanism};
use crate::model::kernel_calls::{KernelCalls, Sum};
use crate::view::syscalls::{Calls, MoveRow, SiteRow};

/// The sums by the library's own counters.
pub(super) fn figure(calls: &KernelCalls) -> Vec<Element> {
    let who = "Counted by brkmap's library inside the process: every call that it made since the process began. What the \
               program and other libraries asked for themselves is not in here.";
    let heads = [
        ("call", Column::Text),
        ("for", Column::Text),
        ("times", Column::Number),
        ("MiB in all", Column::Number),
        ("KiB each", Column::Number),
    ];
    let row = |sum: &Sum| {
        let each = sum.bytes.checked_div(sum.calls).map_or("–".to_owned(), |bytes| number(bytes >> 10));
        vec![sum.lane.label().to_owned(), sum.purpose.to_owned(), number(sum.calls), mebibytes(sum.bytes), each]
    };
    let caption = format!("{} calls, {} refused by the kernel", number(calls.total()), number(calls.refused));
    vec![element("p").text(who), table(&caption, &heads, calls.sums.iter().map(row))]
}

/// Places in the program that have a row.
const SITES: usize = 40;

/// The calls that a tracer saw, by call, by what the memory is for, and by place in the program.
pub(super) fn traced(calls: &Calls) -> Vec<Element> {
    let summary = &calls.summary;
    let processes = summary.processes.len();
    let of = if processes == 1 { "one process".to_owned() } else { format!("{} processes", number(processes as u64)) };
    let text = format!(
        "{} calls of {of}, each seen by a tracer; the program {}. \u{201c}Came\u{201d} and \u{201c}went\u{201d} are usable address space; it is \
         resident when it is touched.",
        number(summary.all.calls),
        calls.mode.text()
    );
    let mut all = vec![element("p").text(text)];
    if calls.lost > 0 {
        all.push(of_class("p", "warn").text(format!("{} calls were lost.", number(calls.lost))));
    }
    let by_kind = Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), &summary.by_kind[kind as usize]));
    all.push(tallies("by call", "call", by_kind));
    let by_mechanism = Mechanism::ALL.into_iter();
    let by_mechanism =
        by_mechanism.map(|mechanism| (mechanism.label().to_owned(), &summary.by_mechanism[mechanism as usize]));
    all.push(element("h3").text("What the memory is for"));
    all.push(tallies("by mechanism", "mechanism", by_mechanism));
    if calls.sites.iter().any(|site| site.number.is_some()) {
        let more = calls.sites.len().saturating_sub(SITES);
        let caption = match more {
            0 => "the innermost function that is neither malloc's nor libc's, most bytes first".to_owned(),
            _ => format!("the {SITES} places with most bytes, of {}", number(calls.sites.len() as u64)),
        };
        all.push(element("h3").text("Where in the program"));
        all.push(tallies(&caption, "place", calls.sites.iter().take(SITES).map(|row| (place(row), &row.site.tally))));
    }
    if !calls.moves.is_empty() {
        all.push(element("h3").text("Moves of glibc's mmap threshold"));
        all.push(moves(&calls.moves, summary.more_moves));
    }
    all
}

fn place(row: &SiteRow) -> String {
    if row.number.is_none() {
        return "not known".to_owned();
    }
    let line = row.line.as_ref().map_or(String::new(), |line| format!(", {line}"));
    format!("{} ({}{line})", row.function, row.file)
}

/// A table of sums; what never happened has no row.
fn tallies<'a>(caption: &str, name: &str, rows: impl Iterator<Item = (String, &'a Tally)>) -> Element {
    let heads = [
        (name, Column::Text),
        ("times", Column::Number),
        ("refused", Column::Number),
        ("came, MiB", Column::Number),
        ("went, MiB", Column::Number),
        ("given back, MiB", Column::Number),
    ];
    let row = |(name, tally): (String, &Tally)| {
        vec![
            name,
            number(tally.calls),
            number(tally.refused),
            mebibytes(tally.came),
            mebibytes(tally.went),
            mebibytes(tally.returned),
        ]
    };
    table(caption, &heads, rows.filter(|(_, tally)| tally.calls > 0).map(row))
}

fn moves(moves: &[MoveRow], more: u64) -> Element {
    let heads = [
        ("after", Column::Text),
        ("pid", Column::Number),
        ("from", Column::Number),
        ("to", Column::Number),
        ("by a free in", Column::Text),
    ];
    let row = |moved: &MoveRow| {
        let made = &moved.made;
        let place = moved.place.clone().unwrap_or_else(|| "not known".to_owned());
        vec![format!("{:.3} s", made.at.as_secs_f64()), made.pid.to_string(), size(made.from), size(made.to), place]
    };
    let caption = format!("{} moves", number(moves.len() as u64 + more));
    let meaning =
        "a free of a mapped block moves the threshold to its size: blocks below come from the break from then on";
    folded(&caption, true, [table(meaning, &heads, moves.iter().map(row))])
}

/// What glibc's own counts say of a process whose calls nobody saw.
pub(super) fn of_glibc(parameters: &Parameters) -> Vec<Element> {
    let rows = [
        ("blocks with a mapping of their own, now".to_owned(), number(parameters.mapped_blocks)),
        ("bytes in them".to_owned(), format!("{} MiB", mebibytes(parameters.mapped_bytes))),
    ];
    vec![facts("glibc counts no calls; of mappings it knows how many there are", rows)]
}
