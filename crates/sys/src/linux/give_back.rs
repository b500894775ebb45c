//! Giving contents back: one range with `madvise`, many with `process_madvise`.
//!
//! A hole of an OS page or two costs a system call and a flush of the translation caches of every processor that the
//! process runs on; in vectors the kernel does both once for all of them. Kernels before 6.13 accept no such advice for the
//! caller's own memory, and before 6.14 the caller would have to keep a descriptor of itself: there it is a call a range.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::syscall::number as nr;
use super::syscall::{self, EBADF, EINVAL, ENOSYS, EPERM, refused};
use super::{Linux, MADV_DONTNEED};
use crate::{Kernel, Purged, Purpose, Range};

/// In place of a descriptor of the process: the calling thread's own (`PIDFD_SELF_THREAD`, Linux 6.14).
const SELF: usize = -10000isize as usize;
/// Ranges that the kernel takes in one call (`UIO_MAXIOV`).
const MOST: usize = 1024;

/// One of the three below.
static VECTORS: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const WORK: u8 = 1;
const REFUSED: u8 = 2;

/// Since Linux 4.5.
const MADV_FREE: usize = 8;
const MADV_HUGEPAGE: usize = 14;
const MADV_NOHUGEPAGE: usize = 15;
/// Since Linux 5.4: "not needed soon". Told of a part of a huge page, the kernel splits it, because it can think so of a whole
/// page alone. (`madvise_cold_or_pageout_pte_range` in its `mm/madvise.c`)
const MADV_COLD: usize = 20;

/// The kernel has no `MADV_FREE`.
static LAZY_REFUSED: AtomicBool = AtomicBool::new(false);

/// # Safety
/// [`Kernel::purge`]'s, for `MADV_DONTNEED` and `MADV_FREE`.
pub(super) unsafe fn purge(start: NonNull<u8>, bytes: usize, advice: usize) -> bool {
    // SAFETY: [caller-owns-range] the caller's promise: nothing in it is needed
    !refused(unsafe { syscall::call3(nr::MADVISE, start.as_ptr() as usize, bytes, advice) })
}

/// See [`Kernel::advise_huge`].
pub(super) fn advise_huge(start: NonNull<u8>, bytes: usize, wanted: bool) {
    let advice = if wanted { MADV_HUGEPAGE } else { MADV_NOHUGEPAGE };
    // SAFETY: [no-memory-effect] the advice changes no contents
    unsafe { syscall::call3(nr::MADVISE, start.as_ptr() as usize, bytes, advice) };
}

/// See [`Kernel::split_huge`].
pub(super) fn split_huge(ranges: &[Range]) {
    for part in ranges.chunks(MOST) {
        // SAFETY: [no-memory-effect] the advice changes no contents
        if part.len() > 1 && vectors_work() && !refused(unsafe { advise(part, MADV_COLD) }) {
            continue;
        }
        for range in part {
            // SAFETY: [no-memory-effect] as above
            unsafe { syscall::call3(nr::MADVISE, range.start, range.bytes, MADV_COLD) };
        }
    }
}

/// # Safety
/// [`Kernel::purge_lazily`]'s.
pub(super) unsafe fn purge_lazily(ranges: &[Range]) -> Purged {
    if !LAZY_REFUSED.load(Ordering::Relaxed) {
        // SAFETY: [caller-owns-range] the caller's promise
        let purged = unsafe { purge_ranges(ranges, MADV_FREE) };
        if purged.ranges > 0 || ranges.is_empty() {
            return purged;
        }
        LAZY_REFUSED.store(true, Ordering::Relaxed);
    }
    // SAFETY: [caller-owns-range] the caller's promise
    unsafe { purge_ranges(ranges, MADV_DONTNEED) }
}

/// # Safety
/// [`Kernel::purge_ranges`]'s.
pub(super) unsafe fn purge_ranges(ranges: &[Range], advice: usize) -> Purged {
    let mut purged = Purged::default();
    while purged.ranges < ranges.len() {
        let rest = &ranges[purged.ranges..];
        if rest.len() > 1 && vectors_work() {
            let part = &rest[..rest.len().min(MOST)];
            // SAFETY: [caller-owns-range] the caller's promise: nothing in them is needed
            let result = unsafe { advise(part, advice) };
            purged.calls += 1;
            if !refused(result) {
                // The kernel counts bytes, and stops at the range that it cannot purge.
                let whole = whole_ranges(part, result);
                purged.ranges += whole;
                if whole == part.len() {
                    continue;
                }
            } else if [ENOSYS, EPERM, EBADF].iter().any(|&error| syscall::is(result, error)) {
                // A filter that is in force since.
                VECTORS.store(REFUSED, Ordering::Relaxed);
            }
        }
        // One by one, if only to see whether this one is refused.
        let Some(&Range { start, bytes }) = ranges.get(purged.ranges) else { break };
        let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(start)) else { break };
        purged.calls += 1;
        // SAFETY: [caller-owns-range] the caller's promise
        if !unsafe { purge(start, bytes, advice) } {
            break;
        }
        purged.ranges += 1;
    }
    purged
}

/// How many ranges lie wholly in the first `bytes` of all.
fn whole_ranges(ranges: &[Range], bytes: usize) -> usize {
    let mut left = bytes;
    ranges
        .iter()
        .take_while(|range| {
            let whole = range.bytes <= left;
            left = left.saturating_sub(range.bytes);
            whole
        })
        .count()
}

/// # Safety
/// The ranges are the caller's and, unless the advice leaves contents alone, hold nothing that is needed. [`Range`] is the kernel's `struct iovec`.
unsafe fn advise(ranges: &[Range], advice: usize) -> usize {
    // SAFETY: [caller-owns-range] the caller's promise; the kernel reads the array
    unsafe { syscall::call5(nr::PROCESS_MADVISE, SELF, ranges.as_ptr() as usize, ranges.len(), advice, 0) }
}

fn vectors_work() -> bool {
    match VECTORS.load(Ordering::Relaxed) {
        UNKNOWN => try_vectors(),
        known => known == WORK,
    }
}

/// Purges the first and the third of three pages of its own and looks. Threads that come together each try.
#[cold]
fn try_vectors() -> bool {
    let kernel = Linux;
    let size = kernel.page_size();
    let Some(pages) = kernel.map(0, 3 * size, Purpose::Metadata) else { return false };
    let at = |page: usize| pages.as_ptr().wrapping_add(page * size);
    let ranges = [0, 2].map(|page| Range { start: at(page).expose_provenance(), bytes: size });
    // SAFETY: [fresh-mapping] pages of our own, writable, nobody else knows them; volatile: the kernel changes them
    let (result, left) = unsafe {
        (0..3).for_each(|page| ptr::write_volatile(at(page), 0xA5));
        let result = advise(&ranges, MADV_DONTNEED);
        (result, [0, 1, 2].map(|page| ptr::read_volatile(at(page))))
    };
    // SAFETY: [fresh-mapping] as above, and we are done with them
    unsafe { kernel.unmap(pages, 3 * size) };
    let works = result == 2 * size && left == [0, 0xA5, 0];
    let is_final = works || !refused(result) || [ENOSYS, EPERM, EBADF, EINVAL].iter().any(|&e| syscall::is(result, e));
    if is_final {
        VECTORS.store(if works { WORK } else { REFUSED }, Ordering::Relaxed);
    }
    works
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_count_names_the_ranges_that_are_done() {
        let ranges = [4096, 8192, 4096].map(|bytes| Range { start: 65536, bytes });
        let whole = |bytes| whole_ranges(&ranges, bytes);
        assert_eq!([0, 4095, 4096, 8192, 12287, 12288, 16384].map(whole), [0, 0, 1, 1, 1, 2, 3]);
    }
}
