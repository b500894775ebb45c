//! How often each system call was made: counted where the calls are made, so that no caller can forget one.

/// A kind of system call that the library makes. The order is that of [`SystemCall::ALL`]; new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum SystemCall {
    /// `brk`: asking where the break is, and moving it (through libc's `sbrk` on glibc).
    Brk,
    /// `mmap`.
    Mmap,
    /// `munmap`.
    Munmap,
    /// `mremap`.
    Mremap,
    /// `madvise`.
    Madvise,
    /// `process_madvise` on the caller itself: several ranges in a call.
    ProcessMadvise,
    /// `mincore`: which OS pages are in memory; statistics alone ask.
    Mincore,
    /// `futex`: waiting for a lock and waking.
    Futex,
    /// `sched_yield`.
    SchedYield,
    /// `prctl`: names of mappings.
    Prctl,
    /// `clone`: the helper thread.
    Clone,
    /// `clock_gettime`, as far as it is a system call.
    ClockGettime,
    /// `getpid`.
    Getpid,
    /// `gettid`.
    Gettid,
    /// `write` to standard error.
    Write,
    /// `openat`: files of the control group, and the one that tells what a forked child shares.
    Openat,
    /// `read` and `pread64` of these.
    Read,
    /// `close` of these.
    Close,
    /// `rt_sigaction`, `rt_sigprocmask`, `tgkill`, `getrandom`, `capset`, `prlimit64`.
    Other,
}

impl SystemCall {
    /// Number of kinds.
    pub const COUNT: usize = SystemCall::Other as usize + 1;

    /// All kinds, each at its own index.
    pub const ALL: [SystemCall; SystemCall::COUNT] = [
        SystemCall::Brk,
        SystemCall::Mmap,
        SystemCall::Munmap,
        SystemCall::Mremap,
        SystemCall::Madvise,
        SystemCall::ProcessMadvise,
        SystemCall::Mincore,
        SystemCall::Futex,
        SystemCall::SchedYield,
        SystemCall::Prctl,
        SystemCall::Clone,
        SystemCall::ClockGettime,
        SystemCall::Getpid,
        SystemCall::Gettid,
        SystemCall::Write,
        SystemCall::Openat,
        SystemCall::Read,
        SystemCall::Close,
        SystemCall::Other,
    ];

    /// The kernel's name of the call.
    pub const fn name(self) -> &'static str {
        match self {
            SystemCall::Brk => "brk",
            SystemCall::Mmap => "mmap",
            SystemCall::Munmap => "munmap",
            SystemCall::Mremap => "mremap",
            SystemCall::Madvise => "madvise",
            SystemCall::ProcessMadvise => "process_madvise",
            SystemCall::Mincore => "mincore",
            SystemCall::Futex => "futex",
            SystemCall::SchedYield => "sched_yield",
            SystemCall::Prctl => "prctl",
            SystemCall::Clone => "clone",
            SystemCall::ClockGettime => "clock_gettime",
            SystemCall::Getpid => "getpid",
            SystemCall::Gettid => "gettid",
            SystemCall::Write => "write",
            SystemCall::Openat => "openat",
            SystemCall::Read => "read",
            SystemCall::Close => "close",
            SystemCall::Other => "other",
        }
    }
}

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls made, those with an error among them.
    pub made: u64,
    /// Calls that the kernel answered with an error. Some are no failure: a `futex` wait that ended by its time limit.
    pub refused: u64,
}
