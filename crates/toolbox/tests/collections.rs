//! `Box`, `Vec` and `hashbrown` in the allocators, the `try_` twins, names and statistics.

#[path = "support/mod.rs"]
mod support;

use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use brkmap_toolbox::free_list::{BestFit, FirstFit, NextFit};
use brkmap_toolbox::source::{AnonymousMap, Global, Slice};
use brkmap_toolbox::{
    Arena, BlockPool, Bump, DropBump, ErrorKind, FreeList, HandleArena, Pool, Stats, SyncBlockPool, SyncPool,
};
use hashbrown::HashMap;
use std::alloc::Layout;
use std::mem::MaybeUninit;
use support::Random;

/// A vector, a map and boxes that live by turns, compared with std's.
fn exercise<A: allocator_api2::alloc::Allocator + Copy>(allocator: A) {
    let mut random = Random(7);
    let (mut ours, mut theirs) = (VecIn::new_in(allocator), Vec::new());
    let (mut our_map, mut their_map) = (HashMap::new_in(allocator), std::collections::HashMap::new());
    let mut boxes: Vec<BoxIn<[u64; 3], A>> = Vec::new();
    for step in 0..5000u64 {
        ours.push(step.to_string());
        theirs.push(step.to_string());
        let key = random.below(700);
        assert_eq!(our_map.insert(key, step), their_map.insert(key, step));
        assert_eq!(our_map.remove(&(key / 2)), their_map.remove(&(key / 2)));
        boxes.push(BoxIn::new_in([step; 3], allocator));
        if boxes.len() > 50 {
            let old = boxes.swap_remove(random.below(50));
            assert!(old.iter().all(|word| *word == old[0]));
        }
        if step % 1000 == 999 {
            ours.truncate(100);
            ours.shrink_to_fit();
            theirs.truncate(100);
        }
    }
    assert!(ours.iter().eq(theirs.iter()) && our_map.len() == their_map.len());
    assert!(their_map.iter().all(|(key, value)| our_map[key] == *value));
    let nothing = BoxIn::new_in((), allocator);
    assert_eq!(*nothing, ());
    let mut empty: VecIn<u8, A> = VecIn::new_in(allocator);
    empty.extend([1, 2, 3]);
    let wide = BoxIn::new_in(Aligned([1; 64]), allocator);
    assert!((&raw const *wide).addr().is_multiple_of(4096) && wide.0[63] == 1);
    let mut emptied = VecIn::new_in(allocator);
    emptied.extend([1u64, 2]);
    emptied.clear();
    emptied.shrink_to_fit();
}

#[repr(align(4096))]
struct Aligned([u8; 64]);

#[test]
fn collections_live_in_a_bump() {
    let mut bump = Bump::over(AnonymousMap::new().reserve(1 << 30)).named("collections");
    exercise(&bump);
    bump.reset();
    bump.scope(|scope| exercise(&*scope));
    assert_eq!(bump.stats().live_bytes, 0);
    // The last thing in a bump grows where it is.
    let mut growing = VecIn::new_in(&bump);
    growing.push(0u64);
    let start = growing.as_ptr();
    growing.extend(1..100_000);
    assert_eq!(growing.as_ptr(), start);
}

#[test]
fn collections_live_in_free_lists() {
    let list = FreeList::new();
    exercise(&list);
    list.check().unwrap();
    assert_eq!(list.stats().live, 0);
    exercise(&FreeList::with_fit(FirstFit, Global::new()));
    exercise(&FreeList::with_fit(NextFit, Global::new()));
    exercise(&FreeList::with_fit(BestFit, AnonymousMap::new()));
}

#[test]
fn a_pool_of_blocks_serves_what_fits() {
    fits(&BlockPool::new(Layout::new::<[u64; 8]>()), BlockPool::stats);
    let pool = SyncBlockPool::new(Layout::new::<[u64; 8]>());
    fits(&pool, SyncBlockPool::stats);
    // A box goes to another thread, and its block comes back from there.
    std::thread::scope(|threads| {
        let boxed = BoxIn::new_in([7; 8], &pool);
        threads.spawn(move || assert_eq!(*boxed, [7; 8]));
    });
    assert_eq!(pool.stats().live, 0);
}

fn fits<P>(pool: &P, stats: fn(&P) -> Stats)
where
    for<'p> &'p P: allocator_api2::alloc::Allocator,
{
    let boxes: Vec<_> = (0..100).map(|number| BoxIn::new_in([number; 8], pool)).collect();
    assert_eq!(stats(pool).live, 100);
    assert!(boxes.iter().zip(0..).all(|(boxed, number)| **boxed == [number; 8]));
    drop(boxes);
    assert_eq!(stats(pool).live, 0);
    assert!(BoxIn::try_new_in([0u64; 9], pool).is_err());
    let mut few: VecIn<u64, _> = VecIn::with_capacity_in(4, pool);
    few.extend(0..8);
    assert!(few.try_reserve(1).is_err(), "a block has one size");
}

#[test]
fn twins_return_what_the_others_panic_with() {
    let mut room = [MaybeUninit::uninit(); 512];
    macro_rules! full {
        ($make:expr, $alloc:expr) => {{
            let allocator = $make;
            let alloc = $alloc;
            let error = (0..1000).find_map(|_| alloc(&allocator)).expect("512 bytes do not hold 1000 values");
            assert_eq!(error, ErrorKind::Exhausted);
        }};
    }
    full!(Bump::over(Slice::new(&mut room)), |bump: &Bump<_>| bump.try_alloc([1u64; 4]).err().map(|e| e.kind()));
    full!(Bump::over(Slice::new(&mut room)), |bump: &Bump<_>| bump
        .try_alloc_slice_copy(&[1u8; 9])
        .err()
        .map(|e| e.kind()));
    full!(Bump::over(Slice::new(&mut room)), |bump: &Bump<_>| bump.try_alloc_str("a text").err().map(|e| e.kind()));
    full!(Bump::over(Slice::new(&mut room)), |bump: &Bump<_>| bump.try_alloc_uninit::<u64>().err().map(|e| e.kind()));
    full!(Bump::over(Slice::new(&mut room)), |bump: &Bump<_>| {
        bump.try_alloc_slice_fill_with(9, |at| at).err().map(|e| e.kind())
    });
    full!(Arena::over(Slice::new(&mut room)), |arena: &Arena<u64, _>| {
        arena.try_alloc_extend([1, 2, 3]).err().map(|e| e.kind())
    });
    full!(Arena::over(Slice::new(&mut room)), |arena: &Arena<u64, _>| arena.try_alloc(1).err().map(|e| e.kind()));
    full!(DropBump::over(Slice::new(&mut room)), |bump: &DropBump<_>| bump
        .try_alloc(Box::new(1))
        .err()
        .map(|e| e.kind()));
    full!(Pool::over(Slice::new(&mut room)), |pool: &Pool<u64, _>| {
        pool.try_alloc(1).map(std::mem::forget).err().map(|e| e.kind())
    });
    full!(SyncPool::over(Slice::new(&mut room)), |pool: &SyncPool<u64, _>| {
        pool.try_alloc(1).map(std::mem::forget).err().map(|e| e.kind())
    });
    let mut arena = HandleArena::over(Slice::new(&mut room));
    let error = (0..1000u64).find_map(|number| arena.try_insert(number).err()).unwrap();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Exhausted, "use a larger slice"));
    let full = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.insert(1)));
    let text = full.unwrap_err().downcast::<String>().unwrap();
    assert!(text.starts_with("Slice::acquire of ") && text.ends_with("use a larger slice"), "{text}");
}

#[test]
fn names_and_numbers() {
    let bump = Bump::new().named("parser");
    bump.alloc([0u8; 100]);
    let stats = bump.stats();
    assert_eq!((stats.name, stats.live_bytes, stats.chunks), (Some("parser"), 100, 1));
    assert!(stats.to_string().starts_with("parser: ") && stats.held_bytes >= 4096);
    let mut keys = HandleArena::new().named("keys");
    keys.insert(1u64);
    assert_eq!((keys.stats().name, keys.stats().live), (Some("keys"), 1));
    assert_eq!(Arena::<u64>::new().named("arena").stats().name, Some("arena"));
    assert_eq!(FreeList::new().named("list").stats().name, Some("list"));
    assert_eq!(SyncPool::<u64>::new().named("sync").stats().name, Some("sync"));
    assert_eq!(format!("{:?}", Pool::<u64>::new().named("pool")), "Pool(pool: 0 live (0 B) of 0 B in 0 chunks)");
}
