//! Sanitizers: their runtimes need a malloc of their own, so the library leaves such a program again.
//!
//! | runtime | what happens |
//! |---|---|
//! | linked in statically | its malloc is the program's own and stays in force; nothing to do |
//! | shared, before us in `LD_PRELOAD` | the same |
//! | shared, behind us | our malloc is in force, and the runtime would end the program (AddressSanitizer wants to come first), report races that are none (a block handed from thread to thread by a malloc that it cannot see) or miss leaks: the program is started again without us, with one line that says so |
//!
//! Shared AddressSanitizer starts before any constructor but one: ours, because the library is linked with `-z initfirst`.
//! Where another library has that flag too, it ends the program with a line of its own first.
//!
//! UndefinedBehaviorSanitizer has no malloc and works with ours.

use core::arch::asm;
use core::ffi::{CStr, c_char, c_int, c_long, c_ulong};
use core::ptr::{null, with_exposed_provenance};

use brkmap_sys::linux::Linux;
use brkmap_sys::{Kernel, weak_address};

use crate::platform::ENGINE;

type Text = *const c_char;

unsafe extern "C" {
    safe fn getauxval(kind: c_ulong) -> c_ulong;
    // The functions for these calls are the runtimes' own, which would start the runtime first.
    fn syscall(number: c_long, ...) -> c_long;
}

/// Looks for a sanitizer behind us when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: unsafe extern "C" fn(c_int, *const Text, *const Text) = at_load;

unsafe extern "C" fn at_load(_: c_int, arguments: *const Text, environment: *const Text) {
    if let Some(sanitizer) = sanitizer()
        && malloc_is_ours()
    {
        // SAFETY: [libc-contract] the loader passes the program's arguments and environment to each constructor.
        unsafe { leave(sanitizer, arguments, environment) };
    }
}

/// The sanitizer whose runtime is in the process and visible to us.
fn sanitizer() -> Option<&'static str> {
    let runtimes = [
        (weak_address!("__asan_init"), "AddressSanitizer"),
        (weak_address!("__tsan_init"), "ThreadSanitizer"),
        (weak_address!("__lsan_init"), "LeakSanitizer"),
    ];
    runtimes.into_iter().find(|runtime| runtime.0 != 0).map(|runtime| runtime.1)
}

/// Does the name `malloc` lead into this library (or the program that the archive is linked into)?
fn malloc_is_ours() -> bool {
    const HEADERS_AT: usize = 32;
    const HEADER_COUNT_AT: usize = 56;
    const HEADER_BYTES: usize = 56;
    const ADDRESS_AT: usize = 16;
    const MEMORY_BYTES_AT: usize = 40;
    const LOAD: u32 = 1;
    let (malloc, base): (usize, usize);
    // SAFETY: [weak-symbol] what the name malloc leads to for everyone; the ELF header of what this code is linked into, or 0.
    unsafe {
        asm!(
            ".weak __ehdr_start",
            ".hidden __ehdr_start",
            "mov {}, qword ptr [rip + malloc@GOTPCREL]",
            "mov {}, qword ptr [rip + __ehdr_start@GOTPCREL]",
            out(reg) malloc,
            out(reg) base,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    if base == 0 {
        return false;
    }
    // SAFETY: [weak-symbol] the ELF-64 header and the program headers behind it are mapped with the first segment.
    unsafe {
        let word = |at: usize| with_exposed_provenance::<u64>(base + at).read_unaligned() as usize;
        let count = with_exposed_provenance::<u16>(base + HEADER_COUNT_AT).read_unaligned();
        (0..usize::from(count)).map(|index| word(HEADERS_AT) + index * HEADER_BYTES).any(|header| {
            let kind = with_exposed_provenance::<u32>(base + header).read_unaligned();
            let start = base + word(header + ADDRESS_AT);
            kind == LOAD && (start..start + word(header + MEMORY_BYTES_AT)).contains(&malloc)
        })
    }
}

/// Starts the program again without this library; returns if that cannot be, with a line that says what to do.
///
/// # Safety
/// `arguments` and `environment` are arrays of strings that null ends.
unsafe fn leave(sanitizer: &str, arguments: *const Text, environment: *const Text) {
    const PATH_MAX: usize = 4096;
    const READLINK: c_long = 89;
    const EXECVE: c_long = 59;
    const AT_BASE: c_ulong = 7;
    // The loader was started by name, with the program as its argument: then /proc/self/exe is the loader.
    let by_loader = getauxval(AT_BASE) == 0;
    let mut path = [0 as c_char; PATH_MAX];
    // SAFETY: [libc-contract] the room is that of the buffer less one byte, which stays zero.
    let found = unsafe { syscall(READLINK, c"/proc/self/exe".as_ptr(), path.as_mut_ptr(), PATH_MAX - 1) } > 0;
    // SAFETY: [null-terminated] an array of strings that null ends.
    let without = unsafe { environment_without_us(environment) };
    if found && !by_loader && !without.is_null() {
        say(sanitizer, "; starting the program again without brkmap");
        // SAFETY: [libc-contract] strings and arrays that end as they must; returns only if it fails.
        unsafe { syscall(EXECVE, path.as_ptr(), arguments, without) };
    }
    say(
        sanitizer,
        " and may report what is not so; run the program without brkmap, or its runtime first in LD_PRELOAD",
    );
}

fn say(sanitizer: &str, rest: &str) {
    let mut line = [0u8; 256];
    let mut length = 0;
    for part in ["brkmap: this program has ", sanitizer, ", which needs its own malloc", rest, "\n"] {
        for &byte in part.as_bytes().iter().take(line.len() - length) {
            line[length] = byte;
            length += 1;
        }
    }
    Linux.write_error(&line[..length]);
}

/// A copy of the environment whose `LD_PRELOAD` does not name this library. Null: it did not, or there is no memory.
///
/// # Safety
/// `environment` is an array of strings that null ends.
unsafe fn environment_without_us(environment: *const Text) -> *const Text {
    const PRELOAD: &[u8] = b"LD_PRELOAD=";
    // SAFETY: [null-terminated] read up to the null that ends it.
    let entry = |index: usize| unsafe { environment.add(index).read() };
    let length = (0..).take_while(|&index| !entry(index).is_null()).count();
    let copy = ENGINE.allocate((length + 1) * size_of::<Text>()).cast::<Text>();
    if copy.is_null() {
        return null();
    }
    let (mut left, mut kept) = (false, 0);
    for index in 0..length {
        let mut text = entry(index);
        // SAFETY: [null-terminated] an entry is a string.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        if let Some(list) = bytes.strip_prefix(PRELOAD) {
            let fresh = ENGINE.allocate(bytes.len() + 1);
            if fresh.is_null() {
                return null();
            }
            // SAFETY: [fresh-block] as long as the text and its end, and what is written is never longer.
            let target = unsafe { core::slice::from_raw_parts_mut(fresh, bytes.len() + 1) };
            target.fill(0);
            target[..PRELOAD.len()].copy_from_slice(PRELOAD);
            left |= copy_others(list, &mut target[PRELOAD.len()..]);
            text = fresh.cast_const().cast();
        }
        // SAFETY: [fresh-block] room for the length and one more; `kept` stays below.
        unsafe { copy.add(kept).write(text) };
        kept += 1;
    }
    // SAFETY: [fresh-block] as above
    unsafe { copy.add(kept).write(null()) };
    if left { copy } else { null() }
}

/// Copies a list of libraries but for ours; `true` if ours was in it. The loader separates by colons and spaces.
fn copy_others(list: &[u8], target: &mut [u8]) -> bool {
    let (mut left, mut at) = (false, 0);
    for library in list.split(|byte| b": ".contains(byte)).filter(|library| !library.is_empty()) {
        let name = library.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if name.starts_with(b"libbrkmap") {
            left = true;
            continue;
        }
        if at > 0 {
            target[at] = b':';
            at += 1;
        }
        target[at..at + library.len()].copy_from_slice(library);
        at += library.len();
    }
    left
}
