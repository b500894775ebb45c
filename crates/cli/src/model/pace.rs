//! When a full look at a running process is worth its cost.
//!
//! A look while RSS still rises will soon be out of date, so it waits for a large step; one at a level on which RSS has come
//! to rest catches a small step too. All looks together may take a processor for 2 % of the time that the command has run, and
//! for 40 ms in any case, for programs that end soon. They are taken beside the program, which is not stopped for them.

use std::time::Duration;

/// Part of the command's time that looks may take.
const SHARE: u32 = 50;
/// Time that looks may take in any case.
const GRACE: Duration = Duration::from_millis(40);
/// What a look takes before anything is known: a heap of small blocks has 0.6 ms of them in a MiB.
const FIRST_GUESS: Duration = Duration::from_micros(300);
/// What every look takes, at first.
const BASE: Duration = Duration::from_millis(3);
/// Looks at smaller processes tell nothing of what a MiB takes.
const TELLING: u64 = 32 << 20;
/// Smaller processes hold their libraries and little else.
pub(crate) const LEAST_RSS: u64 = 4 << 20;
/// A step below this is not worth a look.
const LEAST_STEP: u64 = 1 << 20;
/// So many samples without a new maximum: RSS has come to rest.
const REST: u32 = 3;

/// Time spent on looks, of all processes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    spent: Duration,
    base: Duration,
    per_mib: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { spent: Duration::ZERO, base: BASE, per_mib: FIRST_GUESS }
    }
}

impl Budget {
    /// What a look at a process of that size will take.
    fn expected(&self, rss: u64) -> Duration {
        self.base + self.per_mib.mul_f64(rss as f64 / f64::from(1 << 20))
    }

    /// Whether there is time for a look at a process of that size when the command has run for `elapsed`.
    pub(crate) fn allows(&self, rss: u64, elapsed: Duration) -> bool {
        self.spent + self.expected(rss) <= elapsed / SHARE + GRACE
    }

    /// Enters a look. What the next one takes is judged by it: some heaps have a million blocks, some have ten.
    pub(crate) fn spend(&mut self, rss: u64, took: Duration) {
        self.spent += took;
        if rss >= TELLING {
            self.per_mib = took.saturating_sub(self.base).div_f64(rss as f64 / f64::from(1 << 20));
        } else {
            // The first look reads files that later ones do not.
            self.base = took.min(4 * BASE);
        }
    }
}

/// How high the RSS of one process came, and how high at its last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watermark {
    seen: u64,
    looked: u64,
    rest: u32,
}

impl Watermark {
    /// Enters a sample; the result tells whether a look would be worth it now.
    pub(crate) fn saw(&mut self, rss: u64) -> bool {
        if rss > self.seen + self.seen / 256 {
            self.seen = rss;
            self.rest = 0;
        } else {
            self.rest += 1;
        }
        let step = rss.saturating_sub(self.looked);
        let part = if self.rest >= REST { 50 } else { 5 };
        rss >= LEAST_RSS && step >= (self.looked / part).max(LEAST_STEP)
    }

    /// Enters a look.
    pub(crate) fn looked(&mut self, rss: u64) {
        self.looked = self.looked.max(rss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Looks at a process whose RSS goes as `rss` says, one sample each 10 ms, at 1 ms for a MiB.
    fn looks(rss: impl Fn(u64) -> u64, samples: u64) -> (Vec<u64>, Duration) {
        let (mut budget, mut mark, mut looks) = (Budget::default(), Watermark::default(), Vec::new());
        for sample in 0..samples {
            let rss = rss(sample);
            if mark.saw(rss) && budget.allows(rss, Duration::from_millis(10 * sample)) {
                mark.looked(rss);
                budget.spend(rss, BASE + Duration::from_micros(rss * 1000 / MIB));
                looks.push(rss);
            }
        }
        (looks, budget.spent)
    }

    #[test]
    fn looks_never_take_more_than_their_share() {
        for slope in [1, 10, 100, 1000] {
            let (looks, spent) = looks(|sample| sample * slope * MIB / 10, 3000);
            assert!(!looks.is_empty(), "slope {slope}");
            // One look may turn out to take more than the guess before it.
            assert!(spent <= Duration::from_secs(30) / SHARE + 2 * GRACE, "slope {slope}: {spent:?}");
        }
    }

    #[test]
    fn a_level_is_looked_at_and_only_once() {
        let (looks, _) = looks(|sample| if sample < 100 { sample * MIB } else { 100 * MIB }, 5000);
        assert_eq!(looks.iter().filter(|&&rss| rss == 100 * MIB).count(), 1, "{looks:?}");
    }

    #[test]
    fn what_is_small_or_goes_down_is_not_looked_at() {
        assert!(looks(|_| 3 * MIB, 1000).0.is_empty());
        let (looks, _) = looks(|sample| 100 * MIB - sample * MIB / 50, 4000);
        assert_eq!(looks.len(), 1);
    }
}
