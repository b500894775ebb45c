//! The mappings of an address space: which ranges, how they merge and split, where there is room. Numbers only.

use std::collections::BTreeMap;
use std::ffi::CStr;

use super::faults::Random;
use super::{Mapping, Placement};

#[derive(Clone, Copy, PartialEq, Eq)]
struct Area {
    end: usize,
    name: Option<&'static CStr>,
}

/// Non-overlapping areas within `low..high`. Neighbours that touch and have the same name are one, as in the kernel.
pub(super) struct Areas {
    low: usize,
    high: usize,
    areas: BTreeMap<usize, Area>,
    bytes: usize,
}

impl Areas {
    pub(super) fn new(low: usize, high: usize) -> Self {
        Areas { low, high, areas: BTreeMap::new(), bytes: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.areas.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn list(&self) -> Vec<Mapping> {
        self.areas.iter().map(|(&start, area)| Mapping { start, end: area.end, name: area.name }).collect()
    }

    /// The area that the address lies in.
    fn around(&self, address: usize) -> Option<(usize, Area)> {
        let (&start, &area) = self.areas.range(..=address).next_back()?;
        (address < area.end).then_some((start, area))
    }

    /// Is all of the range mapped?
    pub(super) fn covers(&self, start: usize, end: usize) -> bool {
        let mut at = start;
        while at < end {
            let Some((_, area)) = self.around(at) else { return false };
            at = area.end;
        }
        true
    }

    /// Does one area hold the whole range?
    pub(super) fn is_single(&self, start: usize, end: usize) -> bool {
        self.around(start).is_some_and(|(_, area)| end <= area.end)
    }

    /// Is all of the range within the space and unmapped?
    pub(super) fn is_free(&self, start: usize, end: usize) -> bool {
        let overlaps = self.areas.range(..end).next_back().is_some_and(|(_, area)| area.end > start);
        self.low <= start && start < end && end <= self.high && !overlaps
    }

    /// How many areas more there are when the range is cut out of (or labelled within) what is mapped.
    pub(super) fn splits(&self, start: usize, end: usize) -> usize {
        let cuts = |at: usize| usize::from(self.around(at).is_some_and(|(first, _)| first < at));
        cuts(start) + cuts(end)
    }

    /// Adds a free range, with the name of `like`'s area, if one is given.
    pub(super) fn insert(&mut self, start: usize, end: usize, like: Option<usize>) {
        debug_assert!(self.is_free(start, end));
        let name = like.and_then(|address| self.around(address)).and_then(|(_, area)| area.name);
        self.areas.insert(start, Area { end, name });
        self.bytes += end - start;
        self.merge(start);
        self.merge(end);
    }

    /// Takes a covered range out.
    pub(super) fn remove(&mut self, start: usize, end: usize) {
        self.split(start);
        self.split(end);
        self.areas.retain(|&first, _| first < start || first >= end);
        self.bytes -= end - start;
    }

    /// Labels a covered range.
    pub(super) fn rename(&mut self, start: usize, end: usize, name: &'static CStr) {
        self.split(start);
        self.split(end);
        for (_, area) in self.areas.range_mut(start..end) {
            area.name = Some(name);
        }
        let inside: Vec<usize> = self.areas.range(start..=end).map(|(&first, _)| first).collect();
        for border in inside {
            self.merge(border);
        }
    }

    fn split(&mut self, at: usize) {
        if let Some((first, area)) = self.around(at).filter(|&(first, _)| first < at) {
            self.areas.insert(first, Area { end: at, ..area });
            self.areas.insert(at, area);
        }
    }

    /// Joins the areas that meet at this address, if they are alike.
    fn merge(&mut self, at: usize) {
        let Some((&first, &left)) = self.areas.range(..at).next_back() else { return };
        let Some(&right) = self.areas.get(&at) else { return };
        if left.end == at && left.name == right.name {
            self.areas.remove(&at);
            self.areas.insert(first, right);
        }
    }

    /// Chooses a free place for `len` bytes.
    pub(super) fn place(&self, len: usize, page: usize, placement: Placement, random: &mut Random) -> Option<usize> {
        match placement {
            Placement::TopDown => self.highest(len),
            Placement::Holes => {
                let hole = random.below(4) as usize * page;
                match self.highest(len + hole) {
                    Some(start) => Some(start),
                    None => self.highest(len),
                }
            }
            Placement::Scattered => {
                let pages = (self.high - self.low).checked_sub(len)? / page;
                for _ in 0..16 {
                    let start = self.low + random.below(pages as u64 + 1) as usize * page;
                    if self.is_free(start, start + len) {
                        return Some(start);
                    }
                }
                self.highest(len)
            }
        }
    }

    /// The start of the highest free range of this length.
    fn highest(&self, len: usize) -> Option<usize> {
        let mut end = self.high;
        for (&start, area) in self.areas.iter().rev() {
            if end - area.end >= len {
                return Some(end - len);
            }
            end = start;
        }
        (end - self.low >= len).then(|| end - len)
    }
}
