//! The policy at work in one process: why the mmap threshold stands where it does, by which rule memory went back, and
//! which blocks keep OS pages from going back.

use super::snapshot::Snapshot;
use crate::heap::{Heap, Pin};
use brkmap_wire::{Counter, Move, Rule, face};
use std::collections::BTreeMap;

/// When a move happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So many milliseconds after the process began.
    After(u64),
    /// Before the process began: its parent had moved the threshold when it forked.
    Inherited,
    /// There was no clock.
    Unknown,
}

/// A move of an engine's mmap threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThresholdMove {
    pub(crate) made: Move,
    pub(crate) when: When,
}

/// What became of an engine's mmap threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    /// See `brkmap_wire::face`.
    pub(crate) face: u64,
    /// Where it stands.
    pub(crate) bytes: u64,
    /// Moves, also those that are not remembered one by one.
    pub(crate) moved: u64,
    /// The moves that are remembered, in their order.
    pub(crate) kept: Vec<ThresholdMove>,
}

impl Threshold {
    /// Whether the remembered moves are all, each from where the one before had led.
    pub(crate) fn is_complete(&self) -> bool {
        self.kept.len() as u64 == self.moved && self.kept.windows(2).all(|pair| pair[0].made.to == pair[1].made.from)
    }
}

/// What went back by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    /// Stable name for JSON.
    pub(crate) key: &'static str,
    /// Name in the report.
    pub(crate) label: &'static str,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// One for each engine.
    pub(crate) thresholds: Vec<Threshold>,
    /// Every rule; `None` where the library does not tell.
    pub(crate) returned: Option<Vec<Returned>>,
    /// Sizes of blocks that pin OS pages, most free bytes first.
    pub(crate) pins: Vec<Pin>,
}

/// Clocks disagree by so much: a process' beginning is known to 10 ms, and the engine's clock is coarse.
const CLOCK_BLUR_MS: u64 = 20;

fn names(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::OverBudget => ("over_budget", "spans over the budget"),
        Rule::Idle => ("idle", "idle spans"),
        Rule::Holes => ("holes", "holes in pages"),
        Rule::Trim => ("trim", "malloc_trim"),
        Rule::BreakTop => ("break_top", "top of the break"),
        Rule::Limit => ("limit", "limit"),
        Rule::Refusal => ("refusal", "memory was refused"),
        Rule::Unmappable => ("unmappable", "unmapping was refused"),
        Rule::Pressure => ("pressure", "pressure"),
        Rule::Kept => ("kept", "kept mappings"),
        Rule::Untouched => ("untouched", "rests of huge pages"),
        Rule::Fork => ("fork", "free before a fork"),
    }
}

fn when(made: &Move, started_ms: Option<u64>) -> When {
    match started_ms {
        Some(started) if made.when_ms != 0 => match made.when_ms.checked_sub(started) {
            Some(after) => When::After(after),
            None if started - made.when_ms <= CLOCK_BLUR_MS => When::After(0),
            None => When::Inherited,
        },
        _ => When::Unknown,
    }
}

/// Sums over all engines; what newer libraries return by rules that are not known here comes last, as one.
fn returned(heaps: &[&Heap]) -> Option<Vec<Returned>> {
    let told: Vec<_> = heaps.iter().filter(|heap| !heap.rules.is_empty()).collect();
    let sum = |range: &dyn Fn(usize) -> bool| {
        let entries = told.iter().flat_map(|heap| heap.rules.iter().enumerate());
        let entries = entries.filter(|(index, _)| range(*index)).map(|(_, entry)| entry);
        entries.fold((0u64, 0u64), |sum, entry| (sum.0.saturating_add(entry.0), sum.1.saturating_add(entry.1)))
    };
    let known = Rule::ALL.into_iter().map(|rule| {
        let ((key, label), (calls, bytes)) = (names(rule), sum(&|index| index == rule as usize));
        Returned { key, label, calls, bytes }
    });
    let (calls, bytes) = sum(&|index| index >= Rule::ALL.len());
    let rest = (calls > 0).then_some(Returned { key: "other", label: "other rules", calls, bytes });
    (!told.is_empty()).then(|| known.chain(rest).collect())
}

/// The pins of all engines, a size once.
fn pins(heaps: &[&Heap]) -> Vec<Pin> {
    let mut by_size: BTreeMap<u64, Pin> = BTreeMap::new();
    for pin in heaps.iter().flat_map(|heap| &heap.pins) {
        by_size.entry(pin.block_bytes).or_default().add(pin);
    }
    let mut pins: Vec<Pin> = by_size.into_values().filter(|pin| pin.free_bytes > 0).collect();
    pins.sort_by_key(|pin| (std::cmp::Reverse(pin.free_bytes), pin.block_bytes));
    pins
}

impl Policy {
    /// Reads it off the engines that were in use.
    pub(crate) fn of(snapshot: &Snapshot) -> Policy {
        let heaps: Vec<&Heap> = snapshot.heaps.iter().filter(|heap| heap.has_served()).collect();
        let moved = |made: &Move| ThresholdMove { made: *made, when: when(made, snapshot.started_ms) };
        let threshold = |heap: &&Heap| Threshold {
            face: heap.face,
            bytes: heap.mmap_threshold,
            moved: heap.counter(Counter::ThresholdMoves),
            kept: heap.moves.iter().map(moved).collect(),
        };
        Policy { thresholds: heaps.iter().map(threshold).collect(), returned: returned(&heaps), pins: pins(&heaps) }
    }

    /// Bytes that went back by any rule.
    pub(crate) fn returned_bytes(&self) -> u64 {
        self.returned.iter().flatten().map(|returned| returned.bytes).fold(0, u64::saturating_add)
    }
}

/// Stable name of an engine's face for JSON.
pub(crate) fn face_key(face: u64) -> &'static str {
    match face {
        face::C => "c",
        face::RUST => "rust",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(rules: &[(u64, u64)], pins: &[(u64, u64)]) -> Heap {
        let pin = |&(block_bytes, free_bytes)| Pin { block_bytes, free_bytes, live_blocks: 1, os_pages: 2 };
        let made = Move { number: 1, from: 1, to: 2, when_ms: 5_000, ..Move::default() };
        Heap {
            in_use: true,
            rules: rules.to_vec(),
            pins: pins.iter().map(pin).collect(),
            moves: vec![made],
            ..Heap::default()
        }
    }

    fn policy(heaps: Vec<Heap>, started_ms: Option<u64>) -> Policy {
        Policy::of(&Snapshot { heaps, started_ms, ..Snapshot::default() })
    }

    #[test]
    fn engines_are_summed_and_unknown_rules_are_one() {
        let mut first = vec![(0, 0); Rule::ALL.len()];
        first[Rule::Holes as usize] = (3, 300);
        let mut newer = first.clone();
        newer.extend([(1, 10), (1, 20)]);
        let both = policy(vec![heap(&first, &[]), heap(&newer, &[]), heap(&[], &[])], None);
        let returned = both.returned.as_ref().unwrap();
        assert_eq!(returned.len(), Rule::ALL.len() + 1);
        let holes = &returned[Rule::Holes as usize];
        assert_eq!((holes.key, holes.calls, holes.bytes), ("holes", 6, 600));
        assert_eq!((returned.last().unwrap().key, returned.last().unwrap().bytes), ("other", 30));
        assert_eq!(both.returned_bytes(), 630);
        assert_eq!(policy(vec![heap(&[], &[])], None).returned, None, "an older library does not tell");
    }

    #[test]
    fn the_size_with_most_free_bytes_is_first() {
        let pins = policy(vec![heap(&[], &[(64, 10), (80, 30), (96, 0)]), heap(&[], &[(64, 40)])], None).pins;
        let sizes: Vec<_> = pins.iter().map(|pin| (pin.block_bytes, pin.free_bytes, pin.live_blocks)).collect();
        assert_eq!(sizes, [(64, 50, 2), (80, 30, 1)]);
    }

    #[test]
    fn moves_are_dated_from_the_beginning_of_the_process() {
        let at = |started| policy(vec![heap(&[], &[])], started).thresholds[0].kept[0].when;
        assert_eq!(at(Some(4_000)), When::After(1_000));
        assert_eq!(at(Some(5_010)), When::After(0), "the clocks' blur");
        assert_eq!(at(Some(6_000)), When::Inherited);
        assert_eq!(at(None), When::Unknown);
    }

    #[test]
    fn a_chain_of_moves_is_complete_or_not() {
        let kept = |moves: &[(u64, u64)]| {
            let moved = |&(from, to): &(u64, u64)| Move { number: 1, from, to, ..Move::default() };
            moves.iter().map(|ends| ThresholdMove { made: moved(ends), when: When::Unknown }).collect()
        };
        let of = |moved, moves: &[_]| Threshold { face: face::C, bytes: 9, moved, kept: kept(moves) }.is_complete();
        assert!(of(2, &[(1, 5), (5, 9)]) && of(0, &[]));
        assert!(!of(3, &[(1, 5), (5, 9)]) && !of(2, &[(1, 4), (5, 9)]));
    }

    #[test]
    fn keys_and_labels_are_distinct() {
        let keys: std::collections::HashSet<_> = Rule::ALL.into_iter().map(names).collect();
        assert_eq!(keys.len(), Rule::ALL.len());
        assert_eq!(face_key(face::C), "c");
    }
}
