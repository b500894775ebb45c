//! One word of thread-local storage in two instructions.
//!
//! `thread_local!` in a shared library calls `__tls_get_addr`, which costs more than a whole malloc. This is the
//! *initial-exec* form instead: an 8-byte slot at a fixed distance from the thread pointer, which the loader reserves in
//! the static TLS area (it works in an executable, in a library that is preloaded or linked, and, within the loader's
//! surplus, in one that is opened at run time). The slot of every thread, even of one that has not run yet, starts as the
//! address of a static, so the fast path needs no null test.
//!
//! ```
//! # use std::sync::atomic::AtomicU32;
//! struct Heap {
//!     count: AtomicU32,
//! }
//! static EMPTY: Heap = Heap { count: AtomicU32::new(0) };
//!
//! brkmap_sys::thread_word! {
//!     /// This thread's heap.
//!     mod current: Heap, "brkmap_example_thread_word", EMPTY
//! }
//!
//! fn main() {
//!     assert_eq!(current::get().cast_const(), &raw const EMPTY);
//!     let mut other = Heap { count: AtomicU32::new(1) };
//!     current::set(&raw mut other);
//!     assert_eq!(current::get(), &raw mut other);
//! }
//! ```
//!
//! The symbol is global, hidden and weak. Put the package's version into it (`concat!` with `env!` is accepted): two versions in one
//! program then have a slot each. Two copies of the *same* version in one link share a slot, which is right only if they
//! share the static too.

/// Defines `mod NAME: TYPE, "symbol", STATIC`: a module with `get() -> *mut TYPE` and `set(*mut TYPE)` on a thread-local
/// word that starts as the address of `STATIC`. See the [module](crate::linux::thread_word) for an example.
#[macro_export]
macro_rules! thread_word {
    ($(#[$attribute:meta])* $vis:vis mod $name:ident : $type:ty, $symbol:expr, $initial:path $(,)?) => {
        ::core::arch::global_asm!(
            ".pushsection .tdata,\"awT\",@progbits",
            ".p2align 3",
            concat!(".weak ", $symbol),
            concat!(".hidden ", $symbol),
            concat!(".type ", $symbol, ",@object"),
            concat!(".size ", $symbol, ",8"),
            concat!($symbol, ":"),
            ".quad {initial}",
            ".popsection",
            initial = sym $initial,
        );

        $(#[$attribute])*
        $vis mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// How far the slot lies from the thread pointer: the same in every thread, so it may be computed once.
            #[inline(always)]
            pub fn distance() -> usize {
                let distance: usize;
                // SAFETY: [thread-word] reads a constant that the loader (or the linker) has put in place
                unsafe {
                    ::core::arch::asm!(
                        concat!("mov {distance}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"),
                        distance = out(reg) distance,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                distance
            }

            /// This thread's word.
            #[inline(always)]
            pub fn get() -> *mut $type {
                let word: *mut $type;
                // SAFETY: [thread-word] reads the slot, which exists in every thread; not `pure`: a call in between may
                // have set it
                unsafe {
                    ::core::arch::asm!(
                        "mov {word}, qword ptr fs:[{distance}]",
                        word = lateout(reg) word,
                        distance = in(reg) distance(),
                        options(readonly, nostack, preserves_flags),
                    );
                }
                word
            }

            /// Sets this thread's word.
            #[inline(always)]
            pub fn set(word: *mut $type) {
                // SAFETY: [thread-word] writes the slot, which only this module reaches
                unsafe {
                    ::core::arch::asm!(
                        "mov qword ptr fs:[{distance}], {word}",
                        word = in(reg) word,
                        distance = in(reg) distance(),
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    };
}

/// The thread pointer: an address that differs between living threads.
#[inline(always)]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: [thread-word] the first word of the thread control block is its own address (x86-64 TLS ABI)
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(pure, readonly, nostack, preserves_flags));
    }
    pointer
}
