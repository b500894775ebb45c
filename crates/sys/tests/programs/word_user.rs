// Uses the thread word of a library: of the preloaded one, or of the one that its argument names.
include!("word_check.rs");

use std::ffi::{CStr, CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn find(library: *mut c_void, name: &CStr) -> *mut c_void {
    let found = unsafe { dlsym(library, name.as_ptr()) };
    assert!(!found.is_null(), "the library has no {name:?}");
    found
}

fn main() {
    let library = match std::env::args().nth(1) {
        Some(path) => {
            let path = CString::new(path).unwrap();
            let library = unsafe { dlopen(path.as_ptr(), 2) };
            assert!(!library.is_null(), "dlopen refuses {path:?}");
            library
        }
        None => std::ptr::null_mut(),
    };
    let (get, set) = (find(library, c"word_get"), find(library, c"word_set"));
    unsafe { check(std::mem::transmute(get), std::mem::transmute(set)) }
}
