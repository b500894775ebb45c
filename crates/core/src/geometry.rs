//! The shape of the address space: slices, leaves, and what follows from them.

/// log2 of [`SLICE`].
pub const SLICE_SHIFT: u32 = 16;
/// The granule of lookup: every page starts at a multiple of it.
pub const SLICE: usize = 1 << SLICE_SHIFT;
/// log2 of the bytes that one leaf of the page map covers.
pub const LEAF_SHIFT: u32 = 28;
/// Slices of a leaf.
pub const LEAF_SLICES: usize = 1 << (LEAF_SHIFT - SLICE_SHIFT);
/// Bits of a user address on the supported machines.
pub const ADDRESS_BITS: u32 = 47;
/// Entries of the page map's root: user addresses have 47 bits.
pub const ROOT_ENTRIES: usize = 1 << (ADDRESS_BITS - LEAF_SHIFT);
/// Longest run of slices that is one block; longer blocks always are mappings. A run never crosses a leaf.
pub const RUN_SLICES_MAX: usize = 1024;
/// Largest request that any entry point serves.
pub const REQUEST_MAX: usize = isize::MAX as usize;

const _: () = assert!(RUN_SLICES_MAX <= LEAF_SLICES);
const _: () = assert!(LEAF_SLICES.is_multiple_of(64));

/// Most that the block of a run is shifted, in bytes.
pub const SHIFT_MAX: usize = 15 * 64;

/// How far behind its first byte the block of a run starts, by its first slice: 1 to 15 cache lines. Large blocks that all
/// start at an OS page share one set of the first-level cache with each other, and with everything else that starts at one,
/// line for line; and loops over two of them stall at stores that only seem to overlap (4 KiB aliasing).
pub const fn shift_of(slice: u32) -> usize {
    (1 + (slice.wrapping_mul(0x9E37_79B1) >> 28) as usize % 15) * 64
}

/// Number of the slice that holds an address.
#[inline(always)]
pub const fn slice_of(address: usize) -> u32 {
    (address >> SLICE_SHIFT) as u32
}

/// Address of a slice's first byte.
#[inline(always)]
pub const fn slice_address(slice: u32) -> usize {
    (slice as usize) << SLICE_SHIFT
}

/// The next multiple of a power of two; `None` if it does not exist.
#[inline]
pub const fn round_up(value: usize, to: usize) -> Option<usize> {
    match value.checked_add(to - 1) {
        Some(sum) => Some(sum & !(to - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_lines_and_differ() {
        let mut seen = [false; SHIFT_MAX / 64 + 1];
        for slice in 0..10_000 {
            let shift = shift_of(slice);
            assert!((64..=SHIFT_MAX).contains(&shift) && shift.is_multiple_of(64));
            seen[shift / 64] = true;
        }
        assert!(seen[1..].iter().all(|seen| *seen));
    }
}
