//! The arenas' lists of small free chunks ("fastbins"). Such a chunk looks like one in use to its neighbours, but
//! `malloc_trim` merges it first: without the lists a trim could not be predicted.
//!
//! A list has no bound; millions of chunks are nothing unusual after a program dropped a large structure. Chunks freed in
//! one go lie on their lists in falling order of address, so the lists are followed side by side, always the one that is
//! highest: then the heap is read once from top to bottom and not once for each list.

use super::layout::{FAST_LISTS, Layout};
use super::source::Source;
use super::{Found, Glibc};
use std::collections::{BinaryHeap, HashMap};

/// Chunks of all lists together that are followed.
const MOST: u64 = 1 << 26;
/// Bytes of address space in a block of the set.
const BLOCK: u64 = 1 << 20;
const WORDS: usize = (BLOCK / 16 / 64) as usize;

/// A set of chunks: one bit for 16 bytes, in blocks as needed.
#[derive(Default)]
pub(super) struct FastSet {
    index: HashMap<u64, usize>,
    blocks: Vec<Box<[u64; WORDS]>>,
    /// Number and place of the block that was asked for last.
    last: (u64, usize),
    len: u64,
}

fn place(chunk: u64) -> (u64, usize, u64) {
    let bit = chunk % BLOCK / 16;
    (chunk / BLOCK, (bit / 64) as usize, 1 << (bit % 64))
}

impl FastSet {
    /// Adds a chunk; tells whether it was not there yet.
    fn insert(&mut self, chunk: u64) -> bool {
        let (block, word, bit) = place(chunk);
        if self.blocks.is_empty() || self.last.0 != block {
            let place = *self.index.entry(block).or_insert(self.blocks.len());
            if place == self.blocks.len() {
                self.blocks.push(Box::new([0; WORDS]));
            }
            self.last = (block, place);
        }
        let word = &mut self.blocks[self.last.1][word];
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// For questions in order of address.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { set: self, block: u64::MAX, words: None }
    }
}

/// Remembers the block of the last question.
pub(super) struct Cursor<'s> {
    set: &'s FastSet,
    block: u64,
    words: Option<&'s [u64; WORDS]>,
}

impl Cursor<'_> {
    /// Whether a chunk is in the set.
    pub(super) fn contains(&mut self, chunk: u64) -> bool {
        let (block, word, bit) = place(chunk);
        if block != self.block {
            (self.block, self.words) = (block, self.set.index.get(&block).map(|&place| &*self.set.blocks[place]));
        }
        self.words.is_some_and(|words| words[word] & bit != 0)
    }
}

/// All chunks on such lists.
pub(super) fn fast(source: &mut Source<'_>, found: &Found, glibc: &mut Glibc) -> FastSet {
    let mut set = FastSet::default();
    let Some(heads) = found.layout.fast else { return set };
    // The chunk that each list is at, highest first, with the number of the list.
    let mut lists = BinaryHeap::new();
    for arena in &found.arenas {
        for list in 0..FAST_LISTS {
            let head = source.distant(arena.address + heads + list * 8).unwrap_or(0);
            if head != 0 {
                lists.push((head, list));
            }
        }
    }
    while let Some((chunk, list)) = lists.pop() {
        match step(source, found.layout, chunk, list, &mut set) {
            Ok(0) => {}
            Ok(next) => lists.push((next, list)),
            Err(why) => {
                glibc.torn += 1;
                glibc.problem.get_or_insert(why);
            }
        }
    }
    set
}

/// Enters a chunk, which has to be of the list's size; returns the next.
fn step(source: &mut Source<'_>, layout: &Layout, chunk: u64, list: u64, set: &mut FastSet) -> Result<u64, String> {
    let size = (list + 2) * 16;
    let pair = if chunk.is_multiple_of(16) { source.pair(chunk + 8) } else { None };
    let Some((_, raw)) = pair.filter(|(word, _)| word & !7 == size) else {
        return Err(format!("a list of free chunks of {size} bytes leads to {chunk:#x}, which is none"));
    };
    if !set.insert(chunk) {
        return Err(format!("a list of free chunks of {size} bytes runs in a ring"));
    }
    if set.len >= MOST {
        return Err(format!("more than {MOST} small free chunks; the rest counts as live"));
    }
    Ok(layout.link(chunk + 16, raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_knows_its_members_only() {
        let mut set = FastSet::default();
        let all = [0x7f00_0000_0010, 0x7f00_0000_0020, 0x7f00_000f_fff0, 0x7f00_0010_0000];
        for chunk in all {
            assert!(set.insert(chunk) && !set.insert(chunk));
        }
        let mut cursor = set.cursor();
        assert!(all.iter().all(|&chunk| cursor.contains(chunk)));
        assert!(!cursor.contains(0x7f00_0000_0030) && !cursor.contains(0x10));
        assert_eq!(set.len, 4);
    }
}
