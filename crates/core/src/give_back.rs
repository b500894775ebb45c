//! Memory that goes back to the kernel: the top of the break, and dirty slices anywhere.
//!
//! The rule, for pages and for the store alike:
//!
//! * free memory beyond the *budget*, an eighth of what is in use and at least 1 MiB, is marked: the helper starts;
//! * of what is marked, that goes which was free from one look to the next (100 to 400 ms, longer after regret);
//! * where live memory has *dropped* by a quarter, all that is free goes at the first look, unless that was regretted
//!   (`patience`);
//! * of a program that does nothing between two looks, all that is idle goes, budget or not.
//!
//! So a loop that frees and takes again keeps its memory and a program that shrank loses it. Here is the part that happens in
//! calls: the same for the store where there is no helper, after 50 to 800 ms, and, helper or not, the moves of the break.
//! What happens while nobody calls is in `idle` and `helper`. `malloc_trim` gives everything back at once.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::Kernel;
use brkmap_wire::{Counter, Rule};

use crate::batch::{Batch, Emptied};
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE, round_up, slice_address, slice_of};
use crate::huge::CHUNK;
use crate::kept::Which;
use crate::page_map::Leaf;
use crate::patience;
use crate::spans::Spans;

/// Changes of the store between two looks at the clock.
const CHANGES_PER_CLOCK: u64 = 32;

impl<P: Platform> Engine<P> {
    /// Looks at the budget, and at the top of the break, after a change of what is free. The clock is asked now and then only.
    pub(crate) fn note_budget(&self, spans: &mut Spans) {
        spans.changes += 1;
        self.dirty_hint.store(spans.dirty, Relaxed);
        spans.low_since_over = spans.low_since_over.min(spans.dirty);
        spans.low_since_look = spans.low_since_look.min(spans.dirty);
        let is_turn = spans.changes.is_multiple_of(CHANGES_PER_CLOCK);
        if is_turn {
            self.look_at_top(spans);
        }
        let budget = self.dirty_budget(self.in_use());
        if spans.dirty * SLICE <= budget {
            spans.over_since = 0;
        } else if spans.over_since == 0 {
            spans.over_since = self.kernel().now_ms().max(1);
            spans.low_since_over = spans.dirty;
        } else if is_turn && self.has_passed(spans, spans.over_since) {
            spans.over_since = 0;
            self.give_back_in_call(spans, budget);
        }
    }

    /// Has as much time passed as calls wait?
    fn has_passed(&self, spans: &Spans, since: u64) -> bool {
        self.kernel().now_ms().saturating_sub(since) >= self.pause_ms(spans.call_delay.max(patience::CALL_MS))
    }

    /// Memory was over the budget for long enough: what was free in all that time goes, if no helper sees to it.
    fn give_back_in_call(&self, spans: &mut Spans, budget: usize) {
        if self.helper_runs() || self.is_held(spans) {
            return;
        }
        let needed = spans.dirty - spans.low_since_over.min(spans.dirty);
        let regretted = core::mem::take(&mut spans.regretted) * SLICE;
        spans.call_delay = patience::next_call_delay(spans.call_delay, spans.purged_by_call * SLICE, regretted);
        self.end_growth(spans);
        spans.purged_by_call = self.purge_dirty(spans, (budget / SLICE / 2).max(needed), Rule::OverBudget) / SLICE;
    }

    /// Moves the break down over what was free at its top for long enough. Here alone, and in `malloc_trim`: the helper never
    /// moves it, as the program may be in `sbrk`.
    fn look_at_top(&self, spans: &mut Spans) {
        let threshold = self.tunables.trim_threshold.load(Relaxed);
        let pad = self.tunables.top_pad.load(Relaxed);
        let top = self.free_top(spans);
        if top * SLICE <= threshold.max(pad) {
            spans.top_since = 0;
        } else if spans.top_since == 0 {
            spans.top_since = self.kernel().now_ms().max(1);
            spans.top_low = top;
        } else if self.has_passed(spans, spans.top_since) {
            spans.top_since = 0;
            if self.is_held(spans) {
                return;
            }
            // What was taken now and then stays, so that a loop at the edge does not move the break each time.
            let needed = top - spans.top_low.min(top);
            let keep = keep_whole_chunks(spans, top * SLICE, pad.max(needed * SLICE));
            self.trim_break(spans, threshold, keep, Rule::BreakTop);
        }
    }

    /// Slices are taken: how far up to the end of the break?
    pub(crate) fn note_top(&self, spans: &mut Spans, behind: u32) {
        let end = slice_of(spans.brk.end);
        if spans.top_since != 0 && behind <= end {
            spans.top_low = spans.top_low.min((end - behind) as usize);
        }
    }

    /// Free slices at the top of our part of the break.
    fn free_top(&self, spans: &Spans) -> usize {
        if spans.brk.closed || spans.brk.end == 0 || !spans.brk.end.is_multiple_of(SLICE) {
            return 0;
        }
        let (end, floor) = (slice_of(spans.brk.end), slice_of(spans.brk.floor));
        let mut low = end;
        while low > floor {
            let Some(leaf) = self.map.leaf(low - 1) else { break };
            let behind = (low - 1) as usize % LEAF_SLICES + 1;
            match leaf.free.last_below(behind, false) {
                Some(taken) => {
                    low -= (behind - taken - 1) as u32;
                    break;
                }
                None => low -= behind as u32,
            }
        }
        (end - low.max(floor)) as usize
    }

    /// Slices that were not dirty are taken. Such as were purged a while ago are regretted.
    pub(crate) fn note_regret(&self, spans: &mut Spans, clean: usize) {
        let again = clean.min(spans.purged);
        if again != 0 {
            spans.purged -= again;
            spans.regretted += again;
            self.helper.woken.fetch_add(again * SLICE, Relaxed);
        }
    }

    /// Gives back all that the store has free, but `pad` bytes at the top of the break; how many bytes went.
    pub(crate) fn give_back_all(&self, pad: usize, rule: Rule) -> usize {
        self.with_spans(|spans| self.give_back_in(spans, pad, rule))
    }

    /// As [`Engine::give_back_all`], by who works on the store.
    pub(crate) fn give_back_in(&self, spans: &mut Spans, pad: usize, rule: Rule) -> usize {
        spans.over_since = 0;
        self.end_growth(spans);
        self.release_kept(spans, Which::All) + self.trim_break(spans, 0, pad, rule) + self.purge_dirty(spans, 0, rule)
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
        let free = self.free_top(spans) * SLICE;
        if free == 0 {
            return 0;
        }
        let end = slice_of(spans.brk.end);
        let keep = round_up(pad, SLICE).unwrap_or(usize::MAX);
        if free <= threshold.max(keep) || self.kernel().program_break() != Some(spans.brk.end) {
            return 0;
        }
        let bytes = free - keep;
        let first = end - (bytes / SLICE) as u32;
        // SAFETY: the slices from `first` to our end are free, and the top is ours: the break was read a moment ago and
        // `move_break` checks that libc believes the same.
        let Some(old) = (unsafe { self.kernel().move_break(spans.brk.end, -(bytes as isize)) }) else {
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

    /// Purges dirty slices, from the newest leaf on and from its end, until at most `keep` are left; how many bytes went.
    /// What lies low is taken first, so it is kept.
    pub(crate) fn purge_dirty(&self, spans: &mut Spans, keep: usize, rule: Rule) -> usize {
        if !self.kernel().purge_is_honest() {
            return 0;
        }
        if spans.dirty > keep {
            self.end_growth(spans);
        }
        let mut bytes = 0;
        let mut batch = Batch::new(rule);
        for leaf in self.map.leaves() {
            let mut end = LEAF_SLICES;
            while spans.dirty > keep {
                let Some((start, behind)) = last_run(leaf, end) else { break };
                let count = (behind - start).min(spans.dirty - keep);
                let first = behind - count;
                end = first;
                // Clean in the books already; what the kernel refuses is dirty again.
                leaf.dirty.fill(first, count, false);
                leaf.change_dirty(-(count as i32));
                spans.dirty -= count;
                batch.push(slice_address(leaf.first_slice() + first as u32), count * SLICE, (leaf, first, count));
                if batch.is_full() {
                    let emptied = self.empty_dirty(spans, &mut batch);
                    bytes += emptied.bytes;
                    if emptied.refused {
                        return bytes;
                    }
                }
            }
        }
        bytes + self.empty_dirty(spans, &mut batch).bytes
    }

    fn empty_dirty(&self, spans: &mut Spans, batch: &mut Batch<(&Leaf, usize, usize)>) -> Emptied {
        let emptied = self.empty_batch(batch, |(leaf, first, count)| {
            leaf.dirty.fill(first, count, true);
            leaf.change_dirty(count as i32);
            spans.dirty += count;
        });
        self.dirty_hint.store(spans.dirty, Relaxed);
        spans.purged += emptied.bytes / SLICE;
        emptied
    }
}

/// Bytes to leave of the `free` ones at the top, at least `keep`, so that none of the huge pages that the heap grows by is
/// cut: the kernel would split it, and bring what is needed again in small pages.
fn keep_whole_chunks(spans: &Spans, free: usize, keep: usize) -> usize {
    let low = spans.brk.end - free;
    match low.saturating_add(keep).checked_next_multiple_of(CHUNK) {
        Some(end) if spans.is_huge => end - low,
        _ => keep,
    }
}

/// The first run of free slices of a leaf from `from` on that are not on the break: (index, count).
fn next_free_region(leaf: &Leaf, from: usize) -> Option<(usize, usize)> {
    let is_free = |index: &usize| leaf.free.get(*index) && !leaf.on_break.get(*index);
    let first = (from..LEAF_SLICES).find(is_free)?;
    let end = (first..LEAF_SLICES).find(|index| !is_free(index)).unwrap_or(LEAF_SLICES);
    Some((first, end - first))
}

/// The last maximal run of dirty slices of a leaf below `end`: where it starts and ends.
fn last_run(leaf: &Leaf, end: usize) -> Option<(usize, usize)> {
    if leaf.dirty_slices.load(Relaxed) == 0 {
        return None;
    }
    let behind = leaf.dirty.last_below(end, true)? + 1;
    Some((leaf.dirty.last_below(behind, false).map_or(0, |clean| clean + 1), behind))
}
