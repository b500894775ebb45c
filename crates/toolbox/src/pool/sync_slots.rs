//! Slots for many threads, of a layout that may be known only at run time: what `SyncPool` and `SyncBlockPool` have in common.
//!
//! ```text
//!   table 0  |value|link|value|link|…           64 slots
//!   table 1  |value|link|…                     128 slots; table n has 64 × 2^n, so a number says which table and place
//! ```
//!
//! Where the source has less than a whole table, the table is as long as that, and the other numbers stay unused.
//!
//! The link lies behind the value, not in it: a thread that lost the race for a slot may still read its link while the winner
//! already writes the value. A slot that is somebody's links to itself, which a slot in the list never does: so a block
//! knows its number, and a block that is given back twice can be told.

use crate::chunks::Chunks;
use crate::error::{Error, ErrorKind};
use crate::source::Source;
use crate::spin::SpinLock;
use crate::stats::Stats;
use crate::sync::{AtomicU64, Ordering};
use crate::tagged;
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32};

/// Slots of the first table; each further one has twice as many as the one before.
const FIRST: u32 = 64;
/// Tables at most: 2^32 - 64 slots in all.
const TABLES: usize = 26;

/// How a slot looks. The same at every call and a constant for most callers.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Of a whole slot; its size is a multiple of its alignment.
    slot: Layout,
    /// Bytes in front of the link.
    link: usize,
}

impl Shape {
    /// A slot for objects of a layout. Panics if that is within a few bytes of half the address space.
    pub(super) const fn of(object: Layout) -> Shape {
        let Ok((slot, link)) = object.extend(Layout::new::<AtomicU32>()) else {
            panic!("a slot, with its link, is at most isize::MAX bytes")
        };
        Shape { slot: slot.pad_to_align(), link }
    }

    pub(super) const fn bytes(self) -> usize {
        self.slot.size()
    }
}

pub(super) struct SyncSlots<S: Source> {
    /// Invariant `[tagged-head]`, see [`tagged`].
    head: AtomicU64,
    /// End of the newest table << 32 | first number in it that was never handed out.
    fresh: AtomicU64,
    tables: [AtomicPtr<u8>; TABLES],
    /// Used with the lock held.
    chunks: Chunks<S>,
    growth: SpinLock,
}

// SAFETY: [tagged-head] a slot has one owner at a time, and the chunks change with the lock held.
unsafe impl<S: Source + Send> Sync for SyncSlots<S> {}
// SAFETY: [exclusive-owner] the chunks belong to this value alone.
unsafe impl<S: Source + Send> Send for SyncSlots<S> {}

impl<S: Source> SyncSlots<S> {
    pub(super) const fn over(source: S) -> SyncSlots<S> {
        SyncSlots {
            head: AtomicU64::new(0),
            fresh: AtomicU64::new(0),
            tables: [const { AtomicPtr::new(ptr::null_mut()) }; TABLES],
            chunks: Chunks::new(source),
            growth: SpinLock::new(),
        }
    }

    pub(super) fn set_name(&mut self, name: &'static str) {
        self.chunks.set_name(name);
    }

    pub(super) fn source(&mut self) -> &S {
        self.chunks.source()
    }

    /// The table and the place in it of a slot.
    fn split(number: u32) -> (usize, usize) {
        let scaled = u64::from(number) + u64::from(FIRST);
        let table = scaled.ilog2() - FIRST.ilog2();
        (table as usize, (scaled - (u64::from(FIRST) << table)) as usize)
    }

    #[inline]
    fn slot(&self, shape: Shape, number: u32) -> NonNull<u8> {
        let (table, place) = Self::split(number);
        // Published before any number in it could be known; the number was read with acquire, or under the lock.
        let start = self.tables[table].load(Ordering::Acquire);
        // SAFETY: [tagged-head] the table has this many slots at least.
        unsafe { NonNull::new_unchecked(start.add(place * shape.bytes())) }
    }

    /// # Safety
    ///
    /// The slot came from here, with this shape, and the pool lives.
    #[inline]
    unsafe fn link<'a>(shape: Shape, slot: NonNull<u8>) -> &'a AtomicU32 {
        // SAFETY: [tagged-head] the link lies inside the slot, is aligned, was written by `take_fresh`, and is reached by
        // atomic accesses alone as long as the pool lives.
        unsafe { slot.add(shape.link).cast::<AtomicU32>().as_ref() }
    }

    /// A slot; what it holds is not defined.
    #[inline]
    pub(super) fn pop(&self, shape: Shape) -> Result<NonNull<u8>, Error> {
        let next_of = |number| {
            // SAFETY: [tagged-head] the head named this slot.
            Ok::<u32, Error>(unsafe { Self::link(shape, self.slot(shape, number)) }.load(Ordering::Relaxed))
        };
        match tagged::pop(&self.head, next_of)? {
            Some(number) => {
                let slot = self.slot(shape, number);
                // SAFETY: [tagged-head] the slot is ours alone.
                unsafe { Self::link(shape, slot) }.store(number + 1, Ordering::Relaxed);
                Ok(slot)
            }
            None => self.take_fresh(shape),
        }
    }

    #[inline(never)]
    fn take_fresh(&self, shape: Shape) -> Result<NonNull<u8>, Error> {
        let mut now = self.fresh.load(Ordering::Acquire);
        loop {
            let (end, fresh) = ((now >> 32) as u32, now as u32);
            if fresh >= end {
                self.grow(shape, now)?;
                now = self.fresh.load(Ordering::Acquire);
                continue;
            }
            match self.fresh.compare_exchange_weak(now, now + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let slot = self.slot(shape, fresh);
                    // SAFETY: [tagged-head] the slot is ours alone, for the first time; nobody has read its link.
                    unsafe { slot.add(shape.link).cast::<AtomicU32>().write(AtomicU32::new(fresh + 1)) };
                    return Ok(slot);
                }
                Err(other) => now = other,
            }
        }
    }

    /// Gets one more table, unless another thread did since `fresh` was `seen`: all slots had been handed out.
    #[cold]
    fn grow(&self, shape: Shape, seen: u64) -> Result<(), Error> {
        let _held = self.growth.lock();
        if self.fresh.load(Ordering::Relaxed) != seen {
            return Ok(());
        }
        let full = Error::new(ErrorKind::Exhausted, "a pool of threads", shape.bytes(), "use a second pool");
        let is_unused = |table: &&AtomicPtr<u8>| table.load(Ordering::Relaxed).is_null();
        let table = self.tables.iter().find(is_unused).ok_or(full)?;
        let number = self.tables.iter().take_while(|table| !is_unused(table)).count();
        let slots = FIRST << number;
        self.chunks.expect(shape.bytes().saturating_mul(slots as usize));
        let chunk = self.chunks.acquire(shape.bytes(), shape.slot.align(), None)?;
        let slots = (chunk.bytes() / shape.bytes()).min(slots as usize) as u32;
        let first = Self::first_of(number);
        table.store(chunk.start().as_ptr(), Ordering::Release);
        // Nobody takes a fresh slot while there is none, so nobody else changes this word.
        self.fresh.store(u64::from(first + slots) << 32 | u64::from(first), Ordering::Release);
        Ok(())
    }

    /// Number of the first slot in a table.
    const fn first_of(table: usize) -> u32 {
        FIRST * ((1 << table) - 1)
    }

    /// For each table: its first number, where it starts, and how many of its slots were handed out at some time; with the
    /// lock held.
    fn each_table(&self, shape: Shape, mut then: impl FnMut(u32, NonNull<u8>, u32)) {
        let (fresh, mut number) = (self.fresh.load(Ordering::Acquire) as u32, 0);
        // A table is a chunk, in the same order.
        self.chunks.each(|chunk| {
            let first = Self::first_of(number);
            let slots = (chunk.bytes() / shape.bytes()).min((FIRST << number) as usize) as u32;
            then(first, chunk.start(), slots.min(fresh - first));
            number += 1;
        });
    }

    /// # Safety
    ///
    /// The slot came from `pop` of this pool with this shape, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn push(&self, shape: Shape, slot: NonNull<u8>) {
        // SAFETY: [tagged-head] the caller's promise.
        let link = unsafe { Self::link(shape, slot) };
        let number = link.load(Ordering::Relaxed).wrapping_sub(1);
        debug_assert!(
            number < self.fresh.load(Ordering::Relaxed) as u32 && self.slot(shape, number) == slot,
            "{slot:?} is free already, or not from this pool"
        );
        // With release for `stats`, which follows links without popping.
        tagged::push(&self.head, number, |next| link.store(next, Ordering::Release));
    }

    /// Whether an address is the start of a slot that somebody has.
    ///
    /// # Safety
    ///
    /// No other thread uses the pool meanwhile: the link of a slot that is being taken for the first time is no value yet.
    pub(super) unsafe fn is_live(&self, shape: Shape, address: usize) -> bool {
        let _held = self.growth.lock();
        let mut is_live = false;
        self.each_table(shape, |first, start, slots| {
            let start = start.addr().get();
            if (start..start + slots as usize * shape.bytes()).contains(&address) {
                let number = first + ((address - start) / shape.bytes()) as u32;
                // SAFETY: [tagged-head] the slot was handed out at some time, so it has a link.
                let link = unsafe { Self::link(shape, self.slot(shape, number)) };
                is_live = (address - start).is_multiple_of(shape.bytes()) && link.load(Ordering::Relaxed) == number + 1;
            }
        });
        is_live
    }

    /// What it has in hand; exact while no other thread uses it, else about right.
    pub(super) fn stats(&self, shape: Shape) -> Stats {
        let _held = self.growth.lock();
        let (chunks, held_bytes) = self.chunks.census();
        let fresh = self.fresh.load(Ordering::Acquire) as u32;
        let mut all = 0;
        self.each_table(shape, |_, _, slots| all += slots);
        let (mut free, mut at) = (0, self.head.load(Ordering::Acquire) as u32);
        // Others may change the list while we walk it: never further than there are slots.
        while at != 0 && at <= fresh && free < all {
            free += 1;
            // SAFETY: [tagged-head] handed out at some time, so it has a link; its table is there, as the lock is held.
            at = unsafe { Self::link(shape, self.slot(shape, at - 1)) }.load(Ordering::Acquire);
        }
        let live = (all - free) as usize;
        Stats { name: self.chunks.name(), live, live_bytes: live * shape.bytes(), held_bytes, chunks }
    }
}
