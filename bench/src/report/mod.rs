//! What is said of a comparison: tables for people, JSON for programs.

pub(crate) mod docs;
pub(crate) mod html;
pub(crate) mod join;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod sheets;
pub(crate) mod standing;
pub(crate) mod svg;
pub(crate) mod text;
pub(crate) mod words;

use crate::allocator::Allocator;
use crate::setting::{Figure, Kind, Setting};
use crate::suite::Cell;
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

/// A finished comparison, which is also the JSON document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Version of the document.
    pub schema_version: u32,
    /// The command line; of several runs that were joined, one a line.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// The commit of brkmap's sources, where it is known.
    #[serde(default)]
    pub revision: String,
    /// Measured runs per cell.
    pub rounds: usize,
    /// The columns; the first is what the others are divided by.
    pub allocators: Vec<Allocator>,
    /// The rows.
    pub settings: Vec<Row>,
    /// Settings left out because their program is not installed, with the remedy.
    pub left_out: Vec<String>,
    /// Row by row.
    pub cells: Vec<Cell>,
}

/// What the reports need to know of a setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its name.
    pub name: String,
    /// What it stresses.
    pub kind: Kind,
    /// By what it is judged.
    pub figure: Figure,
    /// Whether the means over all settings count it.
    #[serde(default)]
    pub counted: bool,
    /// The arguments of its program.
    pub arguments: Vec<String>,
}

impl From<&Setting> for Row {
    fn from(setting: &Setting) -> Row {
        Row {
            name: setting.name.to_string(),
            kind: setting.kind,
            figure: setting.figure,
            counted: setting.is_counted(),
            arguments: setting.arguments.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Comparison {
    /// The cells of a row, in the order of the allocators.
    pub(crate) fn row(&self, number: usize) -> &[Cell] {
        &self.cells[number * self.allocators.len()..][..self.allocators.len()]
    }

    /// The rows with their cells.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Row, &[Cell])> {
        self.settings.iter().enumerate().map(|(number, row)| (row, self.row(number)))
    }
}

/// The commit of the sources, and whether they were changed since; empty where git does not know.
pub(crate) fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return String::new() };
    let is_changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|changes| !changes.is_empty());
    if is_changed { commit + " and later changes" } else { commit }
}

/// The facts of the machine that a reader needs to judge figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// The setting of transparent huge pages.
    pub huge_pages: String,
    /// Load averages when the comparison began.
    pub load_average: String,
    /// Load averages when it ended.
    #[serde(default)]
    pub load_average_after: String,
    /// Whether the processor says that it is a virtual one.
    #[serde(default)]
    pub is_virtual: bool,
    /// When the comparison began, UTC.
    #[serde(default)]
    pub date: String,
}

fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

impl Machine {
    /// Looks at this machine; what cannot be read says `unknown`.
    pub(crate) fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let unknown = || "unknown".to_string();
        let huge = read("/sys/kernel/mm/transparent_hugepage/enabled");
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let flags = field(&processor, "flags").unwrap_or_default();
        let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]).output();
        Machine {
            processor: field(&processor, "model name").unwrap_or_else(unknown),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            huge_pages: huge.split(['[', ']']).nth(1).map_or_else(unknown, String::from),
            load_average: load_average(),
            load_average_after: String::new(),
            is_virtual: flags.split(' ').any(|flag| flag == "hypervisor"),
            date: date.map_or_else(|_| unknown(), |date| String::from_utf8_lossy(&date.stdout).trim().to_string()),
        }
    }

    /// Looks at the load once more, when the comparison has ended.
    pub(crate) fn ended(self) -> Machine {
        Machine { load_average_after: load_average(), ..self }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::Run;

    /// A setting for a comparison that was made up: its name, its kind, and for each column the CPU time and MiB.
    pub(crate) type MadeUp<'a> = (&'a str, Kind, [(f64, f64); 3]);

    /// A comparison of glibc, brkmap and a rival, three runs a cell that are 1 % apart. A time below zero is a failure.
    pub(crate) fn comparison(settings: &[MadeUp]) -> Comparison {
        let names = ["glibc", "brkmap", "rival"];
        let allocator = |name: &str| Allocator { name: name.into(), preload: None, version: format!("{name} 1") };
        let row = |(name, kind, _): &MadeUp| Row {
            name: name.to_string(),
            kind: *kind,
            figure: Figure::Cpu,
            counted: true,
            arguments: Vec::new(),
        };
        let run = |seconds: f64, mib: f64| Run {
            value: seconds,
            cpu_seconds: seconds,
            wall_seconds: seconds,
            peak_rss_bytes: (mib * 1_048_576.0) as u64,
            minor_faults: 100,
            curve: None,
            malloc: "/lib/libc.so.6".into(),
        };
        let cell = |setting: &str, column: usize, (seconds, mib): (f64, f64)| Cell {
            setting: setting.into(),
            allocator: names[column].into(),
            runs: [0.99, 1.0, 1.01].map(|factor| run(seconds * factor, mib)).into(),
            failure: (seconds < 0.0).then(|| "it ended with status 1".into()),
            system_calls: None,
        };
        let cells = settings.iter().flat_map(|(name, _, columns)| {
            columns.iter().enumerate().map(|(column, &figures)| cell(name, column, figures)).collect::<Vec<_>>()
        });
        Comparison {
            schema_version: json::SCHEMA_VERSION,
            command: "brkmap-bench made-up".into(),
            machine: Machine {
                processor: "a processor".into(),
                cpus: 2,
                memory_bytes: 1 << 30,
                kernel: "6.1".into(),
                huge_pages: "madvise".into(),
                load_average: "0.10 0.10 0.10".into(),
                load_average_after: "1.00 0.50 0.20".into(),
                is_virtual: true,
                date: "2026-01-02 03:04".into(),
            },
            revision: "0123456789".into(),
            rounds: 3,
            allocators: names.iter().map(|name| allocator(name)).collect(),
            settings: settings.iter().map(row).collect(),
            left_out: Vec::new(),
            cells: cells.collect(),
        }
    }
}
