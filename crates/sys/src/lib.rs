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
//! | `futex` | waiting for a lock | `sched_yield` and try again |
//! | `prctl(PR_SET_VMA)` | names in `/proc/PID/maps` | no names |
//! | `gettid`, `getpid` | whose lock, which process | numbers are made up |
//! | `clone`, `rt_sigprocmask` | the helper thread that gives memory back | the threads that free do it |
//! | `clock_gettime`, `getrandom` | ages, keys | 0; `AT_RANDOM` |
//! | `write`, `rt_sigaction`, `rt_sigprocmask`, `tgkill(SIGABRT)` | the fatal line | – |
//!
//! No other system call is made and no file is opened. Of libc only what `docs/SYSTEM_CALLS.md` lists is used: `sbrk`, a robust
//! mutex per heap, `pthread_atfork`, `getauxval`, `errno`.
#![cfg_attr(not(feature = "sim"), no_std)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

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

    /// Moves the break by `delta` bytes relative to where libc believes it is. `Some(old)`: the break was at `old` and
    /// is at `old + delta` now, checked against the kernel (which never reports an errno for `brk`). `None`: refused or
    /// only partly done; the caller gives the break up for good.
    ///
    /// # Safety
    /// A shrink must only drop memory of the caller. The caller serialises its own calls.
    unsafe fn move_break(&self, delta: isize) -> Option<usize>;

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

    /// Writes to fd 2 with one call; short or failed writes are not repeated.
    fn write_error(&self, text: &[u8]);

    /// Ends the process with SIGABRT, whatever handlers and masks are set (a handler that the program installed runs
    /// first, as with `abort`). The simulated kernel panics instead.
    fn abort(&self) -> !;
}
