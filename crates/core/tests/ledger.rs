//! What the engine writes down of its policy is what it did: on a simulated kernel, where each rule can be made to act.

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use brkmap_core::config::{Settings, read};
use brkmap_core::policy::THRESHOLD_START;
use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::Kernel;
use brkmap_sys::sim::{Call, Config, Fault, Sim};
use brkmap_wire::{Counter, Move, Rule};

struct Stage {
    sim: Sim,
    settings: Settings,
    heap: AtomicPtr<Heap>,
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

    fn no_memory(&self) {}

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        None
    }

    fn settings(&self) -> Settings {
        self.settings
    }
}

struct Bench(Box<Engine<Stage>>);

impl Bench {
    fn new(options: &str) -> Bench {
        let entry = format!("BRKMAP_CONF={options}");
        let settings = read(std::iter::once(entry.as_bytes()), None, &mut |_| panic!("{options}"));
        let bench = Bench(Box::new(Engine::new(Stage {
            sim: Sim::new(Config::linux(7)),
            settings,
            heap: AtomicPtr::new((&raw const EMPTY_HEAP).cast_mut()),
        })));
        Sim::set_thread(bench.sim().process_id());
        bench
    }

    fn sim(&self) -> &Sim {
        &self.0.platform().sim
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

    /// Takes blocks until they have `bytes`.
    fn fill(&self, size: usize, bytes: usize) -> Vec<*mut u8> {
        (0..bytes / size).map(|_| self.take(size)).collect()
    }

    fn give_all(&self, blocks: Vec<*mut u8>) {
        blocks.into_iter().for_each(|block| self.give(block));
    }

    /// Plays the helper thread's life.
    fn help(&self) {
        let own = self.0.platform().heap.load(Relaxed);
        self.0.help();
        self.0.platform().heap.store(own, Relaxed);
    }

    fn bytes(&self, rule: Rule) -> u64 {
        self.0.returned_by(rule).1
    }

    /// The rules by which something went back; their sums must be what the kernel was asked for.
    fn acted(&self) -> Vec<Rule> {
        self.0.check_all().unwrap();
        Rule::ALL.into_iter().filter(|rule| self.0.returned_by(*rule).0 > 0).collect()
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
fn a_move_names_the_free_that_caused_it() {
    on_large_stack(|| {
        let bench = Bench::new("");
        bench.sim().advance_ms(100);
        let block = bench.take(5_000_000);
        bench.give(bench.take(131_072));
        bench.sim().advance_ms(23);
        bench.give(block);
        bench.give(bench.take(40 << 20));
        bench.give(bench.take(32 << 20));
        let moves: Vec<Move> = bench.0.threshold_moves().collect();
        // 131,072 bytes and 16, in whole OS pages, are more than the threshold: it moves by one OS page, as glibc's does.
        let first = THRESHOLD_START as u64 + 4096;
        assert_eq!((moves[0].freed, moves[0].from, moves[0].to), (131_072, THRESHOLD_START as u64, first));
        assert_eq!((moves[1].freed, moves[1].from, moves[1].to), (5_000_000, first, 5_001_216));
        assert_eq!((moves[1].number, moves[1].when_ms - moves[0].when_ms), (2, 23));
        assert_eq!(moves[1].address, block.addr() as u64);
        assert_eq!(moves[1].thread, u64::from(bench.sim().process_id()));
        assert_eq!(moves.len(), 2, "above 32 MiB nothing moves");
        assert_eq!(bench.0.mmap_threshold(), 5_001_216);
    });
}

#[test]
fn the_first_and_the_last_of_many_moves_are_kept() {
    on_large_stack(|| {
        let bench = Bench::new("");
        (0..40).for_each(|step| bench.give(bench.take((1 << 20) + (step << 16))));
        let moves: Vec<Move> = bench.0.threshold_moves().collect();
        let numbers: Vec<u64> = moves.iter().map(|made| made.number).collect();
        assert_eq!(numbers, [1, 34, 35, 36, 37, 38, 39, 40]);
        assert_eq!(bench.0.counter(Counter::ThresholdMoves), 40);
        assert!(moves[1..].windows(2).all(|pair| pair[0].to == pair[1].from), "{moves:?}");
        assert_eq!(moves[7].to, bench.0.mmap_threshold() as u64);
        let fixed = Bench::new("top_pad:0");
        fixed.give(fixed.take(1 << 20));
        assert_eq!(fixed.0.threshold_moves().count(), 0);
    });
}

#[test]
fn free_memory_over_the_budget_goes_back_in_calls() {
    on_large_stack(|| {
        let bench = Bench::new("use:brk");
        let (low, pin, top) = (bench.fill(8192, 32 << 20), bench.take(8192), bench.fill(8192, 16 << 20));
        let keep = bench.take(100_000);
        bench.give_all(low);
        bench.give_all(top);
        assert!(bench.acted().is_empty(), "not before the delay");
        bench.sim().advance_ms(1000);
        // What changes the store looks at the clock now and then.
        (0..64).for_each(|_| bench.give(bench.take(200_000)));
        // In the call that takes or frees, or in the look that calls take where there is no helper.
        let spans = bench.bytes(Rule::OverBudget) + bench.bytes(Rule::Idle);
        assert!(spans + bench.bytes(Rule::BreakTop) > 16 << 20, "{:?}", bench.acted());
        let pages = bench.bytes(Rule::Holes) + bench.bytes(Rule::Untouched);
        assert_eq!(bench.0.counter(Counter::PurgeBytes), spans + pages);
        bench.give(keep);
        let top = bench.fill(8192, 64 << 20);
        bench.give_all(top);
        bench.sim().advance_ms(1000);
        (0..64).for_each(|_| bench.give(bench.take(200_000)));
        let shrunk = bench.0.counter(Counter::BreakShrinkBytes);
        assert!(shrunk > 0 && bench.bytes(Rule::BreakTop) == shrunk, "{:?}", bench.acted());
        bench.give(pin);
    });
}

#[test]
fn idle_memory_goes_back_in_looks() {
    on_large_stack(|| {
        let bench = Bench::new("use:mmap");
        let blocks = bench.fill(1024, 64 << 20);
        for (index, block) in blocks.iter().enumerate() {
            if index % 64 != 0 && index < 32 << 10 || index >= 40 << 10 {
                bench.give(*block);
            }
        }
        bench.help();
        let acted = bench.acted();
        assert!(acted.contains(&Rule::Holes) && acted.contains(&Rule::Idle), "{acted:?}");
        // 32 MiB with one block of 1 KiB in 64 KiB: one OS page in sixteen stays.
        let holes = bench.bytes(Rule::Holes);
        assert!((28 << 20..31 << 20).contains(&holes), "{holes}");
        assert!(bench.bytes(Rule::Idle) > 20 << 20, "{}", bench.bytes(Rule::Idle));
    });
}

#[test]
fn what_the_program_asks_for_is_told_apart() {
    on_large_stack(|| {
        let bench = Bench::new("");
        bench.give_all(bench.fill(1024, 2 << 20));
        let blocks = bench.fill(512, 2 << 20);
        blocks.iter().enumerate().filter(|(index, _)| index % 64 != 0).for_each(|(_, block)| bench.give(*block));
        assert!(bench.0.trim(0));
        assert_eq!(bench.acted(), [Rule::Trim]);
        let asked = bench.0.counter(Counter::PurgeBytes) + bench.0.counter(Counter::BreakShrinkBytes);
        assert_eq!(bench.bytes(Rule::Trim), asked);
        assert!(asked > 3 << 19, "{asked}");
    });
}

#[test]
fn refusals_and_limits_are_rules_of_their_own() {
    on_large_stack(|| {
        let bench = Bench::new("limit:32M");
        bench.give_all(bench.fill(5000, 24 << 20));
        bench.take(20 << 20);
        assert!(bench.acted().contains(&Rule::Limit), "{:?}", bench.acted());

        let bench = Bench::new("use:mmap");
        bench.give_all(bench.fill(5000, 24 << 20));
        bench.sim().limit_bytes(bench.sim().mapped_bytes());
        let block = bench.0.allocate(70 << 20);
        assert!(block.is_null());
        assert!(bench.bytes(Rule::Refusal) > 20 << 20, "{:?}", bench.acted());

        let bench = Bench::new("");
        let block = bench.take(1 << 20);
        bench.sim().fail(Call::Unmap, Fault::Nth(1));
        bench.give(block);
        assert_eq!(bench.acted(), [Rule::Unmappable]);
        assert_eq!(bench.0.returned_by(Rule::Unmappable), (1, 1 << 20));
    });
}
