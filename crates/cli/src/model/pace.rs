//! When a full look at a running process is worth its cost.
//!
//! A look while RSS still rises will soon be out of date, so it waits for a large step; one at a level on which RSS has come
//! to rest catches a small step too. All looks together, the one at the end included, may take a processor for 2 % of the time
//! that the command has run. Only a large step at rest may take 10 ms more, for programs that end soon; twice that where
//! nobody will see the end. Looks are taken beside the program, which is not stopped for them.

use std::time::Duration;

/// Part of the command's time that looks may take.
const SHARE: u32 = 50;
/// Time that looks at large news may take beside their part.
const GRACE: Duration = Duration::from_millis(10);
/// What a look takes before anything is known: a heap of small blocks has 0.6 ms of them in a MiB, one of large blocks 0.1.
const FIRST_GUESS: Duration = Duration::from_micros(200);
/// What every look takes, at first.
const BASE: Duration = Duration::from_millis(3);
/// Looks at smaller processes tell nothing of what a MiB takes.
const TELLING: u64 = 32 << 20;
/// Smaller processes hold their libraries and little else.
pub(crate) const LEAST_RSS: u64 = 4 << 20;
/// A step below this is not worth a look.
const LEAST_STEP: u64 = 1 << 20;
/// A step by this part of what was seen at the last look is large.
const LARGE_PART: u64 = 5;
/// So many samples without a new maximum: RSS has come to rest.
const REST: u32 = 3;

/// What a sample of RSS says, in the order of what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// A step while RSS rises, or a small one at rest.
    Small,
    /// RSS has come to rest, a good deal above the last look.
    Large,
}

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

    /// Whether there is time for a look at a process of that size when the command has run for `elapsed`. One that will be
    /// looked at once more, at its end, may be as large by then.
    pub(crate) fn allows(&self, rss: u64, elapsed: Duration, news: News, has_end: bool) -> bool {
        // The last look stands for an end that nobody will see.
        let (looks, grace) = if has_end { (2, GRACE) } else { (1, 2 * GRACE) };
        let grace = if news == News::Large { grace } else { Duration::ZERO };
        self.spent + self.expected(rss) * looks <= elapsed / SHARE + grace
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
    /// Enters a sample; the result tells what a look would be worth now.
    pub(crate) fn saw(&mut self, rss: u64) -> Option<News> {
        if rss > self.seen + self.seen / 256 {
            self.seen = rss;
            self.rest = 0;
        } else {
            self.rest += 1;
        }
        let step = rss.saturating_sub(self.looked);
        let is_at_rest = self.rest >= REST;
        let is_step = |part: u64| rss >= LEAST_RSS && step >= (self.looked / part).max(LEAST_STEP);
        match is_at_rest {
            true if is_step(LARGE_PART) => Some(News::Large),
            true if is_step(50) => Some(News::Small),
            false if is_step(LARGE_PART) => Some(News::Small),
            _ => None,
        }
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

    /// Looks at a process whose RSS goes as `rss` says and that has a look at its end, one sample each 10 ms, at 1 ms for a MiB.
    fn looks(rss: impl Fn(u64) -> u64, samples: u64) -> (Vec<u64>, Duration) {
        let (mut budget, mut mark, mut looks) = (Budget::default(), Watermark::default(), Vec::new());
        for sample in 0..samples {
            let rss = rss(sample);
            let elapsed = Duration::from_millis(10 * sample);
            if mark.saw(rss).is_some_and(|news| budget.allows(rss, elapsed, news, true)) {
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
            // At 100 MiB in a second and more, the look at the end takes all the time that there is.
            assert!(!looks.is_empty() || slope >= 10, "slope {slope}");
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
    fn a_program_that_grows_to_its_end_is_looked_at_there() {
        // 100 MiB in a second, as many short programs do: whatever is seen before the end is out of date at once.
        let (looks, spent) = looks(|sample| sample * MIB, 100);
        assert!(looks.is_empty(), "{looks:?}, {spent:?}");
        // One that rests there for a second is looked at once.
        let (looks, _) = self::looks(|sample| if sample < 30 { 2 * sample * MIB } else { 60 * MIB }, 130);
        assert_eq!(looks, [60 * MIB]);
    }

    #[test]
    fn what_is_small_or_goes_down_is_not_looked_at() {
        assert!(looks(|_| 3 * MIB, 1000).0.is_empty());
        let (looks, _) = looks(|sample| 100 * MIB - sample * MIB / 50, 4000);
        assert_eq!(looks.len(), 1);
    }
}
