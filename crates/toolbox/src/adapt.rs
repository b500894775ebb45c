//! The `Allocator` trait of the crate `allocator-api2`: its `Box` and `Vec`, and `hashbrown`'s maps, in our allocators.
//!
//! ```
//! use allocator_api2::{boxed::Box, vec::Vec};
//! use brkmap_toolbox::{Bump, FreeList};
//!
//! let bump = Bump::new();
//! let mut words = Vec::new_in(&bump);
//! words.extend(["in", "a", "bump"]);
//! let list = FreeList::new();
//! let boxed = Box::new_in(words.len(), &list);
//! assert_eq!(*boxed, 3);
//!
//! let mut map = hashbrown::HashMap::with_capacity_in(8, &bump);
//! map.insert("key", 1);
//! assert_eq!(map["key"], 1);
//! ```
//!
//! The trait is implemented for *references*: a collection borrows its allocator, so it cannot be reset or dropped under
//! it. A collection that grows step by step in a bump allocator grows in place while it is the last thing in it.
//!
//! ```compile_fail,E0502
//! let mut bump = brkmap_toolbox::Bump::new();
//! let mut words = allocator_api2::vec::Vec::new_in(&bump);
//! bump.reset();
//! words.push(1);
//! ```

use crate::bump::{Bump, Scope};
use crate::free_list::{FitKind, FreeList};
use crate::pool::{BlockPool, SyncBlockPool};
use crate::source::Source;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::num::NonZero;
use core::ptr::NonNull;

fn block(start: NonNull<u8>, layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(start, layout.size())
}

/// A block of no bytes: no block. The `Box` of `allocator-api2` gives such ones back without having got them.
fn nothing(layout: Layout) -> NonNull<[u8]> {
    let align = NonZero::new(layout.align()).unwrap_or(NonZero::<usize>::MIN);
    NonNull::slice_from_raw_parts(NonNull::without_provenance(align), 0)
}

/// Another block with the contents of this one, which is given back.
///
/// # Safety
///
/// As for `Allocator::grow` and `shrink`.
unsafe fn moved<A: Allocator>(
    this: A,
    start: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let place = this.allocate(new)?;
    // SAFETY: [source-contract] both blocks are at least as long as the shorter layout, and different.
    unsafe {
        start.copy_to_nonoverlapping(place.cast(), old.size().min(new.size()));
        this.deallocate(start, old);
    }
    Ok(place)
}

// SAFETY: [bump-room] blocks are fresh and stay until a reset, which needs the allocator that is borrowed here.
unsafe impl<S: Source> Allocator for &Bump<S> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Bump::allocate(self, layout).map(|start| block(start, layout)).map_err(|_| AllocError)
    }

    #[inline]
    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: [bump-room] the block is the caller's, who is done with it.
        unsafe { self.resize_last(start, layout.size(), 0) };
    }

    unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let is_aligned = start.addr().get().is_multiple_of(new.align());
        // SAFETY: [bump-room] the block is the caller's; grown, nothing is cut off.
        if is_aligned && unsafe { self.resize_last(start, old.size(), new.size()) } {
            return Ok(block(start, new));
        }
        // SAFETY: [source-contract] passed on.
        unsafe { moved(*self, start, old, new) }
    }

    unsafe fn shrink(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if !start.addr().get().is_multiple_of(new.align()) {
            // SAFETY: [source-contract] passed on.
            return unsafe { moved(*self, start, old, new) };
        }
        // SAFETY: [bump-room] the block is the caller's, who is done with what is cut off. If it is not the last, it stays.
        unsafe { self.resize_last(start, old.size(), new.size()) };
        Ok(block(start, new))
    }
}

// SAFETY: [scope-end] as for the allocator behind it; the blocks stay as long as the scope is borrowed.
unsafe impl<S: Source> Allocator for &Scope<'_, S> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Allocator::allocate(&self.bump(), layout)
    }

    #[inline]
    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: [scope-end] passed on.
        unsafe { Allocator::deallocate(&self.bump(), start, layout) }
    }

    unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: [scope-end] passed on.
        unsafe { Allocator::grow(&self.bump(), start, old, new) }
    }

    unsafe fn shrink(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: [scope-end] passed on.
        unsafe { Allocator::shrink(&self.bump(), start, old, new) }
    }
}

macro_rules! pools {
    ($($pool:ident)*) => {$(
        // SAFETY: [free-slot] a block is the caller's until it is given back; what does not fit is refused. Between threads
        // that is [tagged-head].
        unsafe impl<S: Source> Allocator for &$pool<S> {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                if layout.size() == 0 {
                    return Ok(nothing(layout));
                }
                if !self.serves(layout) {
                    return Err(AllocError);
                }
                let start = $pool::allocate(self).map_err(|_| AllocError)?;
                Ok(NonNull::slice_from_raw_parts(start, self.block().size()))
            }

            #[inline]
            unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
                if layout.size() != 0 {
                    // SAFETY: [free-slot] the caller's promise.
                    unsafe { $pool::deallocate(self, start) }
                }
            }

            unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                if old.size() == 0 {
                    return Allocator::allocate(self, new);
                }
                self.serves(new).then(|| NonNull::slice_from_raw_parts(start, self.block().size())).ok_or(AllocError)
            }

            unsafe fn shrink(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
                if new.size() == 0 {
                    // SAFETY: [source-contract] passed on.
                    return unsafe { moved(*self, start, old, new) };
                }
                self.serves(new).then(|| NonNull::slice_from_raw_parts(start, self.block().size())).ok_or(AllocError)
            }
        }
    )*};
}

pools!(BlockPool SyncBlockPool);

// SAFETY: [boundary-tags] a block is the caller's until it is given back.
unsafe impl<S: Source, F: FitKind> Allocator for &FreeList<S, F> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        FreeList::allocate(self, layout).map_err(|_| AllocError)
    }

    #[inline]
    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: [boundary-tags] the caller's promise.
            unsafe { FreeList::deallocate(self, start) }
        }
    }

    unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let is_aligned = old.size() != 0 && start.addr().get().is_multiple_of(new.align());
        // SAFETY: [boundary-tags] the block is the caller's; grown, nothing is cut off.
        if is_aligned && unsafe { self.resize(start, new.size()) } {
            return Ok(block(start, new));
        }
        // SAFETY: [source-contract] passed on.
        unsafe { moved(*self, start, old, new) }
    }

    unsafe fn shrink(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let is_aligned = new.size() != 0 && start.addr().get().is_multiple_of(new.align());
        // SAFETY: [boundary-tags] the block is the caller's, who is done with what is cut off.
        if is_aligned && unsafe { self.resize(start, new.size()) } {
            return Ok(block(start, new));
        }
        // SAFETY: [source-contract] passed on.
        unsafe { moved(*self, start, old, new) }
    }
}
