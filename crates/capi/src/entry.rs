//! The allocating entry points: C17 7.22.3, C23 `free_sized`, POSIX `posix_memalign`, glibc's `memalign`, `valloc`,
//! `pvalloc`, `reallocarray`, `malloc_usable_size`, `cfree`, and the `__libc_` names under which libc itself and programs
//! that wrap malloc reach them.

use core::ffi::c_int;

use brkmap_core::{Refusal, Request};

use crate::errno;
use crate::platform::ENGINE;

/// Exports a function under two names.
macro_rules! exported {
    ($(#[$doc:meta])* fn $name:ident / $alias:ident ($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        #[inline(never)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) $(-> $result)? $body

        #[doc = concat!("[`", stringify!($name), "`] under libc's own name.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $alias($($arg: $type),*) $(-> $result)? $body
    };
}

// Where the hot pair lies against the 64-byte lines of the instruction cache is worth a cycle of thirteen on Zen 5, and a change
// elsewhere would move it by chance. The best place found for `malloc`: its first branch alone in the first line, all
// others up to the return in the second. `cargo xtask bench micro --filter hot` shows it.
core::arch::global_asm!(
    ".section .text.brkmap_malloc,\"ax\",@progbits",
    ".p2align 6",
    ".skip 16",
    ".section .text.brkmap_free,\"ax\",@progbits",
    ".p2align 6",
    ".skip 32",
    ".text",
);

exported! {
    #[unsafe(link_section = ".text.brkmap_malloc")]
    /// A block of at least `bytes`, 16-aligned; never null for 0. Null and ENOMEM: no memory, or above PTRDIFF_MAX.
    fn malloc / __libc_malloc (bytes: usize) -> *mut u8 {
        ENGINE.allocate(bytes)
    }
}

exported! {
    #[unsafe(link_section = ".text.brkmap_free")]
    /// Ends a block; null is nothing. Keeps errno. What is no live block ends the program with a message.
    fn free / __libc_free (block: *mut u8) {
        // SAFETY: free's contract.
        unsafe { ENGINE.free(block) }
    }
}

exported! {
    /// A block of `count * bytes` zero bytes. Null and ENOMEM: as malloc, or the product overflows.
    fn calloc / __libc_calloc (count: usize, bytes: usize) -> *mut u8 {
        ENGINE.allocate_zeroed(count, bytes)
    }
}

exported! {
    /// Resizes a block, keeping its contents up to the smaller size. Null block: malloc. Size 0: frees, null (glibc).
    /// Null and ENOMEM: the block is as it was.
    fn realloc / __libc_realloc (block: *mut u8, bytes: usize) -> *mut u8 {
        if block.is_null() {
            return ENGINE.allocate(bytes);
        }
        if bytes == 0 {
            // SAFETY: the caller gives the block up.
            unsafe { ENGINE.free(block) };
            return core::ptr::null_mut();
        }
        match Request::plain(bytes) {
            // SAFETY: realloc's contract.
            Ok(request) => unsafe { ENGINE.reallocate(block, request) },
            Err(refusal) => errno::refused(refusal),
        }
    }
}

exported! {
    /// `realloc` to `count * bytes`; ENOMEM if the product overflows.
    fn reallocarray / __libc_reallocarray (block: *mut u8, count: usize, bytes: usize) -> *mut u8 {
        match Request::array(count, bytes) {
            // Through the exported name: valgrind replaces `realloc` and knows no `reallocarray`.
            // SAFETY: realloc's contract.
            Ok(request) => unsafe { realloc(block, request.bytes) },
            Err(refusal) => errno::refused(refusal),
        }
    }
}

exported! {
    /// An aligned block; an alignment that is no power of two is rounded up to one. Null and EINVAL: there is none.
    fn memalign / __libc_memalign (align: usize, bytes: usize) -> *mut u8 {
        ENGINE.allocate_aligned_or(align, bytes, || aligned(Request::memalign(align, bytes)))
    }
}

exported! {
    /// A block aligned to the OS page.
    fn valloc / __libc_valloc (bytes: usize) -> *mut u8 {
        aligned(Request::valloc(bytes, ENGINE.os_page()))
    }
}

exported! {
    /// A block of whole OS pages.
    fn pvalloc / __libc_pvalloc (bytes: usize) -> *mut u8 {
        match Request::pvalloc(bytes, ENGINE.os_page()) {
            // Through the exported name, as in `reallocarray`.
            // SAFETY: memalign takes any arguments.
            Ok(request) => unsafe { memalign(request.align, request.bytes) },
            Err(refusal) => errno::refused(refusal),
        }
    }
}

#[cold]
fn aligned(request: Result<Request, Refusal>) -> *mut u8 {
    match request {
        Ok(request) => ENGINE.allocate_aligned_slow(request),
        Err(refusal) => errno::refused(refusal),
    }
}

/// A block aligned to a power of two (C17; glibc 2.38: anything else is EINVAL). The size need not be a multiple.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, bytes: usize) -> *mut u8 {
    ENGINE.allocate_aligned_or(align, bytes, || aligned(Request::aligned_alloc(align, bytes)))
}

/// Stores an aligned block in `*block` and returns 0; returns EINVAL or ENOMEM and leaves `*block` and errno alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(block: *mut *mut u8, align: usize, bytes: usize) -> c_int {
    if !align.is_multiple_of(size_of::<usize>()) {
        return errno::EINVAL;
    }
    let fresh =
        ENGINE.allocate_aligned_or(align, bytes, || errno::kept(|| aligned(Request::posix_memalign(align, bytes))));
    if fresh.is_null() {
        return refusal_of_posix_memalign(align, bytes);
    }
    // SAFETY: posix_memalign's contract: `block` is writable.
    unsafe { block.write(fresh) };
    0
}

/// Why there was no block.
#[cold]
fn refusal_of_posix_memalign(align: usize, bytes: usize) -> c_int {
    Request::posix_memalign(align, bytes).map_or_else(errno::of, |_| errno::ENOMEM)
}

/// `free` under the name that SunOS gave it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut u8) {
    // SAFETY: free's contract. Through the exported name, as in `reallocarray`.
    unsafe { free(block) }
}

/// C23: `free` of a block that was allocated with `bytes`; checked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut u8, bytes: usize) {
    // SAFETY: free's contract.
    unsafe { ENGINE.free_checked(block, bytes, 1) }
}

/// C23: `free` of a block that was allocated with `align` and `bytes`; checked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut u8, align: usize, bytes: usize) {
    // SAFETY: free's contract.
    unsafe { ENGINE.free_checked(block, bytes, align) }
}

/// Bytes that may be used in the block; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut u8) -> usize {
    ENGINE.usable_size(block)
}
