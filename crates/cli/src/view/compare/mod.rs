//! Reports of `brkmap compare`, as text or JSON. Pure.

pub(crate) mod json;
mod paste;
pub(crate) mod text;
mod words;

/// How the intervals come about and what "different" means, in one sentence each.
pub(crate) const INTERVALS: &str = "medians; 95 % intervals of order statistics";
pub(crate) const RULE: &str =
    "different: intervals do not overlap and medians are 2 % apart (and 1 ms, 256 KiB or 64 faults)";
