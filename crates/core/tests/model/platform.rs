//! The face that the model tests give the engine: a simulated kernel, and several threads that one OS thread plays in turn.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::Kernel;
use brkmap_sys::sim::Sim;

/// Threads that can exist at a time.
pub(crate) const SLOTS: usize = 6;

/// See the head of this file.
pub(crate) struct Stage {
    sim: Sim,
    /// The thread that is played now.
    slot: AtomicUsize,
    heaps: [AtomicPtr<Heap>; SLOTS],
    /// What libc does when a thread registers for its exit.
    pub(crate) registration: Mutex<Cell<Registration>>,
    /// Blocks that libc allocated for a registration: (slot, address).
    registered: Mutex<Vec<(usize, usize)>>,
    /// Requests answered with null.
    pub(crate) refusals: AtomicU64,
    engine: AtomicPtr<Engine<Stage>>,
    /// Helpers can be had. What they would do, the driver does.
    pub(crate) has_helper: AtomicBool,
}

/// What libc does when a thread registers for its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Allocates an entry, as glibc does, and will call.
    Allocates,
    /// Will call.
    Works,
    /// Cannot: the heap is left when the thread ends.
    Fails,
}

impl Stage {
    pub(crate) fn new(sim: Sim) -> Stage {
        Stage {
            sim,
            slot: AtomicUsize::new(0),
            heaps: std::array::from_fn(|_| AtomicPtr::new((&raw const EMPTY_HEAP).cast_mut())),
            registration: Mutex::new(Cell::new(Registration::Works)),
            registered: Mutex::new(Vec::new()),
            refusals: AtomicU64::new(0),
            engine: AtomicPtr::new(std::ptr::null_mut()),
            has_helper: AtomicBool::new(false),
        }
    }

    /// An engine on a stage of its own. It is large, so it is made where it stays.
    pub(crate) fn engine(sim: Sim) -> Box<Engine<Stage>> {
        let engine = Box::new(Engine::new(Stage::new(sim)));
        engine.platform().engine.store((&raw const *engine).cast_mut(), Relaxed);
        engine
    }

    /// From now on this thread is played.
    pub(crate) fn play(&self, slot: usize, thread: u32) {
        self.slot.store(slot, Relaxed);
        Sim::set_thread(thread);
    }

    /// The slot has a new thread, which has no heap yet.
    pub(crate) fn reset(&self, slot: usize) {
        self.heaps[slot].store((&raw const EMPTY_HEAP).cast_mut(), Relaxed);
    }

    /// Takes the entries that libc allocated since the last call.
    pub(crate) fn take_registered(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.registered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Platform for Stage {
    type Kernel = Sim;

    fn kernel(&self) -> &Sim {
        &self.sim
    }

    fn heap(&self) -> &'static Heap {
        // SAFETY: [heap-stays] what `set_heap` stored; the engine's heaps live as long as the simulated kernel
        unsafe { &*self.heaps[self.slot.load(Relaxed)].load(Relaxed) }
    }

    fn set_heap(&self, heap: &'static Heap) {
        self.heaps[self.slot.load(Relaxed)].store((&raw const *heap).cast_mut(), Relaxed);
    }

    fn at_thread_exit(&self) -> bool {
        let registration = self.registration.lock().unwrap_or_else(PoisonError::into_inner).get();
        if registration == Registration::Allocates {
            // SAFETY: the box that this stage lives in
            let engine = unsafe { &*self.engine.load(Relaxed) };
            let entry = engine.allocate_zeroed(1, 56);
            if !entry.is_null() {
                let slot = self.slot.load(Relaxed);
                self.registered.lock().unwrap_or_else(PoisonError::into_inner).push((slot, entry.addr()));
            }
        }
        registration != Registration::Fails
    }

    fn helper_entry(&self) -> Option<extern "C" fn()> {
        extern "C" fn played_by_the_driver() {}
        self.has_helper.load(Relaxed).then_some(played_by_the_driver)
    }

    fn no_memory(&self) {
        self.refusals.fetch_add(1, Relaxed);
    }

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        None
    }
}

/// Waits until no thread that stands in for a helper runs: at its end it says so in the engine.
pub(crate) fn wait_for_helpers(sim: &Sim) {
    while sim.spawned() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The thread id of the main thread is the process id.
pub(crate) fn main_thread(sim: &Sim) -> u32 {
    sim.process_id()
}
