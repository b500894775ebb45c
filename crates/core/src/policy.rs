//! Which mechanism serves a request, how far a mechanism reaches out at once, and when memory goes back.
//!
//! Pure: numbers in, decisions out; no kernel, no state. The thresholds are glibc's and move as glibc's do, because
//! programs and people are tuned to them (glibc `malloc.c`, "dynamic threshold", 2006; `mallopt(3)`).

use crate::geometry::SLICE;

/// First mmap threshold, and first trim threshold.
pub const THRESHOLD_START: usize = 128 << 10;
/// The mmap threshold never moves above this by itself.
pub const THRESHOLD_MAX: usize = 32 << 20;
/// Bytes the break is moved further than needed (`M_TOP_PAD`).
pub const TOP_PAD_START: usize = 128 << 10;
/// Direct mappings at most (`M_MMAP_MAX`).
pub const MMAP_MAX_START: usize = 65_536;

/// Where a request that no page class serves goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A run of slices from the break or a region.
    Run,
    /// A mapping of its own.
    Mapping,
}

/// Decides the mechanism: at or above the threshold a mapping, while there may be more of them.
pub fn mechanism(bytes: usize, threshold: usize, mappings: usize, mappings_max: usize) -> Mechanism {
    if bytes >= threshold && mappings < mappings_max { Mechanism::Mapping } else { Mechanism::Run }
}

/// Bytes of the mapping that glibc makes for a request: with its header, in whole OS pages. The thresholds are compared
/// with this, so the next block of the same size lies below a threshold that its predecessor moved.
pub fn chunk(requested: usize, os_page: usize) -> usize {
    requested.saturating_add(16).checked_next_multiple_of(os_page).unwrap_or(usize::MAX)
}

/// A direct mapping whose [`chunk`] has `bytes` is freed: the new thresholds, if they move. A program that frees a mapped
/// block of a size will want such a block again; from the heap it comes without page faults. A chunk of exactly the most
/// leaves them alone: glibc compares the size together with the flag that marks a mapped chunk.
pub fn on_mapping_freed(bytes: usize, threshold: usize) -> Option<Thresholds> {
    (bytes > threshold && bytes < THRESHOLD_MAX).then_some(Thresholds { mmap: bytes, trim: 2 * bytes })
}

/// A pair of thresholds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Requests of at least this many bytes get a mapping.
    pub mmap: usize,
    /// More free bytes than this at the top of the break go back.
    pub trim: usize,
}

/// How far to move the break beyond a need of `need` bytes when the heap holds `held`: an eighth of the heap, between
/// the pad and 4 MiB, so a tiny process stays tiny and a growing one makes few calls.
pub fn break_step(need: usize, held: usize, top_pad: usize) -> usize {
    let ahead = (held / 8).clamp(0, 4 << 20).max(top_pad);
    need.saturating_add(ahead)
}

/// Bytes of a new region for a need of `need` bytes when regions hold `held`.
pub fn region_step(need: usize, held: usize) -> usize {
    const LEAST: usize = 1 << 20;
    const MOST: usize = 32 << 20;
    let ahead = (held / 2).clamp(LEAST, MOST);
    need.max(ahead).next_multiple_of(SLICE)
}

/// Free and possibly resident bytes that may be kept while `used` bytes are in use.
pub fn dirty_budget(used: usize) -> usize {
    (used / 8).max(1 << 20)
}

/// Bytes of freed direct mappings that may be kept while `live` bytes are in use.
pub fn kept_budget(live: usize) -> usize {
    (live / 8).max(128 << 20)
}

/// How long calls leave a heap alone after a look of theirs, where there is no helper, in ms.
pub fn pause_after(last: u64, useful: bool) -> u64 {
    const LEAST: u64 = 100;
    if useful { LEAST } else { (last * 2).clamp(4 * LEAST, 10_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_moves_as_glibc_moves_it() {
        let start = THRESHOLD_START;
        assert_eq!(mechanism(start - 1, start, 0, MMAP_MAX_START), Mechanism::Run);
        assert_eq!(mechanism(start, start, 0, MMAP_MAX_START), Mechanism::Mapping);
        assert_eq!(mechanism(start, start, 7, 7), Mechanism::Run);
        assert_eq!(on_mapping_freed(start, start), None);
        assert_eq!(
            on_mapping_freed(start + 4096, start),
            Some(Thresholds { mmap: start + 4096, trim: 2 * (start + 4096) })
        );
        assert_eq!(
            on_mapping_freed(THRESHOLD_MAX - 4096, start),
            Some(Thresholds { mmap: THRESHOLD_MAX - 4096, trim: 2 * (THRESHOLD_MAX - 4096) })
        );
        assert_eq!(on_mapping_freed(THRESHOLD_MAX, start), None);
        let moved = on_mapping_freed(chunk(8 << 20, 4096), start).unwrap();
        assert_eq!(mechanism(8 << 20, moved.mmap, 0, MMAP_MAX_START), Mechanism::Run);
    }

    #[test]
    fn a_tiny_process_stays_tiny() {
        assert!(break_step(SLICE, 0, TOP_PAD_START) < 1 << 20);
        assert!(break_step(SLICE, 1 << 30, TOP_PAD_START) <= 5 << 20);
        assert_eq!(break_step(usize::MAX, 0, 1), usize::MAX);
    }
}
