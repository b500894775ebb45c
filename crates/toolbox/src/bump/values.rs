//! Values, slices and texts in a bump allocator.

use super::Bump;
use super::copy::copy_short;
use crate::error::{Error, ErrorKind, give_up};
use crate::source::Source;
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

#[allow(clippy::mut_from_ref, reason = "each call returns other memory")]
impl<S: Source> Bump<S> {
    /// Moves a value in. Its destructor will not run.
    ///
    /// # Panics
    ///
    /// When the source has no more memory; [`try_alloc`](Bump::try_alloc) returns that as an error.
    #[inline(always)]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        self.alloc_with(|| value)
    }

    /// [`alloc`](Bump::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, Error> {
        self.try_alloc_with(|| value)
    }

    /// Builds a value in place. If `make` panics, its place is free again (if nothing was allocated meanwhile).
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline(always)]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        let place = self.place_or_panic(Layout::new::<T>());
        // SAFETY: [bump-room] the place is fresh, of T's layout, and borrowed with `self`.
        unsafe { self.fill(place.cast(), make) }
    }

    /// [`alloc_with`](Bump::alloc_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, Error> {
        let place = self.allocate(Layout::new::<T>())?;
        // SAFETY: [bump-room] the place is fresh, of T's layout, and borrowed with `self`.
        Ok(unsafe { self.fill(place.cast(), make) })
    }

    /// # Safety
    ///
    /// `place` was allocated for a `T` and is nobody's yet.
    #[inline(always)]
    unsafe fn fill<T>(&self, place: NonNull<T>, make: impl FnOnce() -> T) -> &mut T {
        let undo = Undo { bump: self, start: place.cast(), bytes: size_of::<T>() };
        let value = make();
        core::mem::forget(undo);
        // SAFETY: [bump-room] the caller's promise.
        unsafe {
            place.write(value);
            &mut *place.as_ptr()
        }
    }

    /// Copies a slice in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_slice_copy<T: Copy>(&self, values: &[T]) -> &mut [T] {
        let place = self.place_or_panic(Layout::for_value(values));
        // SAFETY: [bump-room] the place is fresh and has room for the slice.
        unsafe { self.fill_copy(place.cast(), values) }
    }

    /// [`alloc_slice_copy`](Bump::alloc_slice_copy) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    pub fn try_alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&mut [T], Error> {
        let place = self.allocate(Layout::for_value(values))?;
        // SAFETY: [bump-room] the place is fresh and has room for the slice.
        Ok(unsafe { self.fill_copy(place.cast(), values) })
    }

    /// # Safety
    ///
    /// `place` was allocated for as many `T`s and is nobody's yet.
    #[inline]
    unsafe fn fill_copy<T: Copy>(&self, place: NonNull<T>, values: &[T]) -> &mut [T] {
        // SAFETY: [bump-room] the caller's promise; borrowed with `self`.
        unsafe {
            copy_short(values.as_ptr().cast(), place.as_ptr().cast(), size_of_val(values));
            &mut *ptr::slice_from_raw_parts_mut(place.as_ptr(), values.len())
        }
    }

    /// Copies a text in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_str(&self, text: &str) -> &mut str {
        let bytes = self.alloc_slice_copy(text.as_bytes());
        // SAFETY: [plain-type] a copy of valid UTF-8.
        unsafe { core::str::from_utf8_unchecked_mut(bytes) }
    }

    /// [`alloc_str`](Bump::alloc_str) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, Error> {
        let bytes = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: [plain-type] a copy of valid UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
    }

    /// A slice of `length` values, each made by `make` from its index. If it panics, the values made so far are dropped.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    pub fn alloc_slice_fill_with<T>(&self, length: usize, make: impl FnMut(usize) -> T) -> &mut [T] {
        self.try_alloc_slice_fill_with(length, make).unwrap_or_else(|error| give_up(error))
    }

    /// [`alloc_slice_fill_with`](Bump::alloc_slice_fill_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    pub fn try_alloc_slice_fill_with<T>(
        &self,
        length: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], Error> {
        let too_large = Error::new(ErrorKind::BadRequest, "Bump::alloc_slice", length, "ask for less");
        let layout = Layout::array::<T>(length).map_err(|_| too_large)?;
        let place = self.allocate(layout)?;
        let undo = Undo { bump: self, start: place, bytes: layout.size() };
        let mut filled = Filled { start: place.cast::<T>(), length: 0 };
        while filled.length < length {
            let value = make(filled.length);
            // SAFETY: [bump-room] inside the fresh place for `length` values.
            unsafe { filled.start.add(filled.length).write(value) };
            filled.length += 1;
        }
        core::mem::forget((filled, undo));
        // SAFETY: [bump-room] all values are there; the place is borrowed with `self`.
        Ok(unsafe { &mut *ptr::slice_from_raw_parts_mut(place.as_ptr().cast(), length) })
    }

    /// Room for a value that is to be written later.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_uninit<T>(&self) -> &mut MaybeUninit<T> {
        let place = self.place_or_panic(Layout::new::<T>());
        // SAFETY: [bump-room] fresh, of T's layout, borrowed with `self`; uninitialised is a state of `MaybeUninit`.
        unsafe { &mut *place.as_ptr().cast() }
    }

    /// [`alloc_uninit`](Bump::alloc_uninit) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory.
    #[inline]
    pub fn try_alloc_uninit<T>(&self) -> Result<&mut MaybeUninit<T>, Error> {
        let place = self.allocate(Layout::new::<T>())?;
        // SAFETY: [bump-room] as above.
        Ok(unsafe { &mut *place.as_ptr().cast() })
    }
}

/// Frees a block again when what should fill it panics.
struct Undo<'b, S: Source> {
    bump: &'b Bump<S>,
    start: NonNull<u8>,
    bytes: usize,
}

impl<S: Source> Drop for Undo<'_, S> {
    fn drop(&mut self) {
        // SAFETY: [bump-room] the block was allocated here and nobody was given it.
        unsafe { self.bump.resize_last(self.start, self.bytes, 0) };
    }
}

/// The values that were made so far, dropped when making the next one panics.
struct Filled<T> {
    start: NonNull<T>,
    length: usize,
}

impl<T> Drop for Filled<T> {
    fn drop(&mut self) {
        // SAFETY: [bump-room] these values were written, and nobody else has them.
        unsafe { ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.length).drop_in_place() }
    }
}
