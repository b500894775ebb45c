//! The statistics of a cell: few runs, so order statistics, never means of times.

use serde::Serialize;

/// Median, extremes and number of a few runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Summarises the runs; `None` where there are none.
pub(crate) fn summarise(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (&min, &max) = (sorted.first()?, sorted.last()?);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Some(Summary { median: f64::midpoint(low, high), min, max })
}

impl Summary {
    /// Half the range over the median: the ± of a cell.
    pub(crate) fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.max - self.min) / 2.0 / self.median }
    }

    /// Whether the runs of two cells overlap, so that their difference is not resolved.
    pub(crate) fn overlaps(&self, other: &Summary) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// The geometric mean of positive ratios; `None` where there are none.
pub(crate) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    if ratios.is_empty() {
        return None;
    }
    Some((ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let summary = summarise([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max), (2.5, 1.0, 4.0));
        assert_eq!(summary.spread(), 0.6);
        assert_eq!(summarise([]), None);
    }

    #[test]
    fn overlap_is_symmetric_and_touching_counts() {
        let low = summarise([1.0, 2.0]).unwrap();
        let touching = summarise([2.0, 3.0]).unwrap();
        let apart = summarise([2.1, 3.0]).unwrap();
        assert!(low.overlaps(&touching) && touching.overlaps(&low));
        assert!(!low.overlaps(&apart) && !apart.overlaps(&low));
    }

    #[test]
    fn a_halving_and_a_doubling_cancel() {
        assert!((geometric_mean(&[0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }
}
