//! Pieces that go back to the kernel together: a call for each would cost several times as much.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::{Kernel, Range};
use brkmap_wire::{Counter, Rule};

use crate::engine::{Engine, Platform};
use crate::huge::CHUNK;

/// Pieces that are collected at most: their gate or the store's lock is held until they are gone.
const ROOM: usize = 64;

/// Ranges that wait to be purged, each with what its owner has to know of it.
pub(crate) struct Batch<T: Copy> {
    ranges: [Range; ROOM],
    notes: [Option<T>; ROOM],
    count: usize,
    /// Why they go.
    rule: Rule,
}

impl<T: Copy> Batch<T> {
    pub(crate) fn new(rule: Rule) -> Batch<T> {
        Batch { ranges: [Range { start: 0, bytes: 0 }; ROOM], notes: [None; ROOM], count: 0, rule }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == ROOM
    }

    /// Adds a range; the batch is not full.
    pub(crate) fn push(&mut self, start: usize, bytes: usize, note: T) {
        self.ranges[self.count] = Range { start, bytes };
        self.notes[self.count] = Some(note);
        self.count += 1;
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Emptied {
    /// Bytes that went back.
    pub(crate) bytes: usize,
    /// The kernel refused a range; it and those behind it are as they were.
    pub(crate) refused: bool,
}

impl<P: Platform> Engine<P> {
    /// Purges what a batch holds, and empties it. `left` hears of each range that stayed.
    pub(crate) fn empty_batch<T: Copy>(&self, batch: &mut Batch<T>, mut left: impl FnMut(T)) -> Emptied {
        let ranges = &batch.ranges[..core::mem::take(&mut batch.count)];
        if ranges.is_empty() {
            return Emptied { bytes: 0, refused: false };
        }
        if !self.purges_lazily() {
            self.split_around(ranges);
        }
        // SAFETY: [span-bits] free slices under the store's lock, or [stale-books] OS pages of a page without a live block
        // under its heap's gate: nobody else touches them until the batch is empty.
        let purged = unsafe {
            if self.purges_lazily() { self.kernel().purge_lazily(ranges) } else { self.kernel().purge_ranges(ranges) }
        };
        let bytes = ranges[..purged.ranges].iter().map(|range| range.bytes).sum();
        let refused = purged.ranges < ranges.len();
        let calls = purged.calls - refused as usize;
        self.count(Counter::Purge, calls as u64);
        self.count(Counter::PurgeBytes, bytes as u64);
        self.note_returns(batch.rule, calls, bytes);
        self.count(Counter::PurgeRefused, refused as u64);
        batch.notes[purged.ranges..ranges.len()].iter().flatten().for_each(|&note| left(note));
        Emptied { bytes, refused }
    }

    /// Has the huge pages split of which the ranges are parts: an OS page of each is told. Whole ones go back whole, and what
    /// is purged lazily is split by the kernel.
    fn split_around(&self, ranges: &[Range]) {
        let os_page = self.os_page.load(Relaxed);
        let mut told = [Range { start: 0, bytes: 0 }; 2 * ROOM];
        let mut count = 0;
        let mut last = usize::MAX;
        for range in ranges {
            let end = range.start + range.bytes;
            for start in [range.start, end - os_page] {
                let chunk = start / CHUNK;
                let is_whole = chunk * CHUNK >= range.start && (chunk + 1) * CHUNK <= end;
                if chunk != last && !is_whole {
                    told[count] = Range { start, bytes: os_page };
                    count += 1;
                    last = chunk;
                }
            }
        }
        self.kernel().split_huge(&told[..count]);
    }

    /// Purges a range that holds nothing; `true`: it reads as zero now.
    pub(crate) fn purge(&self, start: usize, bytes: usize, rule: Rule) -> bool {
        let Some(start) = NonNull::new(with_exposed_provenance_mut::<u8>(start)) else { return false };
        self.split_around(&[Range { start: start.addr().get(), bytes }]);
        // SAFETY: [span-bits] the range is free and the engine's.
        let done = unsafe { self.kernel().purge(start, bytes) };
        if done {
            self.count(Counter::Purge, 1);
            self.count(Counter::PurgeBytes, bytes as u64);
            self.note_return(rule, bytes);
        } else {
            self.count(Counter::PurgeRefused, 1);
        }
        done
    }
}
