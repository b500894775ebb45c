//! Scopes: what is allocated inside is freed at the end, and the compiler keeps it inside.

use super::Bump;
use crate::error::Error;
use crate::source::Source;
use core::alloc::Layout;
use core::ptr::NonNull;

/// A part of a [`Bump`]'s life. See [`Bump::scope`].
///
/// References have the lifetime `'s` of the scope, not of the borrow of this value, so they stay usable while an inner
/// scope runs (which borrows this value mutably).
///
/// Why that is sound: `'s` is chosen by `scope`, for every call another one, so nothing with `'s` in its type leaves the
/// body, and the `Scope` behind `&mut` cannot be exchanged for one of another call. While an inner scope runs, nothing
/// can be allocated from this one, so all that lies above the inner mark belongs to the inner one.
pub struct Scope<'s, S: Source> {
    bump: &'s Bump<S>,
}

impl<'s, S: Source> Scope<'s, S> {
    /// Moves a value in. Its destructor will not run.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc<T>(&self, value: T) -> &'s mut T {
        self.bump.alloc(value)
    }

    /// [`alloc`](Scope::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline]
    pub fn try_alloc<T>(&self, value: T) -> Result<&'s mut T, Error> {
        self.bump.try_alloc(value)
    }

    /// Copies a slice in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    pub fn alloc_slice_copy<T: Copy>(&self, values: &[T]) -> &'s mut [T] {
        self.bump.alloc_slice_copy(values)
    }

    /// Copies a text in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    pub fn alloc_str(&self, text: &str) -> &'s mut str {
        self.bump.alloc_str(text)
    }

    /// A slice of `length` values, each made from its index.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    pub fn alloc_slice_fill_with<T>(&self, length: usize, make: impl FnMut(usize) -> T) -> &'s mut [T] {
        self.bump.alloc_slice_fill_with(length, make)
    }

    /// [`alloc_slice_copy`](Scope::alloc_slice_copy) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    pub fn try_alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&'s mut [T], Error> {
        self.bump.try_alloc_slice_copy(values)
    }

    /// [`alloc_str`](Scope::alloc_str) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    pub fn try_alloc_str(&self, text: &str) -> Result<&'s mut str, Error> {
        self.bump.try_alloc_str(text)
    }

    /// [`alloc_slice_fill_with`](Scope::alloc_slice_fill_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    pub fn try_alloc_slice_fill_with<T>(
        &self,
        length: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&'s mut [T], Error> {
        self.bump.try_alloc_slice_fill_with(length, make)
    }

    /// A fresh block, until the end of the scope.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.bump.allocate(layout)
    }

    /// A scope inside this one.
    pub fn scope<R>(&mut self, body: impl for<'i> FnOnce(&mut Scope<'i, S>) -> R) -> R {
        run(self.bump, body)
    }

    /// The allocator behind the scope, to be used while the scope is not.
    #[cfg(feature = "allocator-api2")]
    pub(crate) fn bump(&self) -> &'s Bump<S> {
        self.bump
    }
}

/// Goes back to the mark, also when the body panics.
struct Rewind<'b, S: Source> {
    bump: &'b Bump<S>,
    mark: super::Mark,
}

impl<S: Source> Drop for Rewind<'_, S> {
    fn drop(&mut self) {
        // SAFETY: [scope-end] the mark was made at the start of the scope; all that was allocated since has the lifetime
        // of the scope's body, which has ended.
        unsafe { self.bump.rewind(self.mark) }
    }
}

/// The one place where scopes are made. The caller has the allocator, or the outer scope, mutably: nothing else can
/// allocate from it until the body ends.
pub(super) fn run<S: Source, R>(bump: &Bump<S>, body: impl for<'s> FnOnce(&mut Scope<'s, S>) -> R) -> R {
    let rewind = Rewind { bump, mark: bump.mark() };
    body(&mut Scope { bump: rewind.bump })
}
