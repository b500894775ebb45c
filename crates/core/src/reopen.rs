//! Free blocks on pages that count as full.
//!
//! A FULL page comes back into use when a batch of its blocks is free, an eighth of them ([page-counter]), so that `free`
//! need not look at each. The others are found in two ways. Before a heap takes a fresh page it looks at a few of its pages, so
//! in turn at all of them while it grows by a few percent: in a large heap that sees a free here and there, those blocks are
//! worth some percent of it, and a forked child shares the OS pages that fresh blocks would not come from. And where there is
//! no memory for a fresh page, all of them are found at once.

use core::cell::Cell;
use core::sync::atomic::Ordering::Acquire;

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::geometry::LEAF_SLICES;
use crate::heap::Heap;
use crate::idle::next_used;
use crate::lifecycle::IDLE;
use crate::page::{PageMeta, Status, owner};

/// Pages and runs that are looked at before a fresh page is taken, and leaves at most for that.
const LOOKED_AT: usize = 32;
const LEAVES: usize = 2;
/// A page is worth its refill if this part of its blocks is free.
const WORTH: i32 = 32;

/// After so many searches in a row without a find, a heap takes so many slices before it searches again.
const BARREN_MOST: u32 = 15;

/// How far a heap's search has come. All zero: it begins.
pub(crate) struct Search {
    /// The slice that it goes on behind, of which the leaf exists; 0: at the newest leaf's first one.
    at: Cell<u32>,
    /// Searches in a row that found nothing, up to [`BARREN_MOST`]: the heap grows and frees little.
    barren: Cell<u32>,
    /// Slices to be taken without a search.
    rest: Cell<u32>,
}

impl Search {
    pub(crate) const fn new() -> Search {
        Search { at: Cell::new(0), barren: Cell::new(0), rest: Cell::new(0) }
    }
}

impl<P: Platform> Engine<P> {
    /// Before a fresh page is taken: makes pages of the heap known again that count as full and have some free blocks, if there
    /// are such among the next few. `true`: one is of the class. By the owner, inside its gate.
    pub(crate) fn reopen_some(&self, heap: &Heap, class: usize) -> bool {
        let search = &heap.search;
        if search.rest.get() != 0 {
            search.rest.set(search.rest.get().saturating_sub(classes::slices(class) as u32));
            return false;
        }
        let Some(newest) = self.map.leaves().next() else { return false };
        let (mut leaf, mut from) = match self.map.leaf(search.at.get()) {
            Some(leaf) => (leaf, search.at.get() as usize % LEAF_SLICES + 1),
            None => (newest, 0),
        };
        let (mut any, mut wanted) = (false, false);
        let mut left = LOOKED_AT;
        // To the end of this leaf, and of those behind it.
        for _ in 0..LEAVES {
            while left != 0
                && let Some(index) = next_used(leaf, from)
            {
                let page = &leaf.metas[index];
                let word = page.owner.load(Acquire);
                if word == heap.owner_word() && self.reopen_page(heap, page) {
                    any = true;
                    wanted |= page.class() == class;
                }
                from = index + if owner::is_tag(word) { 1 } else { classes::slices(page.class()) };
                left -= 1;
            }
            if left == 0 {
                break;
            }
            leaf = self.map.leaf_behind(leaf).unwrap_or(newest);
            from = 0;
        }
        search.at.set(leaf.first_slice() + from.saturating_sub(1) as u32);
        search.barren.set(if any { 0 } else { (search.barren.get() + 1).min(BARREN_MOST) });
        search.rest.set(search.barren.get());
        wanted
    }

    /// Makes a page of the heap known again, if it counts as full and is worth it.
    fn reopen_page(&self, heap: &Heap, page: &PageMeta) -> bool {
        if page.status() != Status::Full {
            return false;
        }
        self.renew_books(page);
        let capacity = page.capacity();
        if (capacity - page.out()) * WORTH < capacity {
            return false;
        }
        page.set_status(Status::Partial);
        self.ring_push(heap, page);
        true
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
