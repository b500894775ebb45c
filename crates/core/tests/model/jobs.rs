//! Many seeds at a time, and how far they are.
//!
//! Each job is a process: simulated kernels in one process share the real one's lock on the address space, and two of them
//! were no faster than one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::RUN;

/// Between two lines about the progress.
const PERIOD: Duration = Duration::from_secs(10);
/// Between two looks at the jobs.
const PAUSE: Duration = Duration::from_millis(50);
/// How a job's line about its progress begins; the number of seeds that are done follows.
const DONE: &str = "model-seeds-done ";
/// Tells a process that it is a job, so that it says so to its parent and not to people.
const IS_JOB: &str = "BRKMAP_MODEL_IS_JOB";

/// Shares the seeds among `jobs` processes.
pub(crate) fn share(first: u64, seeds: u64, jobs: u64) {
    let mut children: Vec<Child> = Vec::new();
    let done: Vec<AtomicU64> = (0..jobs).map(|_| AtomicU64::new(0)).collect();
    let mut from = first;
    for job in 0..jobs {
        let until = first + seeds * (job + 1) / jobs;
        children.push(start(from, until - from));
        from = until;
    }
    let mut failed = false;
    std::thread::scope(|scope| {
        for (child, done) in children.iter_mut().zip(&done) {
            let output = BufReader::new(child.stdout.take().expect("a pipe"));
            scope.spawn(move || listen(output, done));
        }
        let mut progress = Progress::new(seeds);
        let mut running = true;
        while running {
            std::thread::sleep(PAUSE);
            progress.now(done.iter().map(|done| done.load(Relaxed)).sum());
            running = false;
            for child in &mut children {
                match child.try_wait().expect("a child of ours") {
                    None => running = true,
                    Some(status) if !status.success() => failed = true,
                    Some(_) => {}
                }
            }
            if failed {
                children.iter_mut().for_each(|child| _ = child.kill());
            }
        }
        progress.end();
    });
    assert!(!failed, "the model does not hold, see above");
    println!("{seeds} seeds, {} operations: 0 differences", seeds * RUN);
}

fn start(first: u64, seeds: u64) -> Child {
    let this = std::env::current_exe().expect("the name of this file");
    let mut command = Command::new(this);
    command.args(["--exact", "the_heap_is_what_the_model_says", "--nocapture"]).env(IS_JOB, "1");
    command.env("BRKMAP_MODEL_SEED", first.to_string()).env("BRKMAP_MODEL_OPS", (seeds * RUN).to_string());
    command.env("BRKMAP_MODEL_JOBS", "1").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a process")
}

/// Takes in what a job says.
fn listen(output: impl BufRead, done: &AtomicU64) {
    for line in output.lines().map_while(Result::ok) {
        match line.strip_prefix(DONE).map(str::parse) {
            Some(Ok(seeds)) => done.store(seeds, Relaxed),
            _ if line.contains("running 1 test") || line.contains("test result") || line.is_empty() => {}
            _ => println!("{line}"),
        }
    }
}

/// How far a run is.
pub(crate) struct Progress {
    start: Instant,
    said: Instant,
    done: u64,
    seeds: u64,
    is_job: bool,
}

impl Progress {
    pub(crate) fn new(seeds: u64) -> Progress {
        let now = Instant::now();
        Progress { start: now, said: now, done: 0, seeds, is_job: std::env::var_os(IS_JOB).is_some() }
    }

    /// A seed has been run.
    pub(crate) fn one_more(&mut self) {
        if self.is_job {
            println!("{DONE}{}", self.done + 1);
        }
        self.now(self.done + 1);
    }

    /// So many seeds have been run.
    pub(crate) fn now(&mut self, done: u64) {
        self.done = done;
        if !self.is_job && self.said.elapsed() >= PERIOD {
            self.said = Instant::now();
            eprintln!("{}", self.line());
        }
    }

    pub(crate) fn end(&self) {
        println!("{}", self.line());
    }

    fn line(&self) -> String {
        let (done, all) = ((self.done * RUN) as f64, (self.seeds * RUN) as f64);
        let rate = done / self.start.elapsed().as_secs_f64().max(1e-3);
        let (left, rate) = ((all - done) / rate.max(1.0), rate / 1e3);
        format!(
            "model: {:.1} of {:.1} million operations, {rate:.0} thousand a second, {left:.0} s left",
            done / 1e6,
            all / 1e6
        )
    }
}
