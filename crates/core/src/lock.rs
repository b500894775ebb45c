//! A lock that knows its holder, in one word.
//!
//! The holder's thread id is the lock word. That buys two things that a plain futex lock has not: a thread that asks for
//! a lock which it already holds is told so (a fork handler, a signal handler), and an inspector sees who is inside. A lock
//! whose holder vanished is not taken over: whether a thread lives cannot be told in every process that shares or copied
//! our memory, and two threads inside are worse than one that waits.

use crate::sync::{AtomicU32, Ordering, SPINS};

/// Somebody sleeps on the word.
const CONTENDED: u32 = 1 << 31;

/// How a thread sleeps; the kernel's futex in production, the model checker's in the models.
pub(crate) trait Parking {
    /// Sleeps while the word holds `expected`; may wake early.
    fn wait(&self, word: &AtomicU32, expected: u32);
    /// Wakes one sleeper.
    fn wake(&self, word: &AtomicU32, all: Wake);
}

/// Whom to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    One,
    All,
}

/// What [`Lock::acquire`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Entry {
    /// The lock was free and is ours; release it.
    Taken,
    /// This thread held it already; do not release it.
    Nested,
}

/// The lock: 0 = free, else the holder's thread id, with [`CONTENDED`].
#[repr(transparent)]
pub(crate) struct Lock(AtomicU32);

impl Lock {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Lock(AtomicU32::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Lock(AtomicU32::new(0))
    }

    /// Takes the lock for thread `me` (not 0).
    #[inline]
    pub(crate) fn acquire(&self, me: u32, parking: &impl Parking) -> Entry {
        debug_assert!(me != 0, "0 means that the lock is free");
        match self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Entry::Taken,
            Err(_) => self.acquire_slow(me, parking),
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, me: u32, parking: &impl Parking) -> Entry {
        for _ in 0..SPINS {
            // Most are held for less time than a system call takes.
            crate::sync::pause();
            if self.0.load(Ordering::Relaxed) == 0
                && self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return Entry::Taken;
            }
        }
        loop {
            let word = self.0.load(Ordering::Relaxed);
            let holder = word & !CONTENDED;
            if holder == me {
                return Entry::Nested;
            }
            if word == 0 {
                // Others may sleep beside us: the release has to wake them, so the bit goes in with us.
                if self.0.compare_exchange(0, me | CONTENDED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Entry::Taken;
                }
                continue;
            }
            let marked = word | CONTENDED;
            if word != marked && self.0.compare_exchange(word, marked, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            parking.wait(&self.0, marked);
        }
    }

    /// Gives the lock back. Only after [`Entry::Taken`].
    #[inline]
    pub(crate) fn release(&self, parking: &impl Parking) {
        if self.0.swap(0, Ordering::Release) & CONTENDED != 0 {
            parking.wake(&self.0, Wake::One);
        }
    }

    /// Renames the holder: for the child of a fork, where the thread has another id.
    pub(crate) fn rename(&self, me: u32) {
        self.0.store(me, Ordering::Release);
    }

    /// Frees the lock whoever holds it: for the child of a fork, where the other threads do not exist.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Release);
    }
}
