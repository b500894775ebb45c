//! The few things that have to go through libc, with `errno` left as it was.

use core::ffi::{c_int, c_ulong};

/// The size of an OS page.
pub(super) const AT_PAGESZ: c_ulong = 6;
/// The effective user at the start; 0, the superuser, looks like an entry that is missing.
pub(super) const AT_EUID: c_ulong = 12;
/// Not 0: the process has more rights than who started it.
pub(super) const AT_SECURE: c_ulong = 23;
/// The address of 16 random bytes.
const AT_RANDOM: c_ulong = 25;

unsafe extern "C" {
    safe fn __errno_location() -> *mut c_int;
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// Where this thread's errno is.
pub(super) fn errno_address() -> usize {
    __errno_location().addr()
}

/// Runs `f` and puts this thread's `errno` back.
pub(super) fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let errno = __errno_location();
    // SAFETY: [thread-errno] the address of this thread's errno, valid as long as the thread runs
    let before = unsafe { errno.read() };
    let result = f();
    // SAFETY: [thread-errno] as above
    unsafe { errno.write(before) };
    result
}

/// An entry of the auxiliary vector; `None` where the kernel gave none.
pub(super) fn auxiliary(kind: c_ulong) -> Option<usize> {
    // getauxval answers 0 and sets errno for an entry that is missing; none that is asked for here may be 0.
    match keeping_errno(|| getauxval(kind)) {
        0 => None,
        value => Some(value as usize),
    }
}

/// The random bytes of the process start, folded; 0 where the kernel gave none.
pub(super) fn start_random() -> u64 {
    let Some(address) = auxiliary(AT_RANDOM) else { return 0 };
    // SAFETY: [auxiliary-vector] AT_RANDOM is the address of 16 bytes above the stack that stay for the process's life
    let [low, high] = unsafe { (address as *const [u64; 2]).read_unaligned() };
    low ^ high.rotate_left(32)
}
