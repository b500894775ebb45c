//! One measured run of a program: as little in its way as possible.
//!
//! The command's own process is seized for one stop in its whole life, that at its exit, where its memory is still
//! there. Its children are not followed. What is done during the stop does not count as the program's time. Where
//! tracing is refused, the last of many samples stands in.

use super::ptrace::{self, Change, Usage};
use super::spawn::Program;
use super::stops_us;
use crate::model::process::Outcome;
use crate::os::{self, Signals, Woken};
use std::io;
use std::time::{Duration, Instant};

/// Time between two samples of a program whose exit cannot be seen.
const SAMPLE: Duration = Duration::from_millis(10);
/// Longest sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(1);
/// So long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Whether to see the exit.
    pub(crate) traced: bool,
    /// When to end the program, if it does not end by itself.
    pub(crate) end_after: Option<Duration>,
}

/// What came of it.
pub(crate) struct Measured<T> {
    pub(crate) outcome: Outcome,
    /// From the exec to the end, without our looks.
    pub(crate) wall: Duration,
    /// Of the command and all children it waited for.
    pub(crate) usage: Usage,
    /// The look at its end, and whether that was in its exit path.
    pub(crate) last: Option<(T, bool)>,
    pub(crate) ended_by: EndedBy,
    /// It was stopped for a while: its time says nothing.
    pub(crate) was_stopped: bool,
    /// Why the program could not be started.
    pub(crate) not_started: Option<io::Error>,
}

/// Who ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Itself,
    /// We did, when its time was over.
    Limit,
    /// Who runs brkmap wants no more.
    Interrupt,
}

struct Runner<F, T> {
    pid: i32,
    traced: bool,
    look: F,
    last: Option<(T, bool)>,
    looking: Duration,
    ended_by: EndedBy,
    was_stopped: bool,
    begin: Instant,
    /// When we asked it to end.
    asked: Option<Instant>,
}

/// Runs the program to its end; `look` sees its process at that moment.
pub(crate) fn measure<T>(
    program: &Program,
    signals: &Signals,
    way: Way,
    look: impl FnMut(i32) -> Option<T>,
) -> io::Result<Measured<T>> {
    let child = program.start(signals)?;
    let pid = child.pid;
    let traced = way.traced && ptrace::seize_for_exit(pid).is_ok();
    let begin = Instant::now();
    let exec = child.go()?;
    let mut runner = Runner {
        pid,
        traced,
        look,
        last: None,
        looking: Duration::ZERO,
        ended_by: EndedBy::Itself,
        was_stopped: false,
        begin,
        asked: None,
    };
    let (outcome, usage, end) = runner.watch(way)?;
    Ok(Measured {
        outcome,
        wall: end.duration_since(begin).saturating_sub(runner.looking),
        usage,
        last: runner.last,
        ended_by: runner.ended_by,
        was_stopped: runner.was_stopped,
        not_started: exec.failure(),
    })
}

impl<T, F: FnMut(i32) -> Option<T>> Runner<F, T> {
    fn watch(&mut self, way: Way) -> io::Result<(Outcome, Usage, Instant)> {
        loop {
            while let Some(event) = ptrace::wait_any()? {
                let now = Instant::now();
                match event.change {
                    Change::Exited(code) if event.tid == self.pid => {
                        return Ok((Outcome::Code(code), event.usage, now));
                    }
                    Change::Killed(signal) if event.tid == self.pid => {
                        return Ok((Outcome::Signal(signal), event.usage, now));
                    }
                    change => self.handle(event.tid, change),
                }
            }
            match os::wait_for_signal(self.pause(way)) {
                Woken::Forward(signal) => self.pass_on(signal),
                Woken::Key => self.interrupt(),
                Woken::Child => {}
                Woken::Timeout if !self.traced && self.asked.is_none() => self.look(false),
                Woken::Timeout => {}
            }
            self.end_if_due(way);
        }
    }

    /// Sleeps no longer than until something is due.
    fn pause(&self, way: Way) -> Duration {
        let pause = if self.traced || self.asked.is_some() { IDLE } else { SAMPLE };
        match (self.asked, way.end_after) {
            (Some(asked), _) => GRACE.saturating_sub(asked.elapsed()).min(pause),
            (None, Some(limit)) => limit.saturating_sub(self.begin.elapsed()).min(pause),
            (None, None) => pause,
        }
    }

    fn handle(&mut self, tid: i32, change: Change) {
        match change {
            // What an earlier run that counted left behind, still traced, and not to be counted any more.
            Change::Exiting | Change::Call if tid != self.pid => {
                let _ = ptrace::resume(tid, 0);
            }
            Change::Exiting => {
                self.look(true);
                // ESRCH, here and below: it was killed meanwhile; its end is the next event.
                let _ = ptrace::resume(tid, 0);
            }
            Change::Signal(signal) if self.traced => {
                let _ = ptrace::resume(tid, signal);
            }
            Change::GroupStop(signal) => {
                let _ = ptrace::listen(tid);
                self.stopped(tid, signal);
            }
            Change::Signal(signal) => self.stopped(tid, signal),
            Change::Exited(_) | Change::Killed(_) => {}
            Change::Started | Change::Forked { .. } | Change::Exec | Change::Call | Change::Filtered => {
                let _ = ptrace::resume(tid, 0);
            }
        }
    }

    /// A look at the end of a program that we ended ourselves would see it cleaning up: the one before stays.
    fn look(&mut self, at_exit: bool) {
        if self.asked.is_some() && self.last.is_some() {
            return;
        }
        let start = Instant::now();
        if let Some(seen) = (self.look)(self.pid) {
            self.last = Some((seen, at_exit));
        }
        if at_exit {
            self.looking += start.elapsed();
        }
    }

    fn stopped(&mut self, tid: i32, signal: i32) {
        if tid != self.pid {
            return;
        }
        self.was_stopped = true;
        if stops_us(signal) {
            os::stop_self();
            os::kill(self.pid, libc::SIGCONT);
        }
    }

    fn pass_on(&mut self, signal: i32) {
        os::kill(self.pid, signal);
        if !matches!(signal, libc::SIGUSR1 | libc::SIGUSR2) {
            self.interrupt();
        }
    }

    /// The second time means it.
    fn interrupt(&mut self) {
        if self.ended_by == EndedBy::Interrupt {
            os::kill(self.pid, libc::SIGKILL);
        }
        self.ended_by = EndedBy::Interrupt;
        self.asked.get_or_insert_with(Instant::now);
    }

    fn end_if_due(&mut self, way: Way) {
        match (self.asked, way.end_after) {
            (Some(asked), _) if asked.elapsed() >= GRACE => os::kill(self.pid, libc::SIGKILL),
            (None, Some(limit)) if self.begin.elapsed() >= limit => {
                self.look(false);
                self.ended_by = EndedBy::Limit;
                self.asked = Some(Instant::now());
                os::kill(self.pid, libc::SIGTERM);
            }
            _ => {}
        }
    }
}
