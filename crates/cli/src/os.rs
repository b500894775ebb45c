//! The few system calls that std does not offer, behind safe functions.
//!
//! Plain `libc` and not a wrapper crate: a tracer must pass *every* signal number through, real-time ones too, and the
//! usual wrappers turn those into errors.

pub(crate) mod blocks;
pub(crate) mod probe;
pub(crate) mod tick;

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Signals that somebody sends to brkmap and means for the program.
const FORWARDED: [i32; 6] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// Signals that brkmap handles itself while a program runs; the rest keep their default.
const BLOCKED: [i32; 1 + FORWARDED.len()] = {
    let mut all = [libc::SIGCHLD; 1 + FORWARDED.len()];
    let mut index = 0;
    while index < FORWARDED.len() {
        all[index + 1] = FORWARDED[index];
        index += 1;
    }
    all
};
/// Signals of the terminal reach the program because it is in the same process group; brkmap outlives them. SIGCHLD may
/// have been ignored by whoever started brkmap; then the kernel would throw the program's exit status away.
const CHANGED: [(i32, libc::sighandler_t); 6] = [
    (libc::SIGINT, libc::SIG_IGN),
    (libc::SIGQUIT, libc::SIG_IGN),
    (libc::SIGTSTP, libc::SIG_IGN),
    (libc::SIGTTIN, libc::SIG_IGN),
    (libc::SIGTTOU, libc::SIG_IGN),
    (libc::SIGCHLD, libc::SIG_DFL),
];

/// How brkmap found the signals, to hand them to the program unchanged.
pub(crate) struct Signals {
    mask: libc::sigset_t,
    actions: [libc::sigaction; CHANGED.len()],
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: [valid-out-pointer] sigemptyset initialises the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = empty_set();
    for &signal in signals {
        // SAFETY: [valid-out-pointer] `set` is initialised; a bad number is an error return.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

fn action(handler: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: [plain-data] sigaction is integers and an optional pointer, for which zero is a value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_mask = empty_set();
    action
}

impl Signals {
    /// Prepares brkmap for the time in which a program runs.
    pub(crate) fn take_over() -> Signals {
        let mut mask = empty_set();
        // SAFETY: [valid-out-pointer] both sets live on this frame.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set_of(&BLOCKED), &mut mask) };
        let actions = CHANGED.map(|(signal, handler)| {
            let mut old = action(libc::SIG_DFL);
            // SAFETY: [valid-out-pointer] both actions live on this frame.
            unsafe { libc::sigaction(signal, &action(handler), &mut old) };
            old
        });
        Signals { mask, actions }
    }

    /// From now on SIGCHLD comes at the ends of children only: who waits for their stops otherwise is spared a signal at each.
    pub(crate) fn only_ends_of_children(&self) {
        let mut quiet = action(libc::SIG_DFL);
        quiet.sa_flags = libc::SA_NOCLDSTOP;
        // SAFETY: [valid-out-pointer] the action lives on this frame.
        unsafe { libc::sigaction(libc::SIGCHLD, &quiet, std::ptr::null_mut()) };
    }

    /// Throws away what was sent when the program had ended: brkmap still has to report.
    pub(crate) fn drop_pending(&self) {
        for signal in FORWARDED {
            let mut old = action(libc::SIG_DFL);
            // SAFETY: [valid-out-pointer] both actions live on this frame. To ignore a signal drops it where it waits.
            unsafe {
                libc::sigaction(signal, &action(libc::SIG_IGN), &mut old);
                libc::sigaction(signal, &old, std::ptr::null_mut());
            }
        }
    }

    /// Gives the signals back as they were. Async-signal-safe: the forked child calls it before exec.
    pub(crate) fn restore(&self) {
        for ((signal, _), old) in CHANGED.iter().zip(&self.actions) {
            // SAFETY: [valid-out-pointer] `old` came from the kernel.
            unsafe { libc::sigaction(*signal, old, std::ptr::null_mut()) };
        }
        // SAFETY: [valid-out-pointer] the mask came from the kernel.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &self.mask, std::ptr::null_mut()) };
    }
}

/// Whether SIGPIPE was ignored when brkmap started: Rust's start-up code ignores it and does not say what it was.
static SIGPIPE_WAS_IGNORED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

extern "C" fn note_sigpipe() {
    let mut old = action(libc::SIG_DFL);
    // SAFETY: [valid-out-pointer] only asks; `old` lives on this frame.
    unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut old) };
    SIGPIPE_WAS_IGNORED.store(old.sa_sigaction == libc::SIG_IGN, std::sync::atomic::Ordering::Relaxed);
}

// SAFETY: [init-array] the section holds pointers to C functions that run once before main; this is one of them.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_SIGPIPE: extern "C" fn() = note_sigpipe;

/// Undoes what Rust's start-up did to SIGPIPE. Async-signal-safe.
pub(crate) fn restore_sigpipe() {
    let handler = match SIGPIPE_WAS_IGNORED.load(std::sync::atomic::Ordering::Relaxed) {
        true => libc::SIG_IGN,
        false => libc::SIG_DFL,
    };
    // SAFETY: [valid-out-pointer] the action lives on this frame.
    unsafe { libc::sigaction(libc::SIGPIPE, &action(handler), std::ptr::null_mut()) };
}

/// What ended a wait for signals.
pub(crate) enum Woken {
    /// A child or tracee changed.
    Child,
    /// Somebody sent this signal to brkmap and means the program.
    Forward(i32),
    /// A key on the terminal, or a terminal that went away: the program got this signal as well.
    Key,
    /// Nothing for the given time.
    Timeout,
}

/// Sleeps until a child changes, a signal arrives or `limit` has passed.
pub(crate) fn wait_for_signal(limit: Duration) -> Woken {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let time = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    // SAFETY: [valid-out-pointer] all three live on this frame.
    let signal = unsafe { libc::sigtimedwait(&set_of(&BLOCKED), info.as_mut_ptr(), &time) };
    match signal {
        libc::SIGCHLD => Woken::Child,
        signal if FORWARDED.contains(&signal) => {
            // SAFETY: [plain-data] zeroed above and filled by the kernel.
            let code = unsafe { info.assume_init() }.si_code;
            if code <= 0 { Woken::Forward(signal) } else { Woken::Key }
        }
        _ => Woken::Timeout,
    }
}

/// Allows this process as many open files as it may have.
pub(crate) fn raise_limit_of_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: [valid-out-pointer] the limit lives on this frame.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Sends a signal.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: [no-memory] kill touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// Stops brkmap itself, as the shell expects of a job whose program was stopped from the keyboard.
pub(crate) fn stop_self() {
    // SAFETY: [no-memory] raise touches no memory of ours.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Process group of a process.
pub(crate) fn process_group(pid: i32) -> i32 {
    // SAFETY: [no-memory] getpgid touches no memory of ours.
    unsafe { libc::getpgid(pid) }
}

/// Whether brkmap is the foreground job of a shell that does job control: it has a process group of its own, and the
/// terminal is that group's.
pub(crate) fn is_foreground_job() -> bool {
    use std::os::fd::AsRawFd;
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    // SAFETY: [no-memory] neither call touches memory of ours.
    let (parent, foreground) = unsafe { (libc::getppid(), libc::tcgetpgrp(terminal.as_raw_fd())) };
    let own = process_group(0);
    foreground == own && process_group(parent) != own
}

/// The user brkmap acts for.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: [no-memory] geteuid cannot fail.
    unsafe { libc::geteuid() }
}

/// Signals that end a command which must give the terminal back first, or stop it.
const ENDINGS: [i32; 5] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP];

/// From now on these signals wait for [`wait_for_ending`], in this thread and in all that it starts.
pub(crate) fn hold_endings() {
    // SAFETY: [valid-out-pointer] the set lives on this frame.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set_of(&ENDINGS), std::ptr::null_mut()) };
}

/// Sleeps until one of the signals comes that [`hold_endings`] holds.
pub(crate) fn wait_for_ending() -> i32 {
    let mut signal = 0;
    loop {
        // SAFETY: [valid-out-pointer] set and number live on this frame.
        if unsafe { libc::sigwait(&set_of(&ENDINGS), &mut signal) } == 0 {
            return signal;
        }
    }
}

/// Ends the process by a signal, as if nobody had held it.
pub(crate) fn end_by(signal: i32) -> ! {
    // SAFETY: [valid-out-pointer] action and set live on this frame; raise touches no memory of ours.
    unsafe {
        libc::sigaction(signal, &action(libc::SIG_DFL), std::ptr::null_mut());
        libc::sigprocmask(libc::SIG_UNBLOCK, &set_of(&[signal]), std::ptr::null_mut());
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// Time of day here, as `14:03:22`.
pub(crate) fn time_of_day() -> String {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    let now = clock(libc::CLOCK_REALTIME).unwrap_or_default().as_secs() as libc::time_t;
    // SAFETY: [valid-out-pointer] both live on this frame; [plain-data] zeroed above, so that it is a value in any case.
    let parts = unsafe {
        libc::localtime_r(&now, parts.as_mut_ptr());
        parts.assume_init()
    };
    format!("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec)
}

/// Width of the terminal behind a descriptor, in columns.
pub(crate) fn terminal_width(fd: i32) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: [valid-out-pointer] TIOCGWINSZ fills one winsize.
    let ok = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) } == 0;
    (ok && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Copies memory of another process; returns how many bytes came (fewer at the end of what is mapped).
pub(crate) fn read_process(pid: i32, address: u64, out: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: out.len() };
    // SAFETY: [valid-out-pointer] the local part is `out`; the remote part is checked by the kernel.
    let got = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as usize) }
}

/// Asks the page table of the process behind an open `/proc/PID/pagemap` for its pages in a range: those with any of the
/// categories `wanted`. Fills `out` with the start, the end and the categories of each stretch, and returns their number
/// and the address up to which the kernel looked.
pub(crate) fn scan_pagemap(
    file: &std::fs::File,
    range: (u64, u64),
    wanted: u64,
    out: &mut [[u64; 3]],
) -> io::Result<(usize, u64)> {
    use std::os::fd::AsRawFd;
    /// `_IOWR('f', 16, struct pm_scan_arg)`: two directions, 96 bytes.
    const PAGEMAP_SCAN: libc::c_ulong = 3 << 30 | 96 << 16 | (b'f' as libc::c_ulong) << 8 | 16;
    // size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
    // category_anyof_mask, return_mask
    let (start, end) = range;
    let mut argument =
        [96, 0, start, end, 0, out.as_mut_ptr() as u64, out.len() as u64, 0, 0, 0, wanted, u64::MAX >> 56];
    // SAFETY: [valid-out-pointer] the argument has the 96 bytes that the call's number names; `vec` is `out`.
    let found = unsafe { libc::ioctl(file.as_raw_fd(), PAGEMAP_SCAN, argument.as_mut_ptr()) };
    if found < 0 { Err(io::Error::last_os_error()) } else { Ok((found as usize, argument[4])) }
}

/// A file without a name that holds `bytes` and cannot be changed any more.
pub(crate) fn sealed_memory_file(name: &std::ffi::CStr, bytes: &[u8]) -> io::Result<std::fs::File> {
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: [valid-out-pointer] the name is a C string.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [owned-fd] memfd_create gave us this descriptor just now.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: [no-memory] fcntl with an integer argument.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Whether a file has an extended attribute.
pub(crate) fn has_attribute(fd: i32, name: &std::ffi::CStr) -> bool {
    // SAFETY: [no-memory] a null buffer of length 0 only asks for the size.
    unsafe { libc::fgetxattr(fd, name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

/// The time of a clock.
pub(crate) fn clock(id: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: [valid-out-pointer] the time lives on this frame.
    let ok = unsafe { libc::clock_gettime(id, &mut time) } == 0;
    ok.then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Clock ticks per second, the unit of times in `/proc/PID/stat`.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: [no-memory] sysconf touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// Whether programs and libraries on the file system of `path` cannot be mapped for execution.
pub(crate) fn is_mounted_noexec(path: &std::path::Path) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(path)?;
    let mut facts = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: [valid-out-pointer] fstatvfs fills one statvfs.
    if unsafe { libc::fstatvfs(folder.as_raw_fd(), facts.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [plain-data] zeroed above and filled by libc.
    Ok(unsafe { facts.assume_init() }.f_flag & libc::ST_NOEXEC != 0)
}

/// Lets a descriptor survive exec.
pub(crate) fn keep_across_exec(fd: i32) -> io::Result<()> {
    // SAFETY: [no-memory] fcntl with an integer argument.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
