//! The page of `brkmap inspect`.

use super::card::{Card, Figure, marked};
use super::markup::{Element, element};
use super::page::{Page, Section};
use super::table::{facts, folded, mib};
use super::timeline::Timeline;
use super::waterfall::{self, Bar, Mark};
use super::{calls, card, environment, look, method, over_time, page};
use crate::model::kernel_calls::KernelCalls;
use crate::model::machine::Machine;
use crate::model::picture::{Grain, Picture};
use crate::model::process::Engine;
use crate::model::timeline::Moment;
use crate::view::command_line;
use crate::view::inspect::Inspection;
use serde_json::Value;

/// Writes the page. `data` is the document of `--json`.
pub(crate) fn render(inspection: &Inspection, moments: &[Moment], machine: &Machine, data: &Value) -> String {
    let bars = waterfall::of_xray(&inspection.xray);
    let snapshot = &inspection.look.snapshot;
    let timeline = Timeline { moments, ticks: &[], limit: inspection.look.limit.as_ref().map(|limit| limit.limit) };
    let watch = "Look at it for longer with --watch SECONDS --count N --html FILE.";
    let command = words(inspection);
    let picture = Picture::of(inspection.pid, &inspection.look, Grain::SVG);
    page::render(&Page {
        title: format!("{} (pid {}): {} resident", snapshot.status.name, inspection.pid, mib(inspection.xray.rss())),
        command: command_line(&command),
        facts: head_line(inspection),
        unix_seconds: machine.unix_seconds,
        card: verdict(inspection, &bars),
        sections: vec![
            resident(&bars),
            over_time(&timeline, watch),
            look::address_space(inspection, &picture, ""),
            look::fragments(inspection, picture.heat.as_ref()),
            kernel(inspection),
            environs(inspection, machine),
            how(inspection),
        ],
        data,
        file: format!("brkmap-{}.json", inspection.pid),
    })
}

/// Its command without what a program that renames itself leaves behind.
fn words(inspection: &Inspection) -> Vec<String> {
    let snapshot = &inspection.look.snapshot;
    let mut words = snapshot.command.clone();
    while words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    if words.is_empty() {
        words.push(snapshot.status.name.clone());
    }
    words
}

fn head_line(inspection: &Inspection) -> Vec<String> {
    let threads = inspection.look.snapshot.status.threads;
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    vec![format!("pid {}", inspection.pid), threads, format!("malloc: {}", inspection.malloc)]
}

fn verdict(inspection: &Inspection, bars: &[Bar]) -> Element {
    let diagnosis = &inspection.diagnosis;
    let status = &inspection.look.snapshot.status;
    let is_seen = inspection.xray.malloc_seen;
    let seen = |bytes: u64| is_seen.then_some(bytes);
    let peak = format!("peak {}", mib(status.peak_rss));
    let mut figures = vec![
        Figure { name: "resident (RSS)", bytes: Some(inspection.xray.rss()), note: peak },
        Figure { name: "held by the program", bytes: seen(waterfall::held(bars)), note: marked(Mark::Measured) },
        Figure { name: "a trim would return", bytes: seen(inspection.trim()), note: marked(Mark::Predicted) },
        Figure {
            name: "no trim gets below",
            bytes: seen(inspection.floor()),
            note: "malloc's part: OS pages with live bytes".to_owned(),
        },
    ];
    let others = [
        ("in swap", status.swap, ""),
        ("given back, not yet taken", inspection.lazy_free(), "LazyFree: part of RSS until memory runs short"),
        ("on huge pages", inspection.huge(), ""),
    ];
    figures.extend(others.into_iter().filter(|other| other.1 > 0).map(|(name, bytes, note)| Figure {
        name,
        bytes: Some(bytes),
        note: note.to_owned(),
    }));
    card::section(&Card {
        class: diagnosis.class.key(),
        text: &diagnosis.text,
        evidence: Some((diagnosis.confidence.key(), &diagnosis.evidence)),
        figures,
        remedies: look::remedies(diagnosis),
        warnings: look::warnings(inspection),
        bars,
        moment: None,
    })
}

fn resident(bars: &[Bar]) -> Section {
    let lead = "Every resident byte under one reason. The bars follow each other and sum to RSS exactly.";
    let table = waterfall::table(bars, "resident memory by reason, in MiB and as a share");
    let terms = folded("what the rows mean", true, [waterfall::terms(bars)]);
    Section::new("resident", "Where the memory is", lead, vec![table, terms])
}

fn kernel(inspection: &Inspection) -> Section {
    let mut inner = Vec::new();
    match (Engine::of(&inspection.look.snapshot), inspection.look.glibc.as_ref().and_then(|glibc| glibc.parameters)) {
        (Some(engine), _) => inner.extend(calls::figure(&KernelCalls::of_engine(&engine))),
        (None, parameters) => {
            let text = "Nobody counted the calls of this process. To see them, start the program with brkmap run.";
            inner.push(element("p").text(text));
            inner.extend(parameters.iter().flat_map(calls::of_glibc));
        }
    }
    Section::new("calls", "System calls", "What the process asked of the kernel for its memory.", inner)
}

fn environs(inspection: &Inspection, machine: &Machine) -> Section {
    let inner = vec![facts("malloc and its settings", look::settings(inspection)), environment::machine(machine)];
    Section::new("environment", "Environment", "What decides how memory behaves here.", inner)
}

fn how(inspection: &Inspection) -> Section {
    let took = inspection.took.as_secs_f64() * 1000.0;
    let mut limits = vec![
        format!(
            "The last look took {took:.0} ms, in which the process ran on: figures of different sections can differ by \
                 what it did meanwhile."
        ),
        "A trim is predicted for this very moment, and only for malloc's memory.".to_owned(),
        "Growth over less than a minute says little; a process that fills up looks like one that leaks.".to_owned(),
    ];
    if !inspection.xray.malloc_seen {
        limits.push("The malloc in force cannot be read from outside, so live and free are not told apart.".to_owned());
    }
    limits.extend(
        inspection
            .look
            .glibc
            .as_ref()
            .filter(|glibc| glibc.torn > 0)
            .map(|glibc| format!("Places that changed while they were read and stayed unclear: {}.", glibc.torn)),
    );
    Section::new(
        "method",
        "Method and limits",
        "How each figure was obtained.",
        method::figure(&method::OF_INSPECT, &limits),
    )
}
