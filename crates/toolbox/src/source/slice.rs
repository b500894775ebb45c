//! Borrowed bytes as a source.
//!
//! **What.** Memory that somebody lent: an array on the stack, a `static`, a region that a boot loader left. No kernel, no
//! other allocator: this works where nothing else does (`no_std`).
//!
//! **When.** The bound is known and part of the design: a parser's scratch space on the stack, a firmware's only 64 KiB.
//!
//! **When not.** The size is a guess. A slice that is full says so; it cannot grow.
//!
//! | operation | cost |
//! |---|---|
//! | acquire | one addition |
//! | extend | one addition, if the chunk is the last one |
//! | release | one store, if the chunk is the last one; else nothing comes back |
//!
//! ```text
//!   |chunk|chunk|  last chunk  |··············|
//!   start                      ^ used          end
//! ```
//!
//! **Limits.** Only the last chunk grows or is taken back. The lifetime of the loan bounds that of all that is made from
//! it; the compiler checks that.

use super::Source;
use crate::error::{Error, ErrorKind};
use core::alloc::Layout;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Borrowed bytes.
///
/// ```
/// use brkmap_toolbox::{Arena, source::Slice};
/// let mut room = [core::mem::MaybeUninit::uninit(); 1024];
/// let numbers = Arena::over(Slice::new(&mut room));
/// assert_eq!(*numbers.alloc(7), 7);
/// ```
#[derive(Debug)]
pub struct Slice<'a> {
    start: NonNull<u8>,
    bytes: usize,
    used: Cell<usize>,
    loan: PhantomData<&'a mut [MaybeUninit<u8>]>,
}

// SAFETY: [exclusive-owner] the loan is exclusive, and `&mut [u8]` may go to another thread.
unsafe impl Send for Slice<'_> {}

impl<'a> Slice<'a> {
    /// A source of these bytes.
    pub const fn new(bytes: &'a mut [MaybeUninit<u8>]) -> Slice<'a> {
        let length = bytes.len();
        // SAFETY: [exclusive-owner] a reference is not null.
        let start = unsafe { NonNull::new_unchecked(bytes.as_mut_ptr().cast()) };
        Slice { start, bytes: length, used: Cell::new(0), loan: PhantomData }
    }

    /// Bytes that are left.
    pub fn room(&self) -> usize {
        self.bytes - self.used.get()
    }

    fn is_last(&self, start: NonNull<u8>, bytes: usize) -> bool {
        start.addr().get() + bytes == self.start.addr().get() + self.used.get()
    }

    fn full(call: &'static str, bytes: usize) -> Error {
        Error::new(ErrorKind::Exhausted, call, bytes, "use a larger slice")
    }
}

// SAFETY: [source-contract] ranges are disjoint parts of the exclusive loan: `used` only grows past them, and shrinks only
// when the last one is released.
unsafe impl Source for Slice<'_> {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let full = Slice::full("Slice::acquire", layout.size());
        let free = self.start.addr().get() + self.used.get();
        let pad = free.wrapping_neg() & (layout.align() - 1);
        if self.room() < pad || self.room() - pad < layout.size() {
            return Err(full);
        }
        // SAFETY: [exclusive-owner] used + pad is at most `bytes`, just compared.
        let start = unsafe { self.start.add(self.used.get() + pad) };
        self.used.set(self.used.get() + pad + layout.size());
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        if self.is_last(start, layout.size()) {
            self.used.set(self.used.get() - layout.size());
        }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        let more = bytes.saturating_sub(layout.size());
        if !self.is_last(start, layout.size()) || self.room() < more {
            return Err(Slice::full("Slice::extend", bytes));
        }
        self.used.set(self.used.get() + more);
        Ok(NonNull::slice_from_raw_parts(start, layout.size() + more))
    }
}
