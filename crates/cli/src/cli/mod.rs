//! The command line: one block per verb, with its flags, help and checks.

pub(crate) mod compare;
pub(crate) mod inspect;
pub(crate) mod maps;
pub(crate) mod metrics;
pub(crate) mod run;
pub(crate) mod syscalls;

use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;

/// Exit status for failures of brkmap itself, as `env` and `timeout` use it.
pub(crate) const TOOL_FAILURE: u8 = 125;

/// Runs any program on brkmap's malloc and shows where its memory is.
#[derive(Parser, Debug)]
#[command(name = "brkmap", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "First steps:\n  brkmap run -- git fsck --full\n  brkmap run --alloc system -- python3 script.py\n  brkmap inspect PID"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run a program and report at its end where its memory was
    Run(run::Arguments),
    /// Look at a running process on any malloc: where its memory is, and what to do; it is not stopped or touched
    Inspect(inspect::Arguments),
    /// Show the address space of a running process as a picture; it is not stopped or touched
    Maps(maps::Arguments),
    /// Show the system calls for memory of a program or a running process: what, how much, and from where in the program
    Syscalls(syscalls::Arguments),
    /// Run a program on several mallocs and settings, and say which is best for it
    Compare(compare::Arguments),
    /// Figures of running processes for Prometheus, as a file or over HTTP; they are not stopped or touched
    Metrics(metrics::Arguments),
    /// Run a program on brkmap's malloc: no report, no tracing, no cost
    Use(UseArguments),
    /// Print the path of the library, for LD_PRELOAD
    LibPath,
    /// Print a completion script
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
}

/// Flags of `use`.
#[derive(clap::Args, Debug)]
pub(crate) struct UseArguments {
    /// Program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Reads the command line. Asks for help and mistakes end the process here.
pub(crate) fn parse() -> Verb {
    match Arguments::try_parse() {
        Ok(arguments) => arguments.verb,
        Err(error) => {
            // A closed pipe is no reason to complain while complaining.
            let _ = error.print();
            std::process::exit(if error.use_stderr() { i32::from(TOOL_FAILURE) } else { 0 });
        }
    }
}

/// The whole command, for completion scripts.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_separator_is_optional_and_flags_stay_the_programs() {
        for line in [&["brkmap", "run", "ls", "-l", "--json"][..], &["brkmap", "run", "--", "ls", "-l", "--json"]] {
            let Verb::Run(run) = Arguments::try_parse_from(line).unwrap().verb else { panic!("not run: {line:?}") };
            assert_eq!(run.command, ["ls", "-l", "--json"]);
            assert!(!run.json);
        }
        assert!(Arguments::try_parse_from(["brkmap", "run"]).is_err());
        let similar = Arguments::try_parse_from(["brkmap", "ruun", "ls"]).unwrap_err().to_string();
        assert!(similar.contains("'run'"), "{similar}");
    }
}
