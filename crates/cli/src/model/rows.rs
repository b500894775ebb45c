//! Bytes by reason: what both waterfalls (of `brkmap run`'s own books, and of full looks) have in common.
//!
//! Invariant `[sum]`: once settled, the rows sum to RSS, exactly.

/// Bytes of `N` reasons, which are numbered in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows<const N: usize>([u64; N]);

impl<const N: usize> Default for Rows<N> {
    fn default() -> Self {
        Rows([0; N])
    }
}

impl<const N: usize> Rows<N> {
    /// Bytes of one row.
    pub(crate) fn get(&self, row: usize) -> u64 {
        self.0[row]
    }

    /// All rows together.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds to a row.
    pub(crate) fn add(&mut self, row: usize, bytes: u64) {
        self.0[row] += bytes;
    }

    /// Makes the rows sum to `rss`. What is too much comes off the rows in `order`: a running process shrinks between two
    /// readings, and the page table knows OS pages that RSS does not count (the shared page of zeros). What is missing goes
    /// to the row `rest`: a walk that broke off looked at bytes that it gave to no row.
    pub(crate) fn settle(&mut self, rss: u64, order: impl IntoIterator<Item = usize>, rest: usize) {
        let sum = self.sum();
        let mut surplus = sum.saturating_sub(rss);
        for row in order {
            let taken = surplus.min(self.0[row]);
            self.0[row] -= taken;
            surplus -= taken;
        }
        self.0[rest] += rss.saturating_sub(sum);
    }
}

/// Checks that the reasons are numbered in order and that no two have the same key.
#[cfg(test)]
pub(crate) fn check_order_and_keys(rows: impl Iterator<Item = (usize, &'static str)>) {
    let mut keys = std::collections::BTreeSet::new();
    for (index, (number, key)) in rows.enumerate() {
        assert_eq!(number, index, "{key}");
        assert!(keys.insert(key), "{key} twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: [u64; 3]) -> Rows<3> {
        Rows(bytes)
    }

    #[test]
    fn rows_sum_to_rss_whatever_they_claim() {
        let settled = |bytes, rss| {
            let mut rows = rows(bytes);
            rows.settle(rss, [1, 0, 2], 2);
            assert_eq!(rows.sum(), rss);
            rows.0
        };
        assert_eq!(settled([10, 10, 5], 25), [10, 10, 5]);
        assert_eq!(settled([10, 10, 5], 13), [8, 0, 5], "in the order that is given");
        assert_eq!(settled([10, 10, 5], 0), [0, 0, 0]);
        assert_eq!(settled([10, 10, 5], 100), [10, 10, 80], "what is missing has no explanation");
    }
}
