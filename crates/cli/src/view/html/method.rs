//! How each figure was obtained, and what the report cannot know.

use super::markup::{Element, element, of_class};
use super::table::{Column, table};

/// How a figure came about: name, mark, way.
pub(super) type Way = (&'static str, &'static str, &'static str);

/// Of a process that was looked at from outside.
pub(super) const OF_INSPECT: [Way; 9] = [
    (
        "resident (RSS)",
        "measured",
        "Sum of Rss over the mappings in /proc/PID/smaps, for which the kernel walks the page tables.",
    ),
    ("where it is resident", "measured", "PAGEMAP_SCAN on /proc/PID/pagemap, or its entries on kernels before 6.7."),
    (
        "live blocks, free blocks",
        "measured",
        "malloc's own structures, read through /proc/PID/mem while the process ran on; each place is checked, and read again if it makes no sense.",
    ),
    (
        "returnable",
        "predicted",
        "Whole OS pages without a live byte, by the rules of malloc_trim(0), counted where they are resident.",
    ),
    (
        "floor",
        "measured",
        "OS pages with at least one live byte. No trim gets below; only moving or freeing those blocks does.",
    ),
    ("rounding", "estimate", "brkmap only: from a sample of requests by size class."),
    ("mapped (VmData), peak", "measured", "/proc/PID/status."),
    ("growth", "measured", "Change between the first look and the last."),
    (
        "gains",
        "as marked",
        "predicted: computed from malloc's structures and the page table. estimate: what such a change brings at most, or as a rule. measured: counted by the kernel.",
    ),
];

/// Of a process that brkmap ran.
pub(super) const OF_RUN: [Way; 8] = [
    (
        "resident (RSS)",
        "measured",
        "Sum of Rss over the mappings in /proc/PID/smaps, at the moment that the heading names.",
    ),
    ("peak", "measured", "VmHWM in /proc/PID/status: the kernel's own highest value."),
    (
        "live blocks, free blocks",
        "measured",
        "malloc's own structures, read while the kernel held the process at its end.",
    ),
    ("returnable", "predicted", "Whole OS pages without a live byte, counted where they are resident."),
    ("rounding", "estimate", "From a sample of requests by size class; exact for large blocks."),
    (
        "over time",
        "measured",
        "Resident and mapped bytes from /proc/PID/statm, every 10 ms or less often; live bytes from full looks.",
    ),
    (
        "at its peak",
        "measured",
        "A full look beside the running process, which is not stopped for it, when it was largest; its share of the true peak \
         is told.",
    ),
    ("calls of the kernel", "measured", "Counters of the library in the process, or a tracer: the section says which."),
];

/// The ways as a table, then what must be kept in mind.
pub(super) fn figure(ways: &[Way], limits: &[String]) -> Vec<Element> {
    let heads = [("figure", Column::Text), ("known as", Column::Text), ("how", Column::Text)];
    let row = |way: &Way| vec![way.0.to_owned(), way.1.to_owned(), way.2.to_owned()];
    let list = element("ul").children(limits.iter().map(|limit| element("li").text(limit)));
    vec![
        table("sizes are in MiB of 1,048,576 bytes", &heads, ways.iter().map(row)),
        element("h3").text("Limits"),
        list,
        of_class("p", "soft small").text(concat!(
            "Made by brkmap ",
            env!("CARGO_PKG_VERSION"),
            ". This page is one file without scripts; it asks nobody for anything."
        )),
    ]
}
