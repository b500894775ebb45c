//! The span store: which slices the engine owns, and which of them are free.
//!
//! The answer lies in the leaves' bitmaps (one bit per slice), so a search is a scan of at most 64 words per 256 MiB and
//! takes the lowest address that fits: live memory packs low, the top of the break can go back; of regions, which come from
//! high to low, what was used before. Everything here happens
//! under one lock, once per page (64 KiB of blocks), not per block.
//!
//! *[store-lock]* The store, the bitmaps (but `direct`) and the leaf list change under `store_lock` alone.
//! *[span-bits]* free ⊆ owned, dirty ⊆ free, on_break ⊆ owned; a slice with a page, an interior or a run is owned and
//! not free.

use brkmap_sys::Kernel;
use brkmap_wire::Counter;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use crate::classes::CLASSES;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, round_up, slice_of};
use crate::heap::Origin;
use crate::kept::Kept;
use crate::page_map::{Leaf, WORDS};
use crate::patience::Patience;
use crate::pressure::Outlook;
use crate::shared::Kin;
use crate::sources::{BreakSource, MetadataSource, RegionSource};

/// The store's state. All zero: nothing owned.
pub(crate) struct Spans {
    pub(crate) brk: BreakSource,
    pub(crate) regions: RegionSource,
    pub(crate) metadata: MetadataSource,
    /// Free tables of state bytes per class, linked through their first word.
    pub(crate) tables: [usize; CLASSES],
    /// Slices owned on the break, and in regions; and the most of each that there were.
    pub(crate) owned: [usize; 2],
    pub(crate) owned_peak: [usize; 2],
    /// Slices in use.
    pub(crate) used: usize,
    /// Free slices that may be resident.
    pub(crate) dirty: usize,
    /// A leaf in reserve, for a block that `mremap` moves to where no leaf is.
    pub(crate) spare_leaf: Option<NonNull<Leaf>>,
    /// Counts what is taken and returned; a look compares it with the last one's.
    pub(crate) changes: u64,
    pub(crate) changes_seen: u64,
    /// When `dirty` first exceeded the budget; 0 = it does not.
    pub(crate) over_since: u64,
    /// What is known of the process's control group: see `pressure`.
    pub(crate) outlook: Outlook,
    /// What is known of forked children: see `shared`.
    pub(crate) kin: Kin,
    /// Least value of `dirty` since then, and since the last look: so much was not needed in all that time.
    pub(crate) low_since_over: usize,
    pub(crate) low_since_look: usize,
    /// When the free top of the break first exceeded its threshold, 0 = it does not; and the fewest slices that were free
    /// there since.
    pub(crate) top_since: u64,
    pub(crate) top_low: usize,
    /// Purged slices that were not taken again yet, about; and those that calls purged last.
    pub(crate) purged: usize,
    pub(crate) purged_by_call: usize,
    /// Slices taken again since calls purged last.
    pub(crate) regretted: usize,
    /// See [`patience::next_call_delay`](crate::patience::next_call_delay); 0 = the shortest.
    pub(crate) call_delay: u64,
    /// Huge pages were asked for since memory last went back.
    pub(crate) is_huge: bool,
    /// Memory was added since some last went back, of which the kernel may make huge pages.
    pub(crate) may_be_filled: bool,
    /// What the looks have learnt.
    pub(crate) patience: Patience,
    /// Direct mappings that wait for a block of their size.
    pub(crate) kept: Kept,
}

/// A range of slices that was taken from the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first: u32,
    /// All of it reads as zero.
    pub(crate) zero: bool,
}

/// Free slices that stay with their origin.
const PLENTY: usize = 16;

impl Spans {
    pub(crate) const fn new() -> Spans {
        Spans {
            brk: BreakSource::new(),
            regions: RegionSource::new(),
            metadata: MetadataSource::new(),
            tables: [0; CLASSES],
            owned: [0; 2],
            owned_peak: [0; 2],
            used: 0,
            dirty: 0,
            spare_leaf: None,
            changes: 0,
            changes_seen: 0,
            over_since: 0,
            outlook: Outlook::new(),
            kin: Kin::new(),
            low_since_over: 0,
            low_since_look: 0,
            top_since: 0,
            top_low: 0,
            purged: 0,
            purged_by_call: 0,
            regretted: 0,
            call_delay: 0,
            is_huge: false,
            may_be_filled: false,
            patience: Patience::NEW,
            kept: Kept::new(),
        }
    }
}

/// The first `count` consecutive set bits of a bitmap whose words are `word(i)`.
fn find_run(count: usize, word: impl Fn(usize) -> u64) -> Option<usize> {
    let mut run = 0;
    for index in 0..WORDS {
        let bits = word(index);
        if bits == 0 {
            run = 0;
            continue;
        }
        if count == 1 {
            return Some(index * 64 + bits.trailing_zeros() as usize);
        }
        let mut at = 0;
        while at < 64 {
            let ones = (bits >> at).trailing_ones() as usize;
            run += ones;
            if run >= count {
                return Some(index * 64 + at + ones - run);
            }
            at += ones;
            if at < 64 {
                run = 0;
                at += ((bits >> at).trailing_zeros() as usize).min(64 - at);
            }
        }
    }
    None
}

impl<P: Platform> Engine<P> {
    /// Takes `slices` consecutive slices: free ones of the preferred origin, free ones of the other, then fresh ones.
    pub(crate) fn take_span(&self, spans: &mut Spans, slices: usize, origin: Origin) -> Option<Span> {
        if !self.fits_limit(spans, slices * SLICE) {
            return None;
        }
        let other = if origin == Origin::Break { Origin::Region } else { Origin::Break };
        let found = || {
            let own = self.find(slices, origin);
            own.or_else(|| if self.is_plenty(slices) { self.find(slices, other) } else { None })
        };
        let mut first = found();
        for growth in [origin, origin, other, other] {
            if first.is_some() {
                break;
            }
            // Twice, because a run does not cross a leaf: what came first may lie on both sides of the border.
            if self.grow(spans, slices, growth) {
                first = found().or_else(|| self.find(slices, other));
            }
        }
        let first = first.or_else(|| self.find(slices, other))?;
        Some(self.claim(spans, first, slices))
    }

    /// Is so much free that one origin's heaps may live off the other's? A little is left to those who freed it.
    fn is_plenty(&self, slices: usize) -> bool {
        let free: u32 = self.map.leaves().map(|leaf| leaf.free_slices.load(Relaxed)).sum();
        free as usize >= slices + PLENTY
    }

    fn grow(&self, spans: &mut Spans, slices: usize, origin: Origin) -> bool {
        match origin {
            Origin::Break => self.grow_break(spans, slices),
            Origin::Region => self.grow_regions(spans, slices),
        }
    }

    /// The lowest free slices of an origin. Regions come from high to low addresses, so there the lowest are the newest, and
    /// those that were used before come first.
    fn find(&self, slices: usize, origin: Origin) -> Option<u32> {
        let free = |leaf: &Leaf, word| leaf.free.word(word);
        match origin {
            Origin::Break => self.find_lowest(slices, |leaf, word| free(leaf, word) & leaf.on_break.word(word)),
            Origin::Region => {
                let is_dirty = |leaf: &Leaf| leaf.dirty_slices.load(Relaxed) as usize >= slices;
                let dirty = |leaf: &Leaf, word| leaf.dirty.word(word) & !leaf.on_break.word(word);
                let used = if self.map.leaves().any(is_dirty) { self.find_lowest(slices, dirty) } else { None };
                used.or_else(|| self.find_lowest(slices, |leaf, word| free(leaf, word) & !leaf.on_break.word(word)))
            }
        }
    }

    fn find_lowest(&self, slices: usize, word: impl Fn(&Leaf, usize) -> u64) -> Option<u32> {
        let mut best: Option<u32> = None;
        for leaf in self.map.leaves() {
            if (leaf.free_slices.load(Relaxed) as usize) < slices || best.is_some_and(|b| b < leaf.first_slice()) {
                continue;
            }
            if let Some(index) = find_run(slices, |index| word(leaf, index)) {
                best = Some(leaf.first_slice() + index as u32);
            }
        }
        best
    }

    fn claim(&self, spans: &mut Spans, first: u32, slices: usize) -> Span {
        let leaf = self.owning_leaf(first);
        let index = first as usize % LEAF_SLICES;
        leaf.free.fill(index, slices, false);
        leaf.change_free(-(slices as i32));
        let dirty = leaf.dirty.fill(index, slices, false);
        leaf.change_dirty(-(dirty as i32));
        spans.dirty -= dirty;
        spans.used += slices;
        self.note_regret(spans, slices - dirty);
        self.note_top(spans, first + slices as u32);
        self.tally(Counter::UsedSliceBytes, (slices * SLICE) as isize);
        self.note_budget(spans);
        if dirty < slices {
            self.note_growth(spans, (slices - dirty) * SLICE);
        }
        // What was purged lazily is no longer dirty, and not zero for that.
        Span { first, zero: dirty == 0 && !self.purges_lazily() }
    }

    /// Takes the free slices right behind a span, to grow it in place.
    pub(crate) fn extend_span(&self, spans: &mut Spans, behind: u32, slices: usize) -> Option<Span> {
        let index = behind as usize % LEAF_SLICES;
        if index == 0 || index + slices > LEAF_SLICES {
            return None;
        }
        // The limit first: it may give back the very slices that are free now.
        if !self.fits_limit(spans, slices * SLICE) {
            return None;
        }
        let leaf = self.map.leaf(behind)?;
        (leaf.free.count(index, slices) == slices).then(|| self.claim(spans, behind, slices))
    }

    /// Gives slices back to the store; their memory stays resident until the budget says otherwise.
    pub(crate) fn return_span(&self, spans: &mut Spans, first: u32, slices: usize) {
        let leaf = self.owning_leaf(first);
        let index = first as usize % LEAF_SLICES;
        leaf.free.fill(index, slices, true);
        leaf.change_free(slices as i32);
        leaf.dirty.fill(index, slices, true);
        leaf.change_dirty(slices as i32);
        spans.dirty += slices;
        spans.used -= slices;
        self.tally(Counter::UsedSliceBytes, -((slices * SLICE) as isize));
        self.note_budget(spans);
    }

    /// Takes fresh slices, all zero, into the store. `false`: no memory for their leaf.
    pub(crate) fn own_slices(&self, spans: &mut Spans, first: u32, slices: usize, origin: Origin) -> bool {
        if !self.ensure_leaves(spans, first, slices) {
            return false;
        }
        self.each_part(first, slices, |leaf, index, count| {
            leaf.owned.fill(index, count, true);
            leaf.free.fill(index, count, true);
            leaf.on_break.fill(index, count, origin == Origin::Break);
            leaf.change_free(count as i32);
        });
        let place = origin as usize;
        spans.owned[place] += slices;
        spans.owned_peak[place] = spans.owned_peak[place].max(spans.owned[place]);
        self.tally(Counter::OwnedBytes, (slices * SLICE) as isize);
        true
    }

    /// Forgets free slices whose memory is about to be returned.
    pub(crate) fn disown_slices(&self, spans: &mut Spans, first: u32, slices: usize) {
        self.each_part(first, slices, |leaf, index, count| {
            leaf.owned.fill(index, count, false);
            leaf.free.fill(index, count, false);
            let on_break = leaf.on_break.fill(index, count, false);
            spans.owned[Origin::Break as usize] -= on_break;
            spans.owned[Origin::Region as usize] -= count - on_break;
            leaf.change_free(-(count as i32));
            let dirty = leaf.dirty.fill(index, count, false);
            leaf.change_dirty(-(dirty as i32));
            spans.dirty -= dirty;
        });
        self.tally(Counter::OwnedBytes, -((slices * SLICE) as isize));
    }

    /// Makes the leaves that cover some slices.
    pub(crate) fn ensure_leaves(&self, spans: &mut Spans, first: u32, slices: usize) -> bool {
        let mut at = first;
        let end = first as usize + slices;
        while (at as usize) < end {
            if self.map.leaf(at).is_none() {
                let fresh = self.first_leaf(spans, at).or_else(|| self.fresh_leaf(spans));
                let Some(memory) = fresh.or_else(|| spans.spare_leaf.take()) else { return false };
                // SAFETY: [leaf-stays] fresh zeros that are never unmapped; no leaf was there, and [store-lock] is held.
                unsafe { self.map.link(at, memory) };
            }
            at = (at / LEAF_SLICES as u32 + 1) * LEAF_SLICES as u32;
        }
        true
    }

    fn fresh_leaf(&self, spans: &mut Spans) -> Option<NonNull<Leaf>> {
        self.map_metadata(spans, size_of::<Leaf>()).map(NonNull::cast)
    }

    /// The first leaf comes in one mapping with a second one, for the part of the address space in which the kernel puts
    /// mappings: so the first block with a mapping of its own costs one `mmap`, as people who trace a program expect.
    fn first_leaf(&self, spans: &mut Spans, slice: u32) -> Option<NonNull<Leaf>> {
        if self.map.leaves().next().is_some() {
            return None;
        }
        // On OS pages of its own, as any other leaf.
        let room = round_up(size_of::<Leaf>(), self.os_page.load(Relaxed))?;
        let first = self.map_metadata(spans, 2 * room)?.cast::<Leaf>();
        // SAFETY: [fresh-mapping] room for two leaves was mapped.
        let second = unsafe { first.byte_add(room) };
        let near = slice_of(second.addr().get());
        if near as usize / LEAF_SLICES == slice as usize / LEAF_SLICES {
            spans.spare_leaf = Some(second);
        } else {
            // SAFETY: [leaf-stays] fresh zeros that are never unmapped; there is no leaf at all yet, and [store-lock] is held.
            unsafe { self.map.link(near, second) };
        }
        Some(first)
    }

    /// Makes sure that the next leaf that is needed does not fail for want of memory.
    pub(crate) fn ensure_spare_leaf(&self, spans: &mut Spans) -> bool {
        if spans.spare_leaf.is_none() {
            spans.spare_leaf = self.map_metadata(spans, size_of::<Leaf>()).map(|memory| memory.cast());
        }
        spans.spare_leaf.is_some()
    }

    /// The leaf of owned slices: it exists.
    fn owning_leaf(&self, slice: u32) -> &Leaf {
        match self.map.leaf(slice) {
            Some(leaf) => leaf,
            None => self.kernel().abort(),
        }
    }

    fn each_part(&self, first: u32, slices: usize, mut act: impl FnMut(&Leaf, usize, usize)) {
        let (mut at, mut left) = (first, slices);
        while left > 0 {
            let index = at as usize % LEAF_SLICES;
            let count = left.min(LEAF_SLICES - index);
            act(self.owning_leaf(at), index, count);
            at += count as u32;
            left -= count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_run_that_fits_is_found() {
        let mut words = [0u64; WORDS];
        words[1] = 0b1011 << 60; // slices 124, 125, 127
        words[2] = 0b0111; //       128, 129, 130
        words[5] = u64::MAX;
        words[6] = 1;
        let find = |n| find_run(n, |w| words[w]);
        assert_eq!(find(1), Some(124));
        assert_eq!(find(2), Some(124));
        assert_eq!(find(3), Some(127));
        assert_eq!(find(4), Some(127));
        assert_eq!(find(5), Some(320));
        assert_eq!(find(65), Some(320));
        assert_eq!(find(66), None);
    }
}
