//! The pool of a layout.

use super::{Slots, slot_layout};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// Blocks of one layout that is known at run time, for one thread at a time.
///
/// ```
/// use brkmap_toolbox::BlockPool;
/// use std::alloc::Layout;
/// let pool = BlockPool::new(Layout::from_size_align(48, 16).unwrap());
/// let block = pool.allocate().unwrap();
/// assert_eq!(block.addr().get() % 16, 0);
/// // SAFETY: nobody uses the block.
/// unsafe {
///     assert!(pool.try_deallocate(block).is_ok());
///     assert!(pool.try_deallocate(block).is_err(), "a second time is an error");
/// }
/// ```
pub struct BlockPool<#[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    slots: Slots<S>,
    slot: Layout,
}

// SAFETY: [exclusive-owner] the chunks belong to this value alone.
unsafe impl<S: Source + Send> Send for BlockPool<S> {}

#[cfg(feature = "alloc")]
impl BlockPool {
    /// An empty one over the registered allocator. Blocks are at least 8 bytes.
    pub const fn new(block: Layout) -> BlockPool {
        BlockPool::over(Global::new(), block)
    }
}

impl<S: Source> BlockPool<S> {
    /// An empty one over a source. Blocks are at least 8 bytes.
    ///
    /// # Panics
    ///
    /// The alignment is half the address space.
    pub const fn over(source: S, block: Layout) -> BlockPool<S> {
        BlockPool { slots: Slots::over(source), slot: slot_layout(block) }
    }

    /// Gives it a name for [`stats`](BlockPool::stats) and reports.
    pub fn named(mut self, name: &'static str) -> BlockPool<S> {
        self.slots.chunks.set_name(name);
        self
    }

    /// The size, rounded, and the alignment of its blocks.
    pub const fn block(&self) -> Layout {
        self.slot
    }

    /// The source.
    pub fn source(&self) -> &S {
        self.slots.chunks.source()
    }

    /// Whether blocks serve a layout.
    pub const fn serves(&self, layout: Layout) -> bool {
        layout.size() <= self.slot.size() && layout.align() <= self.slot.align()
    }

    /// A block; what it holds is not defined. It lives until it is given back or the pool is dropped.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline]
    pub fn allocate(&self) -> Result<NonNull<u8>, Error> {
        self.slots.pop(self.slot)
    }

    /// Gives a block back.
    ///
    /// # Safety
    ///
    /// It came from [`allocate`](BlockPool::allocate) of this pool, was not given back since, and nobody uses it.
    #[inline]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        debug_assert!(
            self.slots.is_slot(block.addr().get(), self.slot),
            "BlockPool: {block:?} is not a block of this pool"
        );
        // SAFETY: [free-slot] the caller's promise.
        unsafe { self.slots.push(block) }
    }

    /// Gives a block back after a check that looks at every chunk and every free block. For tests and tools.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for an address that is no block of this pool, or one that is free already. The pool is unchanged.
    ///
    /// # Safety
    ///
    /// If it is a block of this pool that is not free, it is the caller's, and nobody uses it.
    pub unsafe fn try_deallocate(&self, block: NonNull<u8>) -> Result<(), Error> {
        let address = block.addr().get();
        if !self.slots.is_slot(address, self.slot) || self.slots.is_free(address) {
            let remedy = "give back each block once, to the pool that it came from";
            return Err(Error::new(ErrorKind::Stale, "BlockPool::try_deallocate", self.slot.size(), remedy));
        }
        // SAFETY: [free-slot] a slot of this pool that is not in the list; the caller's promise.
        unsafe { self.slots.push(block) };
        Ok(())
    }

    /// What it has in hand. Counting walks the list of free slots.
    pub fn stats(&self) -> Stats {
        self.slots.stats(self.slot)
    }
}

impl<S: Source> fmt::Debug for BlockPool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockPool({})", self.stats())
    }
}
