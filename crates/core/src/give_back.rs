//! Memory that goes back to the kernel: the top of the break, and dirty slices anywhere.
//!
//! Free memory beyond the budget (an eighth of what is used, at least 1 MiB) goes back once it has been beyond for a moment,
//! so a loop that frees and takes again keeps its memory and a program that shrank loses it. Here is the part that happens
//! in calls, and the only one that moves the break; what happens while nobody calls is in `idle` and `helper`.
//! `malloc_trim` gives everything back at once.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::Kernel;
use brkmap_wire::{Counter, Rule};

use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, round_up, slice_address, slice_of};
use crate::page_map::{Leaf, WORDS};
use crate::policy;
use crate::spans::Spans;

/// Changes of the store between two looks at the clock.
const CHANGES_PER_CLOCK: u64 = 32;

impl<P: Platform> Engine<P> {
    /// Looks at the budget after a change of what is free.
    pub(crate) fn note_budget(&self, spans: &mut Spans) {
        spans.changes += 1;
        self.dirty_hint.store(spans.dirty, Relaxed);
        let budget = policy::dirty_budget(spans.used * SLICE);
        if spans.dirty * SLICE <= budget {
            spans.over_since = 0;
            return;
        }
        // The clock is asked now and then only; the helper does the rest.
        if spans.over_since != 0 && !spans.changes.is_multiple_of(CHANGES_PER_CLOCK) {
            return;
        }
        let now = self.kernel().now_ms().max(1);
        if spans.over_since == 0 {
            spans.over_since = now;
        } else if now - spans.over_since.min(now) >= self.purge_delay_ms() {
            spans.over_since = 0;
            let pad = self.tunables.top_pad.load(Relaxed);
            self.trim_break(spans, self.tunables.trim_threshold.load(Relaxed), pad, Rule::BreakTop);
            self.purge_dirty(spans, budget / SLICE / 2, Rule::OverBudget);
        }
    }

    /// Gives back all that the store has free, but `pad` bytes at the top of the break; how many bytes went.
    pub(crate) fn give_back_all(&self, pad: usize, rule: Rule) -> usize {
        self.with_spans(|spans| self.give_back_in(spans, pad, rule))
    }

    /// As [`Engine::give_back_all`], by who works on the store.
    pub(crate) fn give_back_in(&self, spans: &mut Spans, pad: usize, rule: Rule) -> usize {
        spans.over_since = 0;
        self.trim_break(spans, 0, pad, rule) + self.purge_dirty(spans, 0, rule)
    }

    /// Memory was refused: gives back all that nobody uses, address space too, which a limit may be about. `true`: it may be
    /// worth asking again. Outside all locks.
    #[cold]
    pub(crate) fn scrape_together(&self) -> bool {
        let unmapped = |engine: &Self| engine.with_spans(|spans| engine.unmap_regions(spans));
        self.trim_by(0, Rule::Refusal) | (unmapped(self) > 0)
    }

    /// Unmaps the free slices of regions; how many bytes went.
    fn unmap_regions(&self, spans: &mut Spans) -> usize {
        let mut bytes = 0;
        for leaf in self.map.leaves() {
            let mut at = 0;
            while let Some((first, count)) = next_free_region(leaf, at) {
                at = first + count;
                let slice = leaf.first_slice() + first as u32;
                let Some(start) = NonNull::new(with_exposed_provenance_mut::<u8>(slice_address(slice))) else { break };
                // SAFETY: [span-bits] the slices are free, and under the store's lock they stay so.
                if !unsafe { self.kernel().unmap(start, count * SLICE) } {
                    return bytes;
                }
                self.disown_slices(spans, slice, count);
                self.count(Counter::Unmap, 1);
                self.count(Counter::UnmapBytes, (count * SLICE) as u64);
                self.note_return(Rule::Refusal, count * SLICE);
                bytes += count * SLICE;
            }
        }
        bytes
    }

    /// Shrinks the break if more than `threshold` bytes below our end are free and the top is still ours.
    fn trim_break(&self, spans: &mut Spans, threshold: usize, pad: usize, rule: Rule) -> usize {
        if spans.brk.closed || spans.brk.end == 0 || !spans.brk.end.is_multiple_of(SLICE) {
            return 0;
        }
        let end = slice_of(spans.brk.end);
        let mut low = end;
        while slice_address(low) > spans.brk.floor && self.is_free(low - 1) {
            low -= 1;
        }
        let free = slice_address(end) - slice_address(low);
        let keep = round_up(pad, SLICE).unwrap_or(usize::MAX);
        if free <= threshold.max(keep) || self.kernel().program_break() != Some(spans.brk.end) {
            return 0;
        }
        let bytes = free - keep;
        let first = end - (bytes / SLICE) as u32;
        // SAFETY: the slices from `first` to our end are free, and the top is ours: the break was read a moment ago and
        // `move_break` checks again that it moved from where we believe it to be.
        let Some(old) = (unsafe { self.kernel().move_break(-(bytes as isize)) }) else {
            // Nobody knows where the break is now: never touch it again, but what is mapped stays ours.
            // What we meant to return may be gone already: lost address space is better than a block behind the break.
            spans.brk.closed = true;
            self.disown_slices(spans, first, bytes / SLICE);
            self.count(Counter::BreakRefused, 1);
            return 0;
        };
        self.disown_slices(spans, first, bytes / SLICE);
        if old != spans.brk.end {
            spans.brk.closed = true;
            return 0;
        }
        spans.brk.end -= bytes;
        spans.brk.held -= bytes;
        self.count(Counter::BreakShrink, 1);
        self.count(Counter::BreakShrinkBytes, bytes as u64);
        self.note_return(rule, bytes);
        bytes
    }

    fn is_free(&self, slice: u32) -> bool {
        self.map.leaf(slice).is_some_and(|leaf| leaf.free.get(slice as usize % LEAF_SLICES))
    }

    /// Purges dirty slices, run by run, from the highest leaf list entry on, until at most `keep` are left.
    pub(crate) fn purge_dirty(&self, spans: &mut Spans, keep: usize, rule: Rule) -> usize {
        if !self.kernel().purge_is_honest() {
            return 0;
        }
        let mut bytes = 0;
        for leaf in self.map.leaves() {
            let mut at = 0;
            while spans.dirty > keep {
                let Some((first, count)) = next_run(leaf, at) else { break };
                if !self.purge(slice_address(leaf.first_slice() + first as u32), count * SLICE, rule) {
                    return bytes;
                }
                leaf.dirty.fill(first, count, false);
                leaf.change_dirty(-(count as i32));
                spans.dirty -= count;
                self.dirty_hint.store(spans.dirty, Relaxed);
                bytes += count * SLICE;
                at = first + count;
            }
        }
        bytes
    }

    /// Purges a range that holds nothing; `true`: it reads as zero now.
    pub(crate) fn purge(&self, start: usize, bytes: usize, rule: Rule) -> bool {
        let Some(start) = NonNull::new(with_exposed_provenance_mut::<u8>(start)) else { return false };
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

/// The first run of free slices of a leaf from `from` on that are not on the break: (index, count).
fn next_free_region(leaf: &Leaf, from: usize) -> Option<(usize, usize)> {
    let is_free = |index: &usize| leaf.free.get(*index) && !leaf.on_break.get(*index);
    let first = (from..LEAF_SLICES).find(is_free)?;
    let end = (first..LEAF_SLICES).find(|index| !is_free(index)).unwrap_or(LEAF_SLICES);
    Some((first, end - first))
}

/// The first maximal run of dirty slices of a leaf from `from` on: (index, count).
fn next_run(leaf: &Leaf, from: usize) -> Option<(usize, usize)> {
    if leaf.dirty_slices.load(Relaxed) == 0 {
        return None;
    }
    let mut first = None;
    let mut at = from;
    while at < WORDS * 64 {
        let bits = leaf.dirty.word(at / 64) >> (at % 64);
        match first {
            None if bits == 0 => at = (at / 64 + 1) * 64,
            None => {
                at += bits.trailing_zeros() as usize;
                first = Some(at);
            }
            Some(start) => {
                let ones = bits.trailing_ones() as usize;
                let in_word = 64 - at % 64;
                at += ones.min(in_word);
                if ones < in_word {
                    return Some((start, at - start));
                }
            }
        }
    }
    first.map(|start| (start, at - start))
}
