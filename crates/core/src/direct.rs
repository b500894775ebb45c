//! Blocks with a mapping of their own.
//!
//! The block is the mapping: it starts where the mapping starts and has no header, so one `mmap` of the page-rounded size
//! makes it and one `munmap` ends it. *[one-start]* Every direct mapping is at least a slice long, so at most one starts
//! in a slice and the slice's meta can describe it; and no owned span shares a slice with it, as spans are whole slices.

use core::ptr::{NonNull, null_mut, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use brkmap_sys::{Kernel, Move, Purpose};
use brkmap_wire::{Counter, Rule};

use crate::alloc::Fill;
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::{SLICE, round_up, slice_of};
use crate::page::{PageMeta, owner};
use crate::policy;
use crate::request::Request;

impl<P: Platform> Engine<P> {
    /// Maps a block. Null: refused. Where it need not be zero, a mapping that was kept will do.
    pub(crate) fn allocate_direct(&self, request: Request, fill: Fill) -> *mut u8 {
        let Some(bytes) = self.direct_bytes(request.bytes) else { return null_mut() };
        if !self.has_room(bytes) {
            return null_mut();
        }
        if let Some(start) = self.take_kept(bytes, request.align, fill) {
            // Its leaf is there.
            self.register_direct(start.addr().get(), bytes, request.bytes);
            return start.as_ptr();
        }
        let Some((start, bytes)) = self.map_aligned(bytes, request.align) else {
            self.count(Counter::MapRefused, 1);
            return null_mut();
        };
        self.count(Counter::MapDirect, 1);
        self.count(Counter::MapDirectBytes, bytes as u64);
        if !self.register_direct(start.expose_provenance().get(), bytes, request.bytes) {
            // SAFETY: just mapped, nobody knows it.
            unsafe { self.kernel().unmap(start, bytes) };
            return null_mut();
        }
        start.as_ptr()
    }

    /// Bytes of the mapping for a request: whole OS pages, at least a slice ([one-start]).
    fn direct_bytes(&self, bytes: usize) -> Option<usize> {
        round_up(bytes.max(SLICE), self.os_page.load(Relaxed))
    }

    fn map_aligned(&self, bytes: usize, align: usize) -> Option<(NonNull<u8>, usize)> {
        let kernel = self.kernel();
        let os_page = self.os_page.load(Relaxed);
        if align <= os_page {
            return kernel.map(0, bytes, Purpose::Direct).map(|start| (start, bytes));
        }
        let padded = bytes.checked_add(align - os_page)?;
        let start = kernel.map(0, padded, Purpose::Direct)?;
        let lead = start.addr().get().next_multiple_of(align) - start.addr().get();
        // SAFETY: the parts in front of and behind the block belong to the mapping just made. A refusal loses untouched
        // address space, no memory.
        unsafe {
            let aligned = start.add(lead);
            if lead > 0 {
                kernel.unmap(start, lead);
            }
            if padded > lead + bytes {
                kernel.unmap(aligned.add(bytes), padded - lead - bytes);
            }
            Some((aligned, bytes))
        }
    }

    /// Makes a mapping known as a block. `false`: no memory for its leaf.
    fn register_direct(&self, start: usize, bytes: usize, requested: usize) -> bool {
        let slice = slice_of(start);
        if self.map.leaf(slice).is_none() && !self.with_spans(|spans| self.ensure_leaves(spans, slice, 1)) {
            return false;
        }
        let page = self.page(slice);
        page.set_span_bytes(bytes);
        page.set_requested(requested);
        page.start.store(start, Relaxed);
        self.set_direct_bit(start, true);
        page.owner.store(owner::DIRECT, Release);
        self.count(Counter::DirectLive, 1);
        self.count(Counter::DirectLiveBytes, bytes as u64);
        let peak = |peak: Counter, now: Counter| {
            self.counters[peak as usize].fetch_max(self.counter(now), Relaxed);
        };
        peak(Counter::DirectPeak, Counter::DirectLive);
        peak(Counter::DirectPeakBytes, Counter::DirectLiveBytes);
        true
    }

    /// Takes a block out of the map. `false`: somebody else did, or none starts there.
    fn unregister_direct(&self, page: &PageMeta, pointer: usize) -> bool {
        if page.start() != pointer || page.owner.compare_exchange(owner::DIRECT, owner::NONE, AcqRel, Relaxed).is_err()
        {
            return false;
        }
        self.set_direct_bit(pointer, false);
        self.uncount(Counter::DirectLive, 1);
        self.uncount(Counter::DirectLiveBytes, page.span_bytes() as u64);
        true
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn free_direct(&self, page: &PageMeta, pointer: *mut u8) {
        let (bytes, requested) = (page.span_bytes(), page.requested());
        if !self.unregister_direct(page, pointer.addr()) {
            return self.die(Misuse::InvalidFree, pointer.addr(), None);
        }
        self.move_threshold(requested, pointer.addr());
        if !self.keep_mapping(page, pointer.addr(), bytes, requested) {
            self.unmap_direct(pointer.addr(), bytes);
        }
    }

    /// Unmaps what was a block and is out of the map. `false`: the kernel refused, and its contents went back instead.
    pub(crate) fn unmap_direct(&self, start: usize, bytes: usize) -> bool {
        let Some(pointer) = NonNull::new(with_exposed_provenance_mut::<u8>(start)) else { return false };
        // SAFETY: the mapping was ours and the block is free.
        if unsafe { self.kernel().unmap(pointer, bytes) } {
            self.count(Counter::Unmap, 1);
            self.count(Counter::UnmapBytes, bytes as u64);
            return true;
        }
        // The limit of mappings: the address space is lost, the memory is not.
        self.purge(start, bytes, Rule::Unmappable);
        false
    }

    /// glibc's dynamic threshold: see `policy`. `requested` are the bytes of the freed block as the program had asked.
    fn move_threshold(&self, requested: usize, address: usize) {
        if self.tunables.fixed.load(Relaxed) != 0 {
            return;
        }
        let chunk = policy::chunk(requested, self.os_page.load(Relaxed));
        // Of two blocks that are freed at once both count, and the threshold never falls.
        let mut from = self.tunables.mmap_threshold.load(Relaxed);
        while let Some(moved) = policy::on_mapping_freed(chunk, from) {
            match self.tunables.mmap_threshold.compare_exchange(from, moved.mmap, Relaxed, Relaxed) {
                Ok(_) => {
                    self.tunables.trim_threshold.fetch_max(moved.trim, Relaxed);
                    return self.note_move(requested, from, moved.mmap, address);
                }
                Err(now) => from = now,
            }
        }
    }

    /// Grows or shrinks a mapped block with `mremap`. Null: the block is as it was.
    pub(crate) fn remap_direct(&self, page: &PageMeta, pointer: *mut u8, bytes: usize, may: Move) -> *mut u8 {
        let old = page.span_bytes();
        let requested = page.requested();
        let Some(new) = self.direct_bytes(bytes) else { return null_mut() };
        if new == old {
            page.set_requested(bytes);
            return pointer;
        }
        if new > old && !self.has_room(new - old) {
            return null_mut();
        }
        if new > old && self.counter(Counter::KeptLiveBytes) != 0 {
            self.with_spans(|spans| self.yield_kept(spans, new));
        }
        let Some(start) = NonNull::new(pointer) else { return null_mut() };
        // The block may land where no leaf is, and then it must not be the leaf that memory is missing for.
        if may == Move::Allowed && !self.with_spans(|spans| self.ensure_spare_leaf(spans)) {
            return null_mut();
        }
        // Out of the map first: once the kernel has moved the block, another thread may get the old addresses.
        if !self.unregister_direct(page, pointer.addr()) {
            self.die(Misuse::InvalidFree, pointer.addr(), None);
            return null_mut();
        }
        // SAFETY: the mapping is ours; the caller gives the old address up.
        let moved = unsafe { self.kernel().remap(start, old, new, may) };
        let Some(moved) = moved else {
            self.register_direct(pointer.addr(), old, requested);
            return null_mut();
        };
        self.count(Counter::Remap, 1);
        self.count(Counter::RemapBytes, new.abs_diff(old) as u64);
        let address = moved.expose_provenance().get();
        if self.register_direct(address, new, bytes) {
            return moved.as_ptr();
        }
        // Not reached while the spare leaf is there; the block is lost to the map, so better to stop than to go on.
        self.die(Misuse::InvalidFree, address, Some(bytes));
        null_mut()
    }
}
