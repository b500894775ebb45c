//! What threads keep for themselves ("tcache"): blocks that the program freed and that malloc counts as in use. Each
//! thread's lists begin in a chunk of a size of its own, which is recognised by its contents.

use super::layout::{Counts, HEADER, LEAST, Layout, NOT_MAIN};
use super::source::Source;
use super::{Found, Glibc};
use crate::heap::brkmap::number;
use std::collections::HashSet;

/// Lists of sizes of 16-byte steps; behind them larger ones by their logarithm.
const SMALL_LISTS: u64 = 64;
/// Chunks that are looked at closely, and blocks on all their lists.
const MOST: usize = 1 << 16;
const MOST_BLOCKS: usize = 1 << 22;

/// Heads of the lists of a cache: number of the list, first block.
fn heads(layout: &Layout, bytes: &[u8]) -> Vec<(u64, u64)> {
    let head = |list: u64| number(bytes, (layout.cache_heads() + list * 8) as usize, 8);
    (0..layout.cache_lists).map(|list| (list, head(list))).filter(|(_, head)| *head != 0).collect()
}

fn count(bytes: &[u8], list: u64) -> u64 {
    number(bytes, (list * 2) as usize, 2)
}

/// Whether the contents of a chunk look like a cache that holds something.
pub(super) fn may_be_one(source: &mut Source<'_>, layout: &Layout, chunk: u64) -> bool {
    let bytes = (layout.cache_chunk() - HEADER) as usize;
    let Some(contents) = source.slice(chunk + HEADER, bytes) else { return false };
    let heads = heads(layout, contents);
    if heads.is_empty() || heads.iter().any(|(_, head)| !head.is_multiple_of(16) || *head >> 47 != 0) {
        return false;
    }
    match layout.cache_counts {
        Counts::Held => {
            let filled: HashSet<u64> = heads.iter().map(|(list, _)| *list).collect();
            (0..layout.cache_lists).all(|list| (count(contents, list) > 0) == filled.contains(&list))
        }
        // An empty list has the most room; so no list has more than any empty one.
        Counts::Room => (0..layout.cache_lists).any(|list| count(contents, list) > 0),
    }
}

/// Follows the lists of all candidates and takes their blocks from the live ones.
pub(super) fn take(source: &mut Source<'_>, found: &Found, candidates: &[u64], glibc: &mut Glibc) {
    source.refresh();
    let mut seen = HashSet::new();
    let mut room = MOST_BLOCKS;
    for &chunk in candidates.iter().take(MOST) {
        let Some(blocks) = blocks(source, found, chunk, glibc, &mut room) else { continue };
        glibc.caches += 1;
        for (at, size) in blocks {
            let index = glibc.ranges.partition_point(|range| range.1 <= at);
            let Some(&(_, _, arena)) = glibc.ranges.get(index).filter(|range| range.0 <= at) else { continue };
            if !seen.insert(at) {
                continue;
            }
            let resident = source.residency.resident(at, at + size);
            let figures = &mut glibc.arenas[arena].figures;
            let header = figures.headers.min(8).min(resident);
            let taken = (resident - header).min(figures.live);
            figures.live -= taken;
            figures.headers -= header;
            figures.caches += taken + header;
            figures.live_blocks = figures.live_blocks.saturating_sub(1);
            figures.cached_blocks += 1;
            if let Some(occupancy) = &mut glibc.occupancy {
                occupancy.remove(at, at + size);
            }
        }
    }
}

/// Chunks in the lists of a cache, with their sizes. `None` if it is no cache, or changed too much while it was read.
fn blocks(
    source: &mut Source<'_>,
    found: &Found,
    chunk: u64,
    glibc: &Glibc,
    room: &mut usize,
) -> Option<Vec<(u64, u64)>> {
    let layout = found.layout;
    let contents = source.slice(chunk + HEADER, (layout.cache_chunk() - HEADER) as usize)?.to_vec();
    let most = found.parameters.map_or(u64::from(u16::MAX), |parameters| parameters.cache_count.max(16));
    let mut all = Vec::new();
    for (list, head) in heads(layout, &contents) {
        let mut block = head;
        let mut length = 0;
        while block != 0 && length < most {
            *room = room.checked_sub(1)?;
            let at = block.checked_sub(HEADER).filter(|at| at.is_multiple_of(16))?;
            let (word, raw) = source.pair(at + 8)?;
            let size = word & !7;
            let fits = if list < SMALL_LISTS { size == LEAST + list * 16 } else { size >= LEAST + SMALL_LISTS * 16 };
            let index = glibc.ranges.partition_point(|range| range.1 <= at);
            let range = glibc.ranges.get(index).filter(|range| range.0 <= at && size <= range.1 - at)?;
            if !fits || (glibc.arenas[range.2].is_main && word & NOT_MAIN != 0) {
                return None;
            }
            all.push((at, size));
            length += 1;
            block = layout.link(block, raw);
        }
        if layout.cache_counts == Counts::Held && length != count(&contents, list) {
            // One more or less: the thread is at work. More than that: it is something else.
            if length.abs_diff(count(&contents, list)) > 2 {
                return None;
            }
        }
    }
    Some(all)
}
