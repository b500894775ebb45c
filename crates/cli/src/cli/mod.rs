//! The command line: one block per verb, with its flags, help and checks.

pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod lab;
pub(crate) mod maps;
pub(crate) mod metrics;
pub(crate) mod run;
mod suggested;
pub(crate) mod syscalls;
pub(crate) mod top;

use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Exit status for failures of brkmap itself, as `env` and `timeout` use it.
pub(crate) const TOOL_FAILURE: u8 = 125;

/// Runs any program on brkmap's malloc and shows where its memory is.
#[derive(Parser, Debug)]
#[command(name = "brkmap", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "First steps:\n  brkmap run -- git fsck --full\n  brkmap run --alloc system -- python3 script.py\n  brkmap inspect PID\n  brkmap demo top-pinned\n  brkmap doctor"
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
    /// Try what is said about brk, mmap and malloc on this machine
    Lab(lab::Arguments),
    /// A process of the lab that is looked at
    #[command(hide = true)]
    LabSubject(lab::Subject),
    /// Show the address space of a running process as a picture; it is not stopped or touched
    Maps(maps::Arguments),
    /// Watch running processes: resident, live, returnable, pinned memory, growth and a verdict for each
    Top(top::Arguments),
    /// Show the system calls for memory of a program or a running process: what, how much, and from where in the program
    Syscalls(syscalls::Arguments),
    /// Run a program on several mallocs and settings, and say which is best for it
    Compare(compare::Arguments),
    /// Figures of running processes for Prometheus, as a file or over HTTP; they are not stopped or touched
    Metrics(metrics::Arguments),
    /// Run a program on brkmap's malloc: no report, no tracing, no cost
    Use(UseArguments),
    /// Show a disease of memory on a small program: what it did, how it looks, what cures it
    Demo(demo::Arguments),
    /// Find out what this machine and this user may see and do, and what to do about the rest
    Doctor(doctor::Arguments),
    /// Explain a word of the reports: what it is, how to see it, what to do
    Explain(explain::Arguments),
    /// Print the path of the library, for LD_PRELOAD
    #[command(after_help = "Examples:\n  LD_PRELOAD=$(brkmap lib-path) python3 script.py")]
    LibPath,
    /// Write the manual pages
    Man(ManArguments),
    /// The hidden side of `demo`, for a process of its name: no subcommand, so that nothing shows or completes it
    #[command(skip)]
    FallIll(&'static crate::demo::Demo),
    /// The hidden side of `doctor`
    #[command(skip)]
    TryOut(Vec<OsString>),
    /// Print a completion script
    #[command(after_help = "Examples:\n  source <(brkmap completions bash)\n  \
        brkmap completions zsh > ~/.zfunc/_brkmap\n  brkmap completions fish > ~/.config/fish/completions/brkmap.fish")]
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
}

/// Flags of `man`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  brkmap man | man -l -\n  brkmap man ~/.local/share/man/man1 && man brkmap-inspect"
)]
pub(crate) struct ManArguments {
    /// Folder for all of them (brkmap.1, brkmap-run.1, …); without it, brkmap.1 goes to standard output
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Flags of `use`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit status: the program's own, or 128 + the signal's number; 125 for failures of brkmap itself, \
    126 if the program cannot be executed, 127 if there is none.\n\n\
    Examples:\n  brkmap use -- redis-server --port 7000\n  BRKMAP_CONF=background:off brkmap use -- ./server"
)]
pub(crate) struct UseArguments {
    /// Program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What brkmap starts itself as.
fn hidden(mut words: impl Iterator<Item = OsString>) -> Option<Verb> {
    let own = words.next()?;
    let first = words.next();
    if first.as_deref().is_some_and(|first| first == crate::probe::VERB) {
        return Some(Verb::TryOut(words.collect()));
    }
    let name = own.to_str()?.strip_prefix(crate::demo::PREFIX)?;
    let demo = crate::demo::ALL.iter().find(|demo| demo.name == name)?;
    first.is_none().then_some(Verb::FallIll(demo))
}

/// Reads the command line. Asks for help and mistakes end the process here.
pub(crate) fn parse() -> Verb {
    if let Some(verb) = hidden(std::env::args_os()) {
        return verb;
    }
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
    fn only_brkmap_itself_starts_the_hidden_sides() {
        let verb = |line: &[&str]| hidden(line.iter().map(OsString::from));
        assert!(matches!(verb(&["demo-leak"]), Some(Verb::FallIll(demo)) if demo.name == "leak"));
        assert!(matches!(verb(&["brkmap", "__probe", "try"]), Some(Verb::TryOut(words)) if words == ["try"]));
        for line in [&[][..], &["brkmap"], &["brkmap", "demo"], &["demo-leak", "run"], &["demo-x"], &["/bin/demo-leak"]]
        {
            assert!(verb(line).is_none(), "{line:?}");
        }
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
