//! What the policy did, for who looks from outside: which rule gave how much back, and each move of the mmap threshold
//! with the free that caused it. Written on cold paths only, beside a system call; never read by the engine.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release, fence};

use brkmap_sys::Kernel;
use brkmap_wire::{Counter, MOVE_SLOTS, MOVE_WORDS, Move, RULE_BYTES, RULES, Rule};

use crate::engine::{Engine, Platform};

/// Words of a record: a cache line, so that appended words change no stride.
const RECORD_WORDS: usize = 8;

/// See the module. All zero: nothing happened.
pub(crate) struct Ledger {
    /// Calls and bytes, by rule.
    pub(crate) rules: [[AtomicU64; 2]; RULES],
    /// The first move of the threshold and the last ones.
    pub(crate) moves: [[AtomicU64; RECORD_WORDS]; MOVE_SLOTS],
}

/// Bytes from one record of a move to the next.
pub(crate) const MOVE_STRIDE: usize = RECORD_WORDS * 8;

impl Ledger {
    pub(crate) const fn new() -> Ledger {
        Ledger {
            rules: [const { [const { AtomicU64::new(0) }; 2] }; RULES],
            moves: [const { [const { AtomicU64::new(0) }; RECORD_WORDS] }; MOVE_SLOTS],
        }
    }
}

impl<P: Platform> Engine<P> {
    /// A call gave `bytes` back, by this rule.
    pub(crate) fn note_return(&self, rule: Rule, bytes: usize) {
        let [calls, sum] = &self.ledger.rules[rule as usize];
        calls.fetch_add(1, Relaxed);
        sum.fetch_add(bytes as u64, Relaxed);
    }

    /// Calls and bytes that went back by a rule.
    pub fn returned_by(&self, rule: Rule) -> (u64, u64) {
        let [calls, bytes] = &self.ledger.rules[rule as usize];
        (calls.load(Relaxed), bytes.load(Relaxed))
    }

    /// The mmap threshold moved because a block was freed.
    pub(crate) fn note_move(&self, freed: usize, from: usize, to: usize, address: usize) {
        let number = self.counters[Counter::ThresholdMoves as usize].fetch_add(1, Relaxed) + 1;
        let made = Move {
            number,
            freed: freed as u64,
            from: from as u64,
            to: to as u64,
            when_ms: self.kernel().now_ms(),
            address: address as u64,
            thread: self.me() as u64,
        };
        let record = &self.ledger.moves[Move::slot(number)];
        // A reader takes a record whose number is not 0: so the old number goes first, the new one comes last.
        record[0].store(0, Relaxed);
        fence(Release);
        for (cell, word) in record.iter().zip(made.words()).skip(1) {
            cell.store(word, Relaxed);
        }
        record[0].store(number, Release);
    }

    /// The moves of the threshold that are remembered, in their order.
    pub fn threshold_moves(&self) -> impl Iterator<Item = Move> {
        let mut kept = self.ledger.moves.each_ref().map(|record| {
            let words: [u64; MOVE_WORDS] = core::array::from_fn(|index| record[index].load(Relaxed));
            Move::from_words(words.into_iter())
        });
        kept.sort_unstable_by_key(|made| made.map_or(0, |made| made.number));
        kept.into_iter().flatten()
    }
}

// What the wire promises about the layout.
const _: () = {
    assert!(size_of::<[AtomicU64; 2]>() == RULE_BYTES);
    assert!(RECORD_WORDS >= MOVE_WORDS && size_of::<[AtomicU64; RECORD_WORDS]>() == MOVE_STRIDE);
};
