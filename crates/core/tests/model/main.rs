//! The model test: random programs on simulated kernels that fail, compared with a shadow of the heap.
//!
//! `BRKMAP_MODEL_OPS` is the number of operations in all, `BRKMAP_MODEL_SEED` the first seed, `BRKMAP_MODEL_JOBS` the number
//! of processes that share the seeds (as many as there are processors). A failure prints its seed, and with it alone it happens again;
//! `BRKMAP_MODEL_TRACE=1` then says every operation. Addresses, faults, threads and time follow from the seed. A long run
//! says every ten seconds how far it is.

mod actors;
mod blocks;
mod driver;
mod jobs;
mod keeps;
mod plan;
mod platform;
mod random;
mod shadow;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use brkmap_sys::Kernel;
use brkmap_sys::linux::Linux;
use brkmap_sys::sim::Call;
use driver::{Driver, Tally};
use jobs::Progress;

/// Operations of a seed.
const RUN: u64 = 20_000;
/// Seeds that meet everything there is to meet.
const ENOUGH: u64 = 200;

static SEED: AtomicU64 = AtomicU64::new(0);
static OPERATION: AtomicU64 = AtomicU64::new(0);

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name}={text}: a number is expected")),
        Err(_) => default,
    }
}

/// Says how to see the failure again.
fn say_where() {
    let (seed, operation) = (SEED.load(Relaxed), OPERATION.load(Relaxed));
    let line = format!(
        "model: failed at seed {seed} operation {operation}; BRKMAP_MODEL_SEED={seed} BRKMAP_MODEL_OPS={RUN} shows it again\n"
    );
    Linux.write_error(line.as_bytes());
}

/// Touching what the engine has unmapped ends the process: say where first.
extern "C" fn on_fault(signal_number: i32) {
    say_where();
    // SAFETY: SIG_DFL; the fault happens again when the handler returns
    unsafe { signal(signal_number, 0) };
}

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

struct SayIfPanicking;

impl Drop for SayIfPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say_where();
        }
    }
}

/// What the runs met, so that a test that no longer reaches something is noticed.
#[derive(Default)]
struct Reach {
    tally: Tally,
    refused: [u64; 6],
    adopted: u64,
    reused: u64,
    shrinks: u64,
}

const CALLS: [Call; 6] = [Call::Map, Call::Unmap, Call::Remap, Call::Purge, Call::ProgramBreak, Call::MoveBreak];

impl Reach {
    fn add(&mut self, driver: &Driver) {
        use brkmap_wire::Counter;
        let (all, one) = (&mut self.tally, &driver.tally);
        all.allocated += one.allocated;
        all.refused += one.refused;
        all.grown_in_place += one.grown_in_place;
        all.moved += one.moved;
        all.exits += one.exits;
        all.deaths += one.deaths;
        all.forks += one.forks;
        all.checks += one.checks;
        all.misuses += one.misuses;
        for (sum, call) in self.refused.iter_mut().zip(CALLS) {
            *sum += driver.sim.refused(call);
        }
        self.adopted += driver.engine.counter(Counter::PagesAdopted);
        self.reused += driver.engine.counter(Counter::HeapsReused);
        self.shrinks += driver.engine.counter(Counter::BreakShrink);
    }

    fn expect_all(&self) {
        println!("{:?}, refused calls {CALLS:?} {:?}", self.tally, self.refused);
        println!("pages adopted {}, heaps reused {}, break shrunk {}", self.adopted, self.reused, self.shrinks);
        let tally = &self.tally;
        let met = [tally.refused, tally.grown_in_place, tally.moved, tally.exits, tally.deaths, tally.forks];
        assert!(met.iter().all(|&count| count > 0), "something never happened: {tally:?}");
        assert!(self.refused.iter().all(|&count| count > 0), "a kind of call was never refused: {:?}", self.refused);
        assert!(self.adopted > 0 && self.reused > 0 && self.shrinks > 0);
    }
}

#[test]
fn the_heap_is_what_the_model_says() {
    let operations = number("BRKMAP_MODEL_OPS", if cfg!(debug_assertions) { 400_000 } else { 10_000_000 });
    let first = number("BRKMAP_MODEL_SEED", 1);
    let seeds = operations.div_ceil(RUN);
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let jobs = number("BRKMAP_MODEL_JOBS", processors).clamp(1, (seeds / ENOUGH).max(1));
    if jobs > 1 {
        return jobs::share(first, seeds, jobs);
    }
    on_large_stack(move || run_all(first, seeds));
}

/// An engine is built on the stack before it moves to its box.
/// One at a time: where a run is stands in statics.
fn on_large_stack(run: impl FnOnce() + Send + 'static) {
    static RUNNING: Mutex<()> = Mutex::new(());
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the handler makes system calls and formats a line; the process ends after it
    unsafe { signal(11, on_fault as *const () as usize) };
    let runs = std::thread::Builder::new().stack_size(64 << 20).spawn(run);
    runs.expect("a thread").join().expect("the model holds");
}

/// All operations of a seed.
fn run_seed(seed: u64, mut driver: Driver) -> Driver {
    SEED.store(seed, Relaxed);
    for operation in 0..RUN {
        OPERATION.store(operation, Relaxed);
        driver.step();
    }
    OPERATION.store(RUN, Relaxed);
    driver.finish();
    driver
}

fn run_all(first: u64, seeds: u64) {
    let _say = SayIfPanicking;
    quiet_about_misuse();
    let mut reach = Reach::default();
    let mut progress = Progress::new(seeds);
    for seed in first..first + seeds {
        let driver = run_seed(seed, Driver::new(seed));
        reach.add(&driver);
        progress.one_more();
    }
    if seeds >= ENOUGH {
        reach.expect_all();
    }
    println!("seeds {first} to {}, {} operations: 0 differences", first + seeds - 1, seeds * RUN);
}

fn quiet_about_misuse() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        // The misuse at the end of each run is meant.
        if !text.starts_with(brkmap_sys::sim::ABORTED) || OPERATION.load(Relaxed) < RUN {
            eprintln!("{info}");
        }
    }));
}
