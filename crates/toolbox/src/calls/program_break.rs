//! The program break: the end of the data segment, which only moves as a whole.

use super::refused;
use crate::error::{Error, ErrorKind};
use core::ptr::{self, NonNull};

/// Where the kernel says that the program break is.
///
/// The address is a fact, not a permission: whose the memory below it is, only its owner knows.
pub fn program_break() -> *mut u8 {
    // SAFETY: [libc-call] `brk(0)` changes nothing and returns the break.
    let at = unsafe { libc::syscall(libc::SYS_brk, 0) };
    ptr::with_exposed_provenance_mut(at as usize)
}

/// Moves the program break by `increment` bytes through libc and returns where it was before.
///
/// With a positive increment the bytes from the returned address on are fresh and zero. Any number is allowed, 4 KiB as
/// well as 1; the kernel makes whole OS pages of it. `sbrk(0)` moves nothing.
///
/// # Errors
///
/// [`ErrorKind::Refused`] when the limit of the data segment (`ulimit -d`) is reached or a mapping lies in the way; the
/// break is where it was.
///
/// # Safety
///
/// * No other thread moves the break at the same time. libc's `sbrk` is not atomic: two threads may be handed the same
///   bytes. `malloc` is such another thread if it uses the break, as glibc's does for its main arena.
/// * The break is not moved by [`raw_brk`] as well (see the module's documentation).
/// * With a negative increment, the memory given back is the caller's and nobody uses it.
pub unsafe fn sbrk(increment: isize) -> Result<NonNull<u8>, Error> {
    // SAFETY: [libc-call] the caller promised that the break is ours to move.
    let before = unsafe { libc::sbrk(increment) };
    if before.addr() == usize::MAX {
        return Err(refused("sbrk", increment.unsigned_abs()));
    }
    // The memory did not come from an allocation that Rust knows: libc's address is where its provenance begins.
    NonNull::new(before.cast()).ok_or(Error::new(
        ErrorKind::BreakNotOurs,
        "sbrk",
        increment.unsigned_abs(),
        "this process has no data segment; use a mapping",
    ))
}

/// The bare system call: asks the kernel to put the break at `to` and returns where it is now.
///
/// The kernel never returns an error for this call. Success is *result equals request*; anything else means that the
/// break stayed where it was. libc does not learn of the move.
///
/// # Safety
///
/// As for [`sbrk`]; and nobody in this process may use libc's `sbrk` afterwards (which `malloc` of most libcs does),
/// unless the break was put back first.
pub unsafe fn raw_brk(to: *mut u8) -> *mut u8 {
    // SAFETY: [libc-call] the caller promised that the break is ours to move.
    let now = unsafe { libc::syscall(libc::SYS_brk, to) };
    ptr::with_exposed_provenance_mut(now as usize)
}
