//! From an address to the page that holds it: total over all 64-bit values, one dependent load.
//!
//! A root table in `.bss` has an entry per 256 MiB of address space; its leaves hold the page metas themselves, not
//! pointers to them. An address of a foreign mapping, a wild value, a kernel address: the answer is "none" or a meta
//! whose owner is NONE, never a fault. No range of the address space is reserved, so the map works under a small
//! `RLIMIT_AS`, and the break and mappings look alike to it.
//!
//! *[leaf-stays]* A leaf, once linked, is never unmapped nor moved: references to metas live as long as the engine.

use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use brkmap_sys::opaque;

use crate::geometry::{ADDRESS_BITS, LEAF_SHIFT, LEAF_SLICES, ROOT_ENTRIES, SLICE_SHIFT};
use crate::page::PageMeta;

/// Words of a bitmap with one bit per slice of a leaf.
pub(crate) const WORDS: usize = LEAF_SLICES / 64;

/// One bit per slice of a leaf. Written under the span store's lock, but for `direct`.
#[repr(transparent)]
pub(crate) struct Bitmap([AtomicU64; WORDS]);

impl Bitmap {
    /// The 64 bits from slice `64 * word` on.
    #[inline]
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.0[word].load(Relaxed)
    }

    pub(crate) fn get(&self, index: usize) -> bool {
        self.word(index / 64) >> (index % 64) & 1 != 0
    }

    /// Sets one bit, from any thread.
    pub(crate) fn set_shared(&self, index: usize) {
        self.0[index / 64].fetch_or(1 << (index % 64), Relaxed);
    }

    /// Clears one bit, from any thread.
    pub(crate) fn clear_shared(&self, index: usize) {
        self.0[index / 64].fetch_and(!(1 << (index % 64)), Relaxed);
    }

    /// Sets or clears `count` bits from `first` on; returns how many changed.
    pub(crate) fn fill(&self, first: usize, count: usize, to: bool) -> usize {
        let mut changed = 0;
        self.each_mask(first, count, |word, mask| {
            let old = self.word(word);
            let new = if to { old | mask } else { old & !mask };
            changed += (old ^ new).count_ones() as usize;
            self.0[word].store(new, Relaxed);
        });
        changed
    }

    /// How many of the bits are set.
    pub(crate) fn count(&self, first: usize, count: usize) -> usize {
        let mut set = 0;
        self.each_mask(first, count, |word, mask| set += (self.word(word) & mask).count_ones() as usize);
        set
    }

    /// The highest index below `end` whose bit is `wanted`.
    pub(crate) fn last_below(&self, end: usize, wanted: bool) -> Option<usize> {
        (0..end.div_ceil(64)).rev().find_map(|word| {
            let bits = if wanted { self.word(word) } else { !self.word(word) };
            let mask = if end < (word + 1) * 64 { (1 << (end % 64)) - 1 } else { u64::MAX };
            (bits & mask != 0).then(|| word * 64 + 63 - (bits & mask).leading_zeros() as usize)
        })
    }

    fn each_mask(&self, first: usize, count: usize, mut act: impl FnMut(usize, u64)) {
        let (mut at, end) = (first, first + count);
        while at < end {
            let bits = (64 - at % 64).min(end - at);
            let mask = if bits == 64 { u64::MAX } else { ((1 << bits) - 1) << (at % 64) };
            act(at / 64, mask);
            at += bits;
        }
    }
}

/// The metas and bitmaps of 256 MiB of address space. Fresh from the kernel: all zero.
#[repr(C, align(64))]
pub(crate) struct Leaf {
    pub(crate) metas: [PageMeta; LEAF_SLICES],
    pub(crate) first_slice: AtomicU64,
    pub(crate) next: AtomicPtr<Leaf>,
    /// Number of set bits in `free`.
    pub(crate) free_slices: AtomicU32,
    /// Number of set bits in `dirty`.
    pub(crate) dirty_slices: AtomicU32,
    /// Slices that belong to the engine's spans.
    pub(crate) owned: Bitmap,
    /// Owned slices that nothing uses.
    pub(crate) free: Bitmap,
    /// Free slices that may be resident and not zero.
    pub(crate) dirty: Bitmap,
    /// Owned slices on the program break.
    pub(crate) on_break: Bitmap,
    /// Slices in which a direct mapping starts.
    pub(crate) direct: Bitmap,
    /// The heap that owns the page of blocks that starts in a slice; 0: none does. *[owner-copy]* It lies apart from the meta, whose
    /// line the owner writes at each call, because all threads read it at each `free`.
    pub(crate) owners: [AtomicUsize; LEAF_SLICES],
}

/// A slice of a leaf, by the offset of its word in an array of words: all else is a multiple of that, which processors make on
/// the way to memory.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    leaf: &'a Leaf,
    offset: usize,
}

impl<'a> Place<'a> {
    /// Is this the heap that owns the page of blocks that starts here? In one instruction, and a jump where it is not.
    #[inline(always)]
    pub(crate) fn is_owned_by(self, word: usize) -> bool {
        // SAFETY: [record-field] the offset is that of words, one for each index of a leaf.
        unsafe { brkmap_sys::word_is::<{ offset_of!(Leaf, owners) }, _>(&raw const *self.leaf, self.offset, word) }
    }

    /// The heap that owns the page of blocks that starts here; 0: none does.
    #[inline(always)]
    pub(crate) fn owner(self) -> usize {
        self.owner_word().load(Relaxed)
    }

    /// Notes whose the page is that starts here.
    pub(crate) fn set_owner(self, word: usize) {
        self.owner_word().store(word, Release);
    }

    #[inline(always)]
    fn owner_word(self) -> &'a AtomicUsize {
        // SAFETY: [leaf-stays] the index is below LEAF_SLICES.
        unsafe { &*(&raw const self.leaf.owners).byte_add(self.offset).cast() }
    }

    #[inline(always)]
    pub(crate) fn meta(self) -> &'a PageMeta {
        // SAFETY: [leaf-stays] the index is below LEAF_SLICES.
        unsafe { &*(&raw const self.leaf.metas).byte_add(8 * self.offset).cast() }
    }
}

const _: () = assert!(size_of::<PageMeta>() == 8 * size_of::<AtomicUsize>());

impl Leaf {
    /// Corrects the number of free slices. Under the store's lock.
    pub(crate) fn change_free(&self, by: i32) {
        self.free_slices.store(self.free_slices.load(Relaxed).wrapping_add_signed(by), Relaxed);
    }

    /// Corrects the number of dirty slices. Under the store's lock.
    pub(crate) fn change_dirty(&self, by: i32) {
        self.dirty_slices.store(self.dirty_slices.load(Relaxed).wrapping_add_signed(by), Relaxed);
    }

    pub(crate) fn first_slice(&self) -> u32 {
        self.first_slice.load(Relaxed) as u32
    }
}

/// The root table. All zero: an empty map.
pub(crate) struct PageMap {
    root: [AtomicPtr<Leaf>; ROOT_ENTRIES],
    head: AtomicPtr<Leaf>,
}

impl PageMap {
    pub(crate) const fn new() -> Self {
        PageMap { root: [const { AtomicPtr::new(null_mut()) }; ROOT_ENTRIES], head: AtomicPtr::new(null_mut()) }
    }

    /// The meta of the slice that holds `address`, if its leaf exists.
    #[inline(always)]
    pub(crate) fn meta(&self, address: usize) -> Option<&PageMeta> {
        Some(self.place(address)?.meta())
    }

    /// The slice that holds `address`, if its leaf exists.
    #[inline(always)]
    pub(crate) fn place(&self, address: usize) -> Option<Place<'_>> {
        // Or the compiler shifts the address a second time for the compare.
        let entry = opaque(address >> LEAF_SHIFT);
        if entry >= ROOT_ENTRIES {
            return None;
        }
        let leaf = self.root[entry].load(Relaxed);
        if leaf.is_null() {
            return None;
        }
        let offset = opaque((address >> (SLICE_SHIFT - 3)) & (LEAF_SLICES - 1) << 3);
        // SAFETY: [leaf-stays] a linked leaf is mapped for good; the index is below LEAF_SLICES. The load may be relaxed:
        // whoever got a block of a page got it after the leaf was linked, and a fresh leaf's memory is zero from the
        // kernel for everybody.
        Some(Place { leaf: unsafe { &*leaf }, offset })
    }

    /// The leaf that covers a slice.
    #[inline]
    pub(crate) fn leaf(&self, slice: u32) -> Option<&Leaf> {
        let entry = slice as usize / LEAF_SLICES;
        if entry >= ROOT_ENTRIES {
            return None;
        }
        // SAFETY: [leaf-stays].
        unsafe { self.root[entry].load(Acquire).as_ref() }
    }

    /// Links a fresh leaf for the part of the address space that holds `slice`. Under the store's lock.
    ///
    /// # Safety
    /// `leaf` points at `size_of::<Leaf>()` bytes of zeros that stay mapped for good, and the part has no leaf yet.
    pub(crate) unsafe fn link(&self, slice: u32, leaf: NonNull<Leaf>) {
        let entry = slice as usize / LEAF_SLICES;
        // SAFETY: [leaf-stays] promised by the caller.
        let fresh = unsafe { leaf.as_ref() };
        fresh.first_slice.store((entry * LEAF_SLICES) as u64, Relaxed);
        fresh.next.store(self.head.load(Relaxed), Relaxed);
        self.head.store(leaf.as_ptr(), Release);
        self.root[entry].store(leaf.as_ptr(), Release);
    }

    /// All leaves, the newest first.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        // SAFETY: [leaf-stays] for each.
        let mut next = unsafe { self.head.load(Acquire).as_ref() };
        core::iter::from_fn(move || {
            let leaf = next?;
            // SAFETY: [leaf-stays].
            next = unsafe { leaf.next.load(Acquire).as_ref() };
            Some(leaf)
        })
    }

    /// The leaf that was linked before this one.
    pub(crate) fn leaf_behind(&self, leaf: &Leaf) -> Option<&Leaf> {
        // SAFETY: [leaf-stays].
        unsafe { leaf.next.load(Acquire).as_ref() }
    }

    /// Where an inspector finds the address of the first leaf.
    pub(crate) fn head_address(&self) -> usize {
        (&raw const self.head).addr()
    }
}

const _: () = assert!(ROOT_ENTRIES << LEAF_SHIFT == 1 << ADDRESS_BITS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bit_below_is_found() {
        let bits = Bitmap([const { AtomicU64::new(0) }; WORDS]);
        assert_eq!((bits.last_below(4096, true), bits.last_below(4096, false)), (None, Some(4095)));
        bits.fill(60, 70, true);
        let last = |end| (bits.last_below(end, true), bits.last_below(end, false));
        assert_eq!(last(4096), (Some(129), Some(4095)));
        assert_eq!(last(130), (Some(129), Some(59)));
        assert_eq!(last(128), (Some(127), Some(59)));
        assert_eq!(last(64), (Some(63), Some(59)));
        assert_eq!(last(61), (Some(60), Some(59)));
        assert_eq!(last(60), (None, Some(59)));
        assert_eq!(last(0), (None, None));
        bits.fill(0, 60, true);
        assert_eq!(last(130), (Some(129), None));
    }
}
