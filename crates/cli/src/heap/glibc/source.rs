//! Memory of the other process: a window for walks, a few OS pages for lists. Only OS pages with contents are read, so
//! that looking makes nothing resident.

use crate::heap::Memory;
use crate::proc::residency::{OS_PAGE, Residency};
use crate::proc::smaps::Mapping;

/// Bytes of the window, at most and at least.
const WINDOW: u64 = 256 << 10;
const LEAST_WINDOW: u64 = 4 << 10;
/// The break moves by less than this while the process is being read.
const MOST_GROWN: u64 = 1 << 30;
/// OS pages that are kept for lists, at most and at least; powers of two.
const MOST_KEPT: u64 = 8192;
const LEAST_KEPT: u64 = 64;
/// OS pages that are read together where a list goes through memory in order.
const RUN: u64 = 16;

/// An OS page and its contents, once there was one.
type Kept = Option<(u64, Box<[u8; OS_PAGE as usize]>)>;

fn empty() -> (u64, Box<[u8; OS_PAGE as usize]>) {
    (u64::MAX, Box::new([0; OS_PAGE as usize]))
}

/// See the module.
pub(super) struct Source<'a> {
    memory: &'a dyn Memory,
    pub(super) mappings: &'a [Mapping],
    pub(super) residency: &'a Residency,
    /// Where the break was.
    heap_end: Option<u64>,
    window_start: u64,
    window: Vec<u8>,
    /// Bytes of the next window: twice the last ones while a walk goes on close behind it, few where it leaps over large chunks,
    /// whose contents nobody needs.
    reach: u64,
    /// OS pages by their number modulo `slots`.
    kept: Vec<Kept>,
    slots: usize,
    /// The OS page that was missing last.
    missed: u64,
    run: Vec<u8>,
}

impl<'a> Source<'a> {
    pub(super) fn new(memory: &'a dyn Memory, mappings: &'a [Mapping], residency: &'a Residency) -> Self {
        let (window, kept, run) = (Vec::new(), Vec::new(), Vec::new());
        let pages = residency.resident(0, u64::MAX) / OS_PAGE;
        let slots = pages.clamp(LEAST_KEPT, MOST_KEPT).next_power_of_two() as usize;
        let heap_end = mappings.iter().rfind(|mapping| mapping.name == "[heap]").map(|heap| heap.end);
        Source {
            memory,
            mappings,
            residency,
            heap_end,
            window_start: 0,
            window,
            reach: LEAST_WINDOW,
            kept,
            slots,
            missed: 0,
            run,
        }
    }

    /// Index of the mapping that holds an address.
    pub(super) fn mapping_at(&self, address: u64) -> Option<usize> {
        let index = self.mappings.partition_point(|mapping| mapping.end <= address);
        self.mappings.get(index).is_some_and(|mapping| mapping.start <= address).then_some(index)
    }

    /// End of the readable and writable memory without a hole that holds an address; `None` where there is none.
    pub(super) fn end_of_memory(&self, address: u64) -> Option<u64> {
        let is_memory = |mapping: &Mapping| mapping.readable && mapping.writable;
        let mut index = self.mapping_at(address)?;
        let mut end = None;
        while let Some(mapping) = self.mappings.get(index) {
            if !is_memory(mapping) || end.is_some_and(|end| mapping.start != end) {
                break;
            }
            end = Some(mapping.end);
            index += 1;
        }
        end
    }

    /// Whether a chunk could lie at an address.
    pub(super) fn is_chunk_address(&self, address: u64) -> bool {
        address.is_multiple_of(16) && self.mapping_at(address).is_some_and(|index| self.mappings[index].writable)
    }

    /// Whether a chunk of the main arena could lie at an address by now: the break may have moved since the mappings were read.
    pub(super) fn may_be_chunk_by_now(&self, address: u64) -> bool {
        let is_behind = |end: u64| address >= end && address - end < MOST_GROWN;
        self.is_chunk_address(address)
            || (address.is_multiple_of(16)
                && self.heap_end.is_some_and(is_behind)
                && self.mapping_at(address).is_none())
    }

    /// Copies a range; what has no contents reads as zeros, and so does what cannot be read.
    fn copy(&mut self, start: u64, end: u64, out: &mut Vec<u8>) {
        out.resize((end - start) as usize, 0);
        let at = |address: u64| (address - start) as usize;
        // What the kernel fills needs no zeros before: as a rule that is all of it.
        let mut filled = start;
        let mut stretches = self.residency.within(start, end).peekable();
        while let Some(mut stretch) = stretches.next() {
            while let Some(next) = stretches.next_if(|next| next.start == stretch.end) {
                stretch.end = next.end;
            }
            out[at(filled)..at(stretch.start)].fill(0);
            filled = stretch.end;
            if self.memory.read(stretch.start, &mut out[at(stretch.start)..at(stretch.end)]).is_err() {
                self.copy_pages(stretch.start, &mut out[at(stretch.start)..at(stretch.end)]);
            }
        }
        out[at(filled)..].fill(0);
    }

    /// Something went away meanwhile. What is still there is read OS page by OS page.
    fn copy_pages(&self, start: u64, out: &mut [u8]) {
        let (mut address, mut rest) = (start, out);
        while !rest.is_empty() {
            let bytes = ((OS_PAGE - address % OS_PAGE) as usize).min(rest.len());
            let (page, behind) = rest.split_at_mut(bytes);
            if self.memory.read(address, page).is_err() {
                page.fill(0);
            }
            (address, rest) = (address + bytes as u64, behind);
        }
    }

    /// Copies a range of at most `limit` bytes into memory of its own.
    pub(super) fn range(&mut self, start: u64, end: u64, limit: u64) -> Vec<u8> {
        let mut out = Vec::new();
        self.copy(start, end.clamp(start, start + limit), &mut out);
        out
    }

    /// Forgets what was read: the next reads see the process as it is then.
    pub(super) fn refresh(&mut self) {
        self.window.clear();
        self.kept.clear();
    }

    /// Memory from an address on, through the window.
    pub(super) fn slice(&mut self, at: u64, bytes: usize) -> Option<&[u8]> {
        let inside = |source: &Self| {
            let offset = at.checked_sub(source.window_start)? as usize;
            (offset.checked_add(bytes)? <= source.window.len()).then_some(offset)
        };
        let offset = match inside(self) {
            Some(offset) => offset,
            None => {
                let start = at & !(OS_PAGE - 1);
                // What lies across the end of the window begins inside.
                let leap = start.saturating_sub(self.window_start + self.window.len() as u64);
                let goes_on = start >= self.window_start && leap <= self.reach;
                self.reach = if goes_on { (2 * self.reach).min(WINDOW) } else { LEAST_WINDOW };
                let end = self.end_of_memory(at)?.min(start + self.reach.max(bytes as u64 + OS_PAGE));
                let mut window = std::mem::take(&mut self.window);
                self.copy(start, end, &mut window);
                (self.window, self.window_start) = (window, start);
                inside(self)?
            }
        };
        Some(&self.window[offset..offset + bytes])
    }

    /// The second word of a chunk, where it is known without reading.
    pub(super) fn chunk_word(&self, at: u64) -> Option<u64> {
        self.memory.chunk_word(at)
    }

    /// A word, through the window.
    pub(super) fn word(&mut self, at: u64) -> Option<u64> {
        let bytes = self.slice(at, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Two words anywhere, through the OS pages kept for that. An address without contents has none.
    pub(super) fn pair(&mut self, at: u64) -> Option<(u64, u64)> {
        Some((self.distant(at)?, self.distant(at.checked_add(8)?)?))
    }

    /// A word anywhere.
    pub(super) fn distant(&mut self, at: u64) -> Option<u64> {
        if !at.is_multiple_of(8) {
            return None;
        }
        let (page, offset) = (at / OS_PAGE, (at % OS_PAGE) as usize);
        if self.kept.is_empty() {
            self.kept.resize_with(self.slots, || None);
        }
        if self.kept[page as usize % self.slots].as_ref().is_none_or(|kept| kept.0 != page) {
            if !self.residency.is_resident(at) {
                return None;
            }
            // A list that goes through memory in order: its neighbours are next.
            if page.abs_diff(std::mem::replace(&mut self.missed, page)) <= RUN {
                self.keep_run(page / RUN * RUN);
            } else {
                let slot = self.kept[page as usize % self.slots].get_or_insert_with(empty);
                slot.0 = u64::MAX;
                self.memory.read(page * OS_PAGE, &mut slot.1[..]).ok()?;
                slot.0 = page;
            }
        }
        let slot = self.kept[page as usize % self.slots].as_ref()?;
        // Of a run, what has no contents reads as zeros.
        Some(u64::from_le_bytes(slot.1[offset..offset + 8].try_into().ok()?))
    }

    /// Keeps [`RUN`] OS pages from this one on.
    fn keep_run(&mut self, first: u64) {
        let mut run = std::mem::take(&mut self.run);
        self.copy(first * OS_PAGE, (first + RUN) * OS_PAGE, &mut run);
        for (page, bytes) in (first..).zip(run.chunks_exact(OS_PAGE as usize)) {
            let slot = self.kept[page as usize % self.slots].get_or_insert_with(empty);
            slot.0 = page;
            slot.1.copy_from_slice(bytes);
        }
        self.run = run;
    }

    /// The first two words of each of several OS pages; zeros where they cannot be read.
    pub(super) fn heads(&self, pages: &[u64]) -> Vec<(u64, u64)> {
        let ranges: Vec<(u64, usize)> = pages.iter().map(|&page| (page, 16)).collect();
        let mut bytes = vec![0; pages.len() * 16];
        if self.memory.read_ranges(&ranges, &mut bytes).is_err() {
            for (&page, place) in pages.iter().zip(bytes.chunks_exact_mut(16)) {
                if self.memory.read(page, place).is_err() {
                    place.fill(0);
                }
            }
        }
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        bytes.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;
    use crate::proc::residency::{Stretch, category};

    /// Zeros everywhere; counts what is read.
    struct Counted(Cell<u64>);

    impl Memory for Counted {
        fn read(&self, _: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.set(self.0.get() + out.len() as u64);
            out.fill(0);
            Ok(())
        }
    }

    const START: u64 = 1 << 30;
    const END: u64 = START + (64 << 20);

    /// Bytes read by a walk over 64 MiB.
    fn read_by(walk: impl FnOnce(&mut Source)) -> u64 {
        let mapping = Mapping { start: START, end: END, readable: true, writable: true, ..Mapping::default() };
        let mut residency = Residency::default();
        residency.push(Stretch { start: START, end: END, categories: category::PRESENT });
        let (memory, mappings) = (Counted(Cell::new(0)), [mapping]);
        walk(&mut Source::new(&memory, &mappings, &residency));
        memory.0.get()
    }

    /// Bytes read by a walk that looks at a word every `step` bytes.
    fn read_by_a_walk(step: usize) -> u64 {
        read_by(|source| (START..END).step_by(step).for_each(|at| assert_eq!(source.word(at), Some(0))))
    }

    #[test]
    fn a_walk_over_small_chunks_reads_hardly_a_byte_twice() {
        for step in [32, 992, 4096] {
            assert!(read_by_a_walk(step) <= 65 << 20, "{step}");
        }
    }

    #[test]
    fn what_lies_across_the_end_of_a_window_is_no_leap() {
        let bytes = read_by(|source| {
            // Sixteen bytes at eight behind each multiple of sixteen: now and then they cross an OS page.
            for at in (START + 8..END - 16).step_by(48) {
                assert!(source.slice(at, 16).is_some());
            }
            assert_eq!(source.reach, WINDOW);
        });
        assert!(bytes <= 66 << 20, "{bytes}");
    }

    #[test]
    fn a_walk_leaps_over_large_chunks() {
        for step in [64 << 10, 1 << 20, 8 << 20] {
            let words = (64 << 20) / step as u64;
            assert!(read_by_a_walk(step) <= words * 2 * LEAST_WINDOW, "{step}");
        }
    }
}
