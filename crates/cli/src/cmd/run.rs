//! `brkmap run`.

use super::Failure;
use crate::cli::run::{Alloc, Arguments};
use crate::embed::{self, Library};
use crate::model::in_force::Wanted;
use crate::trace::{self, Program};
use crate::view::style::{Style, locale_is_ascii, wants_color};
use crate::view::{Report, json, text};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Runs the program, then reports.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let (preload, wanted) = choose(&arguments.alloc)?;
    // `preload` holds the library open where it is a file in memory, until the report is written.
    let path = preload.as_ref().map(Preload::path);
    let output = arguments.output.as_deref().map(|path| create(path, arguments.force)).transpose()?;
    let program = Program::new(&arguments.command, environment(path.as_deref()))
        .map_err(|error| Failure::tool(format!("cannot start the program: {error}")))?;
    let no_trace = no_trace(&arguments);
    let run = trace::run(&program, wanted.clone(), no_trace)
        .map_err(|error| Failure::tool(format!("cannot run the program: {error}")))?;
    if let Some(error) = &run.not_started {
        return Err(not_started(&arguments.command[0], error));
    }
    let status = run.outcome.status();
    let report = report(&arguments.command, wanted, run);
    if let Err(error) = write(&report, &arguments, output) {
        let place = arguments.output.as_ref().map_or("standard error".into(), |path| path.display().to_string());
        super::complain(&format!("cannot write the report to {place}: {error}"));
        // The program's own status says more than ours, unless it says that all is well.
        return Ok(if status == 0 { crate::cli::TOOL_FAILURE } else { status });
    }
    Ok(status)
}

/// What is preloaded.
enum Preload {
    Own(Library),
    Foreign(PathBuf),
}

impl Preload {
    fn path(&self) -> PathBuf {
        match self {
            Preload::Own(library) => library.path(),
            Preload::Foreign(path) => path.clone(),
        }
    }
}

/// What to preload and what to expect of it.
fn choose(alloc: &Alloc) -> Result<(Option<Preload>, Wanted), Failure> {
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
fn no_trace(arguments: &Arguments) -> Option<String> {
    if arguments.no_trace {
        return Some("--no-trace".to_owned());
    }
    untraceable(&arguments.command[0])
}

/// Why the program of this name may not be traced.
pub(super) fn untraceable(name: &OsStr) -> Option<String> {
    let path = find(name)?;
    let facts = crate::elf::inspect(File::open(&path).ok()?).ok()?;
    let would_break = facts.is_privileged && crate::os::effective_user() != 0;
    would_break.then(|| format!("{} changes user or has capabilities, and would lose them if traced", path.display()))
}

/// The file that a command name stands for.
fn find(name: &OsStr) -> Option<PathBuf> {
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

fn report(command: &[OsString], wanted: Wanted, run: trace::Run) -> Report {
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
    }
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
