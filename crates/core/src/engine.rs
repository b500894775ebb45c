//! The engine value, its platform, and the few things that every part needs.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use brkmap_sys::Kernel;
use brkmap_wire::{COUNTERS, Counter, Root};

use crate::config::Settings;
use crate::heap::Heap;
use crate::helper::Helper;
use crate::ledger::Ledger;
use crate::lock::{Entry, Lock, Parking, Wake};
use crate::once::Once;
use crate::page_map::PageMap;
use crate::policy;
use crate::spans::Spans;
use crate::tuning::Knobs;

/// What a face gives the engine: a kernel, the thread word, the hook at thread exit, and where to publish.
pub trait Platform: Sync {
    /// The kernel of this platform.
    type Kernel: Kernel;

    /// The kernel.
    fn kernel(&self) -> &Self::Kernel;

    /// The calling thread's heap; [`EMPTY_HEAP`](crate::EMPTY_HEAP) before the first [`set_heap`](Platform::set_heap).
    fn heap(&self) -> &'static Heap;

    /// Sets the calling thread's heap.
    fn set_heap(&self, heap: &'static Heap);

    /// Asks that [`Engine::thread_exit`] runs when the calling thread ends. `false`: it will not, and the heap is recovered
    /// when somebody sees that the thread is gone. The faces cannot: libc's list of thread ends is behind the loader's
    /// lock, which `dlopen` holds while a constructor may wait for a thread that allocates.
    fn at_thread_exit(&self) -> bool {
        false
    }

    /// How many bytes below the thread pointer the code that the engine runs may touch (its thread word, errno): the
    /// helper thread gets that much of its own.
    fn thread_bytes(&self) -> usize {
        0
    }

    /// What the helper thread runs: a function that calls [`Engine::help`]. `None`: no helper on this platform.
    fn helper_entry(&self) -> Option<extern "C" fn()> {
        None
    }

    /// The engine is ready: the first allocation is about to be served. The faces register their fork handlers here.
    fn started(&self) {}

    /// A request is about to be answered with null: the C face sets errno here.
    fn no_memory(&self);

    /// Where this face publishes its root, and as whom ([`brkmap_wire::face`]).
    fn root(&self) -> Option<(&'static RootCell, u64)>;

    /// What the environment and the program ask for. Called once, by the first initialisation; must not allocate. Nothing,
    /// where the process has more rights than its caller (`AT_SECURE`).
    fn settings(&self) -> Settings {
        Settings::NONE
    }
}

/// The memory of a published root. It must lie in `.data`, where inspectors look, hence the magic from the start.
#[repr(transparent)]
pub struct RootCell(pub(crate) UnsafeCell<Root>);

// SAFETY: [root-once] written once, under the engine's first initialisation, then only read (from other processes).
unsafe impl Sync for RootCell {}

impl RootCell {
    /// A root that says: loaded, never called.
    pub const fn new() -> RootCell {
        RootCell(UnsafeCell::new(Root::EMPTY))
    }
}

impl Default for RootCell {
    fn default() -> Self {
        RootCell::new()
    }
}

/// Settings that may change while the program runs. 0 means "not set", so that an engine of zeros is valid.
pub(crate) struct Tunables {
    pub(crate) mmap_threshold: AtomicUsize,
    pub(crate) trim_threshold: AtomicUsize,
    pub(crate) top_pad: AtomicUsize,
    pub(crate) mmap_max: AtomicUsize,
    /// 1: the program set a threshold, so it no longer moves by itself.
    pub(crate) fixed: AtomicU32,
    /// All other options.
    pub(crate) knobs: Knobs,
}

/// A whole allocator.
pub struct Engine<P: Platform> {
    pub(crate) platform: P,
    pub(crate) map: PageMap,
    pub(crate) ready: Once,
    pub(crate) os_page: AtomicUsize,
    pub(crate) tunables: Tunables,
    pub(crate) counters: [AtomicU64; COUNTERS],
    /// What the policy did.
    pub(crate) ledger: Ledger,
    /// The span store: see `spans`.
    pub(crate) store_lock: Lock,
    pub(crate) spans: UnsafeCell<Spans>,
    /// The list of heaps, and the lock of threads that have none: see `threads`.
    pub(crate) stray_lock: Lock,
    pub(crate) heaps: AtomicPtr<Heap>,
    /// Heaps that are idle, about.
    pub(crate) idle: AtomicU32,
    /// The heap that became idle last.
    pub(crate) idle_hint: AtomicPtr<Heap>,
    /// Where the search for heaps of dead threads goes on.
    pub(crate) dead_cursor: AtomicPtr<Heap>,
    /// `M_PERTURB`; 0 = off.
    pub(crate) perturb: AtomicU32,
    /// 1: a shrinking `realloc` found no memory and left a block of a class where it was, so a size that is far too small
    /// for its block may be right from then on.
    pub(crate) kept_oversize: AtomicU32,
    /// Slices of pages that became loose (some blocks free) since the heap was last looked over: see `idle`.
    pub(crate) loosened: AtomicUsize,
    /// Free slices that may be resident, for a look without the lock.
    pub(crate) dirty_hint: AtomicUsize,
    /// The background helper: see `helper`.
    pub(crate) helper: Helper,
    /// The thread that is in `fork` and holds all locks; 0 = none.
    pub(crate) forking: AtomicU32,
    /// Which locks that thread held before `fork` began (it forks in a signal handler): bits of `fork::held`.
    pub(crate) fork_held: AtomicU32,
    /// In the child of a fork: blocks that threads which are not there may have left in a list and LIVE (`fork`).
    pub(crate) torn: AtomicU32,
}

// SAFETY: [store-lock] `spans` is touched under `store_lock` alone (see `with_spans`); the rest are atomics and locks.
unsafe impl<P: Platform> Sync for Engine<P> {}

/// How the engine's locks sleep.
pub(crate) struct Park<'a, K: Kernel>(pub(crate) &'a K);

/// A sleeper looks again after this long, whatever happens.
const PATIENCE_MS: u32 = 100;

impl<K: Kernel> Parking for Park<'_, K> {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        self.0.wait(word, expected, PATIENCE_MS);
    }

    fn wake(&self, word: &AtomicU32, all: Wake) {
        self.0.wake(word, if all == Wake::All { i32::MAX as u32 } else { 1 });
    }
}

impl<P: Platform> Engine<P> {
    /// An engine that has nothing yet.
    pub const fn new(platform: P) -> Self {
        Engine {
            platform,
            map: PageMap::new(),
            ready: Once::new(),
            os_page: AtomicUsize::new(0),
            tunables: Tunables {
                mmap_threshold: AtomicUsize::new(0),
                trim_threshold: AtomicUsize::new(0),
                top_pad: AtomicUsize::new(0),
                mmap_max: AtomicUsize::new(0),
                fixed: AtomicU32::new(0),
                knobs: Knobs::new(),
            },
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            ledger: Ledger::new(),
            store_lock: Lock::new(),
            spans: UnsafeCell::new(Spans::new()),
            stray_lock: Lock::new(),
            heaps: AtomicPtr::new(core::ptr::null_mut()),
            idle: AtomicU32::new(0),
            idle_hint: AtomicPtr::new(core::ptr::null_mut()),
            dead_cursor: AtomicPtr::new(core::ptr::null_mut()),
            perturb: AtomicU32::new(0),
            kept_oversize: AtomicU32::new(0),
            loosened: AtomicUsize::new(0),
            dirty_hint: AtomicUsize::new(0),
            helper: Helper::new(),
            forking: AtomicU32::new(0),
            fork_held: AtomicU32::new(0),
            torn: AtomicU32::new(0),
        }
    }

    /// The platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    pub(crate) fn kernel(&self) -> &P::Kernel {
        self.platform.kernel()
    }

    pub(crate) fn park(&self) -> Park<'_, P::Kernel> {
        Park(self.kernel())
    }

    /// Runs the first initialisation, once; every slow path begins here.
    pub(crate) fn start(&self) {
        if !self.ready.is_done() {
            self.ready.call(&self.park(), || {
                let unset = |cell: &AtomicUsize, value| {
                    if cell.load(Relaxed) == 0 {
                        cell.store(value, Relaxed);
                    }
                };
                self.os_page.store(self.kernel().page_size(), Relaxed);
                unset(&self.tunables.mmap_threshold, policy::THRESHOLD_START);
                unset(&self.tunables.trim_threshold, policy::THRESHOLD_START);
                unset(&self.tunables.top_pad, policy::TOP_PAD_START);
                unset(&self.tunables.mmap_max, policy::MMAP_MAX_START);
                self.apply(&self.platform.settings());
                self.publish();
            });
            self.platform.started();
        }
    }

    /// Bytes of an OS page.
    pub fn os_page(&self) -> usize {
        self.start();
        self.os_page.load(Relaxed)
    }

    pub(crate) fn count(&self, counter: Counter, by: u64) {
        self.counters[counter as usize].fetch_add(by, Relaxed);
    }

    pub(crate) fn uncount(&self, counter: Counter, by: u64) {
        self.counters[counter as usize].fetch_sub(by, Relaxed);
    }

    /// Adds to a counter that changes under the store's lock alone: no locked instruction.
    pub(crate) fn tally(&self, counter: Counter, by: isize) {
        let cell = &self.counters[counter as usize];
        cell.store(cell.load(Relaxed).wrapping_add_signed(by as i64), Relaxed);
    }

    /// A counter's value.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Relaxed)
    }

    /// The calling thread's id, from its heap where it has one.
    pub(crate) fn me(&self) -> u32 {
        let heap = self.own_heap();
        if heap.is_empty_heap() { self.kernel().thread_id() } else { heap.thread.load(Relaxed) }
    }

    /// Takes a lock; `false`: this thread holds it already, because it is in `fork`.
    pub(crate) fn enter(&self, lock: &Lock) -> bool {
        self.enter_as(self.me(), lock)
    }

    /// [`Engine::enter`] for a caller that knows its thread id.
    pub(crate) fn enter_as(&self, me: u32, lock: &Lock) -> bool {
        match lock.acquire(me, &self.park()) {
            Entry::Taken => true,
            Entry::Nested if self.forking.load(Relaxed) == me => false,
            Entry::Nested => self.die_reentered(),
        }
    }

    pub(crate) fn leave(&self, lock: &Lock, entered: bool) {
        if entered {
            lock.release(&self.park());
        }
    }

    /// Works on the span store.
    pub(crate) fn with_spans<R>(&self, work: impl FnOnce(&mut Spans) -> R) -> R {
        let entered = self.enter(&self.store_lock);
        // SAFETY: [store-lock] held by this thread; `work` never re-enters (it cannot reach this function: it gets the
        // store and calls only the kernel and the page map).
        let result = work(unsafe { &mut *self.spans.get() });
        self.leave(&self.store_lock, entered);
        result
    }

    /// Works on a heap's private fields between two consistent states. The caller owns the heap ([heap-owner]).
    pub(crate) fn with_gate<R>(&self, heap: &Heap, work: impl FnOnce() -> R) -> R {
        let entered = self.enter(&heap.gate);
        let result = work();
        self.leave(&heap.gate, entered);
        result
    }
}
