//! A program on brkmap: collections, threads, every kind of layout, growing and shrinking.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::thread;

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

/// A block with a pattern in it, freed with its own layout.
struct Filled {
    block: *mut u8,
    layout: Layout,
    seed: usize,
}

impl Filled {
    fn new(size: usize, align: usize, seed: usize) -> Filled {
        let layout = Layout::from_size_align(size, align).expect("a valid layout");
        // SAFETY: [test-layout] the size is not 0
        let block = unsafe { alloc(layout) };
        assert!(!block.is_null(), "no memory for {layout:?}");
        assert_eq!(block.addr() % align, 0, "{layout:?}");
        for at in places(0, size) {
            // SAFETY: [test-layout] inside the block
            unsafe { block.add(at).write(pattern(seed, at)) };
        }
        Filled { block, layout, seed }
    }

    fn check(&self, upto: usize) {
        for at in places(0, upto) {
            // SAFETY: [test-layout] inside the block
            assert_eq!(unsafe { self.block.add(at).read() }, pattern(self.seed, at), "{:?} at {at}", self.layout);
        }
    }

    fn resize(&mut self, size: usize) {
        let kept = size.min(self.layout.size());
        // SAFETY: [test-layout] a live block with its own layout, and a size that is not 0
        let block = unsafe { realloc(self.block, self.layout, size) };
        assert!(!block.is_null(), "no memory for {size} bytes");
        assert_eq!(block.addr() % self.layout.align(), 0);
        self.block = block;
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a valid layout");
        self.check(kept);
        for at in places(kept, size) {
            // SAFETY: [test-layout] inside the block
            unsafe { self.block.add(at).write(pattern(self.seed, at)) };
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check(self.layout.size());
        }
        // SAFETY: [test-layout] a live block with its own layout
        unsafe { dealloc(self.block, self.layout) };
    }
}

// Filled is the only owner of its block.
// SAFETY: [test-layout] a block may be freed by any thread
unsafe impl Send for Filled {}

/// Where the pattern is written: everywhere at the start, then on a place of every 64-byte line.
fn places(from: usize, to: usize) -> impl Iterator<Item = usize> {
    const WHOLE: usize = 10_000;
    (from..to.min(WHOLE)).chain((from.max(WHOLE).next_multiple_of(61)..to).step_by(61))
}

fn pattern(seed: usize, at: usize) -> u8 {
    (seed * 31 + at * 7 + (at >> 8)) as u8
}

#[test]
fn blocks_are_counted() {
    let held: Vec<Filled> = (0..1000).map(|n| Filled::new(1000, 8, n)).collect();
    let during = brkmap::stats().allocated;
    // Other tests run beside this one, and what they hold comes and goes: only one's own blocks are sure to be counted.
    assert!(during >= 1_000_000, "{during} bytes counted while a million of this test's are live");
    drop(held);
}

#[test]
fn figures_and_rows_agree() {
    let held: Vec<Filled> = (0..300).map(|n| Filled::new(20_000, 8, n)).collect();
    let large = vec![1u8; 3 << 20];
    let figures = brkmap::stats();
    assert_eq!(figures.mapped, figures.active + figures.retained + figures.metadata, "{figures:?}");
    let parts = figures.resident_allocated
        + figures.resident_thread_cache
        + figures.pinned
        + figures.returnable
        + figures.resident_metadata;
    assert_eq!(figures.resident, parts, "{figures:?}");
    assert!(figures.allocated >= 300 * 20_000 + large.len() as u64 && figures.direct >= 1, "{figures:?}");
    assert!(!figures.is_estimated && figures.resident_metadata > 0, "{figures:?}");
    // All blocks of this size are this test's.
    let rows = brkmap::class_rows();
    let mine = rows.iter().find(|row| row.size == 20_480).expect("a class of 20 KiB");
    assert_eq!((mine.blocks, mine.live), (300, 300 * 20_480), "{mine:?}");
    assert!(mine.pages >= mine.live + mine.free && mine.thread_cache <= mine.free, "{mine:?}");
    let heaps: Vec<brkmap::HeapRow> = brkmap::heap_rows().collect();
    assert!(heaps.len() as u64 >= figures.heaps && heaps.iter().any(|heap| heap.live >= mine.live), "{heaps:?}");
    assert!(brkmap::calls(brkmap::SystemCall::Mmap).made > 0);
    drop(held);
}

#[test]
fn every_alignment_up_to_two_mebibytes() {
    for shift in 0..=21 {
        let align = 1usize << shift;
        for size in [1, align.saturating_sub(1).max(1), align, align + 1] {
            let kept: Vec<Filled> = (0..3).map(|seed| Filled::new(size, align, seed)).collect();
            kept.iter().for_each(|one| one.check(size.min(4096)));
        }
    }
}

#[test]
fn over_aligned_types() {
    #[repr(align(64))]
    struct Line([u8; 64]);
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    #[repr(align(65536))]
    struct Slice(u8);
    let lines: Vec<Line> = (0..100).map(|n| Line([n; 64])).collect();
    let pages: Vec<Box<Page>> = (0..20).map(|n| Box::new(Page([n; 4096]))).collect();
    let slices: Vec<Box<Slice>> = (0..4).map(|n| Box::new(Slice(n))).collect();
    assert_eq!(lines.as_ptr().addr() % 64, 0);
    assert!(lines.iter().enumerate().all(|(n, line)| line.0 == [n as u8; 64]));
    assert!(
        pages.iter().enumerate().all(|(n, page)| (&raw const **page).addr() % 4096 == 0 && page.0 == [n as u8; 4096])
    );
    assert!(slices.iter().enumerate().all(|(n, one)| (&raw const **one).addr() % 65536 == 0 && one.0 == n as u8));
}

#[test]
fn zero_sized_values_take_nothing() {
    let boxes: Vec<Box<()>> = vec![Box::new(()); 1000];
    let empty: Vec<u64> = Vec::with_capacity(0);
    let mut units = Vec::new();
    units.resize(1_000_000, ());
    assert_eq!((boxes.len(), empty.capacity(), units.len()), (1000, 0, 1_000_000));
}

#[test]
fn realloc_grows_and_shrinks_through_every_kind_of_block() {
    for align in [1, 8, 16, 64, 4096] {
        let mut block = Filled::new(1, align, align);
        for size in [7, 8, 9, 24, 25, 100, 1000, 8192, 8193, 60_000, 70_000, 200_000, 3_000_000] {
            block.resize(size);
        }
        for size in [2_000_001, 150_000, 65_537, 65_536, 9000, 4000, 513, 64, 16, 3, 1] {
            block.resize(size);
        }
    }
}

#[test]
fn zeroed_blocks_are_zero_after_dirty_ones() {
    for size in [1, 16, 100, 4000, 9000, 100_000, 1_000_000] {
        for align in [1, 16, 128] {
            drop((0..4).map(|seed| Filled::new(size, align, seed + 1)).collect::<Vec<_>>());
            let layout = Layout::from_size_align(size, align).expect("a valid layout");
            // SAFETY: [test-layout] a fresh block of that layout, read inside and freed once
            unsafe {
                let block = alloc_zeroed(layout);
                assert!(!block.is_null());
                assert!((0..size).all(|at| block.add(at).read() == 0), "{layout:?}");
                dealloc(block, layout);
            }
        }
    }
}

#[test]
fn vectors_and_strings_shrink_to_fit() {
    let mut numbers: Vec<u64> = (0..100_000).collect();
    for length in [99_999, 50_000, 8193, 1024, 100, 3, 1] {
        numbers.truncate(length);
        numbers.shrink_to_fit();
        assert_eq!(numbers.capacity(), length);
        assert!(numbers.iter().enumerate().all(|(at, &n)| at as u64 == n));
    }
    let mut text = "brk and mmap ".repeat(10_000);
    text.truncate(13);
    text.shrink_to_fit();
    assert_eq!(text.into_boxed_str().as_ref(), "brk and mmap ");
}

#[test]
fn collections_hold_what_they_are_given() {
    let mut hash = HashMap::new();
    let mut tree = BTreeMap::new();
    let mut queue = VecDeque::new();
    for n in 0..20_000usize {
        hash.insert(n.to_string(), vec![n; n % 17]);
        tree.insert(n, n.to_string());
        queue.push_back(Box::new(n));
        if n % 3 == 0 {
            queue.pop_front();
        }
    }
    for n in (0..20_000).step_by(2) {
        hash.remove(&n.to_string());
        tree.remove(&n);
    }
    assert!(hash.iter().all(|(text, list)| text.parse::<usize>().is_ok_and(|n| *list == vec![n; n % 17])));
    assert_eq!((hash.len(), tree.len()), (10_000, 10_000));
    assert!(queue.iter().zip(queue.iter().skip(1)).all(|(a, b)| **a + 1 == **b));
}

#[test]
fn blocks_move_between_threads() {
    let (send, receive) = mpsc::channel::<Filled>();
    let shared = Arc::new(vec![1u32; 10_000]);
    let makers: Vec<_> = (0..4)
        .map(|maker| {
            let (send, shared) = (send.clone(), Arc::clone(&shared));
            thread::spawn(move || {
                for n in 0..2000 {
                    let size = [8, 24, 100, 1000, 9000, 70_000][n % 6];
                    send.send(Filled::new(size, [1, 8, 16, 64][n % 4], maker * 1000 + n)).expect("the receiver lives");
                }
                shared.iter().sum::<u32>()
            })
        })
        .collect();
    drop(send);
    let received = receive.into_iter().filter(|block| block.layout.size() >= 8).count();
    assert_eq!(received, 8000);
    assert!(makers.into_iter().all(|maker| maker.join().is_ok_and(|sum| sum == 10_000)));
}

#[test]
fn threads_that_end_leave_their_blocks_behind() {
    let kept: Vec<Vec<Filled>> = (0..50)
        .map(|n| thread::spawn(move || (0..40).map(|k| Filled::new(1 + k * 50, 8, n + k)).collect()).join())
        .map(|made| made.expect("the thread made its blocks"))
        .collect();
    let (first, second): (Vec<_>, Vec<_>) = kept.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    thread::spawn(move || drop(first)).join().expect("freed on another thread");
    drop(second);
}

#[test]
fn an_impossible_layout_is_answered_with_null() {
    let layout = Layout::from_size_align(isize::MAX as usize - 4096, 4096).expect("a valid layout");
    // SAFETY: [test-layout] a layout that is not zero-sized; null is not used
    assert!(std::hint::black_box(unsafe { alloc(layout) }).is_null());
    let mut numbers: Vec<u8> = vec![1, 2, 3];
    assert!(numbers.try_reserve(isize::MAX as usize - 10).is_err());
    assert_eq!(numbers, [1, 2, 3]);
}
