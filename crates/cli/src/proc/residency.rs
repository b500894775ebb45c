//! Which OS pages of a process are in memory: stretches in order of address, from whichever interface the kernel has.

use super::pagemap;

/// OS page of the only architecture there is.
pub(crate) const OS_PAGE: u64 = 4096;

/// Categories of `PAGEMAP_SCAN` (linux/fs.h).
pub(crate) mod category {
    /// In memory.
    pub(crate) const PRESENT: u64 = 1 << 3;
    /// In swap.
    pub(crate) const SWAPPED: u64 = 1 << 4;
    /// The shared page of zeros: read, never written, not counted as resident.
    pub(crate) const ZERO: u64 = 1 << 5;
    /// Part of a huge page.
    pub(crate) const HUGE: u64 = 1 << 6;
}

/// OS pages of one kind, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// See [`category`].
    pub(crate) categories: u64,
}

impl Stretch {
    /// Whether RSS counts it.
    pub(crate) fn is_resident(&self) -> bool {
        self.categories & category::PRESENT != 0 && self.categories & category::ZERO == 0
    }
}

/// The OS pages of a process that have contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Residency {
    stretches: Vec<Stretch>,
}

impl Residency {
    /// Adds a stretch, which must lie behind all earlier ones; one that does not is dropped.
    pub(crate) fn push(&mut self, stretch: Stretch) {
        let end = self.stretches.last().map_or(0, |last| last.end);
        if stretch.start < end || stretch.start >= stretch.end {
            return;
        }
        match self.stretches.last_mut() {
            Some(last) if last.end == stretch.start && last.categories == stretch.categories => last.end = stretch.end,
            _ => self.stretches.push(stretch),
        }
    }

    /// Adds entries of the older interface, for the OS pages from `start` on. It does not tell the page of zeros.
    pub(crate) fn push_entries(&mut self, start: u64, bytes: &[u8]) {
        for (index, entry) in pagemap::entries(bytes).enumerate() {
            let start = start + index as u64 * OS_PAGE;
            let present = if pagemap::is_resident(entry) { category::PRESENT } else { 0 };
            let swapped = if pagemap::is_swapped(entry) { category::SWAPPED } else { 0 };
            if present | swapped != 0 {
                self.push(Stretch { start, end: start + OS_PAGE, categories: present | swapped });
            }
        }
    }

    /// The stretches with contents in a range, cut to it.
    pub(crate) fn within(&self, start: u64, end: u64) -> impl Iterator<Item = Stretch> + '_ {
        let first = self.stretches.partition_point(|stretch| stretch.end <= start);
        self.stretches[first..]
            .iter()
            .take_while(move |stretch| stretch.start < end)
            .map(move |s| Stretch { start: s.start.max(start), end: s.end.min(end), ..*s })
            .filter(|stretch| stretch.start < stretch.end)
    }

    /// Resident bytes of a range.
    pub(crate) fn resident(&self, start: u64, end: u64) -> u64 {
        self.within(start, end).filter(Stretch::is_resident).map(|stretch| stretch.end - stretch.start).sum()
    }

    /// Whether the OS page at an address is resident.
    pub(crate) fn is_resident(&self, address: u64) -> bool {
        self.within(address, address + 1).any(|stretch| stretch.is_resident())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use category::*;

    fn sample() -> Residency {
        let mut all = Residency::default();
        for (start, end, categories) in [
            (0x1000, 0x3000, PRESENT),
            (0x3000, 0x4000, PRESENT | ZERO),
            (0x6000, 0x7000, SWAPPED),
            (0x20_0000, 0x40_0000, PRESENT | HUGE),
        ] {
            all.push(Stretch { start, end, categories });
        }
        all
    }

    #[test]
    fn bytes_of_parts_are_counted() {
        let all = sample();
        assert_eq!(all.resident(0, u64::MAX), 0x2000 + 0x20_0000);
        assert_eq!(all.resident(0x1800, 0x2400), 0xc00);
        assert!(all.is_resident(0x2fff) && !all.is_resident(0x3000) && !all.is_resident(0x6000));
        assert_eq!(all.within(0x2000, 0x6800).count(), 3, "a page in swap has contents");
        assert_eq!(all.resident(0x3000, 0x1000), 0, "an empty range");
    }

    #[test]
    fn both_interfaces_say_the_same() {
        let mut bytes = vec![0u8; 8 * 8];
        for page in [1, 2, 3] {
            bytes[page * 8..page * 8 + 8].copy_from_slice(&(1u64 << 63).to_le_bytes());
        }
        bytes[48..56].copy_from_slice(&(1u64 << 62).to_le_bytes());
        let mut all = Residency::default();
        all.push_entries(0, &bytes);
        assert_eq!(all.stretches.len(), 2);
        assert_eq!(all.resident(0, 0x8000), 0x3000);
    }

    #[test]
    fn disorder_is_dropped() {
        let mut all = sample();
        all.push(Stretch { start: 0x1000, end: 0x9000, categories: PRESENT });
        all.push(Stretch { start: 0x50_0000, end: 0x40_0000, categories: PRESENT });
        assert_eq!(all, sample());
    }
}
