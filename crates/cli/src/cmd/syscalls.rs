//! `brkmap syscalls`.

use super::{Failure, calls, run, target};
use crate::cli::inspect::status::DENIED;
use crate::cli::syscalls::Arguments;
use crate::collect::{self, Collector};
use crate::look::{self, Refusal};
use crate::model::calls::threshold::Threshold;
use crate::trace::{self, Following, Listener, Options, Program, Stops};
use crate::view::style::{Style, locale_is_ascii, wants_color};
use crate::view::syscalls::{Calls, Heading, Mode, json, list, text};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;

/// Records, then reports.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let output = arguments.output.as_deref().map(|path| run::create(path, arguments.force)).transpose()?;
    match &arguments.target {
        Some(target) => attached(arguments, target, output),
        None => command(arguments, output),
    }
}

/// A command is run to its end.
fn command(arguments: &Arguments, output: Option<File>) -> Result<u8, Failure> {
    let (preload, wanted) = run::choose(&arguments.alloc)?;
    // `preload` holds the library open where it is a file in memory, until the report is written.
    let path = preload.as_ref().map(run::Preload::path);
    let program = Program::new(&arguments.command, run::environment(path.as_deref()))
        .map_err(|error| Failure::tool(format!("cannot start the program: {error}")))?;
    let no_trace = calls::no_trace(&arguments.command);
    if let Some(why) = &no_trace {
        super::complain(&format!("{why}: it runs untraced, and its system calls are not seen"));
    }
    let (stops, mode) = match arguments.every_call {
        true => (Stops::EveryCall, Mode::EveryCall),
        false => (Stops::Filter, Mode::Filter),
    };
    let options = options(arguments, output.as_ref())?;
    let mut run = trace::run(&program, wanted, no_trace.clone(), Some((stops, options)))
        .map_err(|error| Failure::tool(format!("cannot run the program: {error}")))?;
    calls::check_start(&arguments.command[0], run.not_started.as_ref())?;
    let status = run.outcome.status();
    let Some(recorded) = run.calls.take() else {
        if let (None, Following::Sampled(why)) = (no_trace, &run.following) {
            super::complain(&format!("{why}: the program ran untraced, and its system calls were not seen"));
        }
        return Ok(status);
    };
    let calls = calls::view(recorded, mode, run.wall);
    let main = run.processes.into_iter().find(|process| process.pid == run.pid);
    let malloc = main.as_ref().map(|main| main.in_force.malloc.clone());
    let books = main.filter(|main| main.engine.is_some());
    let title = arguments.command.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let heading = Heading { title, pid: run.pid, outcome: Some(run.outcome), malloc, books };
    // The program's own status says more than ours, unless it says that all is well.
    let failed = if status == 0 { crate::cli::TOOL_FAILURE } else { status };
    Ok(if report(arguments, &heading, &calls, output) { status } else { failed })
}

/// A process that runs already is watched for a while.
fn attached(arguments: &Arguments, target: &str, output: Option<File>) -> Result<u8, Failure> {
    let pid = target::find(target)?;
    let look = look::look(pid, &mut Collector::default()).map_err(target::failure)?;
    let parameters = look.glibc.as_ref().and_then(|glibc| glibc.parameters);
    let threshold = parameters.map(|p| Threshold { bytes: p.mmap_threshold, is_dynamic: p.is_dynamic });
    let title = vec![look.snapshot.status.name.clone()];
    let malloc = look.glibc.as_ref().map(|_| "glibc".to_owned());
    drop(look);
    let options = options(arguments, output.as_ref())?;
    let tracepoints = if arguments.every_call { Err("--every-call".to_owned()) } else { trace::watch(pid) };
    let (attached, mode) = match tracepoints {
        Ok(watch) => (watch.record(options, threshold, arguments.limit), Mode::Tracepoints),
        Err(why) => {
            check(pid)?;
            announce(pid, arguments, &why);
            (trace::attach(pid, options, threshold, arguments.limit), Mode::EveryCall)
        }
    };
    let attached = attached.map_err(|error| {
        let remedy = match error.raw_os_error() {
            Some(libc::EPERM) => "; run brkmap as root, or start the program under `brkmap syscalls -- COMMAND`",
            _ => "",
        };
        Failure { message: format!("process {pid} cannot be traced: {error}{remedy}"), status: DENIED }
    })?;
    let calls = calls::view(attached.recorded, mode, attached.wall);
    let heading = Heading { title, pid, outcome: attached.outcome, malloc, books: None };
    Ok(if report(arguments, &heading, &calls, output) { 0 } else { crate::cli::TOOL_FAILURE })
}

/// Says what the slow way costs, before it costs that.
fn announce(pid: i32, arguments: &Arguments, why: &str) {
    let end = if arguments.limit.is_some() { "the time limit or Ctrl-C" } else { "Ctrl-C" };
    super::complain(&format!(
        "no tracepoints: {why}. Process {pid} is stopped at both ends of every system call it makes, which may slow it \
         down several times; {end} ends that, and it runs on"
    ));
}

/// Whether a process may be attached to at all: not where another tracer is, nor one that traces others.
fn check(pid: i32) -> Result<(), Failure> {
    let status = collect::text(pid, "status").unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).map_or("0", str::trim).to_owned();
    if tracer != "0" {
        let name = tracer.parse().ok().and_then(|tracer| collect::status(tracer).ok()).map(|status| status.name);
        let name = name.unwrap_or_default();
        return Err(target::failure(Refusal::Denied(format!(
            "process {pid} is traced by process {tracer} ({name}), and a process has one tracer at most: it runs on as it is"
        ))));
    }
    if Collector::default().is_tracer(pid) {
        return Err(target::failure(Refusal::Denied(format!(
            "process {pid} traces programs itself, and would wait for brkmap instead of them: it runs on untraced"
        ))));
    }
    Ok(())
}

fn options(arguments: &Arguments, output: Option<&File>) -> Result<Options, Failure> {
    let listener = arguments.all.then(|| listener(output)).transpose();
    let listener = listener.map_err(|error| Failure::tool(format!("cannot write the calls: {error}")))?;
    Ok(Options {
        keep: if arguments.json { arguments.keep } else { 0 },
        stacks: !arguments.no_stacks,
        listener,
        by_kernel: false,
    })
}

/// Writes a line for each call, to the file or to standard error.
fn listener(output: Option<&File>) -> io::Result<Listener> {
    let mut file = output.map(File::try_clone).transpose()?.map(io::BufWriter::new);
    Ok(Box::new(move |call, stacks| {
        let place = call.stack.map(|stack| stacks.site_name(stacks.site_of(stack)).to_string());
        let line = list::line(call, place.as_deref()) + "\n";
        // A reader that went away is noticed when the summary is written.
        let _ = match &mut file {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stderr().lock().write_all(line.as_bytes()),
        };
    }))
}

/// Writes the report; the result tells whether that worked.
fn report(arguments: &Arguments, heading: &Heading, calls: &Calls, output: Option<File>) -> bool {
    let place = arguments.output.as_ref().map_or("standard error".into(), |path| path.display().to_string());
    match write(arguments, heading, calls, output) {
        Ok(()) => true,
        Err(error) => {
            super::complain(&format!("cannot write the report to {place}: {error}"));
            false
        }
    }
}

fn write(arguments: &Arguments, heading: &Heading, calls: &Calls, output: Option<File>) -> io::Result<()> {
    let (is_terminal, width) = match &output {
        Some(_) => (false, None),
        None => (io::stderr().is_terminal(), crate::os::terminal_width(io::stderr().as_raw_fd())),
    };
    let text = if arguments.json {
        serde_json::to_string_pretty(&json::with_heading(heading, calls))? + "\n"
    } else {
        let variable = |name: &str| std::env::var(name).ok();
        let style = Style {
            color: wants_color(arguments.color, is_terminal, variable),
            ascii: arguments.ascii || locale_is_ascii(variable),
            width: width.unwrap_or(100).clamp(60, 140),
        };
        text::render(heading, calls, arguments.by, arguments.stacks, style)
    };
    match output {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => io::stderr().lock().write_all(text.as_bytes()),
    }
}
