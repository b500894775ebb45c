//! brkmap as a C library: `libbrkmap.so` (preload it, link it, open it) and `libbrkmap.a`.
//!
//! The symbols of malloc and brkmap's own (`brkmap.h`), and nothing else: `strdup`, `getline`, `operator new` reach malloc by name, so a program that
//! brings its own malloc keeps meeting its own blocks. All of them come from this one object; one that was left to libc
//! would answer for libc's empty heap.
#![no_std]
#![allow(unreachable_pub)] // the exported C functions are reached by name

mod control;
mod entry;
#[macro_use]
mod environment;
mod errno;
mod info;
mod neighbours;
mod platform;
mod report;
mod statistics;
mod text;
mod tuning;

/// The engine is built without unwinding; a panic is a bug in it and ends the process like any misuse.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    use brkmap_sys::Kernel;
    let kernel = brkmap_sys::linux::Linux;
    kernel.write_error(b"brkmap: fatal: internal error\n");
    kernel.abort()
}
