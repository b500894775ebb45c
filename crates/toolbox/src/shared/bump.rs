//! Bump in shared memory: records of bytes, one behind the other.
//!
//! **What.** A log: [`Bump::put`] appends bytes and returns a handle, [`Bump::get`] copies them out, [`Bump::records`]
//! visits all, [`Bump::reset`] frees everything at once.
//!
//! **When.** A file that is appended to and found again at the next start; a worker's results that its parent reads.
//!
//! **When not.** Records that go one by one ([`FreeList`](super::FreeList)).
//!
//! | operation | cost |
//! |---|---|
//! | put | the lock (a `getpid`, two atomic operations), the copy |
//! | get | the copy; no lock |
//! | reset | one store |
//!
//! ```text
//!   |header|epoch, used|length|bytes ····|length|bytes|················|
//!                                                     ^ used
//! ```
//!
//! **Killed in the middle.** A record is written behind `used` and then published by the one store that moves `used`; the
//! same word holds the epoch, so a reset is one store too. At every moment the memory is consistent.
//!
//! **Limits.** 32 GiB. A record that is read while another process resets is a mixture; the handle is refused afterwards.

use super::header::{self, Kind, OWN};
use super::words::{WORD, Words, stride};
use super::{Handle, Memory, face, lock};
use crate::error::{Error, ErrorKind};
use crate::plain::{Plain, tag};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

/// Records of bytes in shared memory or a file. The module's documentation says when.
///
/// ```
/// use brkmap_toolbox::{shared::Bump, source::SharedMap};
/// let log = Bump::create(SharedMap::create("log", 4096).unwrap()).unwrap();
/// let line = log.put(b"a line").unwrap();
/// let mut copy = [0; 16];
/// assert_eq!(log.get(line, &mut copy), Ok(6));
/// assert_eq!(&copy[..6], b"a line");
/// log.reset().unwrap();
/// assert!(log.get(line, &mut copy).is_err());
/// ```
#[derive(Debug)]
pub struct Bump<M: Memory> {
    memory: M,
}

face!(Bump<M: Memory>);

/// The word with the epoch in its high half, the used words in its low half.
const AT_USED: u64 = OWN;
const DATA: u64 = OWN + 64;
const LAYOUT: u64 = tag("records of bytes");

impl<M: Memory> Bump<M> {
    /// An empty one. What the memory holds is lost.
    ///
    /// # Errors
    ///
    /// The memory is too small.
    pub fn create(memory: M) -> Result<Bump<M>, Error> {
        header::create(&memory, Kind::Bump, LAYOUT, 64 + WORD, |words| words.store(AT_USED, 1 << 32))?;
        Ok(Bump { memory })
    }

    /// What the memory holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongLayout`], [`ErrorKind::Truncated`] or [`ErrorKind::Corrupt`]: it holds something else.
    pub fn open(memory: M) -> Result<Bump<M>, Error> {
        header::open(&memory, Kind::Bump, LAYOUT)?;
        let bump = Bump { memory };
        bump.state()?;
        Ok(bump)
    }

    /// Epoch and end of the records.
    fn state(&self) -> Result<(u32, u64), Error> {
        let words = self.words();
        let word = words.at(AT_USED)?.load(Ordering::Acquire);
        let end = DATA + (word & u64::from(u32::MAX)) * WORD;
        let cut =
            Error::new(ErrorKind::Corrupt, "shared::Bump", end as usize, "the memory was overwritten: restore it");
        if end > words.bytes() { Err(cut) } else { Ok(((word >> 32) as u32, end)) }
    }

    fn publish(&self, epoch: u32, end: u64) -> Result<(), Error> {
        let word = (u64::from(epoch) << 32) | ((end - DATA) / WORD);
        self.words().at(AT_USED)?.store(word, Ordering::Release);
        Ok(())
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// There is no room, and the memory cannot grow.
    pub fn put(&self, bytes: &[u8]) -> Result<Handle<[u8]>, Error> {
        self.append(bytes.len() as u64, |words, at| words.write_bytes(at, bytes)).map(|at| Handle::new(at.0, at.1))
    }

    /// Appends a value as a record.
    ///
    /// # Errors
    ///
    /// There is no room, and the memory cannot grow.
    pub fn put_value<T: Plain>(&self, value: T) -> Result<Handle<T>, Error> {
        self.append(size_of::<T>() as u64, |words, at| words.write(at, &value)).map(|at| Handle::new(at.0, at.1))
    }

    fn append(&self, length: u64, fill: impl FnOnce(Words<'_>, u64) -> Result<(), Error>) -> Result<(u32, u32), Error> {
        let _held = lock::lock(self.words())?;
        let (epoch, at) = self.state()?;
        let end = length.checked_next_multiple_of(WORD).and_then(|length| length.checked_add(at + WORD));
        let full =
            Error::new(ErrorKind::Exhausted, "shared::Bump::put", length as usize, "reset it, or use a larger memory");
        let end = end.filter(|end| (end - DATA) / WORD <= u64::from(u32::MAX)).ok_or(full)?;
        if end > self.words().bytes() {
            header::grow(&self.memory, end)?;
        }
        let words = self.words();
        words.store(at, length)?;
        fill(words, at + WORD)?;
        self.publish(epoch, end)?;
        Ok((((at - DATA) / WORD) as u32, epoch))
    }

    /// The place and the length of a record.
    fn find(&self, place: u32, generation: u32) -> Result<(u64, u64), Error> {
        let (epoch, end) = self.state()?;
        let at = DATA + u64::from(place) * WORD;
        if generation != epoch || at >= end {
            let remedy = "use handles of this memory, and none from before a reset";
            return Err(Error::new(ErrorKind::Stale, "shared::Bump::get", at as usize, remedy));
        }
        let length = self.words().load(at)?;
        let remedy = "the handle is from elsewhere, or the memory was overwritten";
        let corrupt = Error::new(ErrorKind::Corrupt, "shared::Bump::get", at as usize, remedy);
        if length > end - at - WORD { Err(corrupt) } else { Ok((at + WORD, length)) }
    }

    /// Copies a record out, as much of it as there is room for; returns its length.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for a record from before a reset.
    pub fn get(&self, record: Handle<[u8]>, bytes: &mut [u8]) -> Result<usize, Error> {
        let (at, length) = self.find(record.place(), record.generation())?;
        let room = bytes.len().min(length as usize);
        // SAFETY: [plain-type] initialised bytes, of which some are overwritten by bytes.
        let bytes = unsafe { &mut *(&raw mut bytes[..room] as *mut [MaybeUninit<u8>]) };
        self.words().read_bytes(at, bytes)?;
        Ok(length as usize)
    }

    /// Copies a record out.
    ///
    /// # Errors
    ///
    /// As for [`get`](Bump::get).
    #[cfg(feature = "alloc")]
    pub fn get_vec(&self, record: Handle<[u8]>) -> Result<alloc::vec::Vec<u8>, Error> {
        let (_, length) = self.find(record.place(), record.generation())?;
        let mut bytes = alloc::vec![0; length as usize];
        self.get(record, &mut bytes)?;
        Ok(bytes)
    }

    /// A value, copied out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] for a value from before a reset, or a record of another length.
    pub fn value<T: Plain>(&self, record: Handle<T>) -> Result<T, Error> {
        self.words().read(self.find_value(record)?)
    }

    /// Replaces a value.
    ///
    /// # Errors
    ///
    /// As for [`value`](Bump::value).
    pub fn set<T: Plain>(&self, record: Handle<T>, value: T) -> Result<(), Error> {
        self.words().write(self.find_value(record)?, &value)
    }

    fn find_value<T: Plain>(&self, record: Handle<T>) -> Result<u64, Error> {
        let (at, length) = self.find(record.place(), record.generation())?;
        let other =
            Error::new(ErrorKind::Stale, "shared::Bump::value", length as usize, "ask for the type that was put");
        if length == size_of::<T>() as u64 && stride::<T>() >= length { Ok(at) } else { Err(other) }
    }

    /// All records, in the order in which they were put.
    pub fn records(&self) -> impl Iterator<Item = Handle<[u8]>> {
        let (epoch, end) = self.state().unwrap_or((0, DATA));
        let mut at = DATA;
        core::iter::from_fn(move || {
            let place = ((at - DATA) / WORD) as u32;
            let (start, length) = (at < end).then(|| self.find(place, epoch).ok()).flatten()?;
            at = start + length.next_multiple_of(WORD);
            Some(Handle::new(place, epoch))
        })
    }

    /// Frees everything; handles from before are refused.
    ///
    /// # Errors
    ///
    /// The memory was overwritten.
    pub fn reset(&self) -> Result<(), Error> {
        let _held = lock::lock(self.words())?;
        let (epoch, _) = self.state()?;
        self.publish(epoch.wrapping_add(1).max(1), DATA)
    }

    /// Bytes in use, with the lengths.
    pub fn used(&self) -> usize {
        self.state().map_or(0, |(_, end)| (end - DATA) as usize)
    }
}
