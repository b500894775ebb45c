//! What a comparison knows at its end, or when it was interrupted.

use super::calls::Calls;
use super::interval::Interval;
use super::judge::Contest;
use super::metric::Metric;
use super::plan::Cell;
use crate::model::in_force::InForce;
use crate::model::process::Outcome;
use std::collections::BTreeMap;
use std::time::Duration;

/// Standard output of a run: bytes, and a hash of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Printed {
    pub(crate) bytes: u64,
    pub(crate) hash: u64,
}

/// One measured run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_rss: Option<u64>,
    pub(crate) settled_rss: Option<u64>,
    pub(crate) faults: u64,
    pub(crate) outcome: Outcome,
    pub(crate) printed: Printed,
    /// The memory was seen in the exit path (or at the end of the given time), not in the last of some samples.
    pub(crate) seen_at_end: bool,
}

impl Run {
    /// A figure of it.
    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Time => Some(self.time.as_secs_f64()),
            Metric::Cpu => Some(self.cpu.as_secs_f64()),
            Metric::PeakRss => self.peak_rss.map(|bytes| bytes as f64),
            Metric::SettledRss => self.settled_rss.map(|bytes| bytes as f64),
            Metric::Faults => Some(self.faults as f64),
        }
    }
}

/// Descendants of a command: program, malloc and, where that is not the wanted one, the reason; with their number.
pub(crate) type Others = BTreeMap<(String, String, Option<&'static str>), u64>;

/// The first run of a cell: under a tracer, not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preview {
    pub(crate) calls: Calls,
    /// Malloc of the command's own process, if that could be seen.
    pub(crate) in_force: Option<InForce>,
    pub(crate) others: Others,
    /// Why the calls were not counted.
    pub(crate) refused: Option<String>,
}

/// All runs of one cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CellResult {
    pub(crate) cell: Cell,
    pub(crate) preview: Preview,
    pub(crate) runs: Vec<Run>,
    /// Runs in which the library was not there, although it was in the first.
    pub(crate) lost: u64,
}

impl CellResult {
    /// Median and interval of a figure; `None` unless all runs have it.
    pub(crate) fn interval(&self, metric: Metric) -> Option<Interval> {
        let values: Option<Vec<f64>> = self.runs.iter().map(|run| run.get(metric)).collect();
        Interval::of(&values?)
    }

    /// Why its figures are not those of the malloc in its name.
    pub(crate) fn not_in_force(&self) -> Option<String> {
        let Some(in_force) = &self.preview.in_force else {
            return (self.cell.malloc.preload.is_some()).then(|| "the process could not be looked at".to_owned());
        };
        match in_force.reason {
            Some(reason) => Some(format!("{} was, because {}", in_force.phrase(), reason.text())),
            None if self.lost > 0 => Some(format!("the library was missing in {} runs", self.lost)),
            None => None,
        }
    }

    /// What served malloc, in words.
    pub(crate) fn served(&self) -> String {
        let Some(in_force) = &self.preview.in_force else { return "unknown".to_owned() };
        if in_force.never_called { format!("{} (never called)", in_force.malloc) } else { in_force.malloc.clone() }
    }

    /// Descendants that were not on the wanted malloc, and all of them.
    pub(crate) fn strangers(&self) -> (u64, u64) {
        let others = &self.preview.others;
        let strangers = others.iter().filter(|((_, _, reason), _)| reason.is_some()).map(|(_, count)| count).sum();
        (strangers, others.values().sum())
    }

    /// Whether it takes part in the judgement.
    pub(crate) fn counts(&self) -> bool {
        !self.runs.is_empty() && self.not_in_force().is_none()
    }
}

/// A malloc that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) library: &'static str,
    pub(crate) package: &'static str,
}

/// Everything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) command: Vec<String>,
    /// The first is what the others are held against.
    pub(crate) cells: Vec<CellResult>,
    /// Figures that decide.
    pub(crate) metrics: Vec<Metric>,
    pub(crate) skipped: Vec<Skipped>,
    /// Runs of each cell that were wanted.
    pub(crate) wanted_runs: usize,
    pub(crate) end_after: Option<Duration>,
    pub(crate) interrupted: bool,
    pub(crate) took: Duration,
    /// Why the end of the program was not seen.
    pub(crate) sampled: Option<String>,
    /// Libraries in LD_PRELOAD that were left out.
    pub(crate) left_out: Vec<String>,
    /// Waiting tasks for each processor, at the start and the end: more than one is a busy machine.
    pub(crate) load: Option<f64>,
    /// Last line on standard error of the first run that failed.
    pub(crate) last_words: Option<String>,
}

impl Comparison {
    /// What the judgement is about: the cells that count, by their place in `cells`, and the figures they all have.
    pub(crate) fn contest(&self) -> Contest {
        let counting: Vec<usize> = (0..self.cells.len()).filter(|&index| self.cells[index].counts()).collect();
        let has = |metric: &Metric| counting.iter().all(|&index| self.cells[index].interval(*metric).is_some());
        let metrics: Vec<Metric> = self.metrics.iter().copied().filter(has).collect();
        let row = |&index: &usize| metrics.iter().filter_map(|metric| self.cells[index].interval(*metric)).collect();
        Contest { rows: counting.iter().map(row).collect(), cells: counting, metrics }
    }

    /// All runs with their cell.
    fn runs(&self) -> impl Iterator<Item = (&CellResult, &Run)> {
        self.cells.iter().flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)))
    }

    /// What the program did not do the same in all runs, in sentences.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut all = Vec::new();
        let named = |groups: BTreeMap<String, Vec<String>>| -> Vec<String> {
            groups.into_iter().map(|(what, who)| format!("{what} in {}", tally(&who))).collect()
        };
        let mut statuses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut outputs: BTreeMap<Printed, Vec<String>> = BTreeMap::new();
        for (cell, run) in self.runs() {
            statuses.entry(outcome_text(run.outcome)).or_default().push(cell.cell.title());
            outputs.entry(run.printed).or_default().push(cell.cell.title());
        }
        if statuses.len() > 1 && self.end_after.is_none() {
            all.push(format!("it did not end the same way: {}", named(statuses).join("; ")));
        }
        if outputs.len() > 1 && self.end_after.is_none() {
            let every = self.runs().count();
            let cells = self.cells.iter().filter(|cell| !cell.runs.is_empty()).count();
            let text = if outputs.len() > cells {
                format!("its output differs from run to run ({} different ones in {every} runs)", outputs.len())
            } else {
                let groups = outputs.iter().map(|(printed, who)| format!("{} B in {}", printed.bytes, tally(who)));
                format!("its output is not the same in all runs: {}", groups.collect::<Vec<_>>().join("; "))
            };
            all.push(text);
        }
        all
    }

    /// The one way in which all runs failed, if they did.
    pub(crate) fn failed(&self) -> Option<Outcome> {
        let mut outcomes = self.runs().map(|(_, run)| run.outcome);
        let first = outcomes.next().filter(|outcome| *outcome != Outcome::Code(0) && self.end_after.is_none())?;
        outcomes.all(|outcome| outcome == first).then_some(first)
    }
}

/// How a run ended.
pub(crate) fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Code(code) => format!("exit status {code}"),
        Outcome::Signal(signal) => format!("signal {signal}"),
    }
}

/// Names with how often each occurs.
fn tally(names: &[String]) -> String {
    let mut counts: Vec<(&String, u64)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let runs = |count: u64| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
    counts.into_iter().map(|(name, count)| format!("{} of {name}", runs(count))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::plan::{Family, tests::malloc};
    use super::*;
    use crate::model::in_force::Reason;

    /// A run with a time in milliseconds and memory in MiB.
    pub(crate) fn run(time: u64, peak: u64) -> Run {
        Run {
            time: Duration::from_millis(time),
            cpu: Duration::from_millis(time / 2),
            peak_rss: Some(peak << 20),
            settled_rss: Some((peak / 2) << 20),
            faults: 1000 * peak,
            outcome: Outcome::Code(0),
            printed: Printed { bytes: 3, hash: 7 },
            seen_at_end: true,
        }
    }

    pub(crate) fn cell(name: &str, family: Family, runs: &[(u64, u64)]) -> CellResult {
        let malloc = malloc(name, family);
        let mut calls = Calls::default();
        calls.complete = true;
        (0..1234).for_each(|_| calls.add(None));
        CellResult {
            preview: Preview { calls, in_force: Some(InForce::yes(name)), ..Preview::default() },
            cell: Cell { malloc, settings: Vec::new() },
            runs: runs.iter().map(|&(time, peak)| run(time, peak)).collect(),
            lost: 0,
        }
    }

    pub(crate) fn comparison(cells: Vec<CellResult>) -> Comparison {
        Comparison {
            command: vec!["/usr/bin/tool".to_owned(), "file".to_owned()],
            cells,
            metrics: vec![Metric::Time, Metric::PeakRss],
            skipped: Vec::new(),
            wanted_runs: 6,
            end_after: None,
            interrupted: false,
            took: Duration::from_secs(12),
            sampled: None,
            left_out: Vec::new(),
            load: None,
            last_words: None,
        }
    }

    fn two() -> Comparison {
        comparison(vec![
            cell("glibc", Family::Glibc, &[(100, 50); 6]),
            cell("jemalloc", Family::Jemalloc, &[(90, 60); 6]),
        ])
    }

    #[test]
    fn a_cell_on_another_malloc_does_not_count() {
        let mut two = two();
        assert_eq!(two.contest().cells, [0, 1]);
        two.cells[1].preview.in_force = Some(InForce::no("glibc", Reason::Static));
        assert_eq!(two.contest().cells, [0]);
        assert!(two.cells[1].not_in_force().unwrap().starts_with("glibc was, because it is statically linked"));
        two.cells[1].preview.in_force = None;
        assert_eq!(two.contest().cells, [0], "nobody saw it");
        two.cells[1].preview.in_force = Some(InForce::yes("jemalloc"));
        two.cells[1].lost = 2;
        assert_eq!(two.contest().cells, [0], "it was there in some runs only");
    }

    #[test]
    fn a_figure_that_one_run_lacks_does_not_decide() {
        let mut two = two();
        two.cells[1].runs[3].peak_rss = None;
        assert_eq!(two.contest().metrics, [Metric::Time]);
        assert_eq!(two.cells[1].interval(Metric::PeakRss), None);
    }

    #[test]
    fn what_the_program_did_differently_is_told_with_who_did_it() {
        let mut two = two();
        assert!(two.differences().is_empty() && two.failed().is_none());
        two.cells[1].runs[2].outcome = Outcome::Signal(11);
        two.cells[1].runs[4].printed.hash = 8;
        let told = two.differences();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("exit status 0 in 6 runs of glibc, 5 runs of jemalloc; signal 11 in 1 run of jemal"));
        assert!(told[1].contains("3 B in 1 run of jemalloc"), "{}", told[1]);
        for (index, run) in two.cells.iter_mut().flat_map(|cell| &mut cell.runs).enumerate() {
            (run.printed.hash, run.outcome) = (index as u64, Outcome::Code(3));
        }
        assert_eq!(two.differences(), ["its output differs from run to run (12 different ones in 12 runs)"]);
        assert_eq!(two.failed(), Some(Outcome::Code(3)));
    }
}
