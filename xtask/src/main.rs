//! The project's own tasks.
//!
//! ```text
//! cargo xtask test [--no-install] [--library PATH] [FILTER]
//!                                            everything that has to hold, in one order; exit 1 if anything does not
//! cargo xtask instructions [FILTER]          instructions of real programs against glibc, under callgrind
//! cargo xtask soak                           the model test at length (BRKMAP_MODEL_OPS, BRKMAP_MODEL_SEED)
//! cargo xtask bench ARGS…                    the benchmark runner
//! ```
//!
//! `test` runs, in this order: the tools it needs, formatting and lints, the Rust tests, the build of the command (whose
//! `lib-path` names the one library that everything after it uses), the library's symbols, the C behaviour programs, the
//! fault programs, the real programs. `FILTER` is a substring of a check's name as the output shows it (`c/errno`,
//! `programs/git`).
//! `--library` checks that file instead of the one the command carries.
#![forbid(unsafe_code)]

mod behaviour;
mod context;
mod faults;
mod header;
mod instructions;
mod library;
mod process;
mod programs;
mod report;
mod rust_checks;
mod symbols;
mod tools;

use context::Context;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [--no-install] [--library PATH] [FILTER]
       cargo xtask instructions [FILTER]
       cargo xtask soak
       cargo xtask bench [ARGS…]";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next();
    let rest: Vec<String> = args.collect();
    let done = match verb.as_deref() {
        Some("test") => test(&rest),
        Some("instructions") => with_context(rest.first().cloned(), instructions::run),
        Some("soak") => rust_checks::soak(),
        Some("bench") => rust_checks::bench(&rest),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("unknown task `{other}`\n{USAGE}")),
        None => Err(format!("no task given\n{USAGE}")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn test(args: &[String]) -> Result<bool, String> {
    let mut install = tools::Install::Missing;
    let mut filter = None;
    let mut library = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--no-install" => install = tools::Install::Never,
            "--library" => library = Some(args.next().ok_or("--library needs a PATH")?),
            flag if flag.starts_with('-') => return Err(format!("unknown flag `{flag}`\n{USAGE}")),
            _ if filter.is_some() => return Err(format!("one FILTER at most, got `{arg}` as a second\n{USAGE}")),
            text => filter = Some(text.to_owned()),
        }
    }
    with_context(filter, |context| {
        if let Some(path) = library {
            context.use_library(path.as_ref())?;
        }
        tools::ensure(context, install);
        rust_checks::run(context);
        symbols::run(context);
        behaviour::run(context);
        faults::run(context);
        programs::run(context);
        context.report.finish()
    })
}

fn with_context(
    filter: Option<String>,
    task: impl FnOnce(&mut Context) -> Result<bool, String>,
) -> Result<bool, String> {
    let mut context = Context::new(filter)?;
    let done = task(&mut context);
    context.clean();
    done
}
