//! What the engine makes of a control group's limit and stalls, on a simulated kernel whose files say what the test wants.
//! How the files are read is tested in `cgroup`, when memory is short in `head_room`; the same on real files of the kernel,
//! or made-up ones in their place, in `tests/faults/cgroup_*`.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

use brkmap_core::config::{Key, Settings};
use brkmap_core::head_room::Supply::{Ample, Tight};
use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::Kernel;
use brkmap_sys::sim::{Call, Config, Fault, Sim};
use brkmap_wire::Counter;

const MIB: usize = 1 << 20;
const TWO: &str = "/sys/fs/cgroup/shop/till";
const ONE: &str = "/sys/fs/cgroup/memory/shop";

struct Stage {
    sim: Sim,
    settings: Settings,
    heap: AtomicPtr<Heap>,
    has_helper: AtomicBool,
}

impl Platform for Stage {
    type Kernel = Sim;

    fn kernel(&self) -> &Sim {
        &self.sim
    }

    fn heap(&self) -> &'static Heap {
        // SAFETY: [heap-stays] what `set_heap` stored; the heaps live as long as the simulated kernel.
        unsafe { &*self.heap.load(Relaxed) }
    }

    fn set_heap(&self, heap: &'static Heap) {
        self.heap.store((&raw const *heap).cast_mut(), Relaxed);
    }

    fn helper_entry(&self) -> Option<extern "C" fn()> {
        extern "C" fn played_by_the_test() {}
        self.has_helper.load(Relaxed).then_some(played_by_the_test)
    }

    fn no_memory(&self) {}

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        None
    }

    fn settings(&self) -> Settings {
        self.settings
    }
}

/// An engine and the blocks that a test has of it.
struct Bench {
    engine: Box<Engine<Stage>>,
    blocks: Vec<*mut u8>,
}

impl Bench {
    fn new(options: &[(Key, usize)]) -> Bench {
        let mut settings = Settings::NONE;
        options.iter().for_each(|(key, value)| settings.set(*key, *value));
        let sim = Sim::new(Config::linux(11));
        sim.advance_ms(1000);
        Sim::set_thread(sim.process_id());
        let heap = AtomicPtr::new((&raw const EMPTY_HEAP).cast_mut());
        Bench {
            engine: Box::new(Engine::new(Stage { sim, settings, heap, has_helper: AtomicBool::new(false) })),
            blocks: Vec::new(),
        }
    }

    /// A process in the group `/shop/till` of the second version, where `/shop/till` has a limit.
    fn limited(limit: usize, current: usize) -> Bench {
        let bench = Bench::new(&[]);
        bench.file("/proc/self/cgroup", "0::/shop/till\n");
        bench.file(&format!("{TWO}/memory.high"), "max\n");
        bench.file(&format!("{TWO}/memory.max"), &format!("{limit}\n"));
        bench.uses(current);
        bench
    }

    fn sim(&self) -> &Sim {
        &self.engine.platform().sim
    }

    fn file(&self, path: &str, contents: &str) {
        self.sim().set_file(path, Some(contents));
    }

    /// The group uses that much from now on.
    fn uses(&self, current: usize) {
        self.file(&format!("{TWO}/memory.current"), &format!("{current}\n"));
    }

    /// Takes and touches `mib` MiB in blocks of 64,000 bytes.
    fn take(&mut self, mib: usize) {
        for _ in 0..mib * MIB / 64_000 {
            let block = self.engine.allocate(64_000);
            assert!(!block.is_null());
            // SAFETY: a block of that size.
            unsafe { block.write_bytes(1, 64_000) };
            self.blocks.push(block);
        }
    }

    fn give_all(&mut self) {
        for block in self.blocks.drain(..) {
            // SAFETY: taken above, given back once.
            unsafe { self.engine.free(block) };
        }
    }

    fn reads(&self) -> u64 {
        self.sim().calls(Call::ReadFile)
    }

    fn whole(&self) {
        if let Err(violation) = self.engine.check_all() {
            panic!("{violation:?}");
        }
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
fn without_a_limit_there_is_one_look_and_then_none() {
    on_large_stack(|| {
        let mut bench = Bench::limited(0, 4 * MIB);
        bench.file(&format!("{TWO}/memory.max"), "max\n");
        bench.take(12);
        assert_eq!(bench.reads(), 0, "a small process opens no file");
        bench.take(8);
        // The list of groups, and two limits on the group's level; what is not there was asked for as well.
        let after = bench.reads();
        assert!(after > 0 && after < 10, "{after}");
        for _ in 0..5 {
            bench.sim().advance_ms(1000);
            bench.take(100);
            bench.give_all();
        }
        assert_eq!((bench.reads(), bench.engine.supply()), (after, Ample));
        bench.whole();
    });
}

#[test]
fn near_the_limit_what_is_free_goes_back_before_more_is_used() {
    on_large_stack(|| {
        let mut bench = Bench::limited(200 * MIB, 20 * MIB);
        bench.take(100);
        assert_eq!(bench.engine.supply(), Ample);
        // Half of it becomes free, in every second block's place, so nothing larger fits there.
        let mut index = 0;
        bench.blocks.retain(|block| {
            index += 1;
            if index / 20 % 2 == 0 {
                // SAFETY: taken above, given back once.
                unsafe { bench.engine.free(*block) };
            }
            index / 20 % 2 != 0
        });
        bench.uses(190 * MIB);
        bench.sim().advance_ms(60);
        let before = bench.sim().resident_bytes();
        let large = bench.engine.allocate(40 * MIB);
        assert!(!large.is_null());
        assert_eq!(bench.engine.supply(), Tight);
        let after = bench.sim().resident_bytes();
        assert!(after < before - 40 * MIB, "{} MiB, then {} MiB", before / MIB, after / MIB);
        bench.whole();
    });
}

#[test]
fn while_memory_is_tight_no_free_memory_is_kept() {
    on_large_stack(|| {
        let kept = |current: usize| {
            let mut bench = Bench::limited(400 * MIB, current);
            bench.take(60);
            let settled = bench.sim().resident_bytes();
            // Less than the budget, so without need it stays.
            for block in bench.blocks.drain(..80) {
                // SAFETY: taken above, given back once.
                unsafe { bench.engine.free(block) };
            }
            for _ in 0..40 {
                bench.sim().advance_ms(60);
                let block = bench.engine.allocate(300_000);
                // SAFETY: as above.
                unsafe { bench.engine.free(block) };
            }
            bench.whole();
            settled.saturating_sub(bench.sim().resident_bytes())
        };
        let (ample, tight) = (kept(100 * MIB), kept(395 * MIB));
        assert!(ample < MIB, "{} KiB went back without need", ample >> 10);
        assert!(tight > 4 * MIB, "only {} KiB went back", tight >> 10);
    });
}

#[test]
fn it_ends_with_room_and_not_before() {
    on_large_stack(|| {
        let mut bench = Bench::limited(800 * MIB, 750 * MIB);
        bench.take(20);
        assert_eq!(bench.engine.supply(), Tight);
        let mut after = |current| {
            bench.uses(current);
            bench.sim().advance_ms(60);
            bench.take(1);
            bench.engine.supply()
        };
        assert_eq!(after(680 * MIB), Tight);
        assert_eq!(after(600 * MIB), Ample);
    });
}

#[test]
fn stalls_count_too() {
    on_large_stack(|| {
        let mut bench = Bench::limited(8000 * MIB, 10 * MIB);
        let pressure = |avg: &str, total: u64| format!("some avg10={avg} avg60=0.00 avg300=0.00 total={total}\nfull\n");
        let path = format!("{TWO}/memory.pressure");
        bench.file(&path, &pressure("9.99", 1));
        bench.take(20);
        assert_eq!(bench.engine.supply(), Ample);
        bench.file(&path, &pressure("10.00", 2));
        bench.sim().advance_ms(1000);
        bench.take(300);
        assert_eq!(bench.engine.supply(), Tight);
        bench.file(&path, &pressure("1.00", 3));
        bench.sim().advance_ms(1000);
        bench.take(1);
        assert_eq!(bench.engine.supply(), Ample);
        // The average is late: 400 ms of waiting in a second.
        bench.file(&path, &pressure("1.00", 400_003));
        bench.sim().advance_ms(1000);
        bench.take(300);
        assert_eq!(bench.engine.supply(), Tight);
    });
}

#[test]
fn the_tightest_level_counts_and_page_cache_does_not() {
    on_large_stack(|| {
        let mut bench = Bench::limited(800 * MIB, 10 * MIB);
        let shop = "/sys/fs/cgroup/shop";
        bench.file(&format!("{shop}/memory.max"), "max\n");
        bench.file(&format!("{shop}/memory.high"), &format!("{}\n", 400 * MIB));
        bench.file(&format!("{shop}/memory.current"), &format!("{}\n", 390 * MIB));
        bench.take(20);
        assert_eq!(bench.engine.supply(), Tight);
        bench.file(&format!("{shop}/memory.stat"), &format!("anon 1\ninactive_file {}\nx 3\n", 200 * MIB));
        bench.sim().advance_ms(60);
        bench.take(1);
        assert_eq!(bench.engine.supply(), Ample);
    });
}

#[test]
fn the_first_version_and_a_container_of_it() {
    on_large_stack(|| {
        for place in [ONE, "/sys/fs/cgroup/memory"] {
            let mut bench = Bench::new(&[]);
            bench.file("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/shop\n0::/\n");
            bench.file(&format!("{place}/memory.limit_in_bytes"), &format!("{}\n", 100 * MIB));
            bench.file(&format!("{place}/memory.usage_in_bytes"), &format!("{}\n", 20 * MIB));
            bench.take(20);
            assert_eq!(bench.engine.supply(), Ample);
            bench.file(&format!("{place}/memory.usage_in_bytes"), &format!("{}\n", 95 * MIB));
            bench.sim().advance_ms(60);
            bench.take(40);
            assert_eq!(bench.engine.supply(), Tight);
            bench.file(&format!("{place}/memory.stat"), &format!("total_inactive_file {}\n", 60 * MIB));
            bench.sim().advance_ms(60);
            bench.take(1);
            assert_eq!(bench.engine.supply(), Ample);
        }
    });
}

#[test]
fn between_two_readings_the_own_growth_counts() {
    on_large_stack(|| {
        let mut bench = Bench::limited(200 * MIB, 20 * MIB);
        bench.take(20);
        // No time passes, so the files are not read again.
        let reads = bench.reads();
        bench.take(100);
        assert_eq!((bench.reads(), bench.engine.supply()), (reads, Ample));
        bench.take(70);
        assert_eq!((bench.reads(), bench.engine.supply()), (reads, Tight));
        // What does not show for so long will not come.
        bench.sim().advance_ms(3000);
        bench.take(1);
        assert_eq!(bench.engine.supply(), Ample);
    });
}

#[test]
fn a_large_block_is_no_room_before_it_is_touched() {
    on_large_stack(|| {
        let mut bench = Bench::limited(250 * MIB, 20 * MIB);
        bench.take(160);
        bench.uses(185 * MIB);
        bench.sim().advance_ms(60);
        let large = bench.engine.allocate(57 * MIB);
        assert_eq!(bench.engine.supply(), Tight);
        // The helper looks while the program is about to write it, and when it is half done.
        for current in [185, 185, 213] {
            bench.uses(current * MIB);
            bench.sim().advance_ms(60);
            bench.engine.look_once();
            assert_eq!(bench.engine.supply(), Tight);
        }
        // Free again, it is none of what will come. A block that is never written is not waited for either.
        // SAFETY: taken above, given back once.
        unsafe { bench.engine.free(large) };
        bench.uses(185 * MIB);
        bench.sim().advance_ms(60);
        bench.engine.look_once();
        assert_eq!(bench.engine.supply(), Ample);
        assert!(!bench.engine.allocate(57 * MIB).is_null());
        bench.sim().advance_ms(3000);
        bench.engine.look_once();
        assert_eq!(bench.engine.supply(), Ample);
        bench.whole();
    });
}

#[test]
fn a_freed_mapping_is_kept_where_there_is_room_alone() {
    on_large_stack(|| {
        let mut bench = Bench::limited(250 * MIB, 20 * MIB);
        bench.engine.platform().has_helper.store(true, Relaxed);
        bench.take(20);
        let kept = |touched: usize| {
            let large = bench.engine.allocate(57 * MIB);
            bench.uses(touched * MIB);
            bench.sim().advance_ms(60);
            // SAFETY: taken above, given back once.
            unsafe { bench.engine.free(large) };
            bench.engine.counter(Counter::KeptLiveBytes) as usize / MIB
        };
        assert_eq!(kept(80), 0, "the first of a size goes at once");
        assert_eq!(kept(80), 57);
        assert_eq!(kept(240), 0);
        bench.whole();
        // The thread that stands for the helper says in the engine that it has ended.
        std::mem::forget(bench);
    });
}

#[test]
fn readings_are_rare() {
    on_large_stack(|| {
        let mut bench = Bench::limited(8000 * MIB, 10 * MIB);
        bench.take(20);
        let reads = bench.reads();
        for _ in 0..100 {
            bench.take(10);
            bench.give_all();
            bench.sim().advance_ms(100);
        }
        // What it frees is looked over now and then, and four files are read then.
        assert!(bench.reads() < reads + 40, "ten seconds without growth: {} files", bench.reads() - reads);
        let mut bench = Bench::limited(200 * MIB, 190 * MIB);
        bench.take(20);
        let reads = bench.reads();
        for _ in 0..10 {
            bench.take(10);
            bench.give_all();
            bench.sim().advance_ms(10);
        }
        assert!(bench.reads() < reads + 20, "100 ms, two readings");
    });
}

#[test]
fn what_cannot_be_read_is_left_alone_for_good() {
    on_large_stack(|| {
        let long = format!("0::/{}\n", "x".repeat(4000));
        let none = ["", "\n", "0::", "garbage", "1:name=systemd:/a\n", &long];
        for (case, text) in none.into_iter().enumerate() {
            let mut bench = Bench::limited(100 * MIB, 99 * MIB);
            bench.file("/proc/self/cgroup", text);
            bench.take(40);
            let reads = bench.reads();
            bench.sim().advance_ms(1000);
            bench.take(200);
            assert_eq!((bench.reads(), bench.engine.supply()), (reads, Ample), "case {case}");
        }
        // Refused at any moment, from then on.
        for nth in 1..20 {
            let mut bench = Bench::limited(200 * MIB, 190 * MIB);
            bench.sim().fail(Call::ReadFile, Fault::From(nth));
            for _ in 0..10 {
                bench.sim().advance_ms(60);
                bench.take(4);
            }
            let reads = bench.reads();
            // A refused memory.stat or memory.pressure only says nothing; a refused limit ends it.
            bench.sim().advance_ms(60);
            bench.take(10);
            assert_eq!((bench.reads(), bench.engine.supply()), (reads, Ample), "from the {nth}th on");
            bench.whole();
        }
    });
}

#[test]
fn refusals_at_random_do_no_harm() {
    on_large_stack(|| {
        for share in [1, 50, 300] {
            let mut bench = Bench::limited(200 * MIB, 150 * MIB);
            bench.sim().fail(Call::ReadFile, Fault::PerMille(share));
            bench.sim().fail(Call::Purge, Fault::PerMille(share));
            for round in 0..60 {
                bench.uses((100 + round * 7 % 100) * MIB);
                bench.sim().advance_ms(30);
                bench.take(10);
                if round % 3 == 2 {
                    bench.give_all();
                }
            }
            bench.whole();
        }
    });
}

#[test]
fn a_group_that_is_gone_is_looked_for_again() {
    on_large_stack(|| {
        let mut bench = Bench::limited(200 * MIB, 190 * MIB);
        bench.take(20);
        assert_eq!(bench.engine.supply(), Tight);
        for name in ["memory.max", "memory.high", "memory.current"] {
            bench.sim().set_file(&format!("{TWO}/{name}"), None);
        }
        bench.file("/proc/self/cgroup", "0::/elsewhere\n");
        bench.file("/sys/fs/cgroup/elsewhere/memory.max", &format!("{}\n", 300 * MIB));
        bench.file("/sys/fs/cgroup/elsewhere/memory.current", "4096\n");
        for _ in 0..3 {
            bench.sim().advance_ms(60);
            bench.take(1);
        }
        assert_eq!(bench.engine.supply(), Ample);
        bench.file("/sys/fs/cgroup/elsewhere/memory.current", &format!("{}\n", 299 * MIB));
        bench.sim().advance_ms(60);
        bench.take(150);
        assert_eq!(bench.engine.supply(), Tight);
    });
}

#[test]
fn the_child_of_a_fork_asks_for_itself() {
    on_large_stack(|| {
        let mut bench = Bench::limited(200 * MIB, 190 * MIB);
        bench.take(20);
        assert_eq!(bench.engine.supply(), Tight);
        bench.engine.fork_prepare();
        bench.engine.fork_child();
        bench.file("/proc/self/cgroup", "0::/elsewhere\n");
        bench.file("/sys/fs/cgroup/elsewhere/memory.max", "max\n");
        bench.take(1);
        assert_eq!(bench.engine.supply(), Ample);
        bench.whole();
    });
}

#[test]
fn switched_off_it_opens_nothing() {
    on_large_stack(|| {
        let mut bench = Bench::limited(200 * MIB, 190 * MIB);
        bench.engine = Bench::new(&[(Key::Pressure, 0)]).engine;
        bench.take(50);
        assert_eq!((bench.reads(), bench.engine.supply()), (0, Ample));
    });
}
