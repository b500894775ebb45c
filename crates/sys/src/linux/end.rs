//! Ending the process as abort(3) does, without libc: its `abort` takes a lock and flushes nothing that we need.

use core::arch::asm;
use core::ptr;

use super::Linux;
use super::syscall::{self, number as nr};
use crate::Kernel;

const SIGABRT: usize = 6;
const SIG_DFL: usize = 0;
const SIG_UNBLOCK: usize = 1;
/// Bytes of the kernel's signal set.
const SET_SIZE: usize = 8;

/// `struct sigaction` as the kernel has it.
#[repr(C)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Raises SIGABRT so that a handler of the program runs; if that returns, or the signal is ignored, once more with the
/// default action.
pub(super) fn abort() -> ! {
    unblock();
    raise();
    let default = Action { handler: SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let no_old = ptr::null::<Action>() as usize;
    // SAFETY: [no-memory-effect] the kernel reads `default`; SIG_DFL runs no code of the process
    unsafe { syscall::call4(nr::RT_SIGACTION, SIGABRT, &raw const default as usize, no_old, SET_SIZE) };
    // The handler may have blocked it again.
    unblock();
    raise();
    // Only a sandbox that refuses tgkill comes here.
    // SAFETY: [no-return] an illegal instruction raises SIGILL
    unsafe { asm!("2: ud2", "jmp 2b", options(noreturn, nostack, nomem)) }
}

fn unblock() {
    let set = 1u64 << (SIGABRT - 1);
    // SAFETY: [no-memory-effect] the kernel reads `set` and stores no old one
    unsafe { syscall::call4(nr::RT_SIGPROCMASK, SIG_UNBLOCK, &raw const set as usize, 0, SET_SIZE) };
}

fn raise() {
    let (process, thread) = (Linux.process_id() as usize, Linux.thread_id() as usize);
    // SAFETY: [no-memory-effect] a signal to ourselves; what a handler does is the program's affair, as with abort(3)
    unsafe { syscall::call3(nr::TGKILL, process, thread, SIGABRT) };
}
