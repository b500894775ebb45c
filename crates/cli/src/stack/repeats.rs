//! Stacks that come again: most calls for memory come from a few loops.
//!
//! What unwinding finds depends on the registers, the code that is mapped, and the words that it reads. They are read one
//! after the other, as each tells where the next lies, and as a rule each is in another processor's cache. Where all of them
//! are as they were, so is the result, and to compare them is to read words whose places are known.
//!
//! Of the words some are return addresses. The others are what callers had in the register that may hold the frame's address.
//! Most code has something else there, another value each time. Whether that matters depends on the code alone, so it is
//! tried out once: a stack that unwinds the same with all of them changed is known by its return addresses.

use super::modules::Cache;
use super::{DEPTH, Modules, Sample};
use std::collections::HashMap;

/// An address on a stack and what was read there.
pub(super) type Word = (u64, Result<u64, ()>);

/// So many are kept.
const MOST: usize = 1024;

/// State of the modules, instruction, stack.
type Start = (u64, u64, u64);

/// A stack that was unwound, and by what it is known again.
#[derive(Debug)]
pub(super) struct Repeat {
    /// The register that may hold the frame's address, where it matters.
    frame: Option<u64>,
    words: Vec<Word>,
    stack: u32,
}

impl Repeat {
    /// Of a stack that was unwound: its addresses and the words that were read.
    pub(super) fn of(
        modules: &Modules,
        sample: &Sample,
        cache: &mut Cache,
        (addresses, mut words): (&[u64], Vec<Word>),
        stack: u32,
    ) -> Repeat {
        let is_return = |word: Result<u64, ()>| word.is_ok_and(|word| addresses.contains(&word.wrapping_sub(1)));
        let frame = !sample.frame;
        let changed = Sample { frame, bytes: (&*sample.bytes).into(), ..*sample };
        let mut others = Vec::new();
        let change = |_, word: Result<u64, ()>| if is_return(word) { word } else { word.map(|word| !word) };
        let read = modules.unwind_by(&changed, cache, DEPTH, &mut others, change);
        let is_same = others == addresses && read.iter().map(|word| word.0).eq(words.iter().map(|word| word.0));
        if is_same {
            words.retain(|&(_, word)| word.is_err() || is_return(word));
        }
        Repeat { frame: (!is_same).then_some(sample.frame), words, stack }
    }

    fn fits(&self, sample: &Sample) -> bool {
        // All words are read, whatever the first ones are: none has to wait for another.
        let differ = |sum: bool, &(address, word): &Word| sum | (sample.word(address) != word);
        self.frame.is_none_or(|frame| frame == sample.frame) && !self.words.iter().fold(false, differ)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Start, Repeat>);

fn start(modules: &Modules, sample: &Sample) -> Start {
    (modules.state(), sample.instruction, sample.stack)
}

impl Repeats {
    /// The number of the stack, if it is the one that was met last with this start.
    pub(super) fn find(&self, modules: &Modules, sample: &Sample) -> Option<u32> {
        self.0.get(&start(modules, sample)).filter(|known| known.fits(sample)).map(|known| known.stack)
    }

    /// Enters a stack that was unwound.
    pub(super) fn add(&mut self, modules: &Modules, sample: &Sample, known: Repeat) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(start(modules, sample), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(words: &[u64]) -> Sample<'static> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Sample { instruction: 1, stack: 0x1000, frame: 3, bytes: bytes.into() }
    }

    #[test]
    fn a_stack_is_known_by_every_word_that_matters() {
        let (modules, first) = (Modules::default(), sample(&[5, 6, 7]));
        let mut repeats = Repeats::default();
        let words = vec![(0x1000, Ok(5)), (0x1010, Ok(7)), (0x1018, Err(()))];
        repeats.add(&modules, &first, Repeat { frame: Some(3), words, stack: 9 });
        assert_eq!(repeats.find(&modules, &first), Some(9));
        assert_eq!(repeats.find(&modules, &sample(&[5, 0, 7])), Some(9), "nobody read the word between");
        for other in [&[4, 6, 7][..], &[5, 6, 8], &[5, 6], &[5, 6, 7, 0], &[]] {
            assert_eq!(repeats.find(&modules, &sample(other)), None, "{other:?}");
        }
        for (instruction, stack, frame) in [(2, 0x1000, 3), (1, 0x1008, 3), (1, 0x1000, 4)] {
            assert_eq!(repeats.find(&modules, &Sample { instruction, stack, frame, ..sample(&[5, 6, 7]) }), None);
        }
    }

    #[test]
    fn only_so_many_are_kept() {
        let modules = Modules::default();
        let mut repeats = Repeats::default();
        for instruction in 0..3 * MOST as u64 {
            let sample = Sample { instruction, ..sample(&[]) };
            repeats.add(&modules, &sample, Repeat { frame: None, words: Vec::new(), stack: 0 });
            assert!(repeats.0.len() <= MOST);
        }
    }

    /// Code without any description is unwound by the frame's address: there every word matters.
    #[test]
    fn where_frames_are_linked_the_links_matter() {
        let modules = Modules::default();
        let code = 0x40_0000;
        // Two frames, each the link to the next and the return address.
        let links = [0x1020, code + 8, 0, 0, 0, 0];
        let words: Vec<u8> = links.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        let sample = Sample { instruction: code, stack: 0x1000, frame: 0x1000, bytes: words.into() };
        let (mut cache, mut addresses) = (Cache::default(), Vec::new());
        let words = modules.unwind(&sample, &mut cache, DEPTH, &mut addresses);
        assert_eq!(addresses[..2], [code, code + 7], "{words:x?}");
        let known = Repeat::of(&modules, &sample, &mut cache, (&addresses, words.clone()), 1);
        assert_eq!((known.frame, known.words), (Some(0x1000), words));
    }
}
