//! Threads get a heap at their first allocation and leave it when they end.
//!
//! Nothing is registered for their end: a pthread key is one of 1024 that the program may want all of, and libc's list of
//! thread ends is behind the loader's lock (`Platform::at_thread_exit`). A thread that is gone leaves an ACTIVE heap
//! behind. The kernel marks it (`Kernel::mark_thread`), and it is found by the next thread that needs a heap and by each
//! look over the heap (`idle`).
//!
//! *[stray-lock]* The list of heaps and who gets which change under `stray_lock`; threads without a heap hold it for all
//! they do. Rank of locks: stray, a heap's gate, the store.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use brkmap_sys::Kernel;
use brkmap_wire::Counter;

use crate::engine::{Engine, Platform};
use crate::heap::{ENDED_HEAP, Heap};
use crate::lifecycle::ACTIVE;

/// Heaps of which one attach asks whether their thread still exists.
const DEAD_ASKED: usize = 32;
/// Pages that an idle heap keeps with its lists.
const PAGES_KEPT: u32 = 8;

impl<P: Platform> Engine<P> {
    /// All heaps, the newest first.
    pub(crate) fn all_heaps(&self) -> impl Iterator<Item = &'static Heap> + Clone {
        // SAFETY: [heap-stays] heaps are never unmapped.
        let mut next = unsafe { self.heaps.load(Acquire).as_ref() };
        core::iter::from_fn(move || {
            let heap = next?;
            // SAFETY: [heap-stays].
            next = unsafe { heap.next.load(Acquire).as_ref() };
            Some(heap)
        })
    }

    /// The calling thread's heap; gets one if it has none. `None`: no memory.
    pub(crate) fn heap_or_attach(&self) -> Option<&'static Heap> {
        let heap = self.own_heap();
        let heap = if heap.is_empty_heap() { self.attach()? } else { heap };
        self.show_heap(heap);
        Some(heap)
    }

    #[cold]
    pub(crate) fn attach(&self) -> Option<&'static Heap> {
        self.start();
        let entered = self.enter(&self.stray_lock);
        let heap = self.idle_heap().or_else(|| self.heap_of_the_dead()).or_else(|| self.new_heap());
        if let Some(heap) = heap {
            self.mark(heap);
            let main = heap.thread.load(Relaxed) == self.kernel().process_id();
            heap.set_origin(self.origin_for(main));
        }
        self.leave(&self.stray_lock, entered);
        let heap = heap?;
        self.platform.set_heap(heap);
        self.platform.at_thread_exit();
        Some(heap)
    }

    /// Makes a heap the calling thread's, for locks and for those who look for heaps of the dead.
    pub(crate) fn mark(&self, heap: &Heap) {
        let marked = self.kernel().mark_thread(&heap.mark);
        heap.thread.store(if marked != 0 { marked } else { self.kernel().thread_id() }, Relaxed);
    }

    fn idle_heap(&self) -> Option<&'static Heap> {
        if self.idle.load(Relaxed) == 0 {
            return None;
        }
        // SAFETY: [heap-stays] null or a heap.
        let hint = unsafe { self.idle_hint.swap(null_mut(), Relaxed).as_ref() };
        let heap = hint.filter(|h| h.lifecycle.adopt()).or_else(|| self.all_heaps().find(|h| h.lifecycle.adopt()))?;
        self.idle.fetch_sub(1, Relaxed);
        self.count(Counter::HeapsReused, 1);
        Some(heap)
    }

    /// Looks at a few heaps in turn whether their thread still exists.
    fn heap_of_the_dead(&self) -> Option<&'static Heap> {
        // SAFETY: [heap-stays].
        let mut cursor = unsafe { self.dead_cursor.load(Relaxed).as_ref() };
        for _ in 0..DEAD_ASKED {
            // SAFETY: [heap-stays].
            let heap = match cursor {
                Some(heap) => Some(heap),
                // SAFETY: [heap-stays].
                None => unsafe { self.heaps.load(Acquire).as_ref() },
            }?;
            // SAFETY: [heap-stays].
            cursor = unsafe { heap.next.load(Acquire).as_ref() };
            self.dead_cursor.store(cursor.map_or(null_mut(), |h| (&raw const *h).cast_mut()), Relaxed);
            if self.is_dead(heap) {
                self.count(Counter::HeapsReused, 1);
                return Some(heap);
            }
        }
        None
    }

    /// Is this the heap of a thread that is gone?
    fn is_dead(&self, heap: &Heap) -> bool {
        heap.lifecycle.now() == ACTIVE && self.kernel().thread_ended(&heap.mark)
    }

    /// Makes the heaps of threads that are gone idle. Outside all locks.
    pub(crate) fn bury_the_dead(&self, me: u32) {
        for heap in self.all_heaps() {
            if !self.is_dead(heap) {
                continue;
            }
            let entered = self.enter_as(me, &self.stray_lock);
            // Nobody takes it meanwhile: that needs the stray lock.
            if self.is_dead(heap) {
                self.abandon(heap);
            }
            self.leave(&self.stray_lock, entered);
        }
    }

    fn new_heap(&self) -> Option<&'static Heap> {
        let memory =
            self.with_spans(|spans| self.bump_metadata(spans, size_of::<Heap>(), align_of::<Heap>()))?.cast::<Heap>();
        // SAFETY: fresh memory of the right size and alignment, never unmapped ([heap-stays]).
        let heap: &'static Heap = unsafe {
            memory.write(Heap::new());
            memory.as_ref()
        };
        heap.lifecycle.reset(ACTIVE);
        heap.next.store(self.heaps.load(Relaxed), Relaxed);
        self.heaps.store(memory.as_ptr(), Release);
        self.count(Counter::Heaps, 1);
        Some(heap)
    }

    /// The calling thread ends: its heap keeps the pages with live blocks and waits for another thread; all else goes
    /// back. The thread may still allocate and free afterwards.
    pub fn thread_exit(&self) {
        let heap = self.own_heap();
        if heap.is_empty_heap() {
            return;
        }
        let entered = self.enter(&self.stray_lock);
        // First: from here on the thread goes by the kernel's id, not by that of a heap that is nobody's soon.
        self.platform.set_heap(&ENDED_HEAP);
        self.abandon(heap);
        self.leave(&self.stray_lock, entered);
    }

    /// Makes a heap idle whose thread ends or is gone. Under the stray lock.
    fn abandon(&self, heap: &Heap) {
        self.with_gate(heap, || {
            self.send_all(heap);
            self.drain_queue(heap);
            // A few pages wait for the next thread as they are, so that short threads cost little.
            if heap.pages.get() > PAGES_KEPT || !self.may_keep_pages(self.idle.load(Relaxed)) {
                self.retire_all(heap);
            }
            // Inside the gate: who holds it and sees the heap active knows that it stays so (`idle`).
            heap.thread.store(0, Relaxed);
            heap.lifecycle.abandon();
        });
        self.idle.fetch_add(1, Relaxed);
        self.idle_hint.store((&raw const *heap).cast_mut(), Relaxed);
        self.tend(heap);
    }

    /// Gives the empty pages on a ring back. By the owner, inside a gate.
    pub(crate) fn release_empty(&self, heap: &Heap, class: usize) {
        let mut slice = heap.ring[class].load(Relaxed);
        while slice != 0 {
            let page = self.page(slice);
            slice = page.next.load(Relaxed);
            self.renew_books(page);
            if page.out() == 0 && page.remote.is_quiet() {
                self.ring_remove(heap, page);
                self.release_page(heap, page);
            }
        }
    }
}
