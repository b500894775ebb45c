//! The program break as a source.
//!
//! **What.** Behind a program's data lies a range that only its end moves: the *program break*. `sbrk` moves it up by a
//! step, and the bytes in between are fresh and zero. It is the oldest way to get memory, and malloc's first choice for
//! small blocks.
//!
//! **When.** Many small blocks that grow together and should lie dense: one range, no mapping per chunk, few page tables.
//! Programs with one thread, programs whose malloc leaves the break alone, and everybody who wants to see how it works.
//!
//! **When not.** Blocks that come and go in any order: only the top goes back. Programs in which another thread may call
//! `malloc` (most): libc's `sbrk` is not atomic, so two threads can be handed the same bytes. That is why
//! [`ProgramBreak::new`] is unsafe.
//!
//! | operation | cost |
//! |---|---|
//! | acquire | two system calls (`brk` to ask, `brk` to move), about 0.3 µs, and a page fault per OS page at first touch |
//! | extend | the same, if the chunk is the last below the break |
//! | release | the same, if the chunk is the last below the break; else nothing comes back |
//!
//! ```text
//!    data │ heap: |chunk|foreign|chunk|  last chunk  |                      … mappings … stack
//!                                                    ^ program break ──► grows by the step
//! ```
//!
//! **The break is not ours alone.** libc's malloc and other libraries move it too. So nothing here remembers where it
//! should be: each call asks the kernel first. What somebody else put between two chunks is skipped, never touched and
//! never trimmed; a chunk is given back or extended only while it is the last thing below the break. When the kernel
//! refuses, or libc and the kernel disagree about the place, the call fails and nothing has changed;
//! [`OrElse`](super::OrElse) then falls back on mappings.
//!
//! **Limits.** `ulimit -d`; a mapping in the way (a break heap may grow until the next mapping); chunks in the middle stay.

use super::Source;
use crate::calls;
use crate::error::{Error, ErrorKind};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// The program break.
///
/// Not `Send` and not `Sync`: the promise of [`new`](ProgramBreak::new) was given for this thread.
///
/// ```standalone_crate
/// use brkmap_toolbox::{Bump, source::ProgramBreak};
/// // SAFETY: this program has one thread.
/// let source = unsafe { ProgramBreak::new() }.step(4096);
/// let bump = Bump::over(source);
/// let before = brkmap_toolbox::calls::program_break();
/// let word = bump.alloc(42u64);
/// assert!((word as *mut u64).addr() < brkmap_toolbox::calls::program_break().addr());
/// drop(bump);
/// assert!(brkmap_toolbox::calls::program_break() <= before.wrapping_add(1 << 16), "the top went back");
/// ```
#[derive(Debug)]
pub struct ProgramBreak {
    step: usize,
    this_thread: PhantomData<*mut ()>,
}

impl ProgramBreak {
    /// The break of this process, with a step of 64 KiB.
    ///
    /// # Safety
    ///
    /// While a method of this value, or of an allocator over it, runs, no other thread moves the break: not by `sbrk`, not
    /// by another `ProgramBreak`, and not by a malloc that uses the break. A process with one thread keeps this. Moves
    /// by others *between* these calls are respected.
    pub const unsafe fn new() -> ProgramBreak {
        ProgramBreak { step: 64 << 10, this_thread: PhantomData }
    }

    /// Sets the step: the break moves by multiples of it. 4096 is allowed; 0 means "exactly what is needed".
    pub const fn step(mut self, bytes: usize) -> ProgramBreak {
        self.step = bytes;
        self
    }

    fn in_steps(&self, call: &'static str, bytes: usize) -> Result<isize, Error> {
        let stepped = bytes.checked_next_multiple_of(self.step.max(1)).and_then(|bytes| isize::try_from(bytes).ok());
        stepped.ok_or(Error::new(ErrorKind::BadRequest, call, bytes, "ask for less"))
    }

    /// Moves the break up from `from`, where it must be now.
    fn grow(&self, from: NonNull<u8>, increment: isize) -> Result<NonNull<u8>, Error> {
        // SAFETY: [break-alone] the promise given to `new`.
        let before = unsafe { calls::sbrk(increment)? };
        let now = calls::program_break().addr();
        if before == from && now == from.addr().get() + increment.unsigned_abs() {
            return Ok(before);
        }
        // libc believed in another place than the kernel: what it did is unknown, so nothing of it is used.
        Err(Error::new(
            ErrorKind::BreakNotOurs,
            "sbrk",
            increment.unsigned_abs(),
            "somebody moved the break by the bare system call; use AnonymousMap, or OrElse to fall back on it",
        ))
    }

    fn now(&self) -> Result<NonNull<u8>, Error> {
        let no_break =
            Error::new(ErrorKind::BreakNotOurs, "brk", 0, "this process has no data segment; use AnonymousMap");
        NonNull::new(calls::program_break()).ok_or(no_break)
    }
}

// SAFETY: [source-contract] memory between two places of the break, moved by us alone at that moment, was nobody's; it
// stays until the break moves below it, which only `release` of the last chunk does.
unsafe impl Source for ProgramBreak {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let now = self.now()?;
        let pad = now.addr().get().wrapping_neg() & (layout.align() - 1);
        let needed = layout.size().saturating_add(pad);
        let increment = self.in_steps("sbrk", needed)?;
        let from = self.grow(now, increment)?;
        // SAFETY: [break-alone] `pad` bytes are within what was just added.
        let start = unsafe { from.add(pad) };
        Ok(NonNull::slice_from_raw_parts(start, increment.unsigned_abs() - pad))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        let end = start.addr().get() + layout.size();
        if calls::program_break().addr() == end
            && let Ok(bytes) = isize::try_from(layout.size())
        {
            // A refusal leaves the memory where it is: lost, but not wrong.
            // SAFETY: [break-alone] the chunk is the caller's and the last thing below the break.
            let _ = unsafe { calls::sbrk(-bytes) };
        }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        let now = self.now()?;
        if now.addr().get() != start.addr().get() + layout.size() {
            let remedy = "somebody else is above this chunk; acquire another one";
            return Err(Error::new(ErrorKind::BreakNotOurs, "sbrk", bytes, remedy));
        }
        let increment = self.in_steps("sbrk", bytes.saturating_sub(layout.size()))?;
        self.grow(now, increment)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size() + increment.unsigned_abs()))
    }
}
