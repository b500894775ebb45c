//! What the heap holds, exactly: counted from the state bytes, not from counters on the fast path. These are the figures
//! that glibc's statistics are made of, from the books alone; `figures` adds what is in memory.

use core::sync::atomic::Ordering::Relaxed;

use brkmap_wire::{Counter, Rule};

use crate::classes::CLASSES;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address, slice_of};
use crate::heap::Heap;
use crate::idle::Effort;
use crate::page::{PageMeta, Status, state};
use crate::pieces::Kind;

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
    /// The engine's own records outside of its static part (address space; touched as needed).
    pub metadata: usize,
    /// The heaps themselves, which hold the caches of threads; a part of `metadata`.
    pub heaps: usize,
    /// The same by where it lies: the program break, regions.
    pub pools: [Pool; 2],
}

/// The part of a census that lies on the program break, or in regions. In bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Slices.
    pub owned: usize,
    /// Most bytes of slices that there ever were.
    pub owned_peak: usize,
    /// Live blocks.
    pub live: usize,
    /// Free pieces, a number, as in [`Stats::free_pieces`].
    pub free_pieces: usize,
    /// Free slices: how many runs of them there are, their bytes, and the bytes of the shortest and of the longest.
    pub free_runs: FreeRuns,
}

/// Runs of free slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeRuns {
    /// Number of them.
    pub count: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes of the shortest; 0 if there is none.
    pub shortest: usize,
    /// Bytes of the longest.
    pub longest: usize,
}

impl FreeRuns {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
        self.shortest = if self.count == 1 { bytes } else { self.shortest.min(bytes) };
        self.longest = self.longest.max(bytes);
    }
}

/// Free blocks by pool and class: those that were used before, numbers.
pub type FreeBlocks = [[u32; CLASSES]; 2];

impl<P: Platform> Engine<P> {
    /// Takes the census.
    pub fn stats(&self) -> Stats {
        self.take_census(None)
    }

    /// Takes the census and counts the free blocks of each class.
    pub fn stats_with_free(&self, free: &mut FreeBlocks) -> Stats {
        self.take_census(Some(free))
    }

    fn take_census(&self, mut by_class: Option<&mut FreeBlocks>) -> Stats {
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
        self.with_spans(|spans| {
            stats.owned = self.counter(Counter::OwnedBytes) as usize;
            stats.dirty = spans.dirty * SLICE;
            self.each_piece(spans, |piece| {
                let place = !piece.is_on_break() as usize;
                let pool = &mut stats.pools[place];
                match piece.kind {
                    Kind::Direct | Kind::Kept => return,
                    Kind::Free => pool.free_runs.add(piece.bytes),
                    Kind::Run => pool.live += piece.run_usable(),
                    Kind::Page(page, _) => {
                        let blocks = PageCount::of(page);
                        pool.live += blocks.live * blocks.size;
                        pool.free_pieces += blocks.freed;
                        stats.cached += blocks.cached;
                        if let Some(rows) = by_class.as_deref_mut() {
                            rows[place][page.class()] += blocks.freed as u32;
                        }
                    }
                    Kind::Between => {}
                }
                pool.owned += piece.bytes;
            });
            for (pool, peak) in stats.pools.iter_mut().zip(spans.owned_peak) {
                pool.owned_peak = (peak * SLICE).max(pool.owned);
                pool.free_pieces += pool.free_runs.count;
                stats.live += pool.live;
                stats.free_slices += pool.free_runs.bytes;
                stats.free_pieces += pool.free_pieces;
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

    /// Returns everything returnable: the calling thread's cached blocks and empty pages, what idle heaps hold, and all
    /// free memory but `pad` bytes at the top of the break. `true`: something went back.
    pub fn trim(&self, pad: usize) -> bool {
        self.trim_by(pad, Rule::Trim)
    }

    /// [`Engine::trim`], by a rule.
    pub(crate) fn trim_by(&self, pad: usize, rule: Rule) -> bool {
        self.start();
        let heap = self.own_heap();
        if !heap.is_empty_heap() {
            self.with_gate(heap, || {
                self.send_all(heap);
                self.drain_queue(heap);
                self.retire_all(heap);
            });
        }
        // First, or whoever allocates meanwhile touches a huge page where memory just went.
        self.with_spans(|spans| self.end_growth(spans));
        let inside = if self.can_return() { self.look_over(Effort::All(rule)).returned } else { 0 };
        inside + self.give_back_all(pad, rule) > 0
    }

    /// Ends the use of all CURRENT pages of a heap, and gives its empty pages back. By the owner, inside its gate.
    pub(crate) fn retire_all(&self, heap: &Heap) {
        for class in 0..CLASSES {
            self.retire_current(heap, class);
            self.release_empty(heap, class);
        }
    }
}

/// The blocks of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageCount {
    /// Bytes of a block.
    pub(crate) size: usize,
    /// Live blocks.
    pub(crate) live: usize,
    /// Free blocks that were used before.
    pub(crate) freed: usize,
    /// Bytes of free blocks that a thread takes next, or that are on their way to one.
    pub(crate) cached: usize,
}

impl PageCount {
    /// Counts the blocks of a page in use.
    pub(crate) fn of(page: &PageMeta) -> PageCount {
        let size = page.block_bytes();
        let States { live, remote, freed } = count_states(page);
        let cached = match page.status() {
            Status::Current => (page.in_play.load(Relaxed) as usize).saturating_sub(live),
            _ => remote,
        };
        PageCount { size, live, freed: freed + remote, cached: cached * size }
    }
}

/// Blocks of a page by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) live: usize,
    pub(crate) remote: usize,
    pub(crate) freed: usize,
}

/// Counts the state bytes of a page.
pub(crate) fn count_states(page: &PageMeta) -> States {
    let mut count = States::default();
    for index in 0..page.capacity() as usize {
        // SAFETY: [state-index] below the capacity; tables are never unmapped.
        match unsafe { page.state(index) }.load(Relaxed) {
            state::LIVE => count.live += 1,
            state::REMOTE | state::LOOSE => count.remote += 1,
            state::FREED => count.freed += 1,
            _ => {}
        }
    }
    count
}
