//! FreeList: any size, any order, inside memory of your own.
//!
//! **What.** The allocator of the textbooks: memory is a row of blocks, each with its size in front; free ones are also in
//! an index. To allocate is to find a free block and cut off what is not needed; to free is to join it with free
//! neighbours at once, which the *boundary tags* find without a search.
//!
//! **When.** Blocks of many sizes with lives of their own, in memory that malloc must not touch: a plug-in's quota, a
//! region that goes back as a whole, a `GlobalAlloc` for a small system.
//!
//! **When not.** One size ([`Pool`](crate::Pool)); all dies together ([`Bump`](crate::Bump)); many threads (put it behind
//! a `Mutex`, or use malloc).
//!
//! | fit | finds | a search looks at |
//! |---|---|---|
//! | [`FirstFit`] | the first that is large enough, most recently freed first | some of the free blocks |
//! | [`NextFit`] | the same, from where the last search ended | some |
//! | [`BestFit`] | the smallest that is large enough | all, unless one fits exactly |
//! | [`Segregated`] | one of the next size class | one: two bit scans, O(1) |
//!
//! | operation | cost |
//! |---|---|
//! | allocate | the search, then a split: about 10 words touched |
//! | free | O(1): at most two neighbours taken out of the index, one block put in |
//! | overhead | 8 bytes a block, sizes rounded so that block plus header is a multiple of 16, at least 32 |
//!
//! ```text
//!   |8 live|  40 live  |8 free: next, previous … 64|8 live|     24 live     |8 free … |end|
//!                      └── joined with its neighbour at the moment of the free
//! ```
//!
//! **Misuse.** A second free of a block is noticed as long as the block was not handed out again or joined, and panics
//! ([`FreeList::try_deallocate`] returns it). A write past the end of a block destroys the next header; the walk of
//! [`FreeList::check`] finds that.
//!
//! **Limits.** Not sorted by address; blocks never move, so fragmentation is possible. Chunks that are wholly free go back
//! with [`FreeList::trim`].

pub(crate) mod blocks;
pub(crate) mod fit;
mod segregated;

pub use fit::{BestFit, FirstFit, FitKind, NextFit};
pub use segregated::Segregated;

use crate::chunks::{Chunk, Chunks};
use crate::error::{Error, ErrorKind, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use blocks::{SIZE, Space, USED};
use core::alloc::Layout;
use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;
use core::hint::select_unpredictable;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// Any size, any order, for one thread at a time. The module's documentation says when.
///
/// ```
/// use brkmap_toolbox::{FreeList, free_list::BestFit, source::AnonymousMap};
/// use std::alloc::Layout;
/// let list = FreeList::with_fit(BestFit, AnonymousMap::new());
/// let layout = Layout::new::<[u64; 5]>();
/// let block = list.allocate(layout).unwrap();
/// // SAFETY: the block is ours, then given back once.
/// unsafe {
///     block.cast::<[u64; 5]>().write([7; 5]);
///     list.deallocate(block.cast());
/// }
/// assert_eq!(list.stats().live, 0);
/// ```
pub struct FreeList<
    #[cfg(feature = "alloc")] S: Source = Global,
    #[cfg(not(feature = "alloc"))] S: Source,
    F: FitKind = Segregated,
> {
    words: Words,
    chunks: Chunks<S>,
    fit: PhantomData<F>,
}

/// Words for the largest index, and one that nobody reads.
const WORDS: usize = <Segregated as fit::Fit>::WORDS + 1;
const UNREAD: usize = WORDS - 1;

/// The index, and private memory by absolute addresses.
struct Words([Cell<u64>; WORDS]);

impl Words {
    #[inline(always)]
    fn place(&self, number: usize) -> &Cell<u64> {
        debug_assert!(number < WORDS);
        // SAFETY: [boundary-tags] fits number their words below `Fit::WORDS`, if sizes are those of blocks in a region.
        unsafe { self.0.get_unchecked(number) }
    }

    #[inline(always)]
    fn peek(&self, at: u64) -> u64 {
        // SAFETY: [boundary-tags] places are computed from tags in chunks of this list, whose addresses are exposed.
        unsafe { ptr::with_exposed_provenance::<u64>(at as usize).read() }
    }
}

impl Space for Words {
    type Fault = Infallible;
    const IS_TRUSTED: bool = true;

    #[cold]
    fn corrupt(at: u64) -> Infallible {
        give_up(blocks::corrupt(at))
    }

    #[inline(always)]
    fn load(&self, at: u64) -> Result<u64, Infallible> {
        Ok(self.peek(at))
    }

    #[inline(always)]
    fn store(&self, at: u64, word: u64) -> Result<(), Infallible> {
        // SAFETY: [boundary-tags] the same; headers, links and last words of free blocks are the list's own.
        unsafe { ptr::with_exposed_provenance_mut::<u64>(at as usize).write(word) };
        Ok(())
    }

    #[inline(always)]
    fn head(&self, number: usize) -> u64 {
        self.place(number).get()
    }

    #[inline(always)]
    fn set_head(&self, number: usize, word: u64) {
        self.place(number).set(word);
    }

    // Whether a list has a neighbour here is a toss-up for the processor: both are a choice of address, not a branch.
    #[inline(always)]
    fn store_unless_null(&self, at: u64, offset: u64, word: u64) -> Result<(), Infallible> {
        self.store_or_head(at, offset, UNREAD, word)
    }

    #[inline(always)]
    fn store_or_head(&self, at: u64, offset: u64, head: usize, word: u64) -> Result<(), Infallible> {
        let there = ptr::with_exposed_provenance_mut::<u64>((at + offset) as usize);
        let place = select_unpredictable(at == 0, self.place(head).as_ptr(), there);
        // SAFETY: [boundary-tags] a word of the index, or a link of a free block of this list.
        unsafe { place.write(word) };
        Ok(())
    }
}

/// The same for looks that report what is wrong instead of giving up.
struct Looking<'w>(&'w Words);

impl Space for Looking<'_> {
    type Fault = Error;
    const IS_TRUSTED: bool = false;

    fn corrupt(at: u64) -> Error {
        blocks::corrupt(at)
    }

    fn load(&self, at: u64) -> Result<u64, Error> {
        Ok(self.0.peek(at))
    }

    fn store(&self, at: u64, _word: u64) -> Result<(), Error> {
        Err(blocks::corrupt(at))
    }

    fn head(&self, number: usize) -> u64 {
        self.0.head(number)
    }

    fn set_head(&self, _number: usize, _word: u64) {}
}

// SAFETY: [exclusive-owner] the chunks belong to this value alone.
unsafe impl<S: Source + Send, F: FitKind> Send for FreeList<S, F> {}

#[cfg(feature = "alloc")]
impl FreeList {
    /// An empty one with segregated fit over the registered allocator.
    pub const fn new() -> FreeList {
        FreeList::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl Default for FreeList {
    fn default() -> FreeList {
        FreeList::new()
    }
}

impl<S: Source> FreeList<S, Segregated> {
    /// An empty one with segregated fit over a source.
    pub const fn over(source: S) -> FreeList<S, Segregated> {
        FreeList::with_fit(Segregated, source)
    }
}

impl<S: Source, F: FitKind> FreeList<S, F> {
    /// An empty one with a fit of choice over a source.
    pub const fn with_fit(fit: F, source: S) -> FreeList<S, F> {
        // Fits are values without contents.
        core::mem::forget(fit);
        FreeList { words: Words([const { Cell::new(0) }; WORDS]), chunks: Chunks::new(source), fit: PhantomData }
    }

    /// Gives it a name for [`stats`](FreeList::stats) and reports.
    pub fn named(mut self, name: &'static str) -> FreeList<S, F> {
        self.chunks.set_name(name);
        self
    }

    /// The source.
    pub fn source(&self) -> &S {
        self.chunks.source()
    }

    /// How it picks a block.
    pub const fn fit(&self) -> &'static str {
        F::NAME
    }

    /// A block of at least the layout's size; the result is as long as the block. It lives until it is given back or the
    /// list is dropped.
    ///
    /// # Errors
    ///
    /// The source has no more memory, or an overrun destroyed the tags.
    #[inline]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        if layout.align() <= 16 && layout.size() as u64 <= blocks::LONGEST_REGION {
            let size = blocks::rounded(layout.size());
            let Ok(found) = blocks::allocate::<F, Words>(&self.words, size);
            if let Some(block) = found {
                return Ok(self.payload(block));
            }
        }
        self.allocate_slow(layout)
    }

    #[inline(always)]
    fn payload(&self, block: u64) -> NonNull<[u8]> {
        let header = self.words.peek(block);
        let bytes = (header & SIZE) as usize - 8;
        // SAFETY: [boundary-tags] a block lies in a chunk, whose addresses are not 0.
        let start = unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut::<u8>(block as usize + 8)) };
        NonNull::slice_from_raw_parts(start, bytes)
    }

    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let (size, align) = (blocks::size_for(layout.size())?, layout.align() as u64);
        let Ok(mut found) = blocks::allocate_slow::<F, Words>(&self.words, size, align);
        if found.is_none() {
            self.grow(size, layout)?;
            Ok(found) = blocks::allocate_slow::<F, Words>(&self.words, size, align);
        }
        let bug = Error::new(ErrorKind::Corrupt, "FreeList::allocate", layout.size(), "a chunk was shorter than asked");
        found.map(|block| self.payload(block)).ok_or(bug)
    }

    /// Where the blocks of a chunk begin, and its end mark; 16 bytes fewer than the chunk at most.
    fn region(chunk: Chunk) -> (u64, u64) {
        let (start, end) = (chunk.start().as_ptr(), chunk.end().as_ptr());
        (start.expose_provenance() as u64, (end.expose_provenance() as u64 & !15) - 8)
    }

    /// Gets memory for a block of `size`: the newest chunk longer, or another.
    fn grow(&self, size: u64, layout: Layout) -> Result<(), Error> {
        // Room for the worst gap in front, the pad and the end mark; a class step more, so that the search by class
        // finds the fresh block.
        let align = if layout.align() > 16 { layout.align() + blocks::LEAST as usize } else { 0 };
        let room = (size as usize + align + 64).saturating_add(size as usize / 8);
        if let Some(newest) = self.chunks.newest() {
            let (start, end) = Self::region(newest);
            let fits = (end - start).saturating_add((room as u64).saturating_mul(4)) < blocks::LONGEST_REGION;
            if fits && self.chunks.extend(newest, room).is_ok() {
                let (_, new_end) = Self::region(newest);
                let Ok(()) = blocks::extend_region::<F, Words>(&self.words, end, new_end - end);
                return Ok(());
            }
        }
        let chunk = self.chunks.acquire(room, 16, None)?;
        let (start, end) = Self::region(chunk);
        if end - start > blocks::LONGEST_REGION {
            // SAFETY: [chunk-chain] in the chain; nobody has anything of it.
            unsafe { self.chunks.release(chunk) };
            let remedy = "use a source with chunks of at most 4 TiB";
            return Err(Error::new(ErrorKind::BadRequest, "FreeList::allocate", layout.size(), remedy));
        }
        let Ok(()) = blocks::open_region::<F, Words>(&self.words, start, end + 8 - start);
        Ok(())
    }

    /// Gives a block back.
    ///
    /// # Panics
    ///
    /// When the block's tag says that it is free already, or the tags around it contradict each other.
    ///
    /// # Safety
    ///
    /// It came from this list, was not given back since, and nobody uses it.
    #[inline]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        // SAFETY: [boundary-tags] the caller's promise.
        if let Err(error) = unsafe { self.try_deallocate(block) } {
            give_up(error);
        }
    }

    /// [`deallocate`](FreeList::deallocate) that returns what it noticed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for a block that is free already.
    ///
    /// # Panics
    ///
    /// Where the tags around it contradict each other: something was written outside of its block.
    ///
    /// # Safety
    ///
    /// It came from this list; unless it is free already, nobody uses it.
    #[inline]
    pub unsafe fn try_deallocate(&self, block: NonNull<u8>) -> Result<(), Error> {
        let header = block.addr().get() as u64 - 8;
        if self.words.peek(header) & USED == 0 {
            return Err(blocks::double_free(header));
        }
        let Ok(()) = blocks::free::<F, Words>(&self.words, header);
        Ok(())
    }

    /// Changes the size of a block where it is. False: there is no room; nothing has changed.
    ///
    /// # Safety
    ///
    /// The block is live and from this list; nobody uses what is cut off.
    pub unsafe fn resize(&self, block: NonNull<u8>, bytes: usize) -> bool {
        let Ok(size) = blocks::size_for(bytes) else { return false };
        let header = block.addr().get() as u64 - 8;
        let Ok(done) = blocks::resize::<F, Words>(&self.words, header, size);
        done
    }

    /// Bytes of a live block that may be used.
    ///
    /// # Safety
    ///
    /// The block is live and from this list.
    pub unsafe fn usable(&self, block: NonNull<u8>) -> usize {
        self.payload(block.addr().get() as u64 - 8).len()
    }

    /// Gives chunks back in which no block lives; the number of bytes that went.
    pub fn trim(&mut self) -> usize {
        let mut gone = 0;
        let mut at = self.chunks.newest();
        while let Some(chunk) = at {
            at = chunk.previous();
            let (start, end) = Self::region(chunk);
            let header = self.words.peek(start + 8);
            if header & USED == 0 && start + 8 + (header & SIZE) == end {
                let Ok(()) = F::remove(&self.words, start + 8, header & SIZE);
                gone += chunk.bytes();
                // SAFETY: [chunk-chain] in the chain; its one block is free and no longer in the index.
                unsafe { self.chunks.release(chunk) };
            }
        }
        gone
    }

    /// Walks all blocks and the index and compares them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] with the first place where they contradict each other.
    pub fn check(&self) -> Result<(), Error> {
        let (mut free, mut wrong) = (0, None);
        self.chunks.each(|chunk| {
            let (start, end) = Self::region(chunk);
            match blocks::check_region(&Looking(&self.words), start, end) {
                Ok((_, here, _)) => free += here,
                Err(error) => wrong = wrong.or(Some(error)),
            }
        });
        match wrong {
            Some(error) => Err(error),
            None if F::count(&Looking(&self.words))? == free => Ok(()),
            None => Err(blocks::corrupt(0)),
        }
    }

    /// What it has in hand. Counting walks all blocks.
    pub fn stats(&self) -> Stats {
        let (chunks, held_bytes) = self.chunks.census();
        let (mut live, mut live_bytes) = (0, 0);
        self.chunks.each(|chunk| {
            let (start, end) = Self::region(chunk);
            let _ = blocks::walk(&Looking(&self.words), start, end, |_, header| {
                if header & USED != 0 {
                    live += 1;
                    live_bytes += (header & SIZE) as usize;
                }
                Ok(())
            });
        });
        Stats { name: self.chunks.name(), live, live_bytes, held_bytes, chunks }
    }
}

impl<S: Source, F: FitKind> fmt::Debug for FreeList<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FreeList({}, {})", F::NAME, self.stats())
    }
}
