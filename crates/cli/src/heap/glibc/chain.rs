//! What is known beforehand of the chunks on the break: their sizes, one after the other.

use super::layout::LEAST;
use std::cell::Cell;

/// The second words of chunks that follow each other, and so their addresses.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    start: u64,
    /// Behind the last chunk.
    end: u64,
    words: Vec<u64>,
    /// Address and index of the chunk that was asked for last.
    last: Cell<(u64, usize)>,
}

/// Bytes of a chunk by its second word.
fn size(word: u64) -> u64 {
    word & !7
}

impl Chain {
    /// Adds chunks, the first of which lies at `start`, up to a word that is no size of a chunk. Such as do not follow the last
    /// one are left out.
    pub(crate) fn add(&mut self, start: u64, words: impl IntoIterator<Item = u64>) {
        if self.words.is_empty() {
            (self.start, self.end) = (start, start);
            self.last.set((start, 0));
        }
        if start != self.end {
            return;
        }
        for word in words {
            let Some(end) = self.end.checked_add(size(word)) else { return };
            if size(word) < LEAST || !size(word).is_multiple_of(16) {
                return;
            }
            self.words.push(word);
            self.end = end;
        }
    }

    /// The second word of the chunk at an address. Quick for one that lies at or behind the one that was asked for last.
    pub(crate) fn word(&self, at: u64) -> Option<u64> {
        if !(self.start..self.end).contains(&at) {
            return None;
        }
        let (mut place, mut index) = self.last.get();
        if place > at {
            (place, index) = (self.start, 0);
        }
        while place < at {
            place += size(self.words[index]);
            index += 1;
        }
        self.last.set((place, index));
        (place == at).then(|| self.words[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_by_address_forward_and_back() {
        let mut chain = Chain::default();
        assert_eq!(chain.word(0), None);
        chain.add(4096, [0x21, 0x31, 0x41]);
        chain.add(4096 + 0x90, [0x51, 0x20_0000, 7, 0x61]);
        // Not the next one.
        chain.add(8192, [0x61]);
        let known = [(4096, 0x21), (4128, 0x31), (4176, 0x41), (4240, 0x51), (4320, 0x20_0000)];
        for (at, word) in known.into_iter().chain(known.into_iter().rev()) {
            assert_eq!(chain.word(at), Some(word), "{at}");
        }
        for unknown in [0, 4095, 4097, 4112, 4320 + 0x20_0000, u64::MAX] {
            assert_eq!(chain.word(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn words_that_are_no_sizes_end_a_chain() {
        for word in [0, 7, 16, 0x28, u64::MAX, 1 << 63] {
            let mut chain = Chain::default();
            chain.add(u64::MAX - 0xfff, [0x21, word, 0x21]);
            assert_eq!(chain.words, [0x21], "{word:#x}");
        }
    }
}
