//! `brkmap compare`.

mod libraries;
mod progress;
mod runs;

use super::run::{create, untraceable};
use super::{Failure, complain};
use crate::cli::compare::Arguments;
use crate::model::compare::judge::Judgement;
use crate::model::compare::metric::Metric;
use crate::model::compare::plan::{Setting, cells};
use crate::model::compare::result::Comparison;
use crate::view::compare::{json, text};
use crate::view::style::{Style, locale_is_ascii, wants_color};
use progress::Progress;
use runs::Runs;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// More would be a mistake at the keyboard.
const MOST_CELLS: usize = 100;
/// Exit status after an interrupt, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs everything, then reports.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    check(&arguments.set)?;
    let found = libraries::find(&arguments.with)?;
    let cells = cells(&found.mallocs, &arguments.set);
    if cells.len() > MOST_CELLS {
        let message = format!("--with and --set make {} combinations; {MOST_CELLS} are the most", cells.len());
        return Err(Failure::tool(message));
    }
    let output = arguments.output.as_deref().map(|path| create(path, arguments.force)).transpose()?;
    let begin = Instant::now();
    let load = load();
    let sampled = untraceable(&arguments.command[0]);
    let mut progress = Progress::new(cells.len() * usize::from(arguments.runs));
    for skipped in &found.skipped {
        progress.say(&libraries::missing(skipped));
    }
    let mut runs = Runs::new(arguments, sampled.is_none());
    let results = runs.warm_up(cells, &mut progress).and_then(|mut results| {
        runs.measure(&mut results, &mut progress)?;
        Ok(results)
    });
    runs.finish();
    progress.clear();
    let comparison = Comparison {
        command: arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        cells: results?,
        metrics: metrics(arguments),
        skipped: found.skipped,
        wanted_runs: usize::from(arguments.runs),
        end_after: arguments.end_after,
        interrupted: runs.interrupted,
        took: begin.elapsed(),
        sampled,
        left_out: runs.left_out,
        load,
        last_words: runs.last_words,
    };
    report(&comparison, arguments, output)
}

/// The figures that decide. With --for all take the same time.
fn metrics(arguments: &Arguments) -> Vec<Metric> {
    let mut all = Vec::new();
    let wanted: &[Metric] = match (&arguments.metric[..], arguments.end_after) {
        ([], None) => &[Metric::Time, Metric::PeakRss],
        ([], Some(_)) => &[Metric::Cpu, Metric::SettledRss],
        (given, _) => given,
    };
    for metric in wanted {
        if !all.contains(metric) {
            all.push(*metric);
        }
    }
    all
}

/// A variable has one list of values.
fn check(settings: &[Setting]) -> Result<(), Failure> {
    let twice =
        settings.iter().enumerate().find(|(index, one)| settings[..*index].iter().any(|o| o.variable == one.variable));
    match twice {
        Some((_, setting)) => {
            let name = &setting.variable;
            Err(Failure::tool(format!("--set names {name} twice; give all values at once: --set {name}=a,b")))
        }
        None => Ok(()),
    }
}

/// Tasks that wait for a processor, for each processor.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let waiting: f64 = text.split(' ').next()?.parse().ok()?;
    let processors = std::thread::available_parallelism().ok()?.get();
    Some(waiting / processors as f64)
}

fn report(comparison: &Comparison, arguments: &Arguments, output: Option<File>) -> Result<u8, Failure> {
    let contest = comparison.contest();
    let judgement = contest.judge();
    let text = if arguments.json {
        format!("{:#}\n", json::document(comparison, &contest, &judgement))
    } else {
        let (is_terminal, width) = match &output {
            Some(_) => (false, None),
            None => (io::stdout().is_terminal(), crate::os::terminal_width(io::stdout().as_raw_fd())),
        };
        let variable = |name: &str| std::env::var(name).ok();
        let style = Style {
            color: wants_color(arguments.color, is_terminal, variable),
            ascii: arguments.ascii || locale_is_ascii(variable),
            width: width.unwrap_or(100).clamp(72, 140),
        };
        text::render(comparison, &contest, &judgement, style)
    };
    let written = match output {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        },
    };
    written.map_err(|error| {
        let place = arguments.output.as_ref().map_or("standard output".into(), |path| path.display().to_string());
        Failure::tool(format!("cannot write the report to {place}: {error}"))
    })?;
    match judgement {
        _ if comparison.interrupted => Ok(INTERRUPTED),
        // The report says of each malloc why it was not there.
        Judgement::Nothing if comparison.cells.len() > 1 => {
            complain("nothing could be compared; the report says why");
            Ok(crate::cli::TOOL_FAILURE)
        }
        _ => Ok(0),
    }
}
