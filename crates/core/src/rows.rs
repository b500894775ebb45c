//! Rows of the statistics: by size class, by heap.

use core::sync::atomic::Ordering::Relaxed;

use crate::classes::{CAPACITY, CLASSES, SIZES};
use crate::engine::{Engine, Platform};
use crate::heap::{Heap, Origin};
use crate::lifecycle::ACTIVE;
use crate::pieces::Kind;
use crate::stats::PageCount;

/// The pages of one size class, in bytes unless a line says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassRow {
    /// A block.
    pub size: u64,
    /// The pages of the class.
    pub pages: u64,
    /// Live blocks, a number.
    pub blocks: u64,
    /// Live blocks.
    pub live: u64,
    /// All other blocks of these pages, those among them that were never used; `live + free` is `pages` less the ends of
    /// pages in which no block fits.
    pub free: u64,
    /// The part of `free` in threads' lists.
    pub thread_cache: u64,
}

/// One heap, in bytes unless a line says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapRow {
    /// Id of the thread that has it; 0: no thread has it.
    pub thread: u64,
    /// Its pages lie on the program break first.
    pub is_on_break: bool,
    /// Its pages.
    pub pages: u64,
    /// Live blocks in them, a number.
    pub blocks: u64,
    /// Live blocks in them.
    pub live: u64,
    /// Free blocks of them in threads' lists.
    pub thread_cache: u64,
}

/// Heaps that one walk counts.
pub const HEAP_BATCH: usize = 32;

impl<P: Platform> Engine<P> {
    /// The rows of all size classes. Runs and direct mappings belong to none.
    pub fn class_rows(&self, rows: &mut [ClassRow; CLASSES]) {
        self.start();
        for (class, row) in rows.iter_mut().enumerate() {
            *row = ClassRow { size: SIZES[class] as u64, ..ClassRow::default() };
        }
        self.with_spans(|spans| {
            self.each_piece(spans, |piece| {
                if let Kind::Page(page, _) = piece.kind {
                    let (class, count) = (page.class(), PageCount::of(page));
                    let row = &mut rows[class];
                    row.pages += piece.bytes as u64;
                    row.blocks += count.live as u64;
                    row.live += (count.live * count.size) as u64;
                    row.free += ((CAPACITY[class] as usize - count.live) * count.size) as u64;
                    row.thread_cache += count.cached as u64;
                }
            });
        });
    }

    /// Number of heaps. It only grows: heaps are numbered in the order in which they were made.
    pub fn heap_count(&self) -> usize {
        self.start();
        self.all_heaps().count()
    }

    /// The rows of the heaps from number `first` on; how many of them there are.
    pub fn heap_rows(&self, first: usize, rows: &mut [HeapRow; HEAP_BATCH]) -> usize {
        self.start();
        // The newest comes first in the list, so the oldest, which has number 0, is the last of it.
        let list = self.all_heaps();
        let heaps = list.clone().count();
        let mut owners = [0usize; HEAP_BATCH];
        let mut count = 0;
        for (place, heap) in list.enumerate() {
            let number = heaps - 1 - place;
            if (first..first + HEAP_BATCH).contains(&number) {
                owners[number - first] = heap.owner_word();
                rows[number - first] = HeapRow::of(heap);
                count += 1;
            }
        }
        self.with_spans(|spans| {
            self.each_piece(spans, |piece| {
                if let Kind::Page(page, owner) = piece.kind
                    && let Some(at) = owners[..count].iter().position(|&word| word == owner)
                {
                    let blocks = PageCount::of(page);
                    let row = &mut rows[at];
                    row.pages += piece.bytes as u64;
                    row.blocks += blocks.live as u64;
                    row.live += (blocks.live * blocks.size) as u64;
                    row.thread_cache += blocks.cached as u64;
                }
            });
        });
        count
    }
}

impl HeapRow {
    fn of(heap: &Heap) -> HeapRow {
        let is_active = heap.lifecycle.now() == ACTIVE;
        HeapRow {
            thread: if is_active { heap.thread.load(Relaxed) as u64 } else { 0 },
            is_on_break: heap.origin() == Origin::Break,
            ..HeapRow::default()
        }
    }
}
