//! A run that counts system calls and learns which malloc each process has. Every call stops the program twice, so its
//! times say nothing; nothing else of it is changed.

use super::measure::EndedBy;
use super::ptrace::{self, Change, End, Stops};
use super::spawn::Program;
use super::stops_us;
use crate::collect::{self, Collector};
use crate::model::compare::calls::MemoryCall;
use crate::model::compare::result::Preview;
use crate::model::in_force::{Wanted, decide};
use crate::model::process::Outcome;
use crate::os::{self, Signals, Woken};
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// Longest sleep when nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// Time between two samples of a program that may not be traced.
const SAMPLE: Duration = Duration::from_millis(10);
/// So long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// What to count and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Whether to trace at all: a program that changes user may not be.
    pub(crate) traced: bool,
    /// Counting ends after this time; the program goes on at full speed. Zero counts nothing.
    pub(crate) count_for: Duration,
    /// When to end the program, if it does not end by itself.
    pub(crate) end_after: Option<Duration>,
}

/// What came of it.
pub(crate) struct Counted {
    pub(crate) outcome: Outcome,
    pub(crate) preview: Preview,
    pub(crate) ended_by: EndedBy,
    /// Why the program could not be started.
    pub(crate) not_started: Option<io::Error>,
}

/// Processes of earlier runs that outlived their command and are still traced. They run at full speed and do not count.
#[derive(Default)]
pub(crate) struct Leftovers(HashSet<i32>);

struct Counter<'a> {
    pid: i32,
    leftovers: &'a mut Leftovers,
    /// Tracees of this run.
    living: HashSet<i32>,
    wanted: &'a Wanted,
    collector: &'a mut Collector,
    preview: Preview,
    traced: bool,
    counting: bool,
    /// Processes that run in their parent's memory until their exec.
    borrowed: HashSet<i32>,
    ended_by: EndedBy,
    begin: Instant,
    /// When it was asked to end.
    asked: Option<Instant>,
}

/// Runs the program to its end under the eyes of a tracer.
pub(crate) fn count(
    program: &Program,
    signals: &Signals,
    wanted: &Wanted,
    collector: &mut Collector,
    leftovers: &mut Leftovers,
    way: Way,
) -> io::Result<Counted> {
    let child = program.start(signals)?;
    let pid = child.pid;
    let refused = if way.traced { ptrace::seize(pid, Stops::EveryCall).err() } else { None };
    let traced = way.traced && refused.is_none();
    let begin = Instant::now();
    let exec = child.go()?;
    let refused = refused.map(|error| format!("tracing was refused ({error})"));
    let mut preview = Preview { refused, ..Preview::default() };
    preview.calls.complete = traced && !way.count_for.is_zero();
    let mut counter = Counter {
        pid,
        leftovers,
        living: HashSet::from([pid]),
        wanted,
        collector,
        counting: preview.calls.complete,
        preview,
        traced,
        borrowed: HashSet::new(),
        ended_by: EndedBy::Itself,
        begin,
        asked: None,
    };
    let outcome = counter.watch(way)?;
    counter.living.remove(&pid);
    counter.leftovers.0.extend(counter.living.drain());
    let (preview, ended_by) = (counter.preview, counter.ended_by);
    Ok(Counted { outcome, preview, ended_by, not_started: exec.failure() })
}

impl Counter<'_> {
    fn watch(&mut self, way: Way) -> io::Result<Outcome> {
        loop {
            while let Some(event) = ptrace::wait_any()? {
                match event.change {
                    Change::Exited(code) if event.tid == self.pid => return Ok(Outcome::Code(code)),
                    Change::Killed(signal) if event.tid == self.pid => return Ok(Outcome::Signal(signal)),
                    change => self.handle(event.tid, change),
                }
                self.end_if_due(way);
            }
            let pause = if self.traced { IDLE } else { SAMPLE };
            let due = way.end_after.map_or(pause, |limit| limit.saturating_sub(self.begin.elapsed()).min(pause));
            match os::wait_for_signal(due.max(Duration::from_millis(1))) {
                Woken::Forward(signal) => {
                    os::kill(self.pid, signal);
                    if !matches!(signal, libc::SIGUSR1 | libc::SIGUSR2) {
                        self.interrupt();
                    }
                }
                Woken::Key => self.interrupt(),
                Woken::Timeout if !self.traced => self.look(self.pid),
                Woken::Child | Woken::Timeout => {}
            }
            self.end_if_due(way);
        }
    }

    fn resume(&self, tid: i32, signal: i32) {
        // ESRCH: the tracee was killed while it was stopped; its end is the next event.
        let _ = if self.counting { ptrace::resume_to_call(tid, signal) } else { ptrace::resume(tid, signal) };
    }

    fn handle(&mut self, tid: i32, change: Change) {
        let has_ended = matches!(change, Change::Exited(_) | Change::Killed(_));
        if self.leftovers.0.contains(&tid) {
            self.leave(tid, change);
            return;
        }
        if has_ended {
            self.living.remove(&tid)
        } else {
            self.living.insert(tid)
        };
        match change {
            Change::Call => {
                // The number of a call of 32-bit code is negative, and thus none that is known.
                if let Ok(End::Entry { call, .. }) = ptrace::end(tid) {
                    self.preview.calls.add(MemoryCall::of(call));
                }
                self.resume(tid, 0);
            }
            // No filter is in force here.
            Change::Filtered => self.resume(tid, 0),
            Change::Signal(signal) if self.traced => self.resume(tid, signal),
            Change::GroupStop(signal) => {
                let _ = ptrace::listen(tid);
                self.stopped(tid, signal);
            }
            Change::Signal(signal) => self.stopped(tid, signal),
            Change::Exited(_) | Change::Killed(_) => {}
            Change::Started => self.resume(tid, 0),
            Change::Forked { shares_memory } => {
                if let (true, Ok(child)) = (shares_memory, ptrace::event_message(tid)) {
                    self.borrowed.insert(child);
                }
                self.resume(tid, 0);
            }
            Change::Exec => self.exec(tid),
            Change::Exiting => {
                self.look(tid);
                self.resume(tid, 0);
            }
        }
    }

    /// Lets a process of an earlier run go on.
    fn leave(&mut self, tid: i32, change: Change) {
        let _ = match change {
            Change::Exited(_) | Change::Killed(_) => {
                self.leftovers.0.remove(&tid);
                return;
            }
            Change::GroupStop(_) => ptrace::listen(tid),
            Change::Signal(signal) => ptrace::resume(tid, signal),
            _ => ptrace::resume(tid, 0),
        };
    }

    fn exec(&mut self, tid: i32) {
        self.borrowed.remove(&tid);
        if !self.collector.is_tracer(tid) {
            self.resume(tid, 0);
            return;
        }
        let _ = ptrace::detach(tid, 0);
        self.preview.calls.complete = false;
        if tid == self.pid {
            self.traced = false;
            self.preview.refused = Some("it traces programs itself and is left alone".to_owned());
        }
    }

    /// At the end of a process, while its memory is still there; or from time to time if that cannot be seen.
    fn look(&mut self, tid: i32) {
        let is_leader = collect::status(tid).is_ok_and(|status| status.tgid == tid);
        if !is_leader || self.borrowed.contains(&tid) {
            return;
        }
        let Ok(snapshot) = self.collector.look(tid) else { return };
        if !snapshot.status.has_memory || (snapshot.mappings.is_empty() && !snapshot.unreadable) {
            return;
        }
        let in_force = decide(&snapshot, self.wanted);
        if tid == self.pid {
            self.preview.in_force = Some(in_force);
            return;
        }
        let key = (snapshot.status.name, in_force.malloc, in_force.reason.map(|reason| reason.key()));
        *self.preview.others.entry(key).or_insert(0) += 1;
    }

    fn stopped(&self, tid: i32, signal: i32) {
        if tid == self.pid && stops_us(signal) {
            os::stop_self();
            os::kill(self.pid, libc::SIGCONT);
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
        let elapsed = self.begin.elapsed();
        if self.counting && elapsed >= way.count_for {
            (self.counting, self.preview.calls.complete) = (false, false);
        }
        match (self.asked, way.end_after) {
            (Some(asked), _) if asked.elapsed() >= GRACE => os::kill(self.pid, libc::SIGKILL),
            (None, Some(limit)) if elapsed >= limit => {
                self.ended_by = EndedBy::Limit;
                self.asked = Some(Instant::now());
                os::kill(self.pid, libc::SIGTERM);
            }
            _ => {}
        }
    }
}
