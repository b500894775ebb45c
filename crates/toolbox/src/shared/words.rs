//! Memory that others see, as atomic words.
//!
//! All accesses are relaxed (or stronger) atomic loads and stores of aligned 8-byte words, so nothing that another thread
//! or process does at the same time is a data race, and no access has another size than an overlapping one. A value is
//! copied word by word: who reads while another writes may see a mixture, which is a value too.

use super::Memory;
use crate::error::{Error, ErrorKind};
use crate::plain::Plain;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a word.
pub(crate) const WORD: u64 = 8;

/// The words of a memory, as it was when this was made; it only becomes longer.
#[derive(Clone, Copy)]
pub(crate) struct Words<'m> {
    range: NonNull<[u8]>,
    memory: core::marker::PhantomData<&'m ()>,
}

impl<'m> Words<'m> {
    pub(crate) fn of<M: Memory>(memory: &'m M) -> Words<'m> {
        Words { range: memory.range(), memory: core::marker::PhantomData }
    }

    pub(crate) fn bytes(self) -> u64 {
        self.range.len() as u64
    }

    /// The word at an offset, if there is one.
    #[inline]
    pub(crate) fn at(self, offset: u64) -> Result<&'m AtomicU64, Error> {
        if !offset.is_multiple_of(WORD) || offset > self.bytes().saturating_sub(WORD) || self.bytes() < WORD {
            return Err(outside(offset));
        }
        // SAFETY: [memory-contract] inside the range, aligned as its start is, alive as long as the memory is borrowed;
        // everybody in this process accesses it atomically.
        Ok(unsafe { self.range.cast::<u8>().add(offset as usize).cast::<AtomicU64>().as_ref() })
    }

    #[inline]
    pub(crate) fn load(self, offset: u64) -> Result<u64, Error> {
        Ok(self.at(offset)?.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn store(self, offset: u64, word: u64) -> Result<(), Error> {
        self.at(offset)?.store(word, Ordering::Relaxed);
        Ok(())
    }

    /// Copies words out to bytes.
    pub(crate) fn read_bytes(self, offset: u64, bytes: &mut [MaybeUninit<u8>]) -> Result<(), Error> {
        for (at, piece) in bytes.chunks_mut(WORD as usize).enumerate() {
            let word = self.load(offset + at as u64 * WORD)?.to_ne_bytes();
            for (to, from) in piece.iter_mut().zip(word) {
                to.write(from);
            }
        }
        Ok(())
    }

    /// Copies bytes in; the last word is filled up with zeros.
    pub(crate) fn write_bytes(self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        for (at, piece) in bytes.chunks(WORD as usize).enumerate() {
            let mut word = [0; WORD as usize];
            word[..piece.len()].copy_from_slice(piece);
            self.store(offset + at as u64 * WORD, u64::from_ne_bytes(word))?;
        }
        Ok(())
    }

    /// A value, copied out.
    pub(crate) fn read<T: Plain>(self, offset: u64) -> Result<T, Error> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: [plain-type] the bytes of a local; any may be written.
        let bytes = unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>()) };
        self.read_bytes(offset, bytes)?;
        // SAFETY: [plain-type] all bytes were written, and any bytes are a value.
        Ok(unsafe { value.assume_init() })
    }

    /// A value, copied in.
    pub(crate) fn write<T: Plain>(self, offset: u64, value: &T) -> Result<(), Error> {
        // SAFETY: [plain-type] no padding: every byte of the value is initialised.
        let bytes = unsafe { core::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        self.write_bytes(offset, bytes)
    }
}

#[cold]
fn outside(offset: u64) -> Error {
    let remedy = "the memory was overwritten, or a handle is from elsewhere";
    Error::new(ErrorKind::Corrupt, "a look into shared memory", offset as usize, remedy)
}

/// Bytes that a value takes in words.
pub(crate) const fn stride<T>() -> u64 {
    (size_of::<T>() as u64).next_multiple_of(WORD)
}
