//! Memory that nobody uses any more goes back while its owner is busy elsewhere, or asleep.
//!
//! A look over the heap visits every page that is not in use for allocation and, by its state bytes alone,
//!
//! ```text
//!   no block live, none on its way          ─► the page goes back to the store
//!   OS pages without such a block           ─► their memory goes back; they become holes of the page
//!   blocks that others freed, owner asleep  ─► known as free
//! ```
//!
//! # The protocol: *behind the owner's back* ([stale-books])
//!
//! The owner's fast paths take no lock, so nobody can stop them, and nobody has to:
//!
//! 1. The looker holds the heap's gate. So no page changes status, and no allocation from a page that is not CURRENT can
//!    happen: that needs the gate. CURRENT pages are left alone.
//! 2. What the owner still can do without the gate is to free a block. It writes FREED last, with release. So a looker
//!    that reads FREED, with acquire, sees a free that is complete: no write of the owner to that block or to the page's
//!    books follows but for other blocks, which are LIVE still and keep their OS pages and the page.
//! 3. Of the blocks that another thread frees one is REMOTE until its owner or a looker was told: it counts as not free, and so
//!    the page stays. The others are LOOSE, and free: nothing leads through them, and the owner finds those that still are.
//! 4. The looker never writes `local`, `in_play` or `counter`. Giving an OS page back zeroes the links in it, so the
//!    page's list may end early; hence the page is marked STALE before, and the owner renews its books from the state
//!    bytes before it allocates from the page or judges it.
//!
//! The model of this protocol is `idle_model` in `crates/models`.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use brkmap_sys::Kernel;
use brkmap_wire::Rule;

use crate::batch::Batch;
use crate::classes::{self, CLASSES};
use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::heap::Heap;
use crate::kept::Which;
use crate::lifecycle::{ACTIVE, IDLE};
use crate::page::{PageMeta, Record, Status, owner};
use crate::page_map::{Leaf, WORDS};

/// How eager a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only count what could go back, and remember what is idle.
    Count,
    /// Give back what has not changed since the last look.
    Idle,
    /// Give back what is free at this moment.
    Now,
    /// Give back everything, what idle heaps have in use for allocation too, by this rule.
    All(Rule),
}

impl Effort {
    fn is_all(self) -> bool {
        matches!(self, Effort::All(_))
    }

    /// By which rule OS pages go back.
    fn rule(self) -> Rule {
        match self {
            Effort::Count | Effort::Idle | Effort::Now => Rule::Holes,
            Effort::All(rule) => rule,
        }
    }
}

/// What a look found, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Could go back and was left.
    pub(crate) waiting: usize,
    /// Went back.
    pub(crate) returned: usize,
    /// Blocks that were looked at, a number.
    pub(crate) blocks: usize,
}

impl Found {
    /// Adds what another look, or the rest of this one, found.
    pub(crate) fn add(&mut self, more: Found) {
        self.waiting += more.waiting;
        self.returned += more.returned;
        self.blocks += more.blocks;
    }
}

/// How a looker holds a heap.
enum Hold {
    /// The heap has a thread: its fast paths go on.
    Behind,
    /// The heap is idle: the looker is its owner for the moment.
    Owned,
}

/// Consecutive OS pages of a page that were made a hole.
#[derive(Clone, Copy)]
struct Hole<'a> {
    record: &'a Record,
    first: usize,
    count: usize,
}

/// Pages that are looked at in one hold of a gate, which their owner may be waiting for.
const PAGES_A_HOLD: usize = 32;

/// OS pages of a page, a bit each.
type OsPages = [u64; 2];

impl<P: Platform> Engine<P> {
    /// Looks over all heaps and the store.
    pub(crate) fn look_over(&self, effort: Effort) -> Found {
        let me = self.me();
        let mut found = Found::default();
        self.bury_the_dead(me);
        for heap in self.all_heaps() {
            self.hold(me, heap, |hold| self.drain_held(heap, hold, effort));
        }
        for leaf in self.map.leaves() {
            let mut at = 0;
            while let Some(index) = next_used(leaf, at) {
                at = self.look_along(me, leaf, index, effort, &mut found);
            }
        }
        found
    }

    /// Runs `work` with a heap held; not at all if somebody else holds it.
    fn hold(&self, me: u32, heap: &Heap, work: impl FnOnce(Hold)) {
        let entered = self.enter_as(me, &heap.gate);
        match heap.lifecycle.now() {
            // It stays active: its thread leaves it inside the gate only.
            ACTIVE => work(Hold::Behind),
            IDLE if heap.lifecycle.try_hold() => {
                work(Hold::Owned);
                heap.lifecycle.let_go();
                self.tend(heap);
            }
            _ => {}
        }
        self.leave(&heap.gate, entered);
    }

    /// Takes in what others freed.
    fn drain_held(&self, heap: &Heap, hold: Hold, effort: Effort) {
        match hold {
            Hold::Owned => {
                self.drain_queue(heap);
                if effort.is_all() {
                    (0..CLASSES).for_each(|class| self.retire_current(heap, class));
                }
            }
            Hold::Behind => self.drain_behind(heap),
        }
    }

    /// Takes the blocks that others freed into a heap's pages off their way, without the owner: they become FREED, and
    /// the pages' books STALE.
    fn drain_behind(&self, heap: &Heap) {
        let mut slice = heap.queue.take_all();
        while slice != 0 {
            let page = self.page(slice);
            let next = page.queue_next.load(Relaxed);
            if page.owner.load(Acquire) != heap.owner_word() {
                self.queue_page(page);
            } else if page.status() == Status::Current {
                // The owner's: it keeps its QUEUED bit.
                heap.queue.push(slice, |next| page.queue_next.store(next, Relaxed));
            } else {
                page.set_stale(true);
                self.absorb_behind(page, page.remote.unqueue());
            }
            slice = next;
        }
    }

    /// Looks at the pages of one heap that follow each other, from a slice in use on, until enough is collected to be given
    /// back; where the look goes on.
    fn look_along(&self, me: u32, leaf: &Leaf, first: usize, effort: Effort, found: &mut Found) -> usize {
        let word = leaf.metas[first].owner.load(Acquire);
        if owner::is_tag(word) {
            return first + 1;
        }
        // SAFETY: [heap-stays] no tag, so the owner of a page in use, now or a moment ago.
        let heap = unsafe { Heap::from_owner(word) };
        let mut at = first;
        self.hold(me, heap, |_| {
            let mut holes = Batch::new(effort.rule());
            for _ in 0..PAGES_A_HOLD {
                let Some(index) = next_used(leaf, at) else { break };
                let page = &leaf.metas[index];
                match page.owner.load(Acquire) {
                    owner if owner == word => self.look_at_page(heap, page, effort, &mut holes, found),
                    owner if owner::is_tag(owner) => {}
                    _ => break,
                }
                at = index + 1;
            }
            found.returned += self.empty_holes(&mut holes);
        });
        at.max(first + 1)
    }

    /// Looks at one page. The heap is held.
    fn look_at_page<'a>(
        &self,
        heap: &Heap,
        page: &'a PageMeta,
        effort: Effort,
        holes: &mut Batch<Hole<'a>>,
        found: &mut Found,
    ) {
        let status = page.status();
        if status != Status::Partial && status != Status::Full {
            return;
        }
        // SAFETY: [page-table] the page is in use.
        let record = unsafe { page.record() };
        let (busy, taken) = self.census(page, record);
        found.blocks += record.frontier.load(Relaxed) as usize;
        let unchanged = record.seen.load(Relaxed) == busy + 1;
        // Not written again: nearly every OS page of records would be copied while a forked child shares it.
        if !unchanged {
            record.seen.store(busy + 1, Relaxed);
        }
        let idle = effort == Effort::Now || effort.is_all() || unchanged;
        let go = idle && effort != Effort::Count;
        if busy == 0 {
            if go && page.remote.is_quiet() {
                if status == Status::Partial {
                    self.ring_remove(heap, page);
                }
                self.release_page(heap, page);
            }
            return;
        }
        let free = free_os_pages(record, taken, self.reach(page, record));
        let bytes = (free[0].count_ones() + free[1].count_ones()) as usize * self.os_page.load(Relaxed);
        if bytes == 0 {
            return;
        }
        if go {
            found.returned += self.dig_holes(heap, page, record, free, holes);
        } else {
            found.waiting += bytes;
        }
    }

    /// Blocks that are live or on their way, and the OS pages that hold a part of one. A look comes here with every page of
    /// the heap: so its blocks are read by the group, and after a busy one those that begin in the same OS page are passed
    /// over.
    fn census(&self, page: &PageMeta, record: &Record) -> (u32, OsPages) {
        let (size, shift) = (page.block_bytes(), self.os_page.load(Relaxed).trailing_zeros());
        // SAFETY: [page-table] the page is in use.
        let blocks = unsafe { page.busy_blocks(record.frontier.load(Relaxed) as usize) };
        let mut taken = [0; 2];
        let mut at = 0;
        while let Some(index) = blocks.next(at) {
            let last = (index * size + size - 1) >> shift;
            for os_page in (index * size) >> shift..=last {
                taken[os_page / 64 % 2] |= 1 << (os_page % 64);
            }
            // The first block that ends behind that OS page.
            at = ((last + 1) << shift) / size;
        }
        (blocks.count(), taken)
    }

    /// OS pages of a page that lie wholly in its carved part; the rest is untouched or will be carved on. Carved to its
    /// end, the last one counts too: no block begins behind it.
    fn reach(&self, page: &PageMeta, record: &Record) -> usize {
        let (carved, os_page) = (record.frontier.load(Relaxed), self.os_page.load(Relaxed));
        let bytes = carved as usize * page.block_bytes();
        if carved as i32 == page.capacity() { bytes.div_ceil(os_page) } else { bytes / os_page }
    }

    /// Makes OS pages of a page holes; their memory goes back with the batch. The bytes that went meanwhile.
    fn dig_holes<'a>(
        &self,
        heap: &Heap,
        page: &'a PageMeta,
        record: &'a Record,
        free: OsPages,
        holes: &mut Batch<Hole<'a>>,
    ) -> usize {
        let os_page = self.os_page.load(Relaxed);
        page.set_stale(true);
        let mut returned = 0;
        let mut at = 0;
        while let Some((first, count)) = next_os_pages(free, at) {
            at = first + count;
            (first..at).for_each(|index| record.set_hole(index, true));
            if holes.is_full() {
                returned += self.empty_holes(holes);
            }
            holes.push(page.start() + first * os_page, count * os_page, Hole { record, first, count });
        }
        if page.status() == Status::Full {
            // It has something to give again; its owner will find it on the ring, and renew its books.
            page.mark_partial();
            self.ring_push(heap, page);
        }
        returned
    }

    /// Gives the memory of the holes back that were dug inside this hold of the gate; the bytes that went.
    fn empty_holes(&self, holes: &mut Batch<Hole<'_>>) -> usize {
        let fill =
            |hole: Hole<'_>| (hole.first..hole.first + hole.count).for_each(|index| hole.record.set_hole(index, false));
        if holes.is_empty() {
            return 0;
        }
        // First, or the kernel makes a huge page where memory just went.
        self.with_spans(|spans| self.end_growth(spans));
        let bytes = self.empty_batch(holes, fill).bytes;
        self.asleep.fetch_add(bytes, Relaxed);
        bytes
    }

    /// Gives back the mappings that are kept in vain, and of what the store holds free, if that is over the budget, as much
    /// as was free all the time since the last look.
    pub(crate) fn look_at_store(&self, budget: usize, busy: bool) -> Found {
        self.with_spans(|spans| {
            // Where memory is short nothing that is free stays.
            let tight = self.is_tight();
            let mut returned = self.release_kept(spans, if tight { Which::All } else { Which::Idle });
            spans.purged /= 2;
            let needed = spans.dirty - spans.low_since_look.min(spans.dirty);
            let keep = if busy && !tight { needed.max(budget / SLICE / 2) } else { 0 };
            returned += self.purge_dirty(spans, keep, if tight { Rule::Pressure } else { Rule::Idle });
            spans.low_since_look = spans.dirty;
            let waiting = if spans.dirty > budget / SLICE / 2 { spans.dirty * SLICE } else { 0 };
            Found { waiting, returned, ..Found::default() }
        })
    }

    /// Was the heap used since this was asked last, as far as slow paths tell?
    pub(crate) fn was_used(&self) -> bool {
        let loosened = self.loosened.swap(0, Relaxed) != self.helper.carried.swap(0, Relaxed);
        self.with_spans(|spans| core::mem::replace(&mut spans.changes_seen, spans.changes) != spans.changes) || loosened
    }

    /// Does the kernel give memory back when asked?
    pub(crate) fn can_return(&self) -> bool {
        self.kernel().purge_is_honest()
    }
}

impl PageMeta {
    /// FULL becomes PARTIAL behind the owner's back: the status alone. The page is STALE, so its counter is renewed.
    fn mark_partial(&self) {
        let flags = self.flags.load(Relaxed);
        self.flags.store(flags & !crate::page::STATUS_MASK | Status::Partial as u8, Relaxed);
    }
}

/// The first slice of a leaf in use, from `from` on.
pub(crate) fn next_used(leaf: &Leaf, from: usize) -> Option<usize> {
    (from / 64..WORDS).find_map(|word| {
        let mask = if word == from / 64 { u64::MAX << (from % 64) } else { u64::MAX };
        let used = leaf.owned.word(word) & !leaf.free.word(word) & mask;
        (used != 0).then(|| word * 64 + used.trailing_zeros() as usize)
    })
}

/// Free OS pages below `reach` that are no holes yet.
fn free_os_pages(record: &Record, taken: OsPages, reach: usize) -> OsPages {
    let mask = |from: usize| match reach.saturating_sub(from) {
        0 => 0,
        bits if bits >= 64 => u64::MAX,
        bits => (1 << bits) - 1,
    };
    [0, 1].map(|half| !taken[half] & !record.holes[half].load(Relaxed) & mask(64 * half))
}

/// The first run of set bits from `from` on: (first, count).
fn next_os_pages(free: OsPages, from: usize) -> Option<(usize, usize)> {
    let all = free[0] as u128 | (free[1] as u128) << 64;
    if from >= 128 || all >> from == 0 {
        return None;
    }
    let first = from + (all >> from).trailing_zeros() as usize;
    Some((first, (all >> first).trailing_ones() as usize))
}

const _: () = assert!(classes::MEDIUM_SLICES * SLICE / 4096 <= 128, "a page's OS pages fit two words");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_os_pages_are_found_in_order() {
        let free = [0b1_0110, 1 << 63 | 1];
        assert_eq!(next_os_pages(free, 0), Some((1, 2)));
        assert_eq!(next_os_pages(free, 3), Some((4, 1)));
        assert_eq!(next_os_pages(free, 5), Some((64, 1)));
        assert_eq!(next_os_pages(free, 65), Some((127, 1)));
        assert_eq!(next_os_pages(free, 128), None);
        assert_eq!(next_os_pages([u64::MAX; 2], 0), Some((0, 128)));
    }
}
