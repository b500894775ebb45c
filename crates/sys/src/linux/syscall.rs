//! The `syscall` instruction, one function per number of arguments, and what its result means. Each call is counted.

use core::arch::asm;

use super::tally;

/// Numbers of the x86-64 table (`arch/x86/entry/syscalls/syscall_64.tbl`).
pub(super) mod number {
    pub(in super::super) const READ: usize = 0;
    pub(in super::super) const WRITE: usize = 1;
    pub(in super::super) const CLOSE: usize = 3;
    pub(in super::super) const MMAP: usize = 9;
    pub(in super::super) const MUNMAP: usize = 11;
    pub(in super::super) const BRK: usize = 12;
    pub(in super::super) const RT_SIGACTION: usize = 13;
    pub(in super::super) const RT_SIGPROCMASK: usize = 14;
    pub(in super::super) const PREAD64: usize = 17;
    pub(in super::super) const SCHED_YIELD: usize = 24;
    pub(in super::super) const MREMAP: usize = 25;
    pub(in super::super) const MINCORE: usize = 27;
    pub(in super::super) const MADVISE: usize = 28;
    pub(in super::super) const GETPID: usize = 39;
    pub(in super::super) const CLONE: usize = 56;
    pub(in super::super) const EXIT: usize = 60;
    pub(in super::super) const CAPSET: usize = 126;
    pub(in super::super) const PRCTL: usize = 157;
    pub(in super::super) const GETTID: usize = 186;
    pub(in super::super) const FUTEX: usize = 202;
    pub(in super::super) const CLOCK_GETTIME: usize = 228;
    pub(in super::super) const TGKILL: usize = 234;
    pub(in super::super) const OPENAT: usize = 257;
    pub(in super::super) const PRLIMIT64: usize = 302;
    pub(in super::super) const GETRANDOM: usize = 318;
    pub(in super::super) const PROCESS_MADVISE: usize = 440;
}

pub(super) const EPERM: usize = 1;
pub(super) const ENOENT: usize = 2;
pub(super) const ESRCH: usize = 3;
pub(super) const EINTR: usize = 4;
pub(super) const EBADF: usize = 9;
pub(super) const ENODEV: usize = 19;
pub(super) const ENOTDIR: usize = 20;
pub(super) const EINVAL: usize = 22;
pub(super) const ENFILE: usize = 23;
pub(super) const EMFILE: usize = 24;
pub(super) const ENOSYS: usize = 38;

/// Is this result an error? The kernel answers `-errno`, from -4095 to -1; `brk` alone never does.
#[inline]
pub(super) fn refused(result: usize) -> bool {
    result > -4096isize as usize
}

/// Is this result that error?
#[inline]
pub(super) fn is(result: usize, error: usize) -> bool {
    result == error.wrapping_neg()
}

/// # Safety
/// The call with these arguments must be sound; this holds for every function here.
#[inline]
pub(super) unsafe fn call0(number: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] the kernel preserves all registers but rax, rcx and r11
    unsafe {
        asm!("syscall", inlateout("rax") number => result, out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call1(number: usize, a: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a,
            out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call2(number: usize, a: usize, b: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b,
            out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call3(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
            out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call4(number: usize, a: usize, b: usize, c: usize, d: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call5(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}

/// # Safety
/// See [`call0`].
#[inline]
pub(super) unsafe fn call6(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> usize {
    let result;
    // SAFETY: [caller-owns-call] as call0
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, in("r9") f, out("rcx") _, out("r11") _, options(nostack));
    }
    tally::note(number, result)
}
