//! A list ran empty: find free blocks, the cheapest first.
//!
//! ```text
//!   refill
//!     ├─ blocks of the page in use      freed meanwhile · not yet carved · freed by others
//!     ├─ another page of the heap       the fullest of the first few, so that emptier ones drain
//!     ├─ a page of an idle heap         adopt
//!     ├─ a page that counts as full     a few are looked at
//!     └─ a fresh page                   from the span store
//! ```

use core::sync::atomic::Ordering::Relaxed;

use brkmap_wire::Counter;

use crate::engine::{Engine, Platform};
use crate::heap::{EMPTY_PAGE, Heap};
use crate::lifecycle::IDLE;
use crate::page::{Block, PageMeta, Status};

/// Pages of a ring that are compared.
const CANDIDATES: usize = 4;
/// Idle heaps that are asked for a page.
const IDLE_ASKED: usize = 16;

impl<P: Platform> Engine<P> {
    /// Makes the list of a class non-empty. `false`: no memory. By the owner, inside its gate.
    pub(crate) fn refill(&self, heap: &Heap, class: usize) -> bool {
        heap.loosened.set(0);
        self.send_all(heap);
        if !heap.queue.is_empty() {
            self.drain_queue(heap);
        }
        let page = self.current_page(heap, class);
        if !core::ptr::eq(page, &EMPTY_PAGE) {
            if self.load_list(page) {
                return true;
            }
            heap.set_no_current(class);
            page.set_status(Status::Full);
        }
        let reopened = || if self.reopen_some(heap, class) { self.partial_page(heap, class) } else { None };
        let known = self.partial_page(heap, class).or_else(|| self.adopt_page(heap, class));
        if let Some(page) = known.or_else(reopened) {
            self.renew_books(page);
            page.set_status(Status::Current);
            heap.set_current(class, page);
            if self.load_list(page) {
                return true;
            }
            // A partial page without a block to give cannot be ([page-counter]); treat it as full and go on.
            heap.set_no_current(class);
            page.set_status(Status::Full);
        }
        let Some(page) = self.new_page(heap, class) else { return false };
        heap.set_current(class, page);
        self.load_list(page)
    }

    /// Fills the list of a CURRENT page.
    fn load_list(&self, page: &PageMeta) -> bool {
        if page.local.load(Relaxed).is_null() {
            let mut list: *mut Block = self.carve(page);
            if list.is_null() {
                list = self.wake_hole(page);
            }
            page.local.store(list, Relaxed);
        }
        !page.local.load(Relaxed).is_null()
    }

    /// Takes the fullest of the first pages on the heap's ring.
    fn partial_page(&self, heap: &Heap, class: usize) -> Option<&PageMeta> {
        let mut best: Option<&PageMeta> = None;
        let mut slice = heap.ring[class].load(Relaxed);
        for _ in 0..CANDIDATES {
            if slice == 0 {
                break;
            }
            let page = self.page(slice);
            if best.is_none_or(|best| page.out() > best.out()) {
                best = Some(page);
            }
            slice = page.next.load(Relaxed);
        }
        let page = best?;
        self.ring_remove(heap, page);
        Some(page)
    }

    /// Takes a page of the class over from a heap that has no thread.
    fn adopt_page(&self, heap: &Heap, class: usize) -> Option<&PageMeta> {
        if self.idle.load(Relaxed) == 0 {
            return None;
        }
        let idle = |other: &&Heap| other.lifecycle.now() == IDLE && other.ring[class].load(Relaxed) != 0;
        for other in self.all_heaps().filter(idle).take(IDLE_ASKED) {
            if !other.lifecycle.try_hold() {
                continue;
            }
            self.drain_queue(other);
            let page = self.partial_page(other, class);
            if let Some(page) = page {
                // Frees that saw the old owner queue the page there; it is passed on (`drain_queue`).
                other.pages.set(other.pages.get() - 1);
                heap.pages.set(heap.pages.get() + 1);
                self.set_owner(page, heap.owner_word());
                self.count(Counter::PagesAdopted, 1);
            }
            other.lifecycle.let_go();
            self.tend(other);
            if page.is_some() {
                return page;
            }
        }
        None
    }
}
