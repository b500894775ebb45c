//! The calls themselves, for those who want just them: the program break and mappings, each with its contract.
//!
//! | here | kernel | contract in one line |
//! |---|---|---|
//! | [`program_break`] | `brk(0)` | where the break is; always works |
//! | [`sbrk`] | `brk`, through libc | moves the break and returns where it was; unsafe: everybody shares it |
//! | [`raw_brk`] | `brk`, bare | the call below libc's; unsafe, and not to be mixed with `sbrk` |
//! | [`map`] | `mmap` | fresh zeroed memory that nobody else has; safe |
//! | [`map_file`] | `mmap` of a descriptor | memory that a file stands behind; safe to make, mind who else writes it |
//! | [`unmap`] | `munmap` | unsafe: nobody may use the range afterwards |
//! | [`remap`] | `mremap` | unsafe: the range may move |
//! | [`advise`] | `madvise` | unsafe: some advice throws the contents away |
//! | [`protect`] | `mprotect` | unsafe: takes rights away from memory that others may use |
//! | [`flush`] | `msync` | writes a file's memory back; safe |
//!
//! All sizes are in bytes. Where the kernel wants whole OS pages, the size is rounded up here and the result says how
//! long the range really is. errno is turned into an [`Error`](crate::Error) that names the call, the size and the remedy.
//!
//! # `brk` beside `sbrk`, and why they must not be mixed
//!
//! libc's `sbrk` does not ask the kernel where the break is: it keeps the last known place in a variable of its own and
//! calls `brk(that + increment)`. A program that moves the break by the bare call leaves this variable stale; the next
//! `sbrk`, perhaps by `malloc` itself, computes from the old place and *cuts off* what the bare call had added.
//!
//! ```standalone_crate
//! use brkmap_toolbox::calls;
//!
//! let start = calls::program_break();
//! // SAFETY: this process has one thread here, and nothing below allocates through libc between the two moves.
//! let (added, cut) = unsafe {
//!     let there = calls::raw_brk(start.wrapping_add(1 << 20)); // the kernel moved it …
//!     let _ = calls::sbrk(4096).expect("libc moves from where it believes the break to be"); // … libc does not know
//!     (there, calls::program_break())
//! };
//! assert_eq!(added.addr(), start.addr() + (1 << 20));
//! assert!(cut < added, "a megabyte is gone, and its owner does not know");
//! ```
//!
//! So this crate moves the break through libc's `sbrk` alone ([`source::ProgramBreak`](crate::source::ProgramBreak)),
//! and asks the kernel where it is. `raw_brk` is here for programs without libc, and to look.
//!
//! # Map, write, read back, unmap
//!
//! ```
//! use brkmap_toolbox::calls::{self, Mapping};
//!
//! let range = calls::map(10_000, &Mapping::new()).unwrap();
//! assert_eq!(range.len() % calls::os_page(), 0);
//! // SAFETY: the range is fresh and ours alone.
//! unsafe {
//!     range.cast::<u8>().write(42);
//!     assert_eq!(range.cast::<u8>().read(), 42);
//!     calls::unmap(range.cast(), range.len()).unwrap();
//! }
//! ```

mod mapping;
mod program_break;

#[cfg(feature = "std")]
pub use mapping::map_file;
#[cfg(feature = "std")]
pub(crate) use mapping::whole_pages;
pub use mapping::{Advice, Mapping, Protection, Visibility, advise, flush, map, os_page, protect, remap, unmap};
pub use program_break::{program_break, raw_brk, sbrk};

use crate::error::{Error, ErrorKind};

/// errno of this thread.
pub(crate) fn errno() -> i32 {
    // SAFETY: [libc-call] the function returns the address of this thread's errno, which lives as long as the thread.
    unsafe { *libc::__errno_location() }
}

/// The error of a call that has just failed.
pub(crate) fn refused(call: &'static str, bytes: usize) -> Error {
    refused_with(call, bytes, errno())
}

/// The same with a number in hand.
pub(crate) fn refused_with(call: &'static str, bytes: usize, errno: i32) -> Error {
    let remedy = match errno {
        libc::ENOMEM => "ask for less, or raise the limit: ulimit -v, the container's memory, or vm.max_map_count",
        libc::EACCES | libc::EPERM => "open the descriptor for writing, or ask for fewer rights",
        libc::EAGAIN => "raise the limit of locked memory: ulimit -l",
        libc::EBADF => "the descriptor must be open",
        libc::ENODEV => "this file system cannot map files; use another one",
        libc::ENOSPC => "make room on the file system",
        libc::ENOENT => "create the file first, or look at the path",
        libc::EEXIST => "open the file instead, or remove it",
        libc::EMFILE | libc::ENFILE => "close descriptors, or raise the limit: ulimit -n",
        libc::EFBIG => "raise the limit of file sizes: ulimit -f",
        libc::ENOSYS | libc::EOPNOTSUPP => "this kernel or file system does not know the call; do without it",
        _ => "check the size and the alignment of the range against the documentation of the call",
    };
    Error::new(ErrorKind::Refused(errno), call, bytes, remedy)
}
