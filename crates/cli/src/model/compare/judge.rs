//! Who wins.
//!
//! The rule. In one figure a cell is *better* than another if its whole interval lies below the other's, and the
//! medians differ by at least 2 % and by at least what the figure resolves ([`Metric::least`]); else there is no
//! difference between them. A cell is *unbeaten* if no other is better in any figure that decides. An unbeaten cell that
//! is better than the first in one of them wins; if the first itself is unbeaten, it stays. Else it is a trade-off between
//! the first and those better than it in something, without those that another *dominates* (better in one figure, worse
//! in none).

use super::interval::Interval;
use super::metric::Metric;

/// Medians that differ by less than this share are no different, however narrow their intervals are.
pub(crate) const LEAST_SHARE: f64 = 0.02;

/// The cells that count and their intervals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contest {
    /// Their places in the comparison; the first is what the others are held against.
    pub(crate) cells: Vec<usize>,
    /// Figures that decide.
    pub(crate) metrics: Vec<Metric>,
    /// For each cell one interval for each figure.
    pub(crate) rows: Vec<Vec<Interval>>,
}

/// The judgement. Numbers are rows of the contest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Fewer than two cells, or no figure that all have.
    Nothing,
    /// Too few runs for intervals that mean something.
    TooFew,
    /// No cell is better than another in any figure.
    NoDifference,
    /// One is better than the first and worse than none; `ties` are as unbeaten.
    Winner { row: usize, ties: Vec<usize> },
    /// The first is worse than none.
    Stays { ties: Vec<usize> },
    /// Each is better in something. `best` has the lowest median for each figure, among `front`.
    TradeOff { front: Vec<usize>, best: Vec<usize> },
}

impl Judgement {
    /// Stable name for JSON.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Judgement::Nothing => "nothing_to_compare",
            Judgement::TooFew => "too_few_runs",
            Judgement::NoDifference => "no_difference",
            Judgement::Winner { .. } => "winner",
            Judgement::Stays { .. } => "stays",
            Judgement::TradeOff { .. } => "trade_off",
        }
    }
}

/// Whether `one` is better than `other` in a figure, as far as that can be told.
pub(crate) fn is_better(metric: Metric, one: &Interval, other: &Interval) -> bool {
    let gain = other.median - one.median;
    one.is_sure()
        && other.is_sure()
        && one.high < other.low
        && gain >= other.median * LEAST_SHARE
        && gain >= metric.least()
}

impl Contest {
    /// How one row stands to another in a figure: less is better.
    pub(crate) fn standing(&self, metric: usize, row: usize, other: usize) -> std::cmp::Ordering {
        let (one, two) = (&self.rows[row][metric], &self.rows[other][metric]);
        let kind = self.metrics[metric];
        match () {
            () if is_better(kind, one, two) => std::cmp::Ordering::Less,
            () if is_better(kind, two, one) => std::cmp::Ordering::Greater,
            () => std::cmp::Ordering::Equal,
        }
    }

    /// Whether there are enough runs for a judgement.
    pub(crate) fn is_sure(&self) -> bool {
        self.rows.iter().flatten().all(Interval::is_sure)
    }

    fn beats(&self, row: usize, other: usize) -> bool {
        (0..self.metrics.len()).any(|metric| self.standing(metric, row, other).is_lt())
    }

    fn dominates(&self, row: usize, other: usize) -> bool {
        self.beats(row, other) && !self.beats(other, row)
    }

    /// Median against the first, 1.0 is the same.
    pub(crate) fn ratio(&self, metric: usize, row: usize) -> f64 {
        let (one, first) = (self.rows[row][metric].median, self.rows[0][metric].median);
        if first > 0.0 { one / first } else { 1.0 }
    }

    /// Product of the ratios: all figures count the same.
    fn product(&self, row: usize) -> f64 {
        (0..self.metrics.len()).map(|metric| self.ratio(metric, row)).product()
    }

    /// See the module.
    pub(crate) fn judge(&self) -> Judgement {
        let rows = 0..self.rows.len();
        if rows.len() < 2 || self.metrics.is_empty() {
            return Judgement::Nothing;
        }
        if !self.is_sure() {
            return Judgement::TooFew;
        }
        let is_unbeaten = |row: usize| !rows.clone().any(|other| self.beats(other, row));
        let unbeaten: Vec<usize> = rows.clone().filter(|&row| is_unbeaten(row)).collect();
        if unbeaten.len() == rows.len() {
            return Judgement::NoDifference;
        }
        if unbeaten.first() == Some(&0) {
            return Judgement::Stays { ties: unbeaten[1..].to_vec() };
        }
        let smaller = |a: &usize, b: &usize| self.product(*a).total_cmp(&self.product(*b));
        let winner = unbeaten.iter().copied().filter(|&row| self.beats(row, 0)).min_by(smaller);
        if let Some(winner) = winner {
            let ties = unbeaten.into_iter().filter(|&row| row != winner).collect();
            return Judgement::Winner { row: winner, ties };
        }
        // A cell that is better than the first in nothing offers nothing, even if its wide interval makes it unbeaten.
        let candidates: Vec<usize> = rows.filter(|&row| row == 0 || self.beats(row, 0)).collect();
        let is_dominated = |row: usize| candidates.iter().any(|&other| self.dominates(other, row));
        let front: Vec<usize> = candidates.iter().copied().filter(|&row| !is_dominated(row)).collect();
        if let [row] = front[..] {
            return Judgement::Winner { row, ties: Vec::new() };
        }
        let least = |metric: usize| {
            let median = |row: &usize| self.rows[*row][metric].median;
            front.iter().copied().min_by(|a, b| median(a).total_cmp(&median(b))).unwrap_or(0)
        };
        let best = (0..self.metrics.len()).map(least).collect();
        Judgement::TradeOff { front, best }
    }

    /// Whether no other row dominates this one.
    pub(crate) fn is_on_front(&self, row: usize) -> bool {
        !(0..self.rows.len()).any(|other| self.dominates(other, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interval around a median, ± a share.
    fn around(median: f64, share: f64) -> Interval {
        Interval { median, low: median * (1.0 - share), high: median * (1.0 + share), coverage: 0.97, runs: 6 }
    }

    /// Rows of (time in seconds, peak in MiB), each ± 1 %.
    fn contest(rows: &[(f64, f64)]) -> Contest {
        let mib = f64::from(1 << 20);
        Contest {
            cells: (0..rows.len()).collect(),
            metrics: vec![Metric::Time, Metric::PeakRss],
            rows: rows.iter().map(|&(time, peak)| vec![around(time, 0.01), around(peak * mib, 0.01)]).collect(),
        }
    }

    fn judge(rows: &[(f64, f64)]) -> Judgement {
        contest(rows).judge()
    }

    #[test]
    fn intervals_that_touch_are_no_difference() {
        assert_eq!(judge(&[(1.0, 100.0), (1.015, 99.0), (1.005, 101.0)]), Judgement::NoDifference);
        // Apart, but by less than 2 %.
        let mut narrow = contest(&[(1.0, 100.0), (1.0, 98.5)]);
        narrow.rows.iter_mut().for_each(|row| row[1] = around(row[1].median, 0.0));
        assert_eq!(narrow.judge(), Judgement::NoDifference);
        // 10 % of nearly nothing.
        assert_eq!(judge(&[(0.001, 1.0), (0.0011, 1.1)]), Judgement::NoDifference);
    }

    #[test]
    fn the_better_one_wins_and_the_first_stays_if_nobody_is() {
        assert_eq!(judge(&[(1.0, 100.0), (1.0, 80.0)]), Judgement::Winner { row: 1, ties: vec![] });
        assert_eq!(judge(&[(1.0, 100.0), (0.8, 80.0), (0.9, 80.0)]), Judgement::Winner { row: 1, ties: vec![] });
        assert_eq!(judge(&[(1.0, 100.0), (0.8, 80.0), (0.8, 80.5)]), Judgement::Winner { row: 1, ties: vec![2] });
        assert_eq!(judge(&[(1.0, 100.0), (1.0, 120.0)]), Judgement::Stays { ties: vec![] });
        assert_eq!(judge(&[(1.0, 100.0), (1.2, 100.0), (1.0, 100.0)]), Judgement::Stays { ties: vec![2] });
    }

    #[test]
    fn faster_and_larger_is_a_trade_off() {
        let rows = [(1.0, 100.0), (0.8, 120.0), (1.1, 70.0), (1.2, 130.0)];
        assert_eq!(judge(&rows), Judgement::TradeOff { front: vec![0, 1, 2], best: vec![1, 2] });
        let contest = contest(&rows);
        assert_eq!([0, 1, 2, 3].map(|row| contest.is_on_front(row)), [true, true, true, false]);
    }

    #[test]
    fn few_runs_and_single_cells_are_not_judged() {
        assert_eq!(judge(&[(1.0, 100.0)]), Judgement::Nothing);
        let mut few = contest(&[(1.0, 100.0), (1.0, 80.0)]);
        few.rows[1][0].runs = 5;
        assert_eq!(few.judge(), Judgement::TooFew);
        few.metrics.clear();
        assert_eq!(few.judge(), Judgement::Nothing);
    }

    #[test]
    fn a_winner_is_better_than_the_first_itself() {
        // Row 2 is faster than the first and larger. Row 1, whose times spread, is smaller than row 2 and no better than
        // the first in anything.
        let mut rows = contest(&[(1.0, 100.0), (0.99, 99.0), (0.9, 103.0)]);
        rows.rows[1][0] = around(0.99, 0.1);
        assert_eq!(rows.judge(), Judgement::TradeOff { front: vec![0, 2], best: vec![2, 0] });
    }
}
