//! The Linux kernel, by raw system calls.
//!
//! ```text
//!   syscall         the instruction itself, one function per number of arguments
//!   tally           how often each was made
//!   libc            what has to go through libc: getauxval, sbrk, errno
//!   program_break   the break, asked of the kernel, moved through libc
//!   give_back       purging, one range or many
//!   helper          a thread of the kernel's making, without libc
//!   files           reading a file of the system, or an entry of one
//!   end             ending the process with SIGABRT
//!   thread_word     one word of thread-local storage in two instructions
//!   thread_mark     knowing that a thread is gone
//!   at_fork         functions to run around fork
//!   weak            symbols that may be nowhere
//! ```
//!
//! An interposed libc function could call `malloc` or take a lock that a signal handler interrupted, so nothing here calls
//! one, except `getauxval` (reads a vector) and `sbrk` (see `program_break`).

use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use crate::{Calls, FileRead, Kernel, Move, Purged, Purpose, Range, SystemCall, ThreadMark};
use syscall::number as nr;
use syscall::{EINVAL, ENOSYS, EPERM, ESRCH, refused};

pub mod at_fork;
mod end;
mod files;
mod give_back;
pub mod helper;
mod libc;
mod program_break;
mod syscall;
mod tally;
mod thread_mark;
pub mod thread_word;
mod weak;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
compile_error!(
    "brkmap-sys knows the system calls and the thread pointer of Linux on x86-64 only; build for x86_64-*-linux-*"
);

const PROT_READ_WRITE: usize = 1 | 2;
const MAP_PRIVATE_ANONYMOUS: usize = 0x02 | 0x20;
const MREMAP_MAYMOVE: usize = 1;
const MADV_DONTNEED: usize = 4;
const FUTEX_WAIT: usize = 0;
const FUTEX_WAIT_PRIVATE: usize = 128;
const FUTEX_WAKE_PRIVATE: usize = 1 | 128;
const PR_SET_VMA: usize = 0x5356_4d41;
const PR_SET_VMA_ANON_NAME: usize = 0;
const CLOCK_MONOTONIC_COARSE: usize = 6;
const GRND_NONBLOCK: usize = 1;
const STDERR: usize = 2;

/// Bits of an entry of `/proc/PID/pagemap`: in memory; mapped by this process alone.
const PAGE_PRESENT: u64 = 1 << 63;
const PAGE_EXCLUSIVE: u64 = 1 << 56;

/// User addresses end here; the kernel goes higher only for who asks.
const ADDRESS_END: usize = 1 << 47;

/// The kernel of this machine. A value of it is nothing but permission to call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linux;

/// `struct timespec` of the kernel.
#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

/// 0: not asked yet.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
/// The kernel has no names for mappings.
static NAMES_REFUSED: AtomicBool = AtomicBool::new(false);
/// A sandbox refuses `gettid`: ids are made up, so liveness cannot be asked.
static THREAD_ID_REFUSED: AtomicBool = AtomicBool::new(false);
/// One of the three below.
static PURGE: AtomicU8 = AtomicU8::new(PURGE_UNKNOWN);
const PURGE_UNKNOWN: u8 = 0;
const PURGE_HONEST: u8 = 1;
const PURGE_LIES: u8 = 2;

impl Kernel for Linux {
    #[inline]
    fn page_size(&self) -> usize {
        match PAGE_SIZE.load(Ordering::Relaxed) {
            0 => ask_page_size(),
            known => known,
        }
    }

    fn map(&self, hint: usize, len: usize, _purpose: Purpose) -> Option<NonNull<u8>> {
        // SAFETY: [fresh-mapping] without MAP_FIXED the kernel picks a free range; nothing that exists changes
        let result =
            unsafe { syscall::call6(nr::MMAP, hint, len, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0) };
        if refused(result) {
            return None;
        }
        if result.saturating_add(len) > ADDRESS_END {
            // Only a hint above 2^47 leads there, and the page map could not name such a block.
            // SAFETY: [fresh-mapping] mapped three lines above, nobody knows it
            unsafe { syscall::call2(nr::MUNMAP, result, len) };
            return None;
        }
        NonNull::new(result as *mut u8)
    }

    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: [caller-owns-range] the caller's promise
        !refused(unsafe { syscall::call2(nr::MUNMAP, start.as_ptr() as usize, len) })
    }

    unsafe fn remap(&self, start: NonNull<u8>, old: usize, new: usize, may: Move) -> Option<NonNull<u8>> {
        let flags = match may {
            Move::Allowed => MREMAP_MAYMOVE,
            Move::Forbidden => 0,
        };
        // SAFETY: [caller-owns-range] the caller's promise, for the old range and for a move
        let result = unsafe { syscall::call4(nr::MREMAP, start.as_ptr() as usize, old, new, flags) };
        if refused(result) { None } else { NonNull::new(result as *mut u8) }
    }

    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: [caller-owns-range] the caller's promise: nothing in it is needed
        unsafe { give_back::purge(start, len, MADV_DONTNEED) }
    }

    unsafe fn purge_ranges(&self, ranges: &[Range]) -> Purged {
        // SAFETY: [caller-owns-range] the caller's promise, for each
        unsafe { give_back::purge_ranges(ranges, MADV_DONTNEED) }
    }

    unsafe fn purge_lazily(&self, ranges: &[Range]) -> Purged {
        // SAFETY: [caller-owns-range] the caller's promise, for each
        unsafe { give_back::purge_lazily(ranges) }
    }

    fn advise_huge(&self, start: NonNull<u8>, len: usize, wanted: bool) {
        give_back::advise_huge(start, len, wanted);
    }

    fn split_huge(&self, ranges: &[Range]) {
        give_back::split_huge(ranges);
    }

    fn purge_is_honest(&self) -> bool {
        match PURGE.load(Ordering::Relaxed) {
            PURGE_UNKNOWN => try_purge(*self),
            known => known == PURGE_HONEST,
        }
    }

    fn resident(&self, start: usize, pages: &mut [u8]) -> bool {
        let len = pages.len() * self.page_size();
        // SAFETY: [out-argument] the kernel writes one byte per OS page of the range into `pages`
        !refused(unsafe { syscall::call3(nr::MINCORE, start, len, pages.as_mut_ptr() as usize) })
    }

    fn calls(&self, call: SystemCall) -> Calls {
        tally::of(call)
    }

    fn name(&self, start: NonNull<u8>, len: usize, name: &'static CStr) {
        if NAMES_REFUSED.load(Ordering::Relaxed) {
            return;
        }
        let (start, name) = (start.as_ptr() as usize, name.as_ptr() as usize);
        // SAFETY: [no-memory-effect] the call reads the name and changes a label only
        let result = unsafe { syscall::call5(nr::PRCTL, PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, len, name) };
        if [EINVAL, ENOSYS, EPERM].iter().any(|&error| syscall::is(result, error)) {
            NAMES_REFUSED.store(true, Ordering::Relaxed);
        }
    }

    fn program_break(&self) -> Option<usize> {
        program_break::now()
    }

    unsafe fn move_break(&self, from: usize, delta: isize) -> Option<usize> {
        // SAFETY: [caller-owns-range] the caller's promise: a shrink drops only memory of the caller
        unsafe { program_break::shift(from, delta) }
    }

    unsafe fn spawn(
        &self,
        memory: NonNull<u8>,
        len: usize,
        thread_bytes: usize,
        entry: extern "C" fn(),
        alive: &AtomicU32,
    ) -> bool {
        // SAFETY: [helper-memory] the caller's promise
        unsafe { helper::spawn(memory, len, thread_bytes, entry, alive) }
    }

    fn wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        futex_wait(FUTEX_WAIT_PRIVATE, word, expected, timeout_ms);
    }

    fn wait_shared(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        // The kernel wakes the word of a thread that ends as one that several processes may share.
        futex_wait(FUTEX_WAIT, word, expected, timeout_ms);
    }

    fn wake(&self, word: &AtomicU32, count: u32) {
        // The kernel's count is an int.
        let count = count.min(i32::MAX as u32) as usize;
        // SAFETY: [no-memory-effect] the word is only an address to the kernel; where it is refused nobody sleeps either
        unsafe { syscall::call3(nr::FUTEX, word.as_ptr() as usize, FUTEX_WAKE_PRIVATE, count) };
    }

    fn shed_rights(&self) {
        helper::shed_rights();
    }

    fn rights_changed(&self) -> bool {
        helper::rights_changed(self.process_id())
    }

    fn thread_id(&self) -> u32 {
        // SAFETY: [no-memory-effect] takes no argument
        let result = unsafe { syscall::call0(nr::GETTID) };
        if refused(result) || result == 0 {
            THREAD_ID_REFUSED.store(true, Ordering::Relaxed);
            // Different for each living thread; thread_lives stops asking the kernel about it.
            return (thread_word::thread_pointer() >> 6) as u32 & ((1 << 30) - 1) | 1;
        }
        result as u32
    }

    fn mark_thread(&self, mark: &ThreadMark) -> u32 {
        thread_mark::set(mark)
    }

    fn thread_ended(&self, mark: &ThreadMark) -> bool {
        thread_mark::is_ended(mark)
    }

    fn process_id(&self) -> u32 {
        // SAFETY: [no-memory-effect] takes no argument
        let result = unsafe { syscall::call0(nr::GETPID) };
        if refused(result) { 0 } else { result as u32 }
    }

    fn thread_lives(&self, thread: u32) -> bool {
        if THREAD_ID_REFUSED.load(Ordering::Relaxed) {
            return true;
        }
        // SAFETY: [no-memory-effect] signal 0 only asks
        let result = unsafe { syscall::call3(nr::TGKILL, self.process_id() as usize, thread as usize, 0) };
        !syscall::is(result, ESRCH)
    }

    fn now_ms(&self) -> u64 {
        clock().map_or(0, |time| time.seconds as u64 * 1000 + time.nanoseconds as u64 / 1_000_000)
    }

    fn random(&self) -> u64 {
        let mut bits = 0u64;
        let size = size_of::<u64>();
        // SAFETY: [out-argument] the kernel writes at most `size` bytes into `bits`
        let got = unsafe { syscall::call3(nr::GETRANDOM, &raw mut bits as usize, size, GRND_NONBLOCK) };
        if got == size { bits } else { random_of_start() }
    }

    fn read_file(&self, path: &CStr, take: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
        files::read(path, take)
    }

    fn is_shared(&self, page: NonNull<u8>) -> bool {
        let entry = files::pagemap(page.as_ptr() as usize / self.page_size());
        entry.is_some_and(|entry| entry & PAGE_PRESENT != 0 && entry & PAGE_EXCLUSIVE == 0)
    }

    fn write_error(&self, text: &[u8]) {
        // SAFETY: [no-memory-effect] the kernel reads `text`
        unsafe { syscall::call3(nr::WRITE, STDERR, text.as_ptr() as usize, text.len()) };
    }

    #[cold]
    fn abort(&self) -> ! {
        end::abort()
    }
}

#[cold]
fn ask_page_size() -> usize {
    let told = libc::auxiliary(libc::AT_PAGESZ).unwrap_or(0);
    let size = if told.is_power_of_two() && told >= 4096 { told } else { 4096 };
    PAGE_SIZE.store(size, Ordering::Relaxed);
    size
}

/// Writes to a page of its own, purges it and looks. Threads that come here together each try, with the same result.
#[cold]
fn try_purge(kernel: Linux) -> bool {
    let size = kernel.page_size();
    let Some(page) = kernel.map(0, size, Purpose::Metadata) else {
        // Unknown this time: say the careful thing, ask again later.
        return false;
    };
    // SAFETY: [fresh-mapping] a page of our own, writable, nobody else knows it; volatile: the kernel changes it
    let honest = unsafe {
        ptr::write_volatile(page.as_ptr(), 0xA5);
        kernel.purge(page, size) && ptr::read_volatile(page.as_ptr()) == 0
    };
    // SAFETY: [fresh-mapping] as above, and we are done with it
    unsafe { kernel.unmap(page, size) };
    PURGE.store(if honest { PURGE_HONEST } else { PURGE_LIES }, Ordering::Relaxed);
    honest
}

fn clock() -> Option<TimeSpec> {
    let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: [out-argument] the kernel writes one timespec into `time`
    let result = unsafe { syscall::call2(nr::CLOCK_GETTIME, CLOCK_MONOTONIC_COARSE, &raw mut time as usize) };
    if refused(result) { None } else { Some(time) }
}

fn futex_wait(operation: usize, word: &AtomicU32, expected: u32, timeout_ms: u32) {
    let limit =
        TimeSpec { seconds: i64::from(timeout_ms / 1000), nanoseconds: i64::from(timeout_ms % 1000) * 1_000_000 };
    let (word, limit) = (word.as_ptr() as usize, &raw const limit as usize);
    // SAFETY: [no-memory-effect] the call reads the word and the time limit, both alive until it returns
    let result = unsafe { syscall::call4(nr::FUTEX, word, operation, expected as usize, limit) };
    if syscall::is(result, ENOSYS) || syscall::is(result, EPERM) {
        // SAFETY: [no-memory-effect] takes no argument
        unsafe { syscall::call0(nr::SCHED_YIELD) };
    }
}

/// The bytes that the kernel gave the process at its start, mixed with the clock and a stack address, so that two calls
/// differ.
#[cold]
fn random_of_start() -> u64 {
    let mut bits = libc::start_random();
    if let Some(time) = clock() {
        bits ^= (time.seconds as u64).rotate_left(32) ^ time.nanoseconds as u64;
    }
    bits ^= (&raw const bits as u64).rotate_left(17);
    // The finaliser of splitmix64: every input bit reaches every output bit.
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// See [`in_register`](crate::in_register).
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "only the number passes; nothing behind it is touched")]
pub(crate) fn in_register<T>(reference: &T) -> &T {
    let mut address: *const T = reference;
    // SAFETY: [register] the instruction is empty: the address comes out as it went in.
    unsafe {
        core::arch::asm!("/* {} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
        &*address
    }
}

/// See [`opaque`](crate::opaque).
#[inline(always)]
pub(crate) fn opaque(mut number: usize) -> usize {
    // SAFETY: [register] the instruction is empty.
    unsafe { core::arch::asm!("/* {} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags)) };
    number
}

/// See [`multiply`](crate::multiply).
#[inline(always)]
pub(crate) fn multiply(number: usize, by: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let mut product = number;
        // SAFETY: [register] computes in registers alone.
        unsafe { core::arch::asm!("imul {}, {}", inout(reg) product, in(reg) by, options(pure, nomem, nostack)) };
        product
    }
    #[cfg(not(target_arch = "x86_64"))]
    number.wrapping_mul(by)
}

/// See [`count_down`](crate::count_down).
///
/// # Safety
/// [record-field].
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn count_down<const OFFSET: usize, T>(record: &T) -> bool {
    // SAFETY: [record-field] a load and a store of the counter, each of which is whole, as relaxed ones are.
    unsafe {
        core::arch::asm!(
            "dec dword ptr [{} + {}]",
            "jle {}",
            in(reg) &raw const *record,
            const OFFSET,
            label { return true },
            options(nostack),
        );
    }
    false
}

/// See [`word_is`](crate::word_is).
///
/// # Safety
/// [record-field].
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn word_is<const OFFSET: usize, T>(record: *const T, more: usize, value: usize) -> bool {
    // SAFETY: [record-field] reads the word as a relaxed load does.
    unsafe {
        core::arch::asm!(
            "cmp qword ptr [{} + {} + {}], {}",
            "jne {}",
            in(reg) record,
            in(reg) more,
            const OFFSET,
            in(reg) value,
            label { return false },
            options(readonly, nostack),
        );
    }
    true
}

/// See [`count_down`](crate::count_down).
///
/// # Safety
/// [record-field].
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn count_down<const OFFSET: usize, T>(record: &T) -> bool {
    // SAFETY: [record-field].
    let counter = unsafe { &*(&raw const *record).byte_add(OFFSET).cast::<AtomicI32>() };
    let count = counter.load(Ordering::Relaxed).wrapping_sub(1);
    counter.store(count, Ordering::Relaxed);
    count <= 0
}

/// See [`word_is`](crate::word_is).
///
/// # Safety
/// [record-field].
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn word_is<const OFFSET: usize, T>(record: *const T, more: usize, value: usize) -> bool {
    // SAFETY: [record-field].
    let word = unsafe { &*record.byte_add(OFFSET + more).cast::<AtomicUsize>() };
    word.load(Ordering::Relaxed) == value
}

/// See [`odd_bytes`](crate::odd_bytes).
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(crate) fn odd_bytes(bytes: &[AtomicU8; 16]) -> u16 {
    let mask: u32;
    // SAFETY: [record-field] reads the bytes; what another thread writes meanwhile is whole bytes, and loads stay in order
    // on this architecture.
    unsafe {
        core::arch::asm!(
            "movdqu {bytes}, xmmword ptr [{address}]",
            "psllw {bytes}, 7",
            "pmovmskb {mask:e}, {bytes}",
            bytes = out(xmm_reg) _,
            address = in(reg) bytes.as_ptr(),
            mask = lateout(reg) mask,
            options(readonly, nostack, preserves_flags),
        );
    }
    mask as u16
}

/// See [`odd_bytes`](crate::odd_bytes).
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn odd_bytes(bytes: &[AtomicU8; 16]) -> u16 {
    (0..16).fold(0, |mask, at| mask | u16::from(bytes[at].load(Ordering::Acquire) & 1) << at)
}

/// See [`bytes_equal`](crate::bytes_equal).
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(crate) fn bytes_equal(bytes: &[AtomicU8; 16], value: u8) -> u16 {
    use core::arch::x86_64::_mm_set1_epi8;
    let mask: u32;
    // SAFETY: [record-field] as for odd bytes.
    unsafe {
        core::arch::asm!(
            "movdqu {bytes}, xmmword ptr [{address}]",
            "pcmpeqb {bytes}, {value}",
            "pmovmskb {mask:e}, {bytes}",
            bytes = out(xmm_reg) _,
            value = in(xmm_reg) _mm_set1_epi8(value as i8),
            address = in(reg) bytes.as_ptr(),
            mask = lateout(reg) mask,
            options(readonly, nostack, preserves_flags),
        );
    }
    mask as u16
}

/// See [`bytes_equal`](crate::bytes_equal).
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn bytes_equal(bytes: &[AtomicU8; 16], value: u8) -> u16 {
    (0..16).fold(0, |mask, at| mask | u16::from(bytes[at].load(Ordering::Acquire) == value) << at)
}

/// See [`prefetch`](crate::prefetch).
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: [register] a hint: it reads nothing that the program can see.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
