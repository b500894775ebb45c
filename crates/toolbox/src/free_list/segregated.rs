//! Segregated fit: a list per size class and a bitmap of the lists that have blocks (after TLSF, Masmano et al. 2004).
//!
//! ```text
//!   sizes   32 48 64 … 496 │ 512 544 … 992 │ 1024 1088 … │ …      16 bytes apart, then 16 classes per doubling
//!   bitmap  0  1  0  …  1  │  0   1  …     │                      1: the list of that class has a block
//! ```
//!
//! A block is in the class below or at its size. A request looks from the class *above* its size on, where every block is
//! large enough: two bit scans and a pop, however many free blocks there are. Only when that finds nothing, the first few
//! blocks of the request's own class are tried.

use super::blocks::Space;
use super::fit::{Fit, FitKind, free_size, length, next, push, unlink};
use crate::error::Error;

/// A list per size class: constant time, little waste. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segregated;

impl FitKind for Segregated {}

/// Below this size, a class per 16 bytes.
const FINE: u64 = 512;
const FINE_CLASSES: usize = (FINE / 16) as usize;
/// Classes per doubling above it, as a power of two.
const STEPS_LOG: u32 = 4;
const MAPS: usize = 9;
const CLASSES: usize = MAPS * 64;
/// Word 0 says which words of the bitmap are not 0; the bitmap and the heads follow.
const SUMMARY: usize = 0;
const MAP: usize = 1;
const HEADS: usize = MAP + MAPS;
/// Blocks of the request's own class that are looked at before giving up.
const TRIES: u32 = 8;

/// The class that holds blocks of this size.
#[inline(always)]
fn class_of(size: u64) -> usize {
    if size < FINE {
        return (size / 16) as usize;
    }
    let log = size.ilog2();
    let step = (size >> (log - STEPS_LOG)) as usize - (1 << STEPS_LOG);
    (FINE_CLASSES + ((log - FINE.ilog2()) as usize) * (1 << STEPS_LOG) + step).min(CLASSES - 1)
}

/// The first class all of whose blocks are at least this large (but for the last class, which is checked).
#[inline(always)]
fn class_for(size: u64) -> usize {
    if size < FINE {
        return (size / 16) as usize;
    }
    class_of(size + (1 << (size.ilog2() - STEPS_LOG)) - 1)
}

/// The first class from `class` on that has a block.
#[inline(always)]
fn first_from<W: Space>(space: &W, class: usize) -> Option<usize> {
    let map = space.head(MAP + class / 64) & (u64::MAX << (class % 64));
    if map != 0 {
        return Some(class / 64 * 64 + map.trailing_zeros() as usize);
    }
    let later = space.head(SUMMARY) & (u64::MAX << (class / 64) << 1);
    let word = later.trailing_zeros() as usize;
    if word >= MAPS {
        return None;
    }
    let map = space.head(MAP + word);
    (map != 0).then(|| word * 64 + map.trailing_zeros() as usize)
}

impl Fit for Segregated {
    const WORDS: usize = HEADS + CLASSES;
    const NAME: &'static str = "segregated fit";

    #[inline(always)]
    fn insert<W: Space>(space: &W, block: u64, size: u64) -> Result<(), Error> {
        let class = class_of(size);
        let word = MAP + class / 64;
        push(space, HEADS + class, block)?;
        space.set_head(word, space.head(word) | 1 << (class % 64));
        space.set_head(SUMMARY, space.head(SUMMARY) | 1 << (class / 64));
        Ok(())
    }

    #[inline(always)]
    fn remove<W: Space>(space: &W, block: u64, size: u64) -> Result<(), Error> {
        let class = class_of(size);
        if unlink(space, HEADS + class, block)? {
            let word = MAP + class / 64;
            let map = space.head(word) & !(1 << (class % 64));
            space.set_head(word, map);
            if map == 0 {
                space.set_head(SUMMARY, space.head(SUMMARY) & !(1 << (class / 64)));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn take<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, Error> {
        if let Some(class) = first_from(space, class_for(size)) {
            let block = space.head(HEADS + class);
            let found = free_size(space, block)?;
            if found >= size {
                Self::remove(space, block, found)?;
                return Ok(Some((block, found)));
            }
        }
        take_from_own_class(space, size)
    }

    fn count<W: Space>(space: &W) -> Result<usize, Error> {
        let mut blocks = 0;
        for class in 0..CLASSES {
            let here = length(space, HEADS + class)?;
            let (map, summary) = (space.head(MAP + class / 64), space.head(SUMMARY));
            let is_marked = map >> (class % 64) & 1 != 0 && summary >> (class / 64) & 1 != 0;
            if (here > 0) != (map >> (class % 64) & 1 != 0) || here > 0 && !is_marked {
                return Err(super::blocks::corrupt(space.head(HEADS + class)));
            }
            blocks += here;
        }
        Ok(blocks)
    }
}

#[cold]
fn take_from_own_class<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, Error> {
    let mut at = space.head(HEADS + class_of(size));
    for _ in 0..TRIES {
        if at == 0 {
            break;
        }
        let found = free_size(space, at)?;
        if found >= size {
            Segregated::remove(space, at, found)?;
            return Ok(Some((at, found)));
        }
        at = next(space, at)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_class_that_is_looked_in_serves_the_request() {
        // The smallest size of each class.
        let mut smallest = [u64::MAX; CLASSES];
        let sizes =
            || (32..1 << 16).step_by(16).chain((5..42).flat_map(|log| [1 << log, (1 << log) + 16, (3 << log) + 48]));
        for size in sizes() {
            let class = class_of(size);
            smallest[class] = smallest[class].min(size);
            // A class is a 16th of a doubling wide at most.
            assert!(class_for(size) - class <= 1, "{size}");
        }
        for size in sizes() {
            assert!(smallest[class_for(size)] >= size, "a block of {} would serve {size}", smallest[class_for(size)]);
        }
        assert!(class_of(u64::MAX >> 16) < CLASSES);
    }
}
