//! What the options do to an engine, on a simulated kernel. That they are read right is tested in `config`; what a C
//! program sees of them, in `tests/c/env_*` and `tests/c/mallopt_*`.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use brkmap_core::config::{Background, Key, Settings, read};
use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::Kernel;
use brkmap_sys::sim::{Config, Sim};
use brkmap_wire::Counter;

const THREADS: usize = 6;

/// One OS thread plays several.
struct Stage {
    sim: Sim,
    settings: Settings,
    slot: AtomicUsize,
    heaps: [AtomicPtr<Heap>; THREADS],
}

impl Platform for Stage {
    type Kernel = Sim;

    fn kernel(&self) -> &Sim {
        &self.sim
    }

    fn heap(&self) -> &'static Heap {
        // SAFETY: [heap-stays] what `set_heap` stored; the heaps live as long as the simulated kernel.
        unsafe { &*self.heaps[self.slot.load(Relaxed)].load(Relaxed) }
    }

    fn set_heap(&self, heap: &'static Heap) {
        self.heaps[self.slot.load(Relaxed)].store((&raw const *heap).cast_mut(), Relaxed);
    }

    fn at_thread_exit(&self) -> bool {
        true
    }

    fn no_memory(&self) {}

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        None
    }

    fn settings(&self) -> Settings {
        self.settings
    }
}

/// An engine that was started with options, as `BRKMAP_CONF` has them.
struct Bench(Box<Engine<Stage>>);

impl Bench {
    fn new(options: &str) -> Bench {
        let entry = format!("BRKMAP_CONF={options}");
        let settings = read(std::iter::once(entry.as_bytes()), None, &mut |complaint| {
            panic!("{}", String::from_utf8_lossy(complaint.line().bytes()))
        });
        let bench = Bench(Box::new(Engine::new(Stage {
            sim: Sim::new(Config::linux(7)),
            settings,
            slot: AtomicUsize::new(0),
            heaps: std::array::from_fn(|_| AtomicPtr::new((&raw const EMPTY_HEAP).cast_mut())),
        })));
        bench.play(0);
        bench
    }

    fn sim(&self) -> &Sim {
        &self.0.platform().sim
    }

    /// From now on this thread is played; 0 is the main thread.
    fn play(&self, thread: usize) {
        self.0.platform().slot.store(thread, Relaxed);
        Sim::set_thread(self.sim().process_id() + thread as u32);
    }

    fn take(&self, bytes: usize) -> *mut u8 {
        let block = self.0.allocate(bytes);
        assert!(!block.is_null(), "{bytes} bytes");
        block
    }

    fn give(&self, block: *mut u8) {
        // SAFETY: the tests give back what they took, once.
        unsafe { self.0.free(block) }
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.0.counter(counter)
    }

    /// Is the address on the break?
    fn is_on_break(&self, block: *mut u8) -> bool {
        let (start, end) = self.sim().break_range();
        (start..end).contains(&block.addr())
    }
}

/// An engine is built on the stack before it moves to its box.
fn on_large_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let test = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, test);
        test.expect("a thread").join().expect("the test holds");
    });
}

#[test]
fn without_options_each_mechanism_serves_what_it_is_good_at() {
    on_large_stack(|| {
        let bench = Bench::new("");
        assert_eq!(bench.0.mmap_threshold(), 128 << 10);
        assert!(bench.is_on_break(bench.take(1000)));
        assert!(!bench.is_on_break(bench.take(1 << 20)));
        bench.play(1);
        assert!(!bench.is_on_break(bench.take(1000)));
        assert_eq!((bench.0.background(), bench.0.huge_pages()), (Background::Auto, None));
    });
}

#[test]
fn use_brk_maps_nothing_for_blocks_while_the_break_moves() {
    on_large_stack(|| {
        let bench = Bench::new("use:brk,background:off,thp:on");
        for thread in 0..3 {
            bench.play(thread);
            for bytes in [100, 20_000, 100_000, 1 << 20, 20 << 20] {
                assert!(bench.is_on_break(bench.take(bytes)), "{bytes}");
            }
        }
        assert_eq!((bench.counter(Counter::MapRegion), bench.counter(Counter::MapDirect)), (0, 0));
        bench.sim().close_break();
        for bytes in [100, 20_000, 100_000, 1 << 20, 20 << 20] {
            (0..40).for_each(|_| assert!(!bench.take(bytes).is_null()));
        }
        assert!(bench.counter(Counter::MapRegion) > 0);
        assert_eq!((bench.0.background(), bench.0.huge_pages()), (Background::Off, Some(true)));
    });
}

#[test]
fn huge_pages_are_asked_for_while_a_heap_that_is_not_small_grows() {
    on_large_stack(|| {
        for (options, wanted) in [("thp:on", true), ("thp:off", false), ("thp:auto", true), ("", true)] {
            let bench = Bench::new(options);
            let small: Vec<_> = (0..28 << 10).map(|_| bench.take(1000)).collect();
            assert_eq!(bench.sim().huge_bytes(), 0, "{options}: a small heap");
            // Below the threshold of a mapping, and as large as a chunk: it may be sparse.
            bench.0.set_mmap_threshold(64 << 20);
            (0..4).for_each(|_| bench.give(bench.take(12 << 20)));
            assert_eq!(bench.sim().huge_bytes(), 0, "{options}: a large block");
            let blocks: Vec<_> = (0..40 << 10).map(|_| bench.take(1000)).collect();
            let huge = bench.sim().huge_bytes();
            assert_eq!(huge > 16 << 20, wanted, "{options}: {huge}");
            blocks.into_iter().for_each(|block| bench.give(block));
            bench.0.trim(0);
            assert_eq!(bench.sim().huge_bytes(), 0, "{options}: what went back stays away");
            small.into_iter().for_each(|block| bench.give(block));
        }
    });
}

#[test]
fn a_fork_ends_growth_by_huge_pages() {
    on_large_stack(|| {
        let bench = Bench::new("thp:on");
        let mut blocks: Vec<_> = (0..61_000).map(|_| bench.take(1000)).collect();
        for round in 0..2 {
            assert!(bench.sim().huge_bytes() > 0, "round {round}: it grew");
            let purged = bench.counter(Counter::PurgeBytes);
            bench.0.fork_prepare();
            bench.0.fork_parent();
            assert_eq!(bench.sim().huge_bytes(), 0, "round {round}: what the child shares stays as it is");
            let untouched = bench.counter(Counter::PurgeBytes) - purged;
            assert!(untouched > 0 && untouched < 4 << 20, "round {round}: the rest of the last huge page: {untouched}");
            bench.0.check_all().unwrap();
            // Nothing grew since, so the next fork has nothing to do.
            bench.0.fork_prepare();
            bench.0.fork_parent();
            assert_eq!(bench.counter(Counter::PurgeBytes) - purged, untouched);
            blocks.extend((0..16 << 10).map(|_| bench.take(1000)));
        }
        blocks.into_iter().for_each(|block| bench.give(block));
    });
}

#[test]
fn the_top_of_the_break_is_not_cut_within_a_huge_page_while_a_heap_grows_by_them() {
    const CHUNK: usize = 2 << 20;
    on_large_stack(|| {
        for (options, whole) in [("background:off", true), ("background:off,thp:off", false)] {
            let bench = Bench::new(options);
            let mut blocks: Vec<_> = (0..61_700).map(|_| bench.take(1000)).collect();
            let end = bench.sim().break_range().1;
            assert_eq!(end.is_multiple_of(CHUNK), whole, "{options}: {end:x}");
            while bench.sim().break_range().1 == end {
                bench.give(blocks.pop().expect("the break is cut before all is free"));
                bench.sim().advance_ms(1);
            }
            // The first cut. It ends the growth for those that follow, as nothing is taken between.
            let cut = bench.sim().break_range().1;
            assert_eq!(cut.is_multiple_of(CHUNK), whole, "{options}: {cut:x}");
            blocks.into_iter().for_each(|block| bench.give(block));
            bench.0.trim(0);
            bench.0.check_all().unwrap();
        }
    });
}

#[test]
fn what_went_back_is_not_filled_again_where_the_system_makes_huge_pages_of_everything() {
    on_large_stack(|| {
        for (options, mib, told) in [("", 20, true), ("thp:off", 20, true), ("", 60, true), ("", 4, false)] {
            let bench = Bench::new(options);
            let blocks: Vec<_> = (0..mib << 10).map(|_| bench.take(1000)).collect();
            blocks.into_iter().skip(1).for_each(|block| bench.give(block));
            assert_eq!(bench.sim().never_huge_bytes(), 0, "{options} {mib}: while it grows");
            bench.0.trim(0);
            let never = bench.sim().never_huge_bytes();
            assert_eq!(never >= mib << 20, told, "{options}: {never} bytes of {mib} MiB");
        }
    });
}

#[test]
fn memory_that_goes_back_lazily_never_serves_calloc_as_zero() {
    on_large_stack(|| {
        let bench = Bench::new("purge:free");
        for round in 0..4 {
            let blocks: Vec<_> =
                (0..12_000).map(|index| bench.take([1000, 20_000, 100_000][index % 3 % (round + 1)])).collect();
            for &block in &blocks {
                // SAFETY: a live block of at least 1000 bytes
                unsafe { block.write_bytes(0xEE, 1000) };
            }
            blocks.iter().enumerate().filter(|(index, _)| index % 10 != 0).for_each(|(_, &block)| bench.give(block));
            bench.0.trim(0);
            bench.0.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
            for bytes in [1000, 20_000, 100_000] {
                for _ in 0..3000 {
                    let block = bench.0.allocate_zeroed(1, bytes);
                    // SAFETY: a live block
                    assert!((0..bytes).step_by(7).all(|at| unsafe { block.add(at).read() } == 0), "{bytes}");
                    bench.give(block);
                }
            }
            blocks.iter().step_by(10).for_each(|&block| {
                // SAFETY: a live block
                assert!((0..1000).all(|at| unsafe { block.add(at).read() } == 0xEE));
                bench.give(block);
            });
        }
        assert!(bench.counter(Counter::PurgeBytes) > bench.sim().purged_bytes(), "some of it stayed");
    });
}

#[test]
fn use_mmap_never_moves_the_break() {
    on_large_stack(|| {
        let bench = Bench::new("use:mmap");
        for thread in 0..3 {
            bench.play(thread);
            for bytes in [100, 20_000, 100_000, 1 << 20, 20 << 20] {
                let blocks: Vec<_> = (0..20).map(|_| bench.take(bytes)).collect();
                assert!(blocks.iter().all(|block| !bench.is_on_break(*block)));
                blocks.into_iter().for_each(|block| bench.give(block));
            }
        }
        assert!(!bench.0.trim(0) || bench.counter(Counter::BreakShrink) == 0);
        assert_eq!(bench.counter(Counter::BreakGrow), 0);
    });
}

#[test]
fn one_arena_puts_every_thread_on_the_break() {
    on_large_stack(|| {
        let bench = Bench::new("arena_max:1");
        for thread in 0..3 {
            bench.play(thread);
            assert!(bench.is_on_break(bench.take(1000)));
        }
    });
}

/// Bytes of pages that are in use after some threads took and gave 30 KiB each and ended, one after the other but all
/// with a heap at the same time.
fn kept_by_idle_heaps(options: &str) -> u64 {
    let bench = Bench::new(options);
    bench.take(16);
    let before = bench.counter(Counter::UsedSliceBytes);
    for thread in 1..THREADS {
        bench.play(thread);
        let blocks: Vec<_> = (0..30).map(|_| bench.take(1024)).collect();
        blocks.into_iter().for_each(|block| bench.give(block));
    }
    for thread in 1..THREADS {
        bench.play(thread);
        bench.0.thread_exit();
    }
    bench.counter(Counter::UsedSliceBytes) - before
}

#[test]
fn arena_max_bounds_what_idle_heaps_keep() {
    on_large_stack(|| {
        let (all, three, one) =
            (kept_by_idle_heaps(""), kept_by_idle_heaps("arena_max:3"), kept_by_idle_heaps("arena_max:1"));
        assert!(all > three && three > one && one > 0, "{all} {three} {one}");
    });
}

/// Batches in which a thread hands 50 blocks of another thread over, before its own end or next allocation.
fn batches(options: &str, bytes: usize) -> u64 {
    let bench = Bench::new(options);
    let blocks: Vec<_> = (0..50).map(|_| bench.take(bytes)).collect();
    bench.play(1);
    bench.take(64);
    let before = bench.counter(Counter::RemoteBatches);
    blocks.into_iter().for_each(|block| bench.give(block));
    bench.counter(Counter::RemoteBatches) - before
}

#[test]
fn tcache_count_and_tcache_max_bound_what_is_collected() {
    on_large_stack(|| {
        assert_eq!(batches("", 64), 0);
        assert_eq!(batches("tcache_count:0", 64), 50);
        assert_eq!(batches("tcache_count:1", 64), 50);
        assert!((5..=10).contains(&batches("tcache_count:7", 64)));
        assert_eq!(batches("tcache_count:65535", 64), 0);
        assert_eq!(batches("tcache_max:64", 64), 0);
        assert_eq!(batches("tcache_max:63", 64), 50);
    });
}

#[test]
fn a_limit_refuses_and_recovers() {
    on_large_stack(|| {
        let bench = Bench::new("limit:32M");
        for bytes in [5000, 50_000, 120_000, 3 << 20, 5000] {
            let mut blocks = Vec::new();
            loop {
                let block = bench.0.allocate(bytes);
                if block.is_null() {
                    break;
                }
                blocks.push(block);
            }
            let held = blocks.len() * bytes;
            assert!((20 << 20..=32 << 20).contains(&held), "{held} bytes in blocks of {bytes}");
            assert!(bench.counter(Counter::UsedSliceBytes) + bench.counter(Counter::DirectLiveBytes) <= 32 << 20);
            blocks.into_iter().for_each(|block| bench.give(block));
            bench.0.check_all().unwrap();
        }
    });
}

#[test]
fn thresholds_that_are_set_stay() {
    on_large_stack(|| {
        let bench = Bench::new("mmap_threshold:1M,mmap_max:2");
        assert_eq!(bench.0.mmap_threshold(), 1 << 20);
        bench.give(bench.take(8 << 20));
        assert_eq!((bench.0.mmap_threshold(), bench.counter(Counter::ThresholdMoves)), (1 << 20, 0));
        bench.take(1_000_000);
        assert_eq!(bench.counter(Counter::DirectLive), 0);
        (0..4).for_each(|_| assert!(!bench.take(2 << 20).is_null()));
        assert_eq!(bench.counter(Counter::DirectLive), 2);
    });
}

#[test]
fn every_key_can_be_set_and_read() {
    let mut settings = Settings::NONE;
    settings.set(Key::Verbose, 1);
    assert!(settings.is_on(Key::Verbose) && !settings.is_on(Key::AbortConf));
    assert_eq!(settings.get(Key::Limit), None);
}
