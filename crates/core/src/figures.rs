//! The figures of the heap and of what of it is in memory; `docs/STATISTICS.md` relates them to each other and to glibc's.
//!
//! ```text
//!   mapped    = active + retained + metadata                                            address space
//!   active    = allocated + free bytes on OS pages with live ones
//!   resident  = resident_allocated + resident_thread_cache + pinned + returnable + resident_metadata      in memory
//! ```

use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::{Calls, SystemCall};
use brkmap_wire::Counter;

use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE};
use crate::lifecycle::ACTIVE;
use crate::page::{PageMeta, state};
use crate::page_map::Leaf;
use crate::pieces::{Kind, Piece};
use crate::residency::Residency;
use crate::shares::{Blocks, Shares};
use crate::spans::Spans;
use crate::stats::PageCount;

/// What the heap holds, in bytes unless a line says otherwise. Taken while other threads allocate, single figures may be off
/// by what changed meanwhile; the equations at the head of the module hold all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Live blocks, with what they are larger than their requests: the sum of their usable sizes.
    pub allocated: u64,
    /// OS pages with at least one live byte, in memory or not.
    pub active: u64,
    /// The engine's own records: heaps, page metas, state bytes, the static part. Address space, touched as needed.
    pub metadata: u64,
    /// What is in memory of `mapped`. Where the kernel does not say (`is_estimated`), a bound from the books.
    pub resident: u64,
    /// Address space that the engine has: its part of the break, regions, direct mappings, records.
    pub mapped: u64,
    /// Break and regions without a live byte: OS pages kept for later blocks, in memory or not.
    pub retained: u64,
    /// What is in memory of `retained`, less what threads keep: could go back to the kernel.
    pub returnable: u64,
    /// In memory: free bytes on OS pages that live blocks keep there, less what threads keep.
    pub pinned: u64,
    /// Free blocks in threads' lists and on their way to them, in memory or not.
    pub thread_cache: u64,
    /// What is in memory of `allocated`.
    pub resident_allocated: u64,
    /// What is in memory of `thread_cache`.
    pub resident_thread_cache: u64,
    /// What is in memory of `metadata`.
    pub resident_metadata: u64,
    /// Live blocks, a number.
    pub live_blocks: u64,
    /// The engine's part of the program break.
    pub break_bytes: u64,
    /// Regions: mappings that many blocks share.
    pub region_bytes: u64,
    /// Live blocks with a mapping of their own, a number.
    pub direct: u64,
    /// Their mappings.
    pub direct_bytes: u64,
    /// Highest number of them.
    pub direct_peak: u64,
    /// Highest bytes of them.
    pub direct_peak_bytes: u64,
    /// Heaps of threads, a number: one for each thread that allocates, and those of threads that ended.
    pub heaps: u64,
    /// Heaps that a thread has, a number.
    pub heaps_active: u64,
    /// Present mmap threshold.
    pub mmap_threshold: u64,
    /// Present trim threshold.
    pub trim_threshold: u64,
    /// The kernel does not say what is in memory (`mincore` is refused): `resident` and its parts come from the books.
    pub is_estimated: bool,
}

impl<P: Platform> Engine<P> {
    /// Takes the figures. Looks at every block of the heap and asks the kernel what is in memory, under the lock of the span
    /// store, for which threads that need a new page or a large block may have to wait.
    pub fn figures(&self) -> Figures {
        self.start();
        let _ = self.heap_or_attach();
        let os_page = self.os_page.load(Relaxed);
        let mut sum = Sum::default();
        let is_estimated = self.with_spans(|spans| {
            let mut residency = Residency::new(self, os_page, spans.metadata.head);
            self.each_piece(spans, |piece| self.count_piece(piece, &mut residency, &mut sum));
            sum.resident_metadata = self.resident_metadata(spans, &mut residency);
            residency.is_refused()
        });
        let metadata = self.counter(Counter::MapMetadataBytes) + self.static_range().1 as u64;
        let active_heaps = self.all_heaps().filter(|heap| heap.lifecycle.now() == ACTIVE).count();
        let shares = sum.shares;
        let resident = shares.live + shares.cached + shares.pinned + shares.returnable + sum.resident_metadata;
        let held = sum.break_bytes + sum.region_bytes + sum.direct_bytes + sum.kept_bytes;
        Figures {
            allocated: sum.allocated as u64,
            active: shares.active as u64,
            metadata,
            resident: resident as u64,
            mapped: held as u64 + metadata,
            retained: (held - shares.active) as u64,
            returnable: shares.returnable as u64,
            pinned: shares.pinned as u64,
            thread_cache: sum.cached as u64,
            resident_allocated: shares.live as u64,
            resident_thread_cache: shares.cached as u64,
            resident_metadata: sum.resident_metadata as u64,
            live_blocks: sum.live_blocks as u64,
            break_bytes: sum.break_bytes as u64,
            region_bytes: sum.region_bytes as u64,
            direct: sum.direct as u64,
            direct_bytes: sum.direct_bytes as u64,
            direct_peak: self.counter(Counter::DirectPeak),
            direct_peak_bytes: self.counter(Counter::DirectPeakBytes),
            heaps: self.counter(Counter::Heaps),
            heaps_active: active_heaps as u64,
            mmap_threshold: self.tunables.mmap_threshold.load(Relaxed) as u64,
            trim_threshold: self.tunables.trim_threshold.load(Relaxed) as u64,
            is_estimated,
        }
    }

    /// How often a system call was made. Some are made for the process as a whole, so two engines in one program share them.
    pub fn calls(&self, call: SystemCall) -> Calls {
        use brkmap_sys::Kernel;
        self.kernel().calls(call)
    }

    fn count_piece(&self, piece: &Piece<'_>, residency: &mut Residency<'_, P>, sum: &mut Sum) {
        let bytes = piece.bytes;
        match piece.kind {
            Kind::Direct => {
                sum.direct += 1;
                sum.direct_bytes += bytes;
                return sum.one_block(bytes, bytes, residency.bytes(piece.start, bytes, bytes));
            }
            Kind::Kept => {
                sum.kept_bytes += bytes;
                sum.shares.returnable += residency.bytes(piece.start, bytes, bytes);
                return;
            }
            Kind::Run => sum.one_block(piece.run_usable(), bytes, residency.bytes(piece.start, bytes, bytes)),
            Kind::Page(page, _) => self.count_page(page, piece, residency, sum),
            Kind::Free => {
                let dirty = if residency.is_refused() { piece.leaf.dirty.count(piece.index, bytes / SLICE) } else { 0 };
                sum.shares.returnable += residency.bytes(piece.start, bytes, dirty * SLICE);
            }
            Kind::Between => sum.shares.returnable += residency.bytes(piece.start, bytes, 0),
        }
        *if piece.is_on_break() { &mut sum.break_bytes } else { &mut sum.region_bytes } += bytes;
    }

    fn count_page(&self, page: &PageMeta, piece: &Piece<'_>, residency: &mut Residency<'_, P>, sum: &mut Sum) {
        let count = PageCount::of(page);
        let os_page = self.os_page.load(Relaxed);
        let blocks = Blocks { count: page.capacity() as usize, size: count.size, bytes: piece.bytes, os_page };
        // SAFETY: [state-index] below the capacity; the page is in use as long as the store's lock is held.
        let is_live = |block: usize| unsafe { page.state(block) }.load(Relaxed) == state::LIVE;
        let pages = residency.of_page(piece.start, piece.bytes, piece.start + owned_ahead(piece));
        let shares = if pages.is_empty() {
            // SAFETY: [page-table] the page is in use.
            let record = unsafe { page.record() };
            let touched = (record.frontier.load(Relaxed) as usize * count.size).div_ceil(os_page);
            blocks.share(is_live, |at| at < touched && !record.is_hole(at), count.cached)
        } else {
            blocks.share(is_live, |at| pages[at] & 1 != 0, count.cached)
        };
        sum.allocated += count.live * count.size;
        sum.cached += count.cached;
        sum.live_blocks += count.live;
        sum.shares.add(shares);
    }

    /// What is in memory of the engine's records.
    fn resident_metadata(&self, spans: &Spans, residency: &mut Residency<'_, P>) -> usize {
        let (start, bytes) = self.static_range();
        let mut sum = residency.bytes(start, bytes, 0);
        self.each_arena(spans, |start, bytes| sum += residency.bytes(start, bytes, bytes));
        let mut add = |start: usize, bytes: usize| sum += residency.bytes(start, bytes, bytes);
        for leaf in self.map.leaves() {
            add((&raw const *leaf).addr(), size_of::<Leaf>());
        }
        if let Some(leaf) = spans.spare_leaf {
            add(leaf.addr().get(), size_of::<Leaf>());
        }
        let (stack, stack_bytes) = self.helper.stack();
        add(stack, stack_bytes);
        sum
    }

    /// The static part of the engine, in whole OS pages: (address, bytes).
    fn static_range(&self) -> (usize, usize) {
        let os_page = self.os_page.load(Relaxed);
        let (start, bytes) = ((&raw const *self).addr(), size_of_val(self));
        let first = start / os_page * os_page;
        (first, (start + bytes).next_multiple_of(os_page) - first)
    }
}

/// What the walk adds up.
#[derive(Default)]
struct Sum {
    allocated: usize,
    cached: usize,
    live_blocks: usize,
    break_bytes: usize,
    region_bytes: usize,
    direct: usize,
    direct_bytes: usize,
    kept_bytes: usize,
    resident_metadata: usize,
    shares: Shares,
}

impl Sum {
    /// A piece that is one block.
    fn one_block(&mut self, usable: usize, span: usize, resident: usize) {
        self.allocated += usable;
        self.live_blocks += 1;
        self.shares.active += span;
        self.shares.live += resident;
    }
}

/// Bytes from a piece on that the engine owns without a gap, so that their residency can be asked for at once. As far as one
/// question reaches.
fn owned_ahead(piece: &Piece<'_>) -> usize {
    let reach = (piece.index + AHEAD).min(LEAF_SLICES);
    let end = piece.index + piece.bytes / SLICE;
    let gap = (end..reach).find(|&at| !piece.leaf.owned.get(at));
    (gap.unwrap_or(reach.max(end)) - piece.index) * SLICE
}

/// Slices that are looked at for that.
const AHEAD: usize = 64;
