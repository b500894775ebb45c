//! Results: one line per check while they run, a table and the count at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a check came to. An error is the reason, ready to print.
pub(crate) type Outcome = Result<(), String>;

#[derive(Default)]
struct Group {
    passed: usize,
    failed: usize,
    took: Duration,
}

/// All results of one call.
pub(crate) struct Report {
    groups: BTreeMap<String, Group>,
    failures: Vec<(String, String)>,
    exempt: Vec<(String, String)>,
    began: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), failures: Vec::new(), exempt: Vec::new(), began: Instant::now() }
    }
}

impl Report {
    /// Announces a part of the run.
    pub(crate) fn section(&self, title: &str) {
        println!("== {title} [{:.0} s]", self.began.elapsed().as_secs_f64());
    }

    /// Records one check and prints its line.
    pub(crate) fn record(&mut self, group: &str, name: &str, outcome: Outcome, took: Duration) {
        let entry = self.groups.entry(group.to_owned()).or_default();
        entry.took += took;
        let label = format!("{group}/{name}");
        match outcome {
            Ok(()) => {
                entry.passed += 1;
                println!("  ok    {label:<56} {:>7.2} s", took.as_secs_f64());
            }
            Err(why) => {
                entry.failed += 1;
                println!("  FAIL  {label:<56} {:>7.2} s", took.as_secs_f64());
                for line in why.lines() {
                    println!("        {line}");
                }
                self.failures.push((label, why));
            }
        }
    }

    /// Runs `check` and records what it came to.
    pub(crate) fn check(&mut self, group: &str, name: &str, check: impl FnOnce() -> Outcome) {
        let start = Instant::now();
        let outcome = check();
        self.record(group, name, outcome, start.elapsed());
    }

    /// Notes a check for which glibc is no yardstick, with the reason given in the test.
    pub(crate) fn exempt(&mut self, name: &str, reason: &str) {
        self.exempt.push((name.to_owned(), reason.to_owned()));
    }

    /// Prints the table; true when everything passed.
    pub(crate) fn finish(&self) -> Result<bool, String> {
        let (passed, failed) = self.groups.values().fold((0, 0), |(p, f), g| (p + g.passed, f + g.failed));
        if self.groups.keys().all(|group| group == "tools") {
            return Err("no check has a name with this FILTER in it".into());
        }
        if !self.exempt.is_empty() {
            println!("\nglibc is no yardstick for:");
            for (name, reason) in &self.exempt {
                println!("  {name:<36} {reason}");
            }
        }
        println!("\n{:<14} {:>8} {:>8} {:>9}", "group", "passed", "failed", "seconds");
        for (name, group) in &self.groups {
            println!("{name:<14} {:>8} {:>8} {:>9.1}", group.passed, group.failed, group.took.as_secs_f64());
        }
        if !self.failures.is_empty() {
            println!("\nfailed:");
            for (name, why) in &self.failures {
                println!("  {name}: {}", why.lines().next().unwrap_or_default());
            }
        }
        println!("\nin {:.0} s", self.began.elapsed().as_secs_f64());
        println!("{passed} passed, {failed} failed");
        Ok(failed == 0)
    }
}
