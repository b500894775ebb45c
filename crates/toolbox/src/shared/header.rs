//! What stands at the start of a shared memory or a file.
//!
//! ```text
//!   offset  0  magic      "brkmapTB"
//!           8  kind       version << 32 | which allocator
//!          16  layout     a tag of the type, its size: who opens it as something else is refused
//!          24  bytes      length for which the header was made, or to which it grew; a shorter file is refused
//!          32  state      READY once everything else is written
//!          40  root       a number of the user's: the handle from which all else is found
//!          48  lock       who changes it at present
//!          56  busy       not 0 while a change is under way that must be completed or repaired
//!          64  …          of the allocator
//! ```

use super::Memory;
use super::words::Words;
use crate::error::{Error, ErrorKind};
use crate::plain::Plain;
use core::sync::atomic::Ordering;

const MAGIC: u64 = u64::from_le_bytes(*b"brkmapTB");
const VERSION: u64 = 1;
const READY: u64 = 0x7265_6164_7921_2121;

const AT_MAGIC: u64 = 0;
const AT_KIND: u64 = 8;
const AT_LAYOUT: u64 = 16;
const AT_BYTES: u64 = 24;
const AT_STATE: u64 = 32;
pub(super) const AT_ROOT: u64 = 40;
pub(super) const AT_LOCK: u64 = 48;
pub(super) const AT_BUSY: u64 = 56;
/// Where the allocator's own words begin.
pub(super) const OWN: u64 = 64;

/// Which allocator.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bump = 1,
    Pool = 2,
    FreeList = 3,
    Arena = 4,
}

/// The number that a type's layout has in a header.
pub(super) const fn layout_of<T: Plain>() -> u64 {
    T::TAG.rotate_left(16) ^ size_of::<T>() as u64
}

fn refuse(kind: ErrorKind, words: Words<'_>, remedy: &'static str) -> Error {
    Error::new(kind, "shared::open", words.bytes() as usize, remedy)
}

/// Writes a header. `make` fills the allocator's own words; only then is the header complete.
pub(super) fn create<M: Memory>(
    memory: &M,
    kind: Kind,
    layout: u64,
    least: u64,
    make: impl FnOnce(Words<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let words = Words::of(memory);
    if words.bytes() < OWN + least {
        let remedy = "make the memory larger";
        return Err(Error::new(ErrorKind::Exhausted, "shared::create", (OWN + least) as usize, remedy));
    }
    words.store(AT_STATE, 0)?;
    for at in (AT_ROOT..OWN).step_by(8) {
        words.store(at, 0)?;
    }
    make(words)?;
    words.store(AT_MAGIC, MAGIC)?;
    words.store(AT_KIND, VERSION << 32 | kind as u64)?;
    words.store(AT_LAYOUT, layout)?;
    words.store(AT_BYTES, words.bytes())?;
    words.at(AT_STATE)?.store(READY, Ordering::Release);
    Ok(())
}

/// Looks whether the memory holds what is being opened.
pub(super) fn open<M: Memory>(memory: &M, kind: Kind, layout: u64) -> Result<(), Error> {
    let words = Words::of(memory);
    if words.bytes() < OWN {
        return Err(refuse(ErrorKind::Truncated, words, "this is no memory of the toolbox: create it"));
    }
    let is_ready = words.at(AT_STATE)?.load(Ordering::Acquire) == READY;
    if words.load(AT_MAGIC)? != MAGIC {
        return Err(refuse(ErrorKind::WrongLayout, words, "this is no memory of the toolbox: create it"));
    }
    if words.load(AT_KIND)? != VERSION << 32 | kind as u64 {
        return Err(refuse(ErrorKind::WrongLayout, words, "open it with the allocator, and the version, that made it"));
    }
    if words.load(AT_LAYOUT)? != layout {
        return Err(refuse(ErrorKind::WrongLayout, words, "open it with the type that it was made for"));
    }
    if words.load(AT_BYTES)? > words.bytes() {
        return Err(refuse(ErrorKind::Truncated, words, "the file was cut: restore it, or create it anew"));
    }
    if !is_ready {
        return Err(refuse(ErrorKind::Corrupt, words, "its creation was cut off: create it anew"));
    }
    Ok(())
}

/// Makes the memory longer and notes that.
pub(super) fn grow<M: Memory>(memory: &M, bytes: u64) -> Result<(), Error> {
    let words = Words::of(memory);
    let too_large = Error::new(ErrorKind::BadRequest, "Memory::grow", bytes as usize, "ask for less");
    let doubled = usize::try_from(bytes.max(words.bytes().saturating_mul(2))).map_err(|_| too_large)?;
    memory.grow(doubled).or_else(|_| memory.grow(bytes as usize))?;
    let words = Words::of(memory);
    words.at(AT_BYTES)?.fetch_max(words.bytes(), Ordering::AcqRel);
    Ok(())
}
