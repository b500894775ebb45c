//! Full looks at running processes, in a thread of their own: the tracer goes on handling events meanwhile, so that no
//! program waits for a look.

use crate::collect::Collector;
use crate::heap::occupancy::Detail;
use crate::look::{self, Look};
use crate::model::depth::Deep;
use crate::model::growth::Growth;
use crate::model::inspection::Inspection;
use crate::model::xray::Xray;
use crate::os;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The answer to a question. `deep` is `None` where there was nothing to see.
pub(super) struct Answer {
    pub(super) pid: i32,
    /// Which program of the process was meant.
    pub(super) program: u32,
    pub(super) deep: Option<Deep>,
    /// Time of a processor.
    pub(super) took: Duration,
}

/// Time that this thread had a processor: on a busy machine the clock on the wall says more of others.
pub(super) fn cpu_time() -> Duration {
    os::clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// A process at its end waits for a look that is under way at most so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes one look and judges it. There is no growth in it: looks at new maxima would always say that it grows.
pub(super) fn look_now(pid: i32, collector: &mut Collector, begin: Instant) -> Option<Deep> {
    let start = Instant::now();
    let look: Look = look::look(pid, collector).ok()?;
    let xray = Xray::of(&look);
    let no_growth: Option<Growth> = None;
    let inspection = Inspection::new(pid, look, xray, no_growth, start.elapsed());
    Some(Deep { after: start.duration_since(begin), inspection })
}

/// The thread, and what it is doing.
pub(super) struct Looker {
    begin: Instant,
    /// How closely it looks at heaps.
    pub(super) detail: Detail,
    questions: Option<Sender<(i32, u32)>>,
    answers: Option<Receiver<Answer>>,
    busy_with: Option<i32>,
    /// It could not be started, or was given up.
    is_broken: bool,
}

impl Looker {
    pub(super) fn new(begin: Instant) -> Looker {
        Looker { begin, detail: Detail::Sums, questions: None, answers: None, busy_with: None, is_broken: false }
    }

    /// Whether it can take a question.
    pub(super) fn is_free(&self) -> bool {
        self.busy_with.is_none() && !self.is_broken
    }

    /// Asks for a look.
    pub(super) fn ask(&mut self, pid: i32, program: u32) {
        // The thread begins with the first question: until then brkmap has one thread, and may fork.
        if self.questions.is_none() {
            self.start();
        }
        let is_sent = self.questions.as_ref().is_some_and(|questions| questions.send((pid, program)).is_ok());
        (self.busy_with, self.is_broken) = (is_sent.then_some(pid), !is_sent);
    }

    fn start(&mut self) {
        let (questions, asked) = channel::<(i32, u32)>();
        let (answer, answers) = channel();
        let (begin, detail) = (self.begin, self.detail);
        let work = move || {
            let mut collector = Collector::with(detail);
            while let Ok((pid, program)) = asked.recv() {
                let start = cpu_time();
                let deep = look_now(pid, &mut collector, begin);
                let took = cpu_time().saturating_sub(start);
                if answer.send(Answer { pid, program, deep, took }).is_err() {
                    break;
                }
            }
        };
        // Refused where the user may have no more threads: then there are no looks while programs run.
        if thread::Builder::new().name("brkmap-look".to_owned()).spawn(work).is_ok() {
            (self.questions, self.answers) = (Some(questions), Some(answers));
        }
    }

    /// A finished look, if there is one.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.as_ref()?.try_recv().ok()?;
        self.busy_with = None;
        Some(answer)
    }

    /// Waits for the look at this process if there is one under way: its memory will be gone soon.
    pub(super) fn wait_for(&mut self, pid: i32) -> Option<Answer> {
        if self.busy_with != Some(pid) {
            return None;
        }
        let answer = self.answers.as_ref()?.recv_timeout(PATIENCE).ok();
        (self.busy_with, self.is_broken) = (None, answer.is_none());
        answer
    }
}
