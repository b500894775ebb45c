//! What `run --syscalls` and `syscalls` share.

use super::{Failure, run};
use crate::stack::Stacks;
use crate::trace::{NotStarted, Recorded};
use crate::view::syscalls::{Calls, Mode, MoveRow, SiteRow};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::time::Duration;

/// Stacks that are described in full.
const DESCRIBED: usize = 20_000;
/// Places whose line in the source is looked up; reading debug information takes time.
const WITH_LINES: usize = 40;

/// Why a command runs untraced. A filter lasts for life, so a program that has to be left alone must never get it.
pub(super) fn no_trace(command: &[OsString]) -> Option<String> {
    run::no_trace(command, false).or_else(|| {
        let path = run::find(&command[0])?;
        let facts = crate::elf::inspect(File::open(&path).ok()?).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        facts.is_tracer(&name).then(|| format!("{name} traces programs itself, and a process has one tracer at most"))
    })
}

/// Tells a command that did not start from one that did.
pub(super) fn check_start(name: &OsStr, not_started: Option<&NotStarted>) -> Result<(), Failure> {
    match not_started {
        None => Ok(()),
        Some(NotStarted::Exec(error)) => Err(run::not_started(name, error)),
        Some(NotStarted::Filter(error)) => Err(Failure::tool(format!(
            "the seccomp filter that would stop at system calls for memory was refused: {error}; use `brkmap syscalls \
             --every-call`, which is slower and needs none"
        ))),
    }
}

/// The records with all names that the views need.
pub(super) fn view(recorded: Recorded, mode: Mode, wall: Duration) -> Calls {
    let Recorded { summary, calls, not_kept, stacks, lost, tracers, .. } = recorded;
    let sites = summary.by_weight().into_iter().enumerate().map(|(index, (number, site))| {
        let Some(number) = number else {
            return SiteRow {
                number: None,
                function: "?".to_owned(),
                file: String::new(),
                line: None,
                site: site.clone(),
            };
        };
        let name = stacks.site_name(number);
        let line = if index < WITH_LINES { stacks.line(site.stack) } else { None };
        let (function, file) = (name.function.clone(), name.file.clone());
        SiteRow { number: Some(number), function, file, line, site: site.clone() }
    });
    let sites = sites.collect();
    let place = |stack: u32| stacks.site_name(stacks.site_of(stack)).to_string();
    let moves = summary.moves.iter().map(|&made| MoveRow { made, place: made.stack.map(place) }).collect();
    let site_of_stack = (0..stacks.len() as u32).map(|stack| stacks.site_of(stack)).collect();
    let described = (0..stacks.len().min(DESCRIBED) as u32).map(|stack| describe(&stacks, stack)).collect();
    Calls { summary, sites, moves, calls, not_kept, stacks: described, site_of_stack, lost, tracers, mode, wall }
}

fn describe(stacks: &Stacks, stack: u32) -> Vec<String> {
    stacks.describe(stack).map(|name| name.to_string()).collect()
}
