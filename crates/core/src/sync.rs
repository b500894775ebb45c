//! The atomics of the concurrency protocols, in one place so that a model checker can put its own here.

pub(crate) use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
