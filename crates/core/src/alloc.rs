//! malloc.
//!
//! ```text
//!   allocate ── ≤ 1 KiB ──► the page in use, by sixteenths ─┐
//!      │                                                    ├─► allocate_from ─ free block ─► pop, mark LIVE
//!      └─ more ──► allocate_more ─ ≤ 64 KiB ─► by class ────┘         └─ none ─► allocate_slow ─► refill (refill.rs)
//!                        └─ more ──► allocate_span: run of slices │ direct mapping (direct.rs)
//! ```
//!
//! The fast path has no "initialised?" test: a thread without a heap has [`EMPTY_HEAP`](crate::EMPTY_HEAP), whose pages have
//! nothing. Frees of the page in use go on the list that `malloc` pops, so what was freed last is handed out next, and no list
//! runs empty while the program only replaces blocks. Recent cores forward a store to the next load of the same
//! address without latency if both name it as register plus constant: `page` plus a field, here and in `free`.

use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Relaxed, Release};

use brkmap_sys::{opaque, prefetch};
use brkmap_wire::Counter;

use crate::classes::{self, DIRECT_MAX, MEDIUM_MAX, SMALL_MAX};
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::{self, RUN_SLICES_MAX, SHIFT_MAX, SLICE, slice_address};
use crate::heap::Heap;
use crate::page::{Block, PageMeta, owner, state};
use crate::policy::Mechanism;
use crate::request::{MIN_ALIGN, Request};

/// Tells the compiler that what calls this is off the straight path.
#[cold]
#[inline(always)]
fn rare() {}

/// Bytes of a page of a medium class.
const MEDIUM_PAGE: usize = classes::MEDIUM_SLICES * SLICE;

/// Up to this many bytes are zeroed without asking whether they are zero: their OS page is touched by the link anyway.
const SMALL_ZEROED: usize = 1024;

/// A slice more, so that its block can be shifted, is for runs of this many slices: at most 6 % of address space, and one OS
/// page at most of memory.
const SHIFTED_ALWAYS: usize = 16;

/// The slices of a run for a request, and whether its block is shifted: see [`geometry::shift_of`].
fn run_shape(request: Request) -> (usize, bool) {
    let slices = request.bytes.max(1).div_ceil(SLICE);
    if request.align > MIN_ALIGN || slices == RUN_SLICES_MAX {
        (slices, false)
    } else if slices * SLICE - request.bytes >= SHIFT_MAX {
        (slices, true)
    } else if slices >= SHIFTED_ALWAYS {
        (slices + 1, true)
    } else {
        (slices, false)
    }
}

/// Shall the block read as zero?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Any,
    Zero,
}

impl<P: Platform> Engine<P> {
    /// `malloc`: a block of at least `bytes`, 16-aligned. Null: too large, or no memory.
    #[inline(always)]
    pub fn allocate(&self, bytes: usize) -> *mut u8 {
        if bytes > DIRECT_MAX {
            rare();
            return self.allocate_more(bytes);
        }
        // SAFETY: [class-range] at most the last index.
        let named = unsafe { self.platform.heap().direct.get_unchecked(bytes.div_ceil(16)) };
        self.allocate_from::<SLICE>(named, || self.allocate_anew(bytes))
    }

    /// A block of a small class. `bytes` is what was asked for; it only feeds the sample of the slow path.
    ///
    /// # Safety
    /// *[class-range]* `class` is small: below [`classes::FIRST_MEDIUM`], or from [`classes::FIRST_FINE`] on and below
    /// [`classes::CLASSES`].
    #[inline(always)]
    pub unsafe fn allocate_class(&self, class: usize, bytes: usize) -> *mut u8 {
        // SAFETY: [class-range] promised by the caller.
        let named = unsafe { self.platform.heap().current.get_unchecked(class) };
        self.allocate_from::<SLICE>(named, || self.allocate_slow(bytes, class))
    }

    /// A block of the page, of `PAGE` bytes, that a heap names for a request; where it has none, what `slow` finds.
    #[inline(always)]
    fn allocate_from<const PAGE: usize>(&self, named: &AtomicPtr<PageMeta>, slow: impl FnOnce() -> *mut u8) -> *mut u8 {
        // SAFETY: [current-page] never null: a page of the engine ([leaf-stays]) or EMPTY_PAGE.
        let page = unsafe { &*named.load(Relaxed) };
        let block = page.local.load(Relaxed);
        if block.is_null() {
            rare();
            return slow();
        }
        self.pop::<PAGE>(page, block)
    }

    /// Takes the first free block of a page of `PAGE` bytes. A link that leads out of the page, or to a block that is live, was written
    /// by somebody who had freed the block: better to end here than to hand that address out.
    #[inline(always)]
    fn pop<const PAGE: usize>(&self, page: &PageMeta, block: *mut Block) -> *mut u8 {
        // SAFETY: [current-page] this thread's.
        let shape = unsafe { page.shape() };
        let offset = block.addr().wrapping_sub(shape.start);
        if offset >= PAGE {
            return self.die_corrupted(block);
        }
        let index = (offset * shape.magic) >> 32;
        // SAFETY: [state-index] the block lies in the page.
        unsafe {
            let byte = &*shape.states.add(index);
            if byte.load(Relaxed) == state::LIVE {
                return self.die_corrupted(block);
            }
            let next = (*block).next();
            // The next call reads this block's link, which was last touched when the block was freed.
            prefetch(next.cast());
            page.local.store(next, Relaxed);
            byte.store(state::LIVE, Relaxed);
        }
        block.cast()
    }

    /// The fatal line of a list that leads nowhere; not `-> !`, so that it is reached by a tail jump.
    #[cold]
    #[inline(never)]
    fn die_corrupted(&self, block: *mut Block) -> *mut u8 {
        if self.mend_torn(block.addr())
            && let Some(page) = self.page_of(block.addr())
        {
            return self.allocate_slow(page.block_bytes(), page.class());
        }
        // The compiler must not see that this never comes back, or what it would return: it would call it instead of jumping,
        // and give `malloc` a frame for that.
        if opaque(block.addr()) != 0 {
            self.die(Misuse::CorruptedList, block.addr(), None);
        }
        core::ptr::without_provenance_mut(opaque(0))
    }

    /// The page in use of a request's class has nothing.
    #[cold]
    #[inline(never)]
    fn allocate_anew(&self, bytes: usize) -> *mut u8 {
        let class = classes::of(bytes);
        if self.prefers_mapping(class, bytes) { self.allocate_large(bytes) } else { self.allocate_slow(bytes, class) }
    }

    /// The page in use has nothing.
    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, bytes: usize, class: usize) -> *mut u8 {
        let Some(heap) = self.heap_or_attach() else { return self.out_of_memory() };
        heap.sample(class, bytes);
        if !self.fill(heap, class) {
            return self.out_of_memory();
        }
        let page = self.current_page(heap, class);
        let block = page.local.load(Relaxed);
        let block = if classes::slices(class) == 1 {
            self.pop::<SLICE>(page, block)
        } else {
            self.pop::<MEDIUM_PAGE>(page, block)
        };
        self.perturb_fresh(block, bytes)
    }

    /// Makes sure that the list of a class has a block; where memory is refused, what nobody uses is given up first.
    fn fill(&self, heap: &Heap, class: usize) -> bool {
        let fill = || self.with_gate(heap, || self.fill_list(heap, class));
        fill() || ((self.scrape_together() | self.reopen_full(heap, class)) && fill())
    }

    /// Makes sure that the list of a class has a block.
    pub(crate) fn fill_list(&self, heap: &Heap, class: usize) -> bool {
        !self.current_page(heap, class).local.load(Relaxed).is_null() || self.refill(heap, class)
    }

    /// More than the direct table knows.
    #[inline(never)]
    fn allocate_more(&self, bytes: usize) -> *mut u8 {
        let heap = self.platform.heap();
        if bytes <= SMALL_MAX {
            // SAFETY: [class-range] the class of a small request.
            let named = unsafe { heap.current.get_unchecked(classes::of_small(bytes)) };
            self.allocate_from::<SLICE>(named, || self.allocate_anew(bytes))
        } else if bytes <= MEDIUM_MAX {
            // SAFETY: [class-range] the class of a medium request.
            let named = unsafe { heap.current.get_unchecked(classes::of_medium(bytes)) };
            // A threshold below these sizes only matters where nothing is free: `allocate_anew`.
            self.allocate_from::<MEDIUM_PAGE>(named, || self.allocate_anew(bytes))
        } else {
            rare();
            self.allocate_large(bytes)
        }
    }

    /// More than a block that shares a page.
    #[inline(never)]
    fn allocate_large(&self, bytes: usize) -> *mut u8 {
        match Request::plain(bytes) {
            Ok(request) => self.allocate_span(request, Fill::Any),
            Err(_) => self.out_of_memory(),
        }
    }

    /// Any request at all: small, medium, run or mapping; aligned; zeroed.
    pub(crate) fn allocate_request(&self, request: Request, fill: Fill) -> *mut u8 {
        let Request { bytes, align } = request;
        if bytes <= MEDIUM_MAX && align <= MEDIUM_MAX {
            let class = if align <= MIN_ALIGN { Some(classes::of(bytes)) } else { classes::of_aligned(bytes, align) };
            if let Some(class) = class.filter(|class| !self.prefers_mapping(*class, bytes)) {
                return self.allocate_medium(class, bytes, fill);
            }
        }
        self.allocate_span(request, fill)
    }

    /// A block of any class, with the page's start looked up; the way of the requests that are not hot.
    #[inline]
    pub(crate) fn allocate_medium(&self, class: usize, bytes: usize, fill: Fill) -> *mut u8 {
        let heap = self.own_heap();
        let page = self.current_page(heap, class);
        let block = page.local.load(Relaxed);
        if block.is_null() {
            let Some(heap) = self.heap_or_attach() else { return self.out_of_memory() };
            heap.sample(class, bytes);
            if !self.fill(heap, class) {
                return self.out_of_memory();
            }
            return self.allocate_medium(class, bytes, fill);
        }
        let offset = block.addr().wrapping_sub(page.start());
        if offset >= classes::slices(class) * SLICE {
            return self.die_corrupted(block);
        }
        // SAFETY: [current-page] the block lies in the page; [state-index] so does its offset.
        let was = unsafe {
            let byte = page.state(((offset as u64 * page.magic.load(Relaxed) as u64) >> 32) as usize);
            let was = byte.load(Relaxed);
            if was == state::LIVE {
                return self.mend_or_die(block, class, bytes, fill);
            }
            page.local.store((*block).next(), Relaxed);
            byte.store(state::LIVE, Relaxed);
            was
        };
        if fill == Fill::Any {
            return self.perturb_fresh(block.cast(), bytes);
        } else {
            let dirty = if was == state::NEVER && page.is_zero() { size_of::<Block>().min(bytes) } else { bytes };
            // SAFETY: the block is ours and holds `bytes`.
            unsafe { block.cast::<u8>().write_bytes(0, dirty) };
        }
        block.cast()
    }

    /// A block that is to be handed out is LIVE: the fork that this process came from explains it, or misuse.
    #[cold]
    #[inline(never)]
    fn mend_or_die(&self, block: *mut Block, class: usize, bytes: usize, fill: Fill) -> *mut u8 {
        if self.mend_torn(block.addr()) { self.allocate_medium(class, bytes, fill) } else { self.die_corrupted(block) }
    }

    /// `calloc`: `count * bytes` zero bytes. Null: overflow, too large, or no memory.
    #[inline]
    pub fn allocate_zeroed(&self, count: usize, bytes: usize) -> *mut u8 {
        match Request::array(count, bytes) {
            Ok(Request { bytes, .. }) if bytes <= SMALL_ZEROED => {
                let block = self.allocate(bytes);
                if !block.is_null() {
                    // SAFETY: the block is ours and holds `bytes`.
                    unsafe { block.write_bytes(0, bytes) };
                }
                block
            }
            Ok(request) => self.allocate_request(request, Fill::Zero),
            Err(_) => self.out_of_memory(),
        }
    }

    /// A block of zeros for a request whose class is known (`None`: none fits). Null: no memory.
    #[inline]
    pub fn allocate_layout_zeroed(&self, request: Request, class: Option<usize>) -> *mut u8 {
        match class {
            Some(class) => self.allocate_medium(class, request.bytes, Fill::Zero),
            None => self.allocate_request(request, Fill::Zero),
        }
    }

    /// An aligned block. Null: no memory.
    #[inline]
    pub fn allocate_aligned(&self, request: Request) -> *mut u8 {
        self.allocate_aligned_or(request.align, request.bytes, || self.allocate_aligned_slow(request))
    }

    /// An aligned block from a page in use. For everything else, such as a request that makes no sense, what `slow` finds.
    #[inline(always)]
    pub fn allocate_aligned_or(&self, align: usize, bytes: usize, slow: impl FnOnce() -> *mut u8) -> *mut u8 {
        let last = classes::aligned_last(bytes, align);
        if align & align.wrapping_sub(1) != 0 || last >= MEDIUM_MAX {
            rare();
            return slow();
        }
        let heap = self.platform.heap();
        if last < DIRECT_MAX {
            // SAFETY: [class-range] at most the last index.
            let named = unsafe { heap.direct.get_unchecked(last / 16 + 1) };
            self.allocate_from::<SLICE>(named, slow)
        } else if last < SMALL_MAX {
            // SAFETY: [class-range] the class of a small request.
            let named = unsafe { heap.current.get_unchecked(classes::of_small(last + 1)) };
            self.allocate_from::<SLICE>(named, slow)
        } else {
            // SAFETY: [class-range] the class of a medium request.
            let named = unsafe { heap.current.get_unchecked(classes::of_medium(last + 1)) };
            self.allocate_from::<MEDIUM_PAGE>(named, slow)
        }
    }

    /// An aligned block, from wherever there is one. Null: no memory.
    #[cold]
    #[inline(never)]
    pub fn allocate_aligned_slow(&self, request: Request) -> *mut u8 {
        self.allocate_request(request, Fill::Any)
    }

    /// An aligned block of zeros. Null: no memory.
    pub fn allocate_aligned_zeroed(&self, request: Request) -> *mut u8 {
        self.allocate_request(request, Fill::Zero)
    }

    /// Above the classes: a run of slices, or a mapping of its own.
    #[cold]
    #[inline(never)]
    fn allocate_span(&self, request: Request, fill: Fill) -> *mut u8 {
        self.start();
        self.allocate_span_once(request, fill, true)
    }

    fn allocate_span_once(&self, request: Request, fill: Fill, first_try: bool) -> *mut u8 {
        let run = request.align <= SLICE && request.bytes <= RUN_SLICES_MAX * SLICE;
        let block = match self.mechanism(request.bytes) {
            Mechanism::Run if run => {
                let block = self.allocate_run(request, fill);
                if block.is_null() { self.allocate_direct(request, fill) } else { block }
            }
            _ => {
                let block = self.allocate_direct(request, fill);
                if block.is_null() && run { self.allocate_run(request, fill) } else { block }
            }
        };
        if !block.is_null() {
            if fill == Fill::Any { self.perturb_fresh(block, request.bytes) } else { block }
        } else if first_try && self.scrape_together() {
            self.allocate_span_once(request, fill, false)
        } else {
            self.out_of_memory()
        }
    }

    /// Slices of their own, for one block.
    fn allocate_run(&self, request: Request, fill: Fill) -> *mut u8 {
        let bytes = request.bytes;
        let (slices, shifted) = run_shape(request);
        let Some(heap) = self.heap_or_attach() else { return core::ptr::null_mut() };
        let span = self.with_spans(|spans| {
            let span = self.take_span(spans, slices, heap.origin())?;
            self.tally(Counter::RunLiveBytes, (slices * SLICE) as isize);
            Some(span)
        });
        let Some(span) = span else { return core::ptr::null_mut() };
        let page = self.page(span.first);
        page.set_span_bytes(slices * SLICE);
        page.set_requested(bytes);
        let shift = if shifted { geometry::shift_of(span.first) } else { 0 };
        page.start.store(slice_address(span.first) + shift, Relaxed);
        page.owner.store(owner::RUN, Release);
        let block = core::ptr::with_exposed_provenance_mut::<u8>(page.start());
        if fill == Fill::Zero && !span.zero {
            // SAFETY: the span is ours and holds `bytes`.
            unsafe { block.write_bytes(0, bytes) };
        }
        block
    }

    /// Counts a request that could not be served. Null.
    #[cold]
    #[inline(never)]
    pub fn out_of_memory(&self) -> *mut u8 {
        self.count(Counter::OutOfMemory, 1);
        self.platform.no_memory();
        core::ptr::null_mut()
    }
}
