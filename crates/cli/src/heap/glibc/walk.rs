//! Passes over every segment of every arena, chunk by chunk.
//!
//! A segment is memory that chunks fill without a hole: the break heap of the main arena, or one heap of a thread's arena.
//! A chunk says how long it is; whether it is in use says the chunk behind it. When a place makes no sense, it is read
//! again, and if it stays so the walk goes on at the next place from which chunks follow each other.

use super::account::Account;
use super::caches;
use super::find::ArenaAt;
use super::layout::{FAST_LARGEST, HEADER, HEAP_SPAN, IS_MAPPED, LEAST, Layout, NOT_MAIN, PREV_IN_USE};
use super::lists::{Cursor, FastSet};
use super::source::Source;
use super::{Arena, Found, Glibc};
use crate::proc::residency::{OS_PAGE, Stretch};

/// Reads of one place before it counts as torn.
const TRIES: usize = 3;
/// Bytes that are searched for the next chunk.
const SEARCH: u64 = 16 << 20;
/// Chunks that have to follow each other for the first of them to be believed.
const CHAIN: usize = 16;
/// What is left of a segment behind its last chunk: two chunks that only mark the end.
const FENCE: u64 = 64;
/// Heaps of one arena.
const MOST_HEAPS: usize = 1 << 13;
/// Torn places, after which the rest of a segment is not believed, and moves of a top that are followed.
const MOST_TORN: u64 = 256;
const MOST_MOVES: u32 = 64;

/// Memory filled with chunks.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Where its memory starts; up to `first` there are structures.
    start: u64,
    first: u64,
    end: u64,
    /// The top chunk, if it lies here.
    top: Option<u64>,
    is_main: bool,
}

struct Walk<'w, 'a> {
    source: &'w mut Source<'a>,
    layout: &'static Layout,
    account: Account<'w>,
    glibc: &'w mut Glibc,
    fast: Cursor<'w>,
    /// Chunks that may be a thread's cache.
    caches: Vec<u64>,
    granule: u64,
}

/// Walks all arenas and enters what was found.
pub(super) fn arenas(source: &mut Source<'_>, found: &Found, fast: &FastSet, glibc: &mut Glibc) {
    let mut candidates = Vec::new();
    let huge_page = found.parameters.map_or(0, |parameters| parameters.huge_page);
    for at in &found.arenas {
        source.refresh();
        let mut segments = segments(source, found, at, glibc);
        segments.retain(|segment| is_unclaimed(segment, glibc));
        let residency = source.residency;
        let mut walk = Walk {
            account: Account::new(residency, glibc.occupancy.take()),
            source,
            layout: found.layout,
            glibc,
            fast: fast.cursor(),
            caches: Vec::new(),
            granule: huge_page.max(OS_PAGE),
        };
        for segment in &segments {
            walk.segment(*segment, at);
        }
        candidates.append(&mut walk.caches);
        let (figures, occupancy) = walk.account.finish();
        glibc.occupancy = occupancy;
        let system = source.distant(at.address + found.layout.system).unwrap_or(0);
        let heaps = segments.len() as u64;
        glibc.arenas.push(Arena { address: at.address, is_main: at.is_main, system, heaps, figures });
        for segment in &segments {
            glibc.ranges.push((segment.start, segment.end, glibc.arenas.len() - 1));
        }
    }
    glibc.ranges.sort_unstable();
    caches::take(source, found, &candidates, glibc);
    explain(source, glibc);
}

/// Whether no other arena has the memory of a segment. Two that claim the same are read in the middle of a change, or forged.
fn is_unclaimed(segment: &Segment, glibc: &mut Glibc) -> bool {
    let is_shared = |range: &&(u64, u64, usize)| range.0 < segment.end && segment.start < range.1;
    let Some(range) = glibc.ranges.iter().find(is_shared) else { return true };
    let why = format!("the heap at {:#x} belongs to two arenas", range.0.max(segment.start));
    glibc.problem.get_or_insert(why);
    glibc.torn += 1;
    false
}

/// Enters the resident bytes of all segments with their mappings.
fn explain(source: &Source<'_>, glibc: &mut Glibc) {
    for &(start, end, _) in &glibc.ranges {
        let mut at = start;
        while at < end {
            let Some(index) = source.mapping_at(at) else { break };
            let stop = source.mappings[index].end.min(end);
            let whole = (at & !(OS_PAGE - 1), stop.next_multiple_of(OS_PAGE));
            glibc.explained[index] += source.residency.resident(whole.0, whole.1);
            if let Some(occupancy) = &mut glibc.occupancy {
                for stretch in source.residency.within(whole.0, whole.1).filter(Stretch::is_resident) {
                    occupancy.claim(stretch.start, stretch.end);
                }
            }
            at = stop;
        }
    }
}

/// The segments of an arena, as they are now.
fn segments(source: &mut Source<'_>, found: &Found, at: &ArenaAt, glibc: &mut Glibc) -> Vec<Segment> {
    let layout = found.layout;
    let top = source.distant(at.address + layout.top).unwrap_or(0);
    if top == at.address + layout.top || top == 0 {
        return Vec::new();
    }
    let top_end = source.pair(top).map_or(top, |(_, word)| top.saturating_add(word & !7));
    if at.is_main {
        main_segments(source, found, top, top_end)
    } else {
        thread_segments(source, found, at, top, top_end, glibc)
    }
}

/// The main arena has the break, and where that was refused, mappings.
fn main_segments(source: &Source<'_>, found: &Found, top: u64, top_end: u64) -> Vec<Segment> {
    let heap = source.mappings.iter().filter(|mapping| mapping.name == "[heap]");
    let heap = heap.fold(None, |sum: Option<(u64, u64)>, next| Some((sum.map_or(next.start, |sum| sum.0), next.end)));
    let begin = found.parameters.map_or(0, |parameters| parameters.break_start);
    let mut all = Vec::new();
    if let Some((start, end)) = heap {
        let first = if (start..end).contains(&begin) { begin.next_multiple_of(16) } else { start };
        let has_top = (start..end).contains(&top);
        let end = if has_top { top_end.min(end) } else { end };
        // Without a first chunk on the break there was no malloc on it: the program moved it itself.
        if has_top || begin != 0 {
            all.push(Segment { start: first, first, end, top: has_top.then_some(top), is_main: true });
        }
    }
    let has_top = all.iter().any(|segment| segment.top.is_some());
    if let Some(index) = source.mapping_at(top).filter(|_| !has_top) {
        let start = source.mappings[index].start;
        let end = source.end_of_memory(top).unwrap_or(top).min(top_end);
        all.push(Segment { start, first: start, end, top: Some(top), is_main: true });
    }
    all
}

/// A thread's arena has heaps, linked from the one with the top backwards.
fn thread_segments(
    source: &mut Source<'_>,
    found: &Found,
    at: &ArenaAt,
    top: u64,
    top_end: u64,
    glibc: &mut Glibc,
) -> Vec<Segment> {
    let layout = found.layout;
    let mut all: Vec<Segment> = Vec::new();
    let mut heap = top & !(HEAP_SPAN - 1);
    while heap != 0 && all.len() < MOST_HEAPS {
        let owner = source.distant(heap);
        let (previous, size) = source.pair(heap + 8).unwrap_or((0, 0));
        let is_seen = all.iter().any(|segment| segment.start == heap);
        let is_sound = owner == Some(at.address) && (OS_PAGE..=HEAP_SPAN).contains(&size);
        if !is_sound || is_seen || !heap.is_multiple_of(HEAP_SPAN) {
            glibc.torn += 1;
            glibc.problem.get_or_insert(format!("the heap at {heap:#x} is not the one its arena says"));
            break;
        }
        let is_first = heap + layout.heap_info == at.address;
        let first = if is_first { layout.first_chunk(at.address) } else { heap + layout.heap_info };
        let has_top = (heap..heap + size).contains(&top);
        let end = if has_top { top_end.clamp(heap, heap + size) } else { heap + size };
        all.push(Segment { start: heap, first, end, top: has_top.then_some(top), is_main: false });
        heap = previous;
    }
    all.sort_by_key(|segment| segment.start);
    all
}

/// What stands at an address.
enum Place {
    Chunk {
        size: u64,
        is_free: bool,
    },
    Top,
    /// The end of the segment, or of a part of it that somebody else's break follows.
    Fence,
    Nonsense,
}

impl Walk<'_, '_> {
    fn segment(&mut self, mut segment: Segment, arena: &ArenaAt) {
        self.account.own(segment.start & !(OS_PAGE - 1), segment.first);
        let mut at = segment.first;
        // Start of the free chunks that end where we are.
        let mut run: Option<u64> = None;
        let mut moves = 0;
        while at < segment.end {
            let mut place = self.place(at, &segment);
            if matches!(place, Place::Top) && moves < MOST_MOVES && self.top_moved(&mut segment, arena, at) {
                moves += 1;
                place = self.place(at, &segment);
            }
            match place {
                Place::Chunk { size, is_free: true } => {
                    run.get_or_insert(at);
                    at += size;
                }
                Place::Chunk { size, is_free: false } => {
                    self.end_run(&mut run, at);
                    self.in_use(at, size);
                    at += size;
                }
                Place::Top => {
                    let start = run.take().unwrap_or(at);
                    if segment.is_main {
                        self.account.top(start, segment.end, self.granule);
                    } else {
                        self.account.kept_top(start, segment.end);
                    }
                    at = segment.end;
                }
                Place::Fence if segment.end - at <= FENCE => {
                    self.end_run(&mut run, at);
                    self.account.own(at, segment.end);
                    at = segment.end;
                }
                Place::Fence | Place::Nonsense => {
                    self.end_run(&mut run, at);
                    at = self.skip(at, &segment, matches!(place, Place::Fence));
                }
            }
        }
        self.end_run(&mut run, at);
        // The rest of the last OS page is somebody else's.
        self.account.own(segment.end, segment.end.next_multiple_of(OS_PAGE));
    }

    fn end_run(&mut self, run: &mut Option<u64>, at: u64) {
        if let Some(start) = run.take() {
            self.account.free(start, at);
            self.glibc.gaps.add(at - start);
        }
    }

    fn in_use(&mut self, at: u64, size: u64) {
        self.account.live(at, size, &mut self.glibc.sizes);
        if size == self.layout.cache_chunk() && caches::may_be_one(self.source, self.layout, at) {
            self.caches.push(at);
        }
    }

    /// Looks at a place, again if it makes no sense.
    fn place(&mut self, at: u64, segment: &Segment) -> Place {
        for _ in 1..TRIES {
            match self.look(at, segment) {
                Place::Nonsense => self.source.refresh(),
                place => return place,
            }
        }
        self.look(at, segment)
    }

    fn look(&mut self, at: u64, segment: &Segment) -> Place {
        if segment.top == Some(at) {
            return Place::Top;
        }
        let known = self.source.chunk_word(at);
        let Some(word) = known.or_else(|| self.source.word(at + 8)) else { return Place::Nonsense };
        let size = word & !7;
        if size == HEADER || word == PREV_IN_USE {
            return Place::Fence;
        }
        let is_sound = size >= LEAST
            && size.is_multiple_of(16)
            && size <= segment.end - at
            && word & IS_MAPPED == 0
            && (!segment.is_main || word & NOT_MAIN == 0);
        if !is_sound {
            return Place::Nonsense;
        }
        if size <= FAST_LARGEST && self.fast.contains(at) {
            return Place::Chunk { size, is_free: true };
        }
        let next = at + size;
        if next == segment.end {
            return Place::Chunk { size, is_free: false };
        }
        // Chunks that are known beforehand are not in the middle of a change, for which the foot would be looked at.
        if let Some(word) = known.and_then(|_| self.source.chunk_word(next)) {
            return Place::Chunk { size, is_free: word & PREV_IN_USE == 0 };
        }
        let Some(pair) = self.source.slice(next, 16) else { return Place::Nonsense };
        let (foot, word) = (crate::heap::brkmap::number(pair, 0, 8), crate::heap::brkmap::number(pair, 8, 8));
        match word & PREV_IN_USE {
            0 if foot != size => Place::Nonsense,
            in_use => Place::Chunk { size, is_free: in_use == 0 },
        }
    }

    /// At the top as it was: where is it now? Tells whether it went up and the segment with it.
    fn top_moved(&mut self, segment: &mut Segment, arena: &ArenaAt, at: u64) -> bool {
        self.source.refresh();
        let Some(top) = self.source.distant(arena.address + self.layout.top).filter(|&top| top > at) else {
            return false;
        };
        let Some(end) = self.source.end_of_memory(at) else { return false };
        let limit = if segment.is_main { end } else { (at & !(HEAP_SPAN - 1)) + HEAP_SPAN }.min(end);
        if top >= limit {
            return false;
        }
        let Some((_, word)) = self.source.pair(top) else { return false };
        segment.top = Some(top);
        segment.end = top.saturating_add(word & !7).min(limit);
        true
    }

    /// Goes on behind a place that makes no sense; returns where.
    fn skip(&mut self, at: u64, segment: &Segment, is_fence: bool) -> u64 {
        // The heap grew after the page table was read: what is not resident by that is not looked at.
        let page = (at + HEADER - 1) & !(OS_PAGE - 1);
        if !is_fence && self.source.residency.resident((page + OS_PAGE).min(segment.end), segment.end) == 0 {
            self.account.unclear(at, segment.end);
            return segment.end;
        }
        let is_hopeless = self.glibc.torn >= MOST_TORN;
        let next = if is_hopeless { None } else { self.resume(at, segment) }.unwrap_or(segment.end);
        if is_fence {
            // Behind a fence on the break lies what the program itself got from `sbrk`.
            self.account.foreign(at, next);
        } else {
            self.glibc.torn += 1;
            self.glibc.problem.get_or_insert(format!("no chunk at {at:#x}, {} bytes skipped", next - at));
            self.account.unclear(at, next);
        }
        next
    }

    /// The next address from which chunks follow each other.
    fn resume(&mut self, at: u64, segment: &Segment) -> Option<u64> {
        let limit = segment.end.min(at.saturating_add(SEARCH));
        let mut candidate = at + HEADER;
        while candidate < limit {
            if !self.source.residency.is_resident(candidate) {
                candidate = (candidate + 1).next_multiple_of(OS_PAGE);
                continue;
            }
            if self.follows(candidate, segment) {
                return Some(candidate);
            }
            candidate += 16;
        }
        segment.top.filter(|&top| top > at)
    }

    fn follows(&mut self, mut at: u64, segment: &Segment) -> bool {
        for _ in 0..CHAIN {
            match self.look(at, segment) {
                Place::Chunk { size, .. } => at += size,
                Place::Top => return true,
                Place::Fence | Place::Nonsense => return false,
            }
        }
        true
    }
}
