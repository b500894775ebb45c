//! FreeList in shared memory: blocks of any size, freed one by one.
//!
//! **What.** The blocks and fits of [`free_list`](crate::free_list), with offsets for addresses, behind a lock between
//! processes, and handles that are checked at every use.
//!
//! **When.** A cache of entries of any size that several processes fill and read; a heap in a file.
//!
//! **When not.** One size ([`Pool`](super::Pool), which needs no lock); nothing is freed singly ([`Bump`](super::Bump)).
//!
//! | operation | cost |
//! |---|---|
//! | allocate, free | the lock (a `getpid`, two atomic operations), then as in private memory |
//! | read, write | a look at the handle, the copy; no lock |
//!
//! ```text
//!   |header|index of the fit|one bit per 16 bytes: a block begins|block|block|free block|block|end|
//! ```
//!
//! **Killed in the middle.** The lock notices, and the next who gets it *repairs*: sizes can be walked at every moment
//! (see the blocks' stores), and flags, index and bits follow from them. Where the walk fails, because something
//! overwrote a size, every call is refused with [`Corrupt`](ErrorKind::Corrupt). A block that was being allocated may
//! stay live without anyone having its handle; [`FreeList::handles`] shows it.
//!
//! **Limits.** The length is that of the memory when it was created, 64 GiB at most. A generation has 16 bits: a handle
//! kept over 65,535 further allocations may be believed if a block begins at its place again.

use super::free_space::{AT_GENERATION, GENERATION_SHIFT, Plan, Shared};
use super::header::{self, Kind, OWN};
use super::lock::{self, Guard};
use super::words::{WORD, Words, stride};
use super::{Handle, Memory, face};
use crate::error::{Error, ErrorKind};
use crate::free_list::blocks::{self, LEAST, SIZE, Space, USED};
use crate::free_list::{FitKind, Segregated};
use crate::plain::{Plain, tag};
use core::marker::PhantomData;

/// Blocks of any size in shared memory or a file. The module's documentation says when.
///
/// ```
/// use brkmap_toolbox::{shared::FreeList, source::SharedMap};
/// let list = FreeList::create(SharedMap::create("cache", 1 << 16).unwrap()).unwrap();
/// let entry = list.allocate(100).unwrap();
/// list.write(entry, 0, b"an entry").unwrap();
/// let mut copy = [0; 8];
/// list.read(entry, 0, &mut copy).unwrap();
/// assert_eq!(&copy, b"an entry");
/// list.free(entry).unwrap();
/// assert!(list.free(entry).is_err(), "a second time is an error");
/// ```
#[derive(Debug)]
pub struct FreeList<M: Memory, F: FitKind = Segregated> {
    memory: M,
    plan: Plan,
    fit: PhantomData<F>,
}

face!(FreeList<M: Memory, F: FitKind>);

impl<M: Memory> FreeList<M> {
    /// An empty one with segregated fit. What the memory holds is lost.
    ///
    /// # Errors
    ///
    /// The memory is too small: the index alone is 5 KiB.
    pub fn create(memory: M) -> Result<FreeList<M>, Error> {
        FreeList::create_with(Segregated, memory)
    }

    /// What the memory holds.
    ///
    /// # Errors
    ///
    /// As for [`open_with`](FreeList::open_with).
    pub fn open(memory: M) -> Result<FreeList<M>, Error> {
        FreeList::open_with(Segregated, memory)
    }
}

impl<M: Memory, F: FitKind> FreeList<M, F> {
    const LAYOUT: u64 = tag(F::NAME);

    /// An empty one with a fit of choice. What the memory holds is lost.
    ///
    /// # Errors
    ///
    /// The memory is too small.
    pub fn create_with(fit: F, memory: M) -> Result<FreeList<M, F>, Error> {
        core::mem::forget(fit);
        let plan = Self::plan(Words::of(&memory).bytes())?;
        header::create(&memory, Kind::FreeList, Self::LAYOUT, 0, |words| {
            for at in (OWN..plan.start & !7).step_by(WORD as usize) {
                words.store(at, 0)?;
            }
            let space = Shared { words, plan };
            blocks::open_region::<F, _>(&space, plan.start, plan.end + 8 - plan.start)
        })?;
        Ok(FreeList { memory, plan, fit: PhantomData })
    }

    /// What the memory holds. If nobody else can be using it and a process died in the middle of a change, it is repaired.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongLayout`], [`ErrorKind::Truncated`] or [`ErrorKind::Corrupt`]: it holds something else, or
    /// cannot be repaired.
    pub fn open_with(fit: F, memory: M) -> Result<FreeList<M, F>, Error> {
        core::mem::forget(fit);
        header::open(&memory, Kind::FreeList, Self::LAYOUT)?;
        let plan = Self::plan(Words::of(&memory).bytes())?;
        let list = FreeList { memory, plan, fit: PhantomData };
        if list.memory.is_alone() {
            drop(list.lock()?);
            list.check()?;
        }
        Ok(list)
    }

    fn plan(bytes: u64) -> Result<Plan, Error> {
        let small = Error::new(ErrorKind::Exhausted, "shared::FreeList", bytes as usize, "make the memory larger");
        Plan::of::<F>(bytes).ok_or(small)
    }

    fn space(&self) -> Shared<'_> {
        Shared { words: self.words(), plan: self.plan }
    }

    /// The lock, and consistent contents.
    fn lock(&self) -> Result<Guard<'_>, Error> {
        let mut held = lock::lock(self.words())?;
        if held.was_cut_off {
            self.space().repair::<F>()?;
            held.end();
        }
        Ok(held)
    }

    /// Runs a change with the lock held. What fails in the middle leaves the memory to be repaired.
    fn change<R>(&self, change: impl FnOnce(&Shared<'_>) -> Result<R, Error>) -> Result<R, Error> {
        let mut held = self.lock()?;
        held.begin();
        let done = change(&self.space())?;
        held.end();
        Ok(done)
    }

    fn handle<T: ?Sized>(&self, block: u64, generation: u64) -> Handle<T> {
        Handle::new(((block - self.plan.start) / 16) as u32, generation as u32)
    }

    /// The block that a handle means, and its size.
    fn find<T: ?Sized>(&self, handle: Handle<T>) -> Result<(u64, u64), Error> {
        let block = self.plan.start + 8 + u64::from(handle.place()) * 16;
        let remedy = "use handles of this memory, and each until its block is freed";
        let stale = Error::new(ErrorKind::Stale, "shared::FreeList", block as usize, remedy);
        let space = self.space();
        if block >= self.plan.end || !space.begins(block)? {
            return Err(stale);
        }
        let header = space.load(block)?;
        let size = header & SIZE;
        if header & USED == 0 || header >> GENERATION_SHIFT != u64::from(handle.generation()) {
            return Err(stale);
        }
        if size < LEAST || size > self.plan.end - block { Err(blocks::corrupt(block)) } else { Ok((block, size)) }
    }

    /// A block of at least `bytes`; what it holds is not defined.
    ///
    /// # Errors
    ///
    /// There is no room, or the memory was overwritten.
    pub fn allocate(&self, bytes: usize) -> Result<Handle<[u8]>, Error> {
        self.take(bytes)
    }

    fn take<T: ?Sized>(&self, bytes: usize) -> Result<Handle<T>, Error> {
        let size = blocks::size_for(bytes)?;
        let remedy = "free blocks, or use a larger memory";
        let full = Error::new(ErrorKind::Exhausted, "shared::FreeList::allocate", bytes, remedy);
        let found = self.change(|space| {
            let Some(block) = blocks::allocate_slow::<F, _>(space, size, 16)? else { return Ok(None) };
            let generation = (space.words.load(AT_GENERATION)? + 1) & 0xffff;
            let generation = generation.max(1);
            space.words.store(AT_GENERATION, generation)?;
            let header = space.load(block)? & ((1 << GENERATION_SHIFT) - 1);
            space.store(block, header | generation << GENERATION_SHIFT)?;
            space.set_begins(block, true)?;
            Ok(Some(self.handle(block, generation)))
        })?;
        found.ok_or(full)
    }

    /// Frees a block and joins it with free neighbours.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when it was freed before.
    pub fn free<T: ?Sized>(&self, block: Handle<T>) -> Result<(), Error> {
        let mut held = self.lock()?;
        let (block, _) = self.find(block)?;
        held.begin();
        let space = self.space();
        space.set_begins(block, false)?;
        blocks::free::<F, _>(&space, block)?;
        held.end();
        Ok(())
    }

    /// Changes the size of a block: in place if there is room, else in another place with the contents. The handle
    /// returned replaces the other, which is valid no longer if it differs.
    ///
    /// # Errors
    ///
    /// There is no room, and the block is as it was; or it was freed before.
    pub fn resize(&self, block: Handle<[u8]>, bytes: usize) -> Result<Handle<[u8]>, Error> {
        let size = blocks::size_for(bytes)?;
        let mut held = self.lock()?;
        let (at, old) = self.find(block)?;
        held.begin();
        let in_place = blocks::resize::<F, _>(&self.space(), at, size)?;
        held.end();
        drop(held);
        if in_place {
            return Ok(block);
        }
        let new = self.allocate(bytes)?;
        let (to, _) = self.find(new)?;
        let words = self.words();
        for word in (WORD..old.min(size)).step_by(WORD as usize) {
            words.store(to + word, words.load(at + word)?)?;
        }
        self.free(block)?;
        Ok(new)
    }

    /// Bytes of a block that may be used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when it was freed.
    pub fn usable(&self, block: Handle<[u8]>) -> Result<usize, Error> {
        self.find(block).map(|(_, size)| (size - WORD) as usize)
    }

    /// The place of `length` bytes from `from` on in a block.
    fn part(&self, block: Handle<[u8]>, from: usize, length: usize) -> Result<u64, Error> {
        let (at, size) = self.find(block)?;
        let remedy = "stay inside the block";
        let outside = Error::new(ErrorKind::BadRequest, "shared::FreeList", length, remedy);
        match from.checked_add(length) {
            Some(end) if end as u64 <= size - WORD => Ok(at + WORD),
            _ => Err(outside),
        }
    }

    /// Copies bytes of a block out, from `from` on.
    ///
    /// # Errors
    ///
    /// The block was freed, or is shorter.
    pub fn read(&self, block: Handle<[u8]>, from: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let start = self.part(block, from, bytes.len())?;
        let words = self.words();
        for (at, byte) in (from as u64..).zip(bytes) {
            *byte = words.load(start + at / WORD * WORD)?.to_ne_bytes()[(at % WORD) as usize];
        }
        Ok(())
    }

    /// Copies bytes into a block, from `from` on.
    ///
    /// # Errors
    ///
    /// The block was freed, or is shorter.
    pub fn write(&self, block: Handle<[u8]>, from: usize, bytes: &[u8]) -> Result<(), Error> {
        let start = self.part(block, from, bytes.len())?;
        let words = self.words();
        let (mut at, mut rest) = (from as u64, bytes);
        while !rest.is_empty() {
            let place = start + at / WORD * WORD;
            let (inside, mut word) = ((at % WORD) as usize, words.load(place)?.to_ne_bytes());
            let (now, later) = rest.split_at(rest.len().min(WORD as usize - inside));
            word[inside..inside + now.len()].copy_from_slice(now);
            words.store(place, u64::from_ne_bytes(word))?;
            (at, rest) = (at + now.len() as u64, later);
        }
        Ok(())
    }

    /// A block with a value in it.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn insert<T: Plain>(&self, value: T) -> Result<Handle<T>, Error> {
        let block = self.take::<T>(stride::<T>() as usize)?;
        self.set(block, value)?;
        Ok(block)
    }

    /// The value of a block, copied out.
    ///
    /// # Errors
    ///
    /// The block was freed, or holds something smaller.
    pub fn get<T: Plain>(&self, block: Handle<T>) -> Result<T, Error> {
        let at = self.part(Handle::from_bits(block.to_bits()), 0, size_of::<T>())?;
        self.words().read(at)
    }

    /// Replaces the value of a block.
    ///
    /// # Errors
    ///
    /// The block was freed, or holds something smaller.
    pub fn set<T: Plain>(&self, block: Handle<T>, value: T) -> Result<(), Error> {
        let at = self.part(Handle::from_bits(block.to_bits()), 0, size_of::<T>())?;
        self.words().write(at, &value)
    }

    /// The handles of all live blocks, in the order of their places; empty where the memory was overwritten.
    #[cfg(feature = "alloc")]
    pub fn handles(&self) -> alloc::vec::Vec<Handle<[u8]>> {
        let mut found = alloc::vec::Vec::new();
        let Ok(_held) = self.lock() else { return found };
        let space = self.space();
        let _ = blocks::walk(&space, self.plan.start, self.plan.end, |at, header| {
            if header & USED != 0 && space.begins(at)? {
                found.push(self.handle(at, header >> GENERATION_SHIFT));
            }
            Ok(())
        });
        found
    }

    /// Walks all blocks, the index and the bits and compares them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] with the first place where they contradict each other.
    pub fn check(&self) -> Result<(), Error> {
        let _held = self.lock()?;
        let space = self.space();
        let (_, free, _) = blocks::check_region(&space, self.plan.start, self.plan.end)?;
        blocks::walk(&space, self.plan.start, self.plan.end, |at, header| {
            if space.begins(at)? == (header & USED != 0) { Ok(()) } else { Err(blocks::corrupt(at)) }
        })?;
        if F::count(&space)? == free { Ok(()) } else { Err(blocks::corrupt(0)) }
    }

    /// Live blocks, and their bytes with the tags.
    pub fn census(&self) -> Result<(usize, usize), Error> {
        let _held = self.lock()?;
        let (live, _, bytes) = blocks::check_region(&self.space(), self.plan.start, self.plan.end)?;
        Ok((live, bytes as usize))
    }
}
