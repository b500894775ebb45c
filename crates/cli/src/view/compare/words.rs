//! The judgement in sentences.

use crate::model::compare::judge::{Contest, Judgement};
use crate::model::compare::metric::Metric;
use crate::model::compare::result::Comparison;
use crate::view::style::Style;

/// Names of cells and figures at hand.
pub(super) struct Words<'a> {
    pub(super) comparison: &'a Comparison,
    pub(super) contest: &'a Contest,
    pub(super) style: Style,
}

impl Words<'_> {
    pub(super) fn title(&self, row: usize) -> String {
        self.comparison.cells[self.contest.cells[row]].cell.title()
    }

    fn titles(&self, rows: &[usize]) -> String {
        join(&rows.iter().map(|&row| self.title(row)).collect::<Vec<_>>(), "and")
    }

    fn metrics(&self, last: &str) -> String {
        join(&self.contest.metrics.iter().map(|metric| metric.label().to_owned()).collect::<Vec<_>>(), last)
    }

    /// Change against the first in per cent, with its sign.
    pub(super) fn change(&self, metric: usize, row: usize) -> String {
        let percent = (self.contest.ratio(metric, row) - 1.0) * 100.0;
        let sign = if percent < 0.0 { if self.style.ascii { "-" } else { "−" } } else { "+" };
        let digits = usize::from(percent.abs() < 9.95);
        format!("{sign}{:.*} %", digits, percent.abs())
    }

    /// How a cell stands to the first, figure by figure.
    fn against_first(&self, row: usize) -> String {
        let (mut parts, mut same) = (Vec::new(), Vec::new());
        for (index, metric) in self.contest.metrics.iter().enumerate() {
            let standing = self.contest.standing(index, row, 0);
            if standing.is_eq() {
                same.push(metric.label().to_owned());
            } else {
                parts.push(format!("{} {}", metric.label(), self.change(index, row)));
            }
        }
        if !same.is_empty() {
            parts.push(format!("{} no different", join(&same, "and")));
        }
        parts.join(", ")
    }

    /// The first line of the report.
    pub(super) fn verdict(&self, judgement: &Judgement) -> String {
        let first = || self.title(0);
        match judgement {
            Judgement::Nothing => self.nothing(),
            Judgement::TooFew => {
                let runs = self.contest.rows.iter().flatten().map(|interval| interval.runs).min().unwrap_or(0);
                let runs = if runs == 1 { "1 run of each is".to_owned() } else { format!("{runs} runs of each are") };
                format!("{runs} too few to judge: intervals of 95 % need 6")
            }
            Judgement::NoDifference => {
                let all: Vec<usize> = (0..self.contest.rows.len()).collect();
                format!("no difference in {} between {}", self.metrics("or"), self.titles(&all))
            }
            Judgement::Winner { row, ties } => {
                let tie = if ties.is_empty() {
                    String::new()
                } else {
                    let verb = if ties.len() == 1 { "is" } else { "are" };
                    format!("; {} {verb} as good", self.titles(ties))
                };
                format!("{} wins: {}, against {}{tie}", self.title(*row), self.against_first(*row), first())
            }
            Judgement::Stays { ties } => {
                let worse: Vec<usize> = (1..self.contest.rows.len()).filter(|row| !ties.contains(row)).collect();
                let tie = match ties.as_slice() {
                    [] => String::new(),
                    ties => format!("; no different: {}", self.titles(ties)),
                };
                let metrics = self.metrics("or");
                format!("stay with {}: nothing is better in {metrics}; worse: {}{tie}", first(), self.titles(&worse))
            }
            Judgement::TradeOff { best, .. } => self.trade_off(best),
        }
    }

    fn nothing(&self) -> String {
        let counting = self.contest.cells.len();
        match () {
            () if self.comparison.interrupted && counting < 2 => {
                "interrupted before there was anything to compare".into()
            }
            () if counting == 0 => "nothing to compare: no malloc was in force as wanted".to_owned(),
            () if self.contest.metrics.is_empty() => {
                "nothing to compare: the figures that decide could not be measured for all".to_owned()
            }
            () => format!("nothing to compare: {} alone was measured", self.title(0)),
        }
    }

    fn trade_off(&self, best: &[usize]) -> String {
        let mut named: Vec<(usize, Vec<Metric>)> = Vec::new();
        for (index, &row) in best.iter().enumerate() {
            let metric = self.contest.metrics[index];
            match named.iter_mut().find(|(known, _)| *known == row) {
                Some((_, metrics)) => metrics.push(metric),
                None => named.push((row, vec![metric])),
            }
        }
        let part = |(row, metrics): &(usize, Vec<Metric>)| {
            let words: Vec<String> = metrics.iter().map(|metric| metric.superlative().to_owned()).collect();
            let stands = if *row == 0 { String::new() } else { format!(" ({})", self.against_first(*row)) };
            format!("{} is the {}{stands}", self.title(*row), join(&words, "and"))
        };
        let parts: Vec<String> = named.iter().map(part).collect();
        format!("a trade-off, against {}: {}", self.title(0), parts.join("; "))
    }

    /// The rows that the judgement recommends, none if things may stay as they are.
    pub(super) fn recommended(&self, judgement: &Judgement) -> Vec<usize> {
        match judgement {
            Judgement::Winner { row, .. } => vec![*row],
            Judgement::TradeOff { best, .. } => {
                let mut rows: Vec<usize> = best.iter().copied().filter(|&row| row != 0).collect();
                rows.sort_unstable();
                rows.dedup();
                rows
            }
            _ => Vec::new(),
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn join(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., end] => format!("{} {last} {end}", all.join(", ")),
    }
}
