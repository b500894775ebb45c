//! Which calls are refused, by plan, and how many were.

/// The calls that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `map`.
    Map,
    /// `unmap`.
    Unmap,
    /// `remap`.
    Remap,
    /// `purge`.
    Purge,
    /// `program_break`.
    ProgramBreak,
    /// `move_break`: refused, or (by the seed) done only partly, which the caller cannot tell apart.
    MoveBreak,
    /// `spawn`.
    Spawn,
    /// `resident`.
    Resident,
    /// `move_break` downwards: refused, and the break stays where it is.
    ShrinkBreak,
}

const KINDS: usize = 9;

/// When a call fails; counted from the moment the plan is made, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Once, the n-th.
    Nth(u64),
    /// The n-th and all that follow.
    From(u64),
    /// Each k-th.
    Every(u64),
    /// This many of a thousand, by the seed.
    PerMille(u64),
}

#[derive(Default)]
struct Kind {
    plans: Vec<(Fault, u64)>,
    calls: u64,
    refused: u64,
}

pub(super) struct Faults {
    kinds: [Kind; KINDS],
    random: Random,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Faults { kinds: Default::default(), random: Random::new(seed ^ 0x6661_756C) }
    }

    pub(super) fn add(&mut self, call: Call, fault: Fault) {
        let kind = &mut self.kinds[call as usize];
        let since = kind.calls;
        kind.plans.push((fault, since));
    }

    pub(super) fn clear(&mut self) {
        for kind in &mut self.kinds {
            kind.plans.clear();
        }
    }

    /// Counts a call. `true`: it shall fail.
    pub(super) fn strikes(&mut self, call: Call) -> bool {
        let kind = &mut self.kinds[call as usize];
        kind.calls += 1;
        let mut strikes = false;
        for &(fault, since) in &kind.plans {
            let number = kind.calls - since;
            strikes |= match fault {
                Fault::Nth(n) => number == n,
                Fault::From(n) => number >= n,
                Fault::Every(k) => number.is_multiple_of(k),
                Fault::PerMille(share) => self.random.below(1000) < share,
            };
        }
        strikes
    }

    /// Counts a refusal, whatever its cause.
    pub(super) fn note_refusal(&mut self, call: Call) {
        self.kinds[call as usize].refused += 1;
    }

    pub(super) fn calls(&self, call: Call) -> u64 {
        self.kinds[call as usize].calls
    }

    pub(super) fn refused(&self, call: Call) -> u64 {
        self.kinds[call as usize].refused
    }
}

/// splitmix64: small, good enough to choose with, the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
