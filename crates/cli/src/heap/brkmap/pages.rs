//! One page, run or direct mapping: from state bytes and residency to bytes per reason. Pure.

/// Resident bytes of a piece of the heap by reason; they sum to the resident bytes of the piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) live: u64,
    /// Part of `live` that the program did not ask for, where it is known exactly.
    pub(super) rounding: u64,
    pub(super) caches: u64,
    pub(super) pinned: u64,
    pub(super) returnable: u64,
    pub(super) live_blocks: u64,
    /// Resident OS pages with live and free bytes, and the live blocks that touch one.
    pub(super) pinned_os_pages: u64,
    pub(super) pinning_blocks: u64,
}

/// Shares out a page of equal blocks. `is_live` has one entry per block, `resident` one per OS page; `cached`
/// counts the free blocks that a thread takes next.
pub(super) fn share_blocks(is_live: &[bool], size: u64, cached: u64, resident: &[bool], os_page: u64) -> Shares {
    let mut live_bytes = vec![0u64; resident.len()];
    let mut live_blocks = 0;
    for (index, _) in is_live.iter().enumerate().filter(|(_, is_live)| **is_live) {
        live_blocks += 1;
        let (mut at, end) = (index as u64 * size, (index as u64 + 1) * size);
        while at < end {
            let page = at / os_page;
            let stop = end.min((page + 1) * os_page);
            if let Some(sum) = live_bytes.get_mut(page as usize) {
                *sum += stop - at;
            }
            at = stop;
        }
    }
    let is_pinned = |page: u64| {
        let live = live_bytes.get(page as usize).copied().unwrap_or(0);
        resident.get(page as usize) == Some(&true) && live > 0 && live < os_page
    };
    let pins = |index: u64| (index * size / os_page..=((index + 1) * size - 1) / os_page).any(is_pinned);
    let mut shares = Shares {
        live_blocks,
        pinned_os_pages: (0..resident.len() as u64).filter(|page| is_pinned(*page)).count() as u64,
        pinning_blocks: (0u64..).zip(is_live).filter(|(index, is_live)| **is_live && pins(*index)).count() as u64,
        ..Shares::default()
    };
    for (&live, _) in live_bytes.iter().zip(resident).filter(|(_, resident)| **resident) {
        let live = live.min(os_page);
        shares.live += live;
        let free = if live > 0 { &mut shares.pinned } else { &mut shares.returnable };
        *free += os_page - live;
    }
    // A thread's list may hold blocks whose OS pages are gone; only resident bytes can be shared out.
    let cached = cached.saturating_mul(size);
    for free in [&mut shares.pinned, &mut shares.returnable] {
        let taken = (cached - shares.caches).min(*free);
        *free -= taken;
        shares.caches += taken;
    }
    shares
}

/// Shares out a piece that is one block of `requested` bytes.
pub(super) fn share_one(requested: u64, resident: &[bool], os_page: u64) -> Shares {
    let mut shares = Shares { live_blocks: 1, ..Shares::default() };
    for (index, _) in resident.iter().enumerate().filter(|(_, resident)| **resident) {
        let wanted = requested.saturating_sub(index as u64 * os_page).min(os_page);
        shares.live += os_page;
        shares.rounding += os_page - wanted;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn sum(shares: &Shares) -> u64 {
        shares.live + shares.caches + shares.pinned + shares.returnable
    }

    #[test]
    fn blocks_across_os_pages_count_where_they_lie() {
        // Three blocks of 3000 bytes; the middle one is live and lies on two OS pages.
        let shares = share_blocks(&[false, true, false], 3000, 0, &[true, true, true], PAGE);
        assert_eq!((shares.live, shares.pinned, shares.returnable), (3000, 2 * PAGE - 3000, PAGE));
        let first_only = share_blocks(&[false, true, false], 3000, 0, &[true, false, true], PAGE);
        assert_eq!((first_only.live, first_only.pinned, first_only.returnable), (1096, 3000, PAGE));
        assert_eq!(first_only.live_blocks, 1);
        assert_eq!((shares.pinned_os_pages, shares.pinning_blocks), (2, 1));
        assert_eq!((first_only.pinned_os_pages, first_only.pinning_blocks), (1, 1));
    }

    #[test]
    fn a_block_pins_only_what_is_not_all_live() {
        // Eight blocks on two OS pages: the first is full, the second holds one.
        let is_live = [true, true, true, true, false, true, false, false];
        let shares = share_blocks(&is_live, 1024, 0, &[true, true], PAGE);
        assert_eq!((shares.pinned_os_pages, shares.pinning_blocks, shares.pinned), (1, 1, 3072));
        let gone = share_blocks(&is_live, 1024, 0, &[true, false], PAGE);
        assert_eq!((gone.pinned_os_pages, gone.pinning_blocks, gone.pinned), (0, 0, 0));
        // A block across a full and a sparse OS page pins the sparse one.
        let across = share_blocks(&[true, true, false], 3000, 0, &[true, true, true], PAGE);
        assert_eq!((across.pinned_os_pages, across.pinning_blocks), (1, 1));
    }

    #[test]
    fn cached_blocks_come_from_free_bytes_only() {
        let shares = share_blocks(&[true, false, false, false], 1024, 2, &[true, true], PAGE);
        assert_eq!((shares.live, shares.caches, shares.pinned, shares.returnable), (1024, 2048, 1024, PAGE));
        let more = share_blocks(&[true], 1024, 100, &[true, true], PAGE);
        assert_eq!((more.caches, more.pinned, more.returnable), (2 * PAGE - 1024, 0, 0));
        let huge = share_blocks(&[true], 1024, u64::MAX, &[true], PAGE);
        assert_eq!(sum(&huge), PAGE);
    }

    #[test]
    fn shares_sum_to_the_resident_bytes() {
        for seed in 0u64..500 {
            let bit = |index: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32 * 7) & 1 == 1;
            let size = 16 + seed * 13 % 9000;
            let live: Vec<bool> = (0..65536 / size).map(bit).collect();
            let resident: Vec<bool> = (0..16).map(|page| bit(page + 3)).collect();
            let shares = share_blocks(&live, size, seed % 90, &resident, PAGE);
            let whole = resident.iter().filter(|resident| **resident).count() as u64 * PAGE;
            assert_eq!(sum(&shares), whole, "seed {seed}");
        }
    }

    #[test]
    fn a_single_block_knows_its_rounding() {
        let shares = share_one(PAGE + 100, &[true, true, true, false], PAGE);
        assert_eq!((shares.live, shares.rounding), (3 * PAGE, 2 * PAGE - 100));
        assert_eq!(share_one(u64::MAX, &[true], PAGE).rounding, 0);
        assert_eq!(share_one(5, &[], PAGE), Shares { live_blocks: 1, ..Shares::default() });
    }
}
