//! What a process asked of the kernel for its memory, from whichever source tells it.

use crate::model::calls::summary::Summary;
use crate::model::calls::{Call, Kind};
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
    /// Usable memory that came by any call, where single calls were not kept.
    Came,
    /// The same that went.
    Went,
}

impl Lane {
    /// All kinds in the order of reports.
    pub(crate) const ALL: [Lane; 9] = [
        Lane::BreakUp,
        Lane::BreakDown,
        Lane::Map,
        Lane::Unmap,
        Lane::Remap,
        Lane::GiveBack,
        Lane::Protect,
        Lane::Came,
        Lane::Went,
    ];

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
            Lane::Came => "came",
            Lane::Went => "went",
        }
    }
}

/// Calls at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Milliseconds since the program was started.
    pub(crate) at_ms: u64,
    pub(crate) lane: Lane,
    pub(crate) calls: u64,
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

/// The calls of brkmap's library, by its own counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelCalls {
    pub(crate) sums: Vec<Sum>,
    /// Calls that the kernel refused.
    pub(crate) refused: u64,
}

/// Ticks of the calls that a tracer saw of one process. Where it could not keep each of them, sums over short times stand for
/// them, of all processes together.
pub(crate) fn ticks(summary: &Summary, calls: &[Call], is_whole: bool, pid: i32) -> Vec<Tick> {
    if is_whole {
        return calls.iter().filter(|call| call.pid == pid).filter_map(tick).collect();
    }
    let mut ticks = Vec::new();
    for (index, tally) in summary.columns.iter().enumerate() {
        let at_ms = (summary.width.as_nanos() * (2 * index as u128 + 1) / 2_000_000) as u64;
        let lanes = [(Lane::Came, tally.came), (Lane::Went, tally.went), (Lane::GiveBack, tally.returned)];
        let tick = |(lane, bytes)| Tick { at_ms, lane, calls: tally.calls, bytes };
        ticks.extend(lanes.into_iter().filter(|lane| lane.1 > 0).map(tick));
    }
    ticks
}

fn tick(call: &Call) -> Option<Tick> {
    if call.answer.is_refused() {
        return None;
    }
    let usable = call.change.usable;
    let moved = usable.unsigned_abs().max(call.change.reserved.unsigned_abs());
    let (lane, bytes) = match call.kind {
        // A question where the break is, which every program asks once.
        Kind::Brk if usable == 0 => return None,
        Kind::Brk if usable > 0 => (Lane::BreakUp, moved),
        Kind::Brk => (Lane::BreakDown, moved),
        Kind::Mmap => (Lane::Map, moved),
        Kind::Munmap => (Lane::Unmap, moved),
        Kind::Mremap => (Lane::Remap, moved),
        Kind::Madvise | Kind::ProcessMadvise => (Lane::GiveBack, call.change.returned),
        Kind::Mprotect => (Lane::Protect, moved),
    };
    Some(Tick { at_ms: call.at.as_millis() as u64, lane, calls: 1, bytes })
}

impl KernelCalls {
    /// Reads the counters.
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
        KernelCalls { sums, refused: refusals.into_iter().map(|counter| engine.get(counter)).sum() }
    }

    /// All calls that were counted.
    pub(crate) fn total(&self) -> u64 {
        self.sums.iter().map(|sum| sum.calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calls::{Answer, Change, Mechanism};
    use std::time::Duration;

    fn call(kind: Kind, usable: i64, returned: u64) -> Call {
        Call {
            at: Duration::from_millis(7),
            took: None,
            pid: 1,
            tid: 1,
            kind,
            arguments: [0; 6],
            answer: Answer::Value(1),
            mechanism: Mechanism::Break,
            change: Change { usable, reserved: 0, returned },
            rss_before: None,
            rss_after: None,
            stack: None,
            moved: None,
        }
    }

    #[test]
    fn each_call_of_the_process_is_a_tick_in_its_lane() {
        let other = Call { pid: 2, ..call(Kind::Mmap, 9, 0) };
        let refused = Call { answer: Answer::Refused(12), ..call(Kind::Mmap, 0, 0) };
        let calls = [
            call(Kind::Brk, 0, 0),
            call(Kind::Brk, 5, 0),
            call(Kind::Brk, -6, 0),
            call(Kind::Munmap, -7, 0),
            call(Kind::Madvise, 0, 8),
            other,
            refused,
        ];
        let ticks = ticks(&Summary::default(), &calls, true, 1);
        let lanes: Vec<_> = ticks.iter().map(|tick| (tick.at_ms, tick.lane, tick.bytes)).collect();
        let expected = [(Lane::BreakUp, 5), (Lane::BreakDown, 6), (Lane::Unmap, 7), (Lane::GiveBack, 8)];
        assert_eq!(lanes, expected.map(|(lane, bytes)| (7, lane, bytes)));
    }

    #[test]
    fn sums_stand_for_calls_that_were_not_kept() {
        let mut summary = Summary::default();
        summary.add(&call(Kind::Mmap, 100, 0), None);
        summary.add(&call(Kind::Munmap, -40, 0), None);
        let ticks = ticks(&summary, &[], false, 1);
        let lanes: Vec<_> = ticks.iter().map(|tick| (tick.lane, tick.calls, tick.bytes)).collect();
        assert_eq!(lanes, [(Lane::Came, 2, 100), (Lane::Went, 2, 40)]);
        assert_eq!(ticks[0].at_ms, 7);
    }

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
