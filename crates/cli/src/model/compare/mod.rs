//! One program on several mallocs: what to run, what was measured, what follows from it. Pure.
//!
//! ```text
//!   names, --set ──► plan (cells) ──► runs ──► interval (median, 95 %) ──► judge (winner, trade-off, no difference)
//! ```

pub(crate) mod calls;
pub(crate) mod interval;
pub(crate) mod judge;
pub(crate) mod metric;
pub(crate) mod plan;
pub(crate) mod result;
