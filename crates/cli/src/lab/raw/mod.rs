//! What a subject does to memory, behind safe functions: blocks of malloc, mappings, the break, and what the kernel says.
//!
//! A subject must not disturb what it shows. So nothing here allocates: figures are collected in a buffer in the
//! program's data, tables of blocks lie in mappings of their own, files of `/proc` are read into a buffer as well.

mod block;
mod facts;
mod map;
mod out;

pub(in crate::lab) use block::{Block, fill, is_brkmap, mallinfo, statistics, table, trim, tune};
pub(in crate::lab) use facts::{available, faults, line_named, line_of, mappings, ram, resident, smaps, status};
pub(in crate::lab) use map::{How, Map, read_at};
pub(in crate::lab) use out::Out;

use brkmap_toolbox::calls::{self, Mapping};
use std::ptr::NonNull;

/// Bytes of an OS page.
pub(in crate::lab) fn os_page() -> usize {
    calls::os_page()
}

/// Why a subject could not do what it is there for: the system or a limit refused.
#[derive(Debug)]
pub(in crate::lab) struct Refusal(pub(in crate::lab) String);

impl From<brkmap_toolbox::Error> for Refusal {
    fn from(error: brkmap_toolbox::Error) -> Refusal {
        Refusal(error.to_string())
    }
}

/// The last error of libc as a refusal of `what`.
pub(in crate::lab) fn refused(what: &str) -> Refusal {
    Refusal(format!("{what}: {}", std::io::Error::last_os_error()))
}

/// errno of the last call.
pub(in crate::lab) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Begins a phase that a trace of the calls shows: a call that fails and does nothing.
pub(in crate::lab) fn mark(phase: &str) {
    // SAFETY: [valid-out-pointer] the text is alive; nothing is written to descriptor -1.
    unsafe { libc::syscall(libc::SYS_write, -1, phase.as_ptr(), phase.len()) };
}

fn touch(at: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(os_page()) {
        // SAFETY: [own-memory] the caller's range has this byte; volatile, so that the write is made.
        unsafe { at.add(offset).write_volatile(1) };
    }
}

/// Nanoseconds of the monotonic clock.
pub(in crate::lab) fn now() -> u64 {
    crate::os::clock(libc::CLOCK_MONOTONIC).unwrap_or_default().as_nanos() as u64
}

/// The least time of `rounds` runs, in nanoseconds.
pub(in crate::lab) fn least(rounds: usize, mut run: impl FnMut() -> Result<(), Refusal>) -> Result<u64, Refusal> {
    let mut least = u64::MAX;
    for _ in 0..rounds {
        let start = now();
        run()?;
        least = least.min(now() - start);
    }
    Ok(least)
}

/// Bytes before the first `wanted`, at the speed of libc's `memchr`; all if there is none.
pub(in crate::lab) fn until(bytes: &[u8], wanted: u8) -> u64 {
    // SAFETY: [own-memory] looks at the bytes of the slice alone.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(wanted), bytes.len()) };
    if found.is_null() { bytes.len() as u64 } else { (found.addr() - bytes.as_ptr().addr()) as u64 }
}

/// Whether bytes occur in others, at the speed of libc's `memmem`.
pub(in crate::lab) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    // SAFETY: [own-memory] looks at the bytes of the two slices alone.
    !unsafe { libc::memmem(bytes.as_ptr().cast(), bytes.len(), wanted.as_ptr().cast(), wanted.len()) }.is_null()
}

/// Waits until what goes back by itself has gone: VmRSS fell and then stood still for a second, 10 seconds at most. A
/// malloc that gives nothing back by itself is not waited for. Returns VmRSS.
pub(in crate::lab) fn settle() -> u64 {
    let start = status("VmRSS");
    let (mut last, mut still) = (start, 0);
    for _ in 0..if is_brkmap() { 500 } else { 5 } {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = status("VmRSS");
        still = if now == last { still + 1 } else { 0 };
        last = now;
        if still >= 50 && last + (1 << 20) < start {
            break;
        }
    }
    last
}

/// Stops this process until somebody lets it go on.
pub(in crate::lab) fn stop() {
    // SAFETY: [no-memory] takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// How many different numbers there are.
pub(in crate::lab) fn count_pages(numbers: impl Iterator<Item = u64>) -> Result<u64, Refusal> {
    const MOST: usize = 1 << 16;
    let range = calls::map(MOST * 8, &Mapping::new())?;
    // SAFETY: [own-memory] fresh, zeroed, known to nobody else; it stays.
    let seen = unsafe { std::slice::from_raw_parts_mut(range.cast::<u64>().as_ptr(), MOST) };
    let mut length = 0;
    for number in numbers.take(MOST) {
        seen[length] = number;
        length += 1;
    }
    seen[..length].sort_unstable();
    Ok(seen[..length].chunk_by(|a, b| a == b).count() as u64)
}

/// A system call that does nothing.
pub(in crate::lab) fn nothing_call() {
    // SAFETY: [no-memory] takes no pointer. The number, not libc's function, which may remember the answer.
    unsafe { libc::syscall(libc::SYS_getppid) };
}
