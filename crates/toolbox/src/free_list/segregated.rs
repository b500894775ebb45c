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

use super::blocks::{LONGEST_REGION, Space};
use super::fit::{Fit, FitKind, NEXT, PREVIOUS, free_size, length, next};

/// A list per size class: constant time, little waste. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segregated;

impl FitKind for Segregated {}

/// Up to twice this size there is a class per 16 bytes.
const FINE: u64 = 256;
/// Classes per doubling above it, as a power of two.
const STEPS_LOG: u32 = 4;
const MAPS: usize = 9;
const CLASSES: usize = MAPS * 64;
/// The bitmap; the heads follow.
const MAP: usize = 0;
const HEADS: usize = MAP + MAPS;
/// Blocks of the request's own class that are looked at before giving up.
const TRIES: u32 = 8;

/// Sizes below this are looked up.
const LOOKED_UP: u64 = 2048;
/// Their classes, and the classes that requests of these sizes look in, by size / 16.
static HOLDING: [u8; (LOOKED_UP / 16) as usize] = table(false);
static SERVING: [u8; (LOOKED_UP / 16) as usize] = table(true);

const fn table(serving: bool) -> [u8; (LOOKED_UP / 16) as usize] {
    let (mut classes, mut at) = ([0; (LOOKED_UP / 16) as usize], 0);
    while at < classes.len() {
        let size = at as u64 * 16;
        let class = if serving { class_by_rule(round_up(size)) } else { class_by_rule(size) };
        assert!(class <= u8::MAX as usize);
        classes[at] = class as u8;
        at += 1;
    }
    classes
}

/// The power of two whose steps the class of a size is counted in.
const fn scale(size: u64) -> u32 {
    (size | FINE).ilog2()
}

/// The size, rounded up to where the next class begins if it is not where one begins itself.
const fn round_up(size: u64) -> u64 {
    size + (1 << (scale(size) - STEPS_LOG)) - 1
}

/// How many steps a size is in its doubling, and 16 for each doubling before it. Below `FINE` steps are as in the first
/// doubling.
const fn class_by_rule(size: u64) -> usize {
    let log = scale(size);
    let doublings = ((log - FINE.ilog2()) << STEPS_LOG) as usize;
    doublings + (size >> (log - STEPS_LOG)) as usize
}

/// The class that holds blocks of this size.
#[inline(always)]
fn class_of<W: Space>(size: u64) -> usize {
    if size < LOOKED_UP {
        return HOLDING[(size / 16) as usize].into();
    }
    // A size that was read in shared memory may be anything.
    if W::IS_TRUSTED { class_by_rule(size) } else { class_by_rule(size).min(CLASSES - 1) }
}

/// The first class all of whose blocks are at least this large.
#[inline(always)]
fn class_for<W: Space>(size: u64) -> usize {
    if size < LOOKED_UP {
        return SERVING[(size / 16) as usize].into();
    }
    class_of::<W>(round_up(size))
}

// The longest region, and a request for as much, have a class.
const _: () = assert!((LONGEST_REGION.ilog2() - FINE.ilog2() + 2) << STEPS_LOG <= CLASSES as u32);

/// The first class from `class` on that has a block. All classes below 2 KiB share one word, those below 32 KiB two.
#[inline(always)]
fn first_from<W: Space>(space: &W, class: usize) -> Option<usize> {
    let mut word = class / 64;
    let mut map = space.head(MAP + word) & (u64::MAX << (class % 64));
    while map == 0 {
        word += 1;
        if word == MAPS {
            return None;
        }
        map = space.head(MAP + word);
    }
    Some(word * 64 + map.trailing_zeros() as usize)
}

/// As `fit::push`, with a choice of address for each branch: lists are short here, and whether they have another block
/// is a toss-up.
#[inline(always)]
fn push<W: Space>(space: &W, head: usize, block: u64) -> Result<(), W::Fault> {
    let first = space.head(head);
    space.store(block + NEXT, first)?;
    space.store(block + PREVIOUS, 0)?;
    space.set_head(head, block);
    space.store_unless_null(first, PREVIOUS, block)
}

/// As `fit::unlink`.
#[inline(always)]
fn unlink<W: Space>(space: &W, head: usize, block: u64) -> Result<bool, W::Fault> {
    let (next, previous) = (space.load(block + NEXT)?, space.load(block + PREVIOUS)?);
    if !W::IS_TRUSTED && previous == 0 && space.head(head) != block {
        return Err(W::corrupt(block));
    }
    space.store_unless_null(next, PREVIOUS, previous)?;
    space.store_or_head(previous, NEXT, head, next)?;
    Ok(next | previous == 0)
}

impl Fit for Segregated {
    const WORDS: usize = HEADS + CLASSES;
    const NAME: &'static str = "segregated fit";
    // Crumbs of 32 and 48 bytes cost more time, to be made and to be joined again, than they serve.
    const LEAST_REST: u64 = 64;

    #[inline(always)]
    fn insert<W: Space>(space: &W, block: u64, size: u64) -> Result<(), W::Fault> {
        let class = class_of::<W>(size);
        let word = MAP + class / 64;
        space.set_head(word, space.head(word) | 1 << (class % 64));
        push(space, HEADS + class, block)
    }

    #[inline(always)]
    fn remove<W: Space>(space: &W, block: u64, size: u64) -> Result<(), W::Fault> {
        let class = class_of::<W>(size);
        let is_empty = unlink(space, HEADS + class, block)?;
        let word = MAP + class / 64;
        space.set_head(word, space.head(word) & !(u64::from(is_empty) << (class % 64)));
        Ok(())
    }

    #[inline(always)]
    fn take<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, W::Fault> {
        if let Some(class) = first_from(space, class_for::<W>(size)) {
            let block = space.head(HEADS + class);
            let found = free_size(space, block)?;
            // All blocks of this class are large enough; in shared memory that is not believed.
            if W::IS_TRUSTED || found >= size {
                let next = next(space, block)?;
                space.set_head(HEADS + class, next);
                space.store_unless_null(next, PREVIOUS, 0)?;
                let word = MAP + class / 64;
                space.set_head(word, space.head(word) & !(u64::from(next == 0) << (class % 64)));
                return Ok(Some((block, found)));
            }
        }
        Ok(None)
    }

    /// A large block that is cut again and again keeps its class for a long time: what is left takes its place in the list.
    /// Private memory only; elsewhere `take` is used, which checks what it reads.
    #[inline(always)]
    fn take_to_cut<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64, bool)>, W::Fault> {
        if W::IS_TRUSTED
            && let Some(class) = first_from(space, class_for::<W>(size))
        {
            let block = space.head(HEADS + class);
            let found = free_size(space, block)?;
            let next = next(space, block)?;
            // With less than a step left the class is another one, so this is also enough for a block.
            if class >= class_by_rule(LOOKED_UP) && class_of::<W>(found - size) == class {
                let rest = block + size;
                space.store(rest + NEXT, next)?;
                space.store(rest + PREVIOUS, 0)?;
                space.set_head(HEADS + class, rest);
                space.store_unless_null(next, PREVIOUS, rest)?;
                return Ok(Some((block, found, true)));
            }
            space.set_head(HEADS + class, next);
            space.store_unless_null(next, PREVIOUS, 0)?;
            let word = MAP + class / 64;
            space.set_head(word, space.head(word) & !(u64::from(next == 0) << (class % 64)));
            return Ok(Some((block, found, false)));
        }
        Ok(None)
    }

    fn take_last_resort<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, W::Fault> {
        let mut at = space.head(HEADS + class_of::<W>(size));
        for _ in 0..TRIES {
            if at == 0 {
                break;
            }
            let found = free_size(space, at)?;
            if found >= size {
                Self::remove(space, at, found)?;
                return Ok(Some((at, found)));
            }
            at = next(space, at)?;
        }
        Ok(None)
    }

    fn count<W: Space>(space: &W) -> Result<usize, W::Fault> {
        let mut blocks = 0;
        for class in 0..CLASSES {
            let here = length(space, HEADS + class)?;
            if (here > 0) != (space.head(MAP + class / 64) >> (class % 64) & 1 != 0) {
                return Err(W::corrupt(space.head(HEADS + class)));
            }
            blocks += here;
        }
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::convert::Infallible;

    /// Words that nobody asks for.
    struct Any;

    impl Space for Any {
        type Fault = Infallible;
        const IS_TRUSTED: bool = false;
        fn corrupt(_at: u64) -> Infallible {
            unreachable!()
        }
        fn load(&self, _at: u64) -> Result<u64, Infallible> {
            unreachable!()
        }
        fn store(&self, _at: u64, _word: u64) -> Result<(), Infallible> {
            unreachable!()
        }
        fn head(&self, _number: usize) -> u64 {
            unreachable!()
        }
        fn set_head(&self, _number: usize, _word: u64) {
            unreachable!()
        }
    }

    #[test]
    fn every_block_of_the_class_that_is_looked_in_serves_the_request() {
        // The smallest size of each class.
        let mut smallest = [u64::MAX; CLASSES];
        let sizes =
            || (32..1 << 16).step_by(16).chain((5..42).flat_map(|log| [1 << log, (1 << log) + 16, (3 << log) + 48]));
        for size in sizes() {
            let class = class_of::<Any>(size);
            smallest[class] = smallest[class].min(size);
            // A class is a 16th of a doubling wide at most.
            assert!(class_for::<Any>(size) - class <= 1, "{size}");
        }
        for size in sizes() {
            assert!(
                smallest[class_for::<Any>(size)] >= size,
                "a block of {} would serve {size}",
                smallest[class_for::<Any>(size)]
            );
        }
        assert!(class_of::<Any>(u64::MAX >> 16) < CLASSES);
    }
}
