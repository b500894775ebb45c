//! Real threads on one engine over a simulated kernel: blocks change hands, threads come and go, and afterwards the books
//! of the engine agree with what the threads still hold.

#[path = "model/random.rs"]
#[allow(dead_code)]
mod random;

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};

use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::sim::{Call, Config, Fault, Sim};
use brkmap_wire::Counter;
use random::Random;

thread_local! {
    static HEAP: Cell<*const Heap> = const { Cell::new(&raw const EMPTY_HEAP) };
}

/// The world whose helper may run: of one test at a time.
static WORLD: AtomicPtr<World> = AtomicPtr::new(std::ptr::null_mut());
static ONE_TEST: Mutex<()> = Mutex::new(());

/// A face for threads of the operating system; each has one engine in its life.
struct Face {
    sim: Sim,
    refused: AtomicU64,
}

impl Platform for Face {
    type Kernel = Sim;

    fn kernel(&self) -> &Sim {
        &self.sim
    }

    fn heap(&self) -> &'static Heap {
        // SAFETY: [heap-stays] what `set_heap` stored; the engine outlives the threads
        unsafe { &*HEAP.get() }
    }

    fn set_heap(&self, heap: &'static Heap) {
        HEAP.set(heap);
    }

    fn at_thread_exit(&self) -> bool {
        true
    }

    fn helper_entry(&self) -> Option<extern "C" fn()> {
        extern "C" fn help() {
            // SAFETY: the world of the present test, which is never freed
            unsafe { &*WORLD.load(Relaxed) }.engine.help();
        }
        Some(help)
    }

    fn no_memory(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        None
    }
}

/// A block on its way from one thread to another.
struct Parcel {
    start: usize,
    bytes: usize,
    mark: u8,
}

impl Parcel {
    fn verify(&self) {
        for at in 0..self.bytes.min(64) {
            // SAFETY: a live block
            let found = unsafe { ((self.start + at) as *const u8).read() };
            assert_eq!(found, self.mark, "byte {at} of {} at {:#x}", self.bytes, self.start);
        }
        if self.bytes > 64 {
            // SAFETY: a live block
            assert_eq!(unsafe { ((self.start + self.bytes - 1) as *const u8).read() }, self.mark);
        }
    }
}

/// Places where threads leave blocks for others.
struct Market {
    stalls: Vec<Mutex<Option<Parcel>>>,
}

struct World {
    engine: Engine<Face>,
    market: Market,
}

fn bytes(random: &mut Random) -> usize {
    match random.below(100) {
        0..=79 => random.log_uniform(9) + 1,
        80..=95 => random.log_uniform(14) + 1,
        96 | 97 => random.log_uniform(17) + 1,
        _ => random.log_uniform(21) + 1,
    }
}

impl World {
    /// Never freed: an engine outlives the threads that used it.
    fn new(config: Config) -> &'static World {
        let face = Face { sim: Sim::new(config), refused: AtomicU64::new(0) };
        let stalls = (0..512).map(|_| Mutex::new(None)).collect();
        Box::leak(Box::new(World { engine: Engine::new(face), market: Market { stalls } }))
    }

    fn allocate(&self, random: &mut Random) -> Option<Parcel> {
        let bytes = bytes(random);
        let block = if random.one_in(8) {
            let block = self.engine.allocate_zeroed(1, bytes);
            let head = if block.is_null() { 0 } else { bytes.min(64) };
            // SAFETY: a live block
            assert!((0..head).all(|at| unsafe { block.add(at).read() } == 0), "calloc of {bytes} at {block:?}");
            block
        } else {
            self.engine.allocate(bytes)
        };
        if block.is_null() {
            return None;
        }
        assert!(self.engine.usable_size(block) >= bytes && block.addr() % 16 == 0);
        let mark = random.next() as u8;
        // SAFETY: a live block of `bytes`
        unsafe {
            block.write_bytes(mark, bytes.min(64));
            block.add(bytes - 1).write(mark);
        }
        Some(Parcel { start: block.addr(), bytes, mark })
    }

    fn free(&self, parcel: &Parcel) {
        parcel.verify();
        // SAFETY: a live block that nobody else has
        unsafe { self.engine.free(parcel.start as *mut u8) };
    }

    /// A thread's life: takes blocks from the market, frees them, leaves new ones there.
    fn live(&self, seed: u64, operations: u64) {
        let mut random = Random::new(seed);
        let mut own = Vec::new();
        for _ in 0..operations {
            let stall = &self.market.stalls[random.below(512) as usize];
            match random.below(8) {
                0..=3 => own.extend(self.allocate(&mut random)),
                4 => {
                    if !own.is_empty() {
                        let parcel = own.swap_remove(random.below(own.len() as u64) as usize);
                        self.free(&parcel);
                    }
                }
                5 | 6 => {
                    let found = match own.pop() {
                        Some(parcel) => stall.lock().unwrap().replace(parcel),
                        None => stall.lock().unwrap().take(),
                    };
                    if let Some(parcel) = found {
                        self.free(&parcel);
                    }
                }
                _ if random.one_in(400) => drop(self.engine.trim(0)),
                _ => {
                    if random.one_in(50) {
                        self.engine.platform().sim.advance_ms(random.below(60));
                    }
                    if let Some(parcel) = stall.lock().unwrap().take() {
                        self.free(&parcel);
                    }
                }
            }
            if own.len() > 3000 {
                own.drain(..1500).for_each(|parcel| self.free(&parcel));
            }
        }
        own.iter().for_each(|parcel| self.free(parcel));
        self.engine.thread_exit();
    }

    /// Waits until the helper has nothing more to do.
    fn rest(&self) {
        while self.engine.platform().sim.spawned() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// With no other thread at work: the engine's equations, and its count of live blocks.
    fn agree(&self) {
        if let Err(violation) = self.engine.check_all() {
            panic!("{violation:x?}");
        }
        let held: usize = self
            .market
            .stalls
            .iter()
            .filter_map(|stall| {
                stall.lock().unwrap().as_ref().map(|parcel| self.engine.usable_size(parcel.start as *mut u8))
            })
            .sum();
        let stats = self.engine.stats();
        assert_eq!(stats.live + stats.mapped, held);
    }
}

/// `generations` of `threads` threads, each of them `operations` long.
fn run(config: Config, generations: u64, threads: u64, operations: u64, trouble: fn(&Sim)) -> &'static World {
    let builder = std::thread::Builder::new().stack_size(64 << 20);
    let world = builder.spawn(move || World::new(config)).unwrap().join().unwrap();
    WORLD.store((&raw const *world).cast_mut(), Relaxed);
    for generation in 0..generations {
        trouble(&world.engine.platform().sim);
        let start = Barrier::new(threads as usize);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    world.live(generation * 1000 + thread + config.seed * 1_000_000, operations);
                });
            }
        });
        world.engine.platform().sim.heal();
        world.rest();
        world.agree();
    }
    for stall in &world.market.stalls {
        if let Some(parcel) = stall.lock().unwrap().take() {
            world.free(&parcel);
        }
    }
    world.engine.thread_exit();
    world.agree();
    world
}

const OPERATIONS: u64 = if cfg!(debug_assertions) { 10_000 } else { 200_000 };

fn alone() -> MutexGuard<'static, ()> {
    ONE_TEST.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn threads_exchange_blocks_and_the_books_agree() {
    let _alone = alone();
    let world = run(Config::linux(1), 8, 4, OPERATIONS, |_| {});
    assert!(world.engine.counter(Counter::RemoteBatches) > 1000);
    assert!(world.engine.counter(Counter::HeapsReused) > 0);
    assert_eq!(world.engine.platform().refused.load(Relaxed), 0, "nothing was refused");
    let sim = &world.engine.platform().sim;
    assert!(sim.calls(Call::Spawn) > 0 && sim.purged_bytes() > 0, "the helper has given something back");
}

#[test]
fn also_many_short_threads() {
    let _alone = alone();
    let world = run(Config::linux(2), 150, 8, 200, |_| {});
    assert!(world.engine.counter(Counter::Heaps) <= 24, "{} heaps", world.engine.counter(Counter::Heaps));
}

#[test]
fn also_while_the_kernel_refuses_now_and_then() {
    let _alone = alone();
    let world = run(Config::linux(3), 9, 4, OPERATIONS / 2, |sim| {
        sim.fail(Call::Map, Fault::PerMille(300));
        sim.fail(Call::MoveBreak, Fault::PerMille(300));
        sim.fail(Call::Unmap, Fault::PerMille(300));
        sim.fail(Call::Purge, Fault::PerMille(300));
    });
    let sim = &world.engine.platform().sim;
    let refused = [Call::Map, Call::Unmap, Call::Purge].map(|call| sim.refused(call));
    assert!(refused[0] + refused[1] > 0 && refused[2] > 0, "maps, unmaps, purges refused: {refused:?}");
}

#[test]
fn all_that_another_thread_freed_serves_its_owner_again() {
    let _alone = alone();
    let builder = std::thread::Builder::new().stack_size(64 << 20);
    let world = builder.spawn(|| World::new(Config::linux(4))).unwrap().join().unwrap();
    WORLD.store((&raw const *world).cast_mut(), Relaxed);
    let engine = &world.engine;
    let mut random = Random::new(4);
    for bytes in [8, 16, 40, 100, 250, 1000, 1500, 4000, 5000, 9000, 40_000] {
        // Some pages of them: small blocks lie on pages of one slice, others on pages of eight.
        let count = if bytes <= 8192 { 300_000 } else { 3_000_000 } / bytes;
        let take = || (0..count).map(|_| engine.allocate(bytes).addr()).collect::<Vec<_>>();
        let mut blocks = take();
        let used = engine.counter(Counter::UsedSliceBytes);
        for round in 0..3 {
            assert!(blocks.iter().all(|&block| block != 0));
            (1..count).rev().for_each(|at| blocks.swap(at, random.below(at as u64 + 1) as usize));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // SAFETY: live blocks that nobody else has.
                    blocks.iter().for_each(|&block| unsafe { engine.free(block as *mut u8) });
                    engine.thread_exit();
                });
            });
            blocks = take();
            let now = engine.counter(Counter::UsedSliceBytes);
            assert!(now <= used, "{bytes} bytes, round {round}: {now} of {used} bytes in use");
        }
        world.rest();
        if let Err(violation) = engine.check_all() {
            panic!("{violation:x?}");
        }
    }
    engine.thread_exit();
}
