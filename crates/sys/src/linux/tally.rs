//! The counts behind [`Kernel::calls`](crate::Kernel::calls). One count for the whole process: a child of `fork` goes on
//! from its parent's.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::syscall::{number as nr, refused};
use crate::calls::{Calls, SystemCall};

static MADE: [AtomicU64; SystemCall::COUNT] = [const { AtomicU64::new(0) }; SystemCall::COUNT];
static REFUSED: [AtomicU64; SystemCall::COUNT] = [const { AtomicU64::new(0) }; SystemCall::COUNT];

/// Which kind a number of the kernel's table is. Callers know the number when they are compiled.
#[inline(always)]
const fn kind(number: usize) -> SystemCall {
    match number {
        nr::BRK => SystemCall::Brk,
        nr::MMAP => SystemCall::Mmap,
        nr::MUNMAP => SystemCall::Munmap,
        nr::MREMAP => SystemCall::Mremap,
        nr::MADVISE => SystemCall::Madvise,
        nr::PROCESS_MADVISE => SystemCall::ProcessMadvise,
        nr::MINCORE => SystemCall::Mincore,
        nr::FUTEX => SystemCall::Futex,
        nr::SCHED_YIELD => SystemCall::SchedYield,
        nr::PRCTL => SystemCall::Prctl,
        nr::CLONE => SystemCall::Clone,
        nr::CLOCK_GETTIME => SystemCall::ClockGettime,
        nr::GETPID => SystemCall::Getpid,
        nr::GETTID => SystemCall::Gettid,
        nr::WRITE => SystemCall::Write,
        nr::OPENAT => SystemCall::Openat,
        nr::READ | nr::PREAD64 => SystemCall::Read,
        nr::CLOSE => SystemCall::Close,
        _ => SystemCall::Other,
    }
}

/// Counts a call with its result.
#[inline(always)]
pub(super) fn note(number: usize, result: usize) -> usize {
    let kind = kind(number) as usize;
    MADE[kind].fetch_add(1, Relaxed);
    if refused(result) {
        REFUSED[kind].fetch_add(1, Relaxed);
    }
    result
}

/// The counts so far.
pub(super) fn of(call: SystemCall) -> Calls {
    Calls { made: MADE[call as usize].load(Relaxed), refused: REFUSED[call as usize].load(Relaxed) }
}
