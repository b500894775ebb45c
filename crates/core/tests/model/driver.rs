//! One run: operations chosen by a seed, each followed by a comparison of the heap with the shadow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use brkmap_core::{Engine, Request, classes};
use brkmap_sys::sim::{ABORTED, Sim};

use crate::plan::Plan;
use crate::platform::{Registration, SLOTS, Stage, main_thread};
use crate::random::Random;
use crate::shadow::{Block, Face, Shadow, verify_zero};

/// Live bytes at which a run frees more than it allocates.
const PLENTY: usize = 96 << 20;

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
struct Actor {
    id: u32,
    /// The registration for its exit worked.
    hooked: bool,
}

pub(crate) struct Driver {
    pub(crate) engine: Box<Engine<Stage>>,
    pub(crate) sim: Sim,
    pub(crate) tally: Tally,
    random: Random,
    shadow: Shadow,
    plan: Plan,
    actors: [Option<Actor>; SLOTS],
    slot: usize,
    next_thread: u32,
    /// The run is in a phase in which the heap grows.
    growing: bool,
    next_mark: u64,
    /// Says what it does (`BRKMAP_MODEL_TRACE`).
    trace: bool,
}

impl Driver {
    pub(crate) fn new(seed: u64) -> Driver {
        let (plan, sim) = Plan::new(seed);
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
            trace: std::env::var_os("BRKMAP_MODEL_TRACE").is_some(),
            sim,
        };
        driver.actors[0] = Some(Actor { id: main_thread(&driver.sim), hooked: true });
        driver.play(0);
        if driver.random.one_in(16) {
            driver.sim.close_break();
        }
        if driver.random.one_in(4) {
            driver.engine.set_mmap_threshold(driver.random.log_uniform(23));
        }
        driver
    }

    fn say(&self, what: std::fmt::Arguments) {
        if self.trace {
            eprintln!("  slot {}: {what}", self.slot);
        }
    }

    fn stage(&self) -> &Stage {
        self.engine.platform()
    }

    fn play(&mut self, slot: usize) {
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
    }

    fn rare(&mut self) {
        match self.random.below(24) {
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
            _ => self.check(),
        }
    }

    /// Without trouble a small request is served, whatever happened before.
    fn recovers(&mut self) {
        let block = self.engine.allocate(24);
        assert!(!block.is_null(), "refused after the kernel has recovered");
        self.admit(block, 24, 16, Face::C);
    }

    // Allocation.

    fn bytes(&mut self) -> usize {
        match self.random.below(1000) {
            0..=549 => self.random.below(257) as usize,
            550..=749 => self.random.log_uniform(13),
            750..=899 => self.random.log_uniform(16),
            900..=984 => self.random.log_uniform(18),
            985..=998 => self.random.log_uniform(21),
            _ => self.random.log_uniform(26),
        }
    }

    fn allocate(&mut self) {
        let bytes = self.bytes();
        let shift = self.random.log_uniform(4);
        match self.random.below(20) {
            0..=10 => {
                let block = self.engine.allocate(bytes);
                self.admit(block, bytes, 16, Face::C);
            }
            11 | 12 => {
                let count = self.random.below(8) as usize + 1;
                let block = self.engine.allocate_zeroed(count, bytes.div_ceil(count));
                self.admit_zero(block, bytes.div_ceil(count) * count, 16, Face::C);
            }
            13..=15 => self.allocate_layout(bytes, 1 << shift.min(6)),
            16 => {
                let align = 16 << self.random.below(12);
                let request = Request::aligned(align, bytes).expect("a sensible request");
                let block = self.engine.allocate_aligned_zeroed(request);
                self.admit_zero(block, bytes, align, Face::C);
            }
            _ => {
                // Most alignments are small; 1 GiB is the largest that is served.
                let widest = if self.random.one_in(200) { 31 } else { 14 };
                let align = 1usize << self.random.below(widest);
                let bytes = if align > 1 << 20 { bytes.min(1 << 20) } else { bytes };
                let request = Request::memalign(align, bytes).expect("a sensible request");
                let block = self.engine.allocate_aligned(request);
                self.admit(block, bytes, align, Face::C);
            }
        }
    }

    /// As the Rust face does it (`GlobalAlloc`).
    fn allocate_layout(&mut self, bytes: usize, align: usize) {
        let class = small_class(bytes, align);
        let request = Request::aligned(align, bytes).expect("a sensible request");
        if self.random.one_in(4) {
            let block = self.engine.allocate_layout_zeroed(request, class);
            return self.admit_zero(block, bytes, align, Face::Rust);
        }
        let block = match class {
            Some(class) => self.engine.allocate_class(class, bytes),
            None => self.engine.allocate_aligned(request),
        };
        self.admit(block, bytes, align, Face::Rust);
    }

    fn admit_zero(&mut self, block: *mut u8, bytes: usize, align: usize, face: Face) {
        if !block.is_null() {
            verify_zero(block.addr(), bytes);
        }
        self.admit(block, bytes, align, face);
    }

    /// A request was answered.
    fn admit(&mut self, block: *mut u8, bytes: usize, align: usize, face: Face) {
        if block.is_null() {
            return self.note_refusal(bytes);
        }
        let start = block.addr();
        assert!(start % align == 0, "{bytes} bytes aligned to {align} are at {start:#x}");
        let usable = self.engine.usable_size(block);
        assert!(usable >= bytes, "{usable} usable of {bytes} at {start:#x}");
        let filled = if self.random.one_in(4) { usable } else { bytes };
        self.next_mark = self.next_mark.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(99);
        let block = Block { start, bytes, align, filled, usable, mark: self.next_mark, face, sized: true };
        self.say(format_args!("new {block:x?}"));
        self.shadow.insert(block, &self.sim);
        block.fill();
        self.tally.allocated += 1;
    }

    fn note_refusal(&mut self, bytes: usize) {
        assert!(self.plan.may_refuse, "null for {bytes} bytes, and the kernel refused nothing");
        let told = self.stage().refusals.swap(0, Relaxed);
        assert!(told > 0, "null for {bytes} bytes without a word (errno)");
        self.tally.refused += 1;
    }

    /// libc allocated entries for threads that have just begun.
    fn note_registered(&mut self) {
        for (slot, start) in self.stage().take_registered() {
            assert_eq!(slot, self.slot, "a registration in another thread's name");
            verify_zero(start, 56);
            self.admit(start as *mut u8, 56, 16, Face::Libc);
        }
    }

    fn hostile(&mut self) {
        let far =
            [isize::MAX as usize - 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX - 4096, usize::MAX];
        let bytes = far[self.random.below(5) as usize];
        assert!(self.engine.allocate(bytes).is_null());
        assert!(self.engine.allocate_zeroed(bytes, 3).is_null());
        if self.shadow.len() > 0 {
            let block = self.pick();
            if let Ok(request) = Request::plain(bytes) {
                // SAFETY: a live block; refused, so it stays
                assert!(unsafe { self.engine.reallocate(block.start as *mut u8, request) }.is_null());
            }
            block.verify("after a hostile realloc");
        }
        self.stage().refusals.store(0, Relaxed);
    }

    // What happens to blocks.

    fn pick(&mut self) -> Block {
        let count = self.shadow.len() as u64;
        // Half of the time one of the newest, as programs do.
        let number =
            if self.random.one_in(2) { count - 1 - self.random.below(count.min(16)) } else { self.random.below(count) };
        self.shadow.nth(number as usize)
    }

    fn free_one(&mut self) {
        if self.shadow.len() == 0 {
            return;
        }
        let block = self.pick();
        if block.face == Face::Libc {
            return block.verify("an entry of libc");
        }
        self.free(block);
    }

    fn free(&mut self, block: Block) {
        self.say(format_args!("free {block:x?}"));
        block.verify("at free");
        self.shadow.remove(block.start);
        let pointer = block.start as *mut u8;
        // SAFETY: a live block, taken out of the shadow
        unsafe {
            match (block.face, self.random.below(3)) {
                (_, _) if !block.sized => self.engine.free(pointer),
                (Face::Rust, _) => match small_class(block.bytes, block.align) {
                    Some(class) => self.engine.free_of_class(pointer, class, block.bytes),
                    None => self.engine.free_checked(pointer, block.bytes, block.align),
                },
                (Face::C, 0) => self.engine.free_checked(pointer, block.bytes, block.align),
                _ => self.engine.free(pointer),
            }
        }
    }

    fn reallocate(&mut self) {
        if self.shadow.len() == 0 {
            return;
        }
        let block = self.pick();
        if block.face == Face::Libc {
            return;
        }
        block.verify("before realloc");
        let bytes = match self.random.below(4) {
            0 => block.bytes + self.random.below(64) as usize,
            1 => block.bytes + block.bytes / 2,
            2 => block.bytes / (self.random.below(4) as usize + 1),
            _ => self.bytes(),
        };
        let align = if block.face == Face::Rust { block.align } else { 16 };
        let request = Request::aligned(align, bytes).expect("a sensible request");
        self.say(format_args!("realloc {block:x?} to {bytes:#x}"));
        // SAFETY: a live block; where the result is not null only that is used
        let moved = unsafe { self.engine.reallocate(block.start as *mut u8, request) };
        if moved.is_null() {
            block.verify("after a refused realloc");
            return self.note_refusal(bytes);
        }
        block.verify_at(moved.addr(), block.filled.min(block.bytes).min(bytes), "after realloc");
        if moved.addr() == block.start {
            self.tally.grown_in_place += u64::from(bytes > block.bytes);
        } else {
            self.tally.moved += 1;
        }
        self.shadow.remove(block.start);
        let kept = moved.addr() == block.start;
        self.admit(moved, bytes, align, block.face);
        if kept && (!block.sized || self.plan.may_refuse) {
            self.shadow.set_unsized(block.start);
        }
    }

    fn look(&mut self) {
        if self.shadow.len() > 0 {
            let block = self.pick();
            block.verify("at a look");
            assert_eq!(self.engine.usable_size(block.start as *mut u8), block.usable);
        }
    }

    // Threads.

    fn switch(&mut self) {
        let slot = self.random.below(SLOTS as u64) as usize;
        if self.actors[slot].is_none() {
            let id = self.next_thread;
            self.next_thread += 1;
            let registration =
                [Registration::Allocates, Registration::Works, Registration::Fails][self.random.below(3) as usize];
            let hooked = registration != Registration::Fails;
            self.stage().registration.lock().expect("no panic yet").set(registration);
            self.stage().reset(slot);
            self.actors[slot] = Some(Actor { id, hooked });
        }
        self.play(slot);
    }

    /// The thread ends as threads do; now and then it uses the heap once more in a late destructor.
    fn end_thread(&mut self) {
        let actor = self.actors[self.slot].expect("a living thread");
        if self.slot == 0 {
            return;
        }
        self.tally.exits += 1;
        if actor.hooked {
            self.engine.thread_exit();
            // libc frees its entry when the function has run.
            let entries: Vec<_> = self.shadow.all().filter(|block| block.face == Face::Libc).copied().collect();
            if let Some(&entry) = entries.first() {
                self.free(entry);
            }
            if self.random.one_in(3) {
                self.allocate();
                self.free_one();
            }
            self.note_registered();
        }
        self.bury();
    }

    /// The thread ends without a word.
    fn die(&mut self) {
        if self.slot != 0 {
            self.tally.deaths += 1;
            self.bury();
        }
    }

    fn bury(&mut self) {
        let actor = self.actors[self.slot].take().expect("a living thread");
        self.say(format_args!("thread {} is gone", actor.id));
        self.sim.kill_thread(actor.id);
        self.play(0);
    }

    fn fork_as_parent(&mut self) {
        self.engine.fork_prepare();
        // A handler of the program that allocates while ours hold the locks.
        let block = self.engine.allocate(100);
        self.admit(block, 100, 16, Face::C);
        self.engine.fork_parent();
        self.tally.forks += 1;
    }

    /// From now on this is the child: the other threads are gone.
    fn fork_as_child(&mut self) {
        self.say(format_args!("fork, as the child"));
        self.engine.fork_prepare();
        for slot in 0..SLOTS {
            if slot != self.slot {
                if let Some(actor) = self.actors[slot].take() {
                    self.sim.kill_thread(actor.id);
                }
                self.stage().reset(slot);
            }
        }
        let id = self.next_thread;
        self.next_thread += 1;
        self.sim.set_process(id);
        // The one thread of the child is its main thread, wherever it is played.
        let mine = self.slot;
        self.actors[mine] = Some(Actor { id, hooked: true });
        self.play(mine);
        self.engine.fork_child();
        if mine != 0 {
            let other = self.next_thread;
            self.next_thread += 1;
            self.actors[0] = Some(Actor { id: other, hooked: true });
        }
        self.tally.forks += 1;
    }

    // Comparison.

    /// The engine's own equations, and that it counts as the shadow does.
    pub(crate) fn check(&mut self) {
        self.tally.checks += 1;
        if let Err(violation) = self.engine.check_all() {
            panic!("{violation:x?}");
        }
        let stats = self.engine.stats();
        let counted = stats.live + stats.mapped;
        assert!(
            counted == self.shadow.usable,
            "the engine counts {counted} live bytes, the model {}",
            self.shadow.usable
        );
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

/// The class that the Rust face picks for a layout.
fn small_class(bytes: usize, align: usize) -> Option<usize> {
    match align {
        1..=8 if bytes <= classes::SMALL_MAX => Some(classes::of_fine(bytes)),
        16 if bytes <= classes::SMALL_MAX => Some(classes::of_small(bytes)),
        _ => None,
    }
}
