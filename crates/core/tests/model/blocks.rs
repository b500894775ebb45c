//! What the program does with blocks: it asks, fills, looks, resizes and frees; each answer is compared.

use std::sync::atomic::Ordering::Relaxed;

use brkmap_core::{Request, classes};
use brkmap_sys::sim::Call;

use crate::driver::Driver;
use crate::shadow::{Block, Face, verify_zero};

impl Driver {
    pub(crate) fn bytes(&mut self) -> usize {
        match self.random.below(1000) {
            0..=549 => self.random.below(257) as usize,
            550..=749 => self.random.log_uniform(13),
            750..=899 => self.random.log_uniform(16),
            900..=984 => self.random.log_uniform(18),
            985..=998 => self.random.log_uniform(21),
            _ => self.random.log_uniform(26),
        }
    }

    pub(crate) fn allocate(&mut self) {
        let bytes = self.bytes();
        let shift = self.random.log_uniform(4);
        match self.random.below(20) {
            0..=10 => {
                let block = self.engine.allocate(bytes);
                self.admit(block, bytes, 16, Face::C);
            }
            11 | 12 => {
                let count = self.random.below(8) as usize + 1;
                let block = self.engine.allocate_zeroed(count, bytes.div_ceil(count));
                self.admit_zero(block, bytes.div_ceil(count) * count, 16, Face::C);
            }
            13..=15 => self.allocate_layout(bytes, 1 << shift.min(6)),
            16 => {
                let align = 16 << self.random.below(12);
                let request = Request::aligned(align, bytes).expect("a sensible request");
                let block = self.engine.allocate_aligned_zeroed(request);
                self.admit_zero(block, bytes, align, Face::C);
            }
            _ => {
                // Most alignments are small; 1 GiB is the largest that is served.
                let widest = if self.random.one_in(200) { 31 } else { 14 };
                let align = 1usize << self.random.below(widest);
                let bytes = if align > 1 << 20 { bytes.min(1 << 20) } else { bytes };
                let request = Request::memalign(align, bytes).expect("a sensible request");
                let before = self.sim.refused(Call::Map);
                let block = self.engine.allocate_aligned(request);
                if block.is_null() && align > 1 << 20 && self.sim.refused(Call::Map) > before {
                    // Scattered mappings leave no room for that.
                    self.stage().refusals.store(0, Relaxed);
                    return;
                }
                self.admit(block, bytes, align, Face::C);
            }
        }
    }

    /// As the Rust face does it (`GlobalAlloc`).
    pub(crate) fn allocate_layout(&mut self, bytes: usize, align: usize) {
        let class = small_class(bytes, align);
        let request = Request::aligned(align, bytes).expect("a sensible request");
        if self.random.one_in(4) {
            let block = self.engine.allocate_layout_zeroed(request, class);
            return self.admit_zero(block, bytes, align, Face::Rust);
        }
        let block = match class {
            // SAFETY: [class-range] the classes of small layouts
            Some(class) => unsafe { self.engine.allocate_class(class, bytes) },
            None => self.engine.allocate_aligned(request),
        };
        self.admit(block, bytes, align, Face::Rust);
    }

    pub(crate) fn admit_zero(&mut self, block: *mut u8, bytes: usize, align: usize, face: Face) {
        if !block.is_null() {
            verify_zero(block.addr(), bytes);
        }
        self.admit(block, bytes, align, face);
    }

    /// A request was answered.
    pub(crate) fn admit(&mut self, block: *mut u8, bytes: usize, align: usize, face: Face) {
        if block.is_null() {
            return self.note_refusal(bytes);
        }
        let start = block.addr();
        assert!(start.is_multiple_of(align), "{bytes} bytes aligned to {align} are at {start:#x}");
        let usable = self.engine.usable_size(block);
        assert!(usable >= bytes, "{usable} usable of {bytes} at {start:#x}");
        let filled = if self.random.one_in(4) { usable } else { bytes };
        self.next_mark = self.next_mark.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(99);
        let block = Block { start, bytes, align, filled, usable, mark: self.next_mark, face };
        self.say(format_args!("new {block:x?}"));
        self.touched = start;
        self.shadow.insert(block, &self.sim);
        block.fill();
        self.tally.allocated += 1;
    }

    pub(crate) fn note_refusal(&mut self, bytes: usize) {
        assert!(
            self.plan.may_refuse,
            "null for {bytes} bytes, and nothing was to be refused; refused so far {:?}, mapped {:#x}, break {:x?}",
            crate::CALLS.map(|call| self.sim.refused(call)),
            self.sim.mapped_bytes(),
            self.sim.break_range(),
        );
        let told = self.stage().refusals.swap(0, Relaxed);
        assert!(told > 0, "null for {bytes} bytes without a word (errno)");
        self.tally.refused += 1;
    }

    /// libc allocated entries for threads that have just begun.
    pub(crate) fn note_registered(&mut self) {
        for (slot, start) in self.stage().take_registered() {
            assert_eq!(slot, self.slot, "a registration in another thread's name");
            verify_zero(start, 56);
            self.admit(start as *mut u8, 56, 16, Face::Libc);
        }
    }

    pub(crate) fn hostile(&mut self) {
        let far =
            [isize::MAX as usize - 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX - 4096, usize::MAX];
        let bytes = far[self.random.below(5) as usize];
        assert!(self.engine.allocate(bytes).is_null());
        assert!(self.engine.allocate_zeroed(bytes, 3).is_null());
        if self.shadow.len() > 0 {
            let block = self.pick();
            if let Ok(request) = Request::plain(bytes) {
                // SAFETY: a live block; refused, so it stays
                assert!(unsafe { self.engine.reallocate(block.start as *mut u8, request) }.is_null());
            }
            block.verify("after a hostile realloc");
        }
        self.stage().refusals.store(0, Relaxed);
    }

    // What happens to blocks.

    pub(crate) fn pick(&mut self) -> Block {
        let count = self.shadow.len() as u64;
        // Half of the time one of the newest, as programs do.
        let number =
            if self.random.one_in(2) { count - 1 - self.random.below(count.min(16)) } else { self.random.below(count) };
        self.shadow.nth(number as usize)
    }

    pub(crate) fn free_one(&mut self) {
        if self.shadow.len() == 0 {
            return;
        }
        let block = self.pick();
        if block.face == Face::Libc {
            return block.verify("an entry of libc");
        }
        self.free(block);
    }

    pub(crate) fn free(&mut self, block: Block) {
        self.say(format_args!("free {block:x?}"));
        block.verify("at free");
        self.shadow.remove(block.start);
        self.touched = block.start;
        let pointer = block.start as *mut u8;
        // SAFETY: a live block, taken out of the shadow
        unsafe {
            match (block.face, self.random.below(3)) {
                (Face::Rust, _) => match small_class(block.bytes, block.align) {
                    Some(class) => self.engine.free_of_class(pointer, class, block.bytes),
                    None => self.engine.free_checked(pointer, block.bytes, block.align),
                },
                (Face::C, 0) => self.engine.free_checked(pointer, block.bytes, block.align),
                _ => self.engine.free(pointer),
            }
        }
    }

    pub(crate) fn reallocate(&mut self) {
        if self.shadow.len() == 0 {
            return;
        }
        let block = self.pick();
        if block.face == Face::Libc {
            return;
        }
        block.verify("before realloc");
        let bytes = match self.random.below(4) {
            0 => block.bytes + self.random.below(64) as usize,
            1 => block.bytes + block.bytes / 2,
            2 => block.bytes / (self.random.below(4) as usize + 1),
            _ => self.bytes(),
        };
        let align = if block.face == Face::Rust { block.align } else { 16 };
        let request = Request::aligned(align, bytes).expect("a sensible request");
        self.say(format_args!("realloc {block:x?} to {bytes:#x}"));
        // SAFETY: a live block; where the result is not null only that is used
        let moved = unsafe { self.engine.reallocate(block.start as *mut u8, request) };
        if moved.is_null() {
            block.verify("after a refused realloc");
            return self.note_refusal(bytes);
        }
        block.verify_at(moved.addr(), block.filled.min(block.bytes).min(bytes), "after realloc");
        if moved.addr() == block.start {
            self.tally.grown_in_place += u64::from(bytes > block.bytes);
        } else {
            self.tally.moved += 1;
        }
        self.shadow.remove(block.start);
        self.admit(moved, bytes, align, block.face);
    }

    pub(crate) fn look(&mut self) {
        if self.shadow.len() > 0 {
            let block = self.pick();
            block.verify("at a look");
            assert_eq!(self.engine.usable_size(block.start as *mut u8), block.usable);
        }
    }
}

/// The class that the Rust face picks for a layout.
fn small_class(bytes: usize, align: usize) -> Option<usize> {
    match align {
        1..=8 if bytes <= classes::SMALL_MAX => Some(classes::of_fine(bytes)),
        16 if bytes <= classes::SMALL_MAX => Some(classes::of_small(bytes)),
        _ => None,
    }
}
