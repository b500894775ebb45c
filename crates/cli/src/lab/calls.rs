//! The memory calls of a subject, as a tracer sees them: every system call stops twice, which is slow and exact.

use crate::os;
use std::collections::{BTreeMap, HashMap};
use std::io;

/// A call for memory.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) arguments: [u64; 6],
    pub(super) result: i64,
}

impl Call {
    /// Whether it did what it was asked for. `brk` never fails: it answers where the break is.
    pub(super) fn succeeded(&self) -> bool {
        match self.name {
            "brk" => self.arguments[0] == 0 || self.result as u64 == self.arguments[0],
            _ => !(-4095..0).contains(&self.result),
        }
    }

    /// Whether the break was moved, and not only asked for.
    pub(super) fn moves_break(&self) -> bool {
        self.name == "brk" && self.arguments[0] != 0
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, _] = self.arguments;
        match self.name {
            "brk" if a == 0 => write!(f, "brk(NULL)")?,
            "brk" => write!(f, "brk({a:#x})")?,
            "mmap" if a == 0 => write!(f, "mmap(NULL, {b}, {}, {})", rights(c), flags(d))?,
            "mmap" => write!(f, "mmap({a:#x}, {b}, {}, {})", rights(c), flags(d))?,
            "munmap" => write!(f, "munmap({a:#x}, {b})")?,
            "mremap" => write!(f, "mremap({a:#x}, {b}, {c}{})", if d & 1 == 1 { ", MAYMOVE" } else { "" })?,
            "madvise" => write!(f, "madvise({a:#x}, {b}, {})", advice(c))?,
            "process_madvise" => write!(f, "process_madvise(self, {c} ranges, {})", advice(d))?,
            "mprotect" => write!(f, "mprotect({a:#x}, {b}, {})", rights(c))?,
            name => write!(f, "{name}({a:#x}, {b}, {c}, {d}, {e})")?,
        }
        match self.result {
            error @ -4095..0 => write!(f, " = -1 {}", errno_name(-error as i32)),
            small @ 0..4096 => write!(f, " = {small}"),
            address => write!(f, " = {address:#x}"),
        }
    }
}

fn rights(bits: u64) -> &'static str {
    ["NONE", "READ", "WRITE", "READ|WRITE", "EXEC", "READ|EXEC", "WRITE|EXEC", "READ|WRITE|EXEC"][(bits & 7) as usize]
}

fn flags(bits: u64) -> String {
    let kind = if bits & 3 == 1 { "SHARED" } else { "PRIVATE" };
    let known =
        [(0x20, "|ANON"), (0x10, "|FIXED"), (0x4000, "|NORESERVE"), (0x8000, "|POPULATE"), (0x2_0000, "|STACK")];
    known.iter().filter(|(bit, _)| bits & bit != 0).fold(kind.to_owned(), |text, (_, name)| text + name)
}

fn advice(number: u64) -> String {
    match number as i32 {
        libc::MADV_DONTNEED => "DONTNEED".into(),
        libc::MADV_FREE => "FREE".into(),
        libc::MADV_HUGEPAGE => "HUGEPAGE".into(),
        libc::MADV_NOHUGEPAGE => "NOHUGEPAGE".into(),
        other => other.to_string(),
    }
}

/// Name of an error number that calls for memory return.
pub(super) fn errno_name(number: i32) -> String {
    match number {
        libc::ENOMEM => "ENOMEM".into(),
        libc::EINVAL => "EINVAL".into(),
        libc::EBADF => "EBADF".into(),
        libc::EEXIST => "EEXIST".into(),
        libc::EACCES => "EACCES".into(),
        libc::EPERM => "EPERM".into(),
        libc::EFAULT => "EFAULT".into(),
        other => format!("error {other}"),
    }
}

fn name(number: u64) -> Option<&'static str> {
    let known = [
        (libc::SYS_brk, "brk"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_mremap, "mremap"),
        (libc::SYS_madvise, "madvise"),
        (libc::SYS_process_madvise, "process_madvise"),
        (libc::SYS_mprotect, "mprotect"),
    ];
    known.iter().find(|(known, _)| *known as u64 == number).map(|(_, name)| *name)
}

/// The phases of a subject by the names of its marks; what came before the first is the phase "start".
pub(super) type Phases = BTreeMap<String, Vec<Call>>;

/// What PTRACE_GET_SYSCALL_INFO fills: the kind of stop, and for an entry the number and the arguments, for an exit the
/// result.
#[repr(C)]
#[derive(Clone, Copy)]
struct Stop {
    kind: u8,
    unused: [u8; 3],
    architecture: u32,
    instruction: u64,
    stack: u64,
    words: [u64; 8],
}

/// Asks to be traced by the parent. Async-signal-safe.
pub(super) fn trace_me() -> io::Result<()> {
    request(libc::PTRACE_TRACEME, 0, 0)
}

fn request(request: libc::c_uint, tid: i32, data: usize) -> io::Result<()> {
    // SAFETY: [ptrace-no-memory] the requests used here take integers; the one that writes has its own function.
    let result = unsafe { libc::ptrace(request, tid, std::ptr::null_mut::<libc::c_void>(), data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn stop_info(tid: i32) -> io::Result<Stop> {
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    let mut stop = Stop { kind: 0, unused: [0; 3], architecture: 0, instruction: 0, stack: 0, words: [0; 8] };
    // SAFETY: [valid-out-pointer] the kernel writes at most the given size.
    let got = unsafe { libc::ptrace(GET_SYSCALL_INFO, tid, size_of::<Stop>(), &raw mut stop) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(stop) }
}

/// Waits until a child that is not traced stops or ends.
pub(super) fn wait_stopped(pid: i32) -> io::Result<i32> {
    wait_for(pid, libc::WUNTRACED).map(|(_, status)| status)
}

fn wait(pid: i32) -> io::Result<(i32, i32)> {
    wait_for(pid, libc::__WALL)
}

fn wait_for(pid: i32, options: libc::c_int) -> io::Result<(i32, i32)> {
    loop {
        let mut status = 0;
        // SAFETY: [valid-out-pointer] the status lives on this frame.
        match unsafe { libc::waitpid(pid, &mut status, options) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            tid => return Ok((tid, status)),
        }
    }
}

/// The tracer's books.
#[derive(Default)]
struct Book {
    /// The thread whose calls are written down: what brkmap's helper does meanwhile is another matter.
    main: i32,
    phases: Phases,
    phase: String,
    /// Calls that a thread has entered and not left.
    open: HashMap<i32, (u64, [u64; 6])>,
}

impl Book {
    fn stopped(&mut self, tid: i32) {
        const ENTRY: u8 = 1;
        const EXIT: u8 = 2;
        let Ok(stop) = stop_info(tid) else { return };
        let [number, arguments @ ..] = stop.words;
        match stop.kind {
            ENTRY => {
                let arguments = [0, 1, 2, 3, 4, 5].map(|index| arguments[index]);
                self.open.insert(tid, (number, arguments));
                if number == libc::SYS_write as u64 && arguments[0] as i32 == -1 {
                    let mut text = vec![0; (arguments[2] as usize).min(64)];
                    if os::read_process(tid, arguments[1], &mut text).is_ok() {
                        self.phase = String::from_utf8_lossy(&text).into_owned();
                        self.phases.entry(self.phase.clone()).or_default();
                    }
                }
            }
            EXIT => {
                let Some((number, arguments)) = self.open.remove(&tid) else { return };
                if let Some(name) = name(number).filter(|_| tid == self.main) {
                    let call = Call { name, arguments, result: stop.words[0] as i64 };
                    self.phases.entry(self.phase.clone()).or_default().push(call);
                }
            }
            _ => {}
        }
    }
}

/// Follows a child that asked to be traced and waits at its exec, to its end. Returns its wait status.
pub(super) fn follow(pid: i32) -> io::Result<(i32, Phases)> {
    let (_, first) = wait(pid)?;
    if !libc::WIFSTOPPED(first) {
        return Ok((first, Phases::new()));
    }
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, pid, options as usize)?;
    request(libc::PTRACE_SYSCALL, pid, 0)?;
    let mut book = Book { main: pid, phase: "start".to_owned(), ..Book::default() };
    loop {
        let (tid, status) = wait(-1)?;
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if tid == pid {
                return Ok((status, book.phases));
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        let pass_on = match (signal, status >> 16) {
            (stop, _) if stop == libc::SIGTRAP | 0x80 => {
                book.stopped(tid);
                0
            }
            // Clone events, and the first stop of a new thread.
            (_, event) if event != 0 => 0,
            (libc::SIGSTOP, _) if tid != pid => 0,
            (signal, _) => signal,
        };
        // A thread that was killed meanwhile is reported by the next wait.
        let _ = request(libc::PTRACE_SYSCALL, tid, pass_on as usize);
    }
}
