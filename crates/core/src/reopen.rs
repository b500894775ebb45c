//! Free blocks on pages that count as full.
//!
//! A FULL page comes back into use when a batch of its blocks is free, an eighth of them ([page-counter]), so that `free`
//! need not look at each. The others are found in two ways. Before a heap takes a fresh page it looks at a few of its pages, so
//! in turn at all of them while it grows by a few percent: in a large heap that sees a free here and there, those blocks are
//! worth some percent of it, and a forked child shares the OS pages that fresh blocks would not come from. And where there is
//! no memory for a fresh page, all of them are found at once.

use core::sync::atomic::Ordering::Acquire;

use crate::engine::{Engine, Platform};
use crate::geometry::LEAF_SLICES;
use crate::heap::Heap;
use crate::idle::next_used;
use crate::lifecycle::IDLE;
use crate::page::{PageMeta, Status};

/// Pages that are looked at before a fresh one is taken.
const LOOKED_AT: usize = 32;
/// A page is worth its refill if this part of its blocks is free.
const WORTH: i32 = 32;

impl<P: Platform> Engine<P> {
    /// Makes those of the next few pages in use known again that count as full, are the heap's and have some free blocks.
    /// `true`: one is of the class. By the owner, inside its gate.
    pub(crate) fn reopen_some(&self, heap: &Heap, class: usize) -> bool {
        let mut found = false;
        let mut at = heap.looked_at.get();
        for _ in 0..LOOKED_AT {
            let Some(page) = self.page_behind(&mut at) else { break };
            if page.owner.load(Acquire) == heap.owner_word() && page.status() == Status::Full {
                self.renew_books(page);
                let capacity = page.capacity();
                if (capacity - page.out()) * WORTH >= capacity {
                    page.set_status(Status::Partial);
                    self.ring_push(heap, page);
                    found |= page.class() == class;
                }
            }
        }
        heap.looked_at.set(at);
        found
    }

    /// The meta of the next slice in use behind one of which the leaf exists (0: the first of all), round and round.
    fn page_behind(&self, slice: &mut u32) -> Option<&PageMeta> {
        let newest = self.map.leaves().next()?;
        let (mut leaf, mut from) = match self.map.leaf(*slice) {
            Some(leaf) => (leaf, *slice as usize % LEAF_SLICES + 1),
            None => (newest, 0),
        };
        // Once round, and the first leaf's front.
        for _ in 0..=self.map.leaves().count() {
            if from < LEAF_SLICES
                && let Some(index) = next_used(leaf, from)
            {
                let page = &leaf.metas[index];
                *slice = leaf.first_slice() + index as u32;
                return Some(page);
            }
            leaf = self.map.leaf_behind(leaf).unwrap_or(newest);
            from = 0;
        }
        None
    }

    /// Makes the pages of a class that count as full and are not known again, of the calling thread's heap and of idle
    /// ones. `true`: there was one, so a refill will find blocks. Outside all locks.
    #[cold]
    pub(crate) fn reopen_full(&self, heap: &Heap, class: usize) -> bool {
        self.with_gate(heap, || {
            let mut found = self.reopen_in(heap, class);
            for other in self.all_heaps().filter(|other| other.lifecycle.now() == IDLE) {
                if other.lifecycle.try_hold() {
                    found |= self.reopen_in(other, class);
                    other.lifecycle.let_go();
                    self.tend(other);
                }
            }
            found
        })
    }

    /// The same in one heap, which the caller holds.
    fn reopen_in(&self, heap: &Heap, class: usize) -> bool {
        let is_meant = |page: &&PageMeta| {
            page.owner.load(Acquire) == heap.owner_word() && page.status() == Status::Full && page.class() == class
        };
        let mut found = false;
        for page in self.map.leaves().flat_map(|leaf| &leaf.metas).filter(is_meant) {
            self.renew_books(page);
            if page.out() < page.capacity() {
                page.set_status(Status::Partial);
                self.ring_push(heap, page);
                found = true;
            }
        }
        found
    }
}
