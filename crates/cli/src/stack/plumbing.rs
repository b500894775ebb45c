//! Which frames are plumbing: malloc itself and what merely passes a request on. The place in the program that asked for
//! memory is the first frame outside of them.

use crate::model::in_force;

/// What the program asked of malloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Allocate,
    Reallocate,
    Free,
}

/// Functions of malloc's interface.
const ENTRIES: [(&str, Entry); 18] = [
    ("malloc", Entry::Allocate),
    ("calloc", Entry::Allocate),
    ("memalign", Entry::Allocate),
    ("aligned_alloc", Entry::Allocate),
    ("posix_memalign", Entry::Allocate),
    ("valloc", Entry::Allocate),
    ("pvalloc", Entry::Allocate),
    ("__libc_malloc", Entry::Allocate),
    ("__libc_calloc", Entry::Allocate),
    ("__libc_memalign", Entry::Allocate),
    ("realloc", Entry::Reallocate),
    ("reallocarray", Entry::Reallocate),
    ("__libc_realloc", Entry::Reallocate),
    ("free", Entry::Free),
    ("cfree", Entry::Free),
    ("free_sized", Entry::Free),
    ("free_aligned_sized", Entry::Free),
    ("__libc_free", Entry::Free),
];

/// Beginnings of the names of functions that only pass a request on.
const WRAPPERS: &[&str] = &[
    // Rust and C++
    "operator new",
    "operator delete",
    "__rust_alloc",
    "__rust_dealloc",
    "__rust_realloc",
    "__rdl_",
    "<alloc::",
    "alloc::",
    "hashbrown::raw::",
    "std::allocator",
    "std::vector",
    "void std::vector",
    "__gnu_cxx::new_allocator",
    // C
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xmemdup",
    "xstrdup",
    "g_malloc",
    "g_realloc",
    "g_free",
    "g_slice_",
    // Python
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "PyObject_Free",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "_PyObject_Free",
    "_PyObject_Arena",
    "new_arena",
    "allocate_from_new_pool",
    "pymalloc_",
];

/// Libraries below malloc's interface.
const LIBRARIES: [&str; 7] = ["libc.so.", "libc-2.", "ld-linux", "ld-2.", "ld-musl", "libc.musl", "[vdso]"];

/// Whether a file is malloc, the C library or the loader. Their shared objects alone: programs have a malloc inside.
pub(super) fn is_plumbing_file(name: &str) -> bool {
    LIBRARIES.iter().any(|start| name.starts_with(start))
        || name.contains("libbrkmap")
        || in_force::known_library(name).is_some()
}

/// Whether a file is the loader, which maps programs and libraries.
pub(super) fn is_loader(name: &str) -> bool {
    ["ld-linux", "ld-2.", "ld-musl"].iter().any(|start| name.starts_with(start))
}

/// The entry that a function is.
pub(super) fn entry(function: &str) -> Option<Entry> {
    ENTRIES.iter().find(|(name, _)| *name == function).map(|(_, entry)| *entry)
}

/// Whether a function passes requests on.
pub(super) fn is_wrapper(function: &str) -> bool {
    entry(function).is_some() || WRAPPERS.iter().any(|start| function.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_is_told_from_what_passes_on() {
        for file in ["libc.so.6", "ld-linux-x86-64.so.2", "libjemalloc.so.2", "memfd:libbrkmap.so"] {
            assert!(is_plumbing_file(file), "{file}");
        }
        assert!(!is_plumbing_file("libcrypto.so.3") && !is_plumbing_file("python3.11"));
        for function in ["malloc", "operator new(unsigned long)", "PyObject_Malloc", "alloc::raw_vec::finish_grow"] {
            assert!(is_wrapper(function), "{function}");
        }
        assert!(!is_wrapper("main") && !is_wrapper("allocate_table"));
        assert_eq!(entry("reallocarray"), Some(Entry::Reallocate));
    }
}
