//! A median and how sure it is.
//!
//! The interval is one of order statistics: from the k-th smallest run to the k-th largest. It holds the true median
//! with a probability that depends on the number of runs alone, 1 - 2 P(B(n, 1/2) < k), whatever the distribution of
//! the times, and needs no random numbers. k is the largest for which that is at least 95 %. Below six runs even the
//! extremes do not reach it; the coverage says so. (See any text on nonparametric statistics, e.g. David and Nagaraja,
//! "Order Statistics", 7.1.)

/// Probability that an interval is to hold.
const WANTED: f64 = 0.95;

/// Fewest runs whose interval is as sure as wanted.
pub(crate) const LEAST_RUNS: usize = 6;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Probability that the true median lies within.
    pub(crate) coverage: f64,
    pub(crate) runs: usize,
}

impl Interval {
    /// Of the values of all runs; `None` if there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Interval> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let runs = sorted.len();
        let middle = runs.checked_sub(1)?;
        let median = f64::midpoint(sorted[middle / 2], sorted[runs / 2]);
        let (rank, coverage) = rank(runs);
        Some(Interval { median, low: sorted[rank - 1], high: sorted[runs - rank], coverage, runs })
    }

    /// Whether it is as sure as wanted.
    pub(crate) fn is_sure(&self) -> bool {
        self.runs >= LEAST_RUNS
    }

    /// The larger distance from the median to an end, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        let distance = (self.median - self.low).max(self.high - self.median);
        if self.median > 0.0 { distance / self.median } else { 0.0 }
    }
}

/// The rank k and the coverage for a number of runs.
fn rank(runs: usize) -> (usize, f64) {
    // Terms of the binomial distribution, from the logarithm of n! downwards, so that a thousand runs do not underflow.
    let log_factorial: Vec<f64> = std::iter::once(0.0)
        .chain((1..=runs).scan(0.0, |sum, i| {
            *sum += (i as f64).ln();
            Some(*sum)
        }))
        .collect();
    let term = |i: usize| {
        let ways = log_factorial[runs] - log_factorial[i] - log_factorial[runs - i];
        (ways - runs as f64 * std::f64::consts::LN_2).exp()
    };
    let mut best = (1, 1.0 - 2.0 * term(0));
    let mut below = term(0);
    for rank in 2..=runs.div_ceil(2) {
        below += term(rank - 1);
        let coverage = 1.0 - 2.0 * below;
        if coverage < WANTED {
            break;
        }
        best = (rank, coverage);
    }
    (best.0, best.1.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Tables of the sign test give these: n, k, coverage.
        let table = [(6, 1, 0.9688), (8, 1, 0.9922), (9, 2, 0.9609), (10, 2, 0.9785), (15, 4, 0.9648), (20, 6, 0.9586)];
        for (runs, expected, coverage) in table {
            let (got, probability) = rank(runs);
            assert_eq!(got, expected, "{runs}");
            assert!((probability - coverage).abs() < 0.0001, "{runs}: {probability}");
        }
        assert!((rank(5).1 - 0.9375).abs() < 1e-9, "five runs are not enough");
        assert_eq!(rank(1), (1, 0.0));
        let (rank, coverage) = rank(2000);
        assert!(coverage >= 0.95 && (940..1000).contains(&rank), "{rank} {coverage}");
    }

    #[test]
    fn the_ends_are_runs_and_the_median_lies_between() {
        let interval = Interval::of(&[9.0, 1.0, 3.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 100.0]).unwrap();
        assert_eq!((interval.median, interval.low, interval.high), (5.5, 2.0, 9.0));
        assert!(interval.is_sure() && (interval.spread() - 3.5 / 5.5).abs() < 1e-9);
        assert_eq!(Interval::of(&[]), None);
        let one = Interval::of(&[2.0]).unwrap();
        assert_eq!((one.median, one.low, one.high), (2.0, 2.0, 2.0));
        assert!(!one.is_sure());
    }

    #[test]
    fn the_interval_holds_the_true_median_as_often_as_it_says() {
        // Exponential times: skewed as run times are. Their true median is ln 2.
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            -(((state >> 11) as f64 + 1.0) / (1u64 << 53) as f64).ln()
        };
        for runs in [6, 10, 25] {
            let tries = 4000;
            let held = (0..tries).filter(|_| {
                let values: Vec<f64> = (0..runs).map(|_| next()).collect();
                let interval = Interval::of(&values).unwrap();
                (interval.low..=interval.high).contains(&std::f64::consts::LN_2)
            });
            let share = held.count() as f64 / f64::from(tries);
            assert!((share - rank(runs).1).abs() < 0.015, "{runs} runs: {share}");
        }
    }
}
