//! Direct mappings that were freed and are kept, with their memory, for the next block of their size.
//!
//! A block above the highest mmap threshold gets a mapping each time, and each time the kernel zeroes all of it. A program
//! that frees such blocks again and again gets the last ones back as they were. What keeps this from being seen in RSS:
//!
//! * the first free of a size goes back at once, as everybody expects of a mapping;
//! * only what would be mapped again is kept: a size that the threshold has moved above comes from the heap;
//! * setting one of the four options that end the dynamics ends this too;
//! * few are kept ([`policy::kept_budget`]), all of them go where a mapping is made that none of them serves, when memory
//!   is refused or limited, with `malloc_trim`, and when two looks of the helper have found them;
//! * where no helper may or can be had, or memory is short in the control group, nothing is kept.
//!
//! A kept mapping is no block: its owner word says KEPT, so a second free is told from the first. The table lies under the
//! store's lock ([kept-mapping]).

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::{Relaxed, Release};

use brkmap_wire::{Counter, Rule};

use crate::alloc::Fill;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, slice_of};
use crate::page::{PageMeta, owner};
use crate::policy;
use crate::spans::Spans;

/// Mappings that are kept at most.
const ROOM: usize = 4;
/// Sizes that are remembered as freed before.
const SIZES: usize = 16;
/// What is kept goes for a mapping of at least this part of it: a block that grows step by step shall not grow beside it.
const YIELDS_FROM: usize = 64;
/// Looks after which a mapping that nobody asked for goes.
const LOOKS: u8 = 2;

/// A kept mapping; `bytes` 0: none.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    bytes: usize,
    /// Looks that have found it.
    looks: u8,
}

/// The table. All zero: nothing kept, nothing freed.
pub(crate) struct Kept {
    /// The oldest first.
    entries: [Entry; ROOM],
    /// Sizes that were freed, the last ones.
    freed: [usize; SIZES],
    next: usize,
    bytes: usize,
}

/// Which of the kept mappings go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that two looks found, this one included.
    Idle,
    All,
}

impl Kept {
    pub(crate) const fn new() -> Kept {
        const NONE: Entry = Entry { start: 0, bytes: 0, looks: 0 };
        Kept { entries: [NONE; ROOM], freed: [0; SIZES], next: 0, bytes: 0 }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Start and bytes of each.
    pub(crate) fn list(&self) -> impl Iterator<Item = (usize, usize)> {
        self.entries.iter().filter(|entry| entry.bytes != 0).map(|entry| (entry.start, entry.bytes))
    }

    /// Was a mapping of that size freed before? From now on one was.
    fn note_freed(&mut self, bytes: usize) -> bool {
        if self.freed.contains(&bytes) {
            return true;
        }
        self.freed[self.next % SIZES] = bytes;
        self.next = self.next.wrapping_add(1);
        false
    }

    /// Adds a mapping; the table is not full.
    fn push(&mut self, start: usize, bytes: usize) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.bytes == 0) {
            *entry = Entry { start, bytes, looks: 0 };
            self.bytes += bytes;
        }
    }

    fn is_full(&self) -> bool {
        self.entries[ROOM - 1].bytes != 0
    }

    /// Takes one out and closes the gap.
    fn remove(&mut self, index: usize) -> Entry {
        let entry = self.entries[index];
        self.entries.copy_within(index + 1.., index);
        self.entries[ROOM - 1].bytes = 0;
        self.bytes -= entry.bytes;
        entry
    }

    /// The newest of that size and alignment.
    fn find(&self, bytes: usize, align: usize) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.bytes == bytes && entry.start & (align - 1) == 0)
    }
}

impl<P: Platform> Engine<P> {
    /// Keeps a mapping that was just freed and is out of the map. `false`: it is to be unmapped.
    pub(crate) fn keep_mapping(&self, page: &PageMeta, start: usize, bytes: usize, requested: usize) -> bool {
        let chunk = policy::chunk(requested, self.os_page.load(Relaxed));
        if chunk < self.tunables.mmap_threshold.load(Relaxed) || self.tunables.fixed.load(Relaxed) != 0 {
            return false;
        }
        // The first of its size goes, before anything else is asked: one call, as people who trace a program expect.
        if !self.with_spans(|spans| spans.kept.note_freed(bytes)) || !self.may_keep() {
            return false;
        }
        let kept = self.with_spans(|spans| {
            let live = self.counter(Counter::UsedSliceBytes) + self.counter(Counter::DirectLiveBytes);
            let budget = policy::kept_budget(live as usize);
            if bytes > budget || !self.may_stay(spans, bytes) {
                return false;
            }
            while spans.kept.is_full() || spans.kept.bytes + bytes > budget {
                self.unmap_kept(spans, 0);
            }
            spans.kept.push(start, bytes);
            self.note_kept(spans);
            page.owner.store(owner::KEPT, Release);
            self.set_direct_bit(start, true);
            true
        });
        if kept {
            self.nudge();
        }
        kept
    }

    /// May mappings be kept at all?
    fn may_keep(&self) -> bool {
        self.perturb.load(Relaxed) == 0 && self.has_helper()
    }

    /// A kept mapping of `bytes` bytes for a block that is aligned to `align` and need not be zero. None fits, and the block
    /// is of a size with them: all of them go back, so that a program that asks for other sizes holds no more than without.
    pub(crate) fn take_kept(&self, bytes: usize, align: usize, fill: Fill) -> Option<NonNull<u8>> {
        let kept = self.counter(Counter::KeptLiveBytes) as usize;
        if kept == 0 {
            return None;
        }
        self.with_spans(|spans| {
            let found = if fill == Fill::Any { spans.kept.find(bytes, align) } else { None };
            let Some(index) = found else {
                self.yield_kept(spans, bytes);
                return None;
            };
            let entry = spans.kept.remove(index);
            self.note_kept(spans);
            self.forget_kept(entry.start);
            self.count(Counter::KeptReused, 1);
            NonNull::new(with_exposed_provenance_mut(entry.start))
        })
    }

    /// A mapping of `bytes` bytes comes that no kept one serves, made or grown: where they are of a size with it, they go.
    pub(crate) fn yield_kept(&self, spans: &mut Spans, bytes: usize) {
        if spans.kept.bytes != 0 && bytes >= spans.kept.bytes / YIELDS_FROM {
            self.release_kept(spans, Which::All);
        }
    }

    /// Unmaps kept mappings; how many bytes went.
    pub(crate) fn release_kept(&self, spans: &mut Spans, which: Which) -> usize {
        let before = spans.kept.bytes;
        for index in (0..ROOM).rev() {
            let entry = &mut spans.kept.entries[index];
            entry.looks = entry.looks.saturating_add(1);
            if entry.bytes != 0 && (which == Which::All || entry.looks >= LOOKS) {
                self.unmap_kept(spans, index);
            }
        }
        before - spans.kept.bytes
    }

    fn unmap_kept(&self, spans: &mut Spans, index: usize) {
        let entry = spans.kept.remove(index);
        self.note_kept(spans);
        self.forget_kept(entry.start);
        if self.unmap_direct(entry.start, entry.bytes) {
            self.note_return(Rule::Kept, entry.bytes);
        }
    }

    fn note_kept(&self, spans: &Spans) {
        self.counters[Counter::KeptLiveBytes as usize].store(spans.kept.bytes as u64, Relaxed);
    }

    /// The range is no kept mapping any more.
    fn forget_kept(&self, start: usize) {
        self.page(slice_of(start)).owner.store(owner::NONE, Release);
        self.set_direct_bit(start, false);
    }

    /// Says to readers whether a mapping, live or kept, starts there.
    pub(crate) fn set_direct_bit(&self, start: usize, starts: bool) {
        let slice = slice_of(start);
        if let Some(leaf) = self.map.leaf(slice) {
            let index = slice as usize % LEAF_SLICES;
            if starts { leaf.direct.set_shared(index) } else { leaf.direct.clear_shared(index) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_of_a_size_is_known() {
        let mut kept = Kept::new();
        assert!(!kept.note_freed(4096) && !kept.note_freed(8192));
        assert!(kept.note_freed(4096) && kept.note_freed(8192));
        // So many others that the size is forgotten.
        assert!((1..=SIZES).all(|size| !kept.note_freed(size)));
        assert!(!kept.note_freed(4096));
    }

    #[test]
    fn the_newest_that_fits_is_taken_and_the_gap_closes() {
        let mut kept = Kept::new();
        for (start, bytes) in [(1 << 20, 100), (3 << 16, 200), (2 << 20, 100), (4096, 200)] {
            kept.push(start, bytes);
        }
        assert!(kept.is_full() && kept.bytes() == 600);
        assert_eq!(kept.find(100, 4096), Some(2));
        assert_eq!(kept.find(200, 1 << 16), Some(1));
        assert_eq!(kept.find(200, 1 << 20), None);
        assert_eq!(kept.remove(1).start, 3 << 16);
        assert_eq!(kept.entries.map(|entry| entry.start)[..3], [1 << 20, 2 << 20, 4096]);
        assert!(!kept.is_full() && kept.bytes() == 400);
        assert_eq!(kept.find(200, 1 << 16), None);
    }
}
