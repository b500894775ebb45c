//! Which free block serves a request: the textbook's three ways, over one list.

use super::blocks::{LEAST, SIZE, Space, USED};

/// How a [`FreeList`](super::FreeList) picks a free block. Sealed: the four here are all.
#[expect(private_bounds, reason = "sealed: what it takes to be a fit is this crate's business")]
pub trait FitKind: Fit {}

/// What it takes. `WORDS` words of the space are the index's own; they start as 0.
pub(crate) trait Fit {
    const WORDS: usize;
    const NAME: &'static str;
    /// What is left of a block becomes a free one from this size on; less stays with the block that is handed out.
    const LEAST_REST: u64 = LEAST;

    /// Puts a free block into the index.
    fn insert<W: Space>(space: &W, block: u64, size: u64) -> Result<(), W::Fault>;
    /// Takes a certain free block out.
    fn remove<W: Space>(space: &W, block: u64, size: u64) -> Result<(), W::Fault>;
    /// Finds a block of at least `size` and takes it out.
    fn take<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, W::Fault>;
    /// The same for a caller who is going to cut the block after `size` bytes. With true, what is left is in the index
    /// already, in the place of the whole.
    #[inline(always)]
    fn take_to_cut<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64, bool)>, W::Fault> {
        Ok(Self::take(space, size)?.map(|(block, found)| (block, found, false)))
    }
    /// The same where `take` found none: for fits whose `take` does not look everywhere.
    fn take_last_resort<W: Space>(_space: &W, _size: u64) -> Result<Option<(u64, u64)>, W::Fault> {
        Ok(None)
    }
    /// Number of blocks in the index, each looked at.
    fn count<W: Space>(space: &W) -> Result<usize, W::Fault>;
}

/// Where a free block has its links.
pub(super) const NEXT: u64 = 8;
pub(super) const PREVIOUS: u64 = 16;

#[inline(always)]
pub(super) fn next<W: Space>(space: &W, block: u64) -> Result<u64, W::Fault> {
    space.load(block + NEXT)
}

/// Puts a block at the front of the list.
#[inline(always)]
fn push<W: Space>(space: &W, block: u64) -> Result<(), W::Fault> {
    let first = space.head(FIRST);
    space.store(block + NEXT, first)?;
    space.store(block + PREVIOUS, 0)?;
    if first != 0 {
        space.store(first + PREVIOUS, block)?;
    }
    space.set_head(FIRST, block);
    Ok(())
}

/// Takes a block out of the list.
#[inline(always)]
fn unlink<W: Space>(space: &W, block: u64) -> Result<(), W::Fault> {
    let (next, previous) = (space.load(block + NEXT)?, space.load(block + PREVIOUS)?);
    if next != 0 {
        space.store(next + PREVIOUS, previous)?;
    }
    if previous != 0 {
        return space.store(previous + NEXT, next);
    }
    if !W::IS_TRUSTED && space.head(FIRST) != block {
        return Err(W::corrupt(block));
    }
    space.set_head(FIRST, next);
    Ok(())
}

/// The size of a block in a list; an error if it is not free.
#[inline(always)]
pub(super) fn free_size<W: Space>(space: &W, block: u64) -> Result<u64, W::Fault> {
    let header = space.load(block)?;
    if !W::IS_TRUSTED && header & USED != 0 { Err(W::corrupt(block)) } else { Ok(header & SIZE) }
}

/// The first block of a list, from `at` on and before `stop`, that `fits`. Lists of shared memory may have been made
/// circular: no list is longer than `most`.
fn find<W: Space>(space: &W, mut at: u64, stop: u64, size: u64) -> Result<Option<(u64, u64)>, W::Fault> {
    let mut steps = 0u64;
    while at != stop && at != 0 {
        let found = free_size(space, at)?;
        if found >= size {
            return Ok(Some((at, found)));
        }
        at = next(space, at)?;
        steps += 1;
        if !W::IS_TRUSTED && steps > LONGEST {
            return Err(W::corrupt(at));
        }
    }
    Ok(None)
}

/// No list has more blocks: 2^31 of the smallest are 64 GiB.
pub(super) const LONGEST: u64 = 1 << 31;

pub(super) fn length<W: Space>(space: &W, head: usize) -> Result<usize, W::Fault> {
    let (mut at, mut previous, mut blocks) = (space.head(head), 0, 0);
    while at != 0 {
        free_size(space, at)?;
        if space.load(at + PREVIOUS)? != previous || blocks as u64 > LONGEST {
            return Err(W::corrupt(at));
        }
        (previous, at, blocks) = (at, next(space, at)?, blocks + 1);
    }
    Ok(blocks)
}

macro_rules! one_list {
    ($(#[$doc:meta])* $name:ident, $words:literal, $text:literal, remove: $remove:expr, choose: $choose:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl FitKind for $name {}

        impl Fit for $name {
            const WORDS: usize = $words;
            const NAME: &'static str = $text;

            fn insert<W: Space>(space: &W, block: u64, _size: u64) -> Result<(), W::Fault> {
                push(space, block)
            }

            fn remove<W: Space>(space: &W, block: u64, _size: u64) -> Result<(), W::Fault> {
                let gone: fn(&W, u64) -> Result<(), W::Fault> = $remove;
                gone(space, block)?;
                unlink(space, block)
            }

            fn take<W: Space>(space: &W, size: u64) -> Result<Option<(u64, u64)>, W::Fault> {
                let choose: fn(&W, u64) -> Result<Option<(u64, u64)>, W::Fault> = $choose;
                let Some((block, found)) = choose(space, size)? else { return Ok(None) };
                Self::remove(space, block, found)?;
                Ok(Some((block, found)))
            }

            fn count<W: Space>(space: &W) -> Result<usize, W::Fault> {
                length(space, FIRST)
            }
        }
    };
}

/// Word 0: the first block of the list. Word 1, of next fit: where the last search ended.
const FIRST: usize = 0;
const ROVER: usize = 1;

one_list! {
    /// The first free block that is large enough, the most recently freed first. Quick while there are few free blocks;
    /// splits large blocks early.
    FirstFit, 1, "first fit",
    remove: |_, _| Ok(()),
    choose: |space, size| find(space, space.head(FIRST), 0, size)
}

one_list! {
    /// The smallest free block that is large enough. Leaves the large blocks whole and small crumbs behind; looks at every
    /// free block, unless one fits exactly.
    BestFit, 1, "best fit",
    remove: |_, _| Ok(()),
    choose: |space, size| {
        let (mut best, mut at) = (None, space.head(FIRST));
        while let Some((block, found)) = find(space, at, 0, size)? {
            if best.is_none_or(|(_, smallest)| found < smallest) {
                best = Some((block, found));
            }
            if found == size {
                break;
            }
            at = next(space, block)?;
        }
        Ok(best)
    }
}

one_list! {
    /// The next free block that is large enough, from where the last search ended. Spreads the blocks; searches less than
    /// first fit when the front of the list has become crumbs.
    NextFit, 2, "next fit",
    remove: |space, block| {
        if space.head(ROVER) == block {
            space.set_head(ROVER, next(space, block)?);
        }
        Ok(())
    },
    choose: |space, size| {
        let rover = space.head(ROVER);
        let found = match find(space, rover, 0, size)? {
            Some(found) => Some(found),
            None => find(space, space.head(FIRST), rover, size)?,
        };
        if let Some((block, _)) = found {
            space.set_head(ROVER, block);
        }
        Ok(found)
    }
}
