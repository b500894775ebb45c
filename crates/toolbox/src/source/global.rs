//! Any `GlobalAlloc` as a source.
//!
//! **What.** Chunks come from another allocator: the program's registered one ([`Global::new`]) or any value that
//! implements `GlobalAlloc` ([`Global::over`], for example `brkmap::BrkMap`).
//!
//! **When.** The default. The allocators here then ask for a few large blocks instead of many small ones, and the
//! program's own tools (leak checkers, profilers, limits) still see the memory.
//!
//! **When not.** What the program should *not* share with malloc: memory that must go back to the kernel at once
//! ([`AnonymousMap`](super::AnonymousMap)), or exist where there is no malloc ([`Slice`](super::Slice)).
//!
//! | operation | cost |
//! |---|---|
//! | acquire | one `alloc` |
//! | extend | refused: `realloc` may move, and chunks must not |
//! | release | one `dealloc` |
//!
//! ```text
//!   malloc's heap  |░░|chunk 1|░░░░|  chunk 2  |░|      chunk 3      |░░|
//! ```
//!
//! **Limits.** A chunk costs what malloc's header costs, and malloc decides whether freed chunks go back to the kernel.

use super::Source;
use crate::error::{Error, ErrorKind};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// The allocator that the program registered with `#[global_allocator]`, or std's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registered;

// SAFETY: [source-contract] both functions are those of the registered allocator.
unsafe impl GlobalAlloc for Registered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: [source-contract] passed on.
        unsafe { alloc::alloc::alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: [source-contract] passed on.
        unsafe { alloc::alloc::dealloc(block, layout) }
    }
}

/// A `GlobalAlloc` as a source.
///
/// ```
/// use brkmap_toolbox::{Bump, source::Global};
/// let bump = Bump::over(Global::over(std::alloc::System));
/// assert_eq!(bump.alloc_str("from malloc, past the registered allocator"), "from malloc, past the registered allocator");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Global<A = Registered>(A);

impl Global {
    /// The registered allocator.
    pub const fn new() -> Global {
        Global(Registered)
    }
}

impl<A: GlobalAlloc> Global<A> {
    /// Another one.
    pub const fn over(allocator: A) -> Global<A> {
        Global(allocator)
    }
}

// SAFETY: [source-contract] a block of a `GlobalAlloc` is exclusive and stays until it is deallocated.
unsafe impl<A: GlobalAlloc> Source for Global<A> {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let asked = |kind, remedy| Error::new(kind, "GlobalAlloc::alloc", layout.size(), remedy);
        if layout.size() == 0 {
            return Err(asked(ErrorKind::BadRequest, "ask for at least one byte"));
        }
        // SAFETY: [source-contract] the size is not 0.
        let start = NonNull::new(unsafe { self.0.alloc(layout) });
        let start = start.ok_or(asked(ErrorKind::Exhausted, "free memory, or raise the process's limit"))?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: [source-contract] the block and its layout, as acquired.
        unsafe { self.0.dealloc(start.as_ptr(), layout) }
    }
}
