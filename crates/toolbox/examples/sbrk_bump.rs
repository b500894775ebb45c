//! The oldest allocator there is: take 4 KiB from the program break, hand it out by advancing a pointer.
//!
//! ```text
//!   … data │ 4 KiB │ 4 KiB │ 4 KiB │        each step of the break is one call of sbrk
//!            a b  c   d …   ^ pointer
//! ```
//!
//! Run it with `cargo run -p brkmap-toolbox --example sbrk_bump`, or under `strace -e brk` to see the steps.

use brkmap_toolbox::calls;

const STEP: usize = 4096;

/// What is left between the pointer and the break.
struct SbrkBump {
    pointer: *mut u8,
    end: *mut u8,
}

impl SbrkBump {
    /// `bytes` at a multiple of 16; none when the kernel refuses.
    fn allocate(&mut self, bytes: usize) -> Option<*mut u8> {
        let bytes = bytes.checked_next_multiple_of(16)?;
        while self.end.addr() - self.pointer.addr() < bytes {
            // SAFETY: this program has one thread, so nobody else moves the break at this moment.
            let fresh = unsafe { calls::sbrk(STEP as isize) }.ok()?.as_ptr();
            if fresh != self.end {
                // The first step, or somebody else (malloc!) moved the break in between: begin there.
                self.pointer = fresh;
            }
            self.end = fresh.wrapping_add(STEP);
        }
        let block = self.pointer;
        self.pointer = block.wrapping_add(bytes);
        Some(block)
    }
}

fn main() {
    let before = calls::program_break();
    let mut bump = SbrkBump { pointer: before, end: before };
    let mut last = std::ptr::null_mut();
    for number in 0..1000u64 {
        let block = bump.allocate(40).expect("40 KiB are to be had").cast::<u64>();
        assert!(block.is_aligned() && block > last);
        // SAFETY: 40 fresh bytes, and nobody else has them.
        unsafe { block.write(number) };
        last = block;
    }
    let moved = calls::program_break().addr() - before.addr();
    println!("1000 blocks of 40 bytes: the break moved by {moved} bytes, from {before:?}");
    assert!(moved >= 48_000 && moved.is_multiple_of(STEP));
    // SAFETY: the last block is live.
    assert_eq!(unsafe { last.read() }, 999);
}
