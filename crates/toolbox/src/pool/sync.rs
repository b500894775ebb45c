//! The typed pool of many threads.

use super::Source;
use crate::chunks::Chunks;
use crate::error::{Error, ErrorKind, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::spin::SpinLock;
use crate::stats::Stats;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Slots of the first chunk; each further chunk has twice as many as the one before.
const FIRST: u32 = 64;
/// Chunks at most: 2^32 slots in all.
const CHUNKS: usize = 26;

/// A slot. The link lies beside the value, not in it: a thread that lost the race for a slot may still read its link
/// while the winner already writes the value.
struct Slot<T> {
    value: UnsafeCell<MaybeUninit<T>>,
    /// Number of the next free slot plus 1; 0: none. Means something while the slot is in the list.
    next: AtomicU32,
}

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
    /// Invariant `[tagged-head]`: count of changes << 32 | number of the first free slot plus 1. Only who moves the head
    /// past a slot by compare-and-exchange has the slot.
    head: AtomicU64,
    /// Slots below this number were handed out at some time.
    fresh: AtomicU32,
    /// Slots below this number exist.
    capacity: AtomicU32,
    tables: [AtomicPtr<Slot<T>>; CHUNKS],
    /// Used with the lock held.
    chunks: Chunks<S>,
    growth: SpinLock,
}

// SAFETY: [tagged-head] a slot has one owner at a time, and the chunks change with the lock held.
unsafe impl<T: Send, S: Source + Send> Sync for SyncPool<T, S> {}
// SAFETY: [exclusive-owner] the chunks belong to this value alone.
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
    /// An empty one over a source.
    pub const fn over(source: S) -> SyncPool<T, S> {
        SyncPool {
            head: AtomicU64::new(0),
            fresh: AtomicU32::new(0),
            capacity: AtomicU32::new(0),
            tables: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            chunks: Chunks::new(source),
            growth: SpinLock::new(),
        }
    }

    /// Gives it a name for [`stats`](SyncPool::stats) and reports.
    pub fn named(mut self, name: &'static str) -> SyncPool<T, S> {
        self.chunks.set_name(name);
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
        let (index, slot) = self.pop()?;
        let taken = Taken { pool: self, index };
        let value = make();
        core::mem::forget(taken);
        // SAFETY: [tagged-head] the slot is ours alone.
        let place = unsafe {
            let place = (*slot.as_ptr()).value.get();
            (*place).write(value);
            NonNull::new_unchecked(place.cast::<T>())
        };
        Ok(SyncPooled { place, index, pool: self })
    }

    /// The table and the place in it of a slot.
    fn split(index: u32) -> (usize, usize) {
        let scaled = u64::from(index) + u64::from(FIRST);
        let table = scaled.ilog2() - FIRST.ilog2();
        (table as usize, (scaled - (u64::from(FIRST) << table)) as usize)
    }

    #[inline]
    fn slot(&self, index: u32) -> NonNull<Slot<T>> {
        let (table, place) = Self::split(index);
        // Published before any number in it could be known; the number was read with acquire, or under the lock.
        let start = self.tables[table].load(Ordering::Acquire);
        // SAFETY: [tagged-head] the table has this many slots at least.
        unsafe { NonNull::new_unchecked(start.add(place)) }
    }

    fn pop(&self) -> Result<(u32, NonNull<Slot<T>>), Error> {
        let mut head = self.head.load(Ordering::Acquire);
        while head as u32 != 0 {
            let index = head as u32 - 1;
            let slot = self.slot(index);
            // SAFETY: [tagged-head] slots live as long as the pool; the link is atomic.
            let next = unsafe { slot.as_ref() }.next.load(Ordering::Relaxed);
            let changed = ((head >> 32).wrapping_add(1) << 32) | u64::from(next);
            match self.head.compare_exchange_weak(head, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok((index, slot)),
                Err(now) => head = now,
            }
        }
        self.take_fresh()
    }

    #[inline(never)]
    fn take_fresh(&self) -> Result<(u32, NonNull<Slot<T>>), Error> {
        loop {
            let fresh = self.fresh.load(Ordering::Relaxed);
            if fresh >= self.capacity.load(Ordering::Acquire) {
                self.grow(fresh)?;
            } else if self.fresh.compare_exchange_weak(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                let slot = self.slot(fresh);
                // SAFETY: [tagged-head] the slot is ours alone, for the first time; nobody has read its link.
                unsafe { (&raw mut (*slot.as_ptr()).next).write(AtomicU32::new(0)) };
                return Ok((fresh, slot));
            }
        }
    }

    /// Gets the chunk in which slot `index` lies, unless another thread did meanwhile.
    #[cold]
    fn grow(&self, index: u32) -> Result<(), Error> {
        let _held = self.growth.lock();
        let capacity = self.capacity.load(Ordering::Relaxed);
        if index < capacity {
            return Ok(());
        }
        let (table, _) = Self::split(capacity);
        let full =
            Error::new(ErrorKind::Exhausted, "SyncPool::alloc", size_of::<T>(), "4 billion objects are the most");
        let slots = FIRST.checked_shl(table as u32).filter(|_| table < CHUNKS).ok_or(full)?;
        let more = capacity.checked_add(slots).ok_or(full)?;
        let bytes = size_of::<Slot<T>>().checked_mul(slots as usize).ok_or(full)?;
        let chunk = self.chunks.acquire(bytes, align_of::<Slot<T>>(), None)?;
        self.tables[table].store(chunk.start().as_ptr().cast(), Ordering::Release);
        self.capacity.store(more, Ordering::Release);
        Ok(())
    }

    /// # Safety
    ///
    /// The slot is the caller's, its value is gone, and it is not used any more.
    unsafe fn push(&self, index: u32) {
        let slot = self.slot(index);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: [tagged-head] slots live as long as the pool; the link is atomic.
            unsafe { slot.as_ref() }.next.store(head as u32, Ordering::Relaxed);
            let changed = ((head >> 32).wrapping_add(1) << 32) | (u64::from(index) + 1);
            match self.head.compare_exchange_weak(head, changed, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// What it has in hand; exact while no other thread uses it, else about right.
    pub fn stats(&self) -> Stats {
        let _held = self.growth.lock();
        let (chunks, held_bytes) = self.chunks.census();
        let fresh = self.fresh.load(Ordering::Acquire);
        let (mut free, mut at) = (0u32, self.head.load(Ordering::Acquire) as u32);
        // Others may change the list while we walk it: never further than there are slots.
        while at != 0 && free < fresh {
            free += 1;
            // SAFETY: [tagged-head] slots live as long as the pool; the link is atomic.
            at = unsafe { self.slot(at - 1).as_ref() }.next.load(Ordering::Acquire);
        }
        let live = (fresh - free) as usize;
        Stats { name: self.chunks.name(), live, live_bytes: live * size_of::<Slot<T>>(), held_bytes, chunks }
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
    index: u32,
}

impl<T, S: Source> Drop for Taken<'_, T, S> {
    fn drop(&mut self) {
        // SAFETY: [tagged-head] popped and given to nobody, or its value is gone.
        unsafe { self.pool.push(self.index) }
    }
}

/// An object in a [`SyncPool`], owned like a `Box`; may be dropped in another thread.
pub struct SyncPooled<'p, T, S: Source> {
    place: NonNull<T>,
    index: u32,
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
        let _after = Taken { pool: this.pool, index: this.index };
        // SAFETY: [tagged-head] the value is there and leaves now; the slot goes back behind it.
        unsafe { this.place.read() }
    }
}

impl<T, S: Source> Drop for SyncPooled<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        // The slot goes back even when the destructor panics.
        let _after = Taken { pool: self.pool, index: self.index };
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
