//! A program on brkmap, run where the C side has another malloc, or another brkmap: neither takes the other's blocks.
//!
//! ```text
//! host work OBJECT            strings, threads and a fork on both sides; OBJECT is part of the name of who has malloc
//! host open LIBRARY OBJECT    the same, with a library opened whose Rust side has a brkmap of its own
//! host c-block                gives a block of malloc to the Rust side, which must end the program
//! host rust-block             gives a block of the Rust side to `free`, likewise
//! ```

use std::alloc::{Layout, dealloc};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::process::exit;

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

#[repr(C)]
struct ObjectInfo {
    file: *const c_char,
    base: *mut c_void,
    name: *const c_char,
    symbol: *mut c_void,
}

unsafe extern "C" {
    fn strdup(text: *const c_char) -> *mut c_char;
    fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char;
    fn malloc(bytes: usize) -> *mut u8;
    fn free(block: *mut c_void);
    fn malloc_usable_size(block: *mut u8) -> usize;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dladdr(address: *const c_void, info: *mut ObjectInfo) -> c_int;
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlclose(handle: *mut c_void) -> c_int;
    fn fork() -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["work", object] => work(object),
        ["open", library, object] => {
            work(object);
            open(library);
        }
        ["c-block"] => {
            // SAFETY: none: this is the misuse that must end the program
            unsafe { dealloc(malloc(100), Layout::new::<[u8; 100]>()) };
            exit(3);
        }
        ["rust-block"] => {
            // SAFETY: none: this is the misuse that must end the program
            unsafe { free(Box::into_raw(Box::new([1u8; 100])).cast()) };
            exit(3);
        }
        _ => exit(2),
    }
}

fn work(object: &str) {
    let file = object_of_malloc();
    assert!(file.contains(object), "malloc comes from {file}, not from {object}");
    let workers: Vec<_> = (0..4).map(|seed| std::thread::spawn(move || both_sides(seed))).collect();
    for worker in workers {
        worker.join().expect("a thread failed");
    }
    fork_works();
}

fn object_of_malloc() -> String {
    // SAFETY: [libc-contract] RTLD_DEFAULT is 0; `info` is filled when dladdr does not answer 0, with names that stay
    unsafe {
        let address = dlsym(std::ptr::null_mut(), c"malloc".as_ptr());
        let mut info: ObjectInfo = std::mem::zeroed();
        assert!(dladdr(address, &raw mut info) != 0, "nobody has malloc");
        CStr::from_ptr(info.file).to_string_lossy().into_owned()
    }
}

/// Blocks of both sides, alive together and freed each to its own.
fn both_sides(seed: usize) {
    let mut kept = Vec::new();
    for n in 0..500 {
        let text = CString::new(format!("{seed} and {n}")).expect("no zero byte inside");
        // SAFETY: [libc-contract] a copy by the C side, freed below by the C side
        let copy = unsafe { strdup(text.as_ptr()) };
        kept.push((text, copy, vec![n as u8; n * 7]));
    }
    // what the other threads hold comes and goes meanwhile: only one's own blocks are sure to be counted
    let own: usize = kept.iter().map(|(_, _, bytes)| bytes.len()).sum();
    let counted = brkmap::stats().allocated;
    assert!(counted >= own as u64, "{counted} bytes counted, {own} are live: the Rust side has not allocated with brkmap");
    for (text, copy, bytes) in kept {
        // SAFETY: [libc-contract] a live copy that is not used after `free`
        unsafe {
            assert_eq!(CStr::from_ptr(copy), text.as_c_str());
            assert!(malloc_usable_size(copy.cast()) > text.as_bytes().len());
            free(copy.cast());
        }
        assert!(bytes.iter().all(|&b| b == (bytes.len() / 7) as u8));
    }
    // SAFETY: [libc-contract] the C side allocates the result and frees it
    unsafe {
        let path = realpath(c"/proc".as_ptr(), std::ptr::null_mut());
        assert_eq!(CStr::from_ptr(path), c"/proc");
        free(path.cast());
    }
}

fn fork_works() {
    // SAFETY: [libc-contract] the child allocates, frees and leaves by _exit
    unsafe {
        let child = fork();
        if child == 0 {
            both_sides(9);
            _exit(0);
        }
        let mut status = -1;
        assert_eq!(waitpid(child, &raw mut status, 0), child);
        assert_eq!(status, 0, "the child failed");
    }
}

fn open(library: &str) {
    let file = CString::new(library).expect("no zero byte inside");
    for _ in 0..3 {
        // SAFETY: [libc-contract] RTLD_NOW; the function has this type in `face`
        unsafe {
            let handle = dlopen(file.as_ptr(), 2);
            assert!(!handle.is_null(), "cannot open {library}");
            let address = dlsym(handle, c"face_work".as_ptr());
            assert!(!address.is_null(), "{library} has no face_work");
            let face_work: extern "C" fn() -> c_int = std::mem::transmute(address);
            assert_eq!(face_work(), 0);
            dlclose(handle);
        }
        fork_works();
    }
}
