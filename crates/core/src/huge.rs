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
use brkmap_wire::Rule;

use crate::batch::Batch;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address};
use crate::page_map::{Leaf, WORDS};
use crate::spans::Spans;

/// Bytes of a huge page.
pub(crate) const CHUNK: usize = 2 << 20;
/// No huge pages for a heap that uses less than this: the last one that growth touches may be almost empty, and 2 MiB are a
/// fifth of a heap of 10 MiB.
const LEAST: usize = 32 << 20;
/// The kernel is not told about a heap that owns less than this: it cannot fill more than that.
const LEAST_TO_FILL: usize = 8 << 20;
/// Slices of a huge page. A word of a leaf's bitmaps has those of whole huge pages.
const CHUNK_SLICES: usize = CHUNK / SLICE;
const _: () = assert!(64 % CHUNK_SLICES == 0);

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
        spans.is_huge = true;
    }

    /// Memory went back, or the process is about to fork and grew by huge pages: what exists shall not become huge any more, and what huge pages made
    /// resident beyond the slices that were taken goes back.
    pub(crate) fn end_growth(&self, spans: &mut Spans) {
        let was_huge = core::mem::take(&mut spans.is_huge);
        if !core::mem::take(&mut spans.may_be_filled) && !was_huge {
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
        if was_huge {
            self.purge_untouched();
        }
    }

    /// Gives back the free slices that share a huge page with touched ones and were not touched themselves, or not since they
    /// were given back.
    fn purge_untouched(&self) {
        if !self.can_return() {
            return;
        }
        let mut batch = Batch::new(Rule::Untouched);
        for leaf in self.map.leaves() {
            let mut at = 0;
            while let Some((first, count)) = next_untouched(leaf, at) {
                at = first + count;
                if batch.is_full() && self.empty_batch(&mut batch, |()| ()).refused {
                    return;
                }
                batch.push(slice_address(leaf.first_slice() + first as u32), count * SLICE, ());
            }
        }
        self.empty_batch(&mut batch, |()| ());
    }

    fn advise_huge(&self, start: usize, bytes: usize, wanted: bool) {
        if let Some(start) = NonNull::new(with_exposed_provenance_mut::<u8>(start)) {
            self.kernel().advise_huge(start, bytes, wanted);
        }
    }
}

/// Slices, out of those of a bitmap word, that are untouched and share a huge page with touched ones.
fn untouched_beside_touched(owned: u64, free: u64, dirty: u64) -> u64 {
    let untouched = free & !dirty;
    let touched = owned & !untouched;
    (0..64 / CHUNK_SLICES).fold(0, |found, chunk| {
        let slices = ((1 << CHUNK_SLICES) - 1) << (chunk * CHUNK_SLICES);
        if touched & slices == 0 { found } else { found | untouched & slices }
    })
}

/// The first run of such slices of a leaf from `from` on, as far as it lies in one bitmap word: (index, count).
fn next_untouched(leaf: &Leaf, from: usize) -> Option<(usize, usize)> {
    (from / 64..WORDS).find_map(|word| {
        let mask = if word == from / 64 { u64::MAX << (from % 64) } else { u64::MAX };
        let found = untouched_beside_touched(leaf.owned.word(word), leaf.free.word(word), leaf.dirty.word(word)) & mask;
        let first = found.trailing_zeros();
        (found != 0).then(|| (word * 64 + first as usize, (found >> first).trailing_ones() as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_slices_count_only_beside_touched_ones_of_their_huge_page() {
        let all = u64::MAX;
        assert_eq!(untouched_beside_touched(all, all, 0), 0, "nothing was touched");
        assert_eq!(untouched_beside_touched(all, 0, 0), 0, "all are taken");
        assert_eq!(untouched_beside_touched(all, all << 3, 0), 0xffff_fff8, "the upper huge page has none taken");
        assert_eq!(untouched_beside_touched(all, all, 1 << 40), 0xffff_feff_0000_0000, "dirty slices are touched ones");
        assert_eq!(untouched_beside_touched(0xffff, 0xfff0, 0), 0xfff0, "slices of others are not ours to purge");
    }
}
