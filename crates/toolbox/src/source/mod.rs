//! Where bytes come from. One file a source; each opens with what it is, when to use it and when not.
//!
//! | source | the memory | other processes | grows in place | gives back |
//! |---|---|---|---|---|
//! | [`ProgramBreak`] | the end of the data segment | never | while nobody else moves the break | its top |
//! | [`AnonymousMap`] | private OS pages | never | inside its reserve, or by luck | each chunk |
//! | [`SharedMap`] | a memfd, or pages shared across fork | they see it | no | when dropped |
//! | [`FileMap`] | a file | they see it | the file grows | the file stays |
//! | [`Slice`] | bytes that were lent | never | inside the slice | the last chunk |
//! | [`Global`] | any `GlobalAlloc` | never | no | each chunk |
//!
//! The four private ones are [`Source`]s: allocators that hand out pointers and references work over them.
//! [`SharedMap`] and [`FileMap`] are [`Memory`](crate::shared::Memory): the allocators of [`shared`](crate::shared),
//! which hand out handles and copies, work over them; so do they over any source through
//! [`Block`](crate::shared::Block). Who can promise that nobody else touches the memory turns a map into a source with
//! `exclusive`.

#[cfg(feature = "os")]
mod anonymous_map;
#[cfg(feature = "std")]
mod file_map;
#[cfg(feature = "alloc")]
mod global;
#[cfg(feature = "os")]
mod program_break;
#[cfg(feature = "std")]
mod shared_map;
mod slice;

#[cfg(feature = "os")]
pub use anonymous_map::{AnonymousMap, HugePages};
#[cfg(feature = "std")]
pub use file_map::{FileMap, FileOptions};
#[cfg(feature = "alloc")]
pub use global::{Global, Registered};
#[cfg(feature = "os")]
pub use program_break::ProgramBreak;
#[cfg(feature = "std")]
pub use shared_map::SharedMap;
pub use slice::Slice;

pub use crate::shared::Exclusive;

use crate::error::{Error, ErrorKind};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Chunks of bytes for allocators that hand out pointers and references.
///
/// Methods take `&self`, so one source can serve several allocators: `&S` is a source where `S` is one.
///
/// # Safety
///
/// Who implements this promises:
///
/// * `acquire` and `extend` return ranges that are readable and writable, at least as long as asked, at most `isize::MAX`
///   bytes, aligned as asked, below the upper half of the address space, and *exclusive*: until the range is released
///   nobody else, in this process or another, reads or writes it, and it stays where it is.
/// * A range lives until it is released, also after the source was moved. When the source is dropped, its ranges may
///   vanish.
/// * `extend` returns a range with the same start; the old bytes are as they were.
pub unsafe trait Source {
    /// A fresh range of at least `layout.size()` bytes; the result says how long it really is. What it holds is not
    /// defined.
    ///
    /// # Errors
    ///
    /// No such range is to be had; nothing has changed.
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error>;

    /// Takes a range back.
    ///
    /// # Safety
    ///
    /// The range came from this source, `layout` has its whole present length and the alignment it was acquired with,
    /// and nobody uses it any more.
    unsafe fn release(&self, start: NonNull<u8>, layout: Layout);

    /// Makes a range longer where it is, to at least `bytes`; the result is all of it.
    ///
    /// # Errors
    ///
    /// It cannot grow; nothing has changed.
    ///
    /// # Safety
    ///
    /// As for [`release`](Source::release), but that the range may be in use.
    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        let _ = (start, layout);
        Err(Error::new(ErrorKind::Unsupported, "Source::extend", bytes, "acquire another range"))
    }

    /// Gives a name to a range, where the source can: it appears in `/proc/PID/maps`.
    fn name(&self, range: NonNull<[u8]>, name: &'static str) {
        let _ = (range, name);
    }
}

// SAFETY: [source-contract] every method is that of `S`.
unsafe impl<S: Source + ?Sized> Source for &S {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        (**self).acquire(layout)
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: [source-contract] passed on.
        unsafe { (**self).release(start, layout) }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        // SAFETY: [source-contract] passed on.
        unsafe { (**self).extend(start, layout, bytes) }
    }

    fn name(&self, range: NonNull<[u8]>, name: &'static str) {
        (**self).name(range, name);
    }
}

/// The first source, and the second for what the first refuses: a break that falls back on mappings.
///
/// ```
/// use brkmap_toolbox::{Bump, source::{AnonymousMap, OrElse, Slice}};
/// let mut room = [core::mem::MaybeUninit::uninit(); 512];
/// let bump = Bump::over(OrElse::new(Slice::new(&mut room), AnonymousMap::new()));
/// assert_eq!(bump.alloc_slice_copy(&[1u8; 10_000]).len(), 10_000); // more than the slice has
/// ```
///
/// Which of the two a chunk is from is told by an extra word in front of it.
#[derive(Debug)]
pub struct OrElse<A, B> {
    first: A,
    second: B,
}

impl<A: Source, B: Source> OrElse<A, B> {
    /// `first`, then `second`.
    pub const fn new(first: A, second: B) -> OrElse<A, B> {
        OrElse { first, second }
    }

    /// The layout of a chunk with the word in front, and the bytes that the word and its padding take.
    fn with_word(layout: Layout) -> Result<(Layout, usize), Error> {
        let word = Layout::new::<usize>();
        let too_large = Error::new(ErrorKind::BadRequest, "OrElse::acquire", layout.size(), "ask for less");
        word.extend(layout).map_err(|_| too_large)
    }

    /// Which source made the chunk, and the chunk with its word.
    ///
    /// # Safety
    ///
    /// The range came from `acquire`.
    unsafe fn origin(start: NonNull<u8>, layout: Layout) -> (bool, NonNull<u8>, Layout, usize) {
        let Ok((whole, front)) = Self::with_word(layout) else { unreachable!("this layout was acquired") };
        // SAFETY: [chunk-word] `acquire` left `front` bytes in front, with the word at their start.
        let whole_start = unsafe { start.sub(front) };
        // SAFETY: [chunk-word] the same.
        let is_second = unsafe { whole_start.cast::<usize>().read() } != 0;
        (is_second, whole_start, whole, front)
    }
}

// SAFETY: [source-contract] a range is a part of a range of one of the two, which is as the contract says.
unsafe impl<A: Source, B: Source> Source for OrElse<A, B> {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let (whole, front) = Self::with_word(layout)?;
        let (range, is_second) = match self.first.acquire(whole) {
            Ok(range) => (range, false),
            Err(_) => (self.second.acquire(whole)?, true),
        };
        // SAFETY: [chunk-word] the range is fresh, long and aligned enough for the word.
        unsafe { range.cast::<usize>().write(usize::from(is_second)) };
        // SAFETY: [chunk-word] `front` is less than the size of `whole`, which the range has at least.
        let start = unsafe { range.cast::<u8>().add(front) };
        Ok(NonNull::slice_from_raw_parts(start, range.len() - front))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: [source-contract] the caller's promise.
        let (is_second, start, layout, _) = unsafe { Self::origin(start, layout) };
        // SAFETY: [source-contract] the whole chunk, as that source returned it.
        unsafe {
            match is_second {
                false => self.first.release(start, layout),
                true => self.second.release(start, layout),
            }
        }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        // SAFETY: [source-contract] the caller's promise.
        let (is_second, whole_start, whole, front) = unsafe { Self::origin(start, layout) };
        let bytes = bytes.saturating_add(front);
        // SAFETY: [source-contract] the whole chunk, as that source returned it.
        let range = unsafe {
            match is_second {
                false => self.first.extend(whole_start, whole, bytes)?,
                true => self.second.extend(whole_start, whole, bytes)?,
            }
        };
        Ok(NonNull::slice_from_raw_parts(start, range.len() - front))
    }
}

/// Asks for `wanted` bytes, and for half of it again and again while that is refused, down to `needed`.
pub(crate) fn as_much_as_possible<T>(
    wanted: usize,
    needed: usize,
    mut ask: impl FnMut(usize) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut bytes = wanted.max(needed);
    loop {
        match ask(bytes) {
            Ok(range) => return Ok(range),
            Err(error) if bytes == needed => return Err(error),
            Err(_) => bytes = (bytes / 2).max(needed),
        }
    }
}

/// A layout that is known to be valid.
pub(crate) fn layout(call: &'static str, bytes: usize, align: usize) -> Result<Layout, Error> {
    let bad = Error::new(ErrorKind::BadRequest, call, bytes, "ask for less than isize::MAX bytes");
    Layout::from_size_align(bytes, align).map_err(|_| bad)
}
