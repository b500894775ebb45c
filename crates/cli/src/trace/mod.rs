//! Runs a program and sees every process of it end.
//!
//! Which moment is reported. The kernel stops a seized thread in its exit path while its memory is still there, also
//! when it is killed. A process is read at the exit of its leader, and again at the exit of its last thread if that is
//! another one (a leader may leave by `pthread_exit` long before). An exec throws the old memory away before a tracer
//! hears of it: of the earlier program the last sample is kept, with its age. A process that cannot be traced (ptrace
//! refused, or it is itself a tracer and has to be left alone) is sampled only.

mod attach;
mod calls;
pub(crate) mod count;
mod filter;
mod kernel;
mod looker;
pub(crate) mod measure;
mod processes;
mod ptrace;
mod spawn;
mod tracepoint;
mod track;

use crate::heap::occupancy::Detail;
use crate::model::calls::Kind;
use crate::model::in_force::Wanted;
use crate::model::process::{Outcome, Process};
use crate::os::tick::Tick;
use crate::os::{self, Signals, Woken};
pub(crate) use attach::attach;
use calls::Recorder;
pub(crate) use calls::{Listener, Options, Recorded};
use filter::Filter;
use kernel::Record;
use processes::Processes;
use ptrace::{Change, End, Event, Registers};
pub(crate) use ptrace::{Stops, Usage, try_out};
pub(crate) use spawn::{NotStarted, Program};
use std::io::{self, Write};
use std::time::{Duration, Instant};
pub(crate) use tracepoint::watch;

/// Whether calls can be told of by programs in the kernel, which are taken away again; else why not.
pub(crate) fn try_programs() -> Result<(), String> {
    kernel::Watch::begin().map(drop)
}

/// Longest time between two looks at the living.
const PAUSE: Duration = Duration::from_millis(100);
/// The first looks come sooner, for programs that end soon.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// So long after the command's end the user is told what brkmap waits for.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// Longest time between two samples of how large the living are, which cost a system call each and a change of the processor.
const SAMPLE_PAUSE: Duration = Duration::from_millis(10);
/// The same of a command that has run for [`SETTLED`]: a column of its timeline is as wide.
const LATER_SAMPLE_PAUSE: Duration = Duration::from_millis(20);
const SETTLED: Duration = Duration::from_millis(800);

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
    pub(crate) not_started: Option<NotStarted>,
    /// Its system calls for memory, if they were asked for and it was followed.
    pub(crate) calls: Option<Recorded>,
}

struct Tracer {
    main: i32,
    /// Programs in the kernel that tell of the calls.
    kernel: Option<kernel::Watch>,
    following: Following,
    processes: Processes,
    stops: Stops,
    recorder: Option<Recorder>,
    begin: Instant,
}

/// When to look at the living and to sample them.
struct Rounds {
    pause: Duration,
    next_look: Instant,
    next_sample: Instant,
    /// The user knows what brkmap waits for.
    is_told: bool,
    begin: Instant,
}

impl Rounds {
    fn new() -> Rounds {
        let begin = Instant::now();
        let first = begin + FIRST_PAUSE;
        Rounds { pause: FIRST_PAUSE, next_look: first, next_sample: first, is_told: false, begin }
    }

    fn looked(&mut self, took: Duration) {
        self.pause = (self.pause * 3 / 2).min(PAUSE).max(took * 20);
        self.next_look = Instant::now() + self.pause;
    }

    fn sampled(&mut self, took: Duration) {
        let now = Instant::now();
        let is_settled = now.duration_since(self.begin) >= SETTLED;
        let pause = if is_settled { LATER_SAMPLE_PAUSE } else { SAMPLE_PAUSE };
        self.next_sample = now + self.pause.min(pause).max(took * 50);
    }

    fn rest(&self) -> Duration {
        self.next_look.min(self.next_sample).saturating_duration_since(Instant::now())
    }

    fn is_due(&self) -> bool {
        self.rest().is_zero()
    }
}

/// The end of the command: how, with what, and how long after its start.
type Ended = (Outcome, Usage, Duration);

/// Runs the program to its end. `record` says which system calls to stop at, and what to record of them.
pub(crate) fn run(
    program: &Program,
    wanted: Wanted,
    no_trace: Option<String>,
    record: Option<(Stops, Options)>,
) -> io::Result<Run> {
    run_closely(program, wanted, no_trace, record, Detail::Sums)
}

/// The same; full looks see heaps as closely as is wanted.
pub(crate) fn run_closely(
    program: &Program,
    wanted: Wanted,
    no_trace: Option<String>,
    record: Option<(Stops, Options)>,
    detail: Detail,
) -> io::Result<Run> {
    let signals = Signals::take_over();
    let begin = Instant::now();
    let filter = Filter::new();
    let child = program.start_with(&signals, Some(&filter))?;
    // For the files of a large tree of processes; the child has been forked with its own limit.
    os::raise_limit_of_open_files();
    let pid = child.pid;
    let (mut stops, options) = record.map_or((Stops::Never, None), |(stops, options)| (stops, Some(options)));
    let by_kernel = options.as_ref().is_some_and(|options| options.by_kernel) && no_trace.is_none();
    // Whoever may not has the filter.
    let kernel = if by_kernel { kernel::Watch::begin().ok().filter(|kernel| kernel.add(pid)) } else { None };
    if kernel.is_some() {
        stops = Stops::Never;
    }
    let following = match no_trace {
        Some(reason) => Following::Sampled(reason),
        None => match ptrace::seize(pid, stops) {
            Ok(()) => Following::All,
            Err(error) => Following::Sampled(format!("tracing was refused ({error})")),
        },
    };
    let is_traced = following == Following::All;
    let mut processes = Processes::new(wanted, begin);
    processes.look_closely(detail);
    processes.begin(pid, is_traced);
    let mut recorder = options.filter(|_| is_traced).map(Recorder::new);
    let kernel = kernel.filter(|_| is_traced);
    if let (Some(recorder), Some(_)) = (&mut recorder, &kernel) {
        recorder.is_by_kernel();
    }
    let mut tracer = Tracer { main: pid, kernel, following, processes, stops, recorder, begin };
    let exec = child.go_with(is_traced && stops == Stops::Filter)?;
    // Nobody tells when an untraced program begins: until then its process looks like brkmap.
    let (exec, failure) = match &tracer.following {
        Following::Sampled(_) => (None, exec.not_started()),
        Following::All => (Some(exec), None),
    };
    let (outcome, usage, wall) = tracer.watch(&signals)?;
    let following = tracer.following;
    let (processes, not_kept) = tracer.processes.finish();
    if let (Some(kernel), Some(recorder)) = (&tracer.kernel, &mut tracer.recorder) {
        recorder.lost(kernel.lost());
    }
    let calls = tracer.recorder.map(Recorder::finish);
    signals.drop_pending();
    signals.restore();
    let not_started = failure.or_else(|| exec?.not_started());
    Ok(Run { pid, outcome, wall, usage, following, processes, not_kept, not_started, calls })
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
    /// Handles events until the command has ended, and where the others need their tracer, until all have.
    fn watch(&mut self, signals: &Signals) -> io::Result<Ended> {
        let mut rounds = Rounds::new();
        // Two stops at each call that is watched: `wait4` sleeps for them, as a signal at each and two more calls would take
        // longer than all the rest. It knows no time limit, which the ticks make up for.
        let tick = match self.stops == Stops::Filter && self.following == Following::All {
            true => Tick::start(FIRST_PAUSE).ok(),
            false => None,
        };
        if tick.is_some() {
            signals.only_ends_of_children();
        }
        let mut ended: Option<Ended> = None;
        loop {
            loop {
                let next = if tick.is_some() { ptrace::wait_long() } else { ptrace::wait_any() };
                match (next, ended) {
                    (Ok(None), _) => break,
                    (Ok(Some(event)), _) => {
                        let end = self.handle(event).map(|(outcome, usage)| (outcome, usage, self.begin.elapsed()));
                        match end {
                            Some(end) if self.stops != Stops::Filter && self.kernel.is_none() => return Ok(end),
                            Some(_) => ended = end,
                            None => {}
                        }
                    }
                    (Err(error), Some(end)) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(end),
                    (Err(error), _) => return Err(error),
                }
                if tick.is_some() && rounds.is_due() {
                    break;
                }
            }
            self.round(&mut rounds, ended.map(|end| end.2));
            let pause = rounds.rest();
            let woken = match &tick {
                None => os::wait_for_signal(pause),
                Some(tick) => {
                    tick.set(pause);
                    os::wait_for_signal(Duration::ZERO)
                }
            };
            match woken {
                Woken::Forward(signal) if ended.is_some() => {
                    self.processes.all().into_iter().for_each(|pid| os::kill(pid, signal));
                }
                Woken::Forward(signal) => os::kill(self.main, signal),
                _ => {}
            }
        }
    }

    /// Looks and samples, as far as they are due. `ended` says when the command ended.
    fn round(&mut self, rounds: &mut Rounds, ended: Option<Duration>) {
        self.read_kernel();
        let now = Instant::now();
        if now >= rounds.next_look {
            let start = looker::cpu_time();
            self.processes.look();
            rounds.looked(looker::cpu_time().saturating_sub(start));
            if !rounds.is_told && ended.is_some_and(|end| self.begin.elapsed() > end + STRAGGLERS) {
                rounds.is_told = true;
                let count = self.processes.all().len();
                // Where standard error is closed, there is nobody to tell.
                let _ = writeln!(
                    io::stderr(),
                    "brkmap: the command has ended; {count} of its processes run on and need brkmap as their tracer: \
                     it ends with them"
                );
            }
        }
        if Instant::now() >= rounds.next_sample {
            let start = looker::cpu_time();
            self.processes.sample();
            rounds.sampled(looker::cpu_time().saturating_sub(start));
        }
    }

    /// Enters the calls that the kernel tells of. What a thread called before it stopped is there then.
    fn read_kernel(&mut self) {
        let (Some(kernel), Some(recorder)) = (&self.kernel, &mut self.recorder) else { return };
        let mut enter = |record: Record| match record {
            Record::Call(told) => recorder.told(told),
            Record::Chunks(chunks) => self.processes.chunks(&chunks),
        };
        while kernel.next(&mut enter).is_some() {}
    }

    /// Handles one event; the result is the end of the command.
    fn handle(&mut self, event: Event) -> Option<(Outcome, Usage)> {
        let tid = event.tid;
        self.read_kernel();
        match event.change {
            // The ring was half full, or code was mapped; what was told has been read.
            Change::Signal(libc::SIGSTOP) if self.kernel.is_some() && ptrace::is_from_kernel(tid) => {
                self.resume(tid, 0)
            }
            Change::Filtered => self.filtered(tid),
            Change::Call => self.call(tid),
            Change::Exited(code) => return self.ended(event, Outcome::Code(code)),
            Change::Killed(signal) => return self.ended(event, Outcome::Signal(signal)),
            Change::Signal(signal) if !self.processes.is_traced(tid) => self.stopped(tid, signal),
            Change::Signal(signal) => self.resume(tid, signal),
            Change::GroupStop(signal) => {
                self.see(tid);
                // ESRCH: the tracee was killed meanwhile; its end is the next event.
                let _ = ptrace::listen(tid);
                self.stopped(tid, signal);
            }
            Change::Started => self.resume(tid, 0),
            Change::Forked { shares_memory } => {
                if let Ok(child) = ptrace::event_message(tid) {
                    self.forked(tid, child, shares_memory);
                }
                self.resume(tid, 0);
            }
            Change::Exec => self.exec(tid),
            Change::Exiting => {
                self.see(tid);
                self.processes.exiting(tid);
                self.resume(tid, 0);
            }
        }
        None
    }

    /// A thread is about to make a call that the filter names.
    fn filtered(&mut self, tid: i32) {
        self.see(tid);
        if let (Some(recorder), Some(pid)) = (&mut self.recorder, self.processes.of(tid))
            && let Ok(Registers { call, arguments, .. }) = ptrace::registers(tid)
            && let Some(kind) = Kind::of(call)
        {
            recorder.entry(pid, tid, kind, &arguments);
        }
        self.resume(tid, 0);
    }

    /// A thread is at one of the ends of a call.
    fn call(&mut self, tid: i32) {
        self.see(tid);
        let Some((recorder, pid)) = self.recorder.as_mut().zip(self.processes.of(tid)) else {
            return self.resume(tid, 0);
        };
        if recorder.is_inside(tid) {
            let raw = recorder.exit(pid, tid);
            self.resume(tid, 0);
            if let Some((recorder, raw)) = self.recorder.as_mut().zip(raw) {
                recorder.account(raw);
            }
            return;
        }
        if let (Stops::EveryCall, Ok(End::Entry { call, arguments })) = (self.stops, ptrace::end(tid))
            && let Some(kind) = Kind::of(call)
        {
            recorder.entry(pid, tid, kind, &arguments);
        }
        self.resume(tid, 0);
    }

    fn forked(&mut self, tid: i32, child: i32, shares_memory: bool) {
        if shares_memory {
            self.processes.shares_memory(child);
        }
        let Some(recorder) = &mut self.recorder else { return };
        self.processes.see(child);
        if let Some(kernel) = &self.kernel {
            // The child stands still until its first stop has been handled.
            kernel.add(self.processes.of(child).unwrap_or(child));
        }
        // A new thread is in its process already.
        if let (Some(parent), Some(process)) = (self.processes.of(tid), self.processes.of(child))
            && process == child
        {
            recorder.forked(parent, child, shares_memory);
        }
    }

    fn exec(&mut self, tid: i32) {
        let former = ptrace::event_message(tid).unwrap_or(tid);
        let is_tracer = self.processes.exec(tid, former);
        if let Some(recorder) = &mut self.recorder {
            recorder.ended(former);
            recorder.enter(tid, None);
        }
        if is_tracer && self.stops == Stops::Filter {
            // The filter cannot be taken off again, and without us its calls would fail.
            self.processes.stays_traced(tid);
            let name = crate::collect::status(tid).map(|status| status.name).unwrap_or_default();
            if let Some(recorder) = &mut self.recorder {
                recorder.met_tracer(name);
            }
        } else if is_tracer {
            if let Some(kernel) = &self.kernel {
                kernel.remove(tid);
            }
            let _ = ptrace::detach(tid, 0);
            if tid == self.main {
                self.following = Following::Sampled("it traces programs itself and is left alone".to_owned());
            }
            return;
        }
        self.resume(tid, 0);
    }

    /// Enters a thread that reports for the first time, and its process.
    fn see(&mut self, tid: i32) {
        if self.processes.of(tid).is_some() {
            return;
        }
        self.processes.see(tid);
        if let (Some(recorder), Some(pid)) = (&mut self.recorder, self.processes.of(tid)) {
            if let Some(kernel) = &self.kernel {
                kernel.add(pid);
            }
            recorder.seen(pid);
        }
    }

    fn resume(&mut self, tid: i32, signal: i32) {
        self.see(tid);
        let stops_at_call =
            self.stops == Stops::EveryCall || self.recorder.as_ref().is_some_and(|recorder| recorder.is_inside(tid));
        // ESRCH: the tracee was killed while it was stopped; its end is the next event.
        let _ = if stops_at_call { ptrace::resume_to_call(tid, signal) } else { ptrace::resume(tid, signal) };
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
        if let Some(recorder) = &mut self.recorder {
            recorder.ended(event.tid);
        }
        if let Some(kernel) = &self.kernel {
            kernel.remove(event.tid);
        }
        (event.tid == self.main).then_some((outcome, event.usage))
    }
}
