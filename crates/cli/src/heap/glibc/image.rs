//! Processes that do not exist: libc's data, a break heap, a thread's heap and a mapped block, laid out as one of the known
//! versions would, for tests. It is also how versions are tested of which no package is at hand.

use super::layout::{BINS, Counts, IS_MAPPED, Layout, NOT_MAIN, PREV_IN_USE};
use crate::heap::Memory;
use crate::proc::residency::{OS_PAGE, Residency, Stretch, category};
use crate::proc::smaps::Mapping;
use std::io;

pub(super) const DATA: u64 = 0x7f00_0000_0000;
const MAIN: u64 = DATA + 0x1000;
const BREAK_WORD: u64 = DATA + 0x800;
pub(super) const HEAP: u64 = 0x5555_5000_0000;
pub(super) const HEAP_BYTES: u64 = 64 * OS_PAGE;
pub(super) const THREAD_HEAP: u64 = 0x7e00_0000_0000;
const THREAD_BYTES: u64 = 0x21000;
pub(super) const BLOCK: u64 = 0x7f10_0000_0000;
pub(super) const BLOCK_BYTES: u64 = 0x40000;

/// What a chunk of the image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Used(u64),
    Free(u64),
    /// On a list of small free chunks; in use where there are none.
    Fast(u64),
    /// In the cache of the arena's thread.
    Cached(u64),
}

/// See the module.
pub(super) struct Image {
    pub(super) mappings: Vec<Mapping>,
    segments: Vec<Vec<u8>>,
    pub(super) residency: Residency,
}

impl Memory for Image {
    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        for (mapping, segment) in self.mappings.iter().zip(&self.segments) {
            if address >= mapping.start && address + out.len() as u64 <= mapping.end {
                let at = (address - mapping.start) as usize;
                out.copy_from_slice(&segment[at..at + out.len()]);
                return Ok(());
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Image {
    /// A main arena and a thread's arena, each with these chunks, and a block with a mapping of its own.
    pub(super) fn new(layout: &Layout, main: &[Piece], thread: &[Piece]) -> Image {
        let mut image = Image { mappings: Vec::new(), segments: Vec::new(), residency: Residency::default() };
        image.map(HEAP, HEAP_BYTES, 0, "[heap]");
        image.map(THREAD_HEAP, THREAD_BYTES, 0, "");
        image.map(DATA, 0x4000, 7, "/lib/x86_64-linux-gnu/libc.so.6");
        image.map(BLOCK, BLOCK_BYTES, 0, "");
        let arena = THREAD_HEAP + layout.heap_info;
        for (address, next) in [(MAIN, arena), (arena, MAIN)] {
            for bin in 0..BINS {
                let at = address + layout.bins + bin * 16;
                image.words(at, &[at - 16, at - 16]);
            }
            image.words(address + layout.next, &[next]);
        }
        image.words(THREAD_HEAP, &[arena, 0, THREAD_BYTES, THREAD_BYTES]);
        image.fill(layout, MAIN, HEAP, HEAP + HEAP_BYTES, 0, main);
        let first = layout.first_chunk(arena);
        image.fill(layout, arena, first, THREAD_HEAP + THREAD_BYTES, NOT_MAIN, thread);
        image.words(BLOCK, &[0, (BLOCK_BYTES - layout.mapped_more) | IS_MAPPED]);
        image.parameters(layout);
        image
    }

    fn parameters(&mut self, layout: &Layout) {
        let params = &layout.params;
        let most = if layout.cache_counts == Counts::Held { 7 } else { 16 };
        self.words(BREAK_WORD - 16, &[BLOCK_BYTES, BLOCK_BYTES, HEAP, 64, 0x408, most]);
        for (before, value) in [
            (params.trim_threshold, 0x30000u64),
            (params.top_pad, 0x20000),
            (params.mmap_threshold, 0x18000),
            (params.arena_max, 3),
        ] {
            self.words(BREAK_WORD - before, &[value]);
        }
        self.put(BREAK_WORD - params.mapped_count, &1u32.to_le_bytes());
        self.put(BREAK_WORD - params.mapped_most, &65536u32.to_le_bytes());
    }

    /// Fills a segment with a cache, the chunks, and a top chunk, and enters them with their arena.
    fn fill(&mut self, layout: &Layout, arena: u64, first: u64, end: u64, flags: u64, pieces: &[Piece]) {
        let cache = first;
        let mut at = first;
        let mut in_use = PREV_IN_USE;
        let mut counts = vec![if layout.cache_counts == Counts::Held { 0u16 } else { 16 }; layout.cache_lists as usize];
        let mut fast_heads = [0; 10];
        let heads = cache + 16 + layout.cache_heads();
        let with_cache = [Piece::Used(layout.cache_chunk())].into_iter().chain(pieces.iter().copied());
        for piece in with_cache {
            let (Piece::Used(size) | Piece::Free(size) | Piece::Fast(size) | Piece::Cached(size)) = piece;
            self.words(at + 8, &[size | flags | in_use]);
            in_use = PREV_IN_USE;
            match piece {
                Piece::Used(_) => {}
                Piece::Free(_) => {
                    self.words(at + 8, &[size | PREV_IN_USE]);
                    let bin = arena + layout.bins;
                    self.words(at + 16, &[bin - 16, bin - 16]);
                    self.words(bin, &[at, at]);
                    self.words(at + size, &[size]);
                    in_use = 0;
                }
                Piece::Fast(_) => {
                    let head = &mut fast_heads[(size / 16 - 2) as usize];
                    let link = layout.link(at + 16, *head);
                    *head = at;
                    self.words(at + 16, &[link]);
                }
                Piece::Cached(_) => {
                    let list = size / 16 - 2;
                    let mut head = [0; 8];
                    self.read(heads + list * 8, &mut head).unwrap();
                    let link = layout.link(at + 16, u64::from_le_bytes(head));
                    self.words(at + 16, &[link]);
                    self.words(heads + list * 8, &[at + 16]);
                    let count = &mut counts[list as usize];
                    *count = if layout.cache_counts == Counts::Held { *count + 1 } else { *count - 1 };
                }
            }
            at += size;
        }
        for (list, count) in counts.iter().enumerate() {
            self.put(cache + 16 + list as u64 * 2, &count.to_le_bytes());
        }
        self.words(at + 8, &[(end - at) | in_use]);
        self.words(arena + layout.top, &[at]);
        let system = end & !(OS_PAGE - 1);
        self.words(arena + layout.system, &[system - (first & !(OS_PAGE - 1)), 1 << 40]);
        if let Some(fast) = layout.fast {
            self.words(arena + fast, &fast_heads);
        }
    }

    fn map(&mut self, start: u64, bytes: u64, inode: u64, name: &str) {
        let (end, name) = (start + bytes, name.to_owned());
        let (readable, writable, private) = (true, true, true);
        let rss = bytes;
        self.mappings.push(Mapping { start, end, readable, writable, private, inode, name, rss, ..Mapping::default() });
        self.segments.push(vec![0; bytes as usize]);
        self.residency.push(Stretch { start, end, categories: category::PRESENT });
    }

    /// Writes memory.
    pub(super) fn put(&mut self, address: u64, bytes: &[u8]) {
        let index = self.mappings.iter().position(|m| address >= m.start && address < m.end).unwrap();
        let at = (address - self.mappings[index].start) as usize;
        self.segments[index][at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes words.
    pub(super) fn words(&mut self, address: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            self.put(address + index as u64 * 8, &word.to_le_bytes());
        }
    }

    /// Flips one bit of a segment.
    pub(super) fn flip(&mut self, segment: usize, at: u64, bit: u32) {
        let bytes = &mut self.segments[segment];
        let at = at as usize % bytes.len();
        bytes[at] ^= 1 << bit;
    }
}
