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
use brkmap_wire::{Counter, Rule};

use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::idle::Effort;
use crate::kept::Which;
use crate::patience::{self, Outcome};
use crate::policy;
use crate::shared;

/// `state`: no helper.
const ABSENT: u32 = 0;
/// `state`: a helper runs, or is being started.
const RUNNING: u32 = 1;

/// Bytes of the helper's stack.
const STACK: usize = 32 << 10;
/// Times that `stop_helper` looks again, each 10 ms at most.
const STOP_WAITS: u32 = 100;
/// Times that the next one waits for the last one to leave its stack, each 10 ms at most: on a busy machine it may have been
/// interrupted on its way out.
const LEAVE_WAITS: u32 = 10;
/// Nudges after which somebody looks whether the helper is still there.
const NUDGES_TO_MISS: u32 = 1024;
/// Looks in a row that find nothing to do, before the helper ends.
const QUIET_LOOKS: u32 = 2;
/// Looks in a row that return nothing, after which the helper ends though something waits, if the program does nothing.
const MOST_VAIN_LOOKS: u32 = 30;
/// How long none is started then, in ms.
const HOPELESS_MS: u64 = 10_000;

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
    /// 1: the last one could not be started.
    refused: AtomicU32,
    /// No look before this time, in ms: a helper that starts earlier sleeps until then.
    not_before: AtomicU64,
    /// How long calls leave the heap alone after a vain look of theirs, in ms.
    pause: AtomicU64,
    /// Its memory; 0 = none yet.
    memory: AtomicUsize,
    memory_bytes: AtomicUsize,
    /// 1: the last look found more than the budget, so what is idle goes back until nothing waits.
    over: AtomicU32,
    /// Slices that were loose at the last look and still are: a part of `loosened`.
    pub(crate) carried: AtomicUsize,
    /// Bytes that went back and were needed again since the last look.
    pub(crate) woken: AtomicUsize,
}

impl Helper {
    pub(crate) const fn new() -> Helper {
        Helper {
            state: AtomicU32::new(ABSENT),
            alive: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            forbidden: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            process: AtomicU32::new(0),
            ignored: AtomicU32::new(0),
            not_before: AtomicU64::new(0),
            pause: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
            memory_bytes: AtomicUsize::new(0),
            over: AtomicU32::new(0),
            carried: AtomicUsize::new(0),
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
        if helper.alive.load(Acquire) != 0 {
            self.kernel().wake(&helper.bell, 1);
        }
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
        if self.counter(Counter::KeptLiveBytes) != 0 {
            return true;
        }
        let loose = self.loosened.load(Relaxed) * SLICE + self.dirty_hint.load(Relaxed) * SLICE;
        loose > self.dirty_budget(self.in_use())
    }

    /// Bytes of slices in use, without the holes of their pages.
    pub(crate) fn in_use(&self) -> usize {
        (self.counter(Counter::UsedSliceBytes) as usize).saturating_sub(self.asleep.load(Relaxed))
    }

    /// Can what is left for later be expected to go back, whatever the program does?
    pub(crate) fn has_helper(&self) -> bool {
        self.helper.forbidden.load(Relaxed) | self.helper.refused.load(Relaxed) == 0 && self.can_return()
    }

    /// A look as the helper takes it, by the calling thread, outside all locks: for tests that play the helper.
    pub fn look_once(&self) {
        self.start();
        if self.can_return() {
            self.look();
        }
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
        let alone = self.helper.forbidden.load(Relaxed) != 0 || self.helper.refused.load(Relaxed) != 0;
        let now = if alone { self.kernel().now_ms() } else { 0 };
        // The rest is the helper's first sleep. Who has none waits for a later call.
        let resting = alone && now < self.helper.not_before.load(Relaxed) && self.counter(Counter::KeptLiveBytes) == 0;
        if resting || !self.can_return() {
            return;
        }
        if self.helper.state.compare_exchange(ABSENT, RUNNING, AcqRel, Relaxed).is_err() {
            return;
        }
        if self.helper.forbidden.load(Relaxed) == 0 && self.start_helper() {
            return;
        }
        // No helper: a look now, and none for a moment. What only a helper would come back to goes.
        let now = if alone { now } else { self.kernel().now_ms() };
        self.with_spans(|spans| self.release_kept(spans, Which::All));
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

    /// Memory became short: the helper comes at once, if there can be one. Inside the store's lock, too.
    pub(crate) fn call_helper(&self) {
        let helper = &self.helper;
        helper.not_before.store(0, Relaxed);
        if self.forking.load(Relaxed) != 0 || helper.forbidden.load(Relaxed) != 0 || !self.can_return() {
            return;
        }
        if helper.state.compare_exchange(ABSENT, RUNNING, AcqRel, Relaxed).is_err() {
            // It may be asleep for long.
            return self.kernel().wake(&helper.bell, 1);
        }
        if !self.start_helper() {
            helper.state.store(ABSENT, Release);
        }
    }

    fn start_helper(&self) -> bool {
        let Some(entry) = self.platform.helper_entry() else {
            self.helper.refused.store(1, Relaxed);
            return false;
        };
        let kernel = self.kernel();
        // The last one may be leaving its stack; it has nothing left to wait for.
        for _ in 0..LEAVE_WAITS {
            match self.helper.alive.load(Acquire) {
                0 => break,
                alive => kernel.wait_shared(&self.helper.alive, alive, 10),
            }
        }
        if self.helper.alive.load(Acquire) != 0 {
            return false;
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
        let started = unsafe { kernel.spawn(memory, bytes, thread_bytes, entry, &self.helper.alive) };
        self.helper.refused.store(!started as u32, Relaxed);
        started
    }

    /// The helper's life. Runs on the thread that `start_helper` made, and there alone.
    pub fn help(&self) {
        self.platform.set_heap(&crate::heap::ENDED_HEAP);
        self.kernel().shed_rights();
        self.with_spans(|spans| spans.patience.begin());
        let (mut pause, mut quiet, mut looks) = (patience::SHORTEST_MS, 0, 0);
        loop {
            self.kernel().wait(&self.helper.bell, 0, self.pause_ms(pause).max(self.rest_left(looks)) as u32);
            if self.helper.forbidden.load(Relaxed) != 0 || self.kernel().rights_changed() {
                return self.helper.state.store(ABSENT, Release);
            }
            let look = self.look();
            looks += 1;
            pause = look.pause_ms;
            let waits = look.returned != 0 || self.helper.over.load(Relaxed) != 0;
            quiet = if waits { 0 } else { quiet + 1 };
            let hopeless = look.vain >= MOST_VAIN_LOOKS && !look.busy;
            if quiet < QUIET_LOOKS && !hopeless {
                continue;
            }
            if hopeless {
                self.helper.not_before.store(self.kernel().now_ms() + HOPELESS_MS, Relaxed);
            }
            // [no-lost-nudge]
            self.helper.state.store(ABSENT, Release);
            fence(SeqCst);
            if hopeless
                || !self.is_over_budget()
                || self.helper.state.compare_exchange(ABSENT, RUNNING, AcqRel, Relaxed).is_err()
            {
                return;
            }
            quiet = 0;
        }
    }

    /// Does a helper run?
    pub(crate) fn helper_runs(&self) -> bool {
        self.helper.state.load(Relaxed) == RUNNING
    }

    /// One look over everything. What could go back is only counted until it is over the budget; then it goes when it is
    /// idle, or at once where live memory dropped.
    fn look(&self) -> Look {
        self.look_around();
        let helper = &self.helper;
        if let Some(returned) =
            self.with_spans(|spans| self.is_held(spans).then(|| self.release_kept(spans, Which::Idle)))
        {
            helper.over.store(1, Relaxed);
            return Look { returned, busy: true, vain: 0, pause_ms: shared::PAUSE_MS };
        }
        let regretted = helper.woken.swap(0, Relaxed);
        let busy = self.was_used();
        // A program that does nothing needs no budget.
        let over = helper.over.load(Relaxed) != 0 || !busy || self.is_tight();
        let mut found = self.look_over(if over { Effort::Idle } else { Effort::Count });
        let in_heaps = found.waiting;
        let used = self.in_use();
        let budget = self.dirty_budget(used);
        found.add(self.look_at_store(budget, busy));
        let live = used.saturating_sub(in_heaps) + self.counter(Counter::DirectLiveBytes) as usize;
        let mut goes_on = found.waiting > budget || over && in_heaps != 0;
        let dropped = found.waiting > budget && patience::is_drop(found.waiting, live);
        if dropped && self.with_spans(|spans| spans.patience.at_once()) {
            found.add(self.look_over(Effort::Now));
            found.returned += self.with_spans(|spans| self.purge_dirty(spans, 0, Rule::Idle));
            // What was in use for allocation shows up at the next look.
            goes_on = true;
        } else {
            // It waits on, so it counts with what becomes loose from now on.
            helper.carried.store(in_heaps / SLICE, Relaxed);
            self.loosened.fetch_add(in_heaps / SLICE, Relaxed);
        }
        goes_on |= self.counter(Counter::KeptLiveBytes) != 0;
        helper.over.store(goes_on as u32, Relaxed);
        let outcome = Outcome { returned: found.returned, regretted, blocks: found.blocks };
        self.with_spans(|spans| {
            spans.patience.learn(outcome);
            Look {
                returned: found.returned,
                busy,
                vain: spans.patience.fruitless(),
                pause_ms: spans.patience.pause_ms(outcome),
            }
        })
    }

    /// Before its first look a helper sleeps as long as the last one wished the heap to be left alone.
    fn rest_left(&self, looks: u32) -> u64 {
        let until = if looks == 0 { self.helper.not_before.load(Relaxed) } else { 0 };
        if until == 0 { 0 } else { until.saturating_sub(self.kernel().now_ms()) }
    }

    /// Plans the next look of calls, where there is no helper: soon after one that was of use, later each time it was not.
    fn rest(&self, now: u64, useful: bool) {
        let pause = self.pause_limit(policy::pause_after(self.helper.pause.load(Relaxed), useful));
        self.helper.pause.store(pause, Relaxed);
        self.helper.not_before.store(now + pause, Relaxed);
    }
}

/// What a look came to.
struct Look {
    /// Bytes that went back.
    returned: usize,
    /// The program used the heap since the last look.
    busy: bool,
    /// Looks in a row that returned nothing.
    vain: u32,
    /// The pause before the next one.
    pause_ms: u64,
}
