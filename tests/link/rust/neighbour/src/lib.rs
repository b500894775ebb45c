//! A library for C that brings a Rust standard library of its own and allocates with the program's malloc.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::ptr;

/// A sentence about what was counted on threads, to be freed with `free`; null if the count is wrong.
#[unsafe(no_mangle)]
pub extern "C" fn neighbour_work() -> *mut c_char {
    let workers: Vec<_> = (0..4)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut table = HashMap::new();
                for n in 0..3000u32 {
                    *table.entry(format!("{}", n % 700 + seed)).or_insert(0u32) += n;
                }
                table.len()
            })
        })
        .collect();
    let sum: usize = workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum();
    // A panic must unwind with this library's own machinery, not with a neighbour's.
    let caught = std::panic::catch_unwind(|| {
        let empty: Vec<u8> = Vec::with_capacity(sum);
        assert!(!empty.is_empty(), "this panic is part of the test");
    });
    if sum != 2800 || caught.is_ok() {
        return ptr::null_mut();
    }
    match CString::new(format!("{sum} words")) {
        // The System allocator of Unix is malloc, so C may free it.
        Ok(text) => text.into_raw(),
        Err(_) => ptr::null_mut(),
    }
}
