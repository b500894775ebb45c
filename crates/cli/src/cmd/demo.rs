//! `brkmap demo`.

use super::inspect::Series;
use super::run::environment;
use super::{Failure, print, target};
use crate::cli::demo::{Alloc, Arguments};
use crate::collect;
use crate::demo::{self, Demo, Figure};
use crate::embed::{self, Library};
use crate::view::demo::{Shown, document, list, text};
use crate::view::inspect::Inspection;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Looks that make sure of a growth, and the time between two: nearly each must see some.
const MANY_LOOKS: (u32, Duration) = (9, Duration::from_millis(200));
/// Looks that are enough else, and the time between them.
const LOOKS: (u32, Duration) = (2, Duration::from_millis(100));
/// How long brkmap has to give back by itself: at least, and at most.
const IDLE: [Duration; 2] = [Duration::from_millis(1500), Duration::from_secs(5)];
/// RSS that stood still for so long has come to rest.
const STILL: Duration = Duration::from_millis(500);
/// How long a change takes to show.
const SETTLED: Duration = Duration::from_millis(100);

/// Shows one, or says which there are.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let style = print::style(arguments.color, arguments.ascii);
    let name = arguments.name.as_deref().unwrap_or("list");
    if name == "list" {
        let all = if arguments.json { format!("{:#}\n", crate::view::demo::names()) } else { list(style) };
        return print::out(&all);
    }
    let demo = demo::find(name).ok_or_else(|| {
        let names: Vec<&str> = demo::ALL.iter().map(|demo| demo.name).collect();
        Failure::tool(format!("no demonstration is called '{}'; there are {}", name.escape_debug(), names.join(", ")))
    })?;
    let library = embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)?;
    let mut patient = Patient::start(demo, (arguments.alloc == Alloc::Brkmap).then_some(&library))?;
    let ill = patient.looks(if demo.class == "growing" { MANY_LOOKS } else { LOOKS })?;
    let (did, cost) = patient.said.split_once('\t').unwrap_or((&patient.said, ""));
    let (did, cost) = (did.to_owned(), cost.to_owned());
    let mut shown = Shown { demo, alloc: arguments.alloc, did, cost, ill, cured: None, on_brkmap: None };
    if let Some(time) = arguments.hold {
        hold(&patient, &shown, time, arguments, style)?;
    }
    if !demo.cure.is_empty() {
        let said = patient.cure()?;
        std::thread::sleep(SETTLED);
        shown.cured = Some((patient.rss()?, said));
    }
    if demo.figure == Figure::ByMalloc && arguments.alloc == Alloc::System {
        let other = Patient::start(demo, Some(&library))?;
        other.settle();
        shown.on_brkmap = Some(other.rss()?);
    }
    match (arguments.json, arguments.hold) {
        (true, _) => print::out(&format!("{:#}\n", document(&shown))),
        // The first part is on the screen already.
        (false, Some(_)) => print::out(&text(&shown, style).1),
        (false, None) => {
            let (first, second) = text(&shown, style);
            print::out(&(first + &second))
        }
    }
}

/// The hidden side of it: the process that falls ill.
pub(crate) fn act(demo: &Demo) -> Result<u8, Failure> {
    demo::act(demo).map(|()| 0).map_err(|error| Failure::tool(format!("{}{}: {error}", demo::PREFIX, demo.name)))
}

/// Says what is seen and leaves it as it is for a while.
fn hold(
    patient: &Patient,
    shown: &Shown,
    time: Duration,
    arguments: &Arguments,
    style: crate::view::style::Style,
) -> Result<(), Failure> {
    if !arguments.json {
        let pid = patient.child.id();
        let name = format!("{}{}", demo::PREFIX, shown.demo.name);
        let line = format!("hold        {name}, pid {pid}, stays so for {} s\n", time.as_secs_f64());
        print::out(&(text(shown, style).0 + &line))?;
    }
    std::thread::sleep(time);
    Ok(())
}

/// The child.
struct Patient {
    child: Child,
    /// What it did, as it says.
    said: String,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Patient {
    /// Starts it, and waits until it is in its state.
    fn start(demo: &Demo, library: Option<&Library>) -> Result<Patient, Failure> {
        let failure = |why: String| Failure::tool(format!("the demonstration {} did not start: {why}", demo.name));
        let path = library.map(Library::path);
        let mut command = Command::new("/proc/self/exe");
        command.arg0(format!("{}{}", demo::PREFIX, demo.name));
        command.env_clear().envs(environment(path.as_deref()));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| failure(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failure("it has no pipes".to_owned()));
        };
        let mut patient = Patient { child, said: String::new(), input, output: BufReader::new(output) };
        patient.said = patient.answer()?;
        patient.wait_until_it_waits();
        Ok(patient)
    }

    /// Waits until it waits for what it is told next: what it touches on the way there would be growth.
    fn wait_until_it_waits(&self) {
        let begin = Instant::now();
        let is_asleep = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
            status.contains("State:\tS")
        };
        while !is_asleep() && begin.elapsed() < STILL {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => Ok(line.trim_end().to_owned()),
            _ => {
                let status = self.child.wait().map_or("unknown".to_owned(), |status| status.to_string());
                Err(Failure::tool(format!("the demonstration ended too early ({status}); is there memory enough?")))
            }
        }
    }

    fn cure(&mut self) -> Result<String, Failure> {
        // Where it is gone, the answer says so.
        let _ = self.input.write_all(b"cure\n");
        self.answer()
    }

    /// Looks at it several times, with a pause between two.
    fn looks(&self, (count, pause): (u32, Duration)) -> Result<Inspection, Failure> {
        let mut series = Series::new(self.child.id() as i32, None);
        for _ in 1..count {
            series.look().map_err(target::failure)?;
            std::thread::sleep(pause);
        }
        series.look().map_err(target::failure)
    }

    /// Waits until brkmap has given back what it will.
    fn settle(&self) {
        let begin = Instant::now();
        let (mut last, mut since) = (0, begin);
        while begin.elapsed() < IDLE[0] || since.elapsed() < STILL && begin.elapsed() < IDLE[1] {
            std::thread::sleep(SETTLED);
            let rss = collect::status(self.child.id() as i32).map_or(0, |status| status.rss);
            if rss != last {
                (last, since) = (rss, Instant::now());
            }
        }
    }

    fn rss(&self) -> Result<u64, Failure> {
        Series::new(self.child.id() as i32, None).look().map(|seen| seen.xray.rss()).map_err(target::failure)
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
