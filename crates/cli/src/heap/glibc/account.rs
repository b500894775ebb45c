//! Adds up one arena, OS page by OS page, as the walk passes over it from low to high addresses.

use super::Figures;
use super::layout::CHUNK_STRUCT;
use crate::heap::occupancy::{Occupancy, Recorder};
use crate::proc::residency::{OS_PAGE, Residency, Stretch};

/// Bytes of a live chunk that are malloc's.
const OWN: u64 = 8;
/// Chunk sizes up to here are counted one by one.
const SMALL: u64 = 1040;

/// Chunks by size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Number of chunks of 16 × index bytes.
    small: Vec<u64>,
    /// Number and bytes of larger ones, by the logarithm of their size.
    large: Vec<(u64, u64)>,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { small: vec![0; (SMALL / 16 + 1) as usize], large: vec![(0, 0); 64] }
    }
}

impl Sizes {
    /// Enters a chunk.
    pub(super) fn add(&mut self, size: u64) {
        if size <= SMALL {
            self.small[(size / 16) as usize] += 1;
        } else {
            let (count, bytes) = &mut self.large[size.ilog2() as usize];
            *count += 1;
            *bytes += size;
        }
    }

    /// The classes that have chunks, by size: chunk sizes from and to, how many, bytes.
    pub(crate) fn classes(&self) -> Vec<(u64, u64, u64, u64)> {
        let equal = |(index, &count): (usize, &u64)| {
            let size = index as u64 * 16;
            (size, size, count, count * size)
        };
        let similar = |(log, &(count, bytes)): (usize, &(u64, u64))| (1 << log, u64::MAX >> (63 - log), count, bytes);
        let small = self.small.iter().enumerate().map(equal);
        let large = self.large.iter().enumerate().map(similar);
        small.chain(large).filter(|class| class.2 > 0).collect()
    }

    /// The class with the most bytes.
    pub(crate) fn largest(&self) -> Option<(u64, u64, u64, u64)> {
        self.classes().into_iter().max_by_key(|class| class.3)
    }
}

/// A gap between live chunks.
#[derive(Clone, Copy, Default)]
struct Gap {
    /// What a trim would return of it.
    returnable: u64,
    /// Live and free bytes below it.
    live_before: u64,
    free_before: u64,
}

/// What a stretch of address space is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Live,
    Own,
    Free,
    Unclear,
    Foreign,
}

/// Number of uses.
const USES: usize = 5;

/// See the module.
pub(super) struct Account<'a> {
    residency: &'a Residency,
    pub(super) figures: Figures,
    page: u64,
    /// Bytes of the OS page at `page`, by use.
    on_page: [u64; USES],
    /// Live and free bytes passed, and the largest gap among them.
    live: u64,
    free: u64,
    gap: Gap,
    /// Filled if somebody wants to know what lies on each OS page; with the size of the live chunk that is passed.
    recorder: Option<Recorder>,
    size: u64,
}

impl<'a> Account<'a> {
    pub(super) fn new(residency: &'a Residency, occupancy: Option<Occupancy>) -> Self {
        let (figures, on_page) = (Figures::default(), [0; USES]);
        let recorder = occupancy.map(Recorder::new);
        Account { residency, figures, page: 0, on_page, live: 0, free: 0, gap: Gap::default(), recorder, size: 0 }
    }

    /// A chunk that is in use.
    pub(super) fn live(&mut self, at: u64, size: u64, sizes: &mut Sizes) {
        self.figures.live_blocks += 1;
        self.live += size;
        sizes.add(size);
        let page = at & !(OS_PAGE - 1);
        if self.recorder.is_some() {
            self.record(at, size);
        } else if page == self.page && at + size <= page + OS_PAGE {
            self.on_page[Use::Live as usize] += size;
        } else {
            self.spread(at, at + size, Use::Live);
        }
    }

    /// An arena's own structure.
    pub(super) fn own(&mut self, start: u64, end: u64) {
        self.spread(start, end, Use::Own);
    }

    /// Bytes whose use could not be made out.
    pub(super) fn unclear(&mut self, start: u64, end: u64) {
        self.spread(start, end, Use::Unclear);
    }

    /// Memory on the break that the program itself asked for.
    pub(super) fn foreign(&mut self, start: u64, end: u64) {
        self.spread(start, end, Use::Foreign);
    }

    /// Free chunks side by side, as a trim would find them merged.
    pub(super) fn free(&mut self, start: u64, end: u64) {
        self.figures.free_chunks += 1;
        self.figures.largest_free = self.figures.largest_free.max(end - start);
        let first = (start + CHUNK_STRUCT).next_multiple_of(OS_PAGE);
        let last = end & !(OS_PAGE - 1);
        let (free_before, before) = (self.free, self.figures.returnable);
        if end - start >= OS_PAGE + CHUNK_STRUCT && first < last {
            self.spread(start, first, Use::Free);
            self.give_back(first, last);
            self.spread(last, end, Use::Free);
        } else {
            self.spread(start, end, Use::Free);
        }
        let returnable = self.figures.returnable - before;
        if returnable > self.gap.returnable {
            self.gap = Gap { returnable, live_before: self.live, free_before };
        }
    }

    /// The top chunk of the main arena, free chunks in front of it included. `granule` is what the break moves by.
    pub(super) fn top(&mut self, start: u64, end: u64, granule: u64) {
        // `systrim` keeps MINSIZE + 1 bytes.
        let extra = (end - start).saturating_sub(33) / granule * granule;
        self.spread(start, end - extra, Use::Free);
        if extra > 0 {
            self.give_back(end - extra, end);
        }
    }

    /// The top chunk of a thread's arena.
    pub(super) fn kept_top(&mut self, start: u64, end: u64) {
        let first = start.next_multiple_of(OS_PAGE).min(end);
        self.spread(start, first, Use::Free);
        self.flush();
        self.figures.kept_top += self.residency.resident(first, end);
    }

    fn give_back(&mut self, start: u64, end: u64) {
        self.flush();
        let resident = self.residency.resident(start, end);
        self.figures.returnable += resident;
        self.free += resident;
        self.page = end & !(OS_PAGE - 1);
    }

    /// Shares a range out over its OS pages.
    fn spread(&mut self, start: u64, end: u64, what: Use) {
        let mut at = start;
        while at < end {
            let page = at & !(OS_PAGE - 1);
            if page != self.page {
                self.flush();
                self.page = page;
            }
            let whole = end & !(OS_PAGE - 1);
            if at == page && whole > page + OS_PAGE && self.on_page == [0; USES] {
                let resident = self.residency.resident(page, whole);
                self.enter(what, resident);
                if what == Use::Live {
                    self.figures.floor += resident;
                    self.record_whole(page, whole);
                }
                at = whole;
            } else {
                let stop = end.min(page + OS_PAGE);
                if let (Some(recorder), Use::Live, true) = (&mut self.recorder, what, at > start) {
                    recorder.touches(self.size);
                }
                self.on_page[what as usize] += stop - at;
                at = stop;
            }
        }
    }

    fn enter(&mut self, what: Use, bytes: u64) {
        match what {
            Use::Live => self.figures.live += bytes,
            Use::Own => self.figures.metadata += bytes,
            Use::Unclear => self.figures.unclear += bytes,
            Use::Foreign => self.figures.foreign += bytes,
            Use::Free => {
                self.figures.pinned += bytes;
                self.free += bytes;
            }
        }
    }

    /// Enters the present OS page.
    fn flush(&mut self) {
        let on_page = std::mem::take(&mut self.on_page);
        if let Some(recorder) = &mut self.recorder {
            let is_resident = self.residency.is_resident(self.page);
            recorder.end_page(self.page, is_resident.then_some(on_page[Use::Live as usize]));
        }
        if on_page == [0; USES] || !self.residency.is_resident(self.page) {
            return;
        }
        for what in [Use::Live, Use::Own, Use::Free, Use::Unclear, Use::Foreign] {
            self.enter(what, on_page[what as usize]);
        }
        if on_page[Use::Live as usize] > 0 {
            self.figures.floor += OS_PAGE;
        }
    }

    /// A live chunk, with what it does to the OS pages that it lies on.
    fn record(&mut self, at: u64, size: u64) {
        if at & !(OS_PAGE - 1) != self.page {
            self.flush();
            self.page = at & !(OS_PAGE - 1);
        }
        self.size = size;
        if let Some(recorder) = &mut self.recorder {
            recorder.begins(size);
        }
        self.spread(at, at + size, Use::Live);
    }

    /// OS pages that a live chunk has for itself.
    fn record_whole(&mut self, start: u64, end: u64) {
        if let Some(recorder) = &mut self.recorder {
            for stretch in self.residency.within(start, end).filter(Stretch::is_resident) {
                recorder.occupancy.add(stretch.start, stretch.end);
            }
        }
    }

    /// The figures of the whole arena, and the record.
    pub(super) fn finish(mut self) -> (Figures, Option<Occupancy>) {
        self.flush();
        let headers = (self.figures.live_blocks * OWN).min(self.figures.live);
        self.figures.live -= headers;
        self.figures.headers = headers;
        // The largest gap, if it has most of what is free and only few bytes above it keep it and what else is free there from going back.
        let (above, free) = (self.live - self.gap.live_before, self.free - self.gap.free_before);
        let is_one = self.gap.returnable * 2 >= self.figures.returnable;
        if is_one && above > 0 && above <= (free / 64).max(64 << 10) {
            (self.figures.under_top, self.figures.holding_top) = (free, above);
        }
        (self.figures, self.recorder.map(Recorder::finish))
    }
}
