//! The project's own tasks.
//!
//! ```text
//! cargo xtask test [--no-install] [--library PATH] [FILTER]
//!                                            everything that has to hold, in one order; exit 1 if anything does not
//! cargo xtask instructions [--no-install] [--library PATH] [FILTER]
//!                                            instructions of real programs against glibc, under callgrind
//! cargo xtask soak [OPERATIONS [FIRST_SEED]] the model test at length: 10^9 operations, all processors
//! cargo xtask extended [--no-install] [--library PATH] [FILTER]
//!                                            the programs that have a full size (`extended:`), at that size; minutes each
//! cargo xtask guest [--no-install] [--library PATH] [FILTER]
//!                                            what the library does under control groups of a Linux of its own, in qemu
//! cargo xtask bench ARGS…                    the benchmark runner
//! cargo xtask golden                         writes the counts of the fast paths' machine code anew (tests/golden)
//! cargo xtask gates                          writes the bounds of the instruction counts anew (tests/instructions/gates.txt)
//! cargo xtask archive [--out DIR]            libbrkmap.a, one object with the public names alone
//! cargo xtask tour [COMMAND]                 the pages that show what commands print, made anew (docs/TOUR.md, …)
//! cargo xtask install --prefix DIR [--destdir DIR]
//!                                            library, header, pkg-config and CMake files, command
//! ```
//!
//! `test` runs, in this order: the tools it needs, formatting and lints, the Rust tests, the build of the command (whose
//! `lib-path` names the one library that everything after it uses), the library's symbols, the machine code of its fast
//! paths, the C behaviour programs, the fault programs, the programs whose calls are traced, the ways of linking, the real
//! programs, the instructions of a few of them against glibc's, library and command beside other tools, and what happens under
//! the kernel of a guest. `FILTER` is a substring of a check's name as the output shows it
//! (`c/errno`, `programs/git`).
//! `--library` checks that file instead of the one the command carries.
#![forbid(unsafe_code)]

mod archive;
mod behaviour;
mod beside;
mod calls;
mod context;
mod faults;
mod gates;
mod golden;
mod guest;
mod header;
mod install;
mod instructions;
mod library;
mod link;
mod process;
mod programs;
mod report;
mod rust_checks;
mod symbols;
mod tools;
mod tour;

use context::Context;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [--no-install] [--library PATH] [FILTER]
       cargo xtask instructions [--no-install] [--library PATH] [FILTER]
       cargo xtask soak [OPERATIONS [FIRST_SEED]]
       cargo xtask extended [--no-install] [--library PATH] [FILTER]
       cargo xtask guest [--no-install] [--library PATH] [FILTER]
       cargo xtask bench [ARGS…]
       cargo xtask golden
       cargo xtask gates
       cargo xtask archive [--out DIR]
       cargo xtask tour [COMMAND]
       cargo xtask install --prefix DIR [--destdir DIR]";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next();
    let rest: Vec<String> = args.collect();
    let done = match verb.as_deref() {
        Some("test") => with_context(&rest, test),
        Some("instructions") => with_context(&rest, instructions::run),
        Some("guest") => with_context(&rest, guest::task),
        Some("extended") => with_context(&rest, extended),
        Some("soak") => rust_checks::soak(&rest),
        Some("bench") => rust_checks::bench(&rest),
        Some("archive") => archive::task(&rest),
        Some("golden") => with_context(&rest, golden::write),
        Some("gates") => with_context(&rest, gates::write),
        Some("install") => install::task(&rest),
        Some("tour") => tour::task(&rest),
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

/// The arguments of a task that checks the library.
struct Options {
    install: tools::Install,
    library: Option<String>,
    filter: Option<String>,
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options { install: tools::Install::Missing, library: None, filter: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--no-install" => options.install = tools::Install::Never,
            "--library" => options.library = Some(args.next().ok_or("--library needs a PATH")?.clone()),
            flag if flag.starts_with('-') => return Err(format!("unknown flag `{flag}`\n{USAGE}")),
            _ if options.filter.is_some() => {
                return Err(format!("one FILTER at most, got `{arg}` as a second\n{USAGE}"));
            }
            text => options.filter = Some(text.to_owned()),
        }
    }
    Ok(options)
}

fn test(context: &mut Context) -> Result<bool, String> {
    rust_checks::run(context);
    symbols::run(context);
    golden::run(context);
    behaviour::run(context);
    faults::run(context);
    calls::run(context);
    link::run(context);
    programs::run(context);
    gates::run(context);
    beside::run(context);
    guest::run(context);
    context.report.finish()
}

/// What is too long for every day.
fn extended(context: &mut Context) -> Result<bool, String> {
    context.extended = true;
    behaviour::run(context);
    faults::run(context);
    context.report.finish()
}

fn with_context(args: &[String], task: fn(&mut Context) -> Result<bool, String>) -> Result<bool, String> {
    let options = options(args)?;
    let mut context = Context::new(options.filter, options.install)?;
    let done = options
        .library
        .map_or(Ok(()), |path| context.use_library(path.as_ref()))
        .map(|()| tools::ensure(&mut context, options.install))
        .and_then(|()| task(&mut context));
    context.clean();
    done
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn what_the_checklist_names_exists() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let text = std::fs::read_to_string(tests.join("CHECKLIST.md")).unwrap();
        let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 50, "only {} links found: the search is broken", links.len());
        let missing: Vec<_> = links.iter().filter(|link| !tests.join(link).exists()).collect();
        assert!(missing.is_empty(), "tests/CHECKLIST.md names files that do not exist: {missing:?}");
        assert!(!text.contains("- [ ]"), "a row is not done");
    }
}
