//! The typed pool of one thread.

use super::{Slots, slot_layout};
use crate::error::{Error, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Slots for objects of one type, for one thread at a time. The module's documentation says when.
///
/// ```
/// use brkmap_toolbox::Pool;
/// let pool = Pool::new();
/// let one = pool.alloc(String::from("one"));
/// let two = pool.alloc(String::from("two"));
/// drop(one); // the string is dropped, its slot is free again
/// let three = pool.alloc(format!("{two} and a half"));
/// assert_eq!((&**three, pool.stats().live), ("two and a half", 2));
/// ```
///
/// An object does not outlive its pool:
///
/// ```compile_fail,E0597
/// let object = {
///     let pool = brkmap_toolbox::Pool::new();
///     pool.alloc(1)
/// };
/// ```
///
/// and stays in its thread:
///
/// ```compile_fail,E0277
/// let pool = brkmap_toolbox::Pool::new();
/// let object = pool.alloc(1);
/// std::thread::scope(|threads| {
///     threads.spawn(move || drop(object));
/// });
/// ```
pub struct Pool<T, #[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    slots: Slots<S>,
    values: PhantomData<T>,
}

// SAFETY: [exclusive-owner] the chunks belong to this value alone; objects borrow it, so there are none when it moves.
unsafe impl<T, S: Source + Send> Send for Pool<T, S> {}

#[cfg(feature = "alloc")]
impl<T> Pool<T> {
    /// An empty one over the registered allocator.
    pub const fn new() -> Pool<T> {
        Pool::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool::new()
    }
}

impl<T, S: Source> Pool<T, S> {
    const SLOT: Layout = slot_layout(Layout::new::<T>());

    /// An empty one over a source.
    pub const fn over(source: S) -> Pool<T, S> {
        Pool { slots: Slots::over(source), values: PhantomData }
    }

    /// Gives it a name for [`stats`](Pool::stats) and reports.
    pub fn named(mut self, name: &'static str) -> Pool<T, S> {
        self.slots.chunks.set_name(name);
        self
    }

    /// The source.
    pub fn source(&self) -> &S {
        self.slots.chunks.source()
    }

    /// Says that about so many objects will come: the next chunk has room for them.
    pub fn expect(&self, objects: usize) {
        self.slots.chunks.expect(objects.saturating_mul(Self::SLOT.size()));
    }

    /// Moves a value into a slot.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc(&self, value: T) -> Pooled<'_, T, S> {
        self.alloc_with(|| value)
    }

    /// [`alloc`](Pool::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the value is dropped.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<Pooled<'_, T, S>, Error> {
        self.try_alloc_with(|| value)
    }

    /// Builds a value in a slot. If `make` panics, the slot is free again.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> Pooled<'_, T, S> {
        match self.try_alloc_with(make) {
            Ok(object) => object,
            Err(error) => give_up(error),
        }
    }

    /// [`alloc_with`](Pool::alloc_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<Pooled<'_, T, S>, Error> {
        if size_of::<T>() == 0 {
            let value = make();
            core::mem::forget(value);
            return Ok(Pooled { place: NonNull::dangling(), pool: self });
        }
        let slot = Taken { slots: &self.slots, slot: self.slots.pop(Self::SLOT)? };
        let value = make();
        let place = ManuallyDrop::new(slot).slot.cast::<T>();
        // SAFETY: [free-slot] the slot was just taken and has T's layout.
        unsafe { place.write(value) };
        Ok(Pooled { place, pool: self })
    }

    /// What it has in hand. Counting walks the list of free slots. Objects without a size are not counted.
    pub fn stats(&self) -> Stats {
        self.slots.stats(Self::SLOT)
    }
}

impl<T, S: Source> fmt::Debug for Pool<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.stats())
    }
}

/// A slot in hand: goes back if nothing is made of it.
struct Taken<'p, S: Source> {
    slots: &'p Slots<S>,
    slot: NonNull<u8>,
}

impl<S: Source> Drop for Taken<'_, S> {
    fn drop(&mut self) {
        // SAFETY: [free-slot] taken from this pool and given to nobody.
        unsafe { self.slots.push(self.slot) }
    }
}

/// An object in a [`Pool`], owned like a `Box`: dropped and its slot freed when this goes.
pub struct Pooled<'p, T, S: Source> {
    place: NonNull<T>,
    pool: &'p Pool<T, S>,
}

impl<'p, T, S: Source> Pooled<'p, T, S> {
    /// Takes the value out; its slot is free.
    pub fn into_inner(this: Pooled<'p, T, S>) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: [free-slot] the value is there and leaves now; the slot is the pool's, and nobody's afterwards.
        unsafe {
            let value = this.place.read();
            this.give_back();
            value
        }
    }

    /// # Safety
    ///
    /// The value is gone, and this is not used any more.
    #[inline]
    unsafe fn give_back(&self) {
        if size_of::<T>() != 0 {
            // SAFETY: [free-slot] the caller's promise.
            unsafe { self.pool.slots.push(self.place.cast()) };
        }
    }
}

impl<T, S: Source> Drop for Pooled<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        /// The slot goes back even when the destructor panics.
        struct After<'a, 'p, T, S: Source>(&'a Pooled<'p, T, S>);
        impl<T, S: Source> Drop for After<'_, '_, T, S> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: [free-slot] the destructor has run, or panicked on its way: the value is gone.
                unsafe { self.0.give_back() }
            }
        }
        let place = self.place;
        let _after = After(self);
        // SAFETY: [free-slot] the value is there, and this is its only owner.
        unsafe { place.drop_in_place() }
    }
}

impl<T, S: Source> Deref for Pooled<'_, T, S> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: [free-slot] the value is there as long as this lives.
        unsafe { self.place.as_ref() }
    }
}

impl<T, S: Source> DerefMut for Pooled<'_, T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: [free-slot] the same, and this is its only owner.
        unsafe { self.place.as_mut() }
    }
}

impl<T: fmt::Debug, S: Source> fmt::Debug for Pooled<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display, S: Source> fmt::Display for Pooled<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
