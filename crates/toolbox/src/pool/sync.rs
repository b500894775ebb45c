//! The typed pool of many threads.

use super::sync_slots::{Shape, SyncSlots};
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

/// Slots for objects of one type, for any number of threads, without a lock where a slot is free.
///
/// The list of free slots is a stack whose head carries a count of changes, so that a head that comes back after other
/// pops and pushes is not taken for the old one. A thread that must get a new chunk from the source holds a lock for
/// that moment; others that need a chunk then wait for it.
///
/// ```
/// use brkmap_toolbox::SyncPool;
/// let pool = SyncPool::new();
/// std::thread::scope(|threads| {
///     let made = threads.spawn(|| pool.alloc(String::from("made here"))).join().unwrap();
///     threads.spawn(move || drop(made)); // freed there
/// });
/// assert_eq!(pool.stats().live, 0);
/// ```
///
/// Values that must not change threads are refused:
///
/// ```compile_fail,E0277
/// let pool = brkmap_toolbox::SyncPool::new();
/// let object = pool.alloc(std::rc::Rc::new(1));
/// std::thread::scope(|threads| {
///     threads.spawn(move || drop(object));
/// });
/// ```
pub struct SyncPool<T, #[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    slots: SyncSlots<S>,
    values: PhantomData<T>,
}

// SAFETY: [tagged-head] a slot has one owner at a time; values go from thread to thread, so they must be `Send`.
unsafe impl<T: Send, S: Source + Send> Sync for SyncPool<T, S> {}
// SAFETY: [exclusive-owner] the slots belong to this value alone.
unsafe impl<T: Send, S: Source + Send> Send for SyncPool<T, S> {}

#[cfg(feature = "alloc")]
impl<T> SyncPool<T> {
    /// An empty one over the registered allocator.
    pub const fn new() -> SyncPool<T> {
        SyncPool::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for SyncPool<T> {
    fn default() -> SyncPool<T> {
        SyncPool::new()
    }
}

impl<T, S: Source> SyncPool<T, S> {
    const SHAPE: Shape = Shape::of(Layout::new::<T>());

    /// An empty one over a source.
    pub const fn over(source: S) -> SyncPool<T, S> {
        SyncPool { slots: SyncSlots::over(source), values: PhantomData }
    }

    /// Gives it a name for [`stats`](SyncPool::stats) and reports.
    pub fn named(mut self, name: &'static str) -> SyncPool<T, S> {
        self.slots.set_name(name);
        self
    }

    /// Moves a value into a slot.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc(&self, value: T) -> SyncPooled<'_, T, S> {
        self.alloc_with(|| value)
    }

    /// [`alloc`](SyncPool::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the value is dropped.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<SyncPooled<'_, T, S>, Error> {
        self.try_alloc_with(|| value)
    }

    /// Builds a value in a slot. If `make` panics, the slot is free again.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> SyncPooled<'_, T, S> {
        self.try_alloc_with(make).unwrap_or_else(|error| give_up(error))
    }

    /// [`alloc_with`](SyncPool::alloc_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<SyncPooled<'_, T, S>, Error> {
        let taken = Taken { pool: self, slot: self.slots.pop(Self::SHAPE)? };
        let value = make();
        let place = ManuallyDrop::new(taken).slot.cast::<T>();
        // SAFETY: [tagged-head] the slot is ours alone and has room for a T at its start.
        unsafe { place.write(value) };
        Ok(SyncPooled { place, pool: self })
    }

    /// What it has in hand; exact while no other thread uses it, else about right.
    pub fn stats(&self) -> Stats {
        self.slots.stats(Self::SHAPE)
    }
}

impl<T, S: Source> fmt::Debug for SyncPool<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncPool({})", self.stats())
    }
}

/// A slot in hand: goes back if nothing is made of it.
struct Taken<'p, T, S: Source> {
    pool: &'p SyncPool<T, S>,
    slot: NonNull<u8>,
}

impl<T, S: Source> Drop for Taken<'_, T, S> {
    fn drop(&mut self) {
        // SAFETY: [tagged-head] popped and given to nobody, or its value is gone.
        unsafe { self.pool.slots.push(SyncPool::<T, S>::SHAPE, self.slot) }
    }
}

/// An object in a [`SyncPool`], owned like a `Box`; may be dropped in another thread.
pub struct SyncPooled<'p, T, S: Source> {
    place: NonNull<T>,
    pool: &'p SyncPool<T, S>,
}

// SAFETY: [exclusive-owner] it owns its value, and the pool may be used from any thread.
unsafe impl<T: Send, S: Source + Send> Send for SyncPooled<'_, T, S> {}
// SAFETY: [exclusive-owner] through `&self` only `&T` is had.
unsafe impl<T: Send + Sync, S: Source + Send> Sync for SyncPooled<'_, T, S> {}

impl<'p, T, S: Source> SyncPooled<'p, T, S> {
    /// Takes the value out; its slot is free.
    pub fn into_inner(this: SyncPooled<'p, T, S>) -> T {
        let this = ManuallyDrop::new(this);
        let _after = Taken { pool: this.pool, slot: this.place.cast() };
        // SAFETY: [tagged-head] the value is there and leaves now; the slot goes back behind it.
        unsafe { this.place.read() }
    }
}

impl<T, S: Source> Drop for SyncPooled<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        // The slot goes back even when the destructor panics.
        let _after = Taken { pool: self.pool, slot: self.place.cast() };
        // SAFETY: [tagged-head] the value is there, and this is its only owner.
        unsafe { self.place.drop_in_place() }
    }
}

impl<T, S: Source> Deref for SyncPooled<'_, T, S> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: [tagged-head] the value is there as long as this lives.
        unsafe { self.place.as_ref() }
    }
}

impl<T, S: Source> DerefMut for SyncPooled<'_, T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: [tagged-head] the same, and this is its only owner.
        unsafe { self.place.as_mut() }
    }
}

impl<T: fmt::Debug, S: Source> fmt::Debug for SyncPooled<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display, S: Source> fmt::Display for SyncPooled<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
