//! What the policy did, as an inspector finds it: by which rule memory went back, and why the mmap threshold moved.

/// Why memory went back to the kernel. The table at `Root::rules` has one entry `{u64 calls, u64 bytes}` per rule, in this
/// order; the calls are those of the kernel (give-backs, moves of the break, unmappings of free memory) that succeeded.
/// New rules are appended: a reader takes what it does not know together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Rule {
    /// Free spans beyond the budget for longer than the delay, given back inside a call of the program.
    OverBudget,
    /// Free spans that nobody took or freed between two looks.
    Idle,
    /// OS pages without a live block on pages in use, unchanged between two looks.
    Holes,
    /// The program asked (`malloc_trim`).
    Trim,
    /// Free memory at the top of the break, while free memory was beyond the budget.
    BreakTop,
    /// A request that would have come too near the option `limit`.
    Limit,
    /// The kernel refused memory: all that was free, before asking again.
    Refusal,
    /// Contents of a block whose mapping the kernel would not unmap.
    Unmappable,
    /// The process's control group is short of memory.
    Pressure,
    /// Freed direct mappings that were kept, and that no block of their size came for.
    Kept,
    /// What huge pages made resident beyond the spans that were taken, when growth ended: memory went back, or the process
    /// forks.
    Untouched,
    /// Free spans, before the process forked: a child would have shared them, and their next use would have been a copy.
    Fork,
}

impl Rule {
    /// All rules, in the order of the table.
    pub const ALL: [Rule; RULES] = [
        Rule::OverBudget,
        Rule::Idle,
        Rule::Holes,
        Rule::Trim,
        Rule::BreakTop,
        Rule::Limit,
        Rule::Refusal,
        Rule::Unmappable,
        Rule::Pressure,
        Rule::Kept,
        Rule::Untouched,
        Rule::Fork,
    ];
}

/// Number of rules this version knows.
pub const RULES: usize = Rule::Fork as usize + 1;
/// Bytes of an entry of the table of rules.
pub const RULE_BYTES: usize = 16;

/// One move of the mmap threshold: a record of `Root::move_stride` bytes that begins with these words, in this order.
/// Words behind them belong to newer versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Move {
    /// Number of the move, from 1 on; 0: the record is empty, or being written. Written last.
    pub number: u64,
    /// Bytes of the freed block, as the program had asked for them.
    pub freed: u64,
    /// Threshold before, in bytes.
    pub from: u64,
    /// Threshold afterwards, in bytes.
    pub to: u64,
    /// When: CLOCK_MONOTONIC in milliseconds; 0 = there was no clock.
    pub when_ms: u64,
    /// Address of the freed block.
    pub address: u64,
    /// Id of the thread that freed it.
    pub thread: u64,
}

/// Words of a [`Move`].
pub const MOVE_WORDS: usize = 7;
/// Records this version keeps: the first move for good, the others in turn.
pub const MOVE_SLOTS: usize = 8;

impl Move {
    /// The words in their order.
    pub fn words(&self) -> [u64; MOVE_WORDS] {
        [self.number, self.freed, self.from, self.to, self.when_ms, self.address, self.thread]
    }

    /// The inverse of [`Move::words`]; words that the record does not have are 0. `None`: no move.
    pub fn from_words(mut words: impl Iterator<Item = u64>) -> Option<Move> {
        let mut next = || words.next().unwrap_or(0);
        let made = Move {
            number: next(),
            freed: next(),
            from: next(),
            to: next(),
            when_ms: next(),
            address: next(),
            thread: next(),
        };
        (made.number != 0).then_some(made)
    }

    /// Where the move with this number is kept.
    pub fn slot(number: u64) -> usize {
        match number.saturating_sub(1) {
            0 => 0,
            later => 1 + (later as usize - 1) % (MOVE_SLOTS - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_move_and_the_last_seven_are_kept() {
        let mut kept = [0; MOVE_SLOTS];
        for number in 1..=30 {
            kept[Move::slot(number)] = number;
        }
        kept.sort_unstable();
        assert_eq!(kept, [1, 24, 25, 26, 27, 28, 29, 30]);
    }

    #[test]
    fn a_move_survives_the_wire() {
        let made = Move { number: 1, freed: 2, from: 3, to: 4, when_ms: 5, address: 6, thread: 7 };
        assert_eq!(Move::from_words(made.words().into_iter()), Some(made));
        assert_eq!(Move::from_words([0, 9, 9].into_iter()), None);
        let shorter = Move::from_words([1, 2, 3, 4].into_iter()).unwrap();
        assert_eq!((shorter.to, shorter.when_ms), (4, 0));
    }

    #[test]
    fn rules_stand_in_their_order() {
        assert!(Rule::ALL.iter().enumerate().all(|(index, rule)| *rule as usize == index));
    }
}
