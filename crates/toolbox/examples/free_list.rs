//! FreeList: the same load with each way of finding a block, and what it leaves.
//!
//! Run it with `--release` for times that mean something.

use brkmap_toolbox::FreeList;
use brkmap_toolbox::free_list::{BestFit, FirstFit, FitKind, NextFit, Segregated};
use brkmap_toolbox::source::AnonymousMap;
use std::alloc::Layout;
use std::time::Instant;

/// 500 blocks of mixed sizes, replaced one by one 50,000 times.
fn load<F: FitKind>(list: &FreeList<AnonymousMap, F>) {
    let mut blocks = vec![None; 500];
    for round in 0..50_000u64 {
        let mixed = round.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let place = (mixed % 500) as usize;
        if let Some(block) = blocks[place].take() {
            // SAFETY: the block is from this list and freed once.
            unsafe { list.deallocate(block) };
        }
        let bytes = 16 + (mixed >> 16) as usize % [100, 100, 1000, 10_000][(mixed >> 40) as usize % 4];
        let layout = Layout::from_size_align(bytes, 16).expect("a valid layout");
        blocks[place] = Some(list.allocate(layout).expect("memory is to be had").cast());
    }
}

fn show<F: FitKind>(fit: F) {
    let list = FreeList::with_fit(fit, AnonymousMap::new());
    let start = Instant::now();
    load(&list);
    let (time, stats) = (start.elapsed(), list.stats());
    let used = 100.0 * stats.live_bytes as f64 / stats.held_bytes as f64;
    println!("{:<16}{:>10.0} ns a round, {used:>5.1} % of the memory in use", list.fit(), time.as_nanos() as f64 / 5e4);
    list.check().expect("the tags fit each other");
    assert!(stats.live == 500 && used > 30.0);
}

fn main() {
    show(FirstFit);
    show(NextFit);
    show(BestFit);
    show(Segregated);
}
