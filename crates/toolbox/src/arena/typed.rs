//! The typed arena.

use crate::chunks::{Chunk, Chunks};
use crate::error::{Error, ErrorKind, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// Objects of one type that die together. The module's documentation says when.
///
/// ```
/// use brkmap_toolbox::Arena;
/// use std::cell::Cell;
///
/// struct Node<'a> { name: &'static str, friend: Cell<Option<&'a Node<'a>>> }
///
/// let arena = Arena::new();
/// let a = arena.alloc(Node { name: "a", friend: Cell::new(None) });
/// let b = arena.alloc(Node { name: "b", friend: Cell::new(Some(a)) });
/// a.friend.set(Some(b)); // a cycle, without reference counts
/// assert_eq!(a.friend.get().unwrap().friend.get().unwrap().name, "a");
/// ```
///
/// An object with a destructor that looks at its neighbours is refused, as the neighbours may be gone by then:
///
/// ```compile_fail,E0597
/// use std::cell::Cell;
/// struct Node<'a> { friend: Cell<Option<&'a Node<'a>>> }
/// impl Drop for Node<'_> {
///     fn drop(&mut self) { self.friend.get().map(|friend| friend.friend.take()); }
/// }
/// let arena = brkmap_toolbox::Arena::new();
/// let a = arena.alloc(Node { friend: Cell::new(None) });
/// let b = arena.alloc(Node { friend: Cell::new(Some(a)) });
/// ```
pub struct Arena<T, #[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    objects: Objects<S>,
    /// Owns `T`s, and takes new ones through `&self`: invariant in `T`.
    values: PhantomData<Cell<T>>,
}

/// The arena without its type.
///
/// The destructor is here, where no `T` is named, so that the compiler asks only what dropping `T`s asks: objects may
/// refer to each other as long as their own destructors do not look.
struct Objects<S: Source> {
    /// Invariant `[arena-front]`: objects from the start of the newest chunk up to `next` are there; so are, in each
    /// older chunk, as many as its note says. For types without a size, `next` only counts.
    next: Cell<*mut u8>,
    end: Cell<*mut u8>,
    chunks: Chunks<S>,
    /// `drop_all::<T, S>`.
    drop_all: unsafe fn(&Objects<S>),
}

impl<S: Source> Drop for Objects<S> {
    fn drop(&mut self) {
        // SAFETY: [arena-front] the arena is going: nobody has a reference to an object.
        unsafe { (self.drop_all)(self) }
    }
}

// SAFETY: [exclusive-owner] the chunks and objects belong to this value alone; references into them borrow it.
unsafe impl<T: Send, S: Source + Send> Send for Arena<T, S> {}

#[cfg(feature = "alloc")]
impl<T> Arena<T> {
    /// An empty one over the registered allocator.
    pub const fn new() -> Arena<T> {
        Arena::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for Arena<T> {
    fn default() -> Arena<T> {
        Arena::new()
    }
}

#[allow(clippy::mut_from_ref, reason = "each call returns other memory")]
impl<T, S: Source> Arena<T, S> {
    const IS_ZERO: bool = size_of::<T>() == 0;

    /// An empty one over a source.
    pub const fn over(source: S) -> Arena<T, S> {
        let objects = Objects {
            next: Cell::new(ptr::null_mut()),
            end: Cell::new(ptr::null_mut()),
            chunks: Chunks::new(source),
            drop_all: drop_all::<T, S>,
        };
        Arena { objects, values: PhantomData }
    }

    /// Gives it a name for [`stats`](Arena::stats) and reports.
    pub fn named(mut self, name: &'static str) -> Arena<T, S> {
        self.objects.chunks.set_name(name);
        self
    }

    /// The source.
    pub fn source(&self) -> &S {
        self.objects.chunks.source()
    }

    /// Says that about so many objects will come: the next chunk has room for them.
    pub fn expect(&self, objects: usize) {
        self.objects.chunks.expect(objects.saturating_mul(size_of::<T>()));
    }

    /// Moves a value in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc(&self, value: T) -> &mut T {
        if self.objects.next.get() == self.objects.end.get() && !Self::IS_ZERO {
            self.grow_or_panic();
        }
        // SAFETY: [arena-front] there is room at `next`.
        unsafe { self.put(value) }
    }

    /// [`alloc`](Arena::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the value is dropped.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<&mut T, Error> {
        if self.objects.next.get() == self.objects.end.get() && !Self::IS_ZERO {
            self.grow(1)?;
        }
        // SAFETY: [arena-front] there is room at `next`.
        Ok(unsafe { self.put(value) })
    }

    /// Builds a value, then moves it in. If `make` panics, nothing is there; `make` may itself allocate here.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> &mut T {
        self.alloc(make())
    }

    /// [`alloc_with`](Arena::alloc_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the value is dropped.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<&mut T, Error> {
        self.try_alloc(make())
    }

    /// # Safety
    ///
    /// `next` is not at `end`, or T has no size.
    #[inline(always)]
    unsafe fn put(&self, value: T) -> &mut T {
        let place = self.objects.next.get().cast::<T>();
        if Self::IS_ZERO {
            core::mem::forget(value);
            self.objects.next.set(place.cast::<u8>().wrapping_add(1));
            // SAFETY: [arena-front] a value without a size lies at any aligned address.
            return unsafe { &mut *NonNull::dangling().as_ptr() };
        }
        // SAFETY: [arena-front] room for one more, the caller says.
        unsafe {
            place.write(value);
            self.objects.next.set(place.add(1).cast());
            &mut *place
        }
    }

    /// Moves the values of an iterator in, one behind the other, and returns them as a slice.
    ///
    /// The iterator may allocate here itself, so the values are first collected at a place of their own.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[cfg(feature = "alloc")]
    pub fn alloc_extend(&self, values: impl IntoIterator<Item = T>) -> &mut [T] {
        self.try_alloc_extend(values).unwrap_or_else(|error| give_up(error))
    }

    /// [`alloc_extend`](Arena::alloc_extend) that does not panic for want of memory here.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the values are dropped.
    #[cfg(feature = "alloc")]
    pub fn try_alloc_extend(&self, values: impl IntoIterator<Item = T>) -> Result<&mut [T], Error> {
        let values: alloc::vec::Vec<T> = values.into_iter().collect();
        let length = values.len();
        if !Self::IS_ZERO
            && (self.objects.end.get().addr() - self.objects.next.get().addr()) / size_of::<T>().max(1) < length
        {
            self.grow(length)?;
        }
        let start = if Self::IS_ZERO { NonNull::dangling().as_ptr() } else { self.objects.next.get().cast::<T>() };
        for value in values {
            // SAFETY: [arena-front] room for `length` was just made sure of.
            unsafe { self.put(value) };
        }
        // SAFETY: [arena-front] the values just written, borrowed with `self`.
        Ok(unsafe { &mut *ptr::slice_from_raw_parts_mut(start, length) })
    }

    #[cold]
    #[inline(never)]
    fn grow_or_panic(&self) {
        self.grow(1).unwrap_or_else(|error| give_up(error));
    }

    /// Room for `objects` more in one chunk.
    #[cold]
    fn grow(&self, objects: usize) -> Result<(), Error> {
        let too_large = Error::new(ErrorKind::BadRequest, "Arena::alloc", objects, "ask for less");
        let bytes = size_of::<T>().checked_mul(objects).ok_or(too_large)?;
        if let Some(newest) = self.objects.chunks.newest() {
            if self.objects.chunks.extend(newest, bytes).is_ok() {
                self.objects.end.set(self.last_place(newest));
                return Ok(());
            }
            newest.header().note.set(self.objects_in(newest));
        }
        let chunk = self.objects.chunks.acquire(bytes, align_of::<T>(), None)?;
        self.objects.next.set(chunk.start().as_ptr());
        self.objects.end.set(self.last_place(chunk));
        Ok(())
    }

    /// Behind the last whole place of a chunk.
    fn last_place(&self, chunk: Chunk) -> *mut u8 {
        let size = size_of::<T>().max(1);
        chunk.start().as_ptr().wrapping_add(chunk.bytes() / size * size)
    }

    fn objects_in(&self, chunk: Chunk) -> usize {
        if Some(chunk) == self.objects.chunks.newest() {
            (self.objects.next.get().addr() - chunk.start().addr().get()) / size_of::<T>().max(1)
        } else {
            chunk.header().note.get()
        }
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        if Self::IS_ZERO {
            return self.objects.next.get().addr();
        }
        let mut objects = 0;
        self.objects.chunks.each(|chunk| objects += self.objects_in(chunk));
        objects
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All objects, in the order in which they came.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let zeros = if Self::IS_ZERO { self.len() } else { 0 };
        let mut at = self.objects.chunks.oldest();
        let this = &*self;
        let slices = core::iter::from_fn(move || {
            let chunk = at?;
            at = chunk.next();
            // SAFETY: [arena-front] these objects are there; `&mut self` says that nobody else has them.
            Some(unsafe {
                &mut *ptr::slice_from_raw_parts_mut(chunk.start().as_ptr().cast::<T>(), this.objects_in(chunk))
            })
        });
        // SAFETY: [arena-front] values without a size lie at any aligned address.
        let zeros = unsafe { &mut *ptr::slice_from_raw_parts_mut(NonNull::<T>::dangling().as_ptr(), zeros) };
        zeros.iter_mut().chain(slices.flatten())
    }

    /// Runs all destructors and keeps the largest chunk.
    pub fn reset(&mut self) {
        // SAFETY: [arena-front] `&mut self` says that nobody has a reference to an object.
        unsafe { drop_all::<T, S>(&self.objects) };
        while let (Some(newest), Some(oldest)) = (self.objects.chunks.newest(), self.objects.chunks.oldest()) {
            if newest == oldest {
                self.objects.next.set(newest.start().as_ptr());
                self.objects.end.set(self.last_place(newest));
                break;
            }
            let smaller = if oldest.bytes() <= newest.bytes() { oldest } else { newest };
            // SAFETY: [chunk-chain] in the chain; all objects are gone.
            unsafe { self.objects.chunks.release(smaller) };
        }
    }

    /// What it has in hand.
    pub fn stats(&self) -> Stats {
        let (chunks, held_bytes) = self.objects.chunks.census();
        let live = self.len();
        Stats { name: self.objects.chunks.name(), live, live_bytes: live * size_of::<T>(), held_bytes, chunks }
    }
}

/// Runs all destructors. There is nothing left afterwards, whatever happens.
///
/// # Safety
///
/// The objects are `T`s, and nobody has a reference to one.
unsafe fn drop_all<T, S: Source>(objects: &Objects<S>) {
    let newest = objects.chunks.newest();
    if size_of::<T>() == 0 {
        let count = objects.next.replace(ptr::null_mut()).addr();
        let zeros = ptr::slice_from_raw_parts_mut(NonNull::<T>::dangling().as_ptr(), count);
        // SAFETY: [arena-front] that many values were moved in and are nobody's now.
        return unsafe { zeros.drop_in_place() };
    }
    let Some(newest) = newest else { return };
    let in_newest = (objects.next.get().addr() - newest.start().addr().get()) / size_of::<T>();
    objects.next.set(newest.start().as_ptr());
    objects.chunks.each(|chunk| {
        let count = if chunk == newest { in_newest } else { chunk.header().note.replace(0) };
        if core::mem::needs_drop::<T>() {
            // SAFETY: [arena-front] these objects are there, and no count names them any more.
            unsafe { ptr::slice_from_raw_parts_mut(chunk.start().as_ptr().cast::<T>(), count).drop_in_place() };
        }
    });
}

impl<T, S: Source> fmt::Debug for Arena<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({})", self.stats())
    }
}
