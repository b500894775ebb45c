//! The comparison: settings × allocators × rounds, interleaved.

use crate::allocator::Allocator;
use crate::curve::Curve;
use crate::measure::{Bound, Run, Runner};
use crate::stats::{Summary, summarise};
use crate::system_calls::SystemCalls;
use serde::{Deserialize, Serialize};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// The runs of one setting on one allocator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The setting's name.
    pub setting: String,
    /// The allocator's name.
    pub allocator: String,
    /// The measured runs.
    pub runs: Vec<Run>,
    /// Why there are no more runs, where a run failed.
    pub failure: Option<String>,
    /// The system calls of a run apart, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_calls: Option<SystemCalls>,
}

impl Cell {
    /// The setting's figure.
    pub(crate) fn value(&self) -> Option<Summary> {
        self.summary(|run| run.value)
    }

    /// What stands in a table where the cell has no figure.
    pub(crate) fn absent(&self) -> &'static str {
        if self.failure.is_some() { "failed" } else { "-" }
    }

    /// Peak RSS in bytes.
    pub(crate) fn peak_rss(&self) -> Option<Summary> {
        self.summary(|run| run.peak_rss_bytes as f64)
    }

    /// The median over the runs of a quantity of their curves; `None` where runs have none.
    pub(crate) fn curve(&self, of: impl Fn(&Curve) -> f64) -> Option<f64> {
        let values = self.runs.iter().filter_map(|run| run.curve.as_ref().map(&of));
        if self.failure.is_some() { None } else { summarise(values).map(|summary| summary.median) }
    }

    /// Summary of anything that a run has; `None` for a failed cell, whose remaining runs would mislead.
    pub(crate) fn summary(&self, of: impl Fn(&Run) -> f64) -> Option<Summary> {
        if self.failure.is_some() { None } else { summarise(self.runs.iter().map(of)) }
    }
}

/// Runs everything. Cells come setting by setting, in the order of the allocators.
pub(crate) fn compare(runner: &Runner, settings: &[Bound], allocators: &[Allocator], plan: Plan) -> Vec<Cell> {
    let rounds = plan.rounds;
    let runs_of_a_cell = rounds + 1 + usize::from(plan.counts_calls);
    let mut progress = Progress::start(settings.len() * allocators.len() * runs_of_a_cell);
    let mut cells = Vec::new();
    for (number, bound) in settings.iter().enumerate() {
        let mut row: Vec<Cell> = allocators.iter().map(|allocator| empty_cell(bound, allocator)).collect();
        for (cell, allocator) in row.iter_mut().zip(allocators) {
            progress.show(bound.setting.name, &allocator.name);
            cell.failure = runner.warm_up(bound, allocator).err().map(|error| format!("{error:#}"));
        }
        for round in 0..rounds {
            // The start rotates, so that no allocator is always the one after the same neighbour.
            for step in 0..allocators.len() {
                let column = (number + round + step) % allocators.len();
                progress.show(bound.setting.name, &allocators[column].name);
                measure_into(&mut row[column], runner, bound, &allocators[column]);
            }
        }
        if plan.counts_calls {
            for (cell, allocator) in row.iter_mut().zip(allocators) {
                progress.show(bound.setting.name, &allocator.name);
                count_calls_into(cell, runner, bound, allocator);
            }
        }
        cells.append(&mut row);
    }
    progress.end();
    cells
}

/// How often a cell is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Measured runs.
    pub rounds: usize,
    /// One more run under strace.
    pub counts_calls: bool,
}

fn count_calls_into(cell: &mut Cell, runner: &Runner, bound: &Bound, allocator: &Allocator) {
    if cell.failure.is_some() {
        return;
    }
    match runner.count_calls(bound, allocator) {
        Ok(calls) => cell.system_calls = Some(calls),
        Err(error) => cell.failure = Some(format!("under strace: {error:#}")),
    }
}

fn empty_cell(bound: &Bound, allocator: &Allocator) -> Cell {
    Cell {
        setting: bound.setting.name.to_string(),
        allocator: allocator.name.clone(),
        runs: Vec::new(),
        failure: None,
        system_calls: None,
    }
}

fn measure_into(cell: &mut Cell, runner: &Runner, bound: &Bound, allocator: &Allocator) {
    if cell.failure.is_some() {
        return;
    }
    match runner.run(bound, allocator) {
        Ok(run) => cell.runs.push(run),
        Err(error) => cell.failure = Some(format!("{error:#}")),
    }
}

/// One line on a terminal that says where the comparison is; nothing elsewhere.
struct Progress {
    visible: bool,
    began: Instant,
    done: usize,
    total: usize,
}

impl Progress {
    fn start(total: usize) -> Progress {
        Progress { visible: std::io::stderr().is_terminal(), began: Instant::now(), done: 0, total }
    }

    /// Called before each run.
    fn show(&mut self, setting: &str, allocator: &str) {
        self.done += 1;
        if !self.visible {
            return;
        }
        let elapsed = self.began.elapsed().as_secs();
        let left = elapsed * (self.total - self.done) as u64 / self.done as u64;
        _ = write!(
            std::io::stderr(),
            "\r\x1b[K[{}/{}] {setting} on {allocator}: {elapsed} s so far, about {left} s left",
            self.done,
            self.total
        );
    }

    fn end(&self) {
        if self.visible {
            _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
