//! Blocks that a thread frees but does not own: noted in parcels, told to their pages, absorbed by the owner.
//!
//! ```text
//!   freeing thread      first block of a page: REMOTE ─► a parcel is opened
//!                       all others: LOOSE, and the parcel notes in which part of the page they lie
//!   when it is full     one atomic operation: the first block and the parts ─► remote word of the page ─► the owner's queue
//!   owner, at a refill  the blocks that are named, and what is LOOSE in those parts ─► the page's list
//! ```
//!
//! So who frees writes a state byte, and neither reads nor writes the block. A parcel is of one page. It is handed over when it
//! is full, when its place is needed, when all parcels together would hold too many bytes, at each refill and at thread exit. The
//! protocol is `remote`.
//!
//! *[open-parcel]* The first block of a parcel is REMOTE and of its page; so the page has a block out and stays what it is. Only its
//! thread touches it, in this order, so that it is whole whenever a fork copies it: the block, then the page.

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, compiler_fence};

use brkmap_sys::multiply;
use brkmap_wire::Counter;

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::SLICE;
use crate::heap::{Heap, PARCEL_BLOCKS, PARCEL_BYTES, PARCEL_STEPS, PARCELS_BYTES, Parcel};
use crate::page::{Block, PageMeta, state};
use crate::remote::Returned;

impl<P: Platform> Engine<P> {
    /// Frees a block, in the first slice of a page that another heap owns, into the open parcel of that page. `false`: there is none,
    /// it will be full, or no live block starts there; nothing was done.
    #[inline(always)]
    pub(crate) fn free_into_parcel(&self, heap: &Heap, page: &PageMeta, pointer: *mut u8) -> bool {
        let parcel = heap.parcel_for(page);
        let room = parcel.room.get();
        if !core::ptr::eq(parcel.page.get(), page) || room <= 1 {
            return false;
        }
        // [open-parcel] The page has blocks out, so it is in use, and of the class that it had.
        let offset = pointer.addr() & (SLICE - 1);
        let magic = parcel.magic.get();
        let Some(index) = classes::quotient(multiply(offset, magic as usize) as u64, magic) else { return false };
        // SAFETY: [state-index] the index is the quotient of an offset inside the page's first slice.
        let byte = unsafe { &*parcel.states.get().add(index) };
        // The swap decides which of two threads that free the block at once was first.
        if byte.load(Relaxed) != state::LIVE || byte.swap(state::LOOSE, Release) != state::LIVE {
            return false;
        }
        parcel.note(offset, room - 1);
        true
    }

    /// Frees a block of a page that another heap owns. The swap of its state decides which of two threads that free it at once was
    /// first. `false`: it is not live.
    pub(crate) fn free_remote(&self, heap: &'static Heap, page: &PageMeta, byte: &AtomicU8, block: *mut Block) -> bool {
        if byte.load(Relaxed) != state::LIVE {
            return false;
        }
        // A thread that only frees gets a heap too, to collect in. One that is past its end hands over one by one.
        let heap = if heap.is_empty_heap() && !heap.is_ended_heap() { self.attach().unwrap_or(heap) } else { heap };
        let is_stray = heap.is_empty_heap();
        let parcel = heap.parcel_for(page);
        let opens = is_stray || !core::ptr::eq(parcel.page.get(), page);
        if byte.swap(if opens { state::REMOTE } else { state::LOOSE }, Release) != state::LIVE {
            return false;
        }
        if is_stray {
            let entered = self.enter(&self.stray_lock);
            self.hand_over(page, block, 0);
            self.leave(&self.stray_lock, entered);
            return true;
        }
        if opens {
            self.open_parcel(heap, parcel, page, block);
        } else {
            // In the child of a fork that came between the parcel's opening and its grant there is no room.
            parcel.note(block.addr() - page.start(), parcel.room.get().saturating_sub(1));
        }
        if parcel.room.get() == 0 && !self.grant(heap, parcel, page.block_bytes()) {
            self.with_gate(heap, || self.send(heap, parcel));
            self.nudge();
        }
        true
    }

    /// Opens a parcel for a page, whose first block this is; what it holds of another page is handed over.
    fn open_parcel(&self, heap: &Heap, parcel: &Parcel, page: &PageMeta, first: *mut Block) {
        let size = page.block_bytes();
        self.with_gate(heap, || self.send(heap, parcel));
        let blocks = (PARCEL_BYTES / size).clamp(1, PARCEL_BLOCKS as usize) as u32;
        parcel.room.set(0);
        parcel.beyond.set(self.parcel_blocks(size, blocks) - 1);
        parcel.states.set(page.states.load(Relaxed));
        parcel.magic.set(page.magic.load(Relaxed));
        parcel.parts.set(0);
        parcel.first.set(first);
        // The page last: the child of a fork must not find it with another page's block.
        compiler_fence(Release);
        parcel.page.set(page);
    }

    /// Makes room for more blocks of `size` bytes in a parcel that is full. `false`: it holds what it may. All are handed over if
    /// together they would hold too much.
    fn grant(&self, heap: &Heap, parcel: &Parcel, size: usize) -> bool {
        let beyond = parcel.beyond.get();
        if beyond == 0 {
            return false;
        }
        let room =
            beyond.min((PARCEL_BYTES as u32 / PARCEL_STEPS / size as u32).clamp(1, PARCEL_BLOCKS / PARCEL_STEPS));
        let bytes = room as usize * size;
        if heap.granted.get() + bytes > PARCELS_BYTES {
            self.with_gate(heap, || self.send_all(heap));
            return true;
        }
        heap.granted.set(heap.granted.get() + bytes);
        parcel.granted.set(parcel.granted.get() + bytes as u32);
        parcel.beyond.set(beyond - room);
        parcel.room.set(room);
        true
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
        if !page.is_null() {
            // SAFETY: [queued-lives] the parcel's first block is out of the page, so the page lives.
            self.hand_over(unsafe { &*page }, parcel.first.get(), parcel.parts.get());
        }
    }

    /// Pushes a freed block to its page, with the parts that have others, and tells the owner if it was not told yet. Inside a
    /// gate or the stray lock.
    fn hand_over(&self, page: &PageMeta, block: *mut Block, parts: u16) {
        self.count(Counter::RemoteBatches, 1);
        // The owner cannot be followed after the push: the page may be gone. But if we have to queue it, it stays
        // ([queued-lives]), and a heap that is no longer the owner passes it on.
        let must_queue = page.remote.push(block.expose_provenance(), parts, |next| {
            // SAFETY: [freed-block] the block is ours until the push succeeds.
            unsafe { (*block).set_next(with_exposed_provenance_mut(next)) }
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
                let returned = page.remote.unqueue();
                if page.is_stale() {
                    // Its books are made anew from the state bytes: by `settle`.
                    self.absorb_behind(page, returned);
                } else {
                    self.absorb(page, returned);
                }
                self.settle(heap, page);
            } else {
                // Adopted by another heap since: it keeps its QUEUED bit and goes on.
                self.queue_page(page);
            }
            slice = next;
        }
    }

    /// Links blocks that others freed into their page's own list. By the owner.
    fn absorb(&self, page: &PageMeta, returned: Returned) {
        let mut count = 0;
        let mut take = |block: *mut Block, byte: &AtomicU8| {
            // SAFETY: [freed-block] a block of this page; its link was read already.
            unsafe { (*block).set_next(page.local.load(Relaxed)) };
            page.local.store(block, Relaxed);
            byte.store(state::FREED, Relaxed);
            count += 1;
        };
        self.each_named(page, returned.chain, &mut take);
        let (start, size) = (page.start(), page.block_bytes());
        // SAFETY: [page-table] the page is in use.
        unsafe {
            page.each_loose(returned.parts, |index, byte| {
                take(with_exposed_provenance_mut(start + index * size), byte);
            });
        }
        page.counter.store(page.counter.load(Relaxed) - count, Relaxed);
    }

    /// Marks the blocks that others freed and that are named as free, without the owner, who renews the page's books later
    /// ([stale-books]) and finds the LOOSE ones then.
    pub(crate) fn absorb_behind(&self, page: &PageMeta, returned: Returned) {
        self.each_named(page, returned.chain, |_, byte| byte.store(state::FREED, Release));
    }

    /// Calls `take` for each block of a chain that was handed over, with its state byte; checks that it is one.
    fn each_named(&self, page: &PageMeta, chain: usize, mut take: impl FnMut(*mut Block, &AtomicU8)) {
        let start = page.start();
        let bytes = classes::slices(page.class()) * SLICE;
        let mut chain = with_exposed_provenance_mut::<Block>(chain);
        while !chain.is_null() {
            let offset = chain.addr().wrapping_sub(start);
            let byte = if offset < bytes { self.state_of(page, chain.addr()) } else { None };
            // REMOTE turns into FREED below, so a chain that runs in a circle ends here too.
            let Some(byte) = byte.filter(|byte| byte.load(Relaxed) == state::REMOTE) else {
                return self.die(Misuse::CorruptedList, chain.addr(), None);
            };
            // SAFETY: [freed-block] a block of this page whose link was written by the thread that freed it.
            let next = unsafe { (*chain).next() };
            take(chain, byte);
            chain = next;
        }
    }
}
