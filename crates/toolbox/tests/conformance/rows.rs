//! Rows that hand out blocks: `Bump`, `BlockPool`, `SyncBlockPool`, `FreeList` in its four fits.

use brkmap_toolbox::free_list::{BestFit, FirstFit, FitKind, NextFit, Segregated};
use brkmap_toolbox::source::Source;
use brkmap_toolbox::{BlockPool, Bump, Error, FreeList, Stats, SyncBlockPool};
use std::alloc::Layout;
use std::ptr::NonNull;

/// What the suite needs to know of an allocator of blocks.
pub(crate) trait Blocks<S: Source> {
    const NAME: &'static str;
    /// Largest size and alignment that it serves.
    const LARGEST: (usize, usize);
    /// Single blocks can be freed.
    const FREES: bool;
    fn over(source: S) -> Self;
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error>;
    /// # Safety
    /// The block is live, from here, and nobody uses it.
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout);
    /// In place; false: it could not.
    /// # Safety
    /// The block is live and from here.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, bytes: usize) -> bool;
    fn stats(&self) -> Stats;
    fn check(&self);
    fn source(&mut self) -> &S;
}

impl<S: Source> Blocks<S> for Bump<S> {
    const NAME: &'static str = "Bump";
    const LARGEST: (usize, usize) = (1 << 16, 1 << 16);
    const FREES: bool = false;
    fn over(source: S) -> Self {
        Bump::over(source)
    }
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        Bump::allocate(self, layout)
    }
    unsafe fn free(&self, _block: NonNull<u8>, _layout: Layout) {}
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, bytes: usize) -> bool {
        // SAFETY: passed on.
        unsafe { self.resize_last(block, old.size(), bytes) }
    }
    fn stats(&self) -> Stats {
        Bump::stats(self)
    }
    fn check(&self) {}
    fn source(&mut self) -> &S {
        Bump::source(self)
    }
}

impl<S: Source> Blocks<S> for BlockPool<S> {
    const NAME: &'static str = "BlockPool";
    const LARGEST: (usize, usize) = (256, 64);
    const FREES: bool = true;
    fn over(source: S) -> Self {
        BlockPool::over(source, Layout::from_size_align(256, 64).unwrap())
    }
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        assert!(self.serves(layout));
        BlockPool::allocate(self)
    }
    unsafe fn free(&self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block) }
    }
    unsafe fn resize(&self, _block: NonNull<u8>, _old: Layout, bytes: usize) -> bool {
        bytes <= self.block().size()
    }
    fn stats(&self) -> Stats {
        BlockPool::stats(self)
    }
    fn check(&self) {}
    fn source(&mut self) -> &S {
        BlockPool::source(self)
    }
}

impl<S: Source> Blocks<S> for SyncBlockPool<S> {
    const NAME: &'static str = "SyncBlockPool";
    const LARGEST: (usize, usize) = (252, 64);
    const FREES: bool = true;
    fn over(source: S) -> Self {
        SyncBlockPool::over(source, Layout::from_size_align(252, 64).unwrap())
    }
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        assert!(self.serves(layout));
        SyncBlockPool::allocate(self)
    }
    unsafe fn free(&self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block) }
    }
    unsafe fn resize(&self, _block: NonNull<u8>, _old: Layout, bytes: usize) -> bool {
        bytes <= self.block().size()
    }
    fn stats(&self) -> Stats {
        SyncBlockPool::stats(self)
    }
    fn check(&self) {}
    fn source(&mut self) -> &S {
        SyncBlockPool::source(self)
    }
}

pub(crate) trait NamedFit: FitKind + Default {
    const ROW: &'static str;
}

macro_rules! fits {
    ($($fit:ty: $row:literal),*) => {$(impl NamedFit for $fit { const ROW: &'static str = $row; })*};
}

fits!(FirstFit: "FreeList, first fit", BestFit: "FreeList, best fit", NextFit: "FreeList, next fit",
      Segregated: "FreeList, segregated");

impl<S: Source, F: NamedFit> Blocks<S> for FreeList<S, F> {
    const NAME: &'static str = F::ROW;
    const LARGEST: (usize, usize) = (1 << 16, 1 << 13);
    const FREES: bool = true;
    fn over(source: S) -> Self {
        FreeList::with_fit(F::default(), source)
    }
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        let block = FreeList::allocate(self, layout)?;
        assert!(block.len() >= layout.size());
        Ok(block.cast())
    }
    unsafe fn free(&self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block) }
    }
    unsafe fn resize(&self, block: NonNull<u8>, _old: Layout, bytes: usize) -> bool {
        // SAFETY: passed on.
        unsafe { FreeList::resize(self, block, bytes) }
    }
    fn stats(&self) -> Stats {
        FreeList::stats(self)
    }
    fn check(&self) {
        FreeList::check(self).expect("the tags fit each other");
    }
    fn source(&mut self) -> &S {
        FreeList::source(self)
    }
}
