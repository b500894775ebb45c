//! smalloc as a library to preload.

use rival_layer::{Calls, NATURAL};
use smmalloc::Smalloc;
use std::alloc::{GlobalAlloc, Layout};

static HEAP: Smalloc = Smalloc::new();

fn layout(align: usize, size: usize) -> Layout {
    // SAFETY: the layer passes powers of two and sizes that stay below `isize::MAX` when they are rounded up to them.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

struct Slots;

// SAFETY: slots have the size and alignment that their layout asked for; their size is in their address, so that neither
// giving one back nor moving it looks at the layout's size, but for the number of bytes to copy.
unsafe impl Calls for Slots {
    #[inline(always)]
    fn malloc(size: usize) -> *mut u8 {
        // SAFETY: the layer never asks for 0 bytes.
        unsafe { HEAP.alloc(layout(NATURAL, size)) }
    }

    #[inline(always)]
    fn zeroed(size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { HEAP.alloc_zeroed(layout(NATURAL, size)) }
    }

    #[inline(always)]
    fn aligned(align: usize, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { HEAP.alloc(layout(align, size)) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8) {
        // SAFETY: as the trait's.
        unsafe { HEAP.dealloc(block, layout(NATURAL, NATURAL)) }
    }

    #[inline(always)]
    unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: as the trait's; all of the slot is copied.
        unsafe { HEAP.realloc(block, layout(NATURAL, Self::usable(block)), size) }
    }

    #[inline(always)]
    unsafe fn usable(block: *mut u8) -> usize {
        1 << smmalloc::ptr_to_sc(block.addr())
    }
}

rival_layer::export!(Slots);
