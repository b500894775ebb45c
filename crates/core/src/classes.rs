//! Size classes: which block size serves a request. Pure arithmetic, built at compile time.
//!
//! 16-byte steps to 128, then eight classes per doubling to 8 KiB (small: pages of one slice), four per doubling to
//! 64 KiB (medium: pages of eight slices). Eight more in 8-byte steps serve Rust layouts with an alignment of at most 8.
//! Every class that is a multiple of an alignment keeps it for all its blocks, because pages start at 64 KiB boundaries:
//! so an aligned request is only another choice of class, never a block with a hidden start.

use crate::geometry::SLICE;

/// Number of classes.
pub const CLASSES: usize = 76;
/// First medium class.
pub const FIRST_MEDIUM: usize = 56;
/// First of the 8-byte-step classes.
pub const FIRST_FINE: usize = 68;
/// Largest request whose page a heap names by its size in sixteenths, without asking for its class.
pub(crate) const DIRECT_MAX: usize = 1 << 10;
/// Largest small block.
pub const SMALL_MAX: usize = 8 << 10;
/// Largest block that shares a page with others.
pub const MEDIUM_MAX: usize = 64 << 10;
/// Slices of a page of a medium class.
pub const MEDIUM_SLICES: usize = 8;

/// Block size per class, in bytes.
pub static SIZES: [u32; CLASSES] = build_sizes();
/// `ceil(2^32 / size)`: `offset * MAGIC >> 32 = offset / size`, exact for offsets below 2^16, and for all multiples of
/// the size below 2^19.
pub static MAGIC: [u32; CLASSES] = build_magic();
/// Blocks that fit into a page of the class.
pub static CAPACITY: [u16; CLASSES] = build_capacity();
/// Class by `(bytes + 15) / 16`, to [`SMALL_MAX`].
///
/// A constant, not a static: a request whose size the compiler knows folds to a number, in any crate.
const SMALL: &[u8; SMALL_MAX / 16 + 1] = &build_small();
/// Class by `(bytes + 2047) / 2048`, above [`SMALL_MAX`] to [`MEDIUM_MAX`].
static MEDIUM: [u8; MEDIUM_MAX / 2048 + 1] = build_medium();

/// The sizes as a constant, for other constants.
pub(crate) const SIZES_CONST: [u32; CLASSES] = build_sizes();

const fn build_sizes() -> [u32; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    while class < 8 {
        sizes[class] = 16 * (class as u32 + 1);
        class += 1;
    }
    let mut base = 128;
    while base < SMALL_MAX as u32 {
        let mut step = 1;
        while step <= 8 {
            sizes[class] = base + step * (base / 8);
            class += 1;
            step += 1;
        }
        base *= 2;
    }
    assert!(class == FIRST_MEDIUM);
    while base < MEDIUM_MAX as u32 {
        let mut step = 1;
        while step <= 4 {
            sizes[class] = base + step * (base / 4);
            class += 1;
            step += 1;
        }
        base *= 2;
    }
    assert!(class == FIRST_FINE);
    while class < CLASSES {
        sizes[class] = 8 + 16 * (class - FIRST_FINE) as u32;
        class += 1;
    }
    sizes
}

const fn build_magic() -> [u32; CLASSES] {
    let sizes = build_sizes();
    let mut magic = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        magic[class] = (1u64 << 32).div_ceil(sizes[class] as u64) as u32;
        class += 1;
    }
    magic
}

const fn build_capacity() -> [u16; CLASSES] {
    let sizes = build_sizes();
    let mut capacity = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        capacity[class] = (slices(class) * SLICE / sizes[class] as usize) as u16;
        class += 1;
    }
    capacity
}

const fn build_small() -> [u8; SMALL_MAX / 16 + 1] {
    let sizes = build_sizes();
    let mut table = [0; SMALL_MAX / 16 + 1];
    let mut sixteenths = 1;
    let mut class = 0;
    while sixteenths < table.len() {
        while (sizes[class] as usize) < sixteenths * 16 {
            class += 1;
        }
        table[sixteenths] = class as u8;
        sixteenths += 1;
    }
    table
}

const fn build_medium() -> [u8; MEDIUM_MAX / 2048 + 1] {
    let sizes = build_sizes();
    let mut table = [0; MEDIUM_MAX / 2048 + 1];
    let mut step = SMALL_MAX / 2048 + 1;
    let mut class = FIRST_MEDIUM;
    while step < table.len() {
        while (sizes[class] as usize) < step * 2048 {
            class += 1;
        }
        table[step] = class as u8;
        step += 1;
    }
    table
}

/// Slices of a page of this class.
#[inline]
pub const fn slices(class: usize) -> usize {
    if class >= FIRST_MEDIUM && class < FIRST_FINE { MEDIUM_SLICES } else { 1 }
}

/// Does a block of a small class start at an offset (below 2^16), and which? `magic` is [`MAGIC`] of the class, `product` the
/// offset times the magic, whose low half is below the magic exactly if the division leaves no remainder (Lemire, Kaser,
/// Kurz 2019), for offsets and sizes below 2^16.
#[inline(always)]
pub(crate) const fn quotient(product: u64, magic: u32) -> Option<usize> {
    if (product as u32) < magic { Some((product >> 32) as usize) } else { None }
}

/// Class of a small request; `bytes <= SMALL_MAX`.
#[inline(always)]
pub const fn of_small(bytes: usize) -> usize {
    SMALL[(bytes + 15) >> 4] as usize
}

/// The entries of a heap's table by sixteenths that a class serves; none above [`DIRECT_MAX`], and none of the classes of
/// Rust layouts.
pub(crate) fn sixteenths(class: usize) -> core::ops::Range<usize> {
    let size = SIZES[class] as usize;
    if class >= FIRST_MEDIUM || size > DIRECT_MAX {
        return 0..0;
    }
    let first = if class == 0 { 0 } else { SIZES[class - 1] as usize / 16 + 1 };
    first..size / 16 + 1
}

/// Class of a medium request; `SMALL_MAX < bytes <= MEDIUM_MAX`.
#[inline]
pub fn of_medium(bytes: usize) -> usize {
    MEDIUM[(bytes + 2047) >> 11] as usize
}

/// Class of any request up to [`MEDIUM_MAX`] bytes.
#[inline]
pub fn of(bytes: usize) -> usize {
    if bytes <= SMALL_MAX { of_small(bytes) } else { of_medium(bytes) }
}

/// Class of a Rust layout whose alignment is at most 8: `bytes <= SMALL_MAX`.
#[inline(always)]
pub const fn of_fine(bytes: usize) -> usize {
    // 1..=8 mod 16, up to 120, has a class 8 bytes tighter than the next multiple of 16.
    if bytes.wrapping_sub(1) & 8 == 0 && bytes.wrapping_sub(1) < 120 {
        FIRST_FINE + (bytes >> 4)
    } else {
        of_small(bytes)
    }
}

/// The offset of the last byte of a request, rounded up to its alignment, a power of two: blocks of the class of one byte more are
/// all aligned. For the sizes of classes between two powers of two are all multiples of some step, so an alignment below the
/// step comes by itself, and the multiples of any other are sizes of classes. No bytes: above all classes.
#[inline(always)]
pub(crate) const fn aligned_last(bytes: usize, align: usize) -> usize {
    bytes.wrapping_sub(1) | align.wrapping_sub(1)
}

/// Class whose blocks hold `bytes` and are all aligned to `align` (a power of two up to 64 KiB). `None`: no class does,
/// take a run. `bytes <= MEDIUM_MAX`.
#[inline]
pub fn of_aligned(bytes: usize, align: usize) -> Option<usize> {
    let last = aligned_last(bytes.max(1), align);
    (last < MEDIUM_MAX).then(|| of(last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_gets_the_tightest_class() {
        for bytes in 1..=MEDIUM_MAX {
            let class = of(bytes);
            assert!(SIZES[class] as usize >= bytes);
            assert!(class == 0 || (SIZES[class - 1] as usize) < bytes, "{bytes} fits class {} too", class - 1);
        }
        assert_eq!(of(0), 0);
    }

    #[test]
    fn the_sixteenths_of_the_classes_share_out_the_table() {
        let mut next = 0;
        for class in 0..CLASSES {
            for index in sixteenths(class) {
                assert_eq!((index, class), (next, of(index * 16)));
                next += 1;
            }
        }
        assert_eq!(next, DIRECT_MAX / 16 + 1);
    }

    #[test]
    fn fine_classes_are_eight_byte_steps() {
        for bytes in 1..=SMALL_MAX {
            let size = SIZES[of_fine(bytes)] as usize;
            assert!(size >= bytes, "{bytes} in {size}");
            if bytes <= 128 {
                assert_eq!(size, bytes.next_multiple_of(8), "{bytes}");
            }
        }
    }

    #[test]
    fn the_magic_divides_exactly() {
        for class in 0..CLASSES {
            let (size, magic) = (SIZES[class] as u64, MAGIC[class] as u64);
            for offset in 0..(SLICE as u64) {
                assert_eq!((offset * magic) >> 32, offset / size);
                let exact = quotient(offset * magic, magic as u32);
                assert_eq!(exact, (offset % size == 0).then_some((offset / size) as usize), "{offset}, {size}");
            }
            for block in 0..CAPACITY[class] as u64 {
                assert_eq!((block * size * magic) >> 32, block);
            }
        }
    }

    #[test]
    fn aligned_classes_keep_the_alignment() {
        for shift in 0..=16 {
            let align = 1 << shift;
            for bytes in (0..=MEDIUM_MAX).step_by(37) {
                if let Some(class) = of_aligned(bytes, align) {
                    assert!(SIZES[class] as usize >= bytes && (SIZES[class] as usize).is_multiple_of(align));
                }
            }
        }
    }
}
