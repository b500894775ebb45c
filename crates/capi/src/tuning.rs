//! `mallopt` and `malloc_trim`.

use core::ffi::c_int;

use crate::platform::ENGINE;

const M_MXFAST: c_int = 1;
const M_TRIM_THRESHOLD: c_int = -1;
const M_TOP_PAD: c_int = -2;
const M_MMAP_THRESHOLD: c_int = -3;
const M_MMAP_MAX: c_int = -4;
const M_CHECK_ACTION: c_int = -5;
const M_PERTURB: c_int = -6;
const M_ARENA_TEST: c_int = -7;
const M_ARENA_MAX: c_int = -8;
/// Largest `M_MXFAST` that glibc accepts on 64-bit machines.
const MXFAST_MAX: c_int = 160;

/// Sets a parameter, with effect from the next call on. 0 for an `M_MXFAST` that is negative or too large; else 1, for
/// values and parameters that glibc ignores too (glibc 2.36, `__libc_mallopt`). What each means here is in
/// `docs/POLICY.md`.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    // A negative int is a very large size, as in glibc: -1 as trim threshold means "never".
    let bytes = value as isize as usize;
    match parameter {
        M_MXFAST if !(0..=MXFAST_MAX).contains(&value) => return 0,
        M_MMAP_THRESHOLD => ENGINE.set_mmap_threshold(bytes),
        M_TRIM_THRESHOLD => ENGINE.set_trim_threshold(bytes),
        M_TOP_PAD => ENGINE.set_top_pad(bytes),
        // A number: glibc compares it as a signed one, so a negative one lets none be mapped.
        M_MMAP_MAX => ENGINE.set_mmap_max(value.max(0) as usize),
        M_ARENA_MAX if value > 0 => ENGINE.set_arena_max(value as usize),
        // No fast bins to bound, no arenas to test for, no check that could be weakened.
        M_MXFAST | M_ARENA_TEST | M_CHECK_ACTION => {}
        M_PERTURB => ENGINE.set_perturb(value as u8),
        _ => {}
    }
    1
}

/// [`mallopt`] under libc's own name.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_mallopt(parameter: c_int, value: c_int) -> c_int {
    mallopt(parameter, value)
}

/// Returns everything returnable but `pad` bytes at the top of the break; 1 if something went back.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(pad: usize) -> c_int {
    ENGINE.trim(pad) as c_int
}
