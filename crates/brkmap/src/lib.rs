//! brkmap as a Rust global allocator.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();
//!
//! fn main() {
//!     let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
//!     assert_eq!(words[999], "999");
//!     assert!(brkmap::stats().allocated > 0);
//! }
//! ```
//!
//! The size class of a type is a constant of the program, so `Box::new` pops a list and nothing else. `dealloc` checks
//! the size it is given against the block: a wrong layout, a double free or a foreign pointer ends the program with a
//! line that says so. The engine is this program's own: a `libbrkmap.so` in the same process has another one, and
//! neither takes the other's blocks.
//!
//! Purpose-built allocators (bump, pool, free list, arena) over any kind of memory are in [`toolbox`]:
//!
//! ```
//! use brkmap::toolbox::{Bump, source::Global};
//! let bump = Bump::over(Global::over(brkmap::BrkMap::new())).named("parser");
//! assert_eq!(bump.alloc_str("in a chunk from brkmap"), "in a chunk from brkmap");
//! ```
#![no_std]

mod platform;

use core::alloc::{GlobalAlloc, Layout};

pub use brkmap_core::{ClassRow, Figures as Stats, HeapRow};
use brkmap_core::{HEAP_BATCH, Request, classes};
pub use brkmap_sys::{Calls, SystemCall};
pub use brkmap_toolbox as toolbox;

use platform::ENGINE;

/// The allocator: a value without state, for `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrkMap;

impl BrkMap {
    /// The allocator.
    pub const fn new() -> BrkMap {
        BrkMap
    }
}

/// The figures of the heap, in bytes: what is live, what is in memory and why (`docs/STATISTICS.md`). Looks at every block of
/// the heap.
pub fn stats() -> Stats {
    ENGINE.figures()
}

/// Number of size classes.
pub const CLASSES: usize = classes::CLASSES;

/// The rows of the size classes, each at its own number.
pub fn class_rows() -> [ClassRow; CLASSES] {
    let mut rows = [ClassRow::default(); CLASSES];
    ENGINE.class_rows(&mut rows);
    rows
}

/// The rows of the heaps, in the order in which they were made: one for each thread that allocates, and those that wait for
/// the next thread. Each item is taken when it is asked for.
pub fn heap_rows() -> impl Iterator<Item = HeapRow> {
    let (mut rows, mut first, mut at, mut count) = ([HeapRow::default(); HEAP_BATCH], 0, HEAP_BATCH, HEAP_BATCH);
    core::iter::from_fn(move || {
        if at == count && count == HEAP_BATCH {
            count = ENGINE.heap_rows(first, &mut rows);
            (first, at) = (first + HEAP_BATCH, 0);
        }
        let row = rows[..count].get(at).copied();
        at += row.is_some() as usize;
        row
    })
}

/// How often a system call was made for this program's engine.
pub fn calls(call: SystemCall) -> Calls {
    ENGINE.calls(call)
}

/// Returns everything returnable to the kernel, but `pad` bytes at the top of the program break. `true`: something went.
pub fn trim(pad: usize) -> bool {
    ENGINE.trim(pad)
}

/// The class of a layout, where one of the small classes serves it: folds to a constant for a constant layout.
#[inline(always)]
fn small_class(layout: Layout) -> Option<usize> {
    let (bytes, align) = (layout.size(), layout.align());
    if align <= 8 && bytes <= classes::SMALL_MAX {
        Some(classes::of_fine(bytes))
    } else if align <= 16 && bytes <= classes::SMALL_MAX {
        Some(classes::of_small(bytes))
    } else {
        None
    }
}

// SAFETY: blocks are as large and aligned as the layout says, live until deallocated, and the engine never unwinds.
unsafe impl GlobalAlloc for BrkMap {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match small_class(layout) {
            // SAFETY: [class-range] `small_class` yields small classes.
            Some(class) => unsafe { ENGINE.allocate_class(class, layout.size()) },
            None => alloc_more(layout),
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match small_class(layout) {
            // SAFETY: dealloc's contract; the class is checked against the block's page.
            Some(class) => unsafe { ENGINE.free_of_class(block, class, layout.size()) },
            // SAFETY: dealloc's contract.
            None => unsafe { ENGINE.free_checked(block, layout.size(), layout.align()) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Request::aligned(layout.align(), layout.size()) {
            Ok(request) => ENGINE.allocate_layout_zeroed(request, small_class(layout)),
            Err(_) => core::ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        match Request::aligned(layout.align(), bytes) {
            // SAFETY: realloc's contract.
            Ok(request) => unsafe { ENGINE.reallocate(block, request) },
            Err(_) => core::ptr::null_mut(),
        }
    }
}

/// Medium and larger blocks, and those aligned beyond 16.
#[inline(never)]
fn alloc_more(layout: Layout) -> *mut u8 {
    match Request::aligned(layout.align(), layout.size()) {
        Ok(request) => ENGINE.allocate_aligned(request),
        Err(_) => core::ptr::null_mut(),
    }
}
