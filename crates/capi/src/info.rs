//! What the heap says of itself: `mallinfo`, `mallinfo2`, `malloc_stats`, `malloc_info`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Write};

use brkmap_core::classes::{CLASSES, SIZES};
use brkmap_core::{FreeBlocks, FreeRuns, Pool, Stats};
use brkmap_sys::Kernel;
use brkmap_sys::linux::Linux;

use crate::errno::EINVAL;
use crate::platform::ENGINE;
use crate::text::Out;

macro_rules! mallinfo {
    ($name:ident, $word:ty) => {
        /// glibc's structure; sizes in bytes.
        #[repr(C)]
        #[allow(non_camel_case_types)]
        pub struct $name {
            arena: $word,
            ordblks: $word,
            smblks: $word,
            hblks: $word,
            hblkhd: $word,
            usmblks: $word,
            fsmblks: $word,
            uordblks: $word,
            fordblks: $word,
            keepcost: $word,
        }

        impl From<Stats> for $name {
            fn from(stats: Stats) -> Self {
                $name {
                    arena: stats.owned as $word,
                    ordblks: stats.free_pieces as $word,
                    smblks: 0,
                    hblks: stats.mappings as $word,
                    hblkhd: stats.mapped as $word,
                    usmblks: 0,
                    fsmblks: 0,
                    uordblks: stats.live as $word,
                    fordblks: stats.owned.saturating_sub(stats.live) as $word,
                    keepcost: stats.top as $word,
                }
            }
        }
    };
}

mallinfo!(mallinfo_t, c_int);
mallinfo!(mallinfo2_t, usize);

/// The census as glibc counts: the heaps, which hold the caches of threads, are memory in use, as glibc's caches are.
fn census() -> Stats {
    let mut stats = ENGINE.stats();
    stats.owned += stats.heaps;
    stats.live += stats.heaps;
    stats
}

/// The census as glibc's `struct mallinfo2`: `uordblks + fordblks = arena`, mapped blocks apart.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> mallinfo2_t {
    census().into()
}

/// [`mallinfo2`] cut to `int`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> mallinfo_t {
    census().into()
}

/// [`mallinfo`] under libc's own name.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_mallinfo() -> mallinfo_t {
    mallinfo()
}

/// What the report calls a pool: glibc's arena 0 is on the program break, its others are mappings. Regions are shown once
/// there were any.
fn pools(stats: &Stats) -> impl Iterator<Item = (usize, Pool)> {
    let mut pools = stats.pools;
    // Where the break serves, the heaps are beside it, as glibc's caches are in its arena.
    pools[0].owned += stats.heaps;
    pools[0].owned_peak += stats.heaps;
    pools[0].live += stats.heaps;
    pools.into_iter().enumerate().filter(|(number, pool)| *number == 0 || pool.owned_peak != 0)
}

/// Writes the census to stderr, in glibc's words. No cancellation point.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    let stats = ENGINE.stats();
    let mut write = |part: &CStr| Linux.write_error(part.to_bytes());
    let mut out = Out::new(&mut write);
    for (number, pool) in pools(&stats) {
        let _ =
            write!(out, "Arena {number}:\nsystem bytes     = {:10}\nin use bytes     = {:10}\n", pool.owned, pool.live);
    }
    let (owned, live) = (stats.owned + stats.heaps, stats.live + stats.heaps);
    let _ = write!(
        out,
        "Total (incl. mmap):\nsystem bytes     = {:10}\nin use bytes     = {:10}\n\
         max mmap regions = {:10}\nmax mmap bytes   = {:10}\n",
        owned + stats.mapped,
        live + stats.mapped,
        stats.mappings_peak,
        stats.mapped_peak,
    );
    out.flush();
}

unsafe extern "C" {
    fn fputs(text: *const c_char, stream: *mut c_void) -> c_int;
}

/// Writes the census to a stream as glibc's XML, version 1. `options` must be 0, else EINVAL is returned. Where writing is
/// a cancellation point, no lock of ours is held.
///
/// # Safety
/// `stream` is open for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        return EINVAL;
    }
    let mut free = [[0; CLASSES]; 2];
    let stats = ENGINE.stats_with_free(&mut free);
    let mut write = |part: &CStr| {
        // SAFETY: [caller-memory] malloc_info's contract; the part is a string.
        unsafe { fputs(part.as_ptr(), stream) };
    };
    let mut out = Out::new(&mut write);
    let _ = info_text(&mut out, &stats, &free);
    out.flush();
    0
}

fn info_text(out: &mut dyn Write, stats: &Stats, free: &FreeBlocks) -> fmt::Result {
    writeln!(out, "<malloc version=\"1\">")?;
    let mut sum = Pool::default();
    for (number, pool) in pools(stats) {
        writeln!(out, "<heap nr=\"{number}\">\n<sizes>")?;
        sizes_text(out, &free[number], &pool.free_runs)?;
        writeln!(out, "</sizes>")?;
        total_text(out, &pool)?;
        system_text(out, &pool)?;
        if number != 0 {
            writeln!(out, "<aspace type=\"subheaps\" size=\"1\"/>")?;
        }
        writeln!(out, "</heap>")?;
        sum.owned += pool.owned;
        sum.owned_peak += pool.owned_peak;
        sum.live += pool.live;
        sum.free_pieces += pool.free_pieces;
    }
    total_text(out, &sum)?;
    writeln!(out, "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>", stats.mappings, stats.mapped)?;
    system_text(out, &sum)?;
    writeln!(out, "</malloc>")
}

/// Free blocks by class: `from` and `to` are the requests that such a block serves. Free slices stand where glibc has its
/// unsorted chunks.
fn sizes_text(out: &mut dyn Write, free: &[u32; CLASSES], runs: &FreeRuns) -> fmt::Result {
    for (class, &count) in free.iter().enumerate().filter(|(_, count)| **count != 0) {
        let to = SIZES[class];
        let from = SIZES.iter().filter(|size| **size < to).max().map_or(1, |smaller| smaller + 1);
        let total = u64::from(count) * u64::from(to);
        writeln!(out, "  <size from=\"{from}\" to=\"{to}\" total=\"{total}\" count=\"{count}\"/>")?;
    }
    if runs.count != 0 {
        let FreeRuns { count, bytes, shortest, longest } = *runs;
        writeln!(out, "  <unsorted from=\"{shortest}\" to=\"{longest}\" total=\"{bytes}\" count=\"{count}\"/>")?;
    }
    Ok(())
}

fn total_text(out: &mut dyn Write, pool: &Pool) -> fmt::Result {
    let (count, size) = (pool.free_pieces, pool.owned - pool.live);
    writeln!(out, "<total type=\"fast\" count=\"0\" size=\"0\"/>")?;
    writeln!(out, "<total type=\"rest\" count=\"{count}\" size=\"{size}\"/>")
}

fn system_text(out: &mut dyn Write, pool: &Pool) -> fmt::Result {
    let Pool { owned, owned_peak, .. } = *pool;
    writeln!(out, "<system type=\"current\" size=\"{owned}\"/>\n<system type=\"max\" size=\"{owned_peak}\"/>")?;
    writeln!(out, "<aspace type=\"total\" size=\"{owned}\"/>\n<aspace type=\"mprotect\" size=\"{owned}\"/>")
}
