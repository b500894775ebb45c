//! What a setting is: one command, and the figure by which allocators are compared on it. Settings are data, so that a
//! set is a list and the runner knows nothing of its members.

use serde::{Deserialize, Deserializer, Serialize};

/// What a setting stresses. Geometric means are taken per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// One operation repeated: the fast path. Its process is too small for its peak RSS to say anything.
    Path,
    /// A pattern of allocation in one thread.
    Pattern,
    /// Several threads.
    Threads,
    /// A program that people run.
    Program,
    /// The fixed cost of a process.
    Start,
    /// What stays resident of memory that was freed, while the program does nothing.
    GiveBack,
    /// What exists twice after a fork.
    Fork,
}

impl Kind {
    /// Every kind, in the order of the tables.
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Path, Kind::Pattern, Kind::Threads, Kind::Program, Kind::Start, Kind::GiveBack, Kind::Fork];

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Path => "path",
            Kind::Pattern => "pattern",
            Kind::Threads => "threads",
            Kind::Program => "program",
            Kind::Start => "start",
            Kind::GiveBack => "giveback",
            Kind::Fork => "fork",
        }
    }
}

/// A unit as it is written after a number. The name of its own keeps a document from having to live as long as the program.
type Unit = &'static str;

/// A unit in a document: one that a setting of this program has.
fn known_unit<'de, D: Deserializer<'de>>(from: D) -> Result<Unit, D::Error> {
    let text = String::deserialize(from)?;
    let settings = crate::sets::settings(crate::sets::Set::All);
    let mut units = settings.iter().map(|setting| setting.figure.unit());
    units.find(|unit| *unit == text).ok_or_else(|| serde::de::Error::custom(format!("no setting has the unit {text}")))
}

/// The figure of a setting. CPU time, wall time, peak RSS and faults are recorded whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub(crate) enum Figure {
    /// User and system time of the process and of the children that it waited for, in seconds.
    Cpu,
    /// A time that the program measured itself and printed as `value X`.
    Time {
        /// The unit of X.
        #[serde(deserialize_with = "known_unit")]
        unit: Unit,
    },
    /// A size that the program measured itself and printed as `value X`; lower is better.
    Memory {
        /// The unit of X.
        #[serde(deserialize_with = "known_unit")]
        unit: Unit,
    },
}

impl Figure {
    /// The unit that follows a value.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Figure::Cpu => "s",
            Figure::Time { unit } | Figure::Memory { unit } => unit,
        }
    }

    /// Whether the program prints the figure itself.
    pub(crate) fn is_reported(self) -> bool {
        self != Figure::Cpu
    }
}

/// How the program of a setting is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// `brkmap-micro`, built by the runner.
    Micro,
    /// The trivial program, built by the runner.
    Trivial,
    /// `giveback`, built by the runner.
    GiveBack,
    /// A name on `PATH`, and the package that provides it.
    Named {
        /// The command.
        name: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// What another command prints, for programs that stand behind a wrapper: `gcc -print-prog-name=cc1`.
    Printed {
        /// The name for messages.
        name: &'static str,
        /// The command that prints the path.
        by: &'static [&'static str],
        /// Debian's package.
        package: &'static str,
    },
}

/// Where the measured process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinning {
    /// On the runner's chosen CPU.
    OneCpu,
    /// Wherever the kernel or the program itself puts its threads.
    Free,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name, unique over all sets.
    pub name: &'static str,
    /// What it stresses.
    pub kind: Kind,
    /// By what it is judged.
    pub figure: Figure,
    /// The program.
    pub program: Program,
    /// Its arguments; it runs in the directory of the inputs. `{trivial}` stands for the trivial program's path.
    pub arguments: &'static [&'static str],
    /// Variables added to its environment, and to its driver's.
    pub environment: &'static [(&'static str, &'static str)],
    /// A shell script of the inputs that drives it while it runs, on the system's malloc. It may print the figure.
    pub driver: Option<&'static str>,
    /// Where it runs.
    pub pinning: Pinning,
    /// The program is linked with a malloc of its own, so the glibc column preloads libc.
    pub own_malloc: bool,
    /// Part of the set `short`.
    pub short: bool,
    /// Not counted in the means over all settings: one operation alone, where an allocator may be hundreds of times slower
    /// than another, so that it would outweigh everything else.
    pub apart: bool,
}

impl Setting {
    /// A measuring loop of `brkmap-micro`, pinned.
    pub(crate) const fn micro(
        name: &'static str,
        kind: Kind,
        unit: &'static str,
        arguments: &'static [&'static str],
    ) -> Setting {
        Setting {
            name,
            kind,
            figure: Figure::Time { unit },
            program: Program::Micro,
            arguments,
            environment: &[],
            driver: None,
            pinning: Pinning::OneCpu,
            own_malloc: false,
            short: false,
            apart: false,
        }
    }

    /// A program judged by its CPU time, pinned.
    pub(crate) const fn program(name: &'static str, program: Program, arguments: &'static [&'static str]) -> Setting {
        Setting { figure: Figure::Cpu, program, ..Setting::micro(name, Kind::Program, "s", arguments) }
    }

    /// The same setting, also in the set `short`.
    pub(crate) const fn short(self) -> Setting {
        Setting { short: true, ..self }
    }

    /// The same setting, not counted in the means over all settings.
    pub(crate) const fn apart(self) -> Setting {
        Setting { apart: true, ..self }
    }

    /// Whether the means over all settings count it: what is timed, is a pattern, several threads or a program, and does not
    /// stand apart.
    pub(crate) fn is_counted(&self) -> bool {
        let is_timed = !matches!(self.figure, Figure::Memory { .. });
        is_timed && !self.apart && matches!(self.kind, Kind::Pattern | Kind::Threads | Kind::Program)
    }

    /// The same setting, not pinned by the runner.
    pub(crate) const fn free(self) -> Setting {
        Setting { pinning: Pinning::Free, ..self }
    }
}
