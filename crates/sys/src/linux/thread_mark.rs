//! Knowing that a thread is gone, without being told.
//!
//! A thread locks a *robust* pthread mutex and never unlocks it. When it ends, however it ends, the kernel walks the list
//! of robust mutexes that the thread holds and writes "owner died" into each (`get_robust_list(2)`); it does so before
//! `pthread_join` returns. Nothing is registered, nothing is allocated, no lock of libc or of the loader is taken, and the
//! answer is right in children of `fork`, `_Fork` and `vfork`: the mark belongs to the libc thread, as its thread-local
//! storage does.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

use crate::ThreadMark;

/// Room for `pthread_mutexattr_t` (4 bytes in glibc and musl).
#[repr(C, align(8))]
struct Attributes([u8; 16]);

const PTHREAD_MUTEX_ROBUST: c_int = 1;
/// The bit that the kernel writes (`FUTEX_OWNER_DIED`), and the thread id beside it.
const OWNER_DIED: u32 = 0x4000_0000;
const THREAD_ID: u32 = 0x3fff_ffff;

unsafe extern "C" {
    fn pthread_mutexattr_init(attributes: *mut Attributes) -> c_int;
    fn pthread_mutexattr_setrobust(attributes: *mut Attributes, robust: c_int) -> c_int;
    fn pthread_mutex_init(mutex: *mut c_void, attributes: *const Attributes) -> c_int;
    fn pthread_mutex_lock(mutex: *mut c_void) -> c_int;
}

/// See [`Kernel::mark_thread`](crate::Kernel::mark_thread).
pub(super) fn set(mark: &ThreadMark) -> u32 {
    // The sanitizers have functions of these names, which start the sanitizer: too early, in the middle of a malloc.
    let sanitizers = [
        crate::weak_address!("__asan_init"),
        crate::weak_address!("__tsan_init"),
        crate::weak_address!("__lsan_init"),
        crate::weak_address!("__msan_init"),
    ];
    if sanitizers.iter().any(|&start| start != 0) {
        return 0;
    }
    let mut attributes = Attributes([0; 16]);
    let mutex = mark.0.as_ptr().cast_mut().cast::<c_void>();
    // SAFETY: [libc-contract] a mutex of our own with room to spare, initialised before it is locked; the caller promises
    // that no living thread holds it.
    let locked = unsafe {
        pthread_mutexattr_init(&raw mut attributes) == 0
            && pthread_mutexattr_setrobust(&raw mut attributes, PTHREAD_MUTEX_ROBUST) == 0
            && pthread_mutex_init(mutex, &raw const attributes) == 0
            && pthread_mutex_lock(mutex) == 0
    };
    if locked { mark.0[0].load(Ordering::Relaxed) & THREAD_ID } else { 0 }
}

/// See [`Kernel::thread_ended`](crate::Kernel::thread_ended).
pub(super) fn is_ended(mark: &ThreadMark) -> bool {
    // The first word of the mutex is the futex, in glibc on every machine.
    mark.0[0].load(Ordering::Acquire) & OWNER_DIED != 0
}
