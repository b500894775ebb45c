//! Blocks with a mapping of their own. The kernel joins neighbouring mappings, so each begins at some OS page of one; its
//! first two words are nothing and its size with the bit that says "mapped".

use super::layout::IS_MAPPED;
use super::source::Source;
use super::{Glibc, Mapped};
use crate::proc::residency::{OS_PAGE, Stretch};
use crate::proc::smaps::Mapping;

/// OS pages that are looked at together at most.
const BATCH: usize = 512;

/// Finds the blocks, and enters them with their mappings. `more` is the layout's difference between both sizes.
pub(super) fn read(source: &mut Source<'_>, more: u64, glibc: &mut Glibc) {
    if glibc.parameters.is_some_and(|parameters| parameters.mapped_blocks == 0) {
        return;
    }
    let claimed = glibc.ranges.clone();
    for (index, mapping) in source.mappings.iter().enumerate() {
        let is_anonymous = mapping.inode == 0 && (mapping.name.is_empty() || mapping.name.starts_with("[anon"));
        if !is_anonymous || !mapping.writable || !mapping.readable || !mapping.private || mapping.rss == 0 {
            continue;
        }
        for (start, end) in free_parts(mapping, &claimed) {
            part(source, index, (start, end), more, glibc);
        }
    }
}

/// What of a mapping is not an arena's.
fn free_parts(mapping: &Mapping, claimed: &[(u64, u64, usize)]) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    let mut at = mapping.start;
    let first = claimed.partition_point(|range| range.1 <= mapping.start);
    for range in claimed[first..].iter().take_while(|range| range.0 < mapping.end) {
        if range.0 > at {
            parts.push((at, range.0));
        }
        at = at.max(range.1.next_multiple_of(OS_PAGE));
    }
    if at < mapping.end {
        parts.push((at, mapping.end));
    }
    parts
}

fn part(source: &mut Source<'_>, index: usize, (start, end): (u64, u64), more: u64, glibc: &mut Glibc) {
    let mut at = start;
    let mut batch = 1;
    while at < end {
        let pages: Vec<u64> = resident_pages(source, at, end).take(batch).collect();
        let Some(&last) = pages.last() else { return };
        let heads = source.heads(&pages);
        let is_block = |&(page, (nothing, word)): &(u64, (u64, u64))| {
            let size = (word & !7).saturating_add(more);
            nothing == 0 && word & 7 == IS_MAPPED && size > more && size.is_multiple_of(OS_PAGE) && size <= end - page
        };
        match pages.into_iter().zip(heads).find(is_block) {
            Some((page, (_, word))) => {
                let size = (word & !7) + more;
                let resident = source.residency.resident(page, page + size);
                let Mapped { blocks, bytes, resident: sum } = &mut glibc.mapped;
                (*blocks, *bytes, *sum) = (*blocks + 1, *bytes + size, *sum + resident);
                glibc.explained[index] += resident;
                glibc.blocks.push((page, page + size));
                if let Some(occupancy) = &mut glibc.occupancy {
                    for stretch in source.residency.within(page, page + size).filter(Stretch::is_resident) {
                        occupancy.add(stretch.start, stretch.end);
                    }
                }
                at = page + size;
                batch = 1;
            }
            None => {
                at = last + OS_PAGE;
                batch = (batch * 2).min(BATCH);
            }
        }
    }
}

fn resident_pages<'s>(source: &'s Source<'_>, start: u64, end: u64) -> impl Iterator<Item = u64> + 's {
    let residency = source.residency;
    residency.within(start, end).flat_map(|stretch| (stretch.start..stretch.end).step_by(OS_PAGE as usize))
}
