//! Free lists: any size, any order, each over a region of its own.

use crate::runner::{Random, Runner, ours, rival};
use brkmap_toolbox::FreeList;
use brkmap_toolbox::free_list::{BestFit, FirstFit, FitKind, NextFit, Segregated};
use brkmap_toolbox::source::Slice;
use std::alloc::Layout;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

const REGION: usize = 32 << 20;

fn region() -> &'static mut [MaybeUninit<u8>] {
    Box::leak(vec![MaybeUninit::uninit(); REGION].into_boxed_slice())
}

/// What all of them can do.
trait Heap {
    fn get(&mut self, layout: Layout) -> NonNull<u8>;
    /// # Safety
    /// The block is live.
    unsafe fn put(&mut self, block: NonNull<u8>, layout: Layout);
}

impl<F: FitKind> Heap for FreeList<Slice<'static>, F> {
    #[inline]
    fn get(&mut self, layout: Layout) -> NonNull<u8> {
        self.allocate(layout).unwrap().cast()
    }
    #[inline]
    unsafe fn put(&mut self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block) }
    }
}

impl Heap for talc::base::Talc<talc::source::Manual, talc::DefaultBinning> {
    #[inline]
    fn get(&mut self, layout: Layout) -> NonNull<u8> {
        // SAFETY: the size is not 0.
        unsafe { self.allocate(layout).unwrap() }
    }
    #[inline]
    unsafe fn put(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block.as_ptr(), layout) }
    }
}

impl Heap for linked_list_allocator::Heap {
    #[inline]
    fn get(&mut self, layout: Layout) -> NonNull<u8> {
        self.allocate_first_fit(layout).unwrap()
    }
    #[inline]
    unsafe fn put(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.deallocate(block, layout) }
    }
}

struct Malloc;

impl Heap for Malloc {
    #[inline]
    fn get(&mut self, layout: Layout) -> NonNull<u8> {
        // SAFETY: the size is not 0.
        NonNull::new(unsafe { std::alloc::alloc(layout) }).unwrap()
    }
    #[inline]
    unsafe fn put(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { std::alloc::dealloc(block.as_ptr(), layout) }
    }
}

pub fn talc() -> talc::base::Talc<talc::source::Manual, talc::DefaultBinning> {
    let mut talc = talc::base::Talc::new(talc::source::Manual);
    let region = region();
    // SAFETY: the region is leaked to it.
    unsafe { talc.claim(region.as_mut_ptr().cast(), region.len()).unwrap() };
    talc
}

/// Operations of a batch, and of the whole plan: so long that no processor learns it by heart.
const BATCH: usize = 10_000;
const PLAN: usize = 64 * BATCH;

/// Live blocks that are replaced in a certain order by blocks of certain sizes.
struct Load<'p> {
    live: Vec<(NonNull<u8>, Layout)>,
    plan: &'p [(u32, Layout)],
    at: usize,
}

fn plan(live: usize, largest: usize) -> Vec<(u32, Layout)> {
    let mut random = Random(3);
    let layout = |random: &mut Random| {
        let bits = 4 + random.below(largest.ilog2() as usize - 3);
        let size = 1 + random.below(1 << bits);
        Layout::from_size_align(size, 8).unwrap()
    };
    (0..PLAN).map(|_| (random.below(live) as u32, layout(&mut random))).collect()
}

impl<'p> Load<'p> {
    fn new(heap: &mut impl Heap, live: usize, plan: &'p [(u32, Layout)]) -> Load<'p> {
        let live = plan.iter().cycle().take(live).map(|(_, layout)| (heap.get(*layout), *layout)).collect();
        Load { live, plan, at: 0 }
    }

    fn run(&mut self, heap: &mut impl Heap) {
        let batch = &self.plan[self.at..self.at + BATCH];
        self.at = (self.at + BATCH) % PLAN;
        for (at, layout) in batch {
            let place = &mut self.live[*at as usize];
            // SAFETY: the block is live and replaced at once.
            unsafe { heap.put(place.0, place.1) };
            *place = (black_box(heap.get(*layout)), *layout);
        }
    }
}

/// A stack of blocks: all allocated, all freed in the other order.
fn stack(heap: &mut impl Heap, plan: &[(u32, Layout)], blocks: &mut Vec<(NonNull<u8>, Layout)>) {
    blocks.extend(plan[..1000].iter().map(|(_, layout)| (black_box(heap.get(*layout)), *layout)));
    while let Some((block, layout)) = blocks.pop() {
        // SAFETY: the block is live.
        unsafe { heap.put(block, layout) };
    }
}

pub fn run(runner: &mut Runner) {
    replace(runner, "free list: replace 16 B to 1 KiB, 1,000 live", 1000, 1024);
    replace(runner, "free list: replace 16 B to 32 KiB, 200 live", 200, 32 << 10);
    let plan = plan(1000, 1024);
    macro_rules! contestants {
        ($($kind:ident($name:literal, $heap:expr)),* $(,)?) => {
            vec![$({
                let (mut heap, mut blocks, plan) = ($heap, Vec::new(), plan.clone());
                $kind($name, move || stack(&mut heap, &plan, &mut blocks))
            }),*]
        };
    }
    let contestants = contestants![
        ours("FreeList, segregated", FreeList::with_fit(Segregated, Slice::new(region()))),
        ours("FreeList, first fit", FreeList::with_fit(FirstFit, Slice::new(region()))),
        ours("FreeList, next fit", FreeList::with_fit(NextFit, Slice::new(region()))),
        ours("FreeList, best fit", FreeList::with_fit(BestFit, Slice::new(region()))),
        rival("talc", talc()),
        // SAFETY: the region is leaked to it.
        rival("linked_list_allocator", unsafe {
            linked_list_allocator::Heap::new(region().as_mut_ptr().cast(), REGION)
        }),
        rival("malloc", Malloc),
    ];
    runner.setting("free list: a stack of 1,000, 16 B to 1 KiB", 1000, contestants);
}

fn replace(runner: &mut Runner, name: &'static str, live: usize, largest: usize) {
    let plan = plan(live, largest);
    macro_rules! contestants {
        ($($kind:ident($name:literal, $heap:expr)),* $(,)?) => {
            vec![$({
                let mut heap = $heap;
                let mut load = Load::new(&mut heap, live, &plan);
                $kind($name, move || load.run(&mut heap))
            }),*]
        };
    }
    let contestants = contestants![
        ours("FreeList, segregated", FreeList::with_fit(Segregated, Slice::new(region()))),
        ours("FreeList, first fit", FreeList::with_fit(FirstFit, Slice::new(region()))),
        ours("FreeList, next fit", FreeList::with_fit(NextFit, Slice::new(region()))),
        ours("FreeList, best fit", FreeList::with_fit(BestFit, Slice::new(region()))),
        rival("talc", talc()),
        // SAFETY: the region is leaked to it.
        rival("linked_list_allocator", unsafe {
            linked_list_allocator::Heap::new(region().as_mut_ptr().cast(), REGION)
        }),
        rival("malloc", Malloc),
    ];
    runner.setting(name, BATCH, contestants);
}
