//! A thread of the kernel's making: libc does not know it, so a single-threaded program stays one for libc.
//!
//! It gets a stack and a thread area of its own. The area is made for code that uses thread-local storage only by fixed
//! distances below the thread pointer (our thread word, errno) and by the self pointer and the stack guard at it.
//!
//! That libc does not know it has a price: `setuid` and its kin change the credentials of libc's threads one by one, and a
//! thread with the old ones must not stay in a process that gave them up. So it keeps no capability from its start on, and
//! asks for a limit of the main thread, which is refused exactly if that one's user or group is another now.

use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use super::libc;
use super::syscall::{self, number as nr, refused};
use super::tally;
use super::thread_word::thread_pointer;

/// Memory, files, signal handlers and thread group are shared; the kernel clears and wakes `alive` at the end.
const FLAGS: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x20_0000;
/// Bytes from the thread pointer up: the head of libc's thread block (self pointers, stack guard).
const BLOCK: usize = 256;
const SIG_SETMASK: usize = 2;
const SIGNAL_SET_BYTES: usize = 8;

/// Bytes below the thread pointer that a thread needs for a word at `distance` from it and for errno.
pub fn reach_below(distance: usize) -> usize {
    let word = distance.wrapping_neg();
    let errno = thread_pointer().wrapping_sub(libc::errno_address());
    (word.max(errno) + 64).next_multiple_of(64)
}

/// Version 3 of the capability sets.
const CAPABILITIES: u32 = 0x2008_0522;
/// Any limit will do.
const RLIMIT_NOFILE: usize = 7;

/// May this process change its user to good purpose? The superuser's may.
fn may_drop_rights() -> bool {
    libc::auxiliary(libc::AT_EUID).is_none()
}

/// See [`Kernel::shed_rights`](crate::Kernel::shed_rights).
pub(super) fn shed_rights() {
    if may_drop_rights() {
        let (header, none) = ([CAPABILITIES, 0u32], [0u32; 6]);
        // SAFETY: [no-memory-effect] the kernel reads both; the calling thread's own sets become empty.
        unsafe { syscall::call2(nr::CAPSET, header.as_ptr() as usize, none.as_ptr() as usize) };
    }
}

/// See [`Kernel::rights_changed`](crate::Kernel::rights_changed). A set-user-ID process has two users from the start, so
/// there the question has no answer.
pub(super) fn rights_changed(process: u32) -> bool {
    if !may_drop_rights() || libc::auxiliary(libc::AT_SECURE).is_some() {
        return false;
    }
    let mut limit = [0u64; 2];
    // SAFETY: [out-argument] the kernel writes one pair of limits.
    let result =
        unsafe { syscall::call4(nr::PRLIMIT64, process as usize, RLIMIT_NOFILE, 0, limit.as_mut_ptr() as usize) };
    syscall::is(result, syscall::EPERM)
}

/// See [`Kernel::spawn`](crate::Kernel::spawn).
///
/// # Safety
/// As there.
pub(super) unsafe fn spawn(
    memory: NonNull<u8>,
    len: usize,
    thread_bytes: usize,
    entry: extern "C" fn(),
    alive: &AtomicU32,
) -> bool {
    let end = memory.as_ptr().addr() + len;
    let area = (end - BLOCK) & !63;
    let stack = (area - thread_bytes) & !63;
    alive.store(1, Ordering::Release);
    // SAFETY: [helper-memory] the area and the stack lie in the caller's memory. All signals are blocked around the call,
    // so the thread starts with all of them blocked; it leaves the stack by `exit` alone.
    let result = unsafe {
        let area = memory.as_ptr().with_addr(area);
        area.cast::<usize>().write(area.addr());
        area.cast::<usize>().add(2).write(area.addr());
        let all = u64::MAX;
        let mut before = 0u64;
        let (all, old) = (&raw const all as usize, &raw mut before as usize);
        syscall::call4(nr::RT_SIGPROCMASK, SIG_SETMASK, all, old, SIGNAL_SET_BYTES);
        let result = tally::note(nr::CLONE, clone(stack, alive, area.addr(), entry));
        syscall::call4(nr::RT_SIGPROCMASK, SIG_SETMASK, old, 0, SIGNAL_SET_BYTES);
        result
    };
    if refused(result) {
        alive.store(0, Ordering::Release);
        return false;
    }
    true
}

/// # Safety
/// `stack` is the 16-aligned top of a fresh stack and `area` a thread area, both the new thread's alone.
unsafe fn clone(stack: usize, alive: &AtomicU32, area: usize, entry: extern "C" fn()) -> usize {
    let result;
    // SAFETY: [helper-memory] in the new thread nothing of this frame is touched: it runs `entry` on its own stack and ends.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r12",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            exit = const nr::EXIT,
            inlateout("rax") nr::CLONE => result,
            in("rdi") FLAGS,
            in("rsi") stack,
            in("rdx") 0usize,
            in("r10") alive.as_ptr(),
            in("r8") area,
            in("r12") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}
