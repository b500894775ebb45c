//! One look at a process, sorted and judged: what a report of `brkmap inspect` says, and what `brkmap run` keeps of the peak
//! and of the end.

use super::diagnosis::{Case, Diagnosis, judge};
use super::growth::Growth;
use super::in_force::{Wanted, decide};
use super::xray::{Row, Xray};
use crate::heap::runtime::kind::Runtime;
use crate::look::Look;
use std::time::Duration;

/// Everything that such a report says.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) pid: i32,
    pub(crate) look: Look,
    pub(crate) xray: Xray,
    pub(crate) growth: Option<Growth>,
    pub(crate) diagnosis: Diagnosis,
    /// Name of the malloc in force.
    pub(crate) malloc: String,
    /// What the look took.
    pub(crate) took: Duration,
}

impl Inspection {
    /// Judges a look.
    pub(crate) fn new(pid: i32, look: Look, xray: Xray, growth: Option<Growth>, took: Duration) -> Inspection {
        let malloc = malloc(&look);
        let lazy_free = look.snapshot.mappings.iter().map(|mapping| mapping.lazy_free).sum();
        let problem = look.snapshot.heap_error.as_deref().or(look.glibc.as_ref().and_then(|g| g.problem.as_deref()));
        let diagnosis = judge(&Case {
            xray: &xray,
            glibc: look.glibc.as_ref(),
            growth: growth.as_ref(),
            lazy_free,
            zeros_on_huge: look.zeros_on_huge,
            problem,
        });
        Inspection { pid, xray, growth, diagnosis, malloc, took, look }
    }

    /// Bytes that the process gave back and the kernel has not taken.
    pub(crate) fn lazy_free(&self) -> u64 {
        self.look.snapshot.mappings.iter().map(|mapping| mapping.lazy_free).sum()
    }

    /// Bytes on huge pages.
    pub(crate) fn huge(&self) -> u64 {
        self.look.snapshot.mappings.iter().map(|mapping| mapping.huge).sum()
    }

    /// OS pages, in bytes, that hold at least one live byte of malloc's: no trim gets below that.
    pub(crate) fn floor(&self) -> u64 {
        let glibc = self.look.glibc.as_ref().map_or(0, |glibc| glibc.total().floor + glibc.mapped.resident);
        let ours = self.look.snapshot.heaps.iter().map(|heap| heap.live + heap.rounding + heap.pinned).sum::<u64>();
        glibc + ours
    }

    /// What `malloc_trim(0)` would return.
    pub(crate) fn trim(&self) -> u64 {
        self.xray.get(Row::Returnable)
    }
}

/// Who serves `malloc` in the process.
fn malloc(look: &Look) -> String {
    let in_force = decide(&look.snapshot, &Wanted::System).malloc;
    if in_force.starts_with("brkmap") {
        return in_force;
    }
    let linked = look.runtimes.iter().find(|runtime| runtime.is_malloc());
    match (&look.glibc, linked) {
        (_, Some(Runtime::OtherMalloc)) => in_force,
        (Some(glibc), None) if in_force == "glibc" || in_force == "linked in" || in_force == "unknown" => {
            glibc.version.map_or("glibc".to_owned(), |version| format!("glibc 2.{version}"))
        }
        (Some(_), Some(linked)) if in_force == "glibc" => format!("glibc, and {} linked in", linked.key()),
        _ => in_force,
    }
}
