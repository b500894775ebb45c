//! free.
//!
//! ```text
//!   free ── page of this thread's heap, a live block starts there ──► mark FREED, push on the page's list, count
//!     │                                                                  └─ counter fires: page_event (pages.rs)
//!     └─ anything else: free_slow ── medium block of ours ──────────► the same
//!                          ├─ another heap's page ──────────────────► free_remote (handover.rs)
//!                          ├─ run, direct mapping ──────────────────► back to where they came from
//!                          └─ no live block there ──────────────────► the fatal line
//! ```
//!
//! One compare of the owner word sorts out foreign, remote, interior and large blocks at once. There is no "is this the
//! page in use?" branch: with a few pages per class it cannot be predicted.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use brkmap_sys::{Kernel, in_register};
use brkmap_wire::Counter;

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::SLICE;
use crate::heap::Heap;
use crate::page::{Block, PageMeta, owner, state};

impl<P: Platform> Engine<P> {
    /// `free`. A pointer that is no live block ends the program with a line that says so.
    ///
    /// # Safety
    /// `pointer` is null or a block of this engine that nobody uses any more. What can be checked is checked.
    #[inline(always)]
    pub unsafe fn free(&self, pointer: *mut u8) {
        let heap = self.platform.heap();
        let Some(place) = self.map.place(pointer.addr()) else { return self.free_slow(pointer) };
        if !place.is_owned_by(heap.owner_word()) {
            return self.free_slow(pointer);
        }
        let page = in_register(place.meta());
        // The meta of a page's first slice: the low 16 bits of the pointer are the offset.
        match page.small_index_of(pointer.addr() & (SLICE - 1)) {
            Some(index) if self.free_local(page, index, pointer) => {}
            _ => self.free_slow(pointer),
        }
    }

    /// `free` of a block whose class is known from its layout: the class is checked.
    ///
    /// # Safety
    /// As [`Engine::free`].
    #[inline(always)]
    pub unsafe fn free_of_class(&self, pointer: *mut u8, class: usize, bytes: usize) {
        let heap = self.platform.heap();
        let page = self
            .map
            .place(pointer.addr())
            .filter(|place| place.owner() == heap.owner_word())
            .map(|place| place.meta())
            .filter(|page| page.class() == class);
        let done = match page {
            Some(page) => match page.small_index_of(pointer.addr() & (SLICE - 1)) {
                Some(index) => self.free_local(page, index, pointer),
                None => false,
            },
            None => false,
        };
        // One way out: LLVM's inliner counts each call, and this function is to be inlined everywhere.
        if !done {
            self.free_layout_slow(pointer, bytes);
        }
    }

    /// The block belongs to another heap, or `realloc` kept it in a larger class, or the layout is wrong.
    #[inline(never)]
    fn free_layout_slow(&self, pointer: *mut u8, bytes: usize) {
        // SAFETY: passed on from `free_of_class`.
        unsafe { self.free_checked(pointer, bytes, 1) }
    }

    /// Frees the block with an index, of a page that this thread's heap owns. `false`: it is not live.
    #[inline(always)]
    fn free_local(&self, page: &PageMeta, index: usize, pointer: *mut u8) -> bool {
        // SAFETY: [state-index] the index is the quotient of an offset inside the page's span.
        let byte = unsafe { page.state(index) };
        if byte.load(Relaxed) != state::LIVE {
            return false;
        }
        let block = pointer.cast::<Block>();
        // SAFETY: [freed-block] the block was LIVE and is ours now.
        unsafe { (*block).set_next(page.local.load(Relaxed)) };
        page.local.store(block, Relaxed);
        let fired = page.count_down();
        // Last: who reads FREED may give the block's memory back, or the whole page ([page-state]).
        byte.store(state::FREED, Release);
        if fired {
            self.page_event(page);
        }
        true
    }

    /// Everything but a block in the first slice of a page of this thread's heap: one in its other slices, and one for which a
    /// parcel is open, at once.
    #[inline(never)]
    fn free_slow(&self, pointer: *mut u8) {
        // Programs call `free(NULL)` often.
        if pointer.is_null() {
            return;
        }
        let heap = self.platform.heap();
        let Some(place) = self.map.place(pointer.addr()) else { return self.free_rest(pointer) };
        let done = if place.owner() != 0 {
            self.free_into_parcel(heap, place.meta(), pointer)
        } else {
            place.meta().owner.load(Relaxed) == owner::INTERIOR && self.free_interior(heap, place.meta(), pointer)
        };
        if !done {
            self.free_rest(pointer);
        }
    }

    /// Frees a block behind the first slice of a page of this heap. `false`: it is not, or it is not live.
    #[inline(always)]
    fn free_interior(&self, heap: &Heap, slice: &PageMeta, pointer: *mut u8) -> bool {
        match self.map.meta(slice.start()) {
            Some(page) if page.owner.load(Relaxed) == heap.owner_word() => {
                let index = page.index_of(pointer.addr().wrapping_sub(page.start()));
                index.is_some_and(|index| self.free_local(page, index, pointer))
            }
            _ => false,
        }
    }

    /// All others, and what is no live block.
    #[inline(never)]
    fn free_rest(&self, pointer: *mut u8) {
        let Some(page) = self.page_of(pointer.addr()) else {
            return self.die(Misuse::InvalidFree, pointer.addr(), None);
        };
        let word = page.owner.load(Acquire);
        if self.perturb.load(Relaxed) != 0
            && word != owner::DIRECT
            && let Some((_, usable)) = self.block_at(pointer)
        {
            self.perturb_freed(pointer, usable);
        }
        match word {
            owner::NONE | owner::INTERIOR => self.die(Misuse::InvalidFree, pointer.addr(), None),
            owner::RUN => self.free_run(page, pointer),
            owner::DIRECT => self.free_direct(page, pointer),
            owner::KEPT => self.die_kept(page, pointer.addr()),
            _ => {
                let heap = self.own_heap();
                let offset = pointer.addr() - page.start();
                if word != heap.owner_word() {
                    self.free_foreign(heap, page, pointer);
                } else {
                    match page.index_of(offset) {
                        Some(index) if self.free_local(page, index, pointer) => {}
                        _ => self.die_not_live(page, pointer.addr()),
                    }
                }
            }
        }
    }

    /// A block of a page that another heap owns.
    fn free_foreign(&self, heap: &'static Heap, page: &PageMeta, pointer: *mut u8) {
        match self.state_of(page, pointer.addr()) {
            Some(byte) if self.free_remote(heap, page, byte, pointer.cast()) => {}
            _ => self.die_not_live(page, pointer.addr()),
        }
    }

    /// Says whether the block was freed before or none starts there.
    #[cold]
    fn die_not_live(&self, page: &PageMeta, address: usize) {
        let freed = self.state_of(page, address).is_some_and(|byte| byte.load(Relaxed) >= state::FREED);
        self.die(if freed { Misuse::DoubleFree } else { Misuse::InvalidFree }, address, None);
    }

    /// A block whose mapping is kept was freed before.
    #[cold]
    fn die_kept(&self, page: &PageMeta, address: usize) {
        let misuse = if page.start() == address { Misuse::DoubleFree } else { Misuse::InvalidFree };
        self.die(misuse, address, None);
    }

    #[cold]
    fn free_run(&self, page: &PageMeta, pointer: *mut u8) {
        // The store's lock decides which of two frees was first.
        let freed = self.with_spans(|spans| {
            if page.owner.load(Relaxed) != owner::RUN || page.start() != pointer.addr() {
                return false;
            }
            let bytes = page.span_bytes();
            page.owner.store(owner::NONE, Relaxed);
            self.return_span(spans, page.first_slice(), bytes / SLICE);
            self.tally(Counter::RunLiveBytes, -(bytes as isize));
            true
        });
        if !freed {
            return self.die(Misuse::InvalidFree, pointer.addr(), None);
        }
        self.nudge();
    }

    /// `free_sized`, `free_aligned_sized`, Rust's `dealloc`: the block must be one that a request for `bytes` at `align` (or
    /// a `realloc` to `bytes`) may have led to.
    ///
    /// # Safety
    /// As [`Engine::free`].
    pub unsafe fn free_checked(&self, pointer: *mut u8, bytes: usize, align: usize) {
        if !pointer.is_null() {
            match self.block_at(pointer) {
                Some((page, usable)) if self.may_serve(page, usable, bytes, align) => {}
                Some(_) => return self.die(Misuse::SizeMismatch, pointer.addr(), Some(bytes)),
                // No live block: `free` says which misuse it is.
                None => {}
            }
        }
        // SAFETY: passed on.
        unsafe { self.free(pointer) }
    }

    /// Runs and mappings know what was asked for. A block of a class serves the requests that lead to the class, and those
    /// that `realloc` leaves where they are (see `Engine::keeps`).
    fn may_serve(&self, page: &PageMeta, usable: usize, bytes: usize, align: usize) -> bool {
        match page.owner.load(Acquire) {
            owner::RUN | owner::DIRECT => page.requested() == bytes,
            _ => {
                Self::keeps(usable, bytes)
                    || bytes <= usable && self.kept_oversize.load(Relaxed) != 0
                    || bytes <= usable
                        && align.is_power_of_two()
                        && align <= classes::MEDIUM_MAX
                        && classes::of_aligned(bytes, align) == Some(page.class())
            }
        }
    }

    /// Bytes of a live small block of this thread's heap: the common case of all who ask about a block. `None`: another one.
    #[inline(always)]
    pub(crate) fn own_small_block(&self, pointer: *mut u8) -> Option<usize> {
        let page = self.map.meta(pointer.addr())?;
        if page.owner.load(Relaxed) != self.platform.heap().owner_word() {
            return None;
        }
        let index = page.small_index_of(pointer.addr() & (SLICE - 1))?;
        // SAFETY: [state-index] the index is the quotient of an offset inside the page's span.
        let live = unsafe { page.state(index) }.load(Relaxed) == state::LIVE;
        live.then(|| page.block_bytes())
    }

    /// `malloc_usable_size`: bytes of the block; 0 for null. No live block there: the fatal line.
    #[inline]
    pub fn usable_size(&self, pointer: *mut u8) -> usize {
        match self.own_small_block(pointer) {
            Some(usable) => usable,
            None => self.usable_size_slow(pointer),
        }
    }

    #[inline(never)]
    fn usable_size_slow(&self, pointer: *mut u8) -> usize {
        if pointer.is_null() {
            return 0;
        }
        match self.block_at(pointer) {
            Some((_, usable)) => usable,
            None => {
                self.die(Misuse::InvalidFree, pointer.addr(), None);
                0
            }
        }
    }

    /// The page that holds a live block which starts at `pointer`, and the block's bytes.
    pub(crate) fn block_at(&self, pointer: *mut u8) -> Option<(&PageMeta, usize)> {
        let page = self.page_of(pointer.addr())?;
        let word = page.owner.load(Acquire);
        let usable = match word {
            owner::NONE | owner::INTERIOR | owner::KEPT => return None,
            owner::RUN => (page.start() == pointer.addr()).then(|| page.span_bytes() - page.shift())?,
            owner::DIRECT => (page.start() == pointer.addr()).then(|| page.span_bytes())?,
            _ => {
                let live = self.state_of(page, pointer.addr())?.load(Relaxed) == state::LIVE;
                live.then(|| page.block_bytes())?
            }
        };
        Some((page, usable))
    }

    /// The process id, as the kernel says it; for messages.
    pub fn process_id(&self) -> u32 {
        self.kernel().process_id()
    }
}
