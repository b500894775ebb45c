//! Where the parts of a [`FreeList`](super::FreeList) lie in its memory, its words as the blocks see them, and their repair.

use super::header::OWN;
use super::words::{WORD, Words};
use crate::error::Error;
use crate::free_list::FitKind;
use crate::free_list::blocks::{self, LEAST, PREVIOUS_USED, SIZE, Space, USED};

/// Where things lie; computed from the length alone, never read from the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) bits: u64,
    pub(super) start: u64,
    /// The end mark.
    pub(super) end: u64,
}

/// The last generation that was given out.
pub(super) const AT_GENERATION: u64 = OWN;
const INDEX: u64 = OWN + 16;
/// Where a header has the generation.
pub(super) const GENERATION_SHIFT: u32 = 48;

impl Plan {
    pub(super) fn of<F: FitKind>(bytes: u64) -> Option<Plan> {
        let bits = INDEX + F::WORDS as u64 * WORD;
        // One bit per 16 bytes is one byte per 128.
        let rest = bytes.checked_sub(bits)?.min(60 << 30);
        let map = (rest / 128).next_multiple_of(64) + 64;
        let start = (bits + map).next_multiple_of(16);
        let end = ((bits + rest) & !15).checked_sub(8)?;
        (end >= start + 8 + LEAST).then_some(Plan { bits, start, end })
    }
}

/// The words of a list, as the blocks see them.
pub(super) struct Shared<'m> {
    pub(super) words: Words<'m>,
    pub(super) plan: Plan,
}

impl Space for Shared<'_> {
    type Fault = Error;
    const IS_TRUSTED: bool = false;

    fn corrupt(at: u64) -> Error {
        blocks::corrupt(at)
    }

    fn load(&self, at: u64) -> Result<u64, Error> {
        if at < self.plan.start || at > self.plan.end { Err(blocks::corrupt(at)) } else { self.words.load(at) }
    }

    fn store(&self, at: u64, word: u64) -> Result<(), Error> {
        if at < self.plan.start || at > self.plan.end { Err(blocks::corrupt(at)) } else { self.words.store(at, word) }
    }

    fn head(&self, number: usize) -> u64 {
        // The plan says that the index is there.
        self.words.load(INDEX + number as u64 * WORD).unwrap_or(0)
    }

    fn set_head(&self, number: usize, word: u64) {
        let _ = self.words.store(INDEX + number as u64 * WORD, word);
    }
}

impl Shared<'_> {
    /// The word and the bit that say whether a block begins at a header.
    fn bit(&self, block: u64) -> (u64, u64) {
        let number = (block - self.plan.start) / 16;
        (self.plan.bits + number / 64 * WORD, 1 << (number % 64))
    }

    pub(super) fn begins(&self, block: u64) -> Result<bool, Error> {
        let (at, bit) = self.bit(block);
        Ok(self.words.load(at)? & bit != 0)
    }

    pub(super) fn set_begins(&self, block: u64, begins: bool) -> Result<(), Error> {
        let (at, bit) = self.bit(block);
        let word = self.words.load(at)?;
        self.words.store(at, if begins { word | bit } else { word & !bit })
    }

    /// Makes flags, last words, index and bits anew from the sizes. Neighbours that are both free are joined.
    pub(super) fn repair<F: FitKind>(&self) -> Result<(), Error> {
        blocks::walk(self, self.plan.start, self.plan.end, |_, _| Ok(()))?;
        for number in 0..F::WORDS {
            self.set_head(number, 0);
        }
        for at in (self.plan.bits..self.plan.start & !7).step_by(WORD as usize) {
            self.words.store(at, 0)?;
        }
        let (mut at, mut previous_used) = (self.plan.start + 8, PREVIOUS_USED);
        while at < self.plan.end {
            let header = self.load(at)?;
            let mut size = header & SIZE;
            if header & USED != 0 {
                self.store(at, header & !PREVIOUS_USED | previous_used)?;
                self.set_begins(at, true)?;
                previous_used = PREVIOUS_USED;
            } else {
                while at + size < self.plan.end && self.load(at + size)? & USED == 0 {
                    size += self.load(at + size)? & SIZE;
                }
                self.store(at, size | PREVIOUS_USED)?;
                self.store(at + size - 8, size)?;
                F::insert(self, at, size)?;
                previous_used = 0;
            }
            at += size;
        }
        self.store(self.plan.end, USED | previous_used)
    }
}
