//! errno, as the standards want it: set on failure, never touched by success or by `free`.

use core::ffi::c_int;

use brkmap_core::Refusal;

/// Cannot be set.
pub(crate) const EPERM: c_int = 1;
/// No such name.
pub(crate) const ENOENT: c_int = 2;
/// No memory, or no such size.
pub(crate) const ENOMEM: c_int = 12;
/// No such alignment or option.
pub(crate) const EINVAL: c_int = 22;

unsafe extern "C" {
    safe fn __errno_location() -> *mut c_int;
}

/// Sets this thread's errno.
#[cold]
pub(crate) fn set(value: c_int) {
    // SAFETY: the address of this thread's errno.
    unsafe { __errno_location().write(value) };
}

/// A request is answered with null.
pub(crate) fn no_memory() {
    set(ENOMEM);
}

/// errno of a refusal.
pub(crate) fn of(refusal: Refusal) -> c_int {
    match refusal {
        Refusal::NoMemory => ENOMEM,
        Refusal::Invalid => EINVAL,
    }
}

/// Null with the refusal's errno.
#[cold]
pub(crate) fn refused(refusal: Refusal) -> *mut u8 {
    set(of(refusal));
    core::ptr::null_mut()
}

/// Runs `work` and leaves errno as it was: `posix_memalign` reports by its result alone.
pub(crate) fn kept<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: the address of this thread's errno.
    let before = unsafe { __errno_location().read() };
    let result = work();
    set(before);
    result
}
