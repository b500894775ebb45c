//! Blocks that a thread frees but does not own: collected in parcels, handed to their pages, absorbed by the owner.
//!
//! A parcel holds blocks of one page. It is handed over with one atomic operation when it is full, when its place is
//! needed, when all parcels together may hold too many bytes, at each refill and at thread exit. The protocol is `remote`.
//!
//! *[open-parcel]* The blocks of a parcel are a chain from its head to its tail, all of its page, all REMOTE; so the page has blocks
//! out and stays what it is. Only its thread touches it, in this order, so that it is whole whenever a fork copies it: tail
//! and page while it is empty, then blocks at the head.

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, compiler_fence};

use brkmap_sys::prefetch;
use brkmap_wire::Counter;

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::SLICE;
use crate::heap::{Heap, PARCEL_BLOCKS, PARCEL_BYTES, PARCELS_BYTES, Parcel, no_block};
use crate::page::{Block, PageMeta, state};

impl<P: Platform> Engine<P> {
    /// Frees a block of a small page that another heap owns into the open parcel of that page. `false`: there is none, it
    /// will be full, or no live block starts there; nothing was done.
    #[inline(always)]
    pub(crate) fn free_into_parcel(&self, heap: &Heap, page: &PageMeta, pointer: *mut u8) -> bool {
        let parcel = heap.parcel_for(page);
        let (head, room) = (parcel.head.get(), parcel.room.get());
        if !core::ptr::eq(parcel.page.get(), page) || head.is_null() || room <= 1 {
            return false;
        }
        // [open-parcel] The page has blocks out, so it is in use, and of the class that it had.
        let Some(index) = page.small_index_of(pointer.addr() & (SLICE - 1)) else { return false };
        // SAFETY: [state-index] the index is the quotient of an offset inside the page's first slice.
        let byte = unsafe { page.state(index) };
        // The swap decides which of two threads that free the block at once was first.
        if byte.load(Relaxed) != state::LIVE || byte.swap(state::REMOTE, Acquire) != state::LIVE {
            return false;
        }
        let block = pointer.cast::<Block>();
        // SAFETY: [freed-block] the state byte went from LIVE to REMOTE through us: the block is ours to write.
        unsafe { parcel.put(page, block, room - 1) };
        true
    }

    /// Frees a block (its state is REMOTE already) of a page that another heap owns.
    pub(crate) fn free_remote(&self, heap: &'static Heap, page: &PageMeta, block: *mut Block) {
        // A thread that only frees gets a heap too, to collect in. One that is past its end hands over one by one.
        let heap = if heap.is_empty_heap() && !heap.is_ended_heap() { self.attach().unwrap_or(heap) } else { heap };
        if heap.is_empty_heap() {
            let entered = self.enter(&self.stray_lock);
            self.hand_over(page, block, block);
            self.leave(&self.stray_lock, entered);
            return;
        }
        let parcel = heap.parcel_for(page);
        if !core::ptr::eq(parcel.page.get(), page) || parcel.head.get().is_null() {
            self.open_parcel(heap, parcel, page, block);
        }
        // SAFETY: [freed-block] the state byte went from LIVE to REMOTE through us: the block is ours to write.
        unsafe { parcel.put(page, block, parcel.room.get().saturating_sub(1)) };
        if parcel.room.get() == 0 {
            self.with_gate(heap, || self.send(heap, parcel));
            self.nudge();
        }
    }

    /// Opens a parcel for a page, whose first block this is; what it holds of another page is handed over, and all parcels are
    /// if together they may hold too much.
    fn open_parcel(&self, heap: &Heap, parcel: &Parcel, page: &PageMeta, first: *mut Block) {
        let size = page.block_bytes();
        let blocks = (PARCEL_BYTES / size).clamp(1, PARCEL_BLOCKS as usize) as u32;
        let room = self.parcel_blocks(size, blocks);
        self.with_gate(heap, || {
            self.send(heap, parcel);
            if heap.granted.get() + room as usize * size > PARCELS_BYTES {
                self.send_all(heap);
            }
        });
        parcel.granted.set(room * size as u32);
        heap.granted.set(heap.granted.get() + room as usize * size);
        parcel.room.set(room);
        // The page last: the child of a fork must not find it with another page's blocks.
        parcel.tail.set(first);
        compiler_fence(Release);
        parcel.page.set(page);
    }

    /// Hands all parcels over. Inside the heap's gate.
    pub(crate) fn send_all(&self, heap: &Heap) {
        if heap.granted.get() == 0 {
            return;
        }
        for parcel in &heap.parcels {
            self.send(heap, parcel);
        }
        heap.granted.set(0);
    }

    /// Hands a parcel over and closes it. Inside the heap's gate.
    fn send(&self, heap: &Heap, parcel: &Parcel) {
        heap.granted.set(heap.granted.get().saturating_sub(parcel.granted.replace(0) as usize));
        let page = parcel.page.replace(core::ptr::null());
        let head = parcel.head.replace(no_block());
        if !head.is_null() {
            // SAFETY: [queued-lives] the parcel's blocks are out of the page, so the page lives.
            self.hand_over(unsafe { &*page }, head, parcel.tail.get());
        }
    }

    /// Pushes a chain of freed blocks to their page and tells the owner if it was not told yet. Inside a gate or the
    /// stray lock.
    fn hand_over(&self, page: &PageMeta, head: *mut Block, tail: *mut Block) {
        self.count(Counter::RemoteBatches, 1);
        // The owner cannot be followed after the push: the page may be gone. But if we have to queue it, it stays
        // ([queued-lives]), and a heap that is no longer the owner passes it on.
        let must_queue = page.remote.push(head.expose_provenance(), |next| {
            // SAFETY: [freed-block] the chain is ours until the push succeeds.
            unsafe { (*tail).set_next(with_exposed_provenance_mut(next)) }
        });
        if must_queue {
            self.loosened.fetch_add(classes::slices(page.class()), Relaxed);
            self.queue_page(page);
        }
    }

    /// Puts a page with the QUEUED bit on its owner's queue, and tends the owner if it is idle.
    pub(crate) fn queue_page(&self, page: &PageMeta) {
        let slice = page.first_slice();
        // SAFETY: [heap-stays] the page is in use and small or medium, so its owner is a heap.
        let owner = unsafe { Heap::from_owner(page.owner.load(Acquire)) };
        owner.queue.push(slice, |next| page.queue_next.store(next, Relaxed));
        self.tend(owner);
    }

    /// Drains a heap that has no thread ([no-lost-page]). Inside a gate or the stray lock.
    pub(crate) fn tend(&self, heap: &Heap) {
        heap.lifecycle.tend(|| !heap.queue.is_empty(), || self.drain_queue(heap));
    }

    /// Absorbs the blocks that others freed into this heap's pages. By the owner, inside a gate.
    pub(crate) fn drain_queue(&self, heap: &Heap) {
        let mut slice = heap.queue.take_all();
        while slice != 0 {
            let page = self.page(slice);
            let next = page.queue_next.load(Relaxed);
            if page.owner.load(Acquire) == heap.owner_word() {
                let chain = page.remote.unqueue();
                self.absorb(page, with_exposed_provenance_mut(chain));
                self.settle(heap, page);
            } else {
                // Adopted by another heap since: it keeps its QUEUED bit and goes on.
                self.queue_page(page);
            }
            slice = next;
        }
    }

    /// Links a chain of blocks that others freed into their page's own list. By the owner.
    fn absorb(&self, page: &PageMeta, chain: *mut Block) {
        let mut count = 0;
        self.each_returned(page, chain, |block, byte| {
            // SAFETY: [freed-block] a block of this page; its link was read already.
            unsafe { (*block).set_next(page.local.load(Relaxed)) };
            page.local.store(block, Relaxed);
            byte.store(state::FREED, Relaxed);
            count += 1;
        });
        page.counter.store(page.counter.load(Relaxed) - count, Relaxed);
    }

    /// Marks a chain of blocks that others freed as free, without the owner, who renews the page's books later
    /// ([stale-books]).
    pub(crate) fn absorb_behind(&self, page: &PageMeta, chain: usize) {
        self.each_returned(page, with_exposed_provenance_mut(chain), |_, byte| byte.store(state::FREED, Release));
    }

    /// Calls `take` for each block of a chain that was handed over, with its state byte; checks that it is one.
    fn each_returned(&self, page: &PageMeta, mut chain: *mut Block, mut take: impl FnMut(*mut Block, &AtomicU8)) {
        let start = page.start();
        let bytes = classes::slices(page.class()) * SLICE;
        let looks_ahead = page.class() != classes::FIRST_FINE;
        while !chain.is_null() {
            let offset = chain.addr().wrapping_sub(start);
            let byte = if offset < bytes { self.state_of(page, chain.addr()) } else { None };
            // REMOTE turns into FREED below, so a chain that runs in a circle ends here too.
            let Some(byte) = byte.filter(|byte| byte.load(Relaxed) == state::REMOTE) else {
                return self.die(Misuse::CorruptedList, chain.addr(), None);
            };
            // SAFETY: [freed-block] a block of this page whose link was written by the thread that freed it.
            let next = unsafe {
                if looks_ahead {
                    prefetch(Block::ahead(chain).cast());
                }
                (*chain).next()
            };
            take(chain, byte);
            chain = next;
        }
    }
}
