//! The resident size of a process over time, as `giveback` prints it.

use serde::{Deserialize, Serialize};

/// The moments after the frees that have a line in the table, in seconds, with their names.
pub(crate) const MOMENTS: [(f64, &str); 4] =
    [(0.0, "after the frees"), (0.25, "250 ms idle"), (0.5, "500 ms idle"), (1.0, "1 s idle")];

/// One look at the resident size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Seconds after the frees; the state before them has a negative time.
    pub seconds: f64,
    /// MiB over the start of the program.
    pub mib: f64,
}

/// What a run printed of its resident size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// In the order of time.
    pub points: Vec<Point>,
    /// MiB over the start after `malloc_trim(0)`, which follows the last point.
    pub trimmed_mib: f64,
}

impl Curve {
    /// Reads the lines `rss SECONDS MIB` and `trimmed MIB`; `None` where the program printed no such lines.
    pub(crate) fn parse(output: &str) -> Option<Curve> {
        let trimmed_mib = output.lines().find_map(|line| line.strip_prefix("trimmed ")?.parse().ok())?;
        let point = |line: &str| {
            let (seconds, mib) = line.strip_prefix("rss ")?.split_once(' ')?;
            Some(Point { seconds: seconds.parse().ok()?, mib: mib.parse().ok()? })
        };
        let points: Vec<Point> = output.lines().filter_map(point).collect();
        (!points.is_empty()).then_some(Curve { points, trimmed_mib })
    }

    /// The size before the frees.
    pub(crate) fn full(&self) -> f64 {
        self.points.first().map_or(0.0, |point| point.mib)
    }

    /// The size at a moment: the look nearest to it, among those after the frees.
    pub(crate) fn at(&self, seconds: f64) -> f64 {
        let distance = |point: &&Point| (point.seconds - seconds).abs();
        let after = self.points.iter().filter(|point| point.seconds >= 0.0);
        after.min_by(|a, b| distance(a).total_cmp(&distance(b))).map_or(0.0, |point| point.mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_before_the_frees_is_never_the_moment_after() {
        let curve = Curve::parse("rss -0.001 90\nrss 0.002 80.5\nrss 1.010 3\ntrimmed 2.5\nvalue 3\n").unwrap();
        assert_eq!((curve.full(), curve.at(0.0), curve.at(1.0), curve.trimmed_mib), (90.0, 80.5, 3.0, 2.5));
    }

    #[test]
    fn other_programs_have_no_curve() {
        assert_eq!(Curve::parse("value 3.5\nmalloc /lib/libc.so.6\n"), None);
    }
}
