//! The pool of a layout of many threads.

use super::sync_slots::{Shape, SyncSlots};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// Blocks of one layout that is known at run time, for any number of threads, without a lock where a block is free.
///
/// [`SyncPool`](super::SyncPool) without a type, and [`BlockPool`](super::BlockPool) between threads. A block costs a word
/// of 4 bytes beside it, rounded up to its alignment.
///
/// ```
/// use brkmap_toolbox::SyncBlockPool;
/// use std::alloc::Layout;
/// let pool = SyncBlockPool::new(Layout::from_size_align(48, 16).unwrap());
/// std::thread::scope(|threads| {
///     for _ in 0..2 {
///         threads.spawn(|| {
///             let block = pool.allocate().unwrap();
///             // SAFETY: 48 bytes that are this thread's, given back once.
///             unsafe {
///                 block.write_bytes(1, 48);
///                 pool.deallocate(block);
///             }
///         });
///     }
/// });
/// assert_eq!(pool.stats().live, 0);
/// ```
///
/// A source that must stay in its thread keeps the pool there:
///
/// ```compile_fail,E0277
/// let mut room = [core::mem::MaybeUninit::uninit(); 4096];
/// let local = std::rc::Rc::new(0);
/// struct Local<S>(S, std::rc::Rc<i32>);
/// // SAFETY: every method is that of the other source.
/// unsafe impl<S: brkmap_toolbox::source::Source> brkmap_toolbox::source::Source for Local<S> {
///     fn acquire(&self, layout: std::alloc::Layout) -> Result<std::ptr::NonNull<[u8]>, brkmap_toolbox::Error> {
///         self.0.acquire(layout)
///     }
///     unsafe fn release(&self, start: std::ptr::NonNull<u8>, layout: std::alloc::Layout) {
///         unsafe { self.0.release(start, layout) }
///     }
/// }
/// let source = Local(brkmap_toolbox::source::Slice::new(&mut room), local);
/// let pool = brkmap_toolbox::SyncBlockPool::over(source, std::alloc::Layout::new::<u64>());
/// std::thread::scope(|threads| {
///     threads.spawn(|| pool.allocate());
/// });
/// ```
pub struct SyncBlockPool<#[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    slots: SyncSlots<S>,
    block: Layout,
    shape: Shape,
}

#[cfg(feature = "alloc")]
impl SyncBlockPool {
    /// An empty one over the registered allocator.
    pub const fn new(block: Layout) -> SyncBlockPool {
        SyncBlockPool::over(Global::new(), block)
    }
}

impl<S: Source> SyncBlockPool<S> {
    /// An empty one over a source.
    ///
    /// # Panics
    ///
    /// A block is within a few bytes of half the address space.
    pub const fn over(source: S, block: Layout) -> SyncBlockPool<S> {
        SyncBlockPool { slots: SyncSlots::over(source), block, shape: Shape::of(block) }
    }

    /// Gives it a name for [`stats`](SyncBlockPool::stats) and reports.
    pub fn named(mut self, name: &'static str) -> SyncBlockPool<S> {
        self.slots.set_name(name);
        self
    }

    /// The source. Exclusive, because another thread may be getting a chunk from it.
    pub fn source(&mut self) -> &S {
        self.slots.source()
    }

    /// The size and the alignment of its blocks.
    pub const fn block(&self) -> Layout {
        self.block
    }

    /// Whether blocks serve a layout.
    pub const fn serves(&self, layout: Layout) -> bool {
        layout.size() <= self.block.size() && layout.align() <= self.block.align()
    }

    /// A block; what it holds is not defined. It lives until it is given back or the pool is dropped.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline]
    pub fn allocate(&self) -> Result<NonNull<u8>, Error> {
        self.slots.pop(self.shape)
    }

    /// Gives a block back, in any thread.
    ///
    /// # Safety
    ///
    /// It came from [`allocate`](SyncBlockPool::allocate) of this pool, was not given back since, and nobody uses it.
    #[inline]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        // SAFETY: [tagged-head] the caller's promise.
        unsafe { self.slots.push(self.shape, block) }
    }

    /// Gives a block back after a check. For tests and tools.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for an address that is no block of this pool, or one that is free already. The pool is unchanged.
    ///
    /// # Safety
    ///
    /// If it is a block of this pool that is not free, it is the caller's, and nobody uses it. No other thread uses the pool
    /// meanwhile.
    pub unsafe fn try_deallocate(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: [tagged-head] the caller's promise: no other thread uses the pool.
        if !unsafe { self.slots.is_live(self.shape, block.addr().get()) } {
            let remedy = "give back each block once, to the pool that it came from";
            return Err(Error::new(ErrorKind::Stale, "SyncBlockPool::try_deallocate", self.block.size(), remedy));
        }
        // SAFETY: [tagged-head] a slot of this pool that somebody has: the caller's, who promises the rest.
        unsafe { self.slots.push(self.shape, block) };
        Ok(())
    }

    /// What it has in hand; exact while no other thread uses it, else about right.
    pub fn stats(&self) -> Stats {
        self.slots.stats(self.shape)
    }
}

impl<S: Source> fmt::Debug for SyncBlockPool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncBlockPool({})", self.stats())
    }
}
