//! A complete allocator in one file: small blocks from the program break, large ones as mappings, a threshold between.
//!
//! It is this program's `#[global_allocator]`. Complete means: any alignment, blocks that are freed and joined with their
//! neighbours, `realloc` that grows large blocks without a copy, mappings where the break is refused.
//!
//! ```text
//!              < 128 KiB                                  ≥ 128 KiB
//!   FreeList over the program break ──(refused)──► mapping of its own, one per block
//! ```

use brkmap_toolbox::calls::{self, Mapping};
use brkmap_toolbox::source::{AnonymousMap, OrElse, ProgramBreak};
use brkmap_toolbox::{FreeList, free_list::Segregated};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// From this size on, a block is a mapping.
const THRESHOLD: usize = 128 << 10;

type Small = FreeList<OrElse<ProgramBreak, AnonymousMap>, Segregated>;

struct Hybrid {
    small: UnsafeCell<Small>,
    /// Held by whoever uses `small`.
    is_locked: AtomicBool,
}

// SAFETY: `small` is used with the lock held only.
unsafe impl Sync for Hybrid {}

impl Hybrid {
    const fn new() -> Hybrid {
        // SAFETY: this program has one thread. With more, libc's own malloc (which libc uses to start threads) could move the
        // break at the same moment: then the source for small blocks should be `AnonymousMap` with a reserve.
        let source = OrElse::new(unsafe { ProgramBreak::new() }, AnonymousMap::new());
        Hybrid { small: UnsafeCell::new(FreeList::over(source)), is_locked: AtomicBool::new(false) }
    }

    fn with_small<R>(&self, then: impl FnOnce(&Small) -> R) -> R {
        while self.is_locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held, and `then` does not allocate through us.
        let result = then(unsafe { &*self.small.get() });
        self.is_locked.store(false, Ordering::Release);
        result
    }

    /// Both mechanisms are told apart by the layout, which `dealloc` is given again.
    fn is_large(layout: Layout) -> bool {
        layout.size() >= THRESHOLD || layout.align() > calls::os_page()
    }

    fn map(&self, layout: Layout) -> *mut u8 {
        // What is aligned beyond an OS page begins inside a longer mapping; the front is returned at once.
        let extra = if layout.align() > calls::os_page() { layout.align() } else { 0 };
        let Ok(range) = calls::map(layout.size() + extra, &Mapping::new()) else { return ptr::null_mut() };
        let (start, bytes) = (range.cast::<u8>(), whole(layout.size()));
        let lead = start.addr().get().wrapping_neg() & (layout.align() - 1);
        // SAFETY: both ends lie in the fresh mapping, outside of the block.
        unsafe {
            if lead > 0 {
                let _ = calls::unmap(start, lead);
            }
            if range.len() > lead + bytes {
                let _ = calls::unmap(start.add(lead + bytes), range.len() - lead - bytes);
            }
            start.add(lead).as_ptr()
        }
    }
}

fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(calls::os_page())
}

// SAFETY: blocks are exclusive, as long and aligned as the layout says, and live until they are given back.
unsafe impl GlobalAlloc for Hybrid {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Hybrid::is_large(layout) {
            return self.map(layout);
        }
        self.with_small(|small| small.allocate(layout)).map_or(ptr::null_mut(), |block| block.cast().as_ptr())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the block was made for this layout, so by the same mechanism; nobody uses it any more.
        unsafe {
            if Hybrid::is_large(layout) {
                let _ = calls::unmap(block, whole(layout.size()));
            } else {
                self.with_small(|small| small.deallocate(block));
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: realloc's contract: the new size is valid for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        if let Some(start) = NonNull::new(block) {
            let (was, is) = (whole(layout.size()), whole(bytes));
            // SAFETY: the block is live and ours; if it moves, the old range is not used again.
            let stays = unsafe {
                match (Hybrid::is_large(layout), Hybrid::is_large(new)) {
                    (true, true) if layout.align() <= calls::os_page() => {
                        calls::remap(start, was, is, true).ok().map(|range| range.cast())
                    }
                    (false, false) => self.with_small(|small| small.resize(start, bytes)).then_some(start),
                    _ => None,
                }
            };
            if let Some(place) = stays {
                return place.as_ptr();
            }
        }
        // SAFETY: the contracts of `alloc` and `dealloc`; both blocks are at least as long as what is copied.
        unsafe {
            let other = self.alloc(new);
            if !other.is_null() {
                ptr::copy_nonoverlapping(block, other, layout.size().min(bytes));
                self.dealloc(block, layout);
            }
            other
        }
    }
}

#[global_allocator]
static ALLOCATOR: Hybrid = Hybrid::new();

fn main() {
    let (words, mut large) =
        ((0..10_000).map(|number| format!("word {number}")).collect::<Vec<_>>(), vec![1u8; 1 << 20]);
    large.resize(8 << 20, 2);
    assert!(words[9999] == "word 9999" && large[0] == 1 && large[8_000_000] == 2);
    assert!(words[0].as_ptr() < calls::program_break() && large.as_ptr() > calls::program_break().cast_const());
    println!("{}", ALLOCATOR.with_small(|small| small.stats()));
    drop((words, large));
    assert!(ALLOCATOR.with_small(|small| small.check()).is_ok());
}
