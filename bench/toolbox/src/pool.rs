//! Pools: objects of one size that come and go, and the same by keys.

use crate::runner::{Random, Runner, opaque, ours, rival};
use brkmap_toolbox::{BlockPool, HandleArena, Pool, SyncBlockPool, SyncPool};
use std::alloc::Layout;
use std::hint::black_box;

type Object = [u64; 8];

const LIVE: usize = 10_000;
const ROUNDS: usize = 10_000;

/// Which of the live objects is replaced next.
fn victims() -> Vec<u32> {
    let mut random = Random(7);
    (0..ROUNDS).map(|_| random.below(LIVE) as u32).collect()
}

pub fn run(runner: &mut Runner) {
    replace(runner);
    fill_and_empty(runner);
    pairs(runner);
    lookups(runner);
}

/// A live object is dropped and another one made, at random places.
fn replace(runner: &mut Runner) {
    let victims = victims();
    let object = |number: usize| -> Object { [number as u64; 8] };
    let (pool, sync) = (Pool::<Object>::new(), SyncPool::<Object>::new());
    let blocks = BlockPool::new(Layout::new::<Object>());
    let mut in_pool: Vec<_> = (0..LIVE).map(|number| Some(pool.alloc(object(number)))).collect();
    let mut in_sync: Vec<_> = (0..LIVE).map(|number| Some(sync.alloc(object(number)))).collect();
    let mut in_blocks: Vec<_> = (0..LIVE).map(|_| blocks.allocate().unwrap()).collect();
    let sync_blocks = SyncBlockPool::new(Layout::new::<Object>());
    let mut in_sync_blocks: Vec<_> = (0..LIVE).map(|_| sync_blocks.allocate().unwrap()).collect();
    let mut boxes: Vec<_> = (0..LIVE).map(|number| Some(Box::new(object(number)))).collect();
    let mut slab = slab::Slab::<Object>::new();
    let mut in_slab: Vec<usize> = (0..LIVE).map(|number| slab.insert(object(number))).collect();
    let sharded = sharded_slab::Slab::<Object>::new();
    let mut in_sharded: Vec<usize> = (0..LIVE).map(|number| sharded.insert(object(number)).unwrap()).collect();
    let mut slots = slotmap::SlotMap::<slotmap::DefaultKey, Object>::new();
    let mut in_slots: Vec<_> = (0..LIVE).map(|number| slots.insert(object(number))).collect();
    let mut generational = generational_arena::Arena::<Object>::new();
    let mut in_generational: Vec<_> = (0..LIVE).map(|number| generational.insert(object(number))).collect();
    let mut handles = HandleArena::<Object>::new();
    let mut in_handles: Vec<_> = (0..LIVE).map(|number| handles.insert(object(number))).collect();

    macro_rules! batch {
        (|$at:ident, $number:ident| $body:expr) => {
            || {
                for ($number, victim) in victims.iter().enumerate() {
                    let $at = *victim as usize;
                    $body;
                }
            }
        };
    }
    runner.setting(
        "pool: replace 64 bytes, 10,000 live",
        ROUNDS,
        vec![
            ours(
                "Pool",
                batch!(|at, number| {
                    in_pool[at] = None;
                    in_pool[at] = Some(pool.alloc(object(opaque(number))));
                }),
            ),
            ours(
                "BlockPool",
                batch!(|at, number| {
                    // SAFETY: the block is live, and freed once.
                    unsafe { blocks.deallocate(in_blocks[at]) };
                    in_blocks[at] = blocks.allocate().unwrap();
                    // SAFETY: the block is as long as an object.
                    unsafe { in_blocks[at].cast::<Object>().write(object(opaque(number))) };
                }),
            ),
            ours(
                "SyncPool",
                batch!(|at, number| {
                    in_sync[at] = None;
                    in_sync[at] = Some(sync.alloc(object(opaque(number))));
                }),
            ),
            ours(
                "SyncBlockPool",
                batch!(|at, number| {
                    // SAFETY: the block is live, and freed once.
                    unsafe { sync_blocks.deallocate(in_sync_blocks[at]) };
                    in_sync_blocks[at] = sync_blocks.allocate().unwrap();
                    // SAFETY: the block is as long as an object.
                    unsafe { in_sync_blocks[at].cast::<Object>().write(object(opaque(number))) };
                }),
            ),
            ours(
                "HandleArena",
                batch!(|at, number| {
                    handles.remove(in_handles[at]);
                    in_handles[at] = handles.insert(object(opaque(number)));
                }),
            ),
            rival(
                "slab",
                batch!(|at, number| {
                    slab.remove(in_slab[at]);
                    in_slab[at] = slab.insert(object(opaque(number)));
                }),
            ),
            rival(
                "sharded-slab",
                batch!(|at, number| {
                    sharded.remove(in_sharded[at]);
                    in_sharded[at] = sharded.insert(object(opaque(number))).unwrap();
                }),
            ),
            rival(
                "slotmap",
                batch!(|at, number| {
                    slots.remove(in_slots[at]);
                    in_slots[at] = slots.insert(object(opaque(number)));
                }),
            ),
            rival(
                "generational-arena",
                batch!(|at, number| {
                    generational.remove(in_generational[at]);
                    in_generational[at] = generational.insert(object(opaque(number)));
                }),
            ),
            rival(
                "malloc",
                batch!(|at, number| {
                    boxes[at] = None;
                    boxes[at] = Some(Box::new(object(opaque(number))));
                }),
            ),
        ],
    );
}

/// All are made, then all are dropped.
fn fill_and_empty(runner: &mut Runner) {
    let object = |number: usize| -> Object { [number as u64; 8] };
    let (pool, blocks) = (Pool::<Object>::new(), BlockPool::new(Layout::new::<Object>()));
    let sync = SyncPool::<Object>::new();
    let (mut slab, sharded) = (slab::Slab::<Object>::new(), sharded_slab::Slab::<Object>::new());
    let mut slots = slotmap::SlotMap::<slotmap::DefaultKey, Object>::new();
    let mut generational = generational_arena::Arena::<Object>::new();
    let mut handles = HandleArena::<Object>::new();
    runner.setting(
        "pool: make 10,000 of 64 bytes, then drop them",
        LIVE,
        vec![
            ours("Pool", || drop((0..LIVE).map(|n| pool.alloc(object(opaque(n)))).collect::<Vec<_>>())),
            ours("BlockPool", || {
                let make = |number| {
                    let block = blocks.allocate().unwrap();
                    // SAFETY: the block is as long as an object.
                    unsafe { block.cast::<Object>().write(object(opaque(number))) };
                    block
                };
                let all: Vec<_> = (0..LIVE).map(make).collect();
                // SAFETY: each block is live, and freed once.
                all.into_iter().for_each(|block| unsafe { blocks.deallocate(block) });
            }),
            ours("SyncPool", || drop((0..LIVE).map(|n| sync.alloc(object(opaque(n)))).collect::<Vec<_>>())),
            ours("HandleArena", || {
                let keys: Vec<_> = (0..LIVE).map(|n| handles.insert(object(opaque(n)))).collect();
                keys.into_iter().for_each(|key| _ = black_box(handles.remove(key)));
            }),
            rival("slab", || {
                let keys: Vec<_> = (0..LIVE).map(|n| slab.insert(object(opaque(n)))).collect();
                keys.into_iter().for_each(|key| _ = black_box(slab.remove(key)));
            }),
            rival("sharded-slab", || {
                let keys: Vec<_> = (0..LIVE).map(|n| sharded.insert(object(opaque(n))).unwrap()).collect();
                keys.into_iter().for_each(|key| _ = black_box(sharded.remove(key)));
            }),
            rival("slotmap", || {
                let keys: Vec<_> = (0..LIVE).map(|n| slots.insert(object(opaque(n)))).collect();
                keys.into_iter().for_each(|key| _ = black_box(slots.remove(key)));
            }),
            rival("generational-arena", || {
                let keys: Vec<_> = (0..LIVE).map(|n| generational.insert(object(opaque(n)))).collect();
                keys.into_iter().for_each(|key| _ = black_box(generational.remove(key)));
            }),
            rival("malloc", || drop((0..LIVE).map(|n| Box::new(object(opaque(n)))).collect::<Vec<_>>())),
        ],
    );
}

/// One object made and dropped at once.
fn pairs(runner: &mut Runner) {
    let (pool, sync) = (Pool::<Object>::new(), SyncPool::<Object>::new());
    let (mut slab, sharded) = (slab::Slab::<Object>::new(), sharded_slab::Slab::<Object>::new());
    let mut slots = slotmap::SlotMap::<slotmap::DefaultKey, Object>::new();
    let mut handles = HandleArena::<Object>::new();
    runner.setting(
        "pool: make and drop one of 64 bytes",
        ROUNDS,
        vec![
            ours("Pool", || (0..ROUNDS).for_each(|n| drop(black_box(pool.alloc([n as u64; 8]))))),
            ours("SyncPool", || (0..ROUNDS).for_each(|n| drop(black_box(sync.alloc([n as u64; 8]))))),
            ours("HandleArena", || {
                (0..ROUNDS).for_each(|n| {
                    let key = black_box(handles.insert([n as u64; 8]));
                    black_box(handles.remove(key));
                })
            }),
            rival("slab", || {
                (0..ROUNDS).for_each(|n| {
                    let key = black_box(slab.insert([n as u64; 8]));
                    black_box(slab.remove(key));
                })
            }),
            rival("sharded-slab", || {
                (0..ROUNDS).for_each(|n| {
                    let key = black_box(sharded.insert([n as u64; 8]).unwrap());
                    black_box(sharded.remove(key));
                })
            }),
            rival("slotmap", || {
                (0..ROUNDS).for_each(|n| {
                    let key = black_box(slots.insert([n as u64; 8]));
                    black_box(slots.remove(key));
                })
            }),
            rival("malloc", || (0..ROUNDS).for_each(|n| drop(black_box(Box::new([n as u64; 8]))))),
        ],
    );
}

/// Objects found by their keys, in random order.
fn lookups(runner: &mut Runner) {
    let order = victims();
    let mut handles = HandleArena::<u64>::new();
    let by_handle: Vec<_> = (0..LIVE as u64).map(|n| handles.insert(n)).collect();
    let mut slots = slotmap::SlotMap::<slotmap::DefaultKey, u64>::new();
    let by_slot: Vec<_> = (0..LIVE as u64).map(|n| slots.insert(n)).collect();
    let mut generational = generational_arena::Arena::<u64>::new();
    let by_index: Vec<_> = (0..LIVE as u64).map(|n| generational.insert(n)).collect();
    runner.setting(
        "handles: look one of 10,000 up",
        ROUNDS,
        vec![
            ours("HandleArena", || _ = black_box(order.iter().map(|at| handles[by_handle[*at as usize]]).sum::<u64>())),
            rival("slotmap", || _ = black_box(order.iter().map(|at| slots[by_slot[*at as usize]]).sum::<u64>())),
            rival("generational-arena", || {
                _ = black_box(order.iter().map(|at| generational[by_index[*at as usize]]).sum::<u64>())
            }),
        ],
    );
}
