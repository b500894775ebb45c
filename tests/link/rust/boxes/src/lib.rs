//! Functions whose machine code is read: each must be the fast path alone, with its size class as a constant.

use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

/// Six words: allocated, used, freed.
#[unsafe(no_mangle)]
pub extern "C" fn box_pair() {
    drop(black_box(Box::new([0u64; 6])));
}

/// Six words: allocated.
#[unsafe(no_mangle)]
pub extern "C" fn box_new() -> *mut [u64; 6] {
    Box::into_raw(Box::new([0u64; 6]))
}

/// Six words: freed.
///
/// # Safety
/// `block` comes from [`box_new`] and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn box_drop(block: *mut [u64; 6]) {
    // SAFETY: [caller] a box that `box_new` gave away
    drop(unsafe { Box::from_raw(block) });
}
