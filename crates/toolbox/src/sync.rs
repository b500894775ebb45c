//! The atomics of the protocol files, which `crates/models` compiles with the model checker's.

pub(crate) use core::sync::atomic::{AtomicU64, Ordering};
