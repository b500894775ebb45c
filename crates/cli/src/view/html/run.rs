//! The page of `brkmap run`.

use super::card::{Card, Figure, marked};
use super::markup::{Element, element, of_class};
use super::page::{Page, Section};
use super::table::{Column, facts, folded, mebibytes, mib, number, table};
use super::timeline::Timeline;
use super::waterfall::{self, Bar, Mark};
use super::{calls, card, environment, fragmentation, look, method, over_time, page};
use crate::model::heat::Heat;
use crate::model::kernel_calls::{self, KernelCalls};
use crate::model::machine::Machine;
use crate::model::picture::{Grain, Picture};
use crate::model::process::{Outcome, Process};
use crate::model::snapshot::Moment as Seen;
use crate::model::spans::spans;
use crate::model::verdict::Judgement;
use crate::model::xray::Row;
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
        let deep = main.depth.end.as_deref().or(main.depth.highest());
        let limit = deep.and_then(|deep| deep.inspection.look.limit.as_ref()).map(|limit| limit.limit);
        let timeline = Timeline { moments: main.depth.timeline.moments(), ticks: &ticks, limit };
        sections.push(resident(main));
        sections.push(over_time(&timeline, "The program ended before a second one."));
        sections.extend(address_space(main));
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
            moment: None,
        });
    };
    let judgement = Judgement::of(main);
    let mut text = judgement.text().to_owned();
    // A compiler driver or a shell script is small itself; what it started may not be.
    if let Some(child) = report.others.first().filter(|child| child.peak_rss / 2 > main.peak_rss) {
        let name = short_command(child, 40);
        let name = name.split(' ').next().unwrap_or_default();
        text += &format!("; its child {name} reached {}", mib(child.peak_rss));
    }
    let (evidence, remedies) = match &judgement {
        Judgement::Deep(diagnosis) => {
            (Some((diagnosis.confidence.key(), diagnosis.evidence.as_str())), look::remedies(diagnosis))
        }
        Judgement::Plain(_) => (None, Vec::new()),
    };
    let last = last(main);
    let known = |bytes: u64| last.is_read.then_some(bytes);
    let figures = vec![
        Figure { name: "peak resident", bytes: Some(main.peak_rss), note: marked(Mark::Measured) },
        Figure { name: "resident (RSS)", bytes: Some(waterfall::sum(&last.bars)), note: last.when.clone() },
        Figure { name: "held by the program", bytes: known(waterfall::held(&last.bars)), note: last.when.clone() },
        Figure { name: "a trim would return", bytes: known(returnable(&last.bars)), note: marked(Mark::Predicted) },
    ];
    card::section(&Card {
        class: judgement.key(),
        text: &text,
        evidence,
        figures,
        remedies,
        warnings: warnings(report),
        bars: &last.bars,
        moment: Some(format!("{} resident {}", mib(waterfall::sum(&last.bars)), last.when)),
    })
}

/// The bars of a process at one moment.
struct Shown {
    bars: Vec<Bar>,
    when: String,
    /// Whether its malloc was read.
    is_read: bool,
}

/// A process at its last moment: by the full look, if there was one.
fn last(process: &Process) -> Shown {
    let when = seen(process);
    match process.depth.end.as_deref() {
        Some(end) if !process.waterfall.ours => {
            let xray = &end.inspection.xray;
            Shown { bars: waterfall::of_xray(xray), when, is_read: xray.malloc_seen }
        }
        _ => Shown { bars: waterfall::of_waterfall(&process.waterfall), when, is_read: process.waterfall.ours },
    }
}

/// A process when it was largest, if that was seen and it was larger than at last.
fn highest(process: &Process) -> Option<Shown> {
    let peak = process.depth.highest()?;
    let last = process.waterfall.rss();
    let is_last = peak.rss() <= last + last / 50;
    let share = peak.rss() as f64 * 100.0 / process.peak_rss.max(1) as f64;
    let when = format!("after {:.2} s, when {share:.1} % of its peak were there", peak.after.as_secs_f64());
    let xray = &peak.inspection.xray;
    (!is_last).then(|| Shown { bars: waterfall::of_xray(xray), when, is_read: xray.malloc_seen })
}

fn returnable(bars: &[Bar]) -> u64 {
    bars.iter().filter(|bar| bar.key == Row::Returnable.key()).map(|bar| bar.bytes).sum()
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
    let lead = "Every resident byte under one reason. The bars follow each other and sum to RSS exactly.";
    let last = last(main);
    let caption = |shown: &Shown| format!("resident memory {}, in MiB and as a share", shown.when);
    let mut inner = vec![waterfall::table(&last.bars, &caption(&last))];
    if let Some(highest) = highest(main) {
        let peak = [element("h3").text("Nearest to its peak"), waterfall::table(&highest.bars, &caption(&highest))];
        inner.splice(0..0, peak.into_iter().chain([element("h3").text("At last")]));
    }
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
    inner.push(folded("what the rows mean", true, [waterfall::terms(&last.bars)]));
    Section::new("resident", "Where the memory is", lead, inner)
}

/// As the full look at the last moment shows it, else as brkmap's own books do.
fn fragments(main: &Process) -> Section {
    let deep = main.depth.end.as_deref().or(main.depth.highest());
    let mut section = match deep {
        Some(deep) => {
            let heat = Heat::of(&deep.inspection.look, &spans(&deep.inspection.look), Grain::SVG.heat);
            look::fragments(&deep.inspection, heat.as_ref())
        }
        None => Section::new("fragmentation", "Fragmentation", "What keeps free memory from going back.", Vec::new()),
    };
    if deep.is_none() && main.engine.is_some() {
        section.inner = fragmentation::of_brkmap(&main.policy);
    } else if section.inner.is_empty() {
        let text = format!("The blocks of this malloc ({}) were not read.", main.in_force.malloc);
        section.inner.push(element("p").text(text));
    }
    section
}

/// The address space when the process was largest.
fn address_space(main: &Process) -> Option<Section> {
    let deep = main.depth.highest()?;
    let picture = Picture::of(main.pid, &deep.inspection.look, Grain::SVG);
    let when = format!("After {:.2} s, with {} resident. ", deep.after.as_secs_f64(), mib(deep.rss()));
    Some(look::address_space(&deep.inspection, &picture, &when))
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
    let last = last(process);
    let title = format!("{} · peak {} · {}", short_command(process, WIDTH), mib(process.peak_rss), malloc(process));
    let caption = format!("pid {}, {}, {}", process.pid, ended(process.outcome), last.when);
    let peak = highest(process).map(|highest| {
        let caption = format!("pid {}, {}", process.pid, highest.when);
        waterfall::table(&highest.bars, &caption)
    });
    of_class("details", "process shown")
        .with_some("open", is_open.then_some("open"))
        .child(element("summary").text(title))
        .children(peak)
        .child(waterfall::table(&last.bars, &caption))
}

fn environs(report: &Report, machine: &Machine) -> Section {
    let mut of_malloc = Vec::new();
    if let Some(main) = &report.main {
        of_malloc.push(("malloc in force".to_owned(), malloc(main)));
        match main.depth.end.as_deref().or(main.depth.highest()) {
            Some(deep) => of_malloc = look::settings(&deep.inspection),
            None => of_malloc.extend(main.policy.thresholds.iter().map(environment::threshold)),
        }
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
    if report.main.as_ref().is_some_and(|main| !last(main).is_read) {
        limits.push("The malloc in force was not read, so live and free are not told apart.".to_owned());
    }
    Section::new(
        "method",
        "Method and limits",
        "How each figure was obtained.",
        method::figure(&method::OF_RUN, &limits),
    )
}
