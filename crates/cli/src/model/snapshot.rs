//! What was collected of one process at one moment.

use crate::heap::Heap;
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
    /// Uses ptrace: a debugger or tracer.
    pub(crate) imports_ptrace: bool,
    /// Program interpreter.
    pub(crate) interpreter: String,
    /// The file changes user or group, or has capabilities: the loader runs in secure mode.
    pub(crate) is_privileged: bool,
}

/// All facts of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) status: Status,
    pub(crate) stat: Stat,
    pub(crate) mappings: Vec<Mapping>,
    /// Path of the program.
    pub(crate) exe: String,
    pub(crate) command: Vec<String>,
    /// `LD_PRELOAD` in the process' initial environment.
    pub(crate) preload: Option<String>,
    /// `None` if the file could not be read.
    pub(crate) executable: Option<Executable>,
    /// brkmap's heaps: one per root.
    pub(crate) heaps: Vec<Heap>,
    /// Why a heap could not be read.
    pub(crate) heap_error: Option<String>,
}
