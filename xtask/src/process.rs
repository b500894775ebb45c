//! Running a program with a time limit, in its own process group, its output kept in files.
//!
//! Files and not pipes: a grandchild that keeps a pipe open would hold up the whole run, and a program that writes more
//! than a pipe holds would wait for a reader.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was killed because its time was over.
    TimedOut,
}

/// A program that has ended.
pub(crate) struct Run {
    /// Its process id.
    pub(crate) pid: u32,
    /// How it ended.
    pub(crate) ended: Ended,
    /// What it wrote to standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub(crate) stderr: Vec<u8>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Run {
    /// `Ok` when it exited with 0, else the way it ended and the last lines it wrote.
    pub(crate) fn success(&self) -> Result<(), String> {
        if self.ended == Ended::Exit(0) { Ok(()) } else { Err(self.describe()) }
    }

    /// How it ended and the last lines it wrote.
    pub(crate) fn describe(&self) -> String {
        let how = match self.ended {
            Ended::Exit(status) => format!("exit status {status}"),
            Ended::Signal(signal) => format!("killed by signal {signal}"),
            Ended::TimedOut => format!("no end after {:.0} s", self.took.as_secs_f64()),
        };
        let text = [&self.stdout[..], &self.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        if tail.is_empty() { how } else { format!("{how}\n{tail}") }
    }
}

/// Runs `command` to its end, or for `limit` at most; whatever is left of its process group is ended too.
pub(crate) fn run(command: &mut Command, limit: Duration, scratch: &Path) -> Result<Run, String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let serial = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = |kind: &str| scratch.join(format!("{kind}.{serial}"));
    let create =
        |kind: &str| File::create(path(kind)).map_err(|e| format!("cannot create {}: {e}", path(kind).display()));
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(create("stdout")?)
        .stderr(create("stderr")?)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot start {name}: {e}"))?;
    let pid = child.id();
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let mut pause = Duration::from_millis(1);
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(|e| format!("cannot wait for {name}: {e}"))? {
            break status.signal().map_or_else(|| Ended::Exit(status.code().unwrap_or(-1)), Ended::Signal);
        }
        if start.elapsed() >= limit {
            end_group(group);
            child.wait().map_err(|e| format!("cannot wait for {name}: {e}"))?;
            break Ended::TimedOut;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    end_group(group);
    let took = start.elapsed();
    let read = |kind: &str| {
        let bytes = std::fs::read(path(kind)).map_err(|e| format!("cannot read {}: {e}", path(kind).display()));
        std::fs::remove_file(path(kind)).map_err(|e| format!("cannot remove {}: {e}", path(kind).display()))?;
        bytes
    };
    Ok(Run { pid, ended, stdout: read("stdout")?, stderr: read("stderr")?, took })
}

/// Whether the machine lets us start programs with one layout of the address space, by `setarch -R`.
pub(crate) fn may_fix_layout(scratch: &Path) -> Result<bool, String> {
    let tried = run(Command::new("setarch").args(["-R", "true"]), Duration::from_secs(60), scratch)?;
    // Being late is no answer.
    if tried.ended == Ended::TimedOut {
        Err(format!("setarch: {}", tried.describe()))
    } else {
        Ok(tried.success().is_ok())
    }
}

fn end_group(group: Option<Pid>) {
    if let Some(group) = group {
        // An empty group is the usual case: nothing was left to end.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Runs a build step with its output shown; an error names the command.
pub(crate) fn shown(command: &mut Command) -> Result<(), String> {
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let line = format!("{} {}", command.get_program().to_string_lossy(), words.join(" "));
    let status = command.stdin(Stdio::null()).status().map_err(|e| format!("cannot start `{line}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}
