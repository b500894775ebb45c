//! rusty_alloc as a library to preload.

use rival_layer::Calls;
use rusty_alloc::alloc;

struct RustyAlloc;

// SAFETY: every function is rusty_alloc's of that meaning; its blocks are aligned to 16 from 16 bytes on.
unsafe impl Calls for RustyAlloc {
    #[inline(always)]
    fn malloc(size: usize) -> *mut u8 {
        alloc::malloc(size)
    }

    #[inline(always)]
    fn zeroed(size: usize) -> *mut u8 {
        alloc::zalloc(size)
    }

    #[inline(always)]
    fn aligned(align: usize, size: usize) -> *mut u8 {
        alloc::malloc_aligned(size, align)
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8) {
        // SAFETY: as the trait's.
        unsafe { alloc::free(block) }
    }

    #[inline(always)]
    unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: as the trait's.
        unsafe { alloc::realloc(block, size) }
    }

    #[inline(always)]
    unsafe fn usable(block: *mut u8) -> usize {
        // SAFETY: as the trait's.
        unsafe { alloc::usable_size(block) }
    }
}

rival_layer::export!(RustyAlloc);
