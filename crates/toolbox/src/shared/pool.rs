//! Pool in shared memory: slots for one type, lock-free between threads and processes.
//!
//! **What.** Slots with a generation each; free ones are a stack whose head carries a count of changes. A handle names a
//! slot and a generation: after [`Pool::remove`] it is refused, whoever has the slot by then.
//!
//! **When.** Jobs, messages, sessions that several processes make and take; a table in a file whose rows come and go.
//!
//! **When not.** Rows are never removed ([`Arena`](super::Arena)), or have no fixed size ([`FreeList`](super::FreeList)).
//!
//! | operation | cost |
//! |---|---|
//! | insert | one compare-and-exchange, the copy, one store |
//! | get, set | a look at the generation before and after the copy |
//! | remove | the copy, two compare-and-exchanges |
//!
//! ```text
//!   |header|head, fresh|gen 3: live|T|gen 2: free ─┐|T|gen 5: live|T|gen 0: free|T|· never used ·|
//!                                   ▲ head         └─────────────────► next
//! ```
//!
//! **Killed in the middle.** The pool stays consistent for everybody else. The one slot that the dead process had in hand
//! is neither live nor in the list; [`Pool::recover`] finds it, and opening a memory that nobody else can be using does
//! that by itself.
//!
//! **Limits.** 2^32 − 1 slots. A generation has 31 bits: a handle that is kept over 2^31 reuses of its slot is believed.

use super::header::{self, Kind, OWN, layout_of};
use super::words::{WORD, stride};
use super::{Handle, Memory, face};
use crate::error::{Error, ErrorKind};
use crate::plain::Plain;
use crate::tagged;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

/// Slots for one type in shared memory or a file. The module's documentation says when.
pub struct Pool<T: Plain, M: Memory> {
    memory: M,
    values: PhantomData<fn() -> T>,
}

face!(Pool<T: Plain, M: Memory>);

/// Count of changes << 32 | number of the first free slot plus 1.
const AT_HEAD: u64 = OWN;
/// Slots below this number were used at some time.
const AT_FRESH: u64 = OWN + 8;
const DATA: u64 = OWN + 64;

/// The state word of a slot: generation << 32 | number of the next free slot plus 1. The generation is odd while the
/// slot is live.
const fn generation(state: u64) -> u32 {
    (state >> 32) as u32
}

const fn is_live(state: u64) -> bool {
    generation(state) % 2 == 1
}

impl<T: Plain, M: Memory> Pool<T, M> {
    const SLOT: u64 = WORD + stride::<T>();

    /// An empty one. What the memory holds is lost.
    ///
    /// # Errors
    ///
    /// The memory is too small for one slot.
    pub fn create(memory: M) -> Result<Pool<T, M>, Error> {
        header::create(&memory, Kind::Pool, layout_of::<T>(), 64 + Self::SLOT, |words| {
            words.store(AT_HEAD, 0)?;
            words.store(AT_FRESH, 0)
        })?;
        Ok(Pool { memory, values: PhantomData })
    }

    /// What the memory holds. If nobody else can be using it, slots that a killed process had in hand are recovered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongLayout`], [`ErrorKind::Truncated`] or [`ErrorKind::Corrupt`]: it holds something else.
    pub fn open(memory: M) -> Result<Pool<T, M>, Error> {
        header::open(&memory, Kind::Pool, layout_of::<T>())?;
        let pool = Pool { memory, values: PhantomData };
        if pool.fresh()? > pool.capacity() {
            let remedy = "restore the file";
            return Err(Error::new(ErrorKind::Corrupt, "shared::Pool::open", pool.words().bytes() as usize, remedy));
        }
        if pool.memory.is_alone() {
            pool.recover()?;
        }
        Ok(pool)
    }

    /// Slots that the memory has room for.
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.words().bytes().saturating_sub(DATA) / Self::SLOT).unwrap_or(u32::MAX).min(u32::MAX - 1)
    }

    fn fresh(&self) -> Result<u32, Error> {
        Ok(self.words().at(AT_FRESH)?.load(Ordering::Acquire) as u32)
    }

    const fn place(index: u32) -> u64 {
        DATA + index as u64 * Self::SLOT
    }

    fn state(&self, index: u32) -> Result<&AtomicU64, Error> {
        self.words().at(Self::place(index))
    }

    /// Moves a value into a slot.
    ///
    /// # Errors
    ///
    /// All slots are live, and the memory cannot grow.
    pub fn insert(&self, value: T) -> Result<Handle<T>, Error> {
        let index = match self.pop()? {
            Some(index) => index,
            None => self.take_fresh()?,
        };
        let state = self.state(index)?;
        self.words().write(Self::place(index) + WORD, &value)?;
        let live = generation(state.load(Ordering::Relaxed)).wrapping_add(1) | 1;
        state.store(u64::from(live) << 32, Ordering::Release);
        Ok(Handle::new(index, live))
    }

    fn pop(&self) -> Result<Option<u32>, Error> {
        let next_of = |index| Ok(self.state(index)?.load(Ordering::Relaxed) as u32);
        tagged::pop(self.words().at(AT_HEAD)?, next_of)
    }

    fn take_fresh(&self) -> Result<u32, Error> {
        let word = self.words().at(AT_FRESH)?;
        loop {
            let fresh = word.load(Ordering::Relaxed);
            if fresh >= u64::from(self.capacity()) {
                let remedy = "remove values, or use a larger memory";
                let full = Error::new(ErrorKind::Exhausted, "shared::Pool::insert", size_of::<T>(), remedy);
                let index = u32::try_from(fresh).ok().filter(|index| *index < u32::MAX - 1).ok_or(full)?;
                header::grow(&self.memory, Self::place(index + 1)).map_err(|_| full)?;
                continue;
            }
            // A slot of a memory that was used before may hold anything: it begins with generation 0.
            let state = self.state(fresh as u32)?;
            if word.compare_exchange_weak(fresh, fresh + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                state.store(0, Ordering::Relaxed);
                return Ok(fresh as u32);
            }
        }
    }

    /// The state of the slot that a handle means.
    fn find(&self, value: Handle<T>) -> Result<(&AtomicU64, u64), Error> {
        let remedy = "use handles of this memory, and each until its value is removed";
        let stale = Error::new(ErrorKind::Stale, "shared::Pool::get", value.place() as usize, remedy);
        if value.place() >= self.fresh()? {
            return Err(stale);
        }
        let word = self.state(value.place())?;
        let state = word.load(Ordering::Acquire);
        if is_live(state) && generation(state) == value.generation() { Ok((word, state)) } else { Err(stale) }
    }

    /// A value, copied out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when it was removed.
    pub fn get(&self, value: Handle<T>) -> Result<T, Error> {
        self.find(value)?;
        let copy = self.words().read(Self::place(value.place()) + WORD)?;
        // Removed while it was copied: what was copied may be another's.
        core::sync::atomic::fence(Ordering::Acquire);
        self.find(value)?;
        Ok(copy)
    }

    /// Replaces a value. Two who replace it at the same moment leave a mixture, and who replaces it while another removes it
    /// may write into the value that has the slot next: values that matter that much need one writer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when it was removed.
    pub fn set(&self, place: Handle<T>, value: T) -> Result<(), Error> {
        self.find(place)?;
        self.words().write(Self::place(place.place()) + WORD, &value)
    }

    /// Takes a value out; exactly one of those who try at the same moment gets it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when it was removed.
    pub fn remove(&self, value: Handle<T>) -> Result<T, Error> {
        let (word, state) = self.find(value)?;
        let copy = self.words().read(Self::place(value.place()) + WORD)?;
        let free = u64::from(generation(state).wrapping_add(1)) << 32;
        if word.compare_exchange(state, free, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            let remedy = "somebody else removed it at this moment";
            return Err(Error::new(ErrorKind::Stale, "shared::Pool::remove", value.place() as usize, remedy));
        }
        self.push(value.place(), free)?;
        Ok(copy)
    }

    /// Puts a slot in state `free` on the list.
    fn push(&self, index: u32, free: u64) -> Result<(), Error> {
        let (head, state) = (self.words().at(AT_HEAD)?, self.state(index)?);
        tagged::push(head, index, |next| state.store(free | u64::from(next), Ordering::Relaxed));
        Ok(())
    }

    /// Makes the list of free slots anew from the slots themselves, so that none is lost.
    ///
    /// Call it while nobody else uses the pool; else a slot may be handed out twice.
    ///
    /// # Errors
    ///
    /// The memory was overwritten.
    pub fn recover(&self) -> Result<(), Error> {
        self.words().at(AT_HEAD)?.store(0, Ordering::Release);
        for index in (0..self.fresh()?).rev() {
            let state = self.state(index)?.load(Ordering::Relaxed);
            if !is_live(state) {
                self.push(index, u64::from(generation(state)) << 32)?;
            }
        }
        Ok(())
    }

    /// The handles of all live values, in the order of their slots; counted and compared by looking at each.
    pub fn handles(&self) -> impl Iterator<Item = Handle<T>> {
        (0..self.fresh().unwrap_or(0).min(self.capacity())).filter_map(|index| {
            let state = self.state(index).ok()?.load(Ordering::Acquire);
            is_live(state).then(|| Handle::new(index, generation(state)))
        })
    }

    /// Number of live values; looks at each slot.
    pub fn len(&self) -> usize {
        self.handles().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.handles().next().is_none()
    }
}

impl<T: Plain, M: Memory> core::fmt::Debug for Pool<T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "shared::Pool({} live of {} bytes each)", self.len(), size_of::<T>())
    }
}
