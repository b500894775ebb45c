//! Many threads: the lock-free pool, and the shared allocators over one block of memory.

#[path = "support/mod.rs"]
mod support;

use brkmap_toolbox::shared::{Arena, Block, Bump, FreeList, Pool};
use brkmap_toolbox::source::{AnonymousMap, Global};
use brkmap_toolbox::{HandleArena, SyncBlockPool, SyncPool};
use std::alloc::Layout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use support::Random;

const THREADS: u64 = 4;
const ROUNDS: u64 = 20_000;

/// Counts what lives, and carries a pattern that a second owner would destroy.
struct Counted<'c> {
    pattern: [u64; 3],
    live: &'c AtomicUsize,
}

impl<'c> Counted<'c> {
    fn new(number: u64, live: &'c AtomicUsize) -> Counted<'c> {
        live.fetch_add(1, Ordering::Relaxed);
        Counted { pattern: [number, !number, number], live }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let [a, b, c] = self.pattern;
        assert!(a == c && a == !b, "two owners of one slot");
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn slots_have_one_owner_and_may_be_freed_elsewhere() {
    let live = AtomicUsize::new(0);
    let pool = SyncPool::over(AnonymousMap::new());
    thread::scope(|threads| {
        let mut senders: Vec<_> = Vec::new();
        let mut receivers: Vec<_> = Vec::new();
        (0..THREADS).map(|_| mpsc::sync_channel(100)).for_each(|(sender, receiver)| {
            senders.push(sender);
            receivers.push(receiver);
        });
        for (who, receiver) in (0..THREADS).zip(receivers) {
            let next = senders[((who + 1) % THREADS) as usize].clone();
            let (pool, live) = (&pool, &live);
            threads.spawn(move || {
                let mut random = Random(who);
                let mut mine = Vec::new();
                for round in 0..ROUNDS {
                    let object = pool.alloc(Counted::new(who << 32 | round, live));
                    match random.below(3) {
                        0 => mine.push(object),
                        // A neighbour drops it, unless its queue is full.
                        1 => drop(next.try_send(object)),
                        _ => {}
                    }
                    if mine.len() > 300 {
                        mine.swap_remove(random.below(300));
                    }
                    receiver.try_recv().into_iter().for_each(drop);
                }
            });
        }
        drop(senders);
    });
    assert_eq!((live.load(Ordering::SeqCst), pool.stats().live), (0, 0));
    // Slots are reused: no more than were ever live at once, rounded to chunks.
    assert!(pool.stats().held_bytes < 1 << 20, "{:?}", pool.stats());
}

/// Few slots and many hands: a head that comes back after other pops and pushes must not be taken for the old one.
#[test]
fn a_head_that_came_back_is_noticed() {
    let pool = SyncPool::<[u64; 2]>::new();
    // The list begins with slots that all threads fight for.
    drop((pool.alloc([0; 2]), pool.alloc([0; 2]), pool.alloc([0; 2]), pool.alloc([0; 2])));
    thread::scope(|threads| {
        for who in 0..THREADS {
            let pool = &pool;
            threads.spawn(move || {
                for round in 0..150_000 {
                    let (first, second) = (pool.alloc([who, round]), pool.alloc([who, round + 1]));
                    assert_eq!(*first, [who, round], "another thread has this slot, too");
                    drop(first);
                    let third = pool.alloc([who, round + 2]);
                    assert_eq!(*second, [who, round + 1], "another thread has this slot, too");
                    assert_eq!(*third, [who, round + 2], "another thread has this slot, too");
                }
            });
        }
    });
    assert_eq!(pool.stats().live, 0);
}

/// Blocks of a layout that come from every thread and go back in any other; none has two owners, none is lost.
#[test]
fn blocks_of_a_layout_go_from_thread_to_thread() {
    struct Block(std::ptr::NonNull<[u64; 3]>);
    // SAFETY: a block has one owner, who hands it on.
    unsafe impl Send for Block {}
    for source in [AnonymousMap::new(), AnonymousMap::new().reserve(8 << 20)] {
        let pool = SyncBlockPool::over(source, Layout::from_size_align(24, 32).unwrap());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::sync_channel::<Block>(50)).unzip();
        let give_back = |Block(block): Block| {
            // SAFETY: live, and ours.
            unsafe {
                let [a, b, c] = block.read();
                assert!(a == !b && a == c, "two owners of one block");
                block.write([0; 3]);
                pool.deallocate(block.cast());
            }
        };
        thread::scope(|threads| {
            for (who, receiver) in (0..THREADS).zip(receivers) {
                let next = senders[((who + 1) % THREADS) as usize].clone();
                let (pool, give_back) = (&pool, &give_back);
                threads.spawn(move || {
                    let mut random = Random(who);
                    let mut mine = Vec::new();
                    for round in 0..ROUNDS {
                        let block = pool.allocate().unwrap().cast::<[u64; 3]>();
                        assert!(block.addr().get().is_multiple_of(32));
                        let number = who << 32 | round;
                        // SAFETY: fresh, 24 bytes.
                        unsafe { block.write([number, !number, number]) };
                        match random.below(3) {
                            0 => mine.push(Block(block)),
                            1 => match next.try_send(Block(block)) {
                                Ok(()) => {}
                                Err(mpsc::TrySendError::Full(block) | mpsc::TrySendError::Disconnected(block)) => {
                                    give_back(block);
                                }
                            },
                            _ => give_back(Block(block)),
                        }
                        if mine.len() > 300 {
                            give_back(mine.swap_remove(random.below(300)));
                        }
                        receiver.try_iter().for_each(give_back);
                    }
                    mine.into_iter().for_each(give_back);
                    drop(next);
                    receiver.into_iter().for_each(give_back);
                });
            }
            drop(senders);
        });
        assert_eq!(pool.stats().live, 0);
        assert!(pool.stats().held_bytes < 1 << 18, "{:?}", pool.stats());
    }
}

#[test]
fn a_shared_pool_serves_threads_too() {
    let pool = Pool::<[u64; 3], _>::create(Block::new(Global::new(), 1 << 20).unwrap()).unwrap();
    thread::scope(|threads| {
        for who in 0..THREADS {
            let pool = &pool;
            threads.spawn(move || {
                let mut random = Random(who);
                let mut mine = Vec::new();
                for round in 0..ROUNDS {
                    if mine.len() < 30 || random.below(2) == 0 && mine.len() < 500 {
                        mine.push((pool.insert([who, round, who ^ round]).unwrap(), round));
                    } else {
                        let (handle, round) = mine.swap_remove(random.below(mine.len()));
                        assert_eq!(pool.remove(handle), Ok([who, round, who ^ round]));
                    }
                }
                mine.into_iter().for_each(|(handle, _)| assert!(pool.remove(handle).is_ok()));
            });
        }
    });
    assert!(pool.is_empty());
    let removed = AtomicUsize::new(0);
    let one = pool.insert([1, 2, 3]).unwrap();
    thread::scope(|threads| {
        (0..THREADS).for_each(|_| {
            threads.spawn(|| removed.fetch_add(usize::from(pool.remove(one).is_ok()), Ordering::SeqCst));
        });
    });
    assert_eq!(removed.into_inner(), 1, "exactly one of those who remove at once gets it");
}

#[test]
fn lists_logs_and_arenas_are_locked_between_threads() {
    let block = || Block::new(AnonymousMap::new(), 8 << 20).unwrap();
    let list = FreeList::create(block()).unwrap();
    let (log, arena) = (Bump::create(block()).unwrap(), Arena::<u64, _>::create(block()).unwrap());
    thread::scope(|threads| {
        for who in 0..THREADS {
            let (list, log, arena) = (&list, &log, &arena);
            threads.spawn(move || {
                let mut random = Random(who);
                let mut mine = Vec::new();
                for _ in 0..ROUNDS / 8 {
                    if mine.len() < 30 || random.below(2) == 0 && mine.len() < 300 {
                        let block = list.allocate(random.size(500)).unwrap();
                        list.write(block, 0, &[who as u8]).unwrap();
                        mine.push(block);
                    } else {
                        let block = mine.swap_remove(random.below(mine.len()));
                        let mut first = [0];
                        list.read(block, 0, &mut first).unwrap();
                        assert_eq!(first[0], who as u8);
                        list.free(block).unwrap();
                    }
                    log.put(&[who as u8; 9]).unwrap();
                    arena.push(who).unwrap();
                }
                mine.into_iter().for_each(|block| list.free(block).unwrap());
            });
        }
    });
    list.check().unwrap();
    assert_eq!(list.census().unwrap(), (0, 0));
    let all = (THREADS * (ROUNDS / 8)) as usize;
    assert_eq!((log.records().count(), arena.len()), (all, all));
    assert!(log.records().all(|record| log.get_vec(record).unwrap().windows(2).all(|pair| pair[0] == pair[1])));
}

#[test]
fn send_and_sync_where_true() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<brkmap_toolbox::Bump>();
    send::<brkmap_toolbox::Pool<u64>>();
    send::<brkmap_toolbox::FreeList>();
    send::<brkmap_toolbox::Arena<u64>>();
    send::<SyncPool<u64>>();
    sync::<SyncPool<std::cell::Cell<u64>>>();
    send::<SyncBlockPool>();
    sync::<SyncBlockPool<AnonymousMap>>();
    send::<HandleArena<u64>>();
    sync::<HandleArena<u64>>();
    send::<brkmap_toolbox::source::SharedMap>();
    sync::<brkmap_toolbox::source::SharedMap>();
    sync::<brkmap_toolbox::source::FileMap>();
    sync::<Pool<u64, Block<Global>>>();
    let arena = std::thread::spawn(|| {
        let mut arena = HandleArena::new();
        let key = arena.insert(String::from("made elsewhere"));
        (arena, key)
    });
    let (arena, key) = arena.join().unwrap();
    assert_eq!(arena[key], "made elsewhere");
}
