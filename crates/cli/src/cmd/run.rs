//! `brkmap run`.

use super::page::PageFile;
use super::{Failure, calls};
use crate::cli::run::{Alloc, Arguments};
use crate::embed::{self, Library};
use crate::heap::occupancy::Detail;
use crate::machine;
use crate::model::in_force::Wanted;
use crate::trace::{self, Options, Program, Stops};
use crate::view::style::{Style, locale_is_ascii, wants_color};
use crate::view::syscalls::{Calls, Mode};
use crate::view::{Report, html, json, text};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// System calls that the JSON lists one by one.
const KEPT: usize = 100_000;

/// Runs the program, then reports.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let (preload, wanted) = choose(&arguments.alloc)?;
    // `preload` holds the library open where it is a file in memory, until the report is written.
    let path = preload.as_ref().map(Preload::path);
    let output = arguments.output.as_deref().map(|path| create(path, arguments.force)).transpose()?;
    let page = arguments.html.as_deref().map(|path| PageFile::open(path, arguments.force)).transpose()?;
    let program = Program::new(&arguments.command, environment(path.as_deref()))
        .map_err(|error| Failure::tool(format!("cannot start the program: {error}")))?;
    let (no_trace, record) = if arguments.syscalls {
        let options = Options {
            keep: if arguments.json || arguments.html.is_some() { KEPT } else { 0 },
            stacks: true,
            listener: None,
            by_kernel: true,
        };
        (calls::no_trace(&arguments.command), Some((Stops::Filter, options)))
    } else {
        (no_trace(&arguments.command, arguments.no_trace), None)
    };
    // The page shows how full each OS page is; the other reports do with sums.
    let detail = if page.is_some() { Detail::OsPages } else { Detail::Sums };
    let mut run = trace::run_closely(&program, wanted.clone(), no_trace, record, detail)
        .map_err(|error| Failure::tool(format!("cannot run the program: {error}")))?;
    calls::check_start(&arguments.command[0], run.not_started.as_ref())?;
    let recorded = run.calls.take().map(|recorded| {
        let mode = if recorded.by_kernel { Mode::Kernel } else { Mode::Filter };
        calls::view(recorded, mode, run.wall)
    });
    let status = run.outcome.status();
    let report = report(&arguments.command, wanted, run, recorded);
    // The program's own status says more than ours, unless it says that all is well.
    let failed = if status == 0 { crate::cli::TOOL_FAILURE } else { status };
    if let Some(Err(failure)) = page.map(|page| write_page(&report, page)) {
        super::complain(&failure.message);
        return Ok(failed);
    }
    if let Err(error) = write(&report, &arguments, output) {
        let place = arguments.output.as_ref().map_or("standard error".into(), |path| path.display().to_string());
        super::complain(&format!("cannot write the report to {place}: {error}"));
        return Ok(failed);
    }
    Ok(status)
}

/// What is preloaded.
pub(super) enum Preload {
    Own(Library),
    Foreign(PathBuf),
}

impl Preload {
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Preload::Own(library) => library.path(),
            Preload::Foreign(path) => path.clone(),
        }
    }
}

/// What to preload and what to expect of it.
pub(super) fn choose(alloc: &Alloc) -> Result<(Option<Preload>, Wanted), Failure> {
    match alloc {
        Alloc::System => Ok((None, Wanted::System)),
        Alloc::Brkmap => {
            let library = embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)?;
            Ok((Some(Preload::Own(library)), Wanted::Brkmap))
        }
        Alloc::Library(path) => {
            let failure = |cause: String| Failure::tool(format!("cannot preload {}: {cause}", path.display()));
            let full = path.canonicalize().map_err(|error| failure(error.to_string()))?;
            if full.as_os_str().as_encoded_bytes().iter().any(|byte| b" :".contains(byte)) {
                return Err(failure("its path contains a space or a colon, which LD_PRELOAD cannot hold".to_owned()));
            }
            let name = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((Some(Preload::Foreign(full)), Wanted::Library(name)))
        }
    }
}

/// The program's environment: ours, with the library in front of what is preloaded already.
pub(super) fn environment(preload: Option<&Path>) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let Some(library) = preload else { return all };
    let mut value = library.as_os_str().to_owned();
    if let Some(old) = std::env::var_os("LD_PRELOAD").filter(|old| !old.is_empty()) {
        value.push(":");
        value.push(old);
    }
    all.retain(|(name, _)| name != "LD_PRELOAD");
    all.push((OsString::from("LD_PRELOAD"), value));
    all
}

/// Opens a report's file.
pub(super) fn create(path: &Path, force: bool) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path).map_err(|error| {
        let remedy = if error.kind() == io::ErrorKind::AlreadyExists { "; use --force to replace it" } else { "" };
        Failure::tool(format!("cannot create {}: {error}{remedy}", path.display()))
    })
}

/// Why not to trace. A program that changes user loses that right under a tracer without privileges.
pub(super) fn no_trace(command: &[OsString], is_unwanted: bool) -> Option<String> {
    if is_unwanted {
        return Some("--no-trace".to_owned());
    }
    untraceable(&command[0])
}

/// Why the program of this name may not be traced.
pub(super) fn untraceable(name: &OsStr) -> Option<String> {
    // Root's programs have the rights of root.
    let path = find(name).filter(|_| crate::os::effective_user() != 0)?;
    let facts = crate::elf::inspect(File::open(&path).ok()?).ok()?;
    facts
        .is_privileged
        .then(|| format!("{} changes user or has capabilities, and would lose them if traced", path.display()))
}

/// The file that a command name stands for.
pub(super) fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The words and status that `env` has for a program that does not start.
pub(super) fn not_started(name: &OsStr, error: &io::Error) -> Failure {
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let name = name.to_string_lossy();
    let remedy = match is_missing {
        true if !name.contains('/') => "; check the name and PATH",
        true => "; check the path, and the interpreter if it is a script",
        false => "",
    };
    let cause = error.to_string();
    let cause = cause.split(" (os error").next().unwrap_or_default();
    Failure { message: format!("cannot run '{name}': {cause}{remedy}"), status: if is_missing { 127 } else { 126 } }
}

fn report(command: &[OsString], wanted: Wanted, run: trace::Run, calls: Option<Calls>) -> Report {
    let (main, mut others): (Vec<_>, Vec<_>) = run.processes.into_iter().partition(|process| process.pid == run.pid);
    others.sort_by_key(|process| (std::cmp::Reverse(process.peak_rss), process.pid));
    Report {
        command: command.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        wanted,
        outcome: run.outcome,
        wall: run.wall,
        usage: run.usage,
        following: run.following,
        main: main.into_iter().next_back(),
        others,
        not_kept: run.not_kept,
        calls,
    }
}

fn write_page(report: &Report, mut page: PageFile) -> Result<(), Failure> {
    let data = json::document(report, crate::os::ticks_per_second());
    page.write(&html::run(report, &machine::look(None), &data))
}

fn write(report: &Report, arguments: &Arguments, output: Option<File>) -> io::Result<()> {
    let (is_terminal, width) = match &output {
        Some(_) => (false, None),
        None => (io::stderr().is_terminal(), crate::os::terminal_width(io::stderr().as_raw_fd())),
    };
    let text = if arguments.json {
        let document = json::document(report, crate::os::ticks_per_second());
        serde_json::to_string_pretty(&document)? + "\n"
    } else {
        let variable = |name: &str| std::env::var(name).ok();
        text::render(
            report,
            Style {
                color: wants_color(arguments.color, is_terminal, variable),
                ascii: arguments.ascii || locale_is_ascii(variable),
                width: width.unwrap_or(100).clamp(60, 120),
            },
        )
    };
    match output {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => io::stderr().lock().write_all(text.as_bytes()),
    }
}
