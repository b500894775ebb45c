//! The lab: every claim about `brk`, `mmap` and `malloc`, made to happen on this machine and judged.
//!
//! ```text
//!   docs/claims.toml ──► index ──┐
//!   cmd/lab ─────────────────────┴─► run ──► an experiment: notes, figures that must come out, a verdict
//!                                             │
//!                                             └─► launch: this program again, as `lab-subject NAME NUMBER…`,
//!                                                 on the C library's malloc or on brkmap ──► subject ──► raw
//!                                                 (with `calls`: under a tracer)
//! ```
//! An experiment judges, a *subject* does: it is a fresh process, so no experiment disturbs another, and what it does to
//! its memory is exactly what the experiment says. A family is one file of experiments with their subjects. What is
//! unsafe lies in `raw`, `calls` and `launch`.

mod back;
mod brk;
mod calls;
mod cost;
mod elsewhere;
mod free;
mod held;
mod index;
mod launch;
mod layout;
mod map;
mod note;
mod policy;
mod raw;
mod sharing;
mod subject;
mod tasks;
mod ways;

pub(crate) use index::{Claim, claims};
pub(crate) use launch::Bench;
pub(crate) use note::{Ending, Expectation, Notes};
pub(crate) use subject::run as run_subject;

use note::Judged;
use std::time::{Duration, Instant};
use subject::Body;

/// The body of an experiment.
type Experiment = fn(&Bench, &mut Notes) -> Judged;

/// Experiments that belong together, with the subjects that they start.
struct Family {
    name: &'static str,
    experiments: &'static [(&'static str, Experiment)],
    subjects: &'static [(&'static str, Body)],
}

/// All of them, in the order of the tour.
static FAMILIES: &[Family] = &[
    brk::FAMILY,
    map::FAMILY,
    sharing::FAMILY,
    layout::FAMILY,
    policy::FAMILY,
    free::FAMILY,
    back::FAMILY,
    held::FAMILY,
    cost::FAMILY,
    ways::FAMILY,
    tasks::FAMILY,
];

/// A claim, tried.
pub(crate) struct Trial {
    pub(crate) claim: Claim,
    pub(crate) notes: Notes,
    pub(crate) ending: Ending,
    pub(crate) took: Duration,
    /// Why the calls could not be traced, where that was wanted.
    pub(crate) no_trace: Option<i32>,
}

/// Tries a claim.
pub(crate) fn run(bench: &Bench, claim: &Claim) -> Trial {
    let start = Instant::now();
    let mut notes = Notes::default();
    bench.no_trace.set(None);
    let body = FAMILIES
        .iter()
        .filter(|family| family.name == claim.family)
        .flat_map(|family| family.experiments)
        .find(|(id, _)| *id == claim.id);
    let ending = match body {
        Some((_, body)) => {
            let judged = body(bench, &mut notes);
            Ending::of(&notes, judged, launch::address_limit())
        }
        None => Ending::Failed("there is no experiment for it".to_owned()),
    };
    Trial { claim: claim.clone(), notes, ending, took: start.elapsed(), no_trace: bench.no_trace.get() }
}
