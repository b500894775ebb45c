//! Functions to run around fork.

use core::ffi::c_int;

/// A handler; it runs in the thread that forks.
pub type Handler = unsafe extern "C" fn();

unsafe extern "C" {
    fn pthread_atfork(prepare: Option<Handler>, parent: Option<Handler>, child: Option<Handler>) -> c_int;
}

/// From now on `fork` calls `prepare` before, and afterwards `parent` in the parent and `child` in the child. `false`: no
/// memory for the entry.
///
/// Prepare handlers run in the reverse order of registration, the others in order: who registers first locks last. glibc
/// has room for 48 entries before it calls `malloc`. `_Fork`, `vfork` and a raw `clone` call nobody.
///
/// # Safety
/// The handlers must be sound at any `fork` of the process from now on.
pub unsafe fn register(prepare: Handler, parent: Handler, child: Handler) -> bool {
    // SAFETY: [libc-contract] POSIX pthread_atfork
    unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}
