//! What the heap says of itself: `mallinfo`, `mallinfo2`, `malloc_stats`, `malloc_info`.

use core::ffi::{c_char, c_int, c_void};
use core::fmt::{self, Write};

use brkmap_core::Stats;
use brkmap_sys::Kernel;
use brkmap_sys::linux::Linux;

use crate::errno::EINVAL;
use crate::platform::ENGINE;

macro_rules! mallinfo {
    ($name:ident, $word:ty) => {
        /// glibc's structure; sizes in bytes.
        #[repr(C)]
        #[allow(non_camel_case_types)]
        pub struct $name {
            arena: $word,
            ordblks: $word,
            smblks: $word,
            hblks: $word,
            hblkhd: $word,
            usmblks: $word,
            fsmblks: $word,
            uordblks: $word,
            fordblks: $word,
            keepcost: $word,
        }

        impl From<Stats> for $name {
            fn from(stats: Stats) -> Self {
                $name {
                    arena: stats.owned as $word,
                    ordblks: stats.free_pieces as $word,
                    smblks: 0,
                    hblks: stats.mappings as $word,
                    hblkhd: stats.mapped as $word,
                    usmblks: 0,
                    fsmblks: 0,
                    uordblks: stats.live as $word,
                    fordblks: stats.owned.saturating_sub(stats.live) as $word,
                    keepcost: stats.top as $word,
                }
            }
        }
    };
}

mallinfo!(mallinfo_t, c_int);
mallinfo!(mallinfo2_t, usize);

/// The census as glibc counts: the heaps, which hold the caches of threads, are memory in use, as glibc's caches are.
fn census() -> Stats {
    let mut stats = ENGINE.stats();
    stats.owned += stats.heaps;
    stats.live += stats.heaps;
    stats
}

/// The census as glibc's `struct mallinfo2`: `uordblks + fordblks = arena`, mapped blocks apart.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> mallinfo2_t {
    census().into()
}

/// [`mallinfo2`] cut to `int`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> mallinfo_t {
    census().into()
}

/// [`mallinfo`] under libc's own name.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_mallinfo() -> mallinfo_t {
    mallinfo()
}

/// Text on the stack, written with one call: nothing here allocates or is a cancellation point.
struct Buffer {
    text: [u8; 1536],
    length: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { text: [0; 1536], length: 0 }
    }
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.len() - self.length;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.text[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
        Ok(())
    }
}

/// Writes the census to stderr, in glibc's words.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    let stats = census();
    let mut text = Buffer::new();
    let _ = write!(
        text,
        "Arena 0:\nsystem bytes     = {:10}\nin use bytes     = {:10}\n\
         Total (incl. mmap):\nsystem bytes     = {:10}\nin use bytes     = {:10}\n\
         max mmap regions = {:10}\nmax mmap bytes   = {:10}\n",
        stats.owned,
        stats.live,
        stats.owned + stats.mapped,
        stats.live + stats.mapped,
        stats.mappings_peak,
        stats.mapped_peak,
    );
    Linux.write_error(&text.text[..text.length]);
}

unsafe extern "C" {
    fn fputs(text: *const c_char, stream: *mut c_void) -> c_int;
}

/// Writes the census to a stream as glibc's XML, version 1. `options` must be 0, else EINVAL is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        return EINVAL;
    }
    let stats = census();
    let free = stats.owned.saturating_sub(stats.live);
    let pieces = stats.free_pieces;
    let mut text = Buffer::new();
    let heap = |text: &mut Buffer| {
        write!(
            text,
            "<total type=\"fast\" count=\"0\" size=\"0\"/>\n<total type=\"rest\" count=\"{pieces}\" size=\"{free}\"/>\n"
        )
    };
    let system = |text: &mut Buffer| {
        let owned = stats.owned;
        write!(
            text,
            "<system type=\"current\" size=\"{owned}\"/>\n<system type=\"max\" size=\"{owned}\"/>\n\
             <aspace type=\"total\" size=\"{owned}\"/>\n<aspace type=\"mprotect\" size=\"{owned}\"/>\n"
        )
    };
    let _ = write!(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
    let _ = heap(&mut text);
    let _ = system(&mut text);
    let _ = writeln!(text, "</heap>");
    let _ = heap(&mut text);
    let _ = writeln!(text, "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>", stats.mappings, stats.mapped);
    let _ = system(&mut text);
    let _ = write!(text, "</malloc>\n\0");
    // SAFETY: malloc_info's contract: a stream open for writing; the text ends with a zero byte and fits the buffer.
    unsafe { fputs(text.text.as_ptr().cast(), stream) };
    0
}
