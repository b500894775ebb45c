//! Records the calls of a process that runs already: it is stopped at both ends of every system call, and left running.

use super::calls::{Options, Recorded, Recorder};
use super::processes::Processes;
use super::ptrace::{self, Change, Event, Stops};
use super::{Following, Tracer};
use crate::model::calls::threshold::Threshold;
use crate::model::in_force::Wanted;
use crate::model::process::Outcome;
use crate::os::{self, Signals, Woken};
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Longest wait for a signal in between.
const PAUSE: Duration = Duration::from_millis(100);
/// A thread that does not stop within this time is in the kernel for long; the kernel lets it go when brkmap ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was recorded of a process.
pub(crate) struct Attached {
    pub(crate) recorded: Recorded,
    /// How it ended, if it did.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) wall: Duration,
}

/// Records until the process ends, the time is over, or somebody interrupts brkmap. `threshold` is glibc's mmap threshold
/// at the beginning, where it is known.
pub(crate) fn attach(
    pid: i32,
    options: Options,
    threshold: Option<Threshold>,
    limit: Option<Duration>,
) -> io::Result<Attached> {
    let signals = Signals::take_over();
    let begin = Instant::now();
    let mut processes = Processes::new(Wanted::System, begin);
    processes.begin(pid, true);
    let recorder = Recorder::new(options);
    let seized = seize_threads(pid);
    seized.iter().flatten().for_each(|&tid| processes.see(tid));
    let stops = Stops::EveryCall;
    let mut tracer = Tracer {
        main: pid,
        following: Following::All,
        processes,
        stops,
        recorder: Some(recorder),
        begin,
        kernel: None,
    };
    let outcome = seized.and_then(|threads| match tracer.begin_attached(pid, threads, threshold)? {
        ControlFlow::Break(outcome) => Ok(outcome),
        ControlFlow::Continue(()) => tracer.watch_attached(limit.map(|limit| begin + limit)),
    });
    let wall = begin.elapsed();
    tracer.leave();
    signals.drop_pending();
    signals.restore();
    let recorded = tracer.recorder.map(Recorder::finish).unwrap_or_else(|| unreachable!("it was given one"));
    Ok(Attached { recorded, outcome: outcome?, wall })
}

/// All threads of a process, also those that begin meanwhile.
fn seize_threads(pid: i32) -> io::Result<HashSet<i32>> {
    let mut seized = HashSet::new();
    loop {
        let before = seized.len();
        for entry in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if seized.contains(&tid) {
                continue;
            }
            match ptrace::seize(tid, Stops::EveryCall) {
                Ok(()) => drop(seized.insert(tid)),
                // It has just ended, or is a child of a seized thread and therefore seized already.
                Err(_) if !seized.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        if seized.len() == before {
            return Ok(seized);
        }
    }
}

impl Tracer {
    /// Stops all threads, so that what is read of the process' memory is whole, then lets them go on. Breaks with what
    /// [`Tracer::watch_attached`] would return if the process ended or somebody interrupted brkmap meanwhile.
    fn begin_attached(
        &mut self,
        pid: i32,
        mut threads: HashSet<i32>,
        threshold: Option<Threshold>,
    ) -> io::Result<ControlFlow<Option<Outcome>>> {
        // ESRCH: it has ended meanwhile.
        threads.retain(|&tid| ptrace::interrupt(tid).is_ok());
        let mut held = Vec::new();
        let mut is_interrupted = false;
        let give_up = Instant::now() + PATIENCE;
        while !threads.is_empty() && Instant::now() < give_up {
            match ptrace::wait_any()? {
                Some(event) => {
                    threads.remove(&event.tid);
                    held.push(event);
                }
                None => {
                    let woken = os::wait_for_signal(Duration::from_millis(5));
                    is_interrupted |= matches!(woken, Woken::Forward(_) | Woken::Key);
                }
            }
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.enter(pid, threshold);
        }
        let mut outcome = None;
        for event in held {
            outcome = outcome.or(self.handle(event).map(|(outcome, _)| outcome));
        }
        Ok(if outcome.is_some() || is_interrupted { ControlFlow::Break(outcome) } else { ControlFlow::Continue(()) })
    }

    fn watch_attached(&mut self, until: Option<Instant>) -> io::Result<Option<Outcome>> {
        loop {
            loop {
                match ptrace::wait_any() {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        if let Some((outcome, _)) = self.handle(event) {
                            return Ok(Some(outcome));
                        }
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                    Err(error) => return Err(error),
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(None);
                }
            }
            let rest = until.map_or(PAUSE, |until| until.saturating_duration_since(Instant::now()).min(PAUSE));
            if rest.is_zero() {
                return Ok(None);
            }
            if let Woken::Forward(_) | Woken::Key = os::wait_for_signal(rest) {
                return Ok(None);
            }
        }
    }

    /// Lets all threads go. A stop that was on its way to the tracer, a signal's above all, is passed on.
    fn leave(&mut self) {
        let mut left: HashSet<i32> = self.processes.all_threads().into_iter().collect();
        left.retain(|&tid| ptrace::interrupt(tid).is_ok());
        let give_up = Instant::now() + PATIENCE;
        while !left.is_empty() && Instant::now() < give_up {
            match ptrace::wait_any() {
                Ok(Some(Event { tid, change, .. })) => {
                    match change {
                        Change::Exited(_) | Change::Killed(_) => {}
                        Change::Signal(signal) => drop(ptrace::detach(tid, signal)),
                        // A new thread or process that was not known yet is let go as well.
                        _ => drop(ptrace::detach(tid, 0)),
                    }
                    left.remove(&tid);
                }
                Ok(None) => drop(os::wait_for_signal(Duration::from_millis(5))),
                Err(_) => return,
            }
        }
    }
}
