//! The atomics of the concurrency protocols, in one place so that a model checker can put its own here.

pub(crate) use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// Looks at a taken lock before a thread sleeps. (A model checker has its own: 0.)
pub(crate) const SPINS: u32 = 100;

/// Tells the processor that the thread spins.
pub(crate) fn pause() {
    core::hint::spin_loop();
}
