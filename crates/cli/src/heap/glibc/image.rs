//! Processes that do not exist: libc's data, a break heap, a thread's heap and a mapped block, laid out as one of the known
//! versions would, for tests. It is also how versions are tested of which no package is at hand.

use super::chain::Chain;
use super::layout::{BINS, Counts, IS_MAPPED, Layout, NOT_MAIN, PREV_IN_USE};
use crate::heap::Memory;
use crate::heap::image::Space;
use crate::proc::residency::{OS_PAGE, Residency, Stretch, category};
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
    pub(super) space: Space,
    pub(super) residency: Residency,
    /// What is known of its chunks beforehand.
    pub(super) chain: Chain,
}

impl std::ops::Deref for Image {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.space
    }
}

impl std::ops::DerefMut for Image {
    fn deref_mut(&mut self) -> &mut Space {
        &mut self.space
    }
}

impl Memory for Image {
    fn chunk_word(&self, address: u64) -> Option<u64> {
        self.chain.word(address)
    }

    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        self.space.read(address, out)
    }
}

impl Image {
    /// A main arena and a thread's arena, each with these chunks, and a block with a mapping of its own.
    pub(super) fn new(layout: &Layout, main: &[Piece], thread: &[Piece]) -> Image {
        Image::sized(layout, main, thread, HEAP_BYTES, THREAD_BYTES, BLOCK_BYTES)
    }

    /// The same with as little memory as the chunks need.
    pub(super) fn small(layout: &Layout, main: &[Piece], thread: &[Piece]) -> Image {
        Image::sized(layout, main, thread, 12 * OS_PAGE, 12 * OS_PAGE, 2 * OS_PAGE)
    }

    fn sized(layout: &Layout, main: &[Piece], thread: &[Piece], heap: u64, thread_heap: u64, block: u64) -> Image {
        let mut image = Image { space: Space::default(), residency: Residency::default(), chain: Chain::default() };
        image.map_resident(HEAP, heap, 0, "[heap]");
        image.map_resident(THREAD_HEAP, thread_heap, 0, "");
        image.map_resident(DATA, 0x2000, 7, "/lib/x86_64-linux-gnu/libc.so.6");
        image.map_resident(BLOCK, block, 0, "");
        let arena = THREAD_HEAP + layout.heap_info;
        for (address, next) in [(MAIN, arena), (arena, MAIN)] {
            for bin in 0..BINS {
                let at = address + layout.bins + bin * 16;
                image.words(at, &[at - 16, at - 16]);
            }
            image.words(address + layout.next, &[next]);
        }
        image.words(THREAD_HEAP, &[arena, 0, thread_heap, thread_heap]);
        image.fill(layout, MAIN, HEAP, HEAP + heap, 0, main);
        let first = layout.first_chunk(arena);
        image.fill(layout, arena, first, THREAD_HEAP + thread_heap, NOT_MAIN, thread);
        image.words(BLOCK, &[0, (block - layout.mapped_more) | IS_MAPPED]);
        image.parameters(layout, block);
        image
    }

    fn parameters(&mut self, layout: &Layout, block: u64) {
        let params = &layout.params;
        let most = if layout.cache_counts == Counts::Held { 7 } else { 16 };
        self.words(BREAK_WORD - 16, &[block, block, HEAP, 64, 0x408, most]);
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
                    let link = layout.link(at + 16, self.word(heads + list * 8));
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

    fn map_resident(&mut self, start: u64, bytes: u64, inode: u64, name: &str) {
        let end = start + bytes;
        self.map(start, end, inode, name);
        self.mappings.last_mut().unwrap().rss = bytes;
        self.residency.push(Stretch { start, end, categories: category::PRESENT });
    }
}
