//! The figures against what the simulated kernel knows: every byte in memory has one reason, at each moment of a random life.

#[path = "model/platform.rs"]
#[allow(dead_code)]
mod platform;
#[path = "model/random.rs"]
#[allow(dead_code)]
mod random;

use brkmap_core::classes::CLASSES;
use brkmap_core::{ClassRow, Engine, Figures, HEAP_BATCH, HeapRow, Request};
use brkmap_sys::Kernel;
use brkmap_sys::sim::{Call, Config, Fault, Sim};
use platform::Stage;
use random::Random;

/// An engine is built on the stack before it moves to its box.
fn on_large_stack(test: fn()) {
    std::thread::Builder::new().stack_size(64 << 20).spawn(test).unwrap().join().unwrap();
}

/// A quiet process: nobody else uses the break, nothing is refused.
struct Life {
    sim: Sim,
    engine: Box<Engine<Stage>>,
    random: Random,
    blocks: Vec<(*mut u8, usize)>,
}

impl Life {
    fn new(config: Config) -> Life {
        let sim = Sim::new(config);
        let engine = Stage::engine(sim.clone());
        engine.platform().play(0, sim.process_id());
        Life { sim, engine, random: Random::new(7), blocks: Vec::new() }
    }

    /// Allocates or frees, touches some of what it got.
    fn step(&mut self) {
        let thread = self.random.below(3) as usize;
        self.engine.platform().play(thread, 4242 + thread as u32);
        if self.blocks.len() < 400 || self.random.below(100) < 48 {
            let bytes = match self.random.below(100) {
                0 => self.random.below(1 << 20),
                1..20 => self.random.below(40_000),
                _ => self.random.below(1500),
            } as usize;
            let block = match self.random.below(10) {
                0 => self.engine.allocate_aligned(Request::memalign(1 << self.random.below(14), bytes).unwrap()),
                _ => self.engine.allocate(bytes),
            };
            assert!(!block.is_null());
            if self.random.below(3) > 0 {
                // SAFETY: a live block of that size
                unsafe { block.write_bytes(1, bytes) };
            }
            self.blocks.push((block, self.engine.usable_size(block)));
        } else {
            let at = self.random.below(self.blocks.len() as u64) as usize;
            let (block, _) = self.blocks.swap_remove(at);
            // SAFETY: a live block
            unsafe { self.engine.free(block) };
        }
    }

    fn figures(&self) -> Figures {
        let figures = self.engine.figures();
        let f = figures;
        assert_eq!(f.allocated as usize, self.blocks.iter().map(|block| block.1).sum::<usize>(), "{f:?}");
        assert_eq!(f.live_blocks as usize, self.blocks.len(), "{f:?}");
        assert_eq!(f.mapped, f.active + f.retained + f.metadata, "{f:?}");
        assert_eq!(f.mapped, f.break_bytes + f.region_bytes + f.direct_bytes + f.metadata, "{f:?}");
        let parts = f.resident_allocated + f.resident_thread_cache + f.pinned + f.returnable + f.resident_metadata;
        assert_eq!(f.resident, parts, "{f:?}");
        assert!(f.allocated <= f.active && f.returnable <= f.retained, "{f:?}");
        figures
    }

    /// The rows sum to the figures.
    fn check_rows(&self, figures: &Figures) {
        let mut classes = [ClassRow::default(); CLASSES];
        self.engine.class_rows(&mut classes);
        let sum = |of: fn(&ClassRow) -> u64| classes.iter().map(of).sum::<u64>();
        let mut heaps = [HeapRow::default(); HEAP_BATCH];
        let count = self.engine.heap_rows(0, &mut heaps);
        assert_eq!(count as u64, figures.heaps);
        let heaps = &heaps[..count];
        assert_eq!(sum(|row| row.live), heaps.iter().map(|row| row.live).sum::<u64>());
        assert_eq!(sum(|row| row.pages), heaps.iter().map(|row| row.pages).sum::<u64>());
        assert_eq!(sum(|row| row.thread_cache), figures.thread_cache);
        assert!(sum(|row| row.live) <= figures.allocated && sum(|row| row.blocks) <= figures.live_blocks);
    }
}

#[test]
fn resident_is_what_the_kernel_has_in_memory() {
    on_large_stack(|| {
        let mut life = Life::new(Config::linux(5));
        for round in 0..40 {
            (0..500).for_each(|_| life.step());
            let figures = life.figures();
            assert!(!figures.is_estimated);
            assert_eq!(figures.resident as usize, life.sim.resident_bytes(), "round {round}: {figures:?}");
            life.check_rows(&figures);
            if round % 8 == 7 {
                life.engine.trim(0);
                let after = life.figures();
                assert_eq!(after.resident as usize, life.sim.resident_bytes(), "round {round}, trimmed: {after:?}");
                assert_eq!(after.allocated, figures.allocated);
                assert!(after.returnable <= figures.returnable);
            }
        }
    });
}

#[test]
fn without_an_answer_the_books_give_a_bound() {
    on_large_stack(|| {
        let mut life = Life::new(Config::linux(6));
        life.sim.fail(Call::Resident, Fault::From(1));
        for round in 0..20 {
            (0..500).for_each(|_| life.step());
            if round % 4 == 3 {
                life.engine.trim(0);
            }
            let figures = life.figures();
            assert!(figures.is_estimated);
            assert!(figures.resident as usize >= life.sim.resident_bytes(), "round {round}: {figures:?}");
            assert!(figures.resident <= figures.mapped);
        }
    });
}

#[test]
fn larger_os_pages_count_whole() {
    on_large_stack(|| {
        let mut life = Life::new(Config { page_size: 16 << 10, ..Config::linux(8) });
        for _ in 0..10 {
            (0..500).for_each(|_| life.step());
            let figures = life.figures();
            assert!(figures.resident as usize >= life.sim.resident_bytes(), "{figures:?}");
            assert!(figures.active.is_multiple_of(16 << 10) && figures.resident <= figures.mapped);
        }
    });
}

#[test]
fn figures_of_an_engine_that_never_served() {
    on_large_stack(|| {
        let life = Life::new(Config::linux(9));
        let figures = life.figures();
        assert_eq!((figures.allocated, figures.retained, figures.break_bytes, figures.direct), (0, 0, 0, 0));
    });
}
