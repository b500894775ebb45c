//! No memory for a fresh page: the last blocks are those on pages that count as full.
//!
//! A FULL page comes back into use when a batch of its blocks is free, an eighth of them ([page-counter]), so that `free`
//! need not look at each. As long as there are fresh pages nobody misses those blocks; at a limit they are all there is.

use core::sync::atomic::Ordering::Acquire;

use crate::engine::{Engine, Platform};
use crate::heap::Heap;
use crate::lifecycle::IDLE;
use crate::page::{PageMeta, Status};

impl<P: Platform> Engine<P> {
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
