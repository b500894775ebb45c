//! fork from a process with threads.
//!
//! Before the fork the thread takes every lock in rank order (stray, all gates, the store), so the child's copy of the
//! heap is between two consistent states: what a fast path was doing at that moment can cost the child one block, never
//! a list. Handlers of the program that run between ours may allocate: the locks are held by their own thread, which
//! passes them (`Engine::enter`). In the child the other threads do not exist; their heaps become idle and serve again.
//!
//! *[torn-free]* A thread that was inside the fast path of `free` may have linked its block and not marked it free yet: in
//! the child that block is in a list and LIVE for good. The child's stores are a prefix of the thread's, so there is at most
//! one such block per thread that is gone, and `malloc` notices it when it would hand it out; then the page's books are made
//! anew from its state bytes (`mend_torn`), and the block stays with the thread that is gone.
//!
//! A fork inside a signal handler may find locks that its own thread holds; they stay held, and the interrupted code
//! releases them in the parent and in the child. A bare `_Fork` runs no handlers: its child may use the heap
//! only if no other thread was inside, as with libc's malloc.

use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::Kernel;

use crate::engine::{Engine, Platform};
use crate::lifecycle::{ACTIVE, IDLE};
use crate::lock::{Entry, Lock};
use crate::page::Status;

/// Locks that the forking thread held already.
mod held {
    pub(super) const STRAY: u32 = 1;
    pub(super) const STORE: u32 = 2;
    pub(super) const OWN_GATE: u32 = 4;
}

impl<P: Platform> Engine<P> {
    /// Before `fork`, in the thread that forks.
    pub fn fork_prepare(&self) {
        self.start();
        let me = self.me();
        let own = self.own_heap();
        let mut held = 0;
        let mut take = |lock: &Lock, bit: u32| {
            if lock.acquire(me, &self.park()) == Entry::Nested {
                held |= bit;
            }
        };
        take(&self.stray_lock, held::STRAY);
        // No heap is added while the stray lock is held.
        for heap in self.all_heaps() {
            take(&heap.gate, if core::ptr::eq(heap, own) { held::OWN_GATE } else { 0 });
        }
        take(&self.store_lock, held::STORE);
        if held & held::STORE == 0 {
            // The kernel would copy small pages that the child shares into huge ones, 2 MiB for a write here and there, and the
            // first touch of what is resident and was never used would be a copy.
            // SAFETY: [store-lock] taken just now.
            let spans = unsafe { &mut *self.spans.get() };
            if spans.is_huge {
                self.end_growth(spans);
            }
            self.note_fork(spans);
        }
        self.fork_held.store(held, Relaxed);
        self.forking.store(me, Relaxed);
    }

    /// After `fork`, in the parent.
    pub fn fork_parent(&self) {
        let own = self.own_heap();
        let held = self.fork_held.load(Relaxed);
        self.forking.store(0, Relaxed);
        let give = |lock: &Lock, bit: u32| {
            if held & bit == 0 {
                lock.release(&self.park());
            }
        };
        give(&self.store_lock, held::STORE);
        for heap in self.all_heaps() {
            give(&heap.gate, if core::ptr::eq(heap, own) { held::OWN_GATE } else { 0 });
        }
        give(&self.stray_lock, held::STRAY);
    }

    /// After `fork`, in the child.
    pub fn fork_child(&self) {
        let own = self.own_heap();
        let me = self.kernel().thread_id();
        let held = self.fork_held.load(Relaxed);
        let forker = self.forking.load(Relaxed);
        self.forking.store(0, Relaxed);
        self.helper.forget();
        let mend = |lock: &Lock, bit: u32| if held & bit == 0 { lock.reset() } else { lock.rename(me) };
        if !own.is_empty_heap() {
            self.mark(own);
        }
        for heap in self.all_heaps() {
            // The handler that forks may have interrupted the thread before it had set its heap.
            let mine = core::ptr::eq(heap, own) || heap.thread.load(Relaxed) == forker;
            if !mine && heap.lifecycle.now() == ACTIVE {
                self.torn.fetch_add(1, Relaxed);
                heap.thread.store(0, Relaxed);
                heap.lifecycle.reset(IDLE);
                self.idle.fetch_add(1, Relaxed);
            }
            mend(&heap.gate, if mine { held::OWN_GATE } else { 0 });
        }
        // SAFETY: [store-lock] held by this thread, as the forker had it.
        let spans = unsafe { &mut *self.spans.get() };
        spans.outlook.forget();
        spans.kin.forget();
        mend(&self.store_lock, held::STORE);
        mend(&self.stray_lock, held::STRAY);
    }

    /// A list of the calling thread's heap holds a block that is LIVE. `true`: [torn-free], and the page of the block is
    /// mended. `false`: no fork explains it.
    #[cold]
    pub(crate) fn mend_torn(&self, block: usize) -> bool {
        let left = self.torn.load(Relaxed);
        if left == 0 || self.torn.compare_exchange(left, left - 1, Relaxed, Relaxed).is_err() {
            return left != 0 && self.mend_torn(block);
        }
        let heap = self.own_heap();
        let Some(page) = self.page_of(block) else { return false };
        if page.owner.load(Relaxed) != heap.owner_word() || page.status() != Status::Current {
            return false;
        }
        self.with_gate(heap, || {
            page.set_stale(true);
            self.renew_books(page);
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use brkmap_sys::sim::{Config, Sim};

    use super::*;
    use crate::engine::RootCell;
    use crate::heap::{EMPTY_HEAP, Heap};
    use crate::page::Block;

    /// One thread plays three.
    struct Stage {
        sim: Sim,
        slot: AtomicUsize,
        heaps: [AtomicPtr<Heap>; 3],
    }

    impl Platform for Stage {
        type Kernel = Sim;
        fn kernel(&self) -> &Sim {
            &self.sim
        }
        fn heap(&self) -> &'static Heap {
            // SAFETY: [heap-stays] what `set_heap` stored.
            unsafe { &*self.heaps[self.slot.load(Relaxed)].load(Relaxed) }
        }
        fn set_heap(&self, heap: &'static Heap) {
            self.heaps[self.slot.load(Relaxed)].store((&raw const *heap).cast_mut(), Relaxed);
        }
        fn no_memory(&self) {}
        fn root(&self) -> Option<(&'static RootCell, u64)> {
            None
        }
    }

    impl Stage {
        fn play(&self, slot: usize) {
            self.slot.store(slot, Relaxed);
            Sim::set_thread(slot as u32 + 10);
        }
    }

    /// The state that `free_local` leaves when it is stopped before its last store.
    fn tear(engine: &Engine<Stage>, pointer: *mut u8) {
        let (page, _) = engine.block_at(pointer).unwrap();
        let block = pointer.cast::<Block>();
        // SAFETY: a live block of the test.
        unsafe { (*block).set_next(page.local.load(Relaxed)) };
        page.local.store(block, Relaxed);
    }

    fn forked_with_a_torn_block(bytes: usize) -> (Box<Engine<Stage>>, *mut u8) {
        let heaps = core::array::from_fn(|_| AtomicPtr::new((&raw const EMPTY_HEAP).cast_mut()));
        let stage = Stage { sim: Sim::new(Config::linux(3)), slot: AtomicUsize::new(0), heaps };
        let engine = Box::new(Engine::new(stage));
        engine.platform().play(0);
        assert!(!engine.allocate(bytes).is_null());
        engine.platform().play(1);
        let blocks: Vec<_> = (0..3).map(|_| engine.allocate(bytes)).collect();
        tear(&engine, blocks[1]);
        engine.platform().play(0);
        engine.fork_prepare();
        engine.platform().sim.kill_thread(11);
        engine.fork_child();
        // A thread of the child takes the heap over.
        engine.platform().play(2);
        (engine, blocks[1])
    }

    fn on_large_stack(test: impl FnOnce() + Send + 'static) {
        let test = std::thread::Builder::new().stack_size(64 << 20).spawn(test);
        test.expect("a thread").join().expect("the test holds");
    }

    #[test]
    fn a_block_whose_free_the_fork_cut_short_is_not_handed_out() {
        on_large_stack(|| {
            for bytes in [100, 5000, 20_000, 60_000] {
                for zeroed in [false, true] {
                    let (engine, torn) = forked_with_a_torn_block(bytes);
                    let mut seen = HashSet::new();
                    for _ in 0..2000 {
                        let block = if zeroed { engine.allocate_zeroed(1, bytes) } else { engine.allocate(bytes) };
                        assert!(!block.is_null() && block != torn && seen.insert(block));
                        // SAFETY: `bytes` of a live block.
                        unsafe {
                            assert!(!zeroed || (0..bytes).all(|at| *block.add(at) == 0));
                            block.write_bytes(7, bytes);
                        }
                    }
                    assert_eq!(engine.torn.load(Relaxed), 0, "the torn block was met");
                    engine.check_all().unwrap();
                }
            }
        });
    }

    #[test]
    fn a_second_one_is_misuse() {
        on_large_stack(|| {
            let (engine, _) = forked_with_a_torn_block(100);
            let blocks: Vec<_> = (0..200).map(|_| engine.allocate(100)).collect();
            tear(&engine, blocks[150]);
            let outcome = catch_unwind(AssertUnwindSafe(|| (0..2000).for_each(|_| _ = engine.allocate(100))));
            let said = outcome.expect_err("not noticed").downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(said.contains("corrupted free list"), "{said}");
        });
    }
}
