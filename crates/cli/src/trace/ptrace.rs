//! ptrace and wait4 as values. Only what a seizing tracer needs.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What happened to a child or tracee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Ended with this code.
    Exited(i32),
    /// Ended by this signal.
    Killed(i32),
    /// About to receive a signal; it has to be passed on.
    Signal(i32),
    /// Stopped with its group by this signal; has to be left stopped until SIGCONT.
    GroupStop(i32),
    /// A new tracee's first stop, or the end of a group stop.
    Started,
    /// Made a child or a thread; `shares_memory` is true for vfork and posix_spawn.
    Forked { shares_memory: bool },
    /// Runs a new program; the old memory is gone.
    Exec,
    /// In the kernel's exit path, memory still there.
    Exiting,
    /// About to make a system call that the filter names.
    Filtered,
    /// At the beginning or the end of a system call.
    Call,
}

/// At which system calls tracees stop, beside the events of their lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stops {
    /// At none.
    Never,
    /// At those that a seccomp filter names. Without a tracer they would fail, so the tracees end with it.
    Filter,
    /// At all.
    EveryCall,
}

/// What a stopped thread was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Number of the system call; negative outside of one.
    pub(crate) call: i64,
    pub(crate) arguments: [u64; 6],
    pub(crate) result: i64,
    pub(crate) instruction: u64,
    pub(crate) stack: u64,
    pub(crate) frame: u64,
}

/// Which end of a system call a thread has stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The call is negative in 32-bit code, whose calls have other numbers.
    Entry {
        call: i64,
        arguments: [u64; 6],
    },
    Exit,
}

/// Resources of an ended process, with those of its children that it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    /// Highest RSS of the process or of one of these children.
    pub(crate) peak_rss: u64,
}

/// One result of [`wait_any`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) tid: i32,
    pub(crate) change: Change,
    pub(crate) usage: Usage,
}

/// Decodes a wait status of a seized tracee.
pub(crate) fn decode(status: i32) -> Option<Change> {
    if libc::WIFEXITED(status) {
        return Some(Change::Exited(libc::WEXITSTATUS(status)));
    }
    if libc::WIFSIGNALED(status) {
        return Some(Change::Killed(libc::WTERMSIG(status)));
    }
    if !libc::WIFSTOPPED(status) {
        return None;
    }
    let signal = libc::WSTOPSIG(status);
    Some(match status >> 16 {
        0 if signal == libc::SIGTRAP | 0x80 => Change::Call,
        0 => Change::Signal(signal),
        libc::PTRACE_EVENT_SECCOMP => Change::Filtered,
        libc::PTRACE_EVENT_STOP => match signal {
            libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Change::GroupStop(signal),
            _ => Change::Started,
        },
        libc::PTRACE_EVENT_VFORK => Change::Forked { shares_memory: true },
        libc::PTRACE_EVENT_EXEC => Change::Exec,
        libc::PTRACE_EVENT_EXIT => Change::Exiting,
        _ => Change::Forked { shares_memory: false },
    })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}

/// Takes the next change of any child or tracee. `None` when nothing waits; an error (`ECHILD`) when nobody is left.
pub(crate) fn wait_any() -> io::Result<Option<Event>> {
    wait(libc::WNOHANG)
}

/// The same, and sleeps until there is one; `None` when a signal came first.
pub(crate) fn wait_long() -> io::Result<Option<Event>> {
    wait(0)
}

fn wait(flags: i32) -> io::Result<Option<Event>> {
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: [valid-out-pointer] both live on this frame.
        let tid = unsafe { libc::wait4(-1, &mut status, libc::__WALL | libc::WUNTRACED | flags, usage.as_mut_ptr()) };
        match tid {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted if flags == 0 => return Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                }
            }
            _ => {}
        }
        let Some(change) = decode(status) else { continue };
        // SAFETY: [plain-data] zeroed above and filled by the kernel.
        let raw = unsafe { usage.assume_init() };
        let usage = Usage {
            user: duration(raw.ru_utime),
            system: duration(raw.ru_stime),
            minor_faults: raw.ru_minflt as u64,
            major_faults: raw.ru_majflt as u64,
            peak_rss: raw.ru_maxrss as u64 * 1024,
        };
        return Ok(Some(Event { tid, change, usage }));
    }
}

fn request(request: libc::c_uint, tid: i32, data: usize) -> io::Result<()> {
    // SAFETY: [ptrace-no-memory] the requests used here take integers; the one that writes has its own function.
    let result = unsafe { libc::ptrace(request, tid, std::ptr::null_mut::<libc::c_void>(), data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Seizes a process and lets it go again: whether tracing is allowed. It is stopped for a moment.
pub(crate) fn try_out(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0)?;
    request(libc::PTRACE_INTERRUPT, pid, 0)?;
    let mut status = 0;
    // SAFETY: [valid-out-pointer] the status lives on this frame.
    while unsafe { libc::waitpid(pid, &mut status, libc::__WALL) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    detach(pid, 0)
}

/// Becomes the tracer of a thread without stopping it; follows its children, threads and execs and sees its end.
pub(crate) fn seize(tid: i32, stops: Stops) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEEXIT
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | match stops {
            Stops::Never => 0,
            Stops::Filter => libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL,
            Stops::EveryCall => libc::PTRACE_O_TRACESYSGOOD,
        };
    request(libc::PTRACE_SEIZE, tid, options as usize)
}

/// Lets a stopped tracee run to the next beginning or end of a system call, with a signal or 0.
pub(crate) fn resume_to_call(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, tid, signal as usize)
}

/// Stops a tracee; the stop is reported as [`Change::Started`].
pub(crate) fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0)
}

/// Becomes the tracer of a thread without stopping it, and sees no more than its end.
pub(crate) fn seize_for_exit(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, libc::PTRACE_O_TRACEEXIT as usize)
}

/// Lets a stopped tracee run, with a signal or 0.
pub(crate) fn resume(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, signal as usize)
}

/// Leaves a tracee in its group stop; SIGCONT will end it.
pub(crate) fn listen(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0)
}

/// Stops being the tracer of a stopped tracee, which goes on with a signal or 0.
pub(crate) fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, signal as usize)
}

/// Registers of a stopped tracee.
pub(crate) fn registers(tid: i32) -> io::Result<Registers> {
    let mut all = MaybeUninit::<libc::user_regs_struct>::zeroed();
    // SAFETY: [valid-out-pointer] PTRACE_GETREGS writes one user_regs_struct.
    let result =
        unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, std::ptr::null_mut::<libc::c_void>(), all.as_mut_ptr()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [plain-data] zeroed above and filled by the kernel.
    let all = unsafe { all.assume_init() };
    Ok(Registers {
        call: all.orig_rax as i64,
        arguments: [all.rdi, all.rsi, all.rdx, all.r10, all.r8, all.r9],
        result: all.rax as i64,
        instruction: all.rip,
        stack: all.rsp,
        frame: all.rbp,
    })
}

/// Which end of which system call a tracee in [`Change::Call`] has stopped at.
pub(crate) fn end(tid: i32) -> io::Result<End> {
    /// `struct ptrace_syscall_info`: op, arch, instruction and stack pointer, then number and arguments.
    const WORDS: usize = 11;
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    let mut info = [0u64; WORDS];
    // SAFETY: [valid-out-pointer] the kernel writes at most the bytes of `info`.
    let result = unsafe { libc::ptrace(GET_SYSCALL_INFO, tid, size_of_val(&info), info.as_mut_ptr()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    const ENTRY: u64 = 1;
    /// AUDIT_ARCH_X86_64.
    const ARCHITECTURE: u64 = 0xc000_003e;
    let arguments = std::array::from_fn(|index| info[4 + index]);
    Ok(match (info[0] & 0xff, info[0] >> 32) {
        (ENTRY, ARCHITECTURE) => End::Entry { call: info[3] as i64, arguments },
        (ENTRY, _) => End::Entry { call: -1, arguments },
        _ => End::Exit,
    })
}

/// Whether the signal that a tracee is about to receive was sent by the kernel itself and not by a process.
pub(crate) fn is_from_kernel(tid: i32) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: [valid-out-pointer] PTRACE_GETSIGINFO writes one siginfo_t.
    let result =
        unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, tid, std::ptr::null_mut::<libc::c_void>(), info.as_mut_ptr()) };
    const SI_KERNEL: i32 = 0x80;
    // SAFETY: [plain-data] zeroed above and filled by the kernel.
    result != -1 && unsafe { info.assume_init() }.si_code == SI_KERNEL
}

/// What belongs to the last event: the new process, or the former thread id after an exec.
pub(crate) fn event_message(tid: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: [valid-out-pointer] PTRACE_GETEVENTMSG writes one unsigned long.
    let result =
        unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, std::ptr::null_mut::<libc::c_void>(), &raw mut message) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(message as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_states_are_told_apart() {
        assert_eq!(decode(3 << 8), Some(Change::Exited(3)));
        assert_eq!(decode(9), Some(Change::Killed(9)));
        assert_eq!(decode(0x80 | 11), Some(Change::Killed(11)), "with a core dump");
        assert_eq!(decode(libc::SIGUSR1 << 8 | 0x7f), Some(Change::Signal(libc::SIGUSR1)));
        assert_eq!(decode(40 << 8 | 0x7f), Some(Change::Signal(40)), "real-time signals pass");
        let stop = libc::PTRACE_EVENT_STOP << 16 | 0x7f;
        assert_eq!(decode(stop | libc::SIGTSTP << 8), Some(Change::GroupStop(libc::SIGTSTP)));
        assert_eq!(decode(stop | libc::SIGTRAP << 8), Some(Change::Started));
        let event = |number: i32| decode(number << 16 | libc::SIGTRAP << 8 | 0x7f);
        assert_eq!(event(libc::PTRACE_EVENT_EXIT), Some(Change::Exiting));
        assert_eq!(event(libc::PTRACE_EVENT_EXEC), Some(Change::Exec));
        assert_eq!(event(libc::PTRACE_EVENT_VFORK), Some(Change::Forked { shares_memory: true }));
        assert_eq!(event(libc::PTRACE_EVENT_CLONE), Some(Change::Forked { shares_memory: false }));
        assert_eq!(event(libc::PTRACE_EVENT_SECCOMP), Some(Change::Filtered));
        assert_eq!(decode((libc::SIGTRAP | 0x80) << 8 | 0x7f), Some(Change::Call));
    }
}
