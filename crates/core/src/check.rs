//! The invariants as code: `check_all` walks everything and compares. For tests, on an engine that no other thread uses
//! at the moment; it changes nothing.

use core::sync::atomic::Ordering::Relaxed;

use brkmap_wire::Counter;

use crate::classes::CLASSES;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address, slice_of};
use crate::heap::{EMPTY_PAGE, Heap};
use crate::page::{Block, PageMeta, Status, owner, state};
use crate::page_map::Leaf;
use crate::spans::Spans;
use crate::stats::count_states;

/// An invariant that does not hold: its name (as in `docs/INVARIANTS.md`), the address of the page, and two numbers that
/// should agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// Where.
    pub address: usize,
    /// What the books say.
    pub expected: i64,
    /// What was found.
    pub found: i64,
}

fn equal(invariant: &'static str, address: usize, expected: i64, found: i64) -> Result<(), Violation> {
    if expected == found { Ok(()) } else { Err(Violation { invariant, address, expected, found }) }
}

impl<P: Platform> Engine<P> {
    /// Checks every invariant that can be read off the records. The first violation, if there is one.
    pub fn check_all(&self) -> Result<(), Violation> {
        let (used, dirty) = self.with_spans(|spans| (spans.used, spans.dirty));
        let (mut used_found, mut dirty_found) = (0, 0);
        for leaf in self.map.leaves() {
            let (leaf_used, leaf_dirty) = self.check_leaf(leaf)?;
            used_found += leaf_used;
            dirty_found += leaf_dirty;
        }
        equal("span-bits: used slices", 0, used as i64, used_found as i64)?;
        equal("span-bits: dirty slices", 0, dirty as i64, dirty_found as i64)?;
        self.with_spans(|spans| self.check_kept(spans))?;
        self.all_heaps().try_for_each(|heap| self.check_heap(heap))
    }

    fn check_kept(&self, spans: &Spans) -> Result<(), Violation> {
        let mut bytes = 0;
        for (start, length) in spans.kept.list() {
            let page = self.page(slice_of(start));
            let starts = self
                .map
                .leaf(slice_of(start))
                .is_some_and(|leaf| leaf.direct.get(slice_of(start) as usize % LEAF_SLICES));
            equal("kept-mapping: owner", start, owner::KEPT as i64, page.owner.load(Relaxed) as i64)?;
            equal("kept-mapping: start", start, start as i64, page.direct_start() as i64)?;
            equal("kept-mapping: marked", start, 1, starts as i64)?;
            bytes += length;
        }
        equal("kept-mapping: bytes", 0, bytes as i64, spans.kept.bytes() as i64)?;
        equal("kept-mapping: counter", 0, bytes as i64, self.counter(Counter::KeptLiveBytes) as i64)
    }

    fn check_leaf(&self, leaf: &Leaf) -> Result<(usize, usize), Violation> {
        let (mut used, mut free, mut dirty, mut covered) = (0usize, 0usize, 0usize, 0usize);
        for index in 0..LEAF_SLICES {
            let at = slice_address(leaf.first_slice() + index as u32);
            let (owned, is_free, is_dirty) = (leaf.owned.get(index), leaf.free.get(index), leaf.dirty.get(index));
            if is_free && !owned || is_dirty && !is_free || leaf.on_break.get(index) && !owned {
                return Err(Violation { invariant: "span-bits", address: at, expected: 0, found: index as i64 });
            }
            free += is_free as usize;
            dirty += is_dirty as usize;
            let page = &leaf.metas[index];
            let word = page.owner.load(Relaxed);
            if !owned || is_free {
                equal(
                    "span-bits: a free slice has no page",
                    at,
                    0,
                    (covered + (word != owner::NONE && word != owner::DIRECT && word != owner::KEPT) as usize) as i64,
                )?;
                continue;
            }
            used += 1;
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = match word {
                owner::RUN => page.span_bytes() / SLICE - 1,
                owner::NONE | owner::INTERIOR | owner::DIRECT | owner::KEPT => {
                    return Err(Violation {
                        invariant: "span-bits: a used slice has a page",
                        address: at,
                        expected: 1,
                        found: word as i64,
                    });
                }
                _ => {
                    self.check_page(page, at)?;
                    crate::classes::slices(page.class()) - 1
                }
            };
        }
        equal(
            "span-bits: leaf free",
            slice_address(leaf.first_slice()),
            leaf.free_slices.load(Relaxed) as i64,
            free as i64,
        )?;
        equal(
            "span-bits: leaf dirty",
            slice_address(leaf.first_slice()),
            leaf.dirty_slices.load(Relaxed) as i64,
            dirty as i64,
        )?;
        Ok((used, dirty))
    }

    fn check_page(&self, page: &PageMeta, at: usize) -> Result<(), Violation> {
        equal("page-start", at, at as i64, page.start() as i64)?;
        let (live, freed) = count_states(page);
        // SAFETY: [page-table] the page is in use.
        let frontier = unsafe { page.record() }.frontier.load(Relaxed) as usize;
        for index in frontier..page.capacity() as usize {
            // SAFETY: [state-index] below the capacity.
            let byte = unsafe { page.state(index) }.load(Relaxed);
            equal("page-carved: state behind the frontier", at, state::NEVER as i64, byte as i64)?;
        }
        if page.is_stale() {
            return equal("stale-books: a page in use is stale", at, 0, (page.status() == Status::Current) as i64);
        }
        let (out, in_play) = (page.out() as i64, page.in_play.load(Relaxed) as i64);
        let local = self.check_list(page, page.local.load(Relaxed))?;
        equal("in-play: free blocks in the page's list", at, in_play - out, local)?;
        if live as i64 > out || live + freed > frontier || in_play > frontier as i64 {
            return Err(Violation { invariant: "page-counter", address: at, expected: out, found: live as i64 });
        }
        let fires = page.counter.load(Relaxed) <= 0;
        let quiet = match page.status() {
            Status::Current => !fires,
            Status::Full => !fires,
            Status::Partial => !fires || out == 0,
            Status::None => false,
        };
        equal("page-counter: an event is pending", at, 1, quiet as i64)
    }

    /// Counts a list of free blocks of one page.
    fn check_list(&self, page: &PageMeta, mut block: *mut Block) -> Result<i64, Violation> {
        let mut count = 0;
        while !block.is_null() {
            let address = block.addr();
            let byte = self.state_of(page, address).map(|byte| byte.load(Relaxed));
            if byte.is_none_or(|byte| byte == state::LIVE) || count > page.capacity() as i64 {
                return Err(Violation { invariant: "page-local: a free block", address, expected: 0, found: count });
            }
            count += 1;
            // SAFETY: a free block of the page, checked above.
            block = unsafe { (*block).next() };
        }
        Ok(count)
    }

    fn check_heap(&self, heap: &Heap) -> Result<(), Violation> {
        for class in 0..CLASSES {
            let page = self.bin_page(heap, class);
            let list = heap.bins[class].list.load(Relaxed);
            if core::ptr::eq(page, &EMPTY_PAGE) {
                equal("bin-page: a list without a page", heap.owner_word(), 0, list.addr() as i64)?;
            } else {
                equal("bin-page: status", page.start(), Status::Current as i64, page.status() as i64)?;
                equal("bin-page: class", page.start(), class as i64, page.class() as i64)?;
                let cached = self.check_list(page, list)?;
                let (live, _) = count_states(page);
                if cached + live as i64 > page.out() as i64 {
                    return Err(Violation {
                        invariant: "page-counter: list",
                        address: page.start(),
                        expected: page.out() as i64,
                        found: cached + live as i64,
                    });
                }
            }
            let mut slice = heap.ring[class].load(Relaxed);
            let mut prev = 0;
            while slice != 0 {
                let page = self.page(slice);
                equal("ring: status", page.start(), Status::Partial as i64, page.status() as i64)?;
                equal("ring: owner", page.start(), heap.owner_word() as i64, page.owner.load(Relaxed) as i64)?;
                equal("ring: prev", page.start(), prev as i64, page.prev.load(Relaxed) as i64)?;
                prev = slice;
                slice = page.next.load(Relaxed);
            }
        }
        Ok(())
    }
}
