//! How long free memory stays before it goes back. Pure: what looks found in, pauses out.
//!
//! Memory beyond the budget is *marked*; it goes once it has been idle from one look to the next. Giving back too early costs
//! a page fault for each OS page that is needed again, some twenty times the price of giving it back; giving back too late
//! costs memory. Which of the two a program suffers from, only its own past tells:
//!
//! * what went and was soon needed again is *regretted*: the time between looks doubles, up to [`LONGEST_MS`];
//! * what went unregretted halves it, down to [`SHORTEST_MS`];
//! * where live memory has *dropped* by a quarter, everything that is free goes at the first look, without waiting to be
//!   idle, unless that was regretted: then not for a while, longer each time.

/// Shortest time between two looks, in ms.
pub const SHORTEST_MS: u64 = 100;
/// Longest time between two looks: what becomes idle goes within two of them, so within a second.
pub const LONGEST_MS: u64 = 400;
/// Regretted bytes that do not count: a program may touch a little of anything.
const NEGLIGIBLE: usize = 64 << 10;
/// Looks for which a regretted drop is not answered at once, at most.
const LONGEST_PENALTY: u32 = 64;
/// Blocks that a look visits in a millisecond of processor time, at least (0.3 to 0.5 ns each; 2026-11).
const BLOCKS_A_MS: usize = 2_000_000;
/// One part in so many of a processor may go into looks that find nothing.
const SHARE: u64 = 256;
/// A pause is not made longer than this for the sake of [`SHARE`].
const LONGEST_FOR_SHARE_MS: u64 = 2000;

/// What a look found, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Went back.
    pub returned: usize,
    /// Of what went back before: is needed again.
    pub regretted: usize,
    /// Blocks that were looked at.
    pub blocks: usize,
}

/// What the looks have taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time between two looks, in ms, where it is not the shortest.
    tick: u32,
    /// Looks for which nothing goes at once.
    held: u32,
    /// How many it will be the next time.
    penalty: u32,
    /// Looks in a row that returned nothing.
    fruitless: u32,
    /// Bytes that went back of late, and at the last look alone.
    recent: usize,
    last: usize,
}

impl Patience {
    /// Knows nothing yet: zeros.
    pub const NEW: Patience = Patience { tick: 0, held: 0, penalty: 0, fruitless: 0, recent: 0, last: 0 };

    /// May everything that is free go without being idle, where live memory dropped?
    pub fn at_once(&self) -> bool {
        self.held == 0
    }

    /// Looks in a row that returned nothing.
    pub fn fruitless(&self) -> u32 {
        self.fruitless
    }

    /// A new helper begins: what it was started for is new.
    pub fn begin(&mut self) {
        self.fruitless = 0;
    }

    /// Learns from a look.
    pub fn learn(&mut self, outcome: Outcome) {
        let regret = outcome.regretted > NEGLIGIBLE && outcome.regretted > self.recent / 8;
        let unregretted = self.last > 0 && !regret;
        self.recent = self.recent / 2 + outcome.returned;
        self.last = outcome.returned;
        self.fruitless = if outcome.returned == 0 { self.fruitless.saturating_add(1) } else { 0 };
        if regret {
            self.tick = (self.tick.max(SHORTEST_MS as u32) * 2).min(LONGEST_MS as u32);
            self.penalty = (self.penalty * 2 + 1).min(LONGEST_PENALTY);
            self.held = self.penalty;
            return;
        }
        self.held = self.held.saturating_sub(1);
        if unregretted {
            self.tick /= 2;
            self.penalty /= 2;
        }
    }

    /// The pause before the next look, in ms.
    pub fn pause_ms(&self, last: Outcome) -> u64 {
        let tick = (self.tick as u64).max(SHORTEST_MS << self.fruitless.min(2));
        if self.fruitless == 0 {
            return tick;
        }
        let for_share = (last.blocks / BLOCKS_A_MS) as u64 * SHARE;
        tick.max(for_share.min(LONGEST_FOR_SHARE_MS))
    }
}

/// Has live memory dropped by a quarter, if `loose` bytes are free besides `live`?
pub fn is_drop(loose: usize, live: usize) -> bool {
    loose >= live.saturating_add(loose) / 4
}

/// How long memory may stay over the budget before calls give it back, in ms, where no helper does.
pub const CALL_MS: u64 = 50;

/// The next such time, after `purged` bytes went and `regretted` of them are needed again.
pub fn next_call_delay(delay: u64, purged: usize, regretted: usize) -> u64 {
    if regretted > NEGLIGIBLE && regretted > purged / 8 {
        (delay * 2).clamp(2 * CALL_MS, 2 * LONGEST_MS)
    } else {
        (delay / 2).max(CALL_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn outcome(returned: usize, regretted: usize) -> Outcome {
        Outcome { returned, regretted, blocks: 0 }
    }

    #[test]
    fn regret_makes_patient_and_its_absence_eager() {
        let mut patience = Patience::NEW;
        assert!(patience.at_once());
        patience.learn(outcome(8 * MIB, 0));
        assert_eq!(patience.pause_ms(Outcome::default()), SHORTEST_MS);
        for _ in 0..10 {
            patience.learn(outcome(8 * MIB, 8 * MIB));
        }
        assert_eq!(patience.pause_ms(Outcome::default()), LONGEST_MS);
        assert!(!patience.at_once());
        for _ in 0..2 * LONGEST_PENALTY {
            patience.learn(outcome(8 * MIB, 0));
        }
        assert!(patience.at_once());
        assert_eq!(patience.pause_ms(Outcome::default()), SHORTEST_MS);
    }

    #[test]
    fn a_little_regret_is_none() {
        let mut patience = Patience::NEW;
        patience.learn(outcome(64 * MIB, 0));
        patience.learn(outcome(0, MIB));
        assert!(patience.at_once());
        patience.learn(outcome(0, NEGLIGIBLE));
        assert!(patience.at_once());
        patience.learn(outcome(0, 16 * MIB));
        assert!(!patience.at_once());
    }

    #[test]
    fn a_drop_that_is_always_regretted_is_answered_more_and_more_seldom() {
        let mut patience = Patience::NEW;
        let mut answered = 0;
        let mut last_went = false;
        for _ in 0..1000 {
            let regretted = if last_went { 8 * MIB } else { 0 };
            last_went = patience.at_once() && regretted == 0;
            answered += last_went as u32;
            patience.learn(outcome(if last_went { 8 * MIB } else { 0 }, regretted));
        }
        assert!((5..30).contains(&answered), "{answered} times");
    }

    #[test]
    fn vain_looks_become_seldom_and_cost_little() {
        let mut patience = Patience::NEW;
        let pauses = [(); 4].map(|()| {
            patience.learn(outcome(0, 0));
            patience.pause_ms(Outcome::default())
        });
        assert_eq!(pauses, [200, 400, 400, 400]);
        assert_eq!(patience.fruitless(), 4);
        let blocks = |blocks| Outcome { blocks, ..Outcome::default() };
        assert_eq!(patience.pause_ms(blocks(10_000_000)), 1280);
        assert_eq!(patience.pause_ms(blocks(1 << 30)), LONGEST_FOR_SHARE_MS);
        patience.begin();
        assert_eq!(patience.pause_ms(blocks(1 << 30)), SHORTEST_MS);
    }

    #[test]
    fn a_quarter_is_a_drop() {
        assert!(is_drop(25, 75) && !is_drop(24, 76) && is_drop(1, 0));
        assert!(is_drop(usize::MAX, usize::MAX));
    }

    #[test]
    fn calls_wait_longer_after_regret() {
        assert_eq!(next_call_delay(CALL_MS, 8 * MIB, 8 * MIB), 100);
        assert_eq!(next_call_delay(700, 8 * MIB, 8 * MIB), 800);
        assert_eq!(next_call_delay(800, 8 * MIB, 0), 400);
        assert_eq!(next_call_delay(CALL_MS, 8 * MIB, 0), CALL_MS);
        assert_eq!(next_call_delay(0, 0, 0), CALL_MS);
    }
}
