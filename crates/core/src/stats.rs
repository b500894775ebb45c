//! What the heap holds, exactly: counted from the state bytes, not from counters on the fast path.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use brkmap_wire::Counter;

use crate::classes::CLASSES;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address, slice_of};
use crate::heap::Heap;
use crate::idle::Effort;
use crate::page::{PageMeta, Status, owner, state};
use crate::page_map::Leaf;

/// A census of the heap, in bytes unless it says otherwise. Taken while other threads allocate it is a little blurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Slices of the break and of regions: glibc's `arena`.
    pub owned: usize,
    /// Live blocks in them (pages and runs): glibc's `uordblks`.
    pub live: usize,
    /// Free slices.
    pub free_slices: usize,
    /// Free slices that may be resident.
    pub dirty: usize,
    /// Number of separate free pieces: free blocks that were used before, and runs of free slices.
    pub free_pieces: usize,
    /// Blocks that thread caches hold (cached lists, parcels, not yet drained).
    pub cached: usize,
    /// Live direct mappings, a number.
    pub mappings: usize,
    /// Their bytes.
    pub mapped: usize,
    /// Highest number of direct mappings.
    pub mappings_peak: usize,
    /// Highest bytes of direct mappings.
    pub mapped_peak: usize,
    /// Free bytes at the top of the break.
    pub top: usize,
    /// The engine's own records (address space; touched as needed).
    pub metadata: usize,
    /// The heaps themselves, which hold the caches of threads; a part of `metadata`.
    pub heaps: usize,
}

impl<P: Platform> Engine<P> {
    /// Takes the census.
    pub fn stats(&self) -> Stats {
        self.start();
        let _ = self.heap_or_attach();
        let mut stats = Stats {
            mappings: self.counter(Counter::DirectLive) as usize,
            mapped: self.counter(Counter::DirectLiveBytes) as usize,
            mappings_peak: self.counter(Counter::DirectPeak) as usize,
            mapped_peak: self.counter(Counter::DirectPeakBytes) as usize,
            metadata: self.counter(Counter::MapMetadataBytes) as usize,
            heaps: self.counter(Counter::Heaps) as usize * size_of::<Heap>(),
            ..Stats::default()
        };
        // Pages are made and released under the store's lock, so none changes its shape meanwhile.
        self.with_spans(|spans| {
            stats.owned = self.counter(Counter::OwnedBytes) as usize;
            stats.dirty = spans.dirty * SLICE;
            for leaf in self.map.leaves() {
                self.count_leaf(leaf, &mut stats);
            }
            if spans.brk.end != 0 {
                let mut low = slice_of(spans.brk.end);
                let is_free =
                    |slice: u32| self.map.leaf(slice).is_some_and(|l| l.free.get(slice as usize % LEAF_SLICES));
                while slice_address(low) > spans.brk.floor && is_free(low - 1) {
                    low -= 1;
                }
                stats.top = spans.brk.end - slice_address(low);
            }
        });
        stats
    }

    fn count_leaf(&self, leaf: &Leaf, stats: &mut Stats) {
        let mut was_free = false;
        for index in 0..LEAF_SLICES {
            if leaf.owned.word(index / 64) == 0 || !leaf.owned.get(index) {
                was_free = false;
                continue;
            }
            let free = leaf.free.get(index);
            if free {
                stats.free_slices += SLICE;
                stats.free_pieces += (!was_free) as usize;
            } else {
                count_page(&leaf.metas[index], stats);
            }
            was_free = free;
        }
    }

    /// Returns everything returnable: the calling thread's cached blocks and empty pages, what idle heaps hold, and all
    /// free memory but `pad` bytes at the top of the break. `true`: something went back.
    pub fn trim(&self, pad: usize) -> bool {
        self.start();
        let heap = self.own_heap();
        if !heap.is_empty_heap() {
            self.with_gate(heap, || {
                self.send_all(heap);
                self.drain_queue(heap);
                self.retire_all(heap);
            });
        }
        let inside = if self.can_return() { self.look_over(Effort::All).returned } else { 0 };
        inside + self.give_back_all(pad) > 0
    }

    /// Ends the use of all CURRENT pages of a heap, and gives its empty pages back. By the owner, inside its gate.
    pub(crate) fn retire_all(&self, heap: &Heap) {
        for class in 0..CLASSES {
            self.retire_current(heap, class);
            self.release_empty(heap, class);
        }
    }
}

/// Adds a page or run to the census.
fn count_page(page: &PageMeta, stats: &mut Stats) {
    match page.owner.load(Acquire) {
        owner::NONE | owner::INTERIOR | owner::DIRECT | owner::KEPT => {}
        owner::RUN => stats.live += page.span_bytes(),
        _ if page.status() == Status::None => {}
        _ => {
            let size = page.block_size.load(Relaxed) as usize;
            let (live, freed) = count_states(page);
            let out = page.out().max(0) as usize;
            stats.live += live * size;
            stats.free_pieces += freed;
            if !page.is_stale() {
                stats.cached += out.saturating_sub(live) * size;
            }
        }
    }
}

/// Blocks of a page in state LIVE and FREED.
pub(crate) fn count_states(page: &PageMeta) -> (usize, usize) {
    let mut count = (0, 0);
    for index in 0..page.capacity() as usize {
        // SAFETY: [state-index] below the capacity; tables are never unmapped.
        match unsafe { page.state(index) }.load(Relaxed) {
            state::LIVE => count.0 += 1,
            state::FREED | state::REMOTE => count.1 += 1,
            _ => {}
        }
    }
    count
}
