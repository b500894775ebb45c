//! The chunks of an allocator that grows: a chain, oldest to newest, each with a header at its start.
//!
//! ```text
//!   |header|body ·····|  ⇄  |header|body ··········|  ⇄  |header|body ···················|
//!   oldest                                                newest
//! ```
//!
//! Invariant `[chunk-chain]`: every header in the chain was written by `Chunks::acquire`, is `layout` long together with
//! its body, belongs to this chain alone and is released once, by the chain.

use crate::error::{Error, ErrorKind};
use crate::source::{Source, as_much_as_possible, layout};
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

/// At the start of each chunk.
pub(crate) struct Header {
    /// The whole chunk, with this header.
    layout: Cell<Layout>,
    /// Bytes between the start of the chunk and its body.
    front: usize,
    pub(crate) previous: Cell<Option<NonNull<Header>>>,
    pub(crate) next: Cell<Option<NonNull<Header>>>,
    /// What the allocator wants to remember about a chunk that it left.
    pub(crate) note: Cell<usize>,
}

/// A chunk with a header, as long as its chain is not changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk(NonNull<Header>);

impl Chunk {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: [chunk-chain] the header is there as long as the chain holds the chunk.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn next(&self) -> Option<Chunk> {
        self.header().next.get().map(Chunk)
    }

    pub(crate) fn previous(&self) -> Option<Chunk> {
        self.header().previous.get().map(Chunk)
    }

    /// The first byte of the body.
    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: [chunk-chain] the body begins inside the chunk.
        unsafe { self.0.cast::<u8>().add(self.header().front) }
    }

    /// Bytes of the body.
    pub(crate) fn bytes(&self) -> usize {
        self.header().layout.get().size() - self.header().front
    }

    /// The byte behind the body.
    pub(crate) fn end(&self) -> NonNull<u8> {
        // SAFETY: [chunk-chain] start plus length.
        unsafe { self.start().add(self.bytes()) }
    }

    /// Whether an address lies in the body or directly behind it.
    pub(crate) fn contains(&self, address: usize) -> bool {
        self.start().addr().get() <= address && address <= self.end().addr().get()
    }
}

/// The chain and the source it grows from.
pub(crate) struct Chunks<S: Source> {
    source: S,
    oldest: Cell<Option<Chunk>>,
    newest: Cell<Option<Chunk>>,
    /// Size of the next chunk; doubles.
    next_bytes: Cell<usize>,
    name: Option<crate::name::Name>,
}

/// Bytes of the first chunk, and the size up to which chunks double.
const FIRST: usize = 4 << 10;
const LARGEST: usize = 4 << 20;

impl<S: Source> Chunks<S> {
    pub(crate) const fn new(source: S) -> Chunks<S> {
        Chunks { source, oldest: Cell::new(None), newest: Cell::new(None), next_bytes: Cell::new(FIRST), name: None }
    }

    pub(crate) fn newest(&self) -> Option<Chunk> {
        self.newest.get()
    }

    pub(crate) fn oldest(&self) -> Option<Chunk> {
        self.oldest.get()
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn set_name(&mut self, name: &'static str) {
        let name = crate::name::Name::new(name);
        self.each(|chunk| {
            if let Some(old) = &self.name {
                old.remove(chunk.0.addr().get());
            }
            self.tell(&name, chunk);
        });
        self.name = Some(name);
    }

    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name.as_ref().map(crate::name::Name::text)
    }

    fn tell(&self, name: &crate::name::Name, chunk: Chunk) {
        let range = NonNull::slice_from_raw_parts(chunk.0.cast::<u8>(), chunk.header().layout.get().size());
        self.source.name(range, name.text());
        name.add(range);
    }

    pub(crate) fn each(&self, mut then: impl FnMut(Chunk)) {
        let mut at = self.oldest.get();
        while let Some(chunk) = at {
            at = chunk.next();
            then(chunk);
        }
    }

    /// Number of chunks, and bytes of all of them with their headers.
    pub(crate) fn census(&self) -> (usize, usize) {
        let (mut chunks, mut bytes) = (0, 0);
        self.each(|chunk| {
            chunks += 1;
            bytes += chunk.header().layout.get().size();
        });
        (chunks, bytes)
    }

    /// A new chunk with a body of at least `needed` bytes at `align`, linked behind `after`, or at the end.
    pub(crate) fn acquire(&self, needed: usize, align: usize, after: Option<Chunk>) -> Result<Chunk, Error> {
        let align = align.max(align_of::<Header>());
        let front = size_of::<Header>().next_multiple_of(align);
        let too_large = Error::new(ErrorKind::BadRequest, "a chunk", needed, "ask for less than isize::MAX bytes");
        let least = needed.checked_add(front).ok_or(too_large)?;
        let range = as_much_as_possible(self.next_bytes.get(), least, |bytes| {
            self.source.acquire(layout("a chunk", bytes, align)?)
        })?;
        let whole = layout("a chunk", range.len(), align)?;
        if range.cast::<u8>().addr().get().saturating_add(range.len()) > isize::MAX as usize {
            // SAFETY: [source-contract] just acquired, used by nobody. Sums of addresses and sizes must not overflow.
            unsafe { self.source.release(range.cast(), whole) };
            return Err(Error::new(
                ErrorKind::BadRequest,
                "a chunk",
                needed,
                "use memory in the lower half of addresses",
            ));
        }
        self.next_bytes.set((range.len() * 2).clamp(FIRST, LARGEST));
        let header = range.cast::<Header>();
        let previous = after.or(self.newest.get());
        let next = previous.and_then(|chunk| chunk.next());
        // SAFETY: [chunk-chain] the range is fresh, long and aligned enough for the header.
        unsafe {
            header.write(Header {
                layout: Cell::new(whole),
                front,
                previous: Cell::new(previous.map(|chunk| chunk.0)),
                next: Cell::new(next.map(|chunk| chunk.0)),
                note: Cell::new(0),
            });
        }
        let chunk = Chunk(header);
        self.link(previous, chunk, next);
        if let Some(name) = &self.name {
            self.tell(name, chunk);
        }
        Ok(chunk)
    }

    fn link(&self, previous: Option<Chunk>, chunk: Chunk, next: Option<Chunk>) {
        match previous {
            Some(previous) => previous.header().next.set(Some(chunk.0)),
            None => self.oldest.set(Some(chunk)),
        }
        match next {
            Some(next) => next.header().previous.set(Some(chunk.0)),
            None => self.newest.set(Some(chunk)),
        }
    }

    /// Makes a chunk longer in place by at least `more` bytes, if the source can.
    pub(crate) fn extend(&self, chunk: Chunk, more: usize) -> Result<(), Error> {
        let old = chunk.header().layout.get();
        let too_large = Error::new(ErrorKind::BadRequest, "a chunk", more, "ask for less than isize::MAX bytes");
        let least = old.size().checked_add(more).ok_or(too_large)?;
        let range = as_much_as_possible(old.size().saturating_add(self.next_bytes.get()), least, |bytes| {
            layout("a chunk", bytes, old.align())?;
            // SAFETY: [chunk-chain] the chunk as it was acquired, with its present length.
            unsafe { self.source.extend(chunk.0.cast(), old, bytes) }
        })?;
        chunk.header().layout.set(layout("a chunk", range.len(), old.align())?);
        self.next_bytes.set((self.next_bytes.get() * 2).clamp(FIRST, LARGEST));
        if let Some(name) = &self.name {
            name.remove(chunk.0.addr().get());
            self.tell(name, chunk);
        }
        Ok(())
    }

    /// Takes a chunk out of the chain and gives it back.
    ///
    /// # Safety
    ///
    /// The chunk is in the chain, and nobody uses its body.
    pub(crate) unsafe fn release(&self, chunk: Chunk) {
        let (previous, next) = (chunk.previous(), chunk.next());
        match previous {
            Some(previous) => previous.header().next.set(next.map(|chunk| chunk.0)),
            None => self.oldest.set(next),
        }
        match next {
            Some(next) => next.header().previous.set(previous.map(|chunk| chunk.0)),
            None => self.newest.set(previous),
        }
        let whole = chunk.header().layout.get();
        if let Some(name) = &self.name {
            name.remove(chunk.0.addr().get());
        }
        // SAFETY: [chunk-chain] the whole chunk, no longer in the chain; nobody uses it.
        unsafe { self.source.release(chunk.0.cast(), whole) };
    }

    /// Gives all chunks back, the newest first (that is how a break goes back).
    ///
    /// # Safety
    ///
    /// Nobody uses any body.
    pub(crate) unsafe fn release_all(&self) {
        while let Some(chunk) = self.newest.get() {
            // SAFETY: [chunk-chain] in the chain; the caller's promise.
            unsafe { self.release(chunk) };
        }
        self.next_bytes.set(FIRST);
    }

    /// The bytes that the next chunk is going to have at least: for users who know how much will come.
    pub(crate) fn expect(&self, bytes: usize) {
        let bytes = bytes.saturating_add(size_of::<Header>());
        self.next_bytes.set(self.next_bytes.get().max(bytes.min(isize::MAX as usize / 4)));
    }
}

impl<S: Source> Drop for Chunks<S> {
    fn drop(&mut self) {
        // SAFETY: [chunk-chain] the allocator is being dropped: all borrows of its memory have ended.
        unsafe { self.release_all() }
    }
}
