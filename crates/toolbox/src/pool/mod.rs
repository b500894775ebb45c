//! Pool: slots of one size.
//!
//! **What.** Memory is cut into slots of one size. A free slot holds the link to the next free one, so the list costs no
//! memory; to allocate is to pop it, to free is to push.
//!
//! **When.** Many objects of one type that come and go in any order: connections, tree nodes, messages. No size classes,
//! no search, no fragmentation: any free slot fits any request.
//!
//! **When not.** Sizes differ widely ([`FreeList`](crate::FreeList)); everything dies at once ([`Arena`](crate::Arena));
//! keys are wanted rather than pointers ([`HandleArena`](crate::HandleArena)).
//!
//! | type | unit | threads | an allocation | a free |
//! |---|---|---|---|---|
//! | [`Pool<T>`] | a [`Pooled<T>`](Pooled) that is dropped and returned by itself | one | pop: 4 instructions | push: 3 |
//! | [`BlockPool`] | a block of one [`Layout`](core::alloc::Layout) | one | the same | the same |
//! | [`SyncPool<T>`] | a [`SyncPooled<T>`](SyncPooled) | any number, lock-free | one compare-and-exchange | one |
//! | [`SyncBlockPool`] | a block of one layout | any number, lock-free | the same | the same |
//!
//! ```text
//!   chunk   |header|T|free|T|T|free|free|T|· · never used · ·|
//!                      │        │    │
//!   list ──────────────┴◄───────┴◄───┘        the last freed is the next used: it is in the cache
//! ```
//!
//! **Limits.** Slots are at least 8 bytes; between threads 4 bytes longer than the object. Chunks go back when the pool is dropped, not before.

mod block;
mod sync;
mod sync_block;
mod sync_slots;
mod typed;

pub use block::BlockPool;
pub use sync::{SyncPool, SyncPooled};
pub use sync_block::SyncBlockPool;
pub use typed::{Pool, Pooled};

use crate::chunks::Chunks;
use crate::error::Error;
use crate::source::Source;
use crate::stats::Stats;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// In a free slot.
struct Link {
    next: *mut Link,
}

/// What a slot for objects of this layout looks like.
const fn slot_layout(object: Layout) -> Layout {
    let size = if object.size() > size_of::<Link>() { object.size() } else { size_of::<Link>() };
    let align = if object.align() > align_of::<Link>() { object.align() } else { align_of::<Link>() };
    match Layout::from_size_align(size.next_multiple_of(align), align) {
        Ok(slot) => slot,
        Err(_) => panic!("a slot, rounded up to its alignment, is at most isize::MAX bytes"),
    }
}

/// The list and the chunks; knows no type. `slot` is the same at every call and a constant for most callers.
struct Slots<S: Source> {
    /// Invariant `[free-slot]`: slots in the list, and those from `fresh` up to `end`, are nobody's; a slot is at most
    /// once in the list.
    free: Cell<*mut Link>,
    fresh: Cell<*mut u8>,
    end: Cell<*mut u8>,
    chunks: Chunks<S>,
}

impl<S: Source> Slots<S> {
    const fn over(source: S) -> Slots<S> {
        Slots {
            free: Cell::new(ptr::null_mut()),
            fresh: Cell::new(ptr::null_mut()),
            end: Cell::new(ptr::null_mut()),
            chunks: Chunks::new(source),
        }
    }

    #[inline(always)]
    fn pop(&self, slot: Layout) -> Result<NonNull<u8>, Error> {
        match NonNull::new(self.free.get()) {
            Some(link) => {
                // SAFETY: [free-slot] a slot in the list holds a link.
                self.free.set(unsafe { link.read().next });
                Ok(link.cast())
            }
            None => self.carve(slot),
        }
    }

    /// The next slot that was never used.
    #[inline]
    fn carve(&self, slot: Layout) -> Result<NonNull<u8>, Error> {
        let fresh = self.fresh.get();
        match NonNull::new(fresh) {
            Some(place) if self.end.get().addr() - fresh.addr() >= slot.size() => {
                self.fresh.set(fresh.wrapping_add(slot.size()));
                Ok(place)
            }
            _ => self.grow_slow(slot),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow_slow(&self, slot: Layout) -> Result<NonNull<u8>, Error> {
        let longer = self.chunks.newest().filter(|newest| self.chunks.extend(*newest, slot.size()).is_ok());
        match longer {
            Some(newest) => self.end.set(newest.end().as_ptr()),
            None => {
                let chunk = self.chunks.acquire(slot.size(), slot.align(), None)?;
                self.fresh.set(chunk.start().as_ptr());
                self.end.set(chunk.end().as_ptr());
            }
        }
        let place = self.fresh.get();
        self.fresh.set(place.wrapping_add(slot.size()));
        // SAFETY: [free-slot] the chunk has room for a slot at its fresh end.
        Ok(unsafe { NonNull::new_unchecked(place) })
    }

    /// # Safety
    ///
    /// The slot came from `pop` of this pool, and nobody uses it any more.
    #[inline(always)]
    unsafe fn push(&self, slot: NonNull<u8>) {
        let link = slot.cast::<Link>();
        // SAFETY: [free-slot] the slot is large and aligned enough for a link, and ours again.
        unsafe { link.write(Link { next: self.free.get() }) };
        self.free.set(link.as_ptr());
    }

    /// Whether an address is the start of a slot that was handed out at some time.
    fn is_slot(&self, address: usize, slot: Layout) -> bool {
        let mut found = false;
        self.chunks.each(|chunk| {
            let start = chunk.start().addr().get();
            // A rest that is too short for a slot is none.
            let whole = start + chunk.bytes() / slot.size() * slot.size();
            let end = if Some(chunk) == self.chunks.newest() { self.fresh.get().addr() } else { whole };
            found |= (start..end).contains(&address) && (address - start).is_multiple_of(slot.size());
        });
        found
    }

    /// Whether a slot is in the list; as long as the list.
    fn is_free(&self, address: usize) -> bool {
        let mut at = self.free.get();
        while let Some(link) = NonNull::new(at) {
            if link.addr().get() == address {
                return true;
            }
            // SAFETY: [free-slot] a slot in the list holds a link.
            at = unsafe { link.read().next };
        }
        false
    }

    fn stats(&self, slot: Layout) -> Stats {
        let (chunks, held_bytes) = self.chunks.census();
        let mut live = 0;
        self.chunks.each(|chunk| {
            let is_newest = Some(chunk) == self.chunks.newest();
            let end = if is_newest { self.fresh.get().addr() } else { chunk.end().addr().get() };
            live += (end - chunk.start().addr().get()) / slot.size();
        });
        let mut at = self.free.get();
        while let Some(link) = NonNull::new(at) {
            live -= 1;
            // SAFETY: [free-slot] a slot in the list holds a link.
            at = unsafe { link.read().next };
        }
        Stats { name: self.chunks.name(), live, live_bytes: live * slot.size(), held_bytes, chunks }
    }
}
