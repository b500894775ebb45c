//! Starts the program so that it can be seized before its first instruction.
//!
//! `std::process::Command` does not fit: its `spawn` returns only after the exec, and the exec has to wait until the
//! child is seized by this thread.

use super::filter::Filter;
use crate::os::Signals;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// A program ready to start: everything the child needs, allocated before the fork.
pub(crate) struct Program {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Files that take the place of descriptors.
    files: Vec<(std::fs::File, i32)>,
}

/// A started child that waits for [`Waiting::go`] before it execs.
pub(crate) struct Waiting {
    pub(crate) pid: i32,
    gate: OwnedFd,
    failure: OwnedFd,
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "an argument or environment variable contains a zero byte")
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: [valid-out-pointer] pipe2 fills two descriptors.
    if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [owned-fd] both were made just now.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

impl Program {
    /// Prepares a command line with an environment.
    pub(crate) fn new(command: &[OsString], environment: Vec<(OsString, OsString)>) -> io::Result<Program> {
        let arguments = command.iter().cloned().map(c_string).collect::<io::Result<_>>()?;
        let environment = environment
            .into_iter()
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                c_string(name)
            })
            .collect::<io::Result<_>>()?;
        Ok(Program { arguments, environment, files: Vec::new() })
    }

    /// Lets the program have `file` as its descriptor `to`, one of the three standard ones.
    pub(crate) fn redirect(&mut self, file: std::fs::File, to: i32) {
        self.files.push((file, to));
    }

    /// Replaces this process by the program. Returns only on failure.
    pub(crate) fn exec(&self) -> io::Error {
        crate::os::restore_sigpipe();
        let pointers =
            |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let (argv, envp) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: [null-terminated] both arrays end with a null pointer and point to live C strings.
        unsafe { libc::execvpe(argv[0], argv.as_ptr(), envp.as_ptr()) };
        io::Error::last_os_error()
    }

    /// Forks the child. `signals` are given back to it before its exec.
    pub(crate) fn start(&self, signals: &Signals) -> io::Result<Waiting> {
        self.start_with(signals, None)
    }

    /// The same; the filter is installed if the gate says so.
    pub(crate) fn start_with(&self, signals: &Signals, filter: Option<&Filter>) -> io::Result<Waiting> {
        let (gate_read, gate) = pipe()?;
        let (failure, failure_write) = pipe()?;
        // SAFETY: [single-thread] brkmap has one thread here, so the child may use everything.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            drop((gate, failure));
            let mut byte = 0u8;
            // SAFETY: [valid-out-pointer] one byte on this frame. No byte means that brkmap is gone.
            let got = unsafe { libc::read(gate_read.as_raw_fd(), (&raw mut byte).cast(), 1) };
            if got == 1 {
                for (file, to) in &self.files {
                    // SAFETY: [no-memory] dup2 takes integers.
                    unsafe { libc::dup2(file.as_raw_fd(), *to) };
                }
                signals.restore();
                let filter = filter.filter(|_| byte == FILTERED);
                let number = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
                let word = match filter.map_or(Ok(()), Filter::install) {
                    Ok(()) => number(self.exec()),
                    // Negative: it was not the exec that failed.
                    Err(error) => -number(error),
                };
                let word = word.to_ne_bytes();
                // SAFETY: [valid-out-pointer] four bytes of an array on this frame.
                unsafe { libc::write(failure_write.as_raw_fd(), word.as_ptr().cast(), 4) };
            }
            // SAFETY: [no-memory] ends the child without running brkmap's exit handlers.
            unsafe { libc::_exit(127) };
        }
        Ok(Waiting { pid, gate, failure })
    }
}

/// What the child reads at the gate.
const PLAIN: u8 = b'x';
const FILTERED: u8 = b'f';

impl Waiting {
    /// Opens the gate; the returned end tells whether the exec failed.
    pub(crate) fn go(self) -> io::Result<ExecResult> {
        self.go_with(false)
    }

    /// The same, for a program with the filter or without.
    pub(crate) fn go_with(self, is_filtered: bool) -> io::Result<ExecResult> {
        use std::io::Write;
        std::fs::File::from(self.gate).write_all(&[if is_filtered { FILTERED } else { PLAIN }])?;
        Ok(ExecResult(self.failure))
    }
}

/// Why a program did not start.
pub(crate) enum NotStarted {
    /// Its exec failed.
    Exec(io::Error),
    /// The seccomp filter was refused.
    Filter(io::Error),
}

/// Where the child writes the errno of a failed exec; closed by a successful one.
pub(crate) struct ExecResult(OwnedFd);

impl ExecResult {
    /// The error of the failed start, once the child has ended or run its program.
    pub(crate) fn failure(self) -> Option<io::Error> {
        self.not_started().map(|why| match why {
            NotStarted::Exec(error) | NotStarted::Filter(error) => error,
        })
    }

    /// What failed, once the child has ended or run its program.
    pub(crate) fn not_started(self) -> Option<NotStarted> {
        use std::io::Read;
        let mut word = [0; 4];
        std::fs::File::from(self.0).read_exact(&mut word).ok()?;
        Some(match i32::from_ne_bytes(word) {
            number @ 1.. => NotStarted::Exec(io::Error::from_raw_os_error(number)),
            number => NotStarted::Filter(io::Error::from_raw_os_error(number.saturating_neg())),
        })
    }
}
