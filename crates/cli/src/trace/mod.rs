//! Runs a program and sees every process of it end.
//!
//! Which moment is reported. The kernel stops a seized thread in its exit path while its memory is still there, also
//! when it is killed. A process is read at the exit of its leader, and again at the exit of its last thread if that is
//! another one (a leader may leave by `pthread_exit` long before). An exec throws the old memory away before a tracer
//! hears of it: of the earlier program the last sample is kept, with its age. A process that cannot be traced (ptrace
//! refused, or it is itself a tracer and has to be left alone) is sampled only.

pub(crate) mod count;
mod looker;
pub(crate) mod measure;
mod processes;
mod ptrace;
mod spawn;
mod track;

use crate::model::in_force::Wanted;
use crate::model::process::{Outcome, Process};
use crate::os::{self, Signals, Woken};
use processes::Processes;
pub(crate) use ptrace::Usage;
use ptrace::{Change, Event};
pub(crate) use spawn::Program;
use std::io;
use std::time::{Duration, Instant};

/// Longest time between two looks at the living.
const PAUSE: Duration = Duration::from_millis(100);
/// The first looks come sooner, for programs that end soon.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// Longest time between two samples of how large the living are, which cost a system call each.
const SAMPLE_PAUSE: Duration = Duration::from_millis(10);

/// How much of the process tree was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// All children and threads, to their last moment.
    All,
    /// Only the command itself, by samples; why.
    Sampled(String),
}

/// What became of the command.
pub(crate) struct Run {
    pub(crate) pid: i32,
    pub(crate) outcome: Outcome,
    pub(crate) wall: Duration,
    /// Of the command and all children it waited for.
    pub(crate) usage: Usage,
    pub(crate) following: Following,
    /// In the order of their ends.
    pub(crate) processes: Vec<Process>,
    /// Processes beyond the number that is kept.
    pub(crate) not_kept: u64,
    /// Why the program could not be started.
    pub(crate) not_started: Option<io::Error>,
}

struct Tracer {
    main: i32,
    following: Following,
    processes: Processes,
}

/// Runs the program to its end.
pub(crate) fn run(program: &Program, wanted: Wanted, no_trace: Option<String>) -> io::Result<Run> {
    let signals = Signals::take_over();
    let begin = Instant::now();
    let child = program.start(&signals)?;
    let pid = child.pid;
    let following = match no_trace {
        Some(reason) => Following::Sampled(reason),
        None => match ptrace::seize(pid) {
            Ok(()) => Following::All,
            Err(error) => Following::Sampled(format!("tracing was refused ({error})")),
        },
    };
    let mut processes = Processes::new(wanted, begin);
    processes.begin(pid, following == Following::All);
    let mut tracer = Tracer { main: pid, following, processes };
    let exec = child.go()?;
    // Nobody tells when an untraced program begins: until then its process looks like brkmap.
    let (exec, failure) = match &tracer.following {
        Following::Sampled(_) => (None, exec.failure()),
        Following::All => (Some(exec), None),
    };
    let (outcome, usage) = tracer.watch()?;
    let wall = begin.elapsed();
    let following = tracer.following;
    let (processes, not_kept) = tracer.processes.finish();
    signals.drop_pending();
    signals.restore();
    Ok(Run {
        pid,
        outcome,
        wall,
        usage,
        following,
        processes,
        not_kept,
        not_started: failure.or_else(|| exec?.failure()),
    })
}

/// A stop from the keyboard stops brkmap as well, or the shell would go on waiting for it. A stop that somebody else
/// sent does so only where a shell waits that can continue brkmap: who continues the program alone would not.
fn stops_us(signal: i32) -> bool {
    match signal {
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => std::fs::File::open("/dev/tty").is_ok(),
        libc::SIGSTOP => os::is_foreground_job(),
        _ => false,
    }
}

impl Tracer {
    /// Handles events until the command has ended.
    fn watch(&mut self) -> io::Result<(Outcome, Usage)> {
        let mut pause = FIRST_PAUSE;
        let mut next_look = Instant::now() + pause;
        let mut next_sample = next_look;
        loop {
            while let Some(event) = ptrace::wait_any()? {
                if let Some(end) = self.handle(event) {
                    return Ok(end);
                }
            }
            let now = Instant::now();
            if now >= next_look {
                self.processes.look();
                pause = (pause * 3 / 2).min(PAUSE).max(now.elapsed() * 20);
                next_look = Instant::now() + pause;
            }
            let now = Instant::now();
            if now >= next_sample {
                let start = looker::cpu_time();
                self.processes.sample();
                let took = looker::cpu_time().saturating_sub(start);
                next_sample = Instant::now() + pause.min(SAMPLE_PAUSE).max(took * 50);
            }
            let next = next_look.min(next_sample);
            if let Woken::Forward(signal) = os::wait_for_signal(next.saturating_duration_since(Instant::now())) {
                os::kill(self.main, signal);
            }
        }
    }

    /// Handles one event; the result is the end of the command.
    fn handle(&mut self, event: Event) -> Option<(Outcome, Usage)> {
        let tid = event.tid;
        match event.change {
            Change::Exited(code) => return self.ended(event, Outcome::Code(code)),
            Change::Killed(signal) => return self.ended(event, Outcome::Signal(signal)),
            Change::Signal(signal) if !self.processes.is_traced(tid) => self.stopped(tid, signal),
            Change::Signal(signal) => self.resume(tid, signal),
            Change::GroupStop(signal) => {
                self.processes.see(tid);
                // ESRCH: the tracee was killed meanwhile; its end is the next event.
                let _ = ptrace::listen(tid);
                self.stopped(tid, signal);
            }
            Change::Started => self.resume(tid, 0),
            Change::Forked { shares_memory } => {
                if let (true, Ok(child)) = (shares_memory, ptrace::event_message(tid)) {
                    self.processes.shares_memory(child);
                }
                self.resume(tid, 0);
            }
            Change::Exec => {
                let former = ptrace::event_message(tid).unwrap_or(tid);
                if self.processes.exec(tid, former) {
                    let _ = ptrace::detach(tid);
                    if tid == self.main {
                        self.following = Following::Sampled("it traces programs itself and is left alone".to_owned());
                    }
                } else {
                    self.resume(tid, 0);
                }
            }
            Change::Exiting => {
                self.processes.see(tid);
                self.processes.exiting(tid);
                self.resume(tid, 0);
            }
        }
        None
    }

    fn resume(&mut self, tid: i32, signal: i32) {
        self.processes.see(tid);
        // ESRCH: the tracee was killed while it was stopped; its end is the next event.
        let _ = ptrace::resume(tid, signal);
    }

    fn stopped(&mut self, tid: i32, signal: i32) {
        if tid != self.main || !stops_us(signal) {
            return;
        }
        os::stop_self();
        if os::process_group(self.main) != os::process_group(0) {
            os::kill(self.main, libc::SIGCONT);
        }
    }

    fn ended(&mut self, event: Event, outcome: Outcome) -> Option<(Outcome, Usage)> {
        self.processes.ended(event.tid, outcome, event.usage.peak_rss);
        (event.tid == self.main).then_some((outcome, event.usage))
    }
}
