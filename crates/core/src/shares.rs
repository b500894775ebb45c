//! What the bytes of a piece of the heap are for. Pure: state bytes and residency in, bytes out.
//!
//! The command reads the same from outside (`crates/cli/src/heap/brkmap/pages.rs`); both share a page out alike:
//!
//! ```text
//!   OS page that is in memory    its live bytes are `live`; the others are `pinned`, if it has live bytes, else `returnable`
//!   blocks in threads' lists     are taken out of `pinned` first, then out of `returnable`: `cached`
//! ```

/// Bytes of a piece by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// OS pages with live bytes, in memory or not.
    pub(crate) active: usize,
    /// In memory: live bytes.
    pub(crate) live: usize,
    /// In memory: free blocks that threads keep.
    pub(crate) cached: usize,
    /// In memory: other free bytes on OS pages with live bytes.
    pub(crate) pinned: usize,
    /// In memory: other free bytes.
    pub(crate) returnable: usize,
}

/// A page of equal blocks.
pub(crate) struct Blocks {
    /// Blocks that fit.
    pub(crate) count: usize,
    /// Bytes of one.
    pub(crate) size: usize,
    /// Bytes of the page, whole OS pages.
    pub(crate) bytes: usize,
    /// Bytes of an OS page, a power of two.
    pub(crate) os_page: usize,
}

impl Blocks {
    /// Shares the page out. `is_live` by block, `is_resident` by OS page; `cached` bytes are in threads' lists.
    pub(crate) fn share(
        &self,
        is_live: impl Fn(usize) -> bool,
        is_resident: impl Fn(usize) -> bool,
        cached: usize,
    ) -> Shares {
        let mut shares = Shares::default();
        // The OS page at hand, where it ends, and its live bytes: blocks come in address order, so it only moves up. No
        // division: a page may have thousands of blocks.
        let (mut at, mut page_end, mut live) = (0, self.os_page, 0);
        let close = |page: usize, live: usize, shares: &mut Shares| {
            if live > 0 {
                shares.active += self.os_page;
            }
            if is_resident(page) {
                shares.live += live;
                let free = if live > 0 { &mut shares.pinned } else { &mut shares.returnable };
                *free += self.os_page - live;
            }
        };
        let mut end = 0;
        for block in 0..self.count {
            let mut from = end;
            end += self.size;
            if !is_live(block) {
                continue;
            }
            while end > page_end {
                // The part of the block that lies here, if any does.
                live += page_end.saturating_sub(from);
                from = from.max(page_end);
                close(at, live, &mut shares);
                (at, page_end, live) = (at + 1, page_end + self.os_page, 0);
            }
            live += end - from;
        }
        for page in at..self.bytes / self.os_page {
            close(page, live, &mut shares);
            live = 0;
        }
        shares.keep(cached);
        shares
    }
}

impl Shares {
    /// Names `bytes` of what is free and in memory as cached.
    fn keep(&mut self, bytes: usize) {
        for free in [&mut self.pinned, &mut self.returnable] {
            let taken = (bytes - self.cached).min(*free);
            *free -= taken;
            self.cached += taken;
        }
    }

    /// Adds another piece.
    pub(crate) fn add(&mut self, other: Shares) {
        self.active += other.active;
        self.live += other.live;
        self.cached += other.cached;
        self.pinned += other.pinned;
        self.returnable += other.returnable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OS_PAGE: usize = 4096;

    fn share(is_live: &[bool], size: usize, resident: &[bool], cached: usize) -> Shares {
        let blocks = Blocks { count: is_live.len(), size, bytes: resident.len() * OS_PAGE, os_page: OS_PAGE };
        blocks.share(|block| is_live[block], |page| resident[page], cached)
    }

    #[test]
    fn blocks_across_os_pages_count_where_they_lie() {
        let shares = share(&[false, true, false], 3000, &[true; 3], 0);
        assert_eq!((shares.live, shares.pinned, shares.returnable), (3000, 2 * OS_PAGE - 3000, OS_PAGE));
        assert_eq!(shares.active, 2 * OS_PAGE);
        let first_only = share(&[false, true, false], 3000, &[true, false, true], 0);
        assert_eq!((first_only.live, first_only.pinned, first_only.returnable), (1096, 3000, OS_PAGE));
        assert_eq!(first_only.active, 2 * OS_PAGE, "in memory or not");
    }

    #[test]
    fn cached_blocks_come_from_free_bytes_only() {
        let live = [true, false, false, false];
        let shares = share(&live, 1024, &[true, true], 2048);
        assert_eq!((shares.live, shares.cached, shares.pinned, shares.returnable), (1024, 2048, 1024, OS_PAGE));
        let more = share(&live, 1024, &[true, true], usize::MAX);
        assert_eq!((more.cached, more.pinned, more.returnable), (2 * OS_PAGE - 1024, 0, 0));
        assert_eq!(share(&live, 1024, &[false, false], 2048).cached, 0);
    }

    #[test]
    fn shares_sum_to_the_resident_bytes() {
        for seed in 0u64..500 {
            let bit = |index: usize| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32 * 7) & 1 == 1;
            let size = 16 + seed as usize * 13 % 9000;
            let live: Vec<bool> = (0..65536 / size).map(bit).collect();
            let resident: Vec<bool> = (0..16).map(|page| bit(page + 3)).collect();
            let shares = share(&live, size, &resident, seed as usize * 100);
            let whole = resident.iter().filter(|resident| **resident).count() * OS_PAGE;
            assert_eq!(shares.live + shares.cached + shares.pinned + shares.returnable, whole, "seed {seed}");
            assert!(shares.active >= live.iter().filter(|live| **live).count() * size, "seed {seed}");
        }
    }
}
