//! System calls for memory: as a summary of at most 30 lines, as one full view, call by call, or as JSON.

pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod text;

use crate::model::calls::Call;
use crate::model::calls::summary::{Moved, Site, Summary};
use crate::model::process::{Outcome, Process};
use std::time::Duration;

/// How the calls were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The program stopped at these calls alone.
    Filter,
    /// It stopped at every call.
    EveryCall,
    /// The kernel reported the calls; nothing stopped.
    Tracepoints,
    /// Programs in the kernel told of them, with RSS and times.
    Kernel,
}

impl Mode {
    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Mode::Filter => "seccomp_filter",
            Mode::EveryCall => "every_call",
            Mode::Tracepoints => "tracepoints",
            Mode::Kernel => "kernel_programs",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Mode::Filter => "stopped at these calls only",
            Mode::EveryCall => "stopped at every system call",
            Mode::Tracepoints => "watched by tracepoints, never stopped",
            Mode::Kernel => "told by programs in the kernel, not stopped",
        }
    }
}

/// Whose calls they are.
#[derive(Debug)]
pub(crate) struct Heading {
    /// The command, or a process' name.
    pub(crate) title: Vec<String>,
    pub(crate) pid: i32,
    /// How it ended; `None` if it runs on.
    pub(crate) outcome: Option<Outcome>,
    /// The malloc in force, where it is known.
    pub(crate) malloc: Option<String>,
    /// The command's process at its end, if brkmap's malloc was in force there: its own books say what it did.
    pub(crate) books: Option<Process>,
}

/// A place in the program.
#[derive(Clone, Debug)]
pub(crate) struct SiteRow {
    /// Its number; `None` for calls whose stack is not known.
    pub(crate) number: Option<u32>,
    pub(crate) function: String,
    pub(crate) file: String,
    /// Line of the source, of the first call.
    pub(crate) line: Option<String>,
    pub(crate) site: Site,
}

/// A free that moved glibc's mmap threshold, with its place.
#[derive(Clone, Debug)]
pub(crate) struct MoveRow {
    pub(crate) made: Moved,
    pub(crate) place: Option<String>,
}

/// All that the views show.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) summary: Summary,
    /// The weightiest first.
    pub(crate) sites: Vec<SiteRow>,
    pub(crate) moves: Vec<MoveRow>,
    /// The first calls, one by one.
    pub(crate) calls: Vec<Call>,
    pub(crate) not_kept: u64,
    /// Stacks by number, frames in words, the innermost first.
    pub(crate) stacks: Vec<Vec<String>>,
    pub(crate) site_of_stack: Vec<u32>,
    pub(crate) lost: u64,
    pub(crate) tracers: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) wall: Duration,
}
