//! A function to run when a thread ends, without a pthread key.
//!
//! Programs may take all 1024 pthread keys, and the C library itself runs its list of C++ destructors before the keys'.
//! That list (`__cxa_thread_atexit_impl`) is in glibc since 2.18 and not in musl, so it is asked for weakly.

use core::arch::asm;
use core::ffi::{c_int, c_void};

type Destructor = unsafe extern "C" fn(*mut c_void);
type Register = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;

unsafe extern "C" {
    // Defined, hidden, in the compiler's start files of each program and library; its address names the one we are in.
    static __dso_handle: u8;
}

/// Runs `function(argument)` when this thread returns or calls `pthread_exit` (for the main thread: at `exit`), in the
/// reverse order of registration. `false`: this libc cannot.
///
/// glibc calls `calloc` in here, once: the caller must be ready for it. The library that `function` lies in is not
/// unloaded before.
///
/// # Safety
/// `function(argument)` must be sound in this thread at its end.
pub unsafe fn register(function: Destructor, argument: *mut c_void) -> bool {
    let Some(implementation) = implementation() else { return false };
    let dso = (&raw const __dso_handle).cast_mut().cast();
    // SAFETY: [libc-contract] the function has this type wherever it exists (Itanium C++ ABI, 3.3.6)
    unsafe { implementation(function, argument, dso) == 0 }
}

fn implementation() -> Option<Register> {
    let address: usize;
    // SAFETY: [weak-symbol] loads the address, or 0, which the loader or the linker has put into the offset table
    unsafe {
        asm!(
            ".weak __cxa_thread_atexit_impl",
            "mov {}, qword ptr [rip + __cxa_thread_atexit_impl@GOTPCREL]",
            out(reg) address,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: [weak-symbol] 0 is None, everything else the function itself
    unsafe { core::mem::transmute::<usize, Option<Register>>(address) }
}
