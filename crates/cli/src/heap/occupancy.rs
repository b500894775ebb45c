//! Live bytes of each OS page of a heap, and the sizes of block that keep OS pages which are not full. Filled by the walks,
//! if they are asked for it.
//!
//! Invariant `[bounded]`: what a hostile heap claims costs at most [`MOST_TILES`] tiles.

use crate::proc::residency::OS_PAGE;
use std::collections::BTreeMap;

/// How closely a walk looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Sums over the heap.
    #[default]
    Sums,
    /// What lies on each OS page, too.
    OsPages,
}

impl Detail {
    /// An empty record, if one is wanted.
    pub(crate) fn record(self) -> Option<Occupancy> {
        (self == Detail::OsPages).then(Occupancy::default)
    }
}

/// OS pages of a tile.
const TILE: u64 = 256;
/// Tiles in all: 64 GiB of heap, 32 MiB of tables.
const MOST_TILES: usize = 1 << 16;
/// Marks an OS page of malloc's own tables.
const OWN: u16 = u16::MAX;

/// Blocks of one size, and the OS pages that they keep: resident ones with live bytes and free ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Sizes of block, smallest and largest.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Live blocks that lie, wholly or in part, on these OS pages.
    pub(crate) live_blocks: u64,
    pub(crate) os_pages: u64,
    /// Of these, the ones on which no other size has a live block.
    pub(crate) alone: u64,
}

impl Holder {
    /// Bytes that would come back if these blocks were not there.
    pub(crate) fn would_return(&self) -> u64 {
        self.alone * OS_PAGE
    }
}

/// What lies on an OS page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// So many live bytes; the rest is free.
    Live(u64),
    /// malloc's own tables.
    Own,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    tiles: BTreeMap<u64, Box<[u16; TILE as usize]>>,
    holders: BTreeMap<u64, Holder>,
    /// Whether the heap was too large for the record.
    pub(crate) is_cut: bool,
}

impl Occupancy {
    fn page(&mut self, page: u64) -> Option<&mut u16> {
        let (tile, index) = (page / TILE, (page % TILE) as usize);
        if self.tiles.len() >= MOST_TILES && !self.tiles.contains_key(&tile) {
            self.is_cut = true;
            return None;
        }
        let tile = self.tiles.entry(tile).or_insert_with(|| Box::new([0; TILE as usize]));
        Some(&mut tile[index])
    }

    fn each(&mut self, start: u64, end: u64, change: impl Fn(&mut u16, u16)) {
        let mut at = start;
        while at < end {
            let stop = end.min((at & !(OS_PAGE - 1)).saturating_add(OS_PAGE));
            let Some(page) = self.page(at / OS_PAGE) else { return };
            if *page != OWN {
                change(page, (stop - at) as u16);
            }
            at = stop;
        }
    }

    /// A live range on OS pages that are resident.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        self.each(start, end, |page, bytes| *page = page.saturating_add(bytes).min(OS_PAGE as u16));
    }

    /// A range that was added and turned out to be free.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        self.each(start, end, |page, bytes| *page = page.saturating_sub(bytes));
    }

    /// Tables of malloc itself.
    pub(crate) fn own(&mut self, start: u64, end: u64) {
        for page in start / OS_PAGE..end.div_ceil(OS_PAGE) {
            let Some(page) = self.page(page) else { return };
            *page = OWN;
        }
    }

    /// Blocks of equal size side by side from `start` on: one entry per block, `resident` one per OS page.
    pub(crate) fn add_blocks(&mut self, start: u64, size: u64, is_live: &[bool], resident: &[bool]) {
        for (index, _) in is_live.iter().enumerate().filter(|(_, is_live)| **is_live) {
            let (mut at, end) = (index as u64 * size, (index as u64 + 1) * size);
            while at < end {
                let page = at / OS_PAGE;
                let stop = end.min((page + 1) * OS_PAGE);
                if resident.get(page as usize) == Some(&true) {
                    self.add(start + at, start + stop);
                }
                at = stop;
            }
        }
    }

    /// Blocks that hold OS pages; those of one smallest size are summed.
    pub(crate) fn hold(&mut self, holder: &Holder) {
        let sum = self.holders.entry(holder.from).or_default();
        (sum.from, sum.to) = (holder.from, holder.to.max(sum.to));
        sum.live_blocks += holder.live_blocks;
        sum.os_pages += holder.os_pages;
        sum.alone += holder.alone;
    }

    /// What lies on the OS page at an address, if it is resident.
    pub(crate) fn at(&self, address: u64) -> Content {
        let page = address / OS_PAGE;
        match self.tiles.get(&(page / TILE)).map(|tile| tile[(page % TILE) as usize]) {
            Some(OWN) => Content::Own,
            live => Content::Live(u64::from(live.unwrap_or(0))),
        }
    }

    /// Sizes that hold OS pages, the smallest first.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.holders.values()
    }
}

/// Sizes up to here have a class of their own in steps of 16 bytes; larger ones share one with those of the same logarithm.
const STEPS: u64 = 1040;
const STEP: u64 = 16;
const CLASSES: usize = (STEPS / STEP) as usize + 1 + 64;

/// Blocks of mixed sizes, as a walk meets them from low to high addresses, OS page by OS page.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) occupancy: Occupancy,
    /// Blocks on the present OS page by class, and the classes that are there.
    counts: Box<[u32; CLASSES]>,
    present: Vec<usize>,
    /// Whether the last block, which may go on, was counted on an OS page before.
    is_counted: bool,
    holders: Box<[Holder; CLASSES]>,
}

fn class(size: u64) -> usize {
    match size {
        0..=STEPS => (size / STEP) as usize,
        _ => (STEPS / STEP) as usize + 1 + size.ilog2() as usize,
    }
}

fn sizes(class: usize) -> (u64, u64) {
    let steps = (STEPS / STEP) as usize;
    match class.checked_sub(steps + 1) {
        None => (class as u64 * STEP, class as u64 * STEP),
        Some(log) => ((1u64 << log).max(STEPS + STEP), u64::MAX >> (63 - log)),
    }
}

impl Recorder {
    pub(crate) fn new(occupancy: Occupancy) -> Recorder {
        let (counts, holders) = (Box::new([0; CLASSES]), Box::new([Holder::default(); CLASSES]));
        Recorder { occupancy, counts, present: Vec::new(), is_counted: false, holders }
    }

    /// A block of a size begins on the present OS page.
    pub(crate) fn begins(&mut self, size: u64) {
        self.is_counted = false;
        self.touches(size);
    }

    /// The last block, of this size, goes on on the present OS page.
    pub(crate) fn touches(&mut self, size: u64) {
        let class = class(size);
        if !self.present.contains(&class) {
            self.present.push(class);
        }
        self.counts[class] += u32::from(!self.is_counted);
    }

    /// The present OS page ends. `live` is what it has of live bytes; `None` if it is not resident.
    pub(crate) fn end_page(&mut self, page: u64, live: Option<u64>) {
        let is_sparse = live.is_some_and(|live| live > 0 && live < OS_PAGE);
        if let Some(live) = live {
            self.occupancy.add(page, page + live.min(OS_PAGE));
        }
        let is_alone = self.present.len() == 1;
        for class in self.present.drain(..) {
            let count = std::mem::take(&mut self.counts[class]);
            if is_sparse {
                let holder = &mut self.holders[class];
                holder.live_blocks += u64::from(count);
                holder.os_pages += 1;
                holder.alone += u64::from(is_alone);
            }
        }
        self.is_counted |= is_sparse;
    }

    /// The record, with everything entered.
    pub(crate) fn finish(mut self) -> Occupancy {
        for (class, holder) in self.holders.iter().enumerate().filter(|(_, holder)| holder.os_pages > 0) {
            let (from, to) = sizes(class);
            self.occupancy.hold(&Holder { from, to, ..*holder });
        }
        self.occupancy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_bytes_are_kept_by_os_page() {
        let mut all = Occupancy::default();
        all.add(0x1f00, 0x3100);
        assert_eq!([0x1000, 0x2000, 0x3000, 0x4000].map(|at| all.at(at)), [0x100, 0x1000, 0x100, 0].map(Content::Live));
        all.remove(0x1f80, 0x2010);
        assert_eq!([all.at(0x1fff), all.at(0x2000)], [0x80, 0xff0].map(Content::Live));
        all.add(0x2000, 0x3000);
        assert_eq!(all.at(0x2abc), Content::Live(OS_PAGE), "never more than there is");
        all.own(0x3000, 0x3001);
        all.add(0x3000, 0x4000);
        assert_eq!(all.at(0x3000), Content::Own);
        all.add(u64::MAX - 5, u64::MAX);
    }

    #[test]
    fn a_heap_beyond_all_bounds_is_cut() {
        let mut all = Occupancy::default();
        for tile in 0..MOST_TILES as u64 + 8 {
            all.add(tile * TILE * OS_PAGE, tile * TILE * OS_PAGE + 1);
        }
        assert!(all.is_cut);
        assert_eq!(all.tiles.len(), MOST_TILES);
    }

    #[test]
    fn equal_blocks_count_where_their_os_pages_are_resident() {
        let mut all = Occupancy::default();
        all.add_blocks(0x10000, 3000, &[false, true, true], &[true, false, true]);
        assert_eq!(all.at(0x10000), Content::Live(1096));
        assert_eq!(all.at(0x11000), Content::Live(0));
        assert_eq!(all.at(0x12000), Content::Live(9000 - 8192));
    }

    #[test]
    fn holders_are_blocks_on_sparse_os_pages_each_counted_once() {
        let mut recorder = Recorder::new(Occupancy::default());
        // One block of 32 and one of 5000 that goes on over two OS pages, the last of them its own.
        recorder.begins(32);
        recorder.begins(5000);
        recorder.end_page(0x1000, Some(2000));
        recorder.touches(5000);
        recorder.end_page(0x2000, Some(OS_PAGE));
        recorder.touches(5000);
        recorder.end_page(0x3000, Some(10));
        // A full OS page holds nothing, and one that is not resident neither.
        recorder.begins(32);
        recorder.end_page(0x4000, Some(OS_PAGE));
        recorder.begins(48);
        recorder.end_page(0x5000, None);
        let occupancy = recorder.finish();
        let all: Vec<_> = occupancy.holders().map(|h| (h.from, h.live_blocks, h.os_pages, h.alone)).collect();
        assert_eq!(all, [(32, 1, 1, 0), (4096, 1, 2, 1)]);
        assert_eq!(occupancy.holders().map(Holder::would_return).sum::<u64>(), OS_PAGE);
        assert_eq!(occupancy.at(0x5000), Content::Live(0));
    }

    #[test]
    fn classes_cover_all_sizes_in_order() {
        let mut last = 0;
        for size in (16..4096).step_by(16).chain([8192, 1 << 20, 1 << 40, u64::MAX & !15]) {
            let (from, to) = sizes(class(size));
            assert!((from..=to).contains(&size) && from >= last, "{size}: {from} to {to}");
            last = from;
        }
    }
}
