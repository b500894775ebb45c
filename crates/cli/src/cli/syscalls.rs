//! Flags of `brkmap syscalls`.

use super::run::Alloc;
use crate::view::style::Color;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `syscalls`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Calls: brk, mmap, munmap, mremap, madvise, mprotect, process_madvise.\n\n\
    A command is stopped at these calls alone; all others run at full speed. Its exit status is brkmap's. A process that \
    runs already is watched by the kernel's tracepoints where that is allowed, else stopped at every system call it makes, \
    which slows it down: brkmap says so first.\n\n\
    Exit status for a PID: 0 for a report, 3 no such process, 4 permission denied, 5 unreadable, 6 several processes of \
    that name, 125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap syscalls -- python3 script.py\n  brkmap syscalls --all -- git status\n  \
    brkmap syscalls redis-server --for 10\n  brkmap syscalls --json -o calls.json -- ./program")]
pub(crate) struct Arguments {
    /// Process that runs already: its number, or its name to the letter
    #[arg(value_name = "PID|NAME", required_unless_present = "command", conflicts_with = "command")]
    pub(crate) target: Option<String>,
    /// Which malloc the command gets: system (its own), brkmap, or a library to preload
    #[arg(
        long,
        value_name = "system|brkmap|FILE.so",
        default_value = "system",
        value_parser = Alloc::parse,
        conflicts_with = "target"
    )]
    pub(crate) alloc: Alloc,
    /// Show only one view, and all of it
    #[arg(long, value_enum, value_name = "VIEW")]
    pub(crate) by: Option<By>,
    /// A line for each call as it happens, then the summary
    #[arg(long)]
    pub(crate) all: bool,
    /// With each place in the program, the whole stack that led there
    #[arg(long)]
    pub(crate) stacks: bool,
    /// Do not read stacks: calls cost less, and places in the program stay unknown
    #[arg(long, conflicts_with = "stacks")]
    pub(crate) no_stacks: bool,
    /// Stop at every system call: slow, but programs in the tree that trace others, such as strace, still work
    #[arg(long)]
    pub(crate) every_call: bool,
    /// Leave the process after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = super::inspect::seconds, conflicts_with = "command")]
    pub(crate) limit: Option<Duration>,
    /// Report as JSON: one document, sizes in bytes, with each of the first calls
    #[arg(long, conflicts_with_all = ["by", "all", "stacks"])]
    pub(crate) json: bool,
    /// Calls that --json lists one by one; the sums cover all
    #[arg(long, value_name = "N", default_value_t = 100_000, requires = "json")]
    pub(crate) keep: usize,
    /// Write the report to a file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Let --output replace an existing file
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// A view of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// By system call
    Call,
    /// By what the memory is for
    Mechanism,
    /// By place in the program
    Site,
    /// Over time
    Time,
}
