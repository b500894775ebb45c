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
mod rivals;
mod sets;
mod setting;
mod stats;
mod suite;
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
    /// Allocators, the first being what the others are divided by: glibc, brkmap; jemalloc, mimalloc, tcmalloc from
    /// packages; mimalloc2, mimalloc3, jemalloc-crate, snmalloc, rpmalloc, smmalloc, rusty_alloc, built from their crates;
    /// the path of a library; or all
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
    /// Also draw the resident size over time as SVG (settings of the set `giveback`)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// brkmap's library [default: what the built command's `lib-path` prints]
    #[arg(long, value_name = "PATH")]
    lib: Option<PathBuf>,
    /// CPU for single-threaded settings [default: the last that may be used]
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Seconds after which a run is ended and has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
    /// Also count the instructions of one run of each cell under callgrind: of settings with a fixed piece of work
    #[arg(long)]
    instructions: bool,
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
    let mut settings = sets::settings(options.set);
    if let Some(part) = &options.filter {
        settings.retain(|setting| setting.name.contains(part.as_str()));
        ensure!(!settings.is_empty(), "--filter {part}: no setting of this set has that in its name; see --list");
    }
    if options.list {
        for setting in &settings {
            println!("{:<16} {:<8} {}", setting.name, setting.kind.name(), setting.figure.unit());
        }
        return Ok(true);
    }
    ensure!(
        options.svg.is_none() || settings.iter().any(|setting| setting.kind == setting::Kind::GiveBack),
        "--svg: no setting of this set is followed over time; use the set giveback"
    );
    ensure!(options.runs > 0, "-n 0: at least one measured run is needed");
    ensure!(
        !options.instructions || measure::on_path("valgrind").is_some(),
        "--instructions: valgrind is not installed; install it with `apt-get install valgrind`"
    );
    let needs = rivals::Needs {
        library: settings.iter().any(|setting| !setting.is_rust()),
        program: settings.iter().any(|setting| setting.is_rust()),
    };
    let allocator::Columns { found: allocators, left_out: mut missing, incomplete } =
        allocator::columns(&options.with, options.lib.as_deref(), needs)?;
    let machine = Machine::here();
    let workshop = workshop::Workshop::set_up()?;
    let cpu = options.cpu.map_or_else(workshop::last_allowed_cpu, Ok)?;
    let others: Vec<PathBuf> = allocators.iter().filter_map(|allocator| allocator.preload.clone()).collect();
    let libc = allocator::libc_path()?;

    let (mut bound, mut left_out) = (Vec::new(), Vec::new());
    left_out.append(&mut missing);
    for setting in settings {
        match measure::bind(setting, &workshop) {
            Ok(ready) => bound.push(ready),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    ensure!(!bound.is_empty(), "no program of these settings is installed: {}", left_out.join("; "));

    let runner =
        measure::Runner { workshop: &workshop, cpu, timeout_seconds: options.timeout, others: &others, libc: &libc };
    let counting = if options.instructions { suite::Counting::Instructions } else { suite::Counting::Nothing };
    let cells = suite::compare(&runner, &bound, &allocators, options.runs, counting);
    let settings: Vec<_> = bound.iter().map(|bound| bound.setting).collect();
    let comparison = Comparison {
        machine,
        allocators: &allocators,
        settings: &settings,
        cells: &cells,
        rounds: options.runs,
        left_out: &left_out,
        command: std::env::args().skip(1).fold("brkmap-bench".into(), |line, word| line + " " + &word),
    };
    print!("{}", report::text::render(&comparison));
    if let Some(path) = &options.json {
        report::json::write(&comparison, path).context("the JSON document could not be written")?;
    }
    if let Some(path) = &options.svg {
        report::svg::write(&comparison, path)?;
    }
    Ok(!incomplete && cells.iter().all(|cell| cell.failure.is_none()))
}
