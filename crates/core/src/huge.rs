//! Transparent huge pages, unless they are unwished (`thp:off`, glibc's `hugetlb=0`).
//!
//! One fault makes 2 MiB resident, so huge pages are asked for only where the memory will be used up soon: not while the heap
//! is small, and only in what a source has just grown by, of which the store hands out the lowest slices first; not for a
//! block that is as large as a chunk and a good part of the heap, of which the program may touch a little here and there. When
//! memory goes back the growth is over: from then on nothing that exists is to be made huge, because the kernel (khugepaged)
//! would fill the holes again, and where the system makes huge pages of everything, without having been asked for any. Huge
//! pages that are there stay huge where no hole is.

use core::ptr::{NonNull, with_exposed_provenance_mut};

use brkmap_sys::Kernel;

use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address};
use crate::spans::Spans;

/// Bytes of a huge page.
pub(crate) const CHUNK: usize = 2 << 20;
/// No huge pages for a heap that uses less than this: the last one that growth touches may be almost empty, and 2 MiB are a
/// fifth of a heap of 10 MiB.
const LEAST: usize = 32 << 20;
/// The kernel is not told about a heap that owns less than this: it cannot fill more than that.
const LEAST_TO_FILL: usize = 8 << 20;

impl<P: Platform> Engine<P> {
    /// Shall what is added now, for a block or page of `need` bytes, be made of huge pages?
    pub(crate) fn grows_huge(&self, need: usize) -> bool {
        self.huge_pages() != Some(false) && self.in_use() >= LEAST && need < CHUNK.max(self.in_use() / 16)
    }

    /// A source grew from `start` to `end`, for a block or page of `need` bytes: asks for huge pages there.
    pub(crate) fn advise_growth(&self, spans: &mut Spans, need: usize, start: usize, end: usize) {
        spans.may_be_filled |= spans.owned.iter().sum::<usize>() * SLICE >= LEAST_TO_FILL;
        if !self.grows_huge(need) {
            return;
        }
        // From end to end, so that what was grown by one after the other is one mapping to the kernel; it makes huge pages of
        // whole chunks alone.
        self.advise_huge(start, end - start, true);
    }

    /// Memory went back: what exists shall not become huge any more.
    pub(crate) fn end_growth(&self, spans: &mut Spans) {
        if !core::mem::take(&mut spans.may_be_filled) {
            return;
        }
        for leaf in self.map.leaves() {
            let mut end = LEAF_SLICES;
            while let Some(last) = leaf.owned.last_below(end, true) {
                let first = leaf.owned.last_below(last, false).map_or(0, |foreign| foreign + 1);
                let start = slice_address(leaf.first_slice() + first as u32);
                self.advise_huge(start, (last + 1 - first) * SLICE, false);
                end = first;
            }
        }
    }

    fn advise_huge(&self, start: usize, bytes: usize, wanted: bool) {
        if let Some(start) = NonNull::new(with_exposed_provenance_mut::<u8>(start)) {
            self.kernel().advise_huge(start, bytes, wanted);
        }
    }
}
