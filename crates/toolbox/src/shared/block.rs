//! One chunk of a private source as memory.

use super::Memory;
use crate::error::Error;
use crate::source::{self, Source};
use core::alloc::Layout;
use core::ptr::NonNull;

/// One chunk of a private source as [`Memory`] of fixed size: handles and copies inside one process, between threads.
///
/// ```
/// use brkmap_toolbox::{shared::{Arena, Block}, source::Global};
/// let arena = Arena::<u32, _>::create(Block::new(Global::new(), 4096).unwrap()).unwrap();
/// assert_eq!(arena.get(arena.push(5).unwrap()), Ok(5));
/// ```
#[derive(Debug)]
pub struct Block<S: Source> {
    range: NonNull<[u8]>,
    layout: Layout,
    source: S,
}

// SAFETY: [exclusive-owner] the range is reached by atomic accesses only; the source is used by `new` and `drop` alone.
unsafe impl<S: Source + Send> Send for Block<S> {}
// SAFETY: [exclusive-owner] the same: no method reaches the source through `&self`.
unsafe impl<S: Source + Send> Sync for Block<S> {}

impl<S: Source> Block<S> {
    /// A chunk of at least `bytes`, zeroed.
    ///
    /// # Errors
    ///
    /// The source has none.
    pub fn new(source: S, bytes: usize) -> Result<Block<S>, Error> {
        let asked = source::layout("Block::new", bytes.max(64), 16)?;
        let range = source.acquire(asked)?;
        // SAFETY: [source-contract] the range is fresh and writable.
        unsafe { range.cast::<u8>().write_bytes(0, range.len()) };
        let layout = source::layout("Block::new", range.len(), 16)?;
        Ok(Block { range, layout, source })
    }
}

impl<S: Source> Drop for Block<S> {
    fn drop(&mut self) {
        // SAFETY: [source-contract] the chunk as it was acquired; it goes with its last user.
        unsafe { self.source.release(self.range.cast(), self.layout) }
    }
}

// SAFETY: [memory-contract] the chunk is exclusive, 16-aligned, stays until `drop`, and is only lent as `Memory`.
unsafe impl<S: Source> Memory for Block<S> {
    fn range(&self) -> NonNull<[u8]> {
        self.range
    }

    fn is_alone(&self) -> bool {
        true
    }
}
