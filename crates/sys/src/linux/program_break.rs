//! The program break.
//!
//! The kernel never reports an errno for `brk`: it answers where the break is afterwards, so success is *result equals
//! request* and nothing else. A sandbox may still answer `-EPERM`, which libc takes for a very high break. Hence the rule:
//! ask the kernel before, and afterwards what it answered, and believe only that.

use super::syscall::{self, number as nr};

/// The break as the kernel has it. `None`: the call is refused.
pub(super) fn now() -> Option<usize> {
    // SAFETY: [no-memory-effect] a break of 0 is refused by the kernel, which then reports the present one
    let answer = unsafe { syscall::call1(nr::BRK, 0) };
    if answer == 0 || syscall::refused(answer) { None } else { Some(answer) }
}

/// Moves the break by `delta` from where [`now`] said it is; see [`Kernel::move_break`](crate::Kernel::move_break). A call that
/// the kernel refuses must not reach libc, which would store the error as the new break: who asks `now` first has seen that
/// it answers.
///
/// # Safety
/// A shrink drops only memory of the caller, and the caller serialises its own calls.
pub(super) unsafe fn shift(before: usize, delta: isize) -> Option<usize> {
    let target = before.checked_add_signed(delta)?;
    // SAFETY: [caller-owns-range] the caller's promise
    unsafe { request(before, target, delta) }
}

/// glibc keeps the break in a variable of its own (`__curbrk`), from which the program's `sbrk` counts: a raw `brk` behind
/// its back would let that `sbrk` cut our memory off. So glibc moves it.
#[cfg(target_env = "gnu")]
unsafe fn request(before: usize, _target: usize, delta: isize) -> Option<usize> {
    use super::libc::keeping_errno;
    use super::tally;
    use core::ffi::c_void;

    unsafe extern "C" {
        fn sbrk(delta: isize) -> *mut c_void;
    }

    keeping_errno(|| {
        // SAFETY: [no-memory-effect] a delta of 0 asks
        let believed = unsafe { sbrk(0) } as usize;
        if believed != before {
            // Somebody moved the break by a raw call: from where libc believes it is, a move could cut that memory off.
            return None;
        }
        // SAFETY: [caller-owns-range] the caller's promise
        let old = tally::note(nr::BRK, unsafe { sbrk(delta) } as usize);
        // What libc believes now is what the kernel answered, and asking libc is no call.
        // SAFETY: [no-memory-effect] a delta of 0 asks
        let reached = unsafe { sbrk(0) } as usize;
        (old.checked_add_signed(delta) == Some(reached)).then_some(old)
    })
}

/// Other libcs keep no copy of the break (musl's own malloc asks the kernel too).
#[cfg(not(target_env = "gnu"))]
unsafe fn request(before: usize, target: usize, _delta: isize) -> Option<usize> {
    // SAFETY: [caller-owns-range] the caller's promise
    let answer = unsafe { syscall::call1(nr::BRK, target) };
    (answer == target).then_some(before)
}
