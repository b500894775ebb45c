//! What the rows that hand out blocks must do.

use super::rows::Blocks;
use super::sources::Origin;
use super::support::{Random, Watched};
use super::{Report, with_seeds};
use brkmap_toolbox::free_list::{BestFit, FirstFit, NextFit, Segregated};
use brkmap_toolbox::source::{AnonymousMap, Source};
use brkmap_toolbox::{BlockPool, Bump, Error, ErrorKind, FreeList, SyncBlockPool};
use std::alloc::Layout;
use std::ptr::NonNull;

/// All rows over one source.
pub(crate) fn run<O: Origin>(report: &mut Report, origin: &O) {
    suite::<Bump<Watched<O::Source>>, O>(report, origin);
    suite::<BlockPool<Watched<O::Source>>, O>(report, origin);
    suite::<SyncBlockPool<Watched<O::Source>>, O>(report, origin);
    suite::<FreeList<Watched<O::Source>, FirstFit>, O>(report, origin);
    suite::<FreeList<Watched<O::Source>, BestFit>, O>(report, origin);
    suite::<FreeList<Watched<O::Source>, NextFit>, O>(report, origin);
    suite::<FreeList<Watched<O::Source>, Segregated>, O>(report, origin);
    report.cell("Bump: reset, marks, scopes", O::NAME, || bump_resets(origin));
    report.cell("BlockPool, SyncBlockPool: misuse", O::NAME, || pool_misuse(origin));
    report.cell("FreeList: misuse, trim", O::NAME, || free_list_misuse(origin));
}

fn suite<B: Blocks<Watched<O::Source>>, O: Origin>(report: &mut Report, origin: &O) {
    let make = || B::over(Watched::new(origin.make()));
    report.cell(B::NAME, O::NAME, || {
        basic(&make());
        aligned(&make());
        grow_and_shrink(&make());
        exhaustion(&make, O::ROOM);
        with_seeds(|seed| model(&make(), seed));
    });
}

/// A live block of the shadow model: what was written there.
struct Live {
    block: NonNull<u8>,
    layout: Layout,
    fill: u8,
}

impl Live {
    fn new<B: Blocks<S>, S: Source>(from: &B, layout: Layout, fill: u8) -> Result<Live, Error> {
        let block = from.allocate(layout)?;
        assert!(block.addr().get().is_multiple_of(layout.align()), "{block:?} for {layout:?}");
        // SAFETY: fresh and as long as asked.
        unsafe { block.write_bytes(fill, layout.size()) };
        Ok(Live { block, layout, fill })
    }

    fn check(&self) {
        // SAFETY: live.
        let bytes = unsafe { std::slice::from_raw_parts(self.block.as_ptr(), self.layout.size()) };
        assert!(bytes.iter().all(|byte| *byte == self.fill), "another block was written over this one");
    }
}

fn layout(bytes: usize, align: usize) -> Layout {
    Layout::from_size_align(bytes, align).unwrap()
}

/// Blocks of all sizes up to the largest, all alive at once, each with its own contents.
fn basic<B: Blocks<S>, S: Source>(from: &B) {
    let sizes = (1..=B::LARGEST.0.min(300)).chain([1000, 4095, 4096, 4097, 65536]).filter(|size| *size <= B::LARGEST.0);
    let live: Vec<Live> = sizes.map(|size| Live::new(from, layout(size, 1), size as u8).unwrap()).collect();
    live.iter().for_each(Live::check);
    from.check();
    let stats = from.stats();
    assert!(stats.live_bytes <= stats.held_bytes && stats.chunks > 0);
    for block in live {
        // SAFETY: freed once.
        unsafe { from.free(block.block, block.layout) };
    }
    from.check();
    if B::FREES {
        assert_eq!(from.stats().live, 0);
    }
}

fn aligned<B: Blocks<S>, S: Source>(from: &B) {
    let aligns = (0..17).map(|log| 1 << log).filter(|align| *align <= B::LARGEST.1);
    let live: Vec<Live> = aligns
        .clone()
        .chain(aligns.rev())
        .map(|align| Live::new(from, layout(40, align), align as u8 ^ 0x5a).unwrap())
        .collect();
    live.iter().for_each(Live::check);
    from.check();
    for block in live.into_iter().rev() {
        // SAFETY: freed once.
        unsafe { from.free(block.block, block.layout) };
    }
}

/// A block that grows and shrinks in place keeps its contents, or stays what it was.
fn grow_and_shrink<B: Blocks<S>, S: Source>(from: &B) {
    let neighbour = Live::new(from, layout(32, 8), 1).unwrap();
    let mut block = Live::new(from, layout(64, 8), 2).unwrap();
    for bytes in [128, 96, 200, 16, 48] {
        // SAFETY: live.
        if unsafe { from.resize(block.block, block.layout, bytes) } {
            let kept = block.layout.size().min(bytes);
            Live { block: block.block, layout: layout(kept, 8), fill: 2 }.check();
            block.layout = layout(bytes, 8);
            // SAFETY: as long as it says.
            unsafe { block.block.write_bytes(2, bytes) };
        }
        block.check();
        neighbour.check();
        from.check();
    }
    let other = Live::new(from, layout(64, 8), 3).unwrap();
    for block in [neighbour, block, other] {
        block.check();
        // SAFETY: freed once.
        unsafe { from.free(block.block, block.layout) };
    }
    from.check();
}

/// The source refuses at its n-th call, for every n: an error that says so, and everything as it was.
fn exhaustion<B: Blocks<Watched<S>>, S: Source>(make: &impl Fn() -> B, room: Option<usize>) {
    for calls in 0..4 {
        let mut from = make();
        from.source().allow(calls);
        let mut live = Vec::new();
        let error = loop {
            match Live::new(&from, layout(B::LARGEST.0.min(3000), 8), live.len() as u8) {
                Ok(block) => live.push(block),
                Err(error) => break error,
            }
            assert!(live.len() < 100_000, "a source that refuses was not asked");
        };
        assert!(error.bytes() > 0 && error.to_string().contains(" of "), "{error}");
        live.iter().for_each(Live::check);
        from.check();
        from.source().allow(usize::MAX);
        let more = Live::new(&from, layout(100, 8), 9).expect("it goes on when the source does");
        more.check();
    }
    // A source of fixed length is used nearly to its end.
    if let Some(room) = room {
        let from = make();
        let one = layout(B::LARGEST.0.min(256), 8);
        let mut used = 0;
        while let Ok(block) = from.allocate(one) {
            // SAFETY: fresh.
            unsafe { block.write_bytes(7, one.size()) };
            used += one.size();
        }
        assert!(used > room / 10 * 7, "{used} of {room} bytes were had");
    }
    let huge = make().allocate(layout(B::LARGEST.0, 8));
    assert!(huge.is_ok());
}

/// Random operations against the shadow model.
fn model<B: Blocks<S>, S: Source>(from: &B, seed: u64) {
    let mut random = Random(seed);
    let mut live: Vec<Live> = Vec::new();
    for step in 0..3000 {
        let chosen = random.below(10);
        if chosen < 5 && live.len() < 200 || live.is_empty() {
            let align = 1 << random.below(B::LARGEST.1.ilog2() as usize + 1).min(9);
            let size = random.size(B::LARGEST.0.min(4096));
            live.push(Live::new(from, layout(size, align), random.next() as u8).unwrap());
        } else if chosen < 7 {
            let at = random.below(live.len());
            let bytes = random.size(B::LARGEST.0.min(2048));
            let block = &mut live[at];
            // SAFETY: live.
            if unsafe { from.resize(block.block, block.layout, bytes) } {
                block.layout = layout(bytes, block.layout.align());
                // SAFETY: as long as it says.
                unsafe { block.block.write_bytes(block.fill, bytes) };
            }
        } else {
            let block = live.swap_remove(random.below(live.len()));
            block.check();
            // SAFETY: freed once.
            unsafe { from.free(block.block, block.layout) };
        }
        if step % 64 == 0 {
            from.check();
            live.iter().for_each(Live::check);
        }
    }
    if B::FREES {
        assert_eq!(from.stats().live, live.len());
    }
    for block in live {
        block.check();
        // SAFETY: freed once.
        unsafe { from.free(block.block, block.layout) };
    }
    from.check();
}

fn bump_resets<O: Origin>(origin: &O) {
    let mut bump = Bump::over(Watched::new(origin.make())).named("a name");
    for round in 0..5 {
        for _ in 0..50 {
            bump.alloc([round as u8; 700]);
        }
        let chunks = bump.source().chunks();
        assert!(bump.stats().live_bytes >= 35_000);
        if round % 2 == 0 {
            bump.reset();
            assert_eq!(bump.source().chunks(), 1, "the largest chunk stays");
        } else {
            bump.reset_keep();
            assert_eq!(bump.source().chunks(), chunks, "all chunks stay");
        }
        assert_eq!(bump.stats().live_bytes, 0);
    }
    assert_eq!(bump.stats().name, Some("a name"));
    let mark = bump.mark();
    bump.alloc_slice_copy(&[5u8; 30_000]);
    let later = bump.mark();
    bump.reset_to(mark).unwrap();
    assert_eq!(bump.stats().live_bytes, 0);
    assert_eq!(bump.reset_to(later).unwrap_err().kind(), ErrorKind::Stale);
    let foreign = Bump::over(AnonymousMap::new());
    foreign.alloc(1u8);
    assert_eq!(bump.reset_to(foreign.mark()).unwrap_err().kind(), ErrorKind::Stale);
    drop(foreign);
    bump.alloc(1u8);
    let before = bump.stats().live_bytes;
    bump.scope(|scope| {
        let outer = scope.alloc_slice_copy(&[1u8; 5000]);
        scope.scope(|inner| {
            inner.alloc_slice_copy(&[2u8; 50_000]).fill(3);
            outer[0] = 9;
        });
        let reused = scope.alloc_slice_copy(&[4u8; 50_000]);
        assert!(outer[0] == 9 && outer[1..].iter().all(|byte| *byte == 1) && reused[0] == 4);
    });
    assert_eq!(bump.stats().live_bytes, before);
}

/// One pool after the other: a column may have one memory.
fn pool_misuse<O: Origin>(origin: &O) {
    let mut foreign = [0u64; 8];
    let foreign = NonNull::from(&mut foreign).cast::<u8>();
    macro_rules! refuses_misuse {
        ($pool:expr) => {{
            let pool = $pool;
            let blocks: Vec<_> = (0..200).map(|_| pool.allocate().unwrap()).collect();
            assert_eq!(pool.stats().live, 200);
            let is_stale = |result: Result<(), Error>| result.is_err_and(|error| error.kind() == ErrorKind::Stale);
            for block in blocks {
                // SAFETY: each is given back once, and what is wrong is refused; one thread.
                unsafe {
                    assert!(is_stale(pool.try_deallocate(foreign)), "not from this pool");
                    assert!(is_stale(pool.try_deallocate(block.add(8))), "inside a block");
                    pool.try_deallocate(block).unwrap();
                    assert!(is_stale(pool.try_deallocate(block)), "a second time");
                }
            }
            assert_eq!(pool.stats().live, 0);
        }};
    }
    refuses_misuse!(BlockPool::over(Watched::new(origin.make()), layout(40, 8)));
    refuses_misuse!(SyncBlockPool::over(Watched::new(origin.make()), layout(40, 8)));
}

fn free_list_misuse<O: Origin>(origin: &O) {
    let mut list = FreeList::over(Watched::new(origin.make()));
    let small = layout(40, 8);
    let (a, b, c) = (list.allocate(small).unwrap(), list.allocate(small).unwrap(), list.allocate(small).unwrap());
    // SAFETY: `b` is freed twice, which is noticed; nobody uses it.
    unsafe {
        list.deallocate(b.cast());
        assert_eq!(list.try_deallocate(b.cast()).unwrap_err().kind(), ErrorKind::Stale);
    }
    list.check().unwrap();
    assert_eq!(list.stats().live, 2);
    // SAFETY: an overrun by one word, on purpose, which is put back.
    unsafe {
        let behind = a.cast::<u8>().add(a.len()).cast::<u64>();
        let tag = behind.read();
        behind.write(0);
        assert_eq!(list.check().unwrap_err().kind(), ErrorKind::Corrupt);
        behind.write(tag);
    }
    // SAFETY: freed once each.
    unsafe {
        list.deallocate(a.cast());
        list.deallocate(c.cast());
    }
    list.check().unwrap();
    assert!(list.trim() > 0);
    assert_eq!((list.stats().chunks, list.source().chunks()), (0, 0), "all chunks went back");
    assert!(list.allocate(small).is_ok());
    assert_eq!(list.allocate(layout(isize::MAX as usize / 2, 8)).unwrap_err().kind(), ErrorKind::BadRequest);
}
