//! The invariants as code: `check_all` walks everything and compares. For tests, on an engine that no other thread uses
//! at the moment; it changes nothing. That the counters agree with the records is [counters-agree].

use core::sync::atomic::Ordering::Relaxed;

use brkmap_wire::{Counter, Rule};

use crate::classes::CLASSES;
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, slice_address, slice_of};
use crate::heap::{EMPTY_PAGE, Heap};
use crate::page::{Block, PageMeta, Status, owner, state};
use crate::page_map::Leaf;
use crate::spans::Spans;
use crate::stats::{States, count_states};

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

/// What the leaves add up to.
#[derive(Default)]
struct Sums {
    /// Slices.
    owned: usize,
    used: usize,
    dirty: usize,
    run_bytes: usize,
    /// Live direct mappings.
    direct: usize,
    direct_bytes: usize,
}

fn equal(invariant: &'static str, address: usize, expected: i64, found: i64) -> Result<(), Violation> {
    if expected == found { Ok(()) } else { Err(Violation { invariant, address, expected, found }) }
}

impl<P: Platform> Engine<P> {
    /// Checks every invariant that can be read off the records. The first violation, if there is one.
    pub fn check_all(&self) -> Result<(), Violation> {
        let (used, dirty) = self.with_spans(|spans| (spans.used, spans.dirty));
        let mut sums = Sums::default();
        for leaf in self.map.leaves() {
            self.check_leaf(leaf, &mut sums)?;
        }
        equal("span-bits: used slices", 0, used as i64, sums.used as i64)?;
        equal("span-bits: dirty slices", 0, dirty as i64, sums.dirty as i64)?;
        let counter = |name: &'static str, counter: Counter, found: usize| {
            equal(name, 0, self.counter(counter) as i64, found as i64)
        };
        counter("counters-agree: owned bytes", Counter::OwnedBytes, sums.owned * SLICE)?;
        counter("counters-agree: used bytes", Counter::UsedSliceBytes, sums.used * SLICE)?;
        counter("counters-agree: bytes of runs", Counter::RunLiveBytes, sums.run_bytes)?;
        counter("counters-agree: direct mappings", Counter::DirectLive, sums.direct)?;
        counter("counters-agree: bytes of direct mappings", Counter::DirectLiveBytes, sums.direct_bytes)?;
        self.check_returns()?;
        self.with_spans(|spans| self.check_kept(spans))?;
        self.all_heaps().try_for_each(|heap| self.check_heap(heap))
    }

    /// What the rules gave back is what was purged and trimmed; the rest of it was unmapped.
    fn check_returns(&self) -> Result<(), Violation> {
        let by_rule: u64 = Rule::ALL.iter().map(|rule| self.returned_by(*rule).1).sum();
        let told = self.counter(Counter::PurgeBytes) + self.counter(Counter::BreakShrinkBytes);
        let most = told + self.counter(Counter::UnmapBytes);
        equal("by-rule", 0, by_rule.clamp(told, most) as i64, by_rule as i64)
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
            equal("kept-mapping: start", start, start as i64, page.start() as i64)?;
            equal("kept-mapping: marked", start, 1, starts as i64)?;
            bytes += length;
        }
        equal("kept-mapping: bytes", 0, bytes as i64, spans.kept.bytes() as i64)?;
        equal("kept-mapping: counter", 0, bytes as i64, self.counter(Counter::KeptLiveBytes) as i64)
    }

    /// The part of the check that costs nothing much, for the page around an address: made to follow every operation of a
    /// test, so that a violation shows at the operation that caused it.
    pub fn check_around(&self, address: usize) -> Result<(), Violation> {
        let Some((page, at)) = self.page_around(address) else { return Ok(()) };
        equal("page-start", at, at as i64, page.start() as i64)?;
        let (status, out) = (page.status(), page.out() as i64);
        let head = page.local.load(Relaxed);
        let inside = head.addr().wrapping_sub(at) < crate::classes::slices(page.class()) * SLICE;
        let byte = inside.then(|| self.state_of(page, head.addr())).flatten().map(|byte| byte.load(Relaxed));
        if !head.is_null() && byte.is_none_or(|byte| byte == state::LIVE) {
            return Err(Violation {
                invariant: "page-local: the first free block",
                address: at,
                expected: 0,
                found: 1,
            });
        }
        // SAFETY: [heap-stays] the owner word of a page is a heap's address.
        let heap = unsafe { Heap::from_owner(page.owner.load(Relaxed)) };
        let in_bin = core::ptr::eq(self.current_page(heap, page.class()), page);
        equal("current-page: status", at, (status == Status::Current) as i64, in_bin as i64)?;
        if page.is_stale() {
            return equal("stale-books: a page in use is stale", at, 0, (status == Status::Current) as i64);
        }
        let in_play = page.in_play.load(Relaxed) as i64;
        // SAFETY: [page-table] the page is in use.
        let frontier = unsafe { page.record() }.frontier.load(Relaxed) as i64;
        if out < 0 || in_play > frontier || frontier > page.capacity() as i64 {
            return Err(Violation { invariant: "page-counter", address: at, expected: out, found: in_play });
        }
        if status != Status::Current {
            equal("in-play: free blocks in the page's list", at, (in_play > out) as i64, !head.is_null() as i64)?;
        }
        let fires = page.counter.load(Relaxed) <= 0 && (status != Status::Partial || out != 0);
        equal("page-counter: an event is pending", at, 0, fires as i64)
    }

    /// The whole check of the page around an address.
    pub fn check_page_around(&self, address: usize) -> Result<(), Violation> {
        self.page_around(address).map_or(Ok(()), |(page, at)| self.check_page(page, at))
    }

    /// The page of blocks that holds an address, and where it starts.
    fn page_around(&self, address: usize) -> Option<(&PageMeta, usize)> {
        let page = self.page_of(address)?;
        let at = address & !(SLICE - 1);
        match page.owner.load(Relaxed) {
            word if owner::is_tag(word) => None,
            _ if crate::classes::slices(page.class()) > 1 => Some((page, page.start())),
            _ => Some((page, at)),
        }
    }

    fn check_leaf(&self, leaf: &Leaf, sums: &mut Sums) -> Result<(), Violation> {
        let (mut free, mut dirty, mut covered) = (0usize, 0usize, 0usize);
        for index in 0..LEAF_SLICES {
            let at = slice_address(leaf.first_slice() + index as u32);
            let (owned, is_free, is_dirty) = (leaf.owned.get(index), leaf.free.get(index), leaf.dirty.get(index));
            if is_free && !owned || is_dirty && !is_free || leaf.on_break.get(index) && !owned {
                return Err(Violation { invariant: "span-bits", address: at, expected: 0, found: index as i64 });
            }
            free += is_free as usize;
            dirty += is_dirty as usize;
            sums.owned += owned as usize;
            let page = &leaf.metas[index];
            let word = page.owner.load(Relaxed);
            let copy = leaf.owners[index].load(Relaxed);
            equal("owner-copy", at, if owner::is_tag(word) { 0 } else { word as i64 }, copy as i64)?;
            if leaf.direct.get(index) && word != owner::KEPT {
                sums.direct += 1;
                sums.direct_bytes += page.span_bytes();
            }
            if !owned || is_free {
                equal(
                    "span-bits: a free slice has no page",
                    at,
                    0,
                    (covered + (word != owner::NONE && word != owner::DIRECT && word != owner::KEPT) as usize) as i64,
                )?;
                continue;
            }
            sums.used += 1;
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = match word {
                owner::RUN => {
                    sums.run_bytes += page.span_bytes();
                    page.span_bytes() / SLICE - 1
                }
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
        sums.dirty += dirty;
        Ok(())
    }

    fn check_page(&self, page: &PageMeta, at: usize) -> Result<(), Violation> {
        equal("page-start", at, at as i64, page.start() as i64)?;
        let States { live, remote, freed } = count_states(page);
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
        // Of a page in use nobody counts what is out but for what is in the list.
        let out = if page.status() == Status::Current { in_play - local } else { out };
        equal("in-play: free blocks in the page's list", at, in_play - out, local)?;
        if (live + remote) as i64 > out || live + remote + freed > frontier || in_play > frontier as i64 {
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
            if byte.is_none_or(|byte| byte != state::NEVER && byte != state::FREED) || count > page.capacity() as i64 {
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
            let page = self.current_page(heap, class);
            if !core::ptr::eq(page, &EMPTY_PAGE) {
                equal("current-page: status", page.start(), Status::Current as i64, page.status() as i64)?;
                equal("current-page: class", page.start(), class as i64, page.class() as i64)?;
            }
            for index in crate::classes::sixteenths(class) {
                let named = heap.direct[index].load(Relaxed).addr();
                equal("current-page: direct", heap.owner_word(), (&raw const *page).addr() as i64, named as i64)?;
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
