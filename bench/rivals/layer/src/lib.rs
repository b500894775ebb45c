//! The C library's allocation functions over an allocator written in Rust that has none of its own: argument checks and
//! errno as glibc has them, and one call.

#![no_std]

use core::ffi::c_int;

/// What `malloc` aligns to.
pub const NATURAL: usize = 16;

const EINVAL: c_int = 22;
const ENOMEM: c_int = 12;
/// The size of the kernel's page on x86-64, for `valloc` and `pvalloc`.
const OS_PAGE: usize = 4096;

/// An allocator, by functions without state.
///
/// # Safety
///
/// Blocks are valid for their size, aligned to [`NATURAL`] where they are of at least that size, and distinct while they are
/// live; null means that there is no memory.
pub unsafe trait Calls {
    /// A block of at least one byte.
    fn malloc(size: usize) -> *mut u8;
    /// The same, full of zeros.
    fn zeroed(size: usize) -> *mut u8;
    /// A block at a multiple of a power of two.
    fn aligned(align: usize, size: usize) -> *mut u8;
    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// It is live and not null.
    unsafe fn free(block: *mut u8);
    /// Makes a block larger or smaller; where that fails it stays.
    ///
    /// # Safety
    ///
    /// It is live and not null.
    unsafe fn resize(block: *mut u8, size: usize) -> *mut u8;
    /// The bytes that may be used.
    ///
    /// # Safety
    ///
    /// It is live and not null.
    unsafe fn usable(block: *mut u8) -> usize;
}

unsafe extern "C" {
    safe fn __errno_location() -> *mut c_int;
}

#[cold]
#[inline(never)]
fn refuse(error: c_int) -> *mut u8 {
    // SAFETY: the thread's own errno.
    unsafe { *__errno_location() = error };
    core::ptr::null_mut()
}

#[inline(always)]
fn or_enomem(block: *mut u8) -> *mut u8 {
    if block.is_null() { refuse(ENOMEM) } else { block }
}

/// Whether a request can be rounded up to its alignment without passing what an object may be large.
fn is_possible(align: usize, size: usize) -> bool {
    size.checked_add(align).is_some_and(|sum| sum <= isize::MAX as usize)
}

/// `malloc`.
#[inline(always)]
pub fn malloc<C: Calls>(size: usize) -> *mut u8 {
    if size > isize::MAX as usize - NATURAL {
        return refuse(ENOMEM);
    }
    or_enomem(C::malloc(size.max(1)))
}

/// `calloc`.
#[inline(always)]
pub fn calloc<C: Calls>(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(bytes) if bytes <= isize::MAX as usize - NATURAL => or_enomem(C::zeroed(bytes.max(1))),
        _ => refuse(ENOMEM),
    }
}

/// `free`.
///
/// # Safety
///
/// As C's.
#[inline(always)]
pub unsafe fn free<C: Calls>(block: *mut u8) {
    if !block.is_null() {
        // SAFETY: the caller's block, which is live.
        unsafe { C::free(block) }
    }
}

/// `realloc`; a size of 0 frees, as with glibc.
///
/// # Safety
///
/// As C's.
#[inline(always)]
pub unsafe fn realloc<C: Calls>(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return malloc::<C>(size);
    }
    if size == 0 {
        // SAFETY: the caller's block, which is live.
        unsafe { C::free(block) };
        return core::ptr::null_mut();
    }
    if size > isize::MAX as usize - NATURAL {
        return refuse(ENOMEM);
    }
    // SAFETY: the caller's block, which is live.
    or_enomem(unsafe { C::resize(block, size) })
}

/// `reallocarray`.
///
/// # Safety
///
/// As C's.
pub unsafe fn reallocarray<C: Calls>(block: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: the caller's block, which is live.
        Some(bytes) => unsafe { realloc::<C>(block, bytes) },
        None => refuse(ENOMEM),
    }
}

/// `memalign`; an alignment that is no power of two is rounded up, as with glibc.
pub fn memalign<C: Calls>(align: usize, size: usize) -> *mut u8 {
    match align.checked_next_power_of_two() {
        Some(align) if is_possible(align, size) => or_enomem(C::aligned(align.max(NATURAL), size.max(1))),
        Some(_) => refuse(ENOMEM),
        None => refuse(EINVAL),
    }
}

/// `aligned_alloc`.
pub fn aligned_alloc<C: Calls>(align: usize, size: usize) -> *mut u8 {
    if align.is_power_of_two() { memalign::<C>(align, size) } else { refuse(EINVAL) }
}

/// `posix_memalign`.
///
/// # Safety
///
/// As C's.
pub unsafe fn posix_memalign<C: Calls>(out: *mut *mut u8, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return EINVAL;
    }
    if !is_possible(align, size) {
        return ENOMEM;
    }
    let block = C::aligned(align.max(NATURAL), size.max(1));
    if block.is_null() {
        return ENOMEM;
    }
    // SAFETY: the caller's place for a pointer.
    unsafe { *out = block };
    0
}

/// `valloc`.
pub fn valloc<C: Calls>(size: usize) -> *mut u8 {
    memalign::<C>(OS_PAGE, size)
}

/// `pvalloc`.
pub fn pvalloc<C: Calls>(size: usize) -> *mut u8 {
    match size.max(1).checked_next_multiple_of(OS_PAGE) {
        Some(size) => memalign::<C>(OS_PAGE, size),
        None => refuse(ENOMEM),
    }
}

/// `malloc_usable_size`.
///
/// # Safety
///
/// As glibc's.
pub unsafe fn malloc_usable_size<C: Calls>(block: *mut u8) -> usize {
    // SAFETY: the caller's block, which is live.
    if block.is_null() { 0 } else { unsafe { C::usable(block) } }
}

/// Defines the C library's names over a type that is [`Calls`].
#[macro_export]
macro_rules! export {
    ($calls:ty) => {
        $crate::export!(@ $calls:
            fn malloc(size: usize) -> *mut u8;
            fn calloc(count: usize, size: usize) -> *mut u8;
            unsafe fn free(block: *mut u8) -> ();
            unsafe fn cfree(block: *mut u8) -> () = free;
            unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8;
            unsafe fn reallocarray(block: *mut u8, count: usize, size: usize) -> *mut u8;
            fn memalign(align: usize, size: usize) -> *mut u8;
            fn aligned_alloc(align: usize, size: usize) -> *mut u8;
            unsafe fn posix_memalign(out: *mut *mut u8, align: usize, size: usize) -> core::ffi::c_int;
            fn valloc(size: usize) -> *mut u8;
            fn pvalloc(size: usize) -> *mut u8;
            unsafe fn malloc_usable_size(block: *mut u8) -> usize;
        );
    };
    (@ $calls:ty: ) => {};
    (@ $calls:ty: fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty; $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $of),*) -> $result {
            $crate::$name::<$calls>($($argument),*)
        }
        $crate::export!(@ $calls: $($rest)*);
    };
    (@ $calls:ty: unsafe fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty; $($rest:tt)*) => {
        $crate::export!(@ $calls: unsafe fn $name($($argument: $of),*) -> $result = $name; $($rest)*);
    };
    (@ $calls:ty: unsafe fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty = $with:ident; $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $of),*) -> $result {
            // SAFETY: the caller keeps C's rules.
            unsafe { $crate::$with::<$calls>($($argument),*) }
        }
        $crate::export!(@ $calls: $($rest)*);
    };
}
