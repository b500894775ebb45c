//! Bump: a pointer that only advances.
//!
//! **What.** To allocate is to round a pointer up, add the size and compare with the end of the chunk. To free is nothing;
//! everything goes at once with a reset.
//!
//! **When.** Things that die together: what one request, one frame, one compilation unit needs. Trees and graphs with
//! references among them, because all live as long as the allocator.
//!
//! **When not.** Things that die one by one while others live: their memory stays until the reset. Values with
//! destructors: a bump allocator never runs them (use [`DropBump`](crate::DropBump), or `Box<T, &Bump>` with the feature
//! `allocator-api2`).
//!
//! | operation | cost |
//! |---|---|
//! | allocate | 7 instructions, no header, no rounding but the type's alignment |
//! | free | none; the last block may shrink or grow in place |
//! | [`Bump::reset`] | keeps the largest chunk, gives the others back |
//! | [`Bump::reset_keep`] | keeps all chunks: a few stores |
//! | [`Bump::scope`] | the same, for what was allocated inside |
//!
//! ```text
//!   chunk  |header|a|bb|cccc|d|······················|
//!                             ^ position              ^ end
//!   full: longer in place if the source can, else the next chunk, twice as long up to 4 MiB
//! ```
//!
//! **Limits.** One thread at a time (`Send`, not `Sync`). What does not fit the rest of a chunk leaves that rest unused.

mod copy;
mod scope;
mod values;

pub use scope::Scope;

use crate::chunks::{Chunk, Chunks};
use crate::error::{Error, ErrorKind, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// A pointer that only advances.
///
/// ```
/// use brkmap_toolbox::Bump;
///
/// let mut bump = Bump::new();
/// for request in 0..3 {
///     let words: &mut [u32] = bump.alloc_slice_fill_with(100, |at| at as u32 * request);
///     let name: &mut str = bump.alloc_str("a name");
///     assert_eq!((words[99], name.len()), (99 * request, 6));
///     bump.reset_keep(); // the next request starts at the same address
/// }
/// ```
///
/// What was allocated cannot be used after a reset:
///
/// ```compile_fail,E0502
/// let mut bump = brkmap_toolbox::Bump::new();
/// let word = bump.alloc(1);
/// bump.reset();
/// *word += 1;
/// ```
///
/// nor outlive the allocator:
///
/// ```compile_fail,E0597
/// let word = {
///     let bump = brkmap_toolbox::Bump::new();
///     bump.alloc(1)
/// };
/// ```
///
/// nor be allocated from two threads at once:
///
/// ```compile_fail,E0277
/// let bump = brkmap_toolbox::Bump::new();
/// std::thread::scope(|threads| {
///     threads.spawn(|| bump.alloc(1));
/// });
/// ```
pub struct Bump<#[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    /// Invariant `[bump-room]`: position..end is the unused rest of the current chunk (both [`NOWHERE`] before the first:
    /// no room, and not 0), and nobody has a pointer into it.
    position: Cell<*mut u8>,
    end: Cell<*mut u8>,
    current: Cell<Option<Chunk>>,
    chunks: Chunks<S>,
}

/// Position and end without a chunk: an address that is aligned for most types and points to nothing.
const NOWHERE: *mut u8 = ptr::without_provenance_mut(16);

// SAFETY: [exclusive-owner] the chunks belong to this value alone; references into them borrow it.
unsafe impl<S: Source + Send> Send for Bump<S> {}

/// A position of a [`Bump`], to go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    chunk: Option<Chunk>,
    position: *mut u8,
}

#[cfg(feature = "alloc")]
impl Bump {
    /// An empty one over the registered allocator; the first allocation gets the first chunk.
    pub const fn new() -> Bump {
        Bump::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl Default for Bump {
    fn default() -> Bump {
        Bump::new()
    }
}

#[allow(clippy::mut_from_ref, reason = "each call returns other memory")]
impl<S: Source> Bump<S> {
    /// An empty one over a source.
    pub const fn over(source: S) -> Bump<S> {
        Bump {
            position: Cell::new(NOWHERE),
            end: Cell::new(NOWHERE),
            current: Cell::new(None),
            chunks: Chunks::new(source),
        }
    }

    /// Gives it a name, which appears in [`stats`](Bump::stats), in reports and, where the source and the kernel can, in
    /// `/proc/PID/maps`.
    pub fn named(mut self, name: &'static str) -> Bump<S> {
        self.set_name(name);
        self
    }

    pub(crate) fn set_name(&mut self, name: &'static str) {
        self.chunks.set_name(name);
    }

    /// The source.
    pub fn source(&self) -> &S {
        self.chunks.source()
    }

    /// Says that about so many bytes will come: the next chunk is that long.
    pub fn expect(&self, bytes: usize) {
        self.chunks.expect(bytes);
    }

    /// A fresh block. It lives until the allocator is reset or dropped.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline(always)]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match self.fast(layout) {
            Some(place) => Ok(place),
            None => self.allocate_slow(layout),
        }
    }

    #[inline(always)]
    fn place_or_panic(&self, layout: Layout) -> NonNull<u8> {
        match self.fast(layout) {
            Some(place) => place,
            None => self.allocate_slow_or_panic(layout),
        }
    }

    /// Round up, add, compare, store.
    #[inline(always)]
    fn fast(&self, layout: Layout) -> Option<NonNull<u8>> {
        let position = self.position.get();
        let start = (position.addr() + (layout.align() - 1)) & !(layout.align() - 1);
        // No sum overflows: chunks end in the lower half of addresses, size + align - 1 is at most isize::MAX.
        let end = start + layout.size();
        if end > self.end.get().addr() {
            return None;
        }
        self.position.set(position.with_addr(end));
        // SAFETY: [bump-room] start is at or behind the position, which is not 0.
        Some(unsafe { NonNull::new_unchecked(position.with_addr(start)) })
    }

    #[cold]
    #[inline(never)]
    fn allocate_slow_or_panic(&self, layout: Layout) -> NonNull<u8> {
        self.allocate_slow(layout).unwrap_or_else(|error| give_up(error))
    }

    /// A chunk kept by `reset_keep`, a longer chunk, a new chunk: whatever is had first.
    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        let room = layout.size() + (layout.align() - 1);
        if let Some(current) = self.current.get() {
            if let Some(kept) = current.next().filter(|next| next.bytes() >= room) {
                self.enter(kept);
                return self.again(layout);
            }
            if current.next().is_none() && self.chunks.extend(current, room).is_ok() {
                self.end.set(current.end().as_ptr());
                return self.again(layout);
            }
        }
        let chunk = self.chunks.acquire(room, 16, self.current.get())?;
        self.enter(chunk);
        self.again(layout)
    }

    fn again(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        let bug =
            Error::new(ErrorKind::Corrupt, "Bump::allocate", layout.size(), "a chunk was shorter than its source said");
        self.fast(layout).ok_or(bug)
    }

    /// Goes on at the start of a chunk.
    fn enter(&self, chunk: Chunk) {
        self.current.set(Some(chunk));
        self.position.set(chunk.start().as_ptr());
        self.end.set(chunk.end().as_ptr());
    }

    /// Changes the size of the last block in place, `start..start + old`, to `new` bytes. False: it is not the last, or
    /// there is no room; nothing has changed.
    ///
    /// # Safety
    ///
    /// The block was allocated here, and nobody uses what is cut off.
    pub unsafe fn resize_last(&self, start: NonNull<u8>, old: usize, new: usize) -> bool {
        let position = self.position.get();
        if start.addr().get() + old != position.addr() || old == 0 {
            return false;
        }
        let more = new.saturating_sub(old);
        if more > self.end.get().addr() - position.addr() {
            let Some(current) = self.current.get().filter(|current| current.next().is_none()) else { return false };
            if self.chunks.extend(current, more).is_err() {
                return false;
            }
            self.end.set(current.end().as_ptr());
        }
        self.position.set(position.with_addr(start.addr().get() + new));
        true
    }

    /// Frees everything, keeps the largest chunk and gives the others back.
    #[inline]
    pub fn reset(&mut self) {
        match self.chunks.oldest() {
            // The one chunk is the current one, and its end is known.
            Some(only) if Some(only) == self.chunks.newest() => self.position.set(only.start().as_ptr()),
            _ => self.keep_the_largest(),
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_the_largest(&mut self) {
        let mut largest: Option<Chunk> = None;
        self.chunks.each(|chunk| largest = largest.filter(|l| l.bytes() > chunk.bytes()).or(Some(chunk)));
        self.chunks.each(|chunk| {
            if largest != Some(chunk) {
                // SAFETY: [chunk-chain] in the chain; `&mut self` says that nothing borrowed from it lives.
                unsafe { self.chunks.release(chunk) };
            }
        });
        self.rewind_to_start();
    }

    /// Frees everything and keeps all chunks.
    #[inline]
    pub fn reset_keep(&mut self) {
        self.rewind_to_start();
    }

    #[inline]
    fn rewind_to_start(&self) {
        match self.chunks.oldest() {
            Some(oldest) => self.enter(oldest),
            None => {
                self.current.set(None);
                self.position.set(NOWHERE);
                self.end.set(NOWHERE);
            }
        }
    }

    /// The present position.
    pub fn mark(&self) -> Mark {
        Mark { chunk: self.current.get(), position: self.position.get() }
    }

    /// Frees what was allocated after the mark; chunks are kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] when the mark is another allocator's, or lies ahead: what it marked was freed by a reset.
    pub fn reset_to(&mut self, mark: Mark) -> Result<(), Error> {
        let (mut at, mut is_behind) = (self.current.get(), false);
        while let Some(chunk) = at {
            if Some(chunk) == mark.chunk {
                let limit = if at == self.current.get() { self.position.get() } else { chunk.end().as_ptr() };
                is_behind = chunk.contains(mark.position.addr()) && mark.position.addr() <= limit.addr();
                break;
            }
            at = chunk.previous();
        }
        if mark.chunk.is_some() && !is_behind {
            let remedy = "use marks on the allocator that made them, and none from before a reset";
            return Err(Error::new(ErrorKind::Stale, "Bump::reset_to", 0, remedy));
        }
        // SAFETY: [bump-room] the mark was just found valid, and `&mut self` says that nothing borrowed lives.
        unsafe { self.rewind(mark) };
        Ok(())
    }

    /// # Safety
    ///
    /// The mark is this allocator's and not ahead; nobody uses what was allocated after it.
    unsafe fn rewind(&self, mark: Mark) {
        match mark.chunk {
            Some(chunk) => {
                self.current.set(Some(chunk));
                self.position.set(mark.position);
                self.end.set(chunk.end().as_ptr());
            }
            None => self.rewind_to_start(),
        }
    }

    /// Runs `body`; what it allocates through its [`Scope`] is freed when it ends, however it ends.
    ///
    /// ```
    /// let mut bump = brkmap_toolbox::Bump::new();
    /// let sum: u32 = bump.scope(|scope| {
    ///     let outer = scope.alloc(1);
    ///     let inner = scope.scope(|inner| *inner.alloc(2) + *outer); // what is outside stays usable
    ///     *outer + inner
    /// });
    /// assert_eq!(sum, 4);
    /// assert_eq!(bump.stats().live_bytes, 0);
    /// ```
    ///
    /// Nothing leaves the scope:
    ///
    /// ```compile_fail
    /// let mut bump = brkmap_toolbox::Bump::new();
    /// let leaked: &mut u32 = bump.scope(|scope| scope.alloc(1));
    /// ```
    pub fn scope<R>(&mut self, body: impl for<'s> FnOnce(&mut Scope<'s, S>) -> R) -> R {
        scope::run(self, body)
    }

    /// What it has in hand. `live_bytes` are the bytes up to the position, with the rests of chunks that were left.
    pub fn stats(&self) -> Stats {
        let (chunks, held_bytes) = self.chunks.census();
        let mut live_bytes = 0;
        if let Some(current) = self.current.get() {
            live_bytes = self.position.get().addr() - current.start().addr().get();
            let mut at = current.previous();
            while let Some(chunk) = at {
                live_bytes += chunk.bytes();
                at = chunk.previous();
            }
        }
        Stats { name: self.chunks.name(), live: 0, live_bytes, held_bytes, chunks }
    }
}

impl<S: Source> core::fmt::Debug for Bump<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bump({})", self.stats())
    }
}
