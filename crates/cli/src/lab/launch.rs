//! Starts subjects, each a fresh process on the malloc that is asked for, and collects what they report.

use super::calls::{self, Call, Phases};
use super::note::Trouble;
use super::subject::{REFUSED, UNKNOWN};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Which malloc a subject runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malloc {
    /// The C library's.
    System,
    Brkmap,
}

impl Malloc {
    /// Both, for side by side.
    pub(super) const BOTH: [Malloc; 2] = [Malloc::System, Malloc::Brkmap];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Malloc::System => "glibc",
            Malloc::Brkmap => "brkmap",
        }
    }
}

/// What the experiments share.
pub(crate) struct Bench {
    /// This program.
    program: PathBuf,
    /// The library to preload.
    library: PathBuf,
    /// Why the last trace could not be made.
    pub(super) no_trace: Cell<Option<i32>>,
}

/// A subject to be.
pub(super) struct Subject<'a> {
    bench: &'a Bench,
    name: &'static str,
    numbers: Vec<u64>,
    malloc: Malloc,
    variables: Vec<(&'static str, String)>,
    limit: Option<(libc::__rlimit_resource_t, u64)>,
    fixed_layout: bool,
}

/// What came of a subject.
#[derive(Debug)]
pub(super) struct Ran {
    facts: BTreeMap<String, String>,
    pub(super) status: ExitStatus,
    pub(super) errors: String,
    phases: Option<Phases>,
}

/// Variables that would change what is shown.
const CLEARED: [&str; 6] =
    ["LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_PERTURB_", "BRKMAP_CONF", "MALLOC_TOP_PAD_"];

impl Bench {
    /// With this program and this library.
    pub(crate) fn new(program: PathBuf, library: PathBuf) -> Bench {
        Bench { program, library, no_trace: Cell::new(None) }
    }

    /// A subject on the C library's malloc.
    pub(super) fn subject(&self, name: &'static str) -> Subject<'_> {
        Subject {
            bench: self,
            name,
            numbers: Vec::new(),
            malloc: Malloc::System,
            variables: Vec::new(),
            limit: None,
            fixed_layout: false,
        }
    }

    /// Runs any program and writes its memory calls down; what it prints is dropped.
    pub(super) fn trace_program(&self, file: &std::path::Path, arguments: &[&str]) -> Result<Phases, Trouble> {
        let mut command = Command::new(file);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: [async-signal-safe] the closure makes bare calls and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                libc::alarm(10);
                calls::trace_me()
            })
        };
        let refused = |error: io::Error| Trouble::NotHere(format!("{} could not be traced: {error}", file.display()));
        let child = command.spawn().map_err(refused)?;
        calls::follow(child.id() as i32).map(|(_, phases)| phases).map_err(refused)
    }
}

impl Subject<'_> {
    /// A number for its body.
    pub(super) fn number(mut self, number: u64) -> Self {
        self.numbers.push(number);
        self
    }

    /// The malloc it runs on.
    pub(super) fn on(mut self, malloc: Malloc) -> Self {
        self.malloc = malloc;
        self
    }

    /// A variable of its environment.
    pub(super) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A limit of the kernel.
    pub(super) fn limit(mut self, resource: libc::__rlimit_resource_t, bytes: u64) -> Self {
        self.limit = Some((resource, bytes));
        self
    }

    /// No random addresses.
    pub(super) fn fixed_layout(mut self) -> Self {
        self.fixed_layout = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.bench.program);
        command.arg("lab-subject").arg(self.name).args(self.numbers.iter().map(u64::to_string));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if CLEARED.contains(&&*text) || text.starts_with("MALLOC_") || text.starts_with("BRKMAP_") {
                command.env_remove(&name);
            }
        }
        if self.malloc == Malloc::Brkmap {
            command.env("LD_PRELOAD", &self.bench.library);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&self, traced: bool) -> io::Result<Child> {
        let mut command = self.command();
        let (limit, fixed_layout) = (self.limit, self.fixed_layout);
        let prepare = move || {
            if let Some((resource, bytes)) = limit {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                // SAFETY: [valid-out-pointer] the limit lives on this frame.
                if unsafe { libc::setrlimit(resource, &limit) } != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            if fixed_layout {
                // SAFETY: [no-memory] takes a number.
                unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
            }
            if traced { calls::trace_me() } else { Ok(()) }
        };
        // SAFETY: [async-signal-safe] between fork and exec the closure makes three bare calls and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        command.spawn()
    }

    /// Runs it to its end.
    pub(super) fn run(&self) -> Result<Ran, Trouble> {
        let mut child = self.start(false).map_err(|error| self.not_started(&error))?;
        let status = child.wait().map_err(|error| self.not_started(&error))?;
        self.collect(&mut child, status, None)
    }

    /// Runs it with all its calls for memory written down; where tracing is refused, without.
    pub(super) fn traced(&self) -> Result<Ran, Trouble> {
        let mut child = match self.start(true) {
            Ok(child) => child,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => {
                self.bench.no_trace.set(error.raw_os_error());
                return self.run();
            }
            Err(error) => return Err(self.not_started(&error)),
        };
        let (status, phases) = calls::follow(child.id() as i32).map_err(|error| self.not_started(&error))?;
        self.collect(&mut child, ExitStatus::from_raw(status), Some(phases))
    }

    /// Runs it; each time it stops itself, `look` is called with its number, and it goes on.
    pub(super) fn staged(&self, mut look: impl FnMut(i32)) -> Result<Ran, Trouble> {
        let mut child = self.start(false).map_err(|error| self.not_started(&error))?;
        let pid = child.id() as i32;
        let status = loop {
            let status = calls::wait_stopped(pid).map_err(|error| self.not_started(&error))?;
            if !libc::WIFSTOPPED(status) {
                break status;
            }
            look(pid);
            crate::os::kill(pid, libc::SIGCONT);
        };
        self.collect(&mut child, ExitStatus::from_raw(status), None)
    }

    /// Reads what it reported. All of it fits into the pipes, so nobody waits for anybody.
    fn collect(&self, child: &mut Child, status: ExitStatus, phases: Option<Phases>) -> Result<Ran, Trouble> {
        let (mut text, mut errors) = (String::new(), String::new());
        let read =
            |pipe: Option<&mut dyn Read>, into: &mut String| pipe.map_or(Ok(0), |pipe| pipe.read_to_string(into));
        let read = read(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read), &mut text)
            .and_then(|_| read(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read), &mut errors));
        read.map_err(|error| self.not_started(&error))?;
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let facts: BTreeMap<String, String> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let ran = Ran { facts, status, errors, phases };
        match status.code() {
            Some(REFUSED) => Err(Trouble::NotHere(ran.text("refused")?.to_owned())),
            Some(UNKNOWN) => Err(Trouble::Broken(format!("no subject is called {}", self.name))),
            _ => Ok(ran),
        }
    }

    fn not_started(&self, error: &io::Error) -> Trouble {
        Trouble::NotHere(format!("a process for '{}' could not be run: {error}", self.name))
    }
}

impl Ran {
    /// A figure of the report.
    pub(super) fn get(&self, name: &str) -> Result<u64, Trouble> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Trouble::Broken(format!("the subject's {name} is no number: {text}")))
    }

    /// A text of the report.
    pub(super) fn text(&self, name: &str) -> Result<&str, Trouble> {
        match self.facts.get(name) {
            Some(text) => Ok(text),
            None if !self.status.success() => Err(self.ended_badly()),
            None => Err(Trouble::Broken(format!("the subject did not report '{name}'"))),
        }
    }

    /// A process that died. Under a limit of addresses that is the limit's doing.
    fn ended_badly(&self) -> Trouble {
        let why = format!("the process that was to show it ended with {}", self.status);
        let errors = self.errors.lines().next().unwrap_or_default();
        let why = if errors.is_empty() { why } else { format!("{why}: {errors}") };
        match address_limit() {
            Some(bytes) => Trouble::NotHere(format!("{why} (RLIMIT_AS is {} KiB)", bytes / 1024)),
            None => Trouble::Broken(why),
        }
    }

    /// The calls of a phase; `None` where no trace could be made.
    pub(super) fn phase(&self, name: &str) -> Option<&[Call]> {
        self.phases.as_ref().map(|phases| phases.get(name).map_or(&[][..], Vec::as_slice))
    }
}

/// The limit of addresses, if there is one.
pub(super) fn address_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: [valid-out-pointer] the limit lives on this frame.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    (asked && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
