//! The helper thread: it exists only while something waits to be given back.
//!
//! Cold paths count what became loose. When that exceeds the budget (an eighth of what is in use, at least 1 MiB) the
//! helper starts, sleeps a moment, looks over the heap (`idle`), and ends when nothing more waits or nothing gets idle.
//! It is a thread of the kernel's making, not of libc's: libc goes on to believe a single-threaded program to be one. It
//! blocks every signal, has a small stack and thread area of its own, allocates nothing and never moves the break (the
//! program may be in `sbrk`). Where it cannot be had (the call is refused, `background:off`), the same look happens now and
//! then in the threads that free.
//!
//! *[helper-once]* At most one helper: `state` says whether one is wanted, `alive` is cleared by the kernel when its last
//! one has left its stack.
//! *[no-lost-nudge]* Before it ends, the helper gives `state` up first and looks at the budget second; a thread counts
//! first and looks at `state` second. So what becomes loose while the helper ends is seen by one of them.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};

use brkmap_sys::{Kernel, Purpose};
use brkmap_wire::Counter;

use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::idle::{Effort, Found};
use crate::policy;

/// `state`: no helper.
const ABSENT: u32 = 0;
/// `state`: a helper runs, or is being started.
const RUNNING: u32 = 1;

/// Bytes of the helper's stack.
const STACK: usize = 32 << 10;
/// Times that `stop_helper` looks again, each 10 ms at most.
const STOP_WAITS: u32 = 100;
/// Nudges after which somebody looks whether the helper is still there.
const NUDGES_TO_MISS: u32 = 1024;
/// Looks in a row that find nothing to do, before the helper ends.
const QUIET_LOOKS: u32 = 2;
/// Looks after which the helper ends though something waits that never gets idle.
const MOST_LOOKS: u32 = 30;

/// The helper's part of the engine. All zero: none, allowed.
pub(crate) struct Helper {
    state: AtomicU32,
    /// Not 0 while a helper has its stack; cleared by the kernel.
    alive: AtomicU32,
    /// The helper sleeps on it; rung once, to end it.
    bell: AtomicU32,
    /// 1: never start one.
    forbidden: AtomicU32,
    /// The process it was started in.
    process: AtomicU32,
    /// Nudges since it was started; now and then one looks whether it is still there.
    ignored: AtomicU32,
    /// No new one before this time, in ms.
    not_before: AtomicU64,
    /// How long the next pause will be, in ms, if it finds nothing.
    pause: AtomicU64,
    /// Its memory; 0 = none yet.
    memory: AtomicUsize,
    memory_bytes: AtomicUsize,
    /// 1: the last look found more than the budget, so what is idle goes back until nothing waits.
    over: AtomicU32,
    /// Bytes of holes that were needed again since the last look.
    pub(crate) woken: AtomicUsize,
}

impl Helper {
    pub(crate) const fn new() -> Helper {
        Helper {
            state: AtomicU32::new(ABSENT),
            alive: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            forbidden: AtomicU32::new(0),
            process: AtomicU32::new(0),
            ignored: AtomicU32::new(0),
            not_before: AtomicU64::new(0),
            pause: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
            memory_bytes: AtomicUsize::new(0),
            over: AtomicU32::new(0),
            woken: AtomicUsize::new(0),
        }
    }

    /// Where its stack and thread area lie, and how long they are; 0 bytes before the first helper.
    pub(crate) fn stack(&self) -> (usize, usize) {
        (self.memory.load(Relaxed), self.memory_bytes.load(Relaxed))
    }

    /// In the child of a fork: the helper is not there.
    pub(crate) fn forget(&self) {
        self.alive.store(0, Relaxed);
        self.state.store(ABSENT, Relaxed);
    }
}

impl<P: Platform> Engine<P> {
    /// May a helper be started?
    pub fn set_background(&self, allowed: bool) {
        self.helper.forbidden.store(!allowed as u32, Relaxed);
    }

    /// Ends the helper, and waits until it is gone: before the code that it runs is unloaded. It is not started again.
    pub fn stop_helper(&self) {
        let helper = &self.helper;
        helper.forbidden.store(1, Relaxed);
        fence(SeqCst);
        helper.bell.store(1, Relaxed);
        self.kernel().wake(&helper.bell, 1);
        // A look takes some milliseconds; a helper that is not there any more (a bare fork) is not waited for.
        for _ in 0..STOP_WAITS {
            let alive = helper.alive.load(Acquire);
            if alive == 0 || helper.process.load(Relaxed) != self.kernel().process_id() {
                return;
            }
            self.kernel().wait_shared(&helper.alive, alive, 10);
        }
    }

    /// Is more loose than the budget allows?
    fn is_over_budget(&self) -> bool {
        let loose = self.loosened.load(Relaxed) * SLICE + self.dirty_hint.load(Relaxed) * SLICE;
        loose > policy::dirty_budget(self.counter(Counter::UsedSliceBytes) as usize)
    }

    /// Called where blocks were freed, outside all locks: starts the helper if enough waits.
    #[inline]
    pub(crate) fn nudge(&self) {
        if self.is_over_budget() {
            self.nudge_slow();
        }
    }

    #[cold]
    fn nudge_slow(&self) {
        fence(SeqCst);
        if self.helper.state.load(Relaxed) == RUNNING {
            return self.miss_helper();
        }
        if self.forking.load(Relaxed) != 0 {
            return;
        }
        let now = self.kernel().now_ms();
        if now < self.helper.not_before.load(Relaxed) || !self.can_return() {
            return;
        }
        if self.helper.state.compare_exchange(ABSENT, RUNNING, AcqRel, Relaxed).is_err() {
            return;
        }
        if self.helper.forbidden.load(Relaxed) == 0 && self.start_helper() {
            return;
        }
        // No helper: a look now, and none for a moment.
        let found = self.look();
        self.rest(now, found.returned != 0 || self.helper.over.load(Relaxed) != 0);
        self.helper.state.store(ABSENT, Release);
    }

    /// The helper is running, or was started in a process that this one was copied from (a bare fork), or by a child that
    /// shared our memory and is gone (vfork).
    fn miss_helper(&self) {
        if self.helper.ignored.fetch_add(1, Relaxed) % NUDGES_TO_MISS != NUDGES_TO_MISS - 1 {
            return;
        }
        if self.helper.process.load(Relaxed) != self.kernel().process_id() {
            self.helper.forget();
        }
    }

    fn start_helper(&self) -> bool {
        let Some(entry) = self.platform.helper_entry() else { return false };
        let kernel = self.kernel();
        // The last one may be leaving its stack; it has nothing left to wait for.
        let alive = self.helper.alive.load(Acquire);
        if alive != 0 {
            kernel.wait_shared(&self.helper.alive, alive, 10);
            if self.helper.alive.load(Acquire) != 0 {
                return false;
            }
        }
        self.helper.process.store(kernel.process_id(), Relaxed);
        self.helper.ignored.store(0, Relaxed);
        let thread_bytes = self.platform.thread_bytes();
        let bytes = (STACK + thread_bytes).next_multiple_of(self.os_page.load(Relaxed));
        if self.helper.memory_bytes.load(Relaxed) < bytes {
            let Some(memory) = kernel.map(0, bytes, Purpose::Metadata) else { return false };
            self.count(Counter::MapMetadata, 1);
            self.count(Counter::MapMetadataBytes, bytes as u64);
            self.helper.memory.store(memory.expose_provenance().get(), Relaxed);
            self.helper.memory_bytes.store(bytes, Relaxed);
        }
        let memory = core::ptr::with_exposed_provenance_mut(self.helper.memory.load(Relaxed));
        let Some(memory) = NonNull::new(memory) else { return false };
        // SAFETY: [helper-once] nobody uses the memory: the last helper has left it.
        unsafe { kernel.spawn(memory, bytes, thread_bytes, entry, &self.helper.alive) }
    }

    /// The helper's life. Runs on the thread that `start_helper` made, and there alone.
    pub fn help(&self) {
        self.platform.set_heap(&crate::heap::ENDED_HEAP);
        self.kernel().shed_rights();
        let (mut tick, mut quiet, mut looks, mut useful) = (policy::TICK_MS, 0, 0, false);
        loop {
            self.kernel().wait(&self.helper.bell, 0, self.pause_ms(tick) as u32);
            if self.helper.forbidden.load(Relaxed) != 0 || self.kernel().rights_changed() {
                return self.helper.state.store(ABSENT, Release);
            }
            let found = self.look();
            useful |= found.returned != 0;
            tick = policy::next_tick(tick, found.returned, self.helper.woken.swap(0, Relaxed));
            let goes_on = found.returned != 0 || self.helper.over.load(Relaxed) != 0;
            quiet = if goes_on { 0 } else { quiet + 1 };
            looks += 1;
            if quiet < QUIET_LOOKS && looks < MOST_LOOKS {
                continue;
            }
            self.rest(self.kernel().now_ms(), useful);
            // [no-lost-nudge]
            self.helper.state.store(ABSENT, Release);
            fence(SeqCst);
            let resting = self.kernel().now_ms() < self.helper.not_before.load(Relaxed);
            if resting
                || !self.is_over_budget()
                || self.helper.state.compare_exchange(ABSENT, RUNNING, AcqRel, Relaxed).is_err()
            {
                return;
            }
            (quiet, looks, useful) = (0, 0, false);
        }
    }

    /// One look over everything. What could go back is only counted until it is over the budget.
    fn look(&self) -> Found {
        self.loosened.store(0, Relaxed);
        let over = self.helper.over.load(Relaxed) != 0;
        let heaps = self.look_over(if over { Effort::Idle } else { Effort::Count });
        let store = self.look_at_store();
        let budget = policy::dirty_budget(self.counter(Counter::UsedSliceBytes) as usize);
        let found = Found { waiting: heaps.waiting + store.waiting, returned: heaps.returned + store.returned };
        let goes_on = found.waiting > budget || (over && heaps.waiting != 0);
        self.helper.over.store(goes_on as u32, Relaxed);
        found
    }

    /// Plans the pause after the helper: short after it was of use, longer each time it was not.
    fn rest(&self, now: u64, useful: bool) {
        let pause = policy::pause_after(self.helper.pause.load(Relaxed), useful);
        self.helper.pause.store(pause, Relaxed);
        self.helper.not_before.store(now + pause, Relaxed);
    }
}
