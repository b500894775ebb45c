//! `brkmap_stats_print`: all statistics as text for people.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::Write;

use brkmap_core::classes::CLASSES;
use brkmap_core::{ClassRow, Figures, HEAP_BATCH, HeapRow};
use brkmap_sys::linux::Linux;
use brkmap_sys::{Kernel, SystemCall};
use brkmap_wire::Counter;

use crate::platform::ENGINE;
use crate::statistics::{FIGURES, figure};
use crate::text::{Out, Size};

/// Flags of `brkmap_stats_print`: what to leave out.
const NO_CLASSES: c_int = 1;
const NO_HEAPS: c_int = 2;
const NO_CALLS: c_int = 4;

/// Parts of the report: title, first figure, and how many.
const PARTS: [(&str, &str, usize); 3] =
    [("in bytes", "allocated", 9), ("parts of resident", "resident_allocated", 3), ("more", "live_blocks", usize::MAX)];

type WriteFunction = unsafe extern "C" fn(*mut c_void, *const c_char);

/// Writes the statistics as text, in parts, by `write(argument, part)`; null: to standard error. `flags` leave parts out.
/// Allocates nothing; `write` is called with no lock held and may.
///
/// # Safety
/// `write` is null or may be called with `argument` and a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brkmap_stats_print(write: Option<WriteFunction>, argument: *mut c_void, flags: c_int) {
    match write {
        // SAFETY: [caller-memory] the caller's function and its argument; the part is a string.
        Some(write) => report(&mut |part| unsafe { write(argument, part.as_ptr()) }, flags),
        None => to_stderr(flags),
    }
}

/// Writes the statistics to standard error.
pub(crate) fn to_stderr(flags: c_int) {
    report(&mut |part| Linux.write_error(part.to_bytes()), flags);
}

fn report(write: &mut dyn FnMut(&CStr), flags: c_int) {
    let mut out = Out::new(write);
    let figures = ENGINE.figures();
    let _ = writeln!(out, "brkmap {} statistics", env!("CARGO_PKG_VERSION"));
    figures_text(&mut out, &figures);
    if flags & NO_CLASSES == 0 {
        classes_text(&mut out);
    }
    if flags & NO_HEAPS == 0 {
        heaps_text(&mut out);
    }
    if flags & NO_CALLS == 0 {
        calls_text(&mut out);
    }
    out.flush();
}

fn figures_text(out: &mut dyn Write, figures: &Figures) {
    for (title, first, count) in PARTS {
        let _ = writeln!(out, "{title}{}", if figures.is_estimated { " (what is in memory: a bound)" } else { "" });
        let rows = FIGURES.iter().skip_while(|row| row.0 != first).take(count);
        for (name, what) in rows {
            let value = figure(figures, name).unwrap_or_default();
            // A plain number has no size in words.
            if what.ends_with("a number") {
                let _ = writeln!(out, "  {name:<22} {value:>15} {:>10}  {what}", "");
            } else {
                let _ = writeln!(out, "  {name:<22} {value:>15} {}  {what}", Size(value));
            }
        }
    }
}

fn classes_text(out: &mut dyn Write) {
    let mut rows = [ClassRow::default(); CLASSES];
    ENGINE.class_rows(&mut rows);
    let head = ["class", "size", "pages", "blocks", "live", "free", "thread_cache"];
    let _ = writeln!(out, "size classes with pages: bytes, but for the number of live blocks");
    let _ = writeln!(
        out,
        "  {:>5} {:>7} {:>13} {:>10} {:>13} {:>13} {:>13}",
        head[0], head[1], head[2], head[3], head[4], head[5], head[6]
    );
    for (class, row) in rows.iter().enumerate().filter(|(_, row)| row.pages != 0) {
        let _ = writeln!(
            out,
            "  {class:>5} {:>7} {:>13} {:>10} {:>13} {:>13} {:>13}",
            row.size, row.pages, row.blocks, row.live, row.free, row.thread_cache
        );
    }
}

fn heaps_text(out: &mut dyn Write) {
    let _ = writeln!(out, "heaps: bytes, but for the number of live blocks");
    let _ = writeln!(
        out,
        "  {:>5} {:>10} {:<6} {:>13} {:>10} {:>13} {:>13}",
        "heap", "thread", "source", "pages", "blocks", "live", "thread_cache"
    );
    let mut rows = [HeapRow::default(); HEAP_BATCH];
    let mut first = 0;
    loop {
        let count = ENGINE.heap_rows(first, &mut rows);
        for (number, row) in rows[..count].iter().enumerate() {
            let source = if row.is_on_break { "break" } else { "region" };
            let _ = write!(out, "  {:>5} ", first + number);
            let _ = if row.thread == 0 { write!(out, "{:>10}", "none") } else { write!(out, "{:>10}", row.thread) };
            let _ = writeln!(
                out,
                " {source:<6} {:>13} {:>10} {:>13} {:>13}",
                row.pages, row.blocks, row.live, row.thread_cache
            );
        }
        if count < HEAP_BATCH {
            return;
        }
        first += HEAP_BATCH;
    }
}

fn calls_text(out: &mut dyn Write) {
    let _ = writeln!(out, "system calls\n  {:<22} {:>15} {:>15}", "call", "made", "refused");
    for call in SystemCall::ALL {
        let calls = ENGINE.calls(call);
        if calls.made != 0 {
            let _ = writeln!(out, "  {:<22} {:>15} {:>15}", call.name(), calls.made, calls.refused);
        }
    }
    let _ = writeln!(out, "counters");
    for counter in Counter::ALL {
        let value = ENGINE.counter(counter);
        if value != 0 {
            let _ = writeln!(out, "  {:<22} {value:>15}", counter.name());
        }
    }
}
