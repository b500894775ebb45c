//! Shared or file memory as a private source, for who can promise that it is private.

use super::Memory;
use crate::error::{Error, ErrorKind};
use crate::source::Source;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

/// Memory that nobody else touches at present, as a [`Source`]: pointers and references into a file or a shared map.
///
/// What is built there lives as long as this value; it is not meant to be found again, for addresses mean nothing to
/// others. Chunks come one behind the other; the last one grows, the memory with it if it can.
#[derive(Debug)]
pub struct Exclusive<M: Memory> {
    memory: M,
    used: Cell<usize>,
}

impl<M: Memory> Exclusive<M> {
    /// The memory as a source. What it holds is lost.
    ///
    /// # Safety
    ///
    /// Until the value and all that is allocated from it are gone, nobody else reads or writes the memory: no other
    /// process, no other mapping of it, no child after a fork; and for a file, nobody makes it shorter.
    pub const unsafe fn new(memory: M) -> Exclusive<M> {
        Exclusive { memory, used: Cell::new(0) }
    }

    fn start(&self) -> NonNull<u8> {
        self.memory.range().cast()
    }

    fn is_last(&self, start: NonNull<u8>, bytes: usize) -> bool {
        start.addr().get() + bytes == self.start().addr().get() + self.used.get()
    }

    /// Makes sure that the first `bytes` are there.
    fn ensure(&self, call: &'static str, bytes: Option<usize>) -> Result<usize, Error> {
        let too_large = Error::new(ErrorKind::BadRequest, call, bytes.unwrap_or(usize::MAX), "ask for less");
        let bytes = bytes.filter(|bytes| *bytes <= isize::MAX as usize).ok_or(too_large)?;
        if bytes > self.memory.range().len() {
            self.memory.grow(bytes)?;
        }
        Ok(bytes)
    }
}

// SAFETY: [source-contract] ranges are disjoint parts of memory that `new`'s caller promised to be exclusive.
unsafe impl<M: Memory> Source for Exclusive<M> {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let used = self.used.get();
        let pad = (self.start().addr().get() + used).wrapping_neg() & (layout.align() - 1);
        let end = self.ensure("Exclusive::acquire", (used + pad).checked_add(layout.size()))?;
        self.used.set(end);
        // SAFETY: [memory-contract] inside the range, whose length was just compared.
        let start = unsafe { self.start().add(used + pad) };
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        if self.is_last(start, layout.size()) {
            self.used.set(self.used.get() - layout.size());
        }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        if !self.is_last(start, layout.size()) {
            let remedy = "another chunk lies behind this one; acquire another";
            return Err(Error::new(ErrorKind::Unsupported, "Exclusive::extend", bytes, remedy));
        }
        let bytes = bytes.max(layout.size());
        let end = self.ensure("Exclusive::extend", (self.used.get() - layout.size()).checked_add(bytes))?;
        self.used.set(end);
        Ok(NonNull::slice_from_raw_parts(start, bytes))
    }
}
