//! The real memory under a simulated address space.

use std::ffi::{c_int, c_void};
use std::io;

const PROT_NONE: c_int = 0;
const PROT_READ_WRITE: c_int = 1 | 2;
/// Private, anonymous, without a reservation of swap.
const RESERVED: c_int = 0x02 | 0x20 | 0x4000;
const MAP_FIXED: c_int = 0x10;
const MADV_DONTNEED: c_int = 4;
const MADV_NOHUGEPAGE: c_int = 15;
pub(super) const HOST_PAGE: usize = 4096;

unsafe extern "C" {
    fn mmap(hint: *mut c_void, len: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
    fn munmap(start: *mut c_void, len: usize) -> c_int;
    fn mprotect(start: *mut c_void, len: usize, protection: c_int) -> c_int;
    fn madvise(start: *mut c_void, len: usize, advice: c_int) -> c_int;
    fn mincore(start: *mut c_void, len: usize, pages: *mut u8) -> c_int;
}

/// A range of the real address space; inaccessible but where it was opened.
pub(super) struct Reservation {
    base: usize,
    total: usize,
    start: usize,
}

/// Alignment of the start: what depends on an address within this much is the same in every run of a seed.
const ALIGNMENT: usize = 1 << 30;

/// Where huge pages are given to whoever does not ask, more would be in memory than was touched. A kernel that has none
/// refuses, which is as good.
fn only_small_pages(start: usize, len: usize) {
    // SAFETY: [simulated-space] advice about a range of the reservation changes no contents
    unsafe { madvise(start as *mut c_void, len, MADV_NOHUGEPAGE) };
}

impl Reservation {
    pub(super) fn new(len: usize) -> Self {
        let total = len + ALIGNMENT;
        // SAFETY: [fresh-mapping] a new range without access
        let base = unsafe { mmap(std::ptr::null_mut(), total, PROT_NONE, RESERVED, -1, 0) } as usize;
        assert!(base != usize::MAX, "the simulated space of {total} bytes: {}", io::Error::last_os_error());
        only_small_pages(base, total);
        Reservation { base, total, start: base.next_multiple_of(ALIGNMENT) }
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    fn expect(&self, from: usize, to: usize, ok: bool, what: &str) {
        assert!(ok, "the real kernel refuses to {what} {from:#x}..{to:#x}: {}", io::Error::last_os_error());
    }

    /// Makes a range accessible; it is zero.
    pub(super) fn open(&self, from: usize, to: usize) {
        // SAFETY: [simulated-space] the range lies in the reservation, whose protection only this type changes
        let ok = from == to || unsafe { mprotect(from as *mut c_void, to - from, PROT_READ_WRITE) } == 0;
        self.expect(from, to, ok, "open");
    }

    /// Drops the contents and the access.
    pub(super) fn close(&self, from: usize, to: usize) {
        if from == to {
            return;
        }
        let at = from as *mut c_void;
        // SAFETY: [simulated-space] replaces a range of the reservation by the same without contents
        let got = unsafe { mmap(at, to - from, PROT_NONE, RESERVED | MAP_FIXED, -1, 0) };
        self.expect(from, to, got == at, "close");
        only_small_pages(from, to - from);
    }

    /// Makes an open range zero.
    pub(super) fn zero(&self, from: usize, to: usize) {
        // SAFETY: [simulated-space] private anonymous memory of the reservation reads as zero afterwards
        let ok = unsafe { madvise(from as *mut c_void, to - from, MADV_DONTNEED) } == 0;
        self.expect(from, to, ok, "zero");
    }

    /// Copies between open ranges that do not overlap; pages of zeros are left out, the target is fresh.
    pub(super) fn copy(&self, from: usize, to: usize, len: usize) {
        for offset in (0..len).step_by(HOST_PAGE) {
            // SAFETY: [simulated-space] both ranges are open and apart
            let source = unsafe { std::slice::from_raw_parts((from + offset) as *const u64, HOST_PAGE / 8) };
            if source.iter().any(|&word| word != 0) {
                // SAFETY: [simulated-space] as above
                unsafe {
                    let target = (to + offset) as *mut u64;
                    target.copy_from_nonoverlapping(source.as_ptr(), HOST_PAGE / 8);
                }
            }
        }
    }

    /// Which host pages of the range are in memory, one byte each.
    pub(super) fn residency(&self, from: usize, to: usize) -> Vec<u8> {
        let mut pages = vec![0u8; (to - from) / HOST_PAGE];
        // SAFETY: [out-argument] one byte per page of the range
        let ok = pages.is_empty() || unsafe { mincore(from as *mut c_void, to - from, pages.as_mut_ptr()) } == 0;
        self.expect(from, to, ok, "look at");
        pages
    }

    /// Bytes of the range that are in memory.
    pub(super) fn resident(&self, from: usize, to: usize) -> usize {
        self.residency(from, to).iter().filter(|&&page| page & 1 != 0).count() * HOST_PAGE
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: [simulated-space] the whole reservation; the kernel that gave it out is gone
        unsafe { munmap(self.base as *mut c_void, self.total) };
    }
}
