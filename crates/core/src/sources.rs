//! Where slices come from: the program break, mapped regions; and where the engine's own records lie.
//!
//! The break follows four rules, each learnt from a crash. (1) It moves through libc's `sbrk`, so that libc's cached
//! break and the kernel's agree. (2) The kernel reports no errno for `brk`: only "result equals request" is success, and
//! anything else closes the source for good; regions take over. (3) What somebody else put between our ends is skipped
//! and never given back. (4) Holes in the middle go back by `madvise`, never by `munmap`.

use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::{Kernel, Purpose};
use brkmap_wire::Counter;

use crate::engine::{Engine, Platform};
use crate::geometry::{SLICE, round_up, slice_of};
use crate::heap::Origin;
use crate::huge::CHUNK;
use crate::policy;
use crate::spans::Spans;

/// The break as we left it.
pub(crate) struct BreakSource {
    /// Where our last move put it; 0 = never moved.
    pub(crate) end: usize,
    /// First byte of the part that ends at `end` without a foreign piece: the trim stops here.
    pub(crate) floor: usize,
    /// Bytes we own.
    pub(crate) held: usize,
    /// Refused once: never tried again.
    pub(crate) closed: bool,
}

/// Regions: mappings that many blocks share.
pub(crate) struct RegionSource {
    /// Start of the last one; the next is asked for right below, so that the kernel merges them.
    low: usize,
    held: usize,
}

/// The arena of the engine's records: heaps and state tables, bumped, never returned.
pub(crate) struct MetadataSource {
    cursor: usize,
    end: usize,
    /// The newest arena; each starts with {next, bytes}.
    pub(crate) head: usize,
}

/// Bytes of a metadata arena.
const ARENA: usize = 256 << 10;
/// Mappings that get a name.
const LABELS: u64 = 8;

/// How far below the first arena of records regions are asked for: the room where a process grows by mappings of all kinds
/// stays free for these, and each region can lie next to the last one. To the kernel they are one mapping then.
const AWAY: usize = 64 << 30;

impl BreakSource {
    pub(crate) const fn new() -> Self {
        BreakSource { end: 0, floor: 0, held: 0, closed: false }
    }
}

impl RegionSource {
    pub(crate) const fn new() -> Self {
        RegionSource { low: 0, held: 0 }
    }
}

impl MetadataSource {
    pub(crate) const fn new() -> Self {
        MetadataSource { cursor: 0, end: 0, head: 0 }
    }
}

impl<P: Platform> Engine<P> {
    /// Moves the break up by at least `slices` slices.
    pub(crate) fn grow_break(&self, spans: &mut Spans, slices: usize) -> bool {
        let need = slices * SLICE;
        let ahead = policy::break_step(need, spans.brk.held, self.tunables.top_pad.load(Relaxed));
        // A refusal far out may be a limit that a smaller step still fits under.
        self.move_break_up(spans, need, ahead) || (ahead > need && self.move_break_up(spans, need, need)) || {
            spans.brk.closed = true;
            self.count(Counter::BreakRefused, 1);
            false
        }
    }

    fn move_break_up(&self, spans: &mut Spans, need: usize, ahead: usize) -> bool {
        if spans.brk.closed {
            return false;
        }
        let Some(now) = self.kernel().program_break() else { return false };
        let Some(end) = now.checked_add(ahead).and_then(|end| round_up(end, SLICE)) else { return false };
        // Whole slices from the first boundary on; the alignment gap is lost once, at the start.
        let Some(first) = round_up(now, SLICE) else { return false };
        let mut end = end.max(first + need);
        if ahead > need && self.grows_huge(need) {
            end = round_up(end, CHUNK).unwrap_or(end);
        }
        let Ok(delta) = isize::try_from(end - now) else { return false };
        // SAFETY: growing drops nothing; calls are serialised by the store's lock.
        let Some(old) = (unsafe { self.kernel().move_break(now, delta) }) else { return false };
        self.count(Counter::BreakGrow, 1);
        self.count(Counter::BreakGrowBytes, delta as u64);
        let end = old + delta as usize;
        let Some(first) = round_up(old, SLICE) else { return false };
        if old != spans.brk.end {
            // The first move, or a foreign piece in between: what lies below is no longer ours to trim from here.
            spans.brk.floor = first;
        }
        spans.brk.end = end;
        spans.top_since = 0;
        let count = end.saturating_sub(first) / SLICE;
        if count == 0 || !self.own_slices(spans, slice_of(first), count, Origin::Break) {
            return false;
        }
        spans.brk.held += count * SLICE;
        self.advise_growth(spans, need, first, first + count * SLICE);
        count * SLICE >= need
    }

    /// Maps a region of at least `slices` slices; a smaller one than hoped for where the kernel refuses.
    pub(crate) fn grow_regions(&self, spans: &mut Spans, slices: usize) -> bool {
        let need = slices * SLICE;
        let mut bytes = policy::region_step(need, spans.regions.held);
        loop {
            if let Some(start) = self.map_aligned_region(spans, bytes) {
                if !self.own_slices(spans, slice_of(start), bytes / SLICE, Origin::Region) {
                    return false;
                }
                spans.regions.held += bytes;
                self.advise_growth(spans, need, start, start + bytes);
                return true;
            }
            self.count(Counter::MapRefused, 1);
            if bytes == need {
                return false;
            }
            bytes = (bytes / 2).next_multiple_of(SLICE).max(need);
        }
    }

    /// Maps `bytes` (whole slices) at a slice boundary, next to the last region if that is free.
    fn map_aligned_region(&self, spans: &mut Spans, bytes: usize) -> Option<usize> {
        let kernel = self.kernel();
        if spans.regions.low > bytes {
            let start = kernel.map(spans.regions.low - bytes, bytes, Purpose::Region)?;
            if start.addr().get() % SLICE == 0 {
                return Some(self.note_region(spans, start, bytes));
            }
            // SAFETY: just mapped, nobody knows it.
            unsafe { kernel.unmap(start, bytes) };
        }
        let padded = bytes + SLICE;
        let away = if spans.regions.low == 0 { spans.metadata.head.saturating_sub(AWAY) } else { 0 };
        let start = kernel.map(away, padded, Purpose::Region)?;
        let lead = start.addr().get().next_multiple_of(SLICE) - start.addr().get();
        // SAFETY: the parts in front of and behind the aligned range belong to the mapping just made and are unused. If
        // the kernel refuses, untouched address space is lost, no memory.
        unsafe {
            let aligned = start.add(lead);
            if lead > 0 {
                kernel.unmap(start, lead);
            }
            kernel.unmap(aligned.add(bytes), SLICE - lead);
            Some(self.note_region(spans, aligned, bytes))
        }
    }

    fn note_region(&self, spans: &mut Spans, start: NonNull<u8>, bytes: usize) -> usize {
        self.label(start, bytes, c"brkmap region");
        self.count(Counter::MapRegion, 1);
        self.count(Counter::MapRegionBytes, bytes as u64);
        spans.regions.low = start.expose_provenance().get();
        spans.regions.low
    }

    /// Names a mapping, if it is one of the first. A name is a comfort, and a program may have put a filter in force since
    /// then that ends it for a call it does not know.
    fn label(&self, start: NonNull<u8>, bytes: usize, name: &'static CStr) {
        if self.counter(Counter::MapRegion) + self.counter(Counter::MapMetadata) < LABELS {
            self.kernel().name(start, bytes, name);
        }
    }

    /// Maps zeros for the engine's own records, for good.
    pub(crate) fn map_metadata(&self, _spans: &mut Spans, bytes: usize) -> Option<NonNull<u8>> {
        let bytes = round_up(bytes, self.os_page.load(Relaxed))?;
        let Some(memory) = self.kernel().map(0, bytes, Purpose::Metadata) else {
            self.count(Counter::MapRefused, 1);
            return None;
        };
        self.label(memory, bytes, c"brkmap metadata");
        self.count(Counter::MapMetadata, 1);
        self.count(Counter::MapMetadataBytes, bytes as u64);
        let _ = memory.expose_provenance();
        Some(memory)
    }

    /// Visits the metadata arenas: address and bytes of each.
    pub(crate) fn each_arena(&self, spans: &Spans, mut visit: impl FnMut(usize, usize)) {
        let mut next = spans.metadata.head;
        while next != 0 {
            // SAFETY: an arena of ours, never unmapped; it starts with its header.
            let [behind, bytes] = unsafe { core::ptr::with_exposed_provenance::<[usize; 2]>(next).read() };
            visit(next, bytes);
            next = behind;
        }
    }

    /// Bumps `bytes` of zeros off the metadata arena.
    pub(crate) fn bump_metadata(&self, spans: &mut Spans, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let mut start = spans.metadata.cursor.next_multiple_of(align);
        if spans.metadata.head == 0 || start + bytes > spans.metadata.end {
            let arena = self.map_metadata(spans, ARENA)?;
            let header = arena.cast::<[usize; 2]>();
            // SAFETY: fresh, page-aligned memory of ARENA bytes.
            unsafe { header.write([spans.metadata.head, ARENA]) };
            spans.metadata.head = arena.addr().get();
            spans.metadata.end = spans.metadata.head + ARENA;
            start = (spans.metadata.head + 16).next_multiple_of(align);
        }
        spans.metadata.cursor = start + bytes;
        NonNull::new(core::ptr::with_exposed_provenance_mut(start))
    }
}
