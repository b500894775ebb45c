//! What a process asked of the kernel for its memory, from whichever source tells it.

use crate::model::process::Engine;
use brkmap_wire::Counter;

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The program break moved up.
    BreakUp,
    /// It moved down.
    BreakDown,
    Map,
    Unmap,
    Remap,
    /// Contents given back (`madvise`).
    GiveBack,
    Protect,
}

impl Lane {
    /// All kinds in the order of reports.
    pub(crate) const ALL: [Lane; 7] =
        [Lane::BreakUp, Lane::BreakDown, Lane::Map, Lane::Unmap, Lane::Remap, Lane::GiveBack, Lane::Protect];

    /// Name in reports.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Lane::BreakUp => "break up",
            Lane::BreakDown => "break down",
            Lane::Map => "mmap",
            Lane::Unmap => "munmap",
            Lane::Remap => "mremap",
            Lane::GiveBack => "madvise",
            Lane::Protect => "mprotect",
        }
    }
}

/// A call at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Milliseconds since the program was started.
    pub(crate) at_ms: u64,
    pub(crate) lane: Lane,
    pub(crate) bytes: u64,
}

/// Calls of one kind and purpose, summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) lane: Lane,
    /// What the memory is for, if that is known.
    pub(crate) purpose: &'static str,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// brkmap's library: its own calls, all of them, without their times.
    Library,
    /// A tracer: the calls of all of the process, with their times.
    Tracer,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelCalls {
    pub(crate) source: Source,
    pub(crate) sums: Vec<Sum>,
    /// Calls that the kernel refused.
    pub(crate) refused: u64,
    /// In the order of time; empty where times are not known.
    pub(crate) ticks: Vec<Tick>,
}

impl KernelCalls {
    /// By the counters of brkmap's library.
    pub(crate) fn of_engine(engine: &Engine) -> KernelCalls {
        let sum = |lane, purpose, calls: Counter, bytes: Counter| Sum {
            lane,
            purpose,
            calls: engine.get(calls),
            bytes: engine.get(bytes),
        };
        let sums = vec![
            sum(Lane::BreakUp, "break heap", Counter::BreakGrow, Counter::BreakGrowBytes),
            sum(Lane::BreakDown, "break heap", Counter::BreakShrink, Counter::BreakShrinkBytes),
            sum(Lane::Map, "regions for blocks", Counter::MapRegion, Counter::MapRegionBytes),
            sum(Lane::Map, "one block each", Counter::MapDirect, Counter::MapDirectBytes),
            sum(Lane::Map, "malloc's own tables", Counter::MapMetadata, Counter::MapMetadataBytes),
            sum(Lane::Unmap, "regions and blocks", Counter::Unmap, Counter::UnmapBytes),
            sum(Lane::Remap, "blocks that grew or shrank", Counter::Remap, Counter::RemapBytes),
            sum(Lane::GiveBack, "contents given back", Counter::Purge, Counter::PurgeBytes),
        ];
        let refusals = [Counter::BreakRefused, Counter::MapRefused, Counter::PurgeRefused];
        KernelCalls {
            source: Source::Library,
            sums,
            refused: refusals.into_iter().map(|counter| engine.get(counter)).sum(),
            ticks: Vec::new(),
        }
    }

    /// All calls that were counted.
    pub(crate) fn total(&self) -> u64 {
        self.sums.iter().map(|sum| sum.calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_sums() {
        let mut counters = vec![0; brkmap_wire::COUNTERS];
        counters[Counter::BreakGrow as usize] = 3;
        counters[Counter::BreakGrowBytes as usize] = 30;
        counters[Counter::MapDirect as usize] = 2;
        counters[Counter::MapRefused as usize] = 4;
        let calls = KernelCalls::of_engine(&Engine { counters, ..Engine::default() });
        assert_eq!((calls.total(), calls.refused), (5, 4));
        let first = &calls.sums[0];
        assert_eq!((first.lane, first.calls, first.bytes), (Lane::BreakUp, 3, 30));
        assert!(Lane::ALL.iter().enumerate().all(|(index, lane)| *lane as usize == index));
    }
}
