//! The C programs: one behaviour each, under glibc first (so that the expectation itself is checked), then under
//! brkmap in each way it can come into a program.

use crate::context::{Context, stem};
use crate::header::{Header, Yardstick};
use crate::process::{self, Ended, Run};
use crate::report::Outcome;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use ways::Way;

mod ways;

const C_FLAGS: &[&str] = &["-O1", "-g", "-Wall", "-Werror", "-fno-builtin", "-pthread", "-D_GNU_SOURCE"];

/// Time for a program at its full size.
const EXTENDED_LIMIT: Duration = Duration::from_secs(3600);

/// Where things are while the programs of one directory run.
pub(crate) struct Bench {
    /// Directory for executables and output.
    pub(crate) work: PathBuf,
    /// Directory of companions (`lib_*.so`) and of the library.
    pub(crate) libraries: PathBuf,
    /// The library under test.
    pub(crate) library: PathBuf,
    /// Directory of the sources.
    pub(crate) sources: PathBuf,
    /// At full size: with the variables of `extended:` and without a short time limit.
    pub(crate) extended: bool,
}

/// One result on its way to the report.
pub(crate) enum Note {
    /// A check and what it came to.
    Done(String, Outcome, Duration),
    /// A check that glibc is no yardstick for.
    Exempt(String, String),
}

/// Runs every program of `tests/c`.
pub(crate) fn run(context: &mut Context) {
    run_directory(context, "c", "tests/c", one_program);
}

/// Runs `each` on every program of `directory`, a few at a time, and records the results under `group`.
pub(crate) fn run_directory(context: &mut Context, group: &str, directory: &str, each: fn(&Bench, &Path) -> Vec<Note>) {
    let selected: Vec<PathBuf> = match context.sources(directory, &["c", "cc"]) {
        Ok(files) => files.into_iter().filter(|f| context.selects(group, &stem(f))).collect(),
        Err(why) => return context.report.check(group, "sources", || Err(why)),
    };
    let has_size = |file: &PathBuf| Header::read(file).is_ok_and(|header| header.get("extended").is_some());
    let selected: VecDeque<PathBuf> =
        selected.into_iter().filter(|f| !stem(f).starts_with("lib_") && (!context.extended || has_size(f))).collect();
    if selected.is_empty() {
        return;
    }
    let bench = match prepare(context, group, directory) {
        Ok(bench) => bench,
        Err(why) => return context.report.check(group, "prepare", || Err(why)),
    };
    context.report.section(&format!("{directory} ({} programs)", selected.len()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let is_alone = |file: &PathBuf| Header::read(file).is_ok_and(|header| header.get("alone").is_some());
    let (alone, together) = selected.into_iter().partition(is_alone);
    run_queue(context, group, &bench, each, (together, workers));
    run_queue(context, group, &bench, each, (alone, 1));
}

/// Runs `each` on the programs of a queue, `workers` of them at a time.
fn run_queue(
    context: &mut Context,
    group: &str,
    bench: &Bench,
    each: fn(&Bench, &Path) -> Vec<Note>,
    (queue, workers): (VecDeque<PathBuf>, usize),
) {
    let queue = Mutex::new(queue);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let send = send.clone();
            let queue = &queue;
            scope.spawn(move || {
                while let Some(source) = queue.lock().ok().and_then(|mut q| q.pop_front()) {
                    each(bench, &source).into_iter().for_each(|note| send.send(note).unwrap_or_default());
                }
            });
        }
        drop(send);
        for note in receive {
            match note {
                Note::Done(name, outcome, took) => context.report.record(group, &name, outcome, took),
                Note::Exempt(name, reason) => context.report.exempt(&name, &reason),
            }
        }
    });
}

fn prepare(context: &mut Context, group: &str, directory: &str) -> Result<Bench, String> {
    let library = context.library()?;
    let libraries = context.scratch("lib")?;
    let (work, sources) = (context.scratch(group)?, context.root.join(directory));
    let bench = Bench { work, libraries, library, sources, extended: context.extended };
    for source in context.sources(directory, &["c"])?.iter().filter(|f| stem(f).starts_with("lib_")) {
        let output = bench.libraries.join(format!("{}.so", stem(source)));
        compile(&bench, source, &output, &["-shared", "-fPIC"])?;
    }
    Ok(bench)
}

/// Compiles one source file.
pub(crate) fn compile(bench: &Bench, source: &Path, output: &Path, extra: &[&str]) -> Result<(), String> {
    let cxx = source.extension().is_some_and(|e| e == "cc");
    let mut command = Command::new(if cxx { "g++" } else { "gcc" });
    command.args(C_FLAGS).arg(if cxx { "-std=c++17" } else { "-std=gnu11" });
    command.arg("-I").arg(&bench.sources).arg(source).arg("-o").arg(output).args(extra);
    process::run(&mut command, Duration::from_secs(120), &bench.work)?.success()
}

/// Compiles one program and runs it every way.
pub(crate) fn one_program(bench: &Bench, source: &Path) -> Vec<Note> {
    let name = stem(source);
    let mut notes = Vec::new();
    if let Err(why) = all_ways(bench, source, &name, &mut notes) {
        notes.push(Note::Done(name, Err(why), Duration::ZERO));
    }
    notes
}

fn all_ways(bench: &Bench, source: &Path, name: &str, notes: &mut Vec<Note>) -> Result<(), String> {
    let header = Header::read(source)?;
    let executable = bench.work.join(name);
    compile(bench, source, &executable, &header.words("flags"))?;
    let cases = cases(bench, &header, &executable)?;
    for way in Way::parse(&header)? {
        let executable = match way {
            Way::Linked => link(bench, source, name, &header)?,
            Way::GlibcThread | Way::PreloadThread => in_thread(bench, source, name, &header)?,
            _ => executable.clone(),
        };
        for (case, fatal) in &cases {
            let label = format!("{name}{}{case} [{}]", if case.is_empty() { "" } else { ":" }, way.name());
            let (start, executable) = (Instant::now(), &executable);
            let case = Case { bench, header: &header, executable, way, name: case, fatal: fatal.as_deref() };
            let (reason, outcome) = match case.run() {
                Verdict::Counts(outcome) => (None, Some(outcome)),
                Verdict::Differs(reason, outcome) => (Some(format!("differs: {reason}")), Some(outcome)),
                Verdict::Exempt(reason) => (Some(format!("exempt: {reason}")), None),
            };
            notes.extend(reason.map(|reason| Note::Exempt(label.clone(), reason)));
            notes.extend(outcome.map(|outcome| Note::Done(label, outcome, start.elapsed())));
        }
    }
    Ok(())
}

/// The cases of a program with the fatal words each must end with; one nameless case for most programs.
fn cases(bench: &Bench, header: &Header, executable: &Path) -> Result<Vec<(String, Option<String>)>, String> {
    if header.get("cases").is_none() {
        return Ok(vec![(String::new(), None)]);
    }
    let run = process::run(Command::new(executable).arg("--list"), Duration::from_secs(120), &bench.work)?;
    run.success()?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let cases: Vec<_> = text
        .lines()
        .map(|line| match line.split_once("\tfatal: ") {
            Some((case, words)) => (case.to_owned(), Some(words.to_owned())),
            None => (line.to_owned(), None),
        })
        .collect();
    if cases.is_empty() { Err("`--list` names no case".into()) } else { Ok(cases) }
}

/// The same program with its main called by a thread (see `check.h`).
fn in_thread(bench: &Bench, source: &Path, name: &str, header: &Header) -> Result<PathBuf, String> {
    let output = bench.work.join(format!("{name}.thread"));
    let mut extra = vec!["-DIN_THREAD"];
    extra.extend(header.words("flags"));
    if !output.exists() {
        compile(bench, source, &output, &extra)?;
    }
    Ok(output)
}

fn link(bench: &Bench, source: &Path, name: &str, header: &Header) -> Result<PathBuf, String> {
    let output = bench.work.join(format!("{name}.linked"));
    let directory = bench.libraries.display();
    let (search, rpath) = (format!("-L{directory}"), format!("-Wl,-rpath,{directory}"));
    let mut extra = vec!["-Wl,--no-as-needed", &search, &rpath, "-lbrkmap"];
    extra.extend(header.words("flags"));
    compile(bench, source, &output, &extra)?;
    Ok(output)
}

/// One case of one program, to be run one way.
struct Case<'a> {
    bench: &'a Bench,
    header: &'a Header,
    executable: &'a Path,
    way: Way,
    /// The program's argument; empty for a program with one case.
    name: &'a str,
    /// The words of the fatal line that it must end with.
    fatal: Option<&'a str>,
}

/// What a run says.
enum Verdict {
    /// The expectation itself holds or fails.
    Counts(Outcome),
    /// Glibc's answer is known to be another one, for this reason; the outcome says whether it still is.
    Differs(String, Outcome),
    /// Not run under glibc, for this reason.
    Exempt(String),
}

impl Case<'_> {
    fn run(&self) -> Verdict {
        let yardstick = match self.header.yardstick() {
            Ok(yardstick) => yardstick,
            Err(why) => return Verdict::Counts(Err(why)),
        };
        match (self.way.is_glibc(), yardstick) {
            (true, Yardstick::Exempt(reason)) => Verdict::Exempt(reason),
            (true, Yardstick::Differs(reason)) => {
                let outcome = match self.once().map(|run| run.success()) {
                    Ok(Err(_)) => Ok(()),
                    Ok(Ok(())) => Err(format!("passes under glibc, so its mark is wrong: differs ({reason})")),
                    Err(why) => Err(why),
                };
                Verdict::Differs(reason, outcome)
            }
            _ => Verdict::Counts(self.once().and_then(|run| match self.fatal {
                Some(words) => is_fatal(&run, words),
                None => run.success(),
            })),
        }
    }

    fn once(&self) -> Result<Run, String> {
        let limit = if self.bench.extended { EXTENDED_LIMIT } else { self.header.timeout()? };
        process::run(&mut self.command(), limit, &self.bench.work)
    }

    fn command(&self) -> Command {
        let mut command = as_user(self.header, self.executable);
        command.current_dir(&self.bench.work).env("PATH", crate::tools::SYSTEM_PATH);
        self.way.environment(&mut command, self.header, &self.bench.libraries, &self.bench.library);
        for pair in self.header.words("env") {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            command.env(name, value);
        }
        if self.bench.extended {
            let pairs = self.header.words("extended").into_iter().filter_map(|pair| pair.split_once('='));
            command.envs(pairs);
        }
        if !self.name.is_empty() {
            command.arg(self.name);
        }
        command
    }
}

/// `executable` as the user that the header asks for.
pub(crate) fn as_user(header: &Header, executable: &Path) -> Command {
    if header.get("user") == Some("nobody") && rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(executable);
        return command;
    }
    Command::new(executable)
}

/// Whether the program ended as misuse must end: SIGABRT, and exactly one line of ours with one of `words`.
fn is_fatal(run: &Run, words: &str) -> Outcome {
    const SIGABRT: i32 = 6;
    if run.ended != Ended::Signal(SIGABRT) {
        return Err(format!("expected SIGABRT with `{words}`: {}", run.describe()));
    }
    let text = String::from_utf8_lossy(&run.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("brkmap: fatal: ")).collect();
    let [line] = lines[..] else {
        return Err(format!("expected one `brkmap: fatal:` line, got {}: {}", lines.len(), run.describe()));
    };
    let what = line.trim_start_matches("brkmap: fatal: ");
    let end = format!("(pid {})", run.pid);
    if !words.split('|').any(|word| what.starts_with(word)) || !what.contains(" ptr=0x") || !what.ends_with(&end) {
        return Err(format!("expected `brkmap: fatal: {words} ptr=0x… {end}`, got `{line}`"));
    }
    Ok(())
}
