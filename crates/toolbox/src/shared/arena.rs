//! Arena in shared memory: values of one type, all freed together.
//!
//! **What.** A table that grows: [`Arena::push`] appends a value and returns a handle; [`Arena::get`] and [`Arena::set`]
//! copy; [`Arena::reset`] frees all at once.
//!
//! **When.** Columns, samples, nodes that refer to each other by handles: written by one process, read by others or by
//! the next run.
//!
//! **When not.** Values that go one by one ([`Pool`](super::Pool)).
//!
//! | operation | cost |
//! |---|---|
//! | push | the lock (a `getpid`, two atomic operations), the copy |
//! | get, set | the copy; no lock |
//! | reset | one store |
//!
//! ```text
//!   |header|epoch, count|T|T|T|T|················|
//! ```
//!
//! **Killed in the middle.** As for [`Bump`](super::Bump): one store publishes a value, one store resets.
//!
//! **Limits.** 2^32 values. Chunks are the memory itself: a file grows in place, other memories have a fixed length.

use super::header::{self, Kind, OWN, layout_of};
use super::words::stride;
use super::{Handle, Memory, face, lock};
use crate::error::{Error, ErrorKind};
use crate::plain::Plain;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

/// Values of one type in shared memory or a file. The module's documentation says when.
pub struct Arena<T: Plain, M: Memory> {
    memory: M,
    values: PhantomData<fn() -> T>,
}

face!(Arena<T: Plain, M: Memory>);

/// The word with the epoch in its high half, the count in its low half.
const AT_COUNT: u64 = OWN;
const DATA: u64 = OWN + 64;

impl<T: Plain, M: Memory> Arena<T, M> {
    /// An empty one. What the memory holds is lost.
    ///
    /// # Errors
    ///
    /// The memory is too small.
    pub fn create(memory: M) -> Result<Arena<T, M>, Error> {
        header::create(&memory, Kind::Arena, layout_of::<T>(), 64 + stride::<T>(), |words| {
            words.store(AT_COUNT, 1 << 32)
        })?;
        Ok(Arena { memory, values: PhantomData })
    }

    /// What the memory holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongLayout`], [`ErrorKind::Truncated`] or [`ErrorKind::Corrupt`]: it holds something else.
    pub fn open(memory: M) -> Result<Arena<T, M>, Error> {
        header::open(&memory, Kind::Arena, layout_of::<T>())?;
        let arena = Arena { memory, values: PhantomData };
        let (_, count) = arena.state()?;
        if Self::place(count) > arena.words().bytes() {
            let remedy = "restore the file";
            return Err(Error::new(ErrorKind::Corrupt, "shared::Arena::open", count as usize, remedy));
        }
        Ok(arena)
    }

    fn state(&self) -> Result<(u32, u32), Error> {
        let word = self.words().at(AT_COUNT)?.load(Ordering::Acquire);
        Ok(((word >> 32) as u32, word as u32))
    }

    const fn place(index: u32) -> u64 {
        DATA + index as u64 * stride::<T>()
    }

    /// Appends a value.
    ///
    /// # Errors
    ///
    /// There is no room, and the memory cannot grow.
    pub fn push(&self, value: T) -> Result<Handle<T>, Error> {
        let _held = lock::lock(self.words())?;
        let (epoch, count) = self.state()?;
        let full =
            Error::new(ErrorKind::Exhausted, "shared::Arena::push", size_of::<T>(), "reset it, or use a larger memory");
        let more = count.checked_add(1).ok_or(full)?;
        if Self::place(more) > self.words().bytes() {
            header::grow(&self.memory, Self::place(more))?;
        }
        let words = self.words();
        words.write(Self::place(count), &value)?;
        words.at(AT_COUNT)?.store(u64::from(epoch) << 32 | u64::from(more), Ordering::Release);
        Ok(Handle::new(count, epoch))
    }

    fn find(&self, value: Handle<T>) -> Result<u64, Error> {
        let (epoch, count) = self.state()?;
        if value.generation() != epoch || value.place() >= count {
            let remedy = "use handles of this memory, and none from before a reset";
            return Err(Error::new(ErrorKind::Stale, "shared::Arena::get", value.place() as usize, remedy));
        }
        Ok(Self::place(value.place()))
    }

    /// A value, copied out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for a value from before a reset.
    pub fn get(&self, value: Handle<T>) -> Result<T, Error> {
        self.words().read(self.find(value)?)
    }

    /// Replaces a value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for a value from before a reset.
    pub fn set(&self, place: Handle<T>, value: T) -> Result<(), Error> {
        self.words().write(self.find(place)?, &value)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.state().map_or(0, |(_, count)| count as usize)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The handles of all values, in the order in which they came.
    pub fn handles(&self) -> impl Iterator<Item = Handle<T>> {
        let (epoch, count) = self.state().unwrap_or((0, 0));
        (0..count).map(move |index| Handle::new(index, epoch))
    }

    /// Frees everything; handles from before are refused.
    ///
    /// # Errors
    ///
    /// The memory was overwritten.
    pub fn reset(&self) -> Result<(), Error> {
        let _held = lock::lock(self.words())?;
        let (epoch, _) = self.state()?;
        let epoch = epoch.wrapping_add(1).max(1);
        self.words().at(AT_COUNT)?.store(u64::from(epoch) << 32, Ordering::Release);
        Ok(())
    }
}

impl<T: Plain, M: Memory> core::fmt::Debug for Arena<T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "shared::Arena({} live of {} bytes each)", self.len(), size_of::<T>())
    }
}
