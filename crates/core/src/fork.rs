//! fork from a process with threads.
//!
//! Before the fork the thread takes every lock in rank order (stray, all gates, the store), so the child's copy of the
//! heap is between two consistent states: what a fast path was doing at that moment can cost the child one block, never
//! a list. Handlers of the program that run between ours may allocate: the locks are held by their own thread, which
//! passes them (`Engine::enter`). In the child the other threads do not exist; their heaps become idle and serve again.
//!
//! A fork inside a signal handler may find locks that its own thread holds; they stay held, and the interrupted code
//! releases them in the parent and in the child. A bare `_Fork` runs no handlers: its child may use the heap
//! only if no other thread was inside, as with libc's malloc.

use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::Kernel;

use crate::engine::{Engine, Platform};
use crate::lifecycle::{ACTIVE, IDLE};
use crate::lock::{Entry, Lock};

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
                heap.thread.store(0, Relaxed);
                heap.lifecycle.reset(IDLE);
                self.idle.fetch_add(1, Relaxed);
            }
            mend(&heap.gate, if mine { held::OWN_GATE } else { 0 });
        }
        // SAFETY: [store-lock] held by this thread, as the forker had it.
        unsafe { &mut *self.spans.get() }.outlook.forget();
        mend(&self.store_lock, held::STORE);
        mend(&self.stray_lock, held::STRAY);
    }
}
