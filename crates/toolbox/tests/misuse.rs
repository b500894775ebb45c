//! What safe code, or an odd request, must not be able to break.

use brkmap_toolbox::free_list::{BestFit, FirstFit, FitKind, NextFit, Segregated};
use brkmap_toolbox::shared::{Block, Memory};
use brkmap_toolbox::source::{AnonymousMap, Global, Source};
use brkmap_toolbox::{BlockPool, Bump, ErrorKind, FreeList, HandleArena, Key, SyncBlockPool};
use std::alloc::Layout;

/// A free slot holds a link where a live one has its object: a key that looks like a free slot must not find it.
#[test]
fn a_key_that_no_arena_gave_finds_nothing() {
    let mut arena = HandleArena::new();
    let key = arena.insert(String::from("gone soon"));
    arena.remove(key);
    for generation in 0..6u64 {
        if let Some(made_up) = Key::from_bits(key.to_bits() & !0xffff_ffff | generation) {
            assert!(!arena.contains(made_up) && arena.get(made_up).is_none(), "generation {generation}");
            assert!(arena.get_mut(made_up).is_none() && arena.remove(made_up).is_none());
        }
    }
}

/// What is left at the end of a chunk, too short for a slot, is no block.
#[test]
fn the_rest_of_a_chunk_is_no_block() {
    let layout = Layout::from_size_align(48, 8).unwrap();
    let pool = BlockPool::new(layout);
    let mut blocks = vec![pool.allocate().unwrap()];
    while pool.stats().chunks == 1 {
        blocks.push(pool.allocate().unwrap());
    }
    let last = blocks[blocks.len() - 2];
    // SAFETY: the byte behind a block, as an address only.
    let rest = unsafe { last.add(48) };
    // SAFETY: an address that is no block is refused.
    let refused = unsafe { pool.try_deallocate(rest) };
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Stale);
}

/// The largest alignments that a layout may have are refused, not miscalculated.
#[test]
fn alignments_beyond_all_memory_are_refused() {
    let layouts = [61, 62].map(|bit| Layout::from_size_align(8, 1 << bit).unwrap());
    for layout in layouts.into_iter().chain([Layout::from_size_align(0, 1 << 63).unwrap()]) {
        fn refuses<F: FitKind>(fit: F, layout: Layout) {
            let list = FreeList::with_fit(fit, Global::new());
            assert!(list.allocate(layout).is_err());
            let small = list.allocate(Layout::new::<u64>()).unwrap();
            assert!(list.allocate(layout).is_err());
            list.check().unwrap();
            // SAFETY: freed once.
            unsafe { list.deallocate(small.cast()) };
        }
        refuses(FirstFit, layout);
        refuses(NextFit, layout);
        refuses(BestFit, layout);
        refuses(Segregated, layout);
        let bump = Bump::new();
        bump.alloc(1u8);
        assert!(bump.allocate(layout).is_err());
        assert!(AnonymousMap::new().reserve(1 << 30).guard_pages().acquire(layout).is_err());
    }
    let layout = Layout::from_size_align(8, 1 << 62).unwrap();
    assert!(BlockPool::new(layout).allocate().is_err() && SyncBlockPool::new(layout).allocate().is_err());
}

/// The contract says "at least": a range does not become shorter.
#[test]
fn extending_to_less_changes_nothing() {
    for source in [AnonymousMap::new(), AnonymousMap::new().reserve(1 << 20), AnonymousMap::new().guard_pages()] {
        let range = source.acquire(Layout::from_size_align(4 << 12, 8).unwrap()).unwrap();
        let layout = Layout::from_size_align(range.len(), 8).unwrap();
        // SAFETY: the range as it was acquired, then given back.
        unsafe {
            let after = source.extend(range.cast(), layout, 1 << 12);
            assert!(after.is_ok_and(|after| after.len() >= range.len()));
            range.cast::<u8>().add(range.len() - 1).write(1);
            source.release(range.cast(), layout);
        }
    }
}

/// Another reference to the memory may be in use in this very process: what is recovered while it is used is broken.
#[test]
fn who_only_borrows_a_memory_is_not_alone() {
    let block = Block::new(Global::new(), 4096).unwrap();
    assert!(block.is_alone());
    fn is_alone<M: Memory>(memory: M) -> bool {
        memory.is_alone()
    }
    assert!(!is_alone(&block));
}
