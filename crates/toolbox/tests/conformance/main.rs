//! One suite for every allocator over every source.
//!
//! Rows are allocators, columns are sources (private allocators) or memories (shared ones); a cell runs the whole suite of
//! its row: basic, aligned, grow and shrink, exhaustion at every call, misuse, reset, drop counts, and a model test with
//! seeds. `TOOLBOX_SEED=N` runs the model tests with one seed; a failure names its cell and seed.
//!
//! One thread: some cells move the program break, which the process's malloc uses too.

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod rows;
mod shared;
mod sources;
mod typed;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The table, as far as it was run.
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    filter: Option<String>,
}

impl Report {
    /// Runs a cell, unless a filter excludes it.
    pub(crate) fn cell(&mut self, allocator: &str, memory: &str, run: impl FnOnce()) {
        let name = format!("{allocator} over {memory}");
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(()) => self.passed += 1,
            Err(_) => {
                println!("FAILED {name}");
                self.failed.push(name);
            }
        }
    }
}

/// Seeds of the model tests.
pub(crate) fn seeds() -> Vec<u64> {
    match std::env::var("TOOLBOX_SEED") {
        Ok(seed) => vec![seed.parse().expect("TOOLBOX_SEED is a number")],
        Err(_) => (1..=3).collect(),
    }
}

/// Says which seed failed.
pub(crate) fn with_seeds(mut run: impl FnMut(u64)) {
    for seed in seeds() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            println!("seed {seed} (run it alone with TOOLBOX_SEED={seed})");
            std::panic::resume_unwind(panic);
        }
    }
}

fn main() {
    let start = Instant::now();
    let filter = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    let mut report = Report { passed: 0, failed: Vec::new(), filter };
    sources::private(&mut report);
    shared::run(&mut report);
    let (passed, failed) = (report.passed, report.failed.len());
    println!("{passed} passed, {failed} failed (allocators x sources), {:.1?}", start.elapsed());
    // With a filter that was meant for other tests, nothing is to be run here.
    if failed > 0 || passed == 0 && report.filter.is_none() {
        std::process::exit(1);
    }
}
