//! One file per verb.

mod calls;
mod compare;
mod completions;
mod inspect;
mod lib_path;
mod maps;
mod metrics;
mod page;
mod run;
mod syscalls;
mod target;
mod use_;

use crate::cli::{TOOL_FAILURE, Verb};
use std::io::Write;
use std::process::ExitCode;

/// Why a verb failed: the message names the thing, the cause and the remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) status: u8,
}

impl Failure {
    /// A failure of brkmap itself.
    pub(crate) fn tool(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), status: TOOL_FAILURE }
    }
}

/// Says what went wrong. Where standard error is closed, the exit status has to do.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "brkmap: {message}");
}

/// Does what the command line says.
pub(crate) fn dispatch(verb: Verb) -> ExitCode {
    let result = match verb {
        Verb::Run(arguments) => run::run(arguments),
        Verb::Inspect(arguments) => inspect::run(&arguments),
        Verb::Maps(arguments) => maps::run(&arguments),
        Verb::Syscalls(arguments) => syscalls::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
        Verb::Metrics(arguments) => metrics::run(&arguments),
        Verb::Use(arguments) => use_::run(&arguments),
        Verb::LibPath => lib_path::run(),
        Verb::Completions { shell } => completions::run(shell),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.status)
        }
    }
}
