//! realloc: in place while it fits and is not wasteful, by `mremap` for mapped blocks, else by a copy.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use brkmap_sys::Move;
use brkmap_wire::Counter;

use crate::alloc::Fill;
use crate::classes::MEDIUM_MAX;
use crate::engine::{Engine, Platform};
use crate::fatal::Misuse;
use crate::geometry::{RUN_SLICES_MAX, SLICE};
use crate::page::{PageMeta, owner};
use crate::request::Request;

impl<P: Platform> Engine<P> {
    /// `realloc` of a block that exists to a size that is not 0 for C. Null: no memory, and the block is as it was.
    ///
    /// # Safety
    /// `pointer` is a live block of this engine; if the result is not null, only the result may be used afterwards.
    #[inline]
    pub unsafe fn reallocate(&self, pointer: *mut u8, request: Request) -> *mut u8 {
        match self.own_small_block(pointer) {
            Some(usable) if pointer.addr() & (request.align - 1) == 0 && Self::keeps(usable, request.bytes) => pointer,
            // SAFETY: passed on.
            _ => unsafe { self.reallocate_slow(pointer, request) },
        }
    }

    #[inline(never)]
    unsafe fn reallocate_slow(&self, pointer: *mut u8, request: Request) -> *mut u8 {
        let bytes = request.bytes;
        let Some((page, usable)) = self.block_at(pointer) else {
            self.die(Misuse::InvalidFree, pointer.addr(), None);
            return null_mut();
        };
        let aligned = pointer.addr() & (request.align - 1) == 0;
        match page.owner.load(Acquire) {
            owner::DIRECT if bytes >= SLICE && aligned => {
                let may = if request.align <= self.os_page() { Move::Allowed } else { Move::Forbidden };
                let moved = self.remap_direct(page, pointer, bytes, may);
                if !moved.is_null() {
                    return moved;
                }
                if bytes <= usable {
                    page.set_requested(bytes);
                    return pointer;
                }
            }
            owner::RUN if bytes > MEDIUM_MAX && aligned && self.resize_run(page, bytes) => return pointer,
            owner::RUN | owner::DIRECT => {}
            _ if aligned && Self::keeps(usable, bytes) => return pointer,
            _ => {}
        }
        // SAFETY: passed on.
        unsafe { self.reallocate_by_copy(pointer, usable, request) }
    }

    /// Does `realloc` to `bytes` leave a block of a class where it is? While at least half of it stays in use: programs
    /// shrink a little and grow again.
    pub(crate) fn keeps(usable: usize, bytes: usize) -> bool {
        bytes <= usable && (bytes >= usable / 2 || usable <= 64)
    }

    unsafe fn reallocate_by_copy(&self, pointer: *mut u8, usable: usize, request: Request) -> *mut u8 {
        // A shrink that finds no memory keeps the block; only then errno may have been set, which success may do.
        let block = self.allocate_request(request, Fill::Any);
        if block.is_null() {
            // A shrink never fails: the block is large enough.
            let keep = request.bytes <= usable && pointer.addr() & (request.align - 1) == 0;
            if !keep {
                return null_mut();
            }
            if let Some((page, _)) = self.block_at(pointer) {
                if owner::is_tag(page.owner.load(Acquire)) {
                    page.set_requested(request.bytes);
                } else {
                    self.kept_oversize.store(1, Relaxed);
                }
            }
            return pointer;
        }
        // SAFETY: both blocks hold the smaller size, and they are different blocks; the old one is given up.
        unsafe {
            block.copy_from_nonoverlapping(pointer, usable.min(request.bytes));
            self.free(pointer);
        }
        block
    }

    /// Grows or shrinks a run in place.
    fn resize_run(&self, page: &PageMeta, bytes: usize) -> bool {
        let (first, have) = (page.first_slice(), page.span_bytes() / SLICE);
        let want = (bytes + page.shift()).div_ceil(SLICE);
        if want > RUN_SLICES_MAX {
            return false;
        }
        self.with_spans(|spans| {
            if want > have && self.extend_span(spans, first + have as u32, want - have).is_none() {
                return false;
            }
            // Before the tail can be somebody else's; and inside the lock, so that the child of a fork sees both or none.
            page.set_span_bytes(want * SLICE);
            page.set_requested(bytes);
            if want < have {
                self.return_span(spans, first + want as u32, have - want);
            }
            self.tally(Counter::RunLiveBytes, (want as isize - have as isize) * SLICE as isize);
            true
        })
    }
}
