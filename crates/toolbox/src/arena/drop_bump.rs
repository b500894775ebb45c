//! The arena of many types.

use crate::bump::Bump;
use crate::error::{Error, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::cell::Cell;
use core::fmt;
use core::mem::needs_drop;
use core::ptr::NonNull;

/// In front of each value that has a destructor.
#[repr(C)]
struct Entry<T> {
    link: Link,
    value: T,
}

struct Link {
    previous: Option<NonNull<Link>>,
    /// Drops the value behind this link.
    drop: unsafe fn(NonNull<Link>),
}

/// Values of any types that die together, with their destructors, the last first.
///
/// Values without a destructor cost what they cost in a [`Bump`]; the others 16 bytes more.
///
/// ```
/// use brkmap_toolbox::DropBump;
/// let mut values = DropBump::new();
/// let name: &mut String = values.alloc(String::from("any type"));
/// name.push_str(" with a destructor");
/// let number: &mut u64 = values.alloc(7);
/// *number += name.len() as u64;
/// values.reset(); // the string is dropped
/// ```
///
/// Values may refer only to what outlives the allocator, for their destructors run as it goes:
///
/// ```compile_fail,E0597
/// let values = brkmap_toolbox::DropBump::new();
/// let text = String::from("dies before the allocator");
/// values.alloc(std::cell::RefCell::new(Some(&text)));
/// ```
pub struct DropBump<'v, #[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    /// Invariant `[drop-chain]`: every link in the chain is in front of a value that is there and is dropped once.
    last: Cell<Option<NonNull<Link>>>,
    bump: Bump<S>,
    /// Values may borrow for `'v`. With the `Drop` below, the compiler asks that all of it outlives this.
    values: core::marker::PhantomData<core::cell::UnsafeCell<&'v ()>>,
}

#[cfg(feature = "alloc")]
impl DropBump<'_> {
    /// An empty one over the registered allocator.
    pub const fn new() -> Self {
        DropBump::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl Default for DropBump<'_> {
    fn default() -> Self {
        DropBump::new()
    }
}

#[allow(clippy::mut_from_ref, reason = "each call returns other memory")]
impl<'v, S: Source> DropBump<'v, S> {
    /// An empty one over a source.
    pub const fn over(source: S) -> DropBump<'v, S> {
        DropBump { last: Cell::new(None), bump: Bump::over(source), values: core::marker::PhantomData }
    }

    /// Gives it a name for [`stats`](DropBump::stats) and reports.
    pub fn named(mut self, name: &'static str) -> DropBump<'v, S> {
        self.bump.set_name(name);
        self
    }

    /// Moves a value in. Its destructor runs at a reset, or with this.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc<T: 'v>(&self, value: T) -> &mut T {
        self.alloc_with(|| value)
    }

    /// [`alloc`](DropBump::alloc) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory; the value is dropped.
    #[inline]
    pub fn try_alloc<T: 'v>(&self, value: T) -> Result<&mut T, Error> {
        self.try_alloc_with(|| value)
    }

    /// Builds a value in place. If `make` panics, there is none.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn alloc_with<T: 'v>(&self, make: impl FnOnce() -> T) -> &mut T {
        self.try_alloc_with(make).unwrap_or_else(|error| give_up(error))
    }

    /// [`alloc_with`](DropBump::alloc_with) that does not panic for want of memory.
    ///
    /// # Errors
    ///
    /// The source has no more memory; `make` was not called.
    #[inline]
    pub fn try_alloc_with<T: 'v>(&self, make: impl FnOnce() -> T) -> Result<&mut T, Error> {
        if !needs_drop::<T>() {
            return self.bump.try_alloc_with(make);
        }
        let link = Link { previous: None, drop: drop_behind::<T> };
        let place = NonNull::from(self.bump.try_alloc_with(|| Entry { link, value: make() })?);
        let link = place.cast::<Link>();
        // SAFETY: [drop-chain] the entry is there (its link first, by `repr(C)`), and this is its only pointer.
        unsafe {
            (*link.as_ptr()).previous = self.last.get();
            self.last.set(Some(link));
            Ok(&mut (*place.as_ptr()).value)
        }
    }

    /// Runs the destructors, the last first, and frees everything; the largest chunk is kept.
    pub fn reset(&mut self) {
        self.drop_values();
        self.bump.reset();
    }

    /// The same, and all chunks are kept.
    pub fn reset_keep(&mut self) {
        self.drop_values();
        self.bump.reset_keep();
    }

    fn drop_values(&mut self) {
        while let Some(link) = self.last.get() {
            // SAFETY: [drop-chain] the link is there; it leaves the chain before its value is dropped, so a destructor
            // that panics is not run again.
            unsafe {
                self.last.set(link.as_ref().previous);
                (link.as_ref().drop)(link);
            }
        }
    }

    /// What it has in hand.
    pub fn stats(&self) -> Stats {
        self.bump.stats()
    }
}

/// # Safety
///
/// The link is the front of an `Entry<T>` whose value is there and is not used afterwards.
unsafe fn drop_behind<T>(link: NonNull<Link>) {
    let entry = link.cast::<Entry<T>>();
    // SAFETY: [drop-chain] the caller's promise.
    unsafe { (&raw mut (*entry.as_ptr()).value).drop_in_place() }
}

impl<S: Source> Drop for DropBump<'_, S> {
    fn drop(&mut self) {
        self.drop_values();
    }
}

impl<S: Source> fmt::Debug for DropBump<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DropBump({})", self.stats())
    }
}
