//! A library for C whose Rust side allocates with brkmap, whatever malloc the program has.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

unsafe extern "C" {
    fn strdup(text: *const c_char) -> *mut c_char;
    fn free(block: *mut c_char);
}

/// Works with collections, threads and strings of the C library; 0 if all of it came out right.
#[unsafe(no_mangle)]
pub extern "C" fn face_work() -> i32 {
    let held: Vec<Box<[u8; 1000]>> = (0..1000).map(|_| Box::new([7; 1000])).collect();
    let live = brkmap::stats().allocated;
    if live < 1_000_000 {
        eprintln!("face: with a thousand boxes of 1000 bytes only {live} bytes are live");
        return 1;
    }
    let workers: Vec<_> = (0..4).map(|seed| std::thread::spawn(move || one_thread(seed))).collect();
    let counts: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap_or(0)).collect();
    if counts != [2000; 4] || held.iter().any(|block| block[999] != 7) {
        eprintln!("face: the threads counted {counts:?}");
        return 2;
    }
    0
}

/// Live bytes of this library's heap.
#[unsafe(no_mangle)]
pub extern "C" fn face_live() -> usize {
    brkmap::stats().allocated as usize
}

fn one_thread(seed: usize) -> usize {
    let mut words = BTreeMap::new();
    for n in 0..2000 {
        words.insert(format!("{seed}-{n}"), vec![n as u8; n % 300]);
    }
    // SAFETY: [c-string] strdup's own copy of a constant, freed once by its own libc
    let same = unsafe {
        let copy = strdup(c"from the C library".as_ptr());
        let same = CStr::from_ptr(copy) == c"from the C library";
        free(copy);
        same
    };
    if same { words.len() } else { 0 }
}
