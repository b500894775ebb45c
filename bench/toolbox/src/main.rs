//! The toolbox against the crates that people use today, and malloc.
//!
//! All contestants of a setting run in turn, a batch each, with a rotating start, so that what else the machine does falls
//! on all of them. Figures are nanoseconds per operation: the smallest and the median of all rounds. A ratio compares
//! ours with the best rival by the smallest; both are in the table.
//!
//! `cargo run --release -- [--rounds N] [--filter TEXT] [--markdown FILE] [--svg FILE]` in `bench/toolbox`; `taskset -c N`
//! in front of it keeps it on one processor.

mod arena;
mod bump;
mod free_list;
mod memory;
mod pool;
mod report;
mod runner;

use runner::{Runner, Setting};

/// Nanoseconds and words from the command line.
struct Options {
    rounds: usize,
    filter: String,
    markdown: Option<String>,
    svg: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 200, filter: String::new(), markdown: None, svg: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match arg.as_str() {
            "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds wants a number")?,
            "--filter" => options.filter = value()?,
            "--markdown" => options.markdown = Some(value()?),
            "--svg" => options.svg = Some(value()?),
            other => return Err(format!("unknown option {other}: --rounds, --filter, --markdown, --svg")),
        }
    }
    Ok(options)
}

fn main() -> Result<(), String> {
    if let Some(way) = std::env::args().nth(1).filter(|arg| arg.starts_with("memory:")) {
        return memory::one_way(&way["memory:".len()..]);
    }
    let options = options()?;
    let mut runner = Runner::new(options.rounds, options.filter.clone());
    bump::run(&mut runner);
    pool::run(&mut runner);
    arena::run(&mut runner);
    free_list::run(&mut runner);
    let settings: Vec<Setting> = runner.finish();
    let memory = if options.filter.is_empty() { memory::all()? } else { Vec::new() };
    let table = report::markdown(&settings, &memory);
    println!("{}\n{table}", report::all_rows(&settings, options.rounds));
    let write = |path: &str, text: &str| std::fs::write(path, text).map_err(|error| format!("{path}: {error}"));
    if let Some(path) = &options.markdown {
        write(path, &table)?;
    }
    if let Some(path) = &options.svg {
        write(path, &report::svg(&settings))?;
    }
    Ok(())
}
