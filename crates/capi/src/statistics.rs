//! `brkmap_stats_get`: the figures of `brkmap.h` as one structure. Fields are only ever appended, so that a program and a
//! library of different versions understand each other: each fills or reads what both know.

use core::ffi::c_int;

use brkmap_core::Figures;
use brkmap_sys::SystemCall;

use crate::errno::EINVAL;
use crate::platform::ENGINE;

/// Version of the structure: grows with each field that is appended.
pub(crate) const VERSION: u32 = 1;
/// In `flags`: what is in memory was not told by the kernel, see `Figures::is_estimated`.
const ESTIMATED: u32 = 1;
/// Bytes of size, version and flags, which every version has.
const HEAD: usize = 16;

/// Defines the structure, and the figures of which it is made for the other two places that need them by name.
macro_rules! figures {
    ($($name:ident: $what:literal,)* ; $($call:ident: $count:expr,)*) => {
        /// `struct brkmap_stats` of `brkmap.h`, which says what each field means.
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types, missing_docs)]
        pub struct brkmap_stats {
            pub size: usize,
            pub version: u32,
            pub flags: u32,
            $(pub $name: u64,)*
            $(pub $call: u64,)*
        }

        impl brkmap_stats {
            fn of(figures: &Figures) -> brkmap_stats {
                brkmap_stats {
                    size: size_of::<brkmap_stats>(),
                    version: VERSION,
                    flags: if figures.is_estimated { ESTIMATED } else { 0 },
                    $($name: figures.$name,)*
                    $($call: $count,)*
                }
            }
        }

        /// A figure by its name, and what it is in a few words.
        pub(crate) fn figure(figures: &Figures, name: &str) -> Option<u64> {
            match name {
                $(stringify!($name) => Some(figures.$name),)*
                _ => None,
            }
        }

        /// The figures: name, and what it is in a few words.
        pub(crate) const FIGURES: &[(&str, &str)] = &[$((stringify!($name), $what)),*];
    };
}

figures! {
    allocated: "live blocks, with their rounding",
    active: "OS pages with a live byte",
    metadata: "the allocator's own records",
    resident: "in memory of what is mapped",
    mapped: "= active + retained + metadata",
    retained: "break and regions without a live byte",
    returnable: "in memory, on OS pages without a live byte",
    pinned: "in memory, free, on OS pages with live bytes",
    thread_cache: "free blocks that threads keep",
    resident_allocated: "in memory of allocated",
    resident_thread_cache: "in memory of thread_cache",
    resident_metadata: "in memory of metadata",
    live_blocks: "live blocks, a number",
    break_bytes: "on the program break",
    region_bytes: "in mappings that blocks share",
    direct: "blocks with a mapping of their own, a number",
    direct_bytes: "their mappings",
    direct_peak: "most of them at a time, a number",
    direct_peak_bytes: "most bytes of them at a time",
    heaps: "heaps of threads, a number",
    heaps_active: "those that a thread has, a number",
    mmap_threshold: "requests of this size get a mapping of their own",
    trim_threshold: "free bytes at the top of the break that stay",
    ;
    brk_calls: made(SystemCall::Brk),
    mmap_calls: made(SystemCall::Mmap),
    munmap_calls: made(SystemCall::Munmap),
    mremap_calls: made(SystemCall::Mremap),
    madvise_calls: made(SystemCall::Madvise),
    futex_calls: made(SystemCall::Futex),
    all_calls: SystemCall::ALL.into_iter().map(made).sum(),
    refused_calls: SystemCall::ALL.into_iter().map(|call| ENGINE.calls(call).refused).sum(),
}

fn made(call: SystemCall) -> u64 {
    ENGINE.calls(call).made
}

/// Fills `*stats`, of which the caller set `size`: the first `size` bytes, or as many as this library knows, and says in
/// `size` how many. EINVAL: null, or a size below that of size, version and flags.
///
/// # Safety
/// Null, or `stats->size` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brkmap_stats_get(stats: *mut brkmap_stats) -> c_int {
    if stats.is_null() {
        return EINVAL;
    }
    // SAFETY: [caller-memory] the size is the first field of every version.
    let room = unsafe { stats.cast::<usize>().read() };
    if room < HEAD {
        return EINVAL;
    }
    let mut own = brkmap_stats::of(&ENGINE.figures());
    own.size = room.min(size_of::<brkmap_stats>());
    // SAFETY: [caller-memory] as many bytes as the caller has; both sides are plain numbers.
    unsafe { (&raw const own).cast::<u8>().copy_to_nonoverlapping(stats.cast::<u8>(), own.size) };
    0
}
