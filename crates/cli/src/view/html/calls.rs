//! What the process asked of the kernel.

use super::markup::{Element, element};
use super::table::{Column, facts, mebibytes, number, table};
use crate::heap::glibc::Parameters;
use crate::model::kernel_calls::{KernelCalls, Source, Sum};

/// The sums as a table, and who counted.
pub(super) fn figure(calls: &KernelCalls) -> Vec<Element> {
    let who = match calls.source {
        Source::Library => {
            "Counted by brkmap's library inside the process: every call that it made since the process began. What the \
             program and other libraries asked for themselves is not in here."
        }
        Source::Tracer => "Seen by a tracer: every call of the process for memory while it was traced.",
    };
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

/// What glibc's own counts say of a process whose calls nobody saw.
pub(super) fn of_glibc(parameters: &Parameters) -> Vec<Element> {
    let rows = [
        ("blocks with a mapping of their own, now".to_owned(), number(parameters.mapped_blocks)),
        ("bytes in them".to_owned(), format!("{} MiB", mebibytes(parameters.mapped_bytes))),
    ];
    vec![facts("glibc counts no calls; of mappings it knows how many there are", rows)]
}
