//! What was collected of one process at one moment.

use crate::heap::{Heap, NamedMemory};
use crate::proc::smaps::Mapping;
use crate::proc::stat::Stat;
use crate::proc::status::Status;
use std::time::Duration;

/// How near to the process' end its facts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In the kernel's exit path: nothing of the program ran after it.
    AtExit,
    /// The last sample, so long before the end.
    Before(Duration),
    /// The process was still running when the command ended.
    StillRunning,
}

/// What an executable file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Executable {
    /// 32-bit ELF.
    pub(crate) is_32_bit: bool,
    /// Names no program interpreter: statically linked, nothing can be preloaded.
    pub(crate) is_static: bool,
    /// Was made by the Go toolchain.
    pub(crate) is_go: bool,
    /// Its own symbol table for the dynamic linker offers `malloc`.
    pub(crate) exports_malloc: bool,
    /// Its symbol table for the dynamic linker asks for `ptrace`.
    pub(crate) imports_ptrace: bool,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Program interpreter.
    pub(crate) interpreter: String,
    /// The file changes user or group, or has capabilities: the loader runs in secure mode.
    pub(crate) is_privileged: bool,
}

/// Debuggers that call the kernel without a libc, so that no symbol gives them away.
const TRACERS: [&str; 2] = ["dlv", "rr"];
/// Browsers ask for `ptrace` as well, for crash reports only. No debugger comes near their size.
const LARGEST_TRACER: u64 = 64 << 20;

impl Executable {
    /// Whether the program of this name traces other programs. A process has one tracer at most, so it and its children
    /// have to be left alone or it would fail.
    pub(crate) fn is_tracer(&self, name: &str) -> bool {
        (self.imports_ptrace && self.size < LARGEST_TRACER) || TRACERS.contains(&name)
    }
}

/// All facts of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) status: Status,
    pub(crate) stat: Stat,
    /// When the process began, on CLOCK_MONOTONIC.
    pub(crate) started_ms: Option<u64>,
    pub(crate) mappings: Vec<Mapping>,
    /// Path of the program.
    pub(crate) exe: String,
    pub(crate) command: Vec<String>,
    /// `LD_PRELOAD` in the process' initial environment.
    pub(crate) preload: Option<String>,
    /// `None` if the file could not be read.
    pub(crate) executable: Option<Executable>,
    /// The kernel refused a look at its memory: only the status is known.
    pub(crate) unreadable: bool,
    /// brkmap's heaps: one per root.
    pub(crate) heaps: Vec<Heap>,
    /// Memory of the toolbox's allocators that have a name.
    pub(crate) named: Vec<NamedMemory>,
    /// Why a heap could not be read.
    pub(crate) heap_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debuggers_and_browsers_are_told_apart() {
        let importer = |size| Executable { imports_ptrace: true, size, ..Executable::default() };
        assert!(importer(10 << 20).is_tracer("gdb"));
        assert!(!importer(200 << 20).is_tracer("chromium"));
        assert!(Executable::default().is_tracer("dlv"));
        assert!(!Executable::default().is_tracer("sh"));
    }
}
