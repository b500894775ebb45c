//! `brkmap-bench`: programs × allocators, measured side by side on this machine.
//!
//! Rounds go over the allocators in turn with a rotating start, so that what else the machine does falls on all of
//! them; figures are medians, and every ratio is to the first allocator. A run whose malloc was not the one that its
//! column names fails.

#![forbid(unsafe_code)]

mod allocator;
mod curve;
mod inputs;
mod measure;
mod report;
mod sets;
mod setting;
mod stats;
mod suite;
mod system_calls;
mod workshop;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use report::{Comparison, Machine};
use sets::Set;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare mallocs: programs times allocators, interleaved and pinned, with ratios to the first.
#[derive(Parser)]
#[command(name = "brkmap-bench", version)]
struct Options {
    /// Which settings
    #[arg(value_enum, default_value = "short")]
    set: Set,
    /// Allocators, the first being what the others are divided by: glibc, brkmap, jemalloc, mimalloc, tcmalloc, or the
    /// path of a library
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "glibc,brkmap")]
    with: Vec<String>,
    /// Measured runs of each cell
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// Only settings whose name contains this
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Also write every run to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also count the system calls of one more run of each cell, under strace
    #[arg(long)]
    syscalls: bool,
    /// Measure nothing: read what --json wrote. Runs of the same allocators on the same machine are joined
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["with", "runs", "filter", "syscalls", "list"])]
    from: Vec<PathBuf>,
    /// Also write one page with tables and plots to this file as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also draw the resident size over time as SVG (settings of the set `giveback`)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Also fill the generated parts of this document [default without FILE: docs/BENCHMARKS.md]
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "from")]
    docs: Option<Option<PathBuf>>,
    /// brkmap's library [default: what the built command's `lib-path` prints]
    #[arg(long, value_name = "PATH")]
    lib: Option<PathBuf>,
    /// CPU for single-threaded settings [default: the last that may be used]
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Seconds after which a run is ended and has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
    /// List the settings and end
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("brkmap-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what the options say; false where a cell failed.
fn bench(options: &Options) -> Result<bool> {
    if options.list {
        for setting in settings(options)? {
            println!("{:<18} {:<8} {}", setting.name, setting.kind.name(), setting.figure.unit());
        }
        return Ok(true);
    }
    let comparisons = if options.from.is_empty() {
        vec![measure(options)?]
    } else {
        let read = options.from.iter().map(|path| report::json::read(path)).collect::<Result<Vec<_>>>()?;
        report::join::join(read)
    };
    for comparison in &comparisons {
        print!("{}", report::text::render(comparison));
    }
    tell(options, &comparisons)?;
    Ok(comparisons.iter().flat_map(|comparison| &comparison.cells).all(|cell| cell.failure.is_none()))
}

/// The settings of the set and the filter.
fn settings(options: &Options) -> Result<Vec<setting::Setting>> {
    let mut settings = sets::settings(options.set);
    if let Some(part) = &options.filter {
        settings.retain(|setting| setting.name.contains(part.as_str()));
        ensure!(!settings.is_empty(), "--filter {part}: no setting of this set has that in its name; see --list");
    }
    Ok(settings)
}

/// Runs the comparison.
fn measure(options: &Options) -> Result<Comparison> {
    let settings = settings(options)?;
    ensure!(
        options.svg.is_none() || settings.iter().any(|setting| setting.kind == setting::Kind::GiveBack),
        "--svg: no setting of this set is followed over time; use the set giveback"
    );
    ensure!(options.runs > 0, "-n 0: at least one measured run is needed");
    ensure!(
        !options.syscalls || measure::on_path("strace").is_some(),
        "--syscalls: strace is not installed; install it with `apt-get install strace`, or leave --syscalls out"
    );
    let allocators =
        options.with.iter().map(|name| allocator::find(name, options.lib.as_deref())).collect::<Result<Vec<_>>>()?;
    let (machine, revision) = (Machine::here(), report::revision());
    let workshop = workshop::Workshop::set_up()?;
    let cpu = options.cpu.map_or_else(workshop::last_allowed_cpu, Ok)?;
    let others: Vec<PathBuf> = allocators.iter().filter_map(|allocator| allocator.preload.clone()).collect();
    let libc = allocator::libc_path()?;

    let (mut bound, mut left_out) = (Vec::new(), Vec::new());
    for setting in settings {
        match measure::bind(setting, &workshop) {
            Ok(ready) => bound.push(ready),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    ensure!(!bound.is_empty(), "no program of these settings is installed: {}", left_out.join("; "));

    let runner =
        measure::Runner { workshop: &workshop, cpu, timeout_seconds: options.timeout, others: &others, libc: &libc };
    let plan = suite::Plan { rounds: options.runs, counts_calls: options.syscalls };
    let cells = suite::compare(&runner, &bound, &allocators, plan);
    Ok(Comparison {
        schema_version: report::json::SCHEMA_VERSION,
        command: std::env::args().skip(1).fold("brkmap-bench".into(), |line, word| line + " " + &word),
        machine: machine.ended(),
        revision,
        rounds: options.runs,
        allocators,
        settings: bound.iter().map(|bound| report::Row::from(&bound.setting)).collect(),
        left_out,
        cells,
    })
}

/// Writes the files that the options name.
fn tell(options: &Options, comparisons: &[Comparison]) -> Result<()> {
    let one = |option: &str| {
        ensure!(
            comparisons.len() == 1,
            "{option}: the runs of --from are of {} different machines or lists of allocators; name those of one",
            comparisons.len()
        );
        Ok(&comparisons[0])
    };
    if let Some(path) = &options.json {
        report::json::write(one("--json")?, path).context("the JSON document could not be written")?;
    }
    if let Some(path) = &options.html {
        report::html::write(one("--html")?, path)?;
    }
    if let Some(path) = &options.svg {
        report::svg::write(one("--svg")?, path)?;
    }
    if let Some(path) = &options.docs {
        report::docs::write(comparisons, &path.clone().unwrap_or_else(report::docs::default_path))?;
    }
    Ok(())
}
