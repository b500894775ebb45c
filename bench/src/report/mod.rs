//! What is said of a comparison: tables for people, JSON for programs.

pub(crate) mod json;
pub(crate) mod svg;
pub(crate) mod text;

use crate::allocator::Allocator;
use crate::setting::Setting;
use crate::suite::Cell;
use serde::Serialize;
use std::fs;

/// A finished comparison.
pub(crate) struct Comparison<'a> {
    /// The machine.
    pub machine: Machine,
    /// The columns; the first is what the others are divided by.
    pub allocators: &'a [Allocator],
    /// The rows.
    pub settings: &'a [Setting],
    /// Row by row.
    pub cells: &'a [Cell],
    /// Measured runs per cell.
    pub rounds: usize,
    /// Settings left out because their program is not installed, with the remedy.
    pub left_out: &'a [String],
    /// The command line.
    pub command: String,
}

impl Comparison<'_> {
    /// The cells of a row, in the order of the allocators.
    pub(crate) fn row(&self, number: usize) -> &[Cell] {
        &self.cells[number * self.allocators.len()..][..self.allocators.len()]
    }
}

/// The facts of the machine that a reader needs to judge figures.
#[derive(Debug, Serialize)]
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
        let load = read("/proc/loadavg");
        Machine {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            huge_pages: huge.split(['[', ']']).nth(1).map_or_else(unknown, String::from),
            load_average: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}
