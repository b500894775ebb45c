//! The kernel as brkmap uses it: one contract per primitive.
//!
//! Porting brkmap means reading this file. There are two kernels: [`Linux`](linux::Linux) (the only place with `asm!`)
//! and, with the feature `sim`, [`Sim`](sim::Sim), a deterministic fake that fails on demand, lies about purging, moves
//! the break and runs out of mappings.
//!
//! # The system calls of the library
//!
//! | call | for | if it is refused |
//! |---|---|---|
//! | `brk` (through libc's `sbrk` on glibc) | the main heap | mappings take over, for good |
//! | `mmap`, `munmap`, `mremap` | regions, large blocks, metadata | `ENOMEM`; the range is kept; copy |
//! | `madvise` | giving memory back, huge pages | the memory stays, zeroing by hand |
//! | `mincore` | what is in memory, for statistics | the figures come from the books |
//! | `process_madvise` | giving many pieces back at once | `madvise` for each |
//! | `futex` | waiting for a lock | `sched_yield` and try again |
//! | `prctl(PR_SET_VMA)` | names in `/proc/PID/maps` | no names |
//! | `gettid`, `getpid` | whose lock, which process | numbers are made up |
//! | `clone`, `rt_sigprocmask` | the helper thread that gives memory back | the threads that free do it |
//! | `clock_gettime`, `getrandom` | ages, keys | 0; `AT_RANDOM` |
//! | `openat`, `read`, `close` | how much room a control group has | no limit is known of |
//! | `openat`, `pread64`, `close` | does a forked child share memory | memory goes back all the same |
//! | `write`, `rt_sigaction`, `rt_sigprocmask`, `tgkill(SIGABRT)` | the fatal line | – |
//!
//! No other system call is made and no descriptor is kept. Of libc only what `docs/SYSTEM_CALLS.md` lists is used: `sbrk`, a robust
//! mutex per heap, `pthread_atfork`, `getauxval`, `errno`.
#![cfg_attr(not(feature = "sim"), no_std)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32};

mod calls;
pub mod linux;
#[cfg(feature = "sim")]
pub mod sim;

pub use calls::{Calls, SystemCall};

/// Puts a reference's address into a register of its own. Recent cores forward a store to the next load of the same
/// address without latency if both name it as register plus constant; compilers fold `base + index` into the access.
#[inline(always)]
pub fn in_register<T>(reference: &T) -> &T {
    linux::in_register(reference)
}

/// `number * by`, in the register of `number`: compilers copy the other one, where both are needed no less.
#[inline(always)]
pub fn multiply(number: usize, by: usize) -> usize {
    linux::multiply(number, by)
}

/// Counts a field of a record down by one, by the only thread that writes it: not one atomic step. Is it zero or less now?
/// One instruction whose flags are the answer, which compilers do not make of a relaxed load and store.
///
/// # Safety
/// *[record-field]* `OFFSET` is the offset of an `AtomicI32` in `T`.
#[inline(always)]
pub unsafe fn count_down<const OFFSET: usize, T>(record: &T) -> bool {
    // SAFETY: [record-field] promised by the caller.
    unsafe { linux::count_down::<OFFSET, T>(record) }
}

/// Has the word at a place this value? A relaxed load and a compare, in the one instruction that compilers make of plain loads
/// only.
///
/// # Safety
/// *[record-field]* An `AtomicUsize` lies `OFFSET + more` bytes behind the start of the record.
#[inline(always)]
pub unsafe fn word_is<const OFFSET: usize, T>(record: *const T, more: usize, value: usize) -> bool {
    // SAFETY: [record-field] promised by the caller.
    unsafe { linux::word_is::<OFFSET, T>(record, more, value) }
}

/// Which of 16 bytes are odd, a bit each, the first one's lowest. Each byte is read as an acquire load reads it, in no order
/// among them; compilers do not read atomic bytes together.
#[inline(always)]
pub fn odd_bytes(bytes: &[AtomicU8; 16]) -> u16 {
    linux::odd_bytes(bytes)
}

/// Which of 16 bytes have a value; read as by [`odd_bytes`].
#[inline(always)]
pub fn bytes_equal(bytes: &[AtomicU8; 16], value: u8) -> u16 {
    linux::bytes_equal(bytes, value)
}

/// Asks for the cache line at an address, if there is one; never faults.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    linux::prefetch(address);
}

/// The same number, of which the compiler knows nothing any more.
#[inline(always)]
pub fn opaque(number: usize) -> usize {
    linux::opaque(number)
}

/// How a mapping will be used; only a hint to the kernel, the memory is readable, writable, private and zero in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A region that many blocks will share; most of it is not touched yet.
    Region,
    /// One large block.
    Direct,
    /// The engine's own records.
    Metadata,
}

/// May `remap` move the block?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The kernel may choose another address.
    Allowed,
    /// Only in place.
    Forbidden,
}

/// What reading a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRead {
    /// It was read, as far as was wanted.
    Done,
    /// There is no such file.
    Missing,
    /// Not now: no descriptor is free, or a signal came.
    Later,
    /// The kernel, or a filter, does not allow it, or it does not end.
    Refused,
}

/// A page-aligned range of addresses; laid out as the kernel's `struct iovec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Range {
    /// First address.
    pub start: usize,
    /// Length, in bytes.
    pub bytes: usize,
}

/// What [`Kernel::purge_ranges`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Ranges that were purged, from the first on.
    pub ranges: usize,
    /// System calls that this took.
    pub calls: usize,
}

/// Room for what tells whether a thread is gone: see [`Kernel::mark_thread`]. It must stay where it is, and mapped.
#[repr(C, align(8))]
pub struct ThreadMark(pub(crate) [AtomicU32; 16]);

impl ThreadMark {
    /// A mark of nobody.
    pub const fn new() -> ThreadMark {
        ThreadMark([const { AtomicU32::new(0) }; 16])
    }
}

impl Default for ThreadMark {
    fn default() -> Self {
        ThreadMark::new()
    }
}

/// The kernel. Every primitive is safe to call from any thread, from a signal handler and before `main`, allocates
/// nothing and leaves `errno` alone. Lengths are in bytes.
pub trait Kernel: Sync {
    /// Bytes of an OS page: a power of two, 4096 or more, constant for the life of the process.
    fn page_size(&self) -> usize;

    /// Maps `len` bytes (a multiple of the page size, not 0) of zeros, near `hint` where that range is free (0 = anywhere).
    /// The result is page aligned, lies below 2^47 and overlaps nothing. `None`: refused, nothing changed.
    fn map(&self, hint: usize, len: usize, purpose: Purpose) -> Option<NonNull<u8>>;

    /// Unmaps a page-aligned range. `false`: refused (the limit of mappings), the range is as it was.
    ///
    /// # Safety
    /// The range was mapped through this kernel and nobody uses it any more.
    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool;

    /// Resizes a mapping made by `map`; contents up to the smaller length are kept, new bytes are zero. `None`: refused,
    /// the mapping is as it was.
    ///
    /// # Safety
    /// The whole of `start..start + old` is one mapping of the caller, and if it moves nobody uses the old addresses.
    unsafe fn remap(&self, start: NonNull<u8>, old: usize, new: usize, may: Move) -> Option<NonNull<u8>>;

    /// Gives the contents of a page-aligned range back; the range stays mapped and reads as zero afterwards, if `true`.
    /// `false`: refused, the contents are as they were. A kernel may *lie* (`true`, contents kept): the caller that
    /// needs zeros checks [`purge_is_honest`](Kernel::purge_is_honest).
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is still needed.
    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool;

    /// [`purge`](Kernel::purge) for each of the ranges, in order, with few system calls. It ends at the first range that
    /// is refused; that one may be purged in part.
    ///
    /// # Safety
    /// As [`purge`](Kernel::purge), for each.
    unsafe fn purge_ranges(&self, ranges: &[Range]) -> Purged {
        let mut purged = Purged::default();
        for range in ranges {
            let start = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(range.start));
            purged.calls += 1;
            // SAFETY: [caller-owns-range] the caller's promise
            if !start.is_some_and(|start| unsafe { self.purge(start, range.bytes) }) {
                break;
            }
            purged.ranges += 1;
        }
        purged
    }

    /// [`purge_ranges`](Kernel::purge_ranges) for contents that may stay until the kernel needs the memory: each OS page holds
    /// what it held, or zeros, until it is written. Where the kernel does not know this, it purges.
    ///
    /// # Safety
    /// As [`purge`](Kernel::purge), for each.
    unsafe fn purge_lazily(&self, ranges: &[Range]) -> Purged {
        // SAFETY: [caller-owns-range] the caller's promise
        unsafe { self.purge_ranges(ranges) }
    }

    /// Asks that a page-aligned range be made of huge pages from its first use on, or no longer. A refusal is no matter.
    fn advise_huge(&self, start: NonNull<u8>, len: usize, wanted: bool) {
        let _ = (start, len, wanted);
    }

    /// Makes OS pages of the huge pages that these page-aligned ranges are parts of, where there are any. A huge page of which
    /// parts are purged leaves the resident size, but stays whole in the kernel's books, and on the account of the control
    /// group, until memory runs short; one that was split first goes back piece by piece. Contents stay. A refusal is no
    /// matter.
    fn split_huge(&self, ranges: &[Range]) {
        let _ = ranges;
    }

    /// Does a purged page read as zero? Found out by trying, once; emulators and sandboxes answer "done" and do nothing.
    fn purge_is_honest(&self) -> bool;

    /// Asks which OS pages from the page-aligned address `start` on are in memory: one byte each, whose bit 0 is set if it
    /// is. `false`: refused, or not all of the range is mapped; `pages` may hold anything then.
    fn resident(&self, start: usize, pages: &mut [u8]) -> bool {
        let _ = (start, pages);
        false
    }

    /// How often calls of this kind were made.
    fn calls(&self, call: SystemCall) -> Calls {
        let _ = call;
        Calls::default()
    }

    /// Names a mapping in `/proc/PID/maps`, where the kernel can.
    fn name(&self, start: NonNull<u8>, len: usize, name: &'static core::ffi::CStr);

    /// The present program break as the *kernel* has it. `None`: the call is refused.
    fn program_break(&self) -> Option<usize>;

    /// Moves the break by `delta` bytes from `from`, where [`program_break`](Kernel::program_break) just said it is; refused if
    /// libc believes otherwise. `Some(old)`: the break was at `old` and is at `old + delta` now, checked against the kernel
    /// (which never reports an errno for `brk`); `old` is not `from` if somebody came in between. `None`: refused or only
    /// partly done; the caller gives the break up for good.
    ///
    /// # Safety
    /// A shrink must only drop memory of the caller. The caller serialises its own calls.
    unsafe fn move_break(&self, from: usize, delta: isize) -> Option<usize>;

    /// Sleeps until `wake` on the same word, if it still holds `expected`; at most `timeout_ms`. May wake early.
    fn wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32);

    /// [`wait`](Kernel::wait) for a word that the kernel itself clears and wakes ([`spawn`](Kernel::spawn)).
    fn wait_shared(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        self.wait(word, expected, timeout_ms);
    }

    /// Wakes up to `count` sleepers on the word.
    fn wake(&self, word: &AtomicU32, count: u32);

    /// Starts a thread that runs `entry` once and ends: it shares everything with the process but blocks all signals, has
    /// no libc thread behind it, and may touch `thread_bytes` bytes below its thread pointer. `alive` is not 0 from before
    /// the thread runs until it has left `memory`. `false`: refused; `alive` is 0.
    ///
    /// # Safety
    /// `memory` is the thread's alone while `alive` is not 0; it holds its stack (the lower part) and its thread area.
    /// `entry` needs no more of libc than `thread_bytes` covers.
    unsafe fn spawn(
        &self,
        memory: NonNull<u8>,
        len: usize,
        thread_bytes: usize,
        entry: extern "C" fn(),
        alive: &AtomicU32,
    ) -> bool {
        let _ = (memory, len, thread_bytes, entry, alive);
        false
    }

    /// A thread made by [`spawn`](Kernel::spawn) needs no rights: it gives up what it can of those it was started with.
    fn shed_rights(&self) {}

    /// Has the process changed its user since that thread was started? libc changes the credentials of each thread that it
    /// knows, and it does not know this one, which has to end then. `false` when in doubt.
    fn rights_changed(&self) -> bool {
        false
    }

    /// The calling thread's id; never 0, below 2^30.
    fn thread_id(&self) -> u32;

    /// Marks the calling thread as living, until it ends; its id, or 0 if it cannot be marked (its end will not be seen).
    /// The mark was never set, or its thread has ended, or it was copied by a fork.
    fn mark_thread(&self, mark: &ThreadMark) -> u32 {
        let id = self.thread_id();
        mark.0[0].store(id, core::sync::atomic::Ordering::Relaxed);
        id
    }

    /// Has the thread ended that set the mark? `false` when in doubt.
    fn thread_ended(&self, mark: &ThreadMark) -> bool {
        let id = mark.0[0].load(core::sync::atomic::Ordering::Relaxed);
        id != 0 && !self.thread_lives(id)
    }

    /// The process id.
    fn process_id(&self) -> u32;

    /// Is there a thread of this process with that id? `true` when in doubt.
    fn thread_lives(&self, thread: u32) -> bool;

    /// Monotonic milliseconds; coarse, cheap. 0 if there is no clock.
    fn now_ms(&self) -> u64;

    /// Random bits for keys, not for cryptography.
    fn random(&self) -> u64;

    /// Reads a file of the system (64 KiB at most) from its beginning: `take` gets one piece after the other, cut anywhere,
    /// until the file ends or it has enough and answers `false`. It is opened, read and closed within the call. Unless
    /// `Done`, what `take` got may be a part.
    fn read_file(&self, path: &core::ffi::CStr, take: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
        let _ = (path, take);
        FileRead::Refused
    }

    /// Is the OS page at this address, which is the caller's, private and in memory, mapped by another process too, because one
    /// was forked from the other and neither has written to it since? `false` when in doubt.
    fn is_shared(&self, page: NonNull<u8>) -> bool {
        let _ = page;
        false
    }

    /// Writes to fd 2 with one call; short or failed writes are not repeated.
    fn write_error(&self, text: &[u8]);

    /// Ends the process with SIGABRT, whatever handlers and masks are set (a handler that the program installed runs
    /// first, as with `abort`). The simulated kernel panics instead.
    fn abort(&self) -> !;
}
