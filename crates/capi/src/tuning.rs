//! `mallopt` and `malloc_trim`.

use core::ffi::c_int;

use crate::platform::ENGINE;

const M_MXFAST: c_int = 1;
const M_TRIM_THRESHOLD: c_int = -1;
const M_TOP_PAD: c_int = -2;
const M_MMAP_THRESHOLD: c_int = -3;
const M_MMAP_MAX: c_int = -4;
/// Largest `M_MXFAST` that glibc accepts on 64-bit machines.
const MXFAST_MAX: c_int = 160;

/// Sets a parameter; 1 if the value is valid, and for parameters that do not exist, as glibc has it. The thresholds, the
/// pad and the number of mappings have their meaning; `M_MXFAST`, `M_PERTURB`, `M_ARENA_*` and `M_CHECK_ACTION` are
/// accepted and have none yet.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    let unsigned = value as isize as usize;
    let done = match parameter {
        M_MXFAST => (0..=MXFAST_MAX).contains(&value),
        M_MMAP_THRESHOLD => ENGINE.set_mmap_threshold(unsigned),
        M_TRIM_THRESHOLD => {
            ENGINE.set_trim_threshold(unsigned);
            true
        }
        M_TOP_PAD => {
            ENGINE.set_top_pad(unsigned);
            true
        }
        M_MMAP_MAX => {
            ENGINE.set_mmap_max(unsigned);
            true
        }
        _ => true,
    };
    done as c_int
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
