//! The page of `brkmap run`.

use super::card::{Card, Figure, marked};
use super::markup::{Element, element, of_class};
use super::page::{Page, Section};
use super::table::{Column, facts, folded, mebibytes, mib, number, table};
use super::timeline::Timeline;
use super::waterfall::{self, Mark};
use super::{calls, card, environment, fragmentation, method, over_time, page};
use crate::model::kernel_calls::{self, KernelCalls};
use crate::model::machine::Machine;
use crate::model::process::{Outcome, Process};
use crate::model::snapshot::Moment as Seen;
use crate::model::verdict::judge;
use crate::model::waterfall::Kind;
use crate::trace::Following;
use crate::view::syscalls::Calls;
use crate::view::{Report, UNSEEN, command_line, short_command, signal_name};
use serde_json::Value;

/// Processes with a waterfall of their own, beside the command's.
const LARGE: usize = 5;
/// Rows of the table of the others.
const ROWS: usize = 200;
/// Characters of a command in a table.
const WIDTH: usize = 160;

/// Writes the page. `data` is the document of `--json`.
pub(crate) fn render(report: &Report, machine: &Machine, data: &Value) -> String {
    let mut sections = Vec::new();
    if let Some(main) = &report.main {
        let ticks = report.calls.as_ref().map_or(Vec::new(), |calls| {
            kernel_calls::ticks(&calls.summary, &calls.calls, calls.not_kept == 0, main.pid)
        });
        let timeline = Timeline { moments: &[], ticks: &ticks, limit: None };
        sections.push(resident(main));
        sections.push(over_time(&timeline, "The program ended before a second one."));
        sections.push(fragments(main));
        sections.push(kernel(main, report.calls.as_ref()));
    }
    if !report.others.is_empty() {
        sections.push(others(report));
    }
    sections.push(environs(report, machine));
    sections.push(how(report));
    let name = report.command.first().map_or("", |first| first.rsplit('/').next().unwrap_or(first));
    page::render(&Page {
        title: format!(
            "{name}: {}",
            report.main.as_ref().map_or(UNSEEN.to_owned(), |main| { format!("peak {} resident", mib(main.peak_rss)) })
        ),
        command: command_line(&report.command),
        facts: head_line(report),
        unix_seconds: machine.unix_seconds,
        card: verdict(report),
        sections,
        data,
        file: format!("brkmap-{}.json", file_name(name)),
    })
}

/// A name as part of a file's name.
fn file_name(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(40).collect();
    if plain.is_empty() { "run".to_owned() } else { plain }
}

fn ended(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Code(code)) => format!("exit {code}"),
        Some(Outcome::Signal(signal)) => format!("killed by {}", signal_name(signal)),
        None => "still running".to_owned(),
    }
}

fn seen(process: &Process) -> String {
    match process.moment {
        Seen::AtExit => "at its end".to_owned(),
        Seen::Before(age) => format!("{} ms before its end", age.as_millis()),
        Seen::StillRunning => "while it still ran".to_owned(),
    }
}

fn head_line(report: &Report) -> Vec<String> {
    let mut facts = vec![ended(Some(report.outcome)), format!("{:.2} s", report.wall.as_secs_f64())];
    if let Some(main) = &report.main {
        facts.push(format!("pid {}", main.pid));
        facts.push(format!("malloc: {}", main.in_force.malloc));
    }
    if !report.others.is_empty() {
        facts.push(format!("{} more processes", number(report.others.len() as u64 + report.not_kept)));
    }
    facts
}

fn verdict(report: &Report) -> Element {
    let Some(main) = &report.main else {
        let text = format!("No sample: {UNSEEN}.");
        let (figures, remedies, warnings) = (Vec::new(), Vec::new(), warnings(report));
        return card::section(&Card {
            class: "unclear",
            text: &text,
            evidence: None,
            figures,
            remedies,
            warnings,
            bars: &[],
        });
    };
    let verdict = judge(&main.waterfall, &main.in_force);
    let mut text = verdict.text;
    // A compiler driver or a shell script is small itself; what it started may not be.
    if let Some(child) = report.others.first().filter(|child| child.peak_rss / 2 > main.peak_rss) {
        let name = short_command(child, 40);
        let name = name.split(' ').next().unwrap_or_default();
        text += &format!("; its child {name} reached {}", mib(child.peak_rss));
    }
    let bars = waterfall::of_waterfall(&main.waterfall);
    let get = |kind| main.waterfall.get(kind);
    let known = |bytes: u64| main.waterfall.ours.then_some(bytes);
    let figures = vec![
        Figure { name: "peak resident", bytes: Some(main.peak_rss), note: marked(Mark::Measured) },
        Figure { name: "resident (RSS)", bytes: Some(main.waterfall.rss()), note: seen(main) },
        Figure { name: "held by the program", bytes: known(waterfall::held(&bars)), note: seen(main) },
        Figure { name: "free, can go back", bytes: known(get(Kind::Returnable)), note: marked(Mark::Predicted) },
    ];
    let (remedies, warnings) = (Vec::new(), warnings(report));
    card::section(&Card {
        class: verdict.class.key(),
        text: &text,
        evidence: None,
        figures,
        remedies,
        warnings,
        bars: &bars,
    })
}

fn warnings(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    if let Following::Sampled(why) = &report.following {
        all.push(format!("Sampled: the command only, no children, from time to time: {why}."));
    }
    let mut losers = report.main.iter().chain(&report.others).filter(|process| process.lost_privilege);
    if let Some(first) = losers.next() {
        let name = short_command(first, 40);
        all.push(format!("{name} should have changed user and could not, being traced; try --no-trace."));
    }
    if let Some(error) = report.main.as_ref().and_then(|main| main.heap_error.as_ref()) {
        all.push(format!("brkmap's heap could not be read to its end: {error}."));
    }
    all
}

fn resident(main: &Process) -> Section {
    let bars = waterfall::of_waterfall(&main.waterfall);
    let lead = format!("Every resident byte under one reason, {}. The bars sum to RSS exactly.", seen(main));
    let mut inner = vec![waterfall::table(&bars, "resident memory by reason, in MiB and as a share")];
    if !main.named.is_empty() {
        let heads = [
            ("name", Column::Text),
            ("ranges", Column::Number),
            ("MiB", Column::Number),
            ("resident, MiB", Column::Number),
        ];
        let rows = main.named.iter().take(ROWS).map(|memory| {
            vec![memory.name.clone(), number(memory.ranges), mebibytes(memory.bytes), mebibytes(memory.resident)]
        });
        inner.push(element("h3").text("Memory that the program named"));
        inner.push(table("its bytes are in the rows above already", &heads, rows));
    }
    inner.push(folded("what the rows mean", true, [waterfall::terms(&bars)]));
    Section::new("resident", "Where the memory is", lead, inner)
}

fn fragments(main: &Process) -> Section {
    let inner = match main.engine {
        Some(_) => fragmentation::of_brkmap(&main.policy),
        None => {
            let text = format!("The blocks of this malloc ({}) were not read.", main.in_force.malloc);
            vec![element("p").text(text)]
        }
    };
    Section::new("fragmentation", "Fragmentation", "What keeps free memory from going back.", inner)
}

fn kernel(main: &Process, traced: Option<&Calls>) -> Section {
    let mut inner = traced.map(calls::traced).unwrap_or_default();
    match &main.engine {
        Some(engine) => inner.extend(calls::figure(&KernelCalls::of_engine(engine))),
        None if inner.is_empty() => {
            inner.push(element("p").text("Nobody counted the calls of this process; --syscalls does."));
        }
        None => {}
    }
    let faults = [
        ("OS pages that became resident (minor faults)", main.stat.minor_faults),
        ("read from disk (major faults)", main.stat.major_faults),
    ];
    inner.push(facts("page faults", faults.map(|(name, count)| (name.to_owned(), number(count)))));
    Section::new("calls", "System calls", "What the process asked of the kernel for its memory.", inner)
}

/// The largest with their waterfalls, the rest as a table.
fn others(report: &Report) -> Section {
    let (large, rest) = report.others.split_at(report.others.len().min(LARGE));
    // Where the command only starts others, the largest of them is what the report is about.
    let is_main = |child: &Process| report.main.as_ref().is_none_or(|main| child.peak_rss / 2 > main.peak_rss);
    let mut inner: Vec<Element> =
        large.iter().enumerate().map(|(index, child)| one(child, index == 0 && is_main(child))).collect();
    if !rest.is_empty() {
        let heads = [
            ("pid", Column::Text),
            ("peak, MiB", Column::Number),
            ("at the end, MiB", Column::Number),
            ("malloc", Column::Text),
            ("ended", Column::Text),
            ("command", Column::Text),
        ];
        let row = |process: &Process| {
            vec![
                process.pid.to_string(),
                mebibytes(process.peak_rss),
                mebibytes(process.waterfall.rss()),
                malloc(process),
                ended(process.outcome),
                short_command(process, WIDTH),
            ]
        };
        let more = rest.len().saturating_sub(ROWS);
        let caption = match more {
            0 => "the others, largest peak first".to_owned(),
            _ => format!("the next {ROWS}, largest peak first; {} more are in --json", number(more as u64)),
        };
        inner.push(table(&caption, &heads, rest.iter().take(ROWS).map(row)));
    }
    if report.not_kept > 0 {
        let text = format!("Of {} processes only the number was kept.", number(report.not_kept));
        inner.push(element("p").text(text));
    }
    let lead = "Everything that the command started, each at its own last moment.";
    Section::new("processes", "Other processes", lead, inner)
}

fn malloc(process: &Process) -> String {
    match process.in_force.reason {
        None => process.in_force.malloc.clone(),
        Some(reason) => format!("{} ({})", process.in_force.malloc, reason.key()),
    }
}

fn one(process: &Process, is_open: bool) -> Element {
    let bars = waterfall::of_waterfall(&process.waterfall);
    let title = format!("{} · peak {} · {}", short_command(process, WIDTH), mib(process.peak_rss), malloc(process));
    let caption = format!("pid {}, {}, {}", process.pid, ended(process.outcome), seen(process));
    of_class("details", "process shown")
        .with_some("open", is_open.then_some("open"))
        .child(element("summary").text(title))
        .child(waterfall::table(&bars, &caption))
}

fn environs(report: &Report, machine: &Machine) -> Section {
    let mut of_malloc = Vec::new();
    if let Some(main) = &report.main {
        of_malloc.push(("malloc in force".to_owned(), malloc(main)));
        of_malloc.extend(main.policy.thresholds.iter().map(environment::threshold));
        of_malloc.push(("program".to_owned(), main.exe.clone()));
    }
    let time =
        format!("{:.2} s user, {:.2} s system", report.usage.user.as_secs_f64(), report.usage.system.as_secs_f64());
    of_malloc.push(("time, with children".to_owned(), time));
    let inner = vec![facts("the run", of_malloc), environment::machine(machine)];
    Section::new("environment", "Environment", "What decides how memory behaves here.", inner)
}

fn how(report: &Report) -> Section {
    let mut limits = vec![
        "Figures are of the moment that their heading names; what a program freed before is not in them.".to_owned(),
    ];
    if report.main.as_ref().is_some_and(|main| !main.waterfall.ours) {
        limits.push("The malloc in force was not read, so live and free are not told apart.".to_owned());
    }
    Section::new(
        "method",
        "Method and limits",
        "How each figure was obtained.",
        method::figure(&method::OF_RUN, &limits),
    )
}
