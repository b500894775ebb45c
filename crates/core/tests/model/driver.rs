//! One run: operations chosen by a seed, each followed by a comparison of the heap with the shadow.

use std::panic::{AssertUnwindSafe, catch_unwind};

use brkmap_core::Engine;
use brkmap_sys::sim::{ABORTED, Sim};
use std::sync::atomic::Ordering::Relaxed;

use crate::plan::Plan;
use crate::platform::{SLOTS, Stage, main_thread, wait_for_helpers};
use crate::random::Random;
use crate::shadow::{Face, Shadow};

/// Live bytes at which a run frees more than it allocates.
const PLENTY: usize = 96 << 20;
/// Operations after which the page that was worked on last is checked as a whole; its head is checked after each.
const PAGE_EVERY: u64 = 16;
/// One operation in this many is followed by the comparison of everything.
const ALL_EVERY: u64 = 2000;

/// What happened in all runs: proof that they reach what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) allocated: u64,
    pub(crate) refused: u64,
    pub(crate) grown_in_place: u64,
    pub(crate) moved: u64,
    pub(crate) exits: u64,
    pub(crate) deaths: u64,
    pub(crate) forks: u64,
    pub(crate) checks: u64,
    pub(crate) misuses: u64,
}

/// A thread that is played.
#[derive(Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) id: u32,
    /// The registration for its exit worked.
    pub(crate) hooked: bool,
}

pub(crate) struct Driver {
    pub(crate) engine: Box<Engine<Stage>>,
    pub(crate) sim: Sim,
    pub(crate) tally: Tally,
    pub(crate) random: Random,
    pub(crate) shadow: Shadow,
    pub(crate) plan: Plan,
    pub(crate) actors: [Option<Actor>; SLOTS],
    pub(crate) slot: usize,
    pub(crate) next_thread: u32,
    /// The run is in a phase in which the heap grows.
    growing: bool,
    pub(crate) next_mark: u64,
    /// An address in the page that was worked on last.
    pub(crate) touched: usize,
    operations: u64,
    /// Says what it does (`BRKMAP_MODEL_TRACE`).
    trace: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        wait_for_helpers(&self.sim);
    }
}

impl Driver {
    pub(crate) fn new(seed: u64) -> Driver {
        let (plan, sim) = Plan::new(seed);
        Driver::on(seed, plan, sim)
    }

    /// A run on this kernel.
    pub(crate) fn on(seed: u64, plan: Plan, sim: Sim) -> Driver {
        let engine = Stage::engine(sim.clone());
        let mut driver = Driver {
            engine,
            tally: Tally::default(),
            random: Random::new(seed),
            shadow: Shadow::default(),
            plan,
            actors: [None; SLOTS],
            slot: 0,
            next_thread: main_thread(&sim) + 1,
            growing: true,
            next_mark: seed,
            touched: 0,
            operations: 0,
            trace: std::env::var_os("BRKMAP_MODEL_TRACE").is_some(),
            sim,
        };
        driver.actors[0] = Some(Actor { id: main_thread(&driver.sim), hooked: true });
        driver.play(0);
        if driver.random.one_in(16) {
            driver.sim.close_break();
        }
        let has_helper = driver.random.one_in(2);
        driver.stage().has_helper.store(has_helper, Relaxed);
        if driver.random.one_in(4) {
            driver.engine.set_mmap_threshold(driver.random.log_uniform(23));
        }
        driver
    }

    pub(crate) fn say(&self, what: std::fmt::Arguments) {
        if self.trace {
            eprintln!("  slot {}: {what}", self.slot);
        }
    }

    pub(crate) fn stage(&self) -> &Stage {
        self.engine.platform()
    }

    pub(crate) fn play(&mut self, slot: usize) {
        self.slot = slot;
        self.stage().play(slot, self.actors[slot].expect("a living thread").id);
    }

    /// One operation.
    pub(crate) fn step(&mut self) {
        let full = self.shadow.bytes > PLENTY || self.shadow.len() > 8000;
        let allocate = if full {
            15
        } else if self.growing {
            55
        } else {
            35
        };
        match self.random.below(100) {
            choice if choice < allocate => self.allocate(),
            90 | 91 => self.switch(),
            92..=95 => self.reallocate(),
            96 | 97 => self.look(),
            98 => self.rare(),
            _ => self.free_one(),
        }
        self.note_registered();
        self.operations += 1;
        self.check_touched();
        if self.random.one_in(ALL_EVERY) {
            self.check();
        }
    }

    fn rare(&mut self) {
        match self.random.below(26) {
            0..=3 => self.end_thread(),
            4 => self.die(),
            5 => self.fork_as_parent(),
            6 => self.fork_as_child(),
            7 | 8 => {
                self.engine.trim(self.random.log_uniform(22));
            }
            9..=12 => self.sim.advance_ms(self.random.below(200)),
            13..=15 => self.growing = !self.growing,
            16 | 17 => {
                self.plan.turn(&self.sim, &mut self.random);
                self.say(format_args!("trouble {:?}, on: {}", self.plan.trouble, self.plan.may_refuse));
                if !self.plan.may_refuse {
                    self.recovers();
                }
            }
            18 => self.hostile(),
            19 | 20 => self.engine.look_once(),
            21 => self.large(),
            _ => self.look(),
        }
    }

    /// Without trouble a small request is served, whatever happened before.
    fn recovers(&mut self) {
        let block = self.engine.allocate(24);
        assert!(!block.is_null(), "refused after the kernel has recovered");
        self.admit(block, 24, 16, Face::C);
    }

    /// The equations of the page that was worked on last.
    fn check_touched(&self) {
        let whole = self.operations.is_multiple_of(PAGE_EVERY);
        let page = if whole { self.engine.check_page_around(self.touched) } else { Ok(()) };
        if let Err(violation) = page.and_then(|()| self.engine.check_around(self.touched)) {
            panic!("{violation:x?}");
        }
    }

    /// The engine's own equations, and that it counts as the shadow does.
    pub(crate) fn check(&mut self) {
        self.tally.checks += 1;
        if let Err(violation) = self.engine.check_all() {
            panic!("{violation:x?}");
        }
        // The first census of a thread gives it a heap.
        self.engine.stats();
        self.note_registered();
        let stats = self.engine.stats();
        let counted = stats.live + stats.mapped;
        assert!(
            counted == self.shadow.usable,
            "the engine counts {counted} live bytes, the model {}",
            self.shadow.usable
        );
        let figures = self.engine.figures();
        assert_eq!(figures.allocated as usize, self.shadow.usable, "{figures:?}");
        assert_eq!(figures.mapped, figures.active + figures.retained + figures.metadata, "{figures:?}");
        assert!(figures.allocated <= figures.active && figures.resident <= figures.mapped, "{figures:?}");
        let damage = self.sim.foreign_damage();
        assert!(damage.is_none(), "somebody else's byte below the break is overwritten: {damage:x?}");
    }

    /// Ends the run: compares everything, frees everything, and misuses the heap once.
    pub(crate) fn finish(&mut self) {
        if self.plan.may_refuse {
            self.plan.turn(&self.sim, &mut self.random);
        }
        self.check();
        let mut number = 0;
        while self.shadow.len() > 0 {
            if number % 64 == 0 {
                self.switch();
            }
            number += 1;
            let block = self.pick();
            self.free(block);
            self.note_registered();
        }
        self.engine.trim(0);
        self.note_registered();
        self.check();
        self.misuse();
        self.sim.take_errors();
    }

    /// A misuse ends in the fatal line and an abort.
    fn misuse(&mut self) {
        let bytes = self.bytes().min(1 << 20);
        let pointer = self.engine.allocate(bytes);
        let kind = self.random.below(5);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let engine = &self.engine;
            // SAFETY: none, that is the point: each of these must be noticed
            unsafe {
                match kind {
                    0 => {
                        engine.free(pointer);
                        engine.free(pointer);
                    }
                    1 => engine.free(pointer.wrapping_add(1)),
                    2 => engine.free(pointer.wrapping_add(16)),
                    3 => engine.free_checked(pointer, bytes * 8 + 100_000, 16),
                    _ => engine.free((&raw const *engine).cast_mut().cast()),
                }
            }
        }));
        let payload = outcome.expect_err("a misuse was not noticed");
        let said = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.starts_with(ABORTED) && said.contains("brkmap: fatal: "), "misuse {kind} of {bytes}: {said}");
        self.tally.misuses += 1;
    }
}
