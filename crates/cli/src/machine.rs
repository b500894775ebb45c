//! Collects the facts of the machine.

use crate::collect;
use crate::model::machine::{Machine, chosen, limits, memory};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Facts of this machine, and the limits of a process or, if there is none any more, our own, which a child inherits.
pub(crate) fn look(pid: Option<i32>) -> Machine {
    let word = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let information = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of_process = collect::text(pid.unwrap_or(std::process::id() as i32), "limits").unwrap_or_default();
    Machine {
        unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        kernel: word("/proc/sys/kernel/osrelease"),
        architecture: std::env::consts::ARCH,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: memory(&information, "MemTotal"),
        available: memory(&information, "MemAvailable"),
        swap: memory(&information, "SwapTotal"),
        huge_pages: word("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
        overcommit: word("/proc/sys/vm/overcommit_memory"),
        most_mappings: word("/proc/sys/vm/max_map_count"),
        limits: limits(&of_process),
    }
}
