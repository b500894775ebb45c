//! A simulated kernel: deterministic, and failing on demand.
//!
//! ```text
//!   config   how this kernel is built: seed, page size, placement, honesty
//!   faults   which calls are refused, and the counts that prove it
//!   areas    the mappings, split and merged as the kernel does
//!   brk      the program break and who owns which part of it
//!   host     the real memory below it all
//! ```
//!
//! One [`Sim`] is one address space: a large reservation of the real one, of which nothing is accessible until it is
//! mapped. Mapped memory is real and zero; unmapped memory faults when it is touched. The same seed and the same calls
//! give the same addresses relative to the reservation, the same refusals and the same random bits.
//!
//! A call that breaks the contract of [`Kernel`](crate::Kernel) (unmapping what is not mapped, shrinking the break over
//! somebody else's memory) panics: it is a fault of the caller, not of this kernel.
//!
//! ```
//! use brkmap_sys::sim::{Call, Config, Fault, Sim};
//! use brkmap_sys::{Kernel, Purpose};
//!
//! let sim = Sim::new(Config { seed: 7, ..Config::default() });
//! sim.fail(Call::Map, Fault::Nth(2));
//! assert!(sim.map(0, 65536, Purpose::Region).is_some());
//! assert!(sim.map(0, 65536, Purpose::Region).is_none());
//! assert!(sim.map(0, 65536, Purpose::Region).is_some());
//! assert_eq!(sim.refused(Call::Map), 1);
//! ```

mod areas;
mod brk;
mod config;
mod control;
mod faults;
mod host;
mod kernel;

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use areas::Areas;
use brk::Break;
pub use config::{Config, Hints, Placement, Purging};
pub use faults::{Call, Fault};
use faults::{Faults, Random};
use host::Reservation;

/// How the message of the panic begins by which a simulated `abort` ends; the text written to fd 2 before follows.
pub const ABORTED: &str = "simulated abort: ";

/// A simulated kernel with one address space. Clones are handles of the same one; the last of them unmaps everything.
#[derive(Clone)]
pub struct Sim(Arc<Shared>);

struct Shared {
    config: Config,
    /// Spawned threads that have not left `entry`.
    spawned: AtomicU32,
    state: Mutex<State>,
}

/// Everything that changes.
struct State {
    memory: Reservation,
    areas: Areas,
    brk: Break,
    faults: Faults,
    /// Decides placement and what kind of failure a failing call shows.
    choices: Random,
    /// What the `random` call answers: apart, so that it does not depend on the calls before it.
    keys: Random,
    now_ms: u64,
    process: u32,
    dead: HashSet<u32>,
    errors: Vec<u8>,
    files: HashMap<CString, Vec<u8>>,
    /// A forked child maps what this process had then.
    shared: bool,
    /// Upper limit of mapped bytes (`RLIMIT_AS`) and of mappings (`vm.max_map_count`).
    byte_limit: usize,
    area_limit: usize,
    foreign: Option<Foreign>,
    purged: u64,
    /// OS pages for which huge pages were asked.
    huge: HashSet<usize>,
    /// OS pages of which none shall be made.
    never_huge: HashSet<usize>,
    /// Huge pages, by number, that were split; bytes that were purged in parts out of others.
    split: HashSet<usize>,
    stuck: usize,
}

/// Somebody else who uses the break too.
struct Foreign {
    every: u64,
    bytes: usize,
}

/// One mapping as `/proc/PID/maps` would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: usize,
    /// First address behind it.
    pub end: usize,
    /// What [`Kernel::name`](crate::Kernel::name) said.
    pub name: Option<&'static CStr>,
}

impl Sim {
    /// A kernel whose process has mapped nothing and never moved the break.
    ///
    /// # Panics
    /// If the configuration makes no sense, or the real kernel refuses the reservation.
    pub fn new(config: Config) -> Self {
        config.check();
        let mut choices = Random::new(config.seed);
        let memory = Reservation::new(config.space);
        // The break has the lower quarter, mappings the rest; between them a page that nobody gets.
        let middle = memory.start() + (config.space / 4).next_multiple_of(config.page_size);
        let brk =
            Break::new(memory.start() + config.page_size, middle - config.page_size, config.page_size, &mut choices);
        let top = config.space / 16 / config.page_size;
        let high = memory.start() + config.space - choices.below(top as u64) as usize * config.page_size;
        let areas = Areas::new(middle, high);
        let state = State {
            memory,
            areas,
            brk,
            faults: Faults::new(config.seed),
            choices,
            keys: Random::new(config.seed ^ 0x6B65_7973),
            now_ms: 1,
            process: 4242,
            dead: HashSet::new(),
            errors: Vec::new(),
            files: HashMap::new(),
            shared: false,
            byte_limit: usize::MAX,
            area_limit: 65_530,
            foreign: None,
            purged: 0,
            huge: HashSet::new(),
            never_huge: HashSet::new(),
            split: HashSet::new(),
            stuck: 0,
        };
        Sim(Arc::new(Shared { config, spawned: AtomicU32::new(0), state: Mutex::new(state) }))
    }

    /// How this kernel was built.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// A panic on the way (a breach of the contract, an abort) leaves the state whole, so a poisoned lock is no harm.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
