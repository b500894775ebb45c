//! Rounds of looks at several processes, with what was seen of each before.

use crate::cli::metrics::Targets;
use crate::cmd::{Failure, target};
use crate::collect::Collector;
use crate::look::{Refusal, look};
use crate::model::growth::{Growth, Sample};
use crate::model::xray::Xray;
use crate::view::inspect::Inspection;
use crate::view::metrics::{Process, Scrape};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A round for a scraper takes no longer, so that one with the usual limit of 10 s gets its answer.
const LONGEST_SERVED: Duration = Duration::from_secs(8);
/// A round for a file takes no longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Looks of one process that are remembered for its growth.
const REMEMBERED: usize = 60;

/// What to do about a named process that is not there or may not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It is an error.
    Strict,
    /// It is left out: services come and go.
    Lenient,
}

/// See the module.
pub(super) struct Rounds {
    targets: Targets,
    collector: Collector,
    begin: Instant,
    /// By process number and start.
    seen: HashMap<(i32, u64), Vec<Sample>>,
}

impl Rounds {
    pub(super) fn new(targets: Targets) -> Rounds {
        Rounds { targets, collector: Collector::default(), begin: Instant::now(), seen: HashMap::new() }
    }

    /// Looks at all of them, the largest first.
    pub(super) fn look(&mut self, mood: Mood) -> Result<Scrape, Failure> {
        let start = Instant::now();
        let longest = if mood == Mood::Strict { LONGEST } else { LONGEST_SERVED };
        let mut scrape = Scrape::default();
        let mut living = HashSet::new();
        for pid in self.processes(mood)? {
            if start.elapsed() > longest {
                scrape.missed.late += 1;
                continue;
            }
            match self.one(pid, &mut living) {
                Ok(process) => scrape.processes.push(process),
                Err(refusal) if mood == Mood::Strict && !self.targets.names.is_empty() => {
                    return Err(target::failure(refusal));
                }
                Err(Refusal::Gone(_)) => {}
                Err(Refusal::Denied(_)) => scrape.missed.denied += 1,
                Err(Refusal::Unreadable(_)) => scrape.missed.unreadable += 1,
            }
        }
        self.seen.retain(|key, _| living.contains(key));
        scrape.took_seconds = start.elapsed().as_secs_f64();
        Ok(scrape)
    }

    fn processes(&self, mood: Mood) -> Result<Vec<i32>, Failure> {
        let names = &self.targets.names;
        if names.is_empty() {
            return Ok(target::all_above(self.targets.min_rss << 20));
        }
        let mut all = Vec::new();
        for name in names {
            match target::all_called(name) {
                Ok(pids) => all.extend(pids),
                Err(failure) if mood == Mood::Strict => return Err(failure),
                Err(_) => {}
            }
        }
        let mut known = HashSet::new();
        all.retain(|pid| known.insert(*pid));
        Ok(all)
    }

    fn one(&mut self, pid: i32, living: &mut HashSet<(i32, u64)>) -> Result<Process, Refusal> {
        let start = Instant::now();
        let look = look(pid, &mut self.collector)?;
        let took = start.elapsed();
        let xray = Xray::of(&look);
        let key = (pid, look.snapshot.stat.start_ticks);
        living.insert(key);
        let samples = self.seen.entry(key).or_default();
        if samples.len() >= REMEMBERED {
            samples.remove(0);
        }
        let seconds = look.at.saturating_duration_since(self.begin).as_secs_f64();
        samples.push(Sample { seconds, xray: xray.clone() });
        let growth = Growth::of(samples);
        Ok(Process::of(&Inspection::new(pid, look, xray, growth, took)))
    }
}
