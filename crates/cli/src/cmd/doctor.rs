//! `brkmap doctor`.

use super::{Failure, print};
use crate::cli::doctor::Arguments;
use crate::model::health::{State, judge};
use crate::probe;
use crate::view::doctor::{document, text};
use std::ffi::OsString;

/// Tries out what can be done here, and says what is missing.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let checks = judge(&probe::gather());
    let style = print::style(arguments.color, arguments.ascii);
    let report = if arguments.json { format!("{:#}\n", document(&checks)) } else { text(&checks, style) };
    print::out(&report)?;
    Ok(u8::from(checks.iter().any(|check| check.state == State::No)))
}

/// The hidden side of it: a process that tries.
pub(crate) fn attempt(words: &[OsString]) -> Result<u8, Failure> {
    probe::attempt(words).map(|()| 0).map_err(|error| Failure::tool(format!("{}: {error}", probe::VERB)))
}
