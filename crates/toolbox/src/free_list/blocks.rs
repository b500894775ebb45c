//! Blocks with boundary tags, in words, wherever they lie.
//!
//! ```text
//!   a live block    |size, flags|  payload, 16-aligned  ············|
//!   a free block    |size, flags|next free|previous free|·····|size |
//!   a region        |pad|block|block|free block|block|end: size 0, used|
//! ```
//!
//! A block begins at its header, 8 bytes before a multiple of 16, is a multiple of 16 long and at least 32. Invariant
//! `[boundary-tags]`: the blocks of a region follow each other without a gap up to its end mark; no two neighbours are
//! free; a block's PREVIOUS_USED says whether the one before it is; a free block's last word is its size; exactly the
//! free blocks are in the index of the [`Fit`].
//!
//! Stores are in such an order that a walk from header to header succeeds at every moment, whatever is cut off there:
//! a process that dies in the middle leaves blocks that can be counted, and everything else follows from them.

use super::fit::Fit;
use crate::error::{Error, ErrorKind};

/// The block is live.
pub(crate) const USED: u64 = 1;
/// The block before it is live.
pub(crate) const PREVIOUS_USED: u64 = 2;
/// The bits of the size in a header. Those above are free for a generation.
pub(crate) const SIZE: u64 = (1 << 48) - 16;
/// Size of the smallest block.
pub(crate) const LEAST: u64 = 32;
/// No region is longer, so no block is, and no sum overflows.
pub(crate) const LONGEST_REGION: u64 = 1 << 42;

/// Words at places: absolute addresses in private memory, offsets in shared memory.
pub(crate) trait Space {
    /// What a look can fail with: nothing in private memory, which is trusted; an error in shared memory, where a place
    /// or a size that was read is believed only after a check.
    type Fault;

    /// Whether what is read is believed without a check.
    const IS_TRUSTED: bool;

    /// Contents that contradict each other at a place. Private memory cannot go on: this panics there.
    fn corrupt(at: u64) -> Self::Fault;
    /// The word at a place.
    fn load(&self, at: u64) -> Result<u64, Self::Fault>;
    /// Replaces the word.
    fn store(&self, at: u64, word: u64) -> Result<(), Self::Fault>;
    /// A word of the index, numbered from 0 to [`Fit::WORDS`].
    fn head(&self, number: usize) -> u64;
    /// Replaces it.
    fn set_head(&self, number: usize, word: u64);

    /// Replaces the word at a place, unless the place is 0.
    #[inline(always)]
    fn store_unless_null(&self, at: u64, offset: u64, word: u64) -> Result<(), Self::Fault> {
        if at == 0 { Ok(()) } else { self.store(at + offset, word) }
    }

    /// Replaces the word at a place; where the place is 0, the word `head` of the index.
    #[inline(always)]
    fn store_or_head(&self, at: u64, offset: u64, head: usize, word: u64) -> Result<(), Self::Fault> {
        if at == 0 {
            self.set_head(head, word);
            return Ok(());
        }
        self.store(at + offset, word)
    }
}

/// The size of the block that serves `bytes`.
pub(crate) fn size_for(bytes: usize) -> Result<u64, Error> {
    let too_large = Error::new(ErrorKind::BadRequest, "FreeList::allocate", bytes, "ask for less");
    if bytes as u64 > LONGEST_REGION {
        return Err(too_large);
    }
    Ok(rounded(bytes))
}

/// The same where the caller has looked that it is not too large.
#[inline(always)]
pub(crate) fn rounded(bytes: usize) -> u64 {
    ((bytes as u64 + 8 + 15) & !15).max(LEAST)
}

/// Tags that contradict each other.
#[cold]
pub(crate) fn corrupt(at: u64) -> Error {
    let remedy = "something wrote outside of its block, or a block was given back twice; look for it before this place";
    Error::new(ErrorKind::Corrupt, "FreeList", at as usize, remedy)
}

/// A block that is free already.
#[cold]
pub(crate) fn double_free(at: u64) -> Error {
    Error::new(
        ErrorKind::Stale,
        "FreeList::deallocate",
        at as usize,
        "give back each block once, to the list it came from",
    )
}

/// Makes a region of `bytes` one free block. `start` and `bytes` are multiples of 16, `bytes` at least 48.
pub(crate) fn open_region<F: Fit, W: Space>(space: &W, start: u64, bytes: u64) -> Result<(), W::Fault> {
    let (block, end) = (start + 8, start + bytes - 8);
    space.store(end, USED)?;
    space.store(end - 8, end - block)?;
    space.store(block, (end - block) | PREVIOUS_USED)?;
    F::insert(space, block, end - block)
}

/// Puts `more` bytes (a multiple of 16, at least 32) behind the end mark at `end` to use.
pub(crate) fn extend_region<F: Fit, W: Space>(space: &W, end: u64, more: u64) -> Result<(), W::Fault> {
    let previous = space.load(end)? & PREVIOUS_USED;
    space.store(end + more, USED)?;
    space.store(end, more | previous | USED)?;
    free::<F, W>(space, end)
}

/// A live block of at least `size`, if one is found at once.
#[inline(always)]
pub(crate) fn allocate<F: Fit, W: Space>(space: &W, size: u64) -> Result<Option<u64>, W::Fault> {
    let Some((block, found, is_rest_indexed)) = F::take_to_cut(space, size)? else { return Ok(None) };
    use_front::<F, W>(space, block, found, size, PREVIOUS_USED, is_rest_indexed)?;
    Ok(Some(block))
}

/// A live block of at least `size` whose payload is a multiple of `align`; `None`: no free block fits.
#[cold]
#[inline(never)]
pub(crate) fn allocate_slow<F: Fit, W: Space>(space: &W, size: u64, align: u64) -> Result<Option<u64>, W::Fault> {
    if align > 16 {
        return allocate_aligned::<F, W>(space, size, align);
    }
    let found = match F::take(space, size)? {
        Some(found) => Some(found),
        None => F::take_last_resort(space, size)?,
    };
    let Some((block, found)) = found else { return Ok(None) };
    use_front::<F, W>(space, block, found, size, PREVIOUS_USED, false)?;
    Ok(Some(block))
}

fn allocate_aligned<F: Fit, W: Space>(space: &W, size: u64, align: u64) -> Result<Option<u64>, W::Fault> {
    let with_room = size.checked_add(align).and_then(|sum| sum.checked_add(LEAST)).filter(|sum| *sum <= SIZE);
    let Some(with_room) = with_room else { return Ok(None) };
    let Some((block, found)) = F::take(space, with_room)? else { return Ok(None) };
    let payload = block + 8;
    let mut gap = payload.wrapping_neg() & (align - 1);
    if gap != 0 && gap < LEAST {
        gap += align;
    }
    if gap == 0 {
        use_front::<F, W>(space, block, found, size, PREVIOUS_USED, false)?;
        return Ok(Some(block));
    }
    // The front stays free; the rest becomes a block of its own.
    let aligned = block + gap;
    space.store(aligned, found - gap)?;
    space.store(aligned - 8, gap)?;
    space.store(block, gap | PREVIOUS_USED)?;
    F::insert(space, block, gap)?;
    use_front::<F, W>(space, aligned, found - gap, size, 0, false)?;
    Ok(Some(aligned))
}

/// Makes the first `size` bytes of a block that is free but in no index live, and the rest, if it can be one, a free
/// block. `previous` says whether the block before it is live: of a free block it always is.
#[inline(always)]
fn use_front<F: Fit, W: Space>(
    space: &W,
    block: u64,
    found: u64,
    size: u64,
    previous: u64,
    is_rest_indexed: bool,
) -> Result<(), W::Fault> {
    let flags = USED | previous;
    let rest = found - size;
    if rest >= F::LEAST_REST {
        let behind = block + size;
        space.store(behind + rest - 8, rest)?;
        space.store(behind, rest | PREVIOUS_USED)?;
        space.store(block, size | flags)?;
        return if is_rest_indexed { Ok(()) } else { F::insert(space, behind, rest) };
    }
    let next = block + found;
    space.store(next, space.load(next)? | PREVIOUS_USED)?;
    space.store(block, found | flags)
}

/// Makes a live block free and joins it with free neighbours. The caller made sure that it is live.
#[inline(always)]
pub(crate) fn free<F: Fit, W: Space>(space: &W, block: u64) -> Result<(), W::Fault> {
    let header = space.load(block)?;
    let (mut start, mut size) = (block, header & SIZE);
    let next = block + size;
    let next_header = space.load(next)?;
    if next_header & USED == 0 {
        F::remove(space, next, next_header & SIZE)?;
        size += next_header & SIZE;
    } else {
        space.store(next, next_header & !PREVIOUS_USED)?;
    }
    if header & PREVIOUS_USED == 0 {
        let before = space.load(block - 8)?;
        if before < LEAST || before >= block {
            return Err(W::corrupt(block));
        }
        start -= before;
        F::remove(space, start, before)?;
        size += before;
    }
    space.store(start + size - 8, size)?;
    space.store(start, size | PREVIOUS_USED)?;
    F::insert(space, start, size)
}

/// Changes the size of a live block where it is: shrinks, or grows into a free block behind it. False: no room.
pub(crate) fn resize<F: Fit, W: Space>(space: &W, block: u64, size: u64) -> Result<bool, W::Fault> {
    let header = space.load(block)?;
    let (old, flags) = (header & SIZE, header & !SIZE);
    let next = block + old;
    let next_header = space.load(next)?;
    let free_behind = if next_header & USED == 0 { next_header & SIZE } else { 0 };
    if size > old + free_behind {
        return Ok(false);
    }
    if size <= old && old - size < LEAST {
        return Ok(true);
    }
    let whole = if size > old {
        F::remove(space, next, free_behind)?;
        old + free_behind
    } else {
        old
    };
    let rest = whole - size;
    if rest < LEAST {
        let behind = block + whole;
        space.store(behind, space.load(behind)? | PREVIOUS_USED)?;
        space.store(block, whole | flags)?;
        return Ok(true);
    }
    // The rest is a live block for a moment, then freed like any other.
    let behind = block + size;
    space.store(behind, rest | PREVIOUS_USED | USED)?;
    space.store(block, size | flags)?;
    let after = block + whole;
    space.store(after, space.load(after)? | PREVIOUS_USED)?;
    free::<F, W>(space, behind)?;
    Ok(true)
}

/// Calls `then` with each block of a region and its header, in order; stops at the end mark, which must be at `end`.
pub(crate) fn walk<W: Space>(
    space: &W,
    start: u64,
    end: u64,
    mut then: impl FnMut(u64, u64) -> Result<(), W::Fault>,
) -> Result<(), W::Fault> {
    let mut at = start + 8;
    while at < end {
        let header = space.load(at)?;
        let size = header & SIZE;
        if size < LEAST || size > end - at {
            return Err(W::corrupt(at));
        }
        then(at, header)?;
        at += size;
    }
    let mark = space.load(end)?;
    if at == end && mark & SIZE == 0 && mark & USED != 0 { Ok(()) } else { Err(W::corrupt(at)) }
}

/// Checks `[boundary-tags]` but for the index: flags and last words.
pub(crate) fn check_region<W: Space>(space: &W, start: u64, end: u64) -> Result<(usize, usize, u64), W::Fault> {
    let (mut live, mut free, mut live_bytes, mut previous_used) = (0, 0, 0, true);
    walk(space, start, end, |at, header| {
        let size = header & SIZE;
        if (header & PREVIOUS_USED != 0) != previous_used {
            return Err(W::corrupt(at));
        }
        if header & USED != 0 {
            live += 1;
            live_bytes += size;
        } else {
            free += 1;
            if !previous_used || space.load(at + size - 8)? != size {
                return Err(W::corrupt(at));
            }
        }
        previous_used = header & USED != 0;
        Ok(())
    })?;
    if (space.load(end)? & PREVIOUS_USED != 0) == previous_used {
        Ok((live, free, live_bytes))
    } else {
        Err(W::corrupt(end))
    }
}
