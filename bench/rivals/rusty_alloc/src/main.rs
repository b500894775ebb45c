//! The Rust program on rusty_alloc, which leaves `GlobalAlloc` to its users.

use rusty_alloc::alloc;
use std::alloc::{GlobalAlloc, Layout};

/// Alignments up to this are met by every block of at least that size.
const NATURAL: usize = 16;

struct RustyAlloc;

fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL && layout.align() <= layout.size()
}

// SAFETY: blocks are rusty_alloc's, of the size and alignment asked for, and each is given back to it once.
unsafe impl GlobalAlloc for RustyAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout) {
            alloc::malloc(layout.size())
        } else {
            alloc::malloc_aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has the block from `alloc`.
        unsafe { alloc::free(block) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout) {
            alloc::zalloc(layout.size())
        } else {
            alloc::zalloc_aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from `alloc`.
        unsafe {
            if layout.align() <= NATURAL && layout.align() <= size {
                alloc::realloc(block, size)
            } else {
                alloc::realloc_aligned(block, size, layout.align())
            }
        }
    }
}

#[global_allocator]
static ALLOCATOR: RustyAlloc = RustyAlloc;

fn main() {
    rival_workload::main("rusty_alloc", rival_workload::Blocks::Elsewhere);
}
