//! Copies that are short more often than not.

use core::ptr::copy_nonoverlapping;

/// Longer copies are `memcpy`'s, for which a call is no longer much.
const SHORT: usize = 64;

/// [`copy_nonoverlapping`] of bytes without a call where they are few: names, keys, pieces of text. Two pieces from both
/// ends, which may overlap, serve all lengths from one piece to two.
///
/// # Safety
///
/// As for [`copy_nonoverlapping`].
#[inline(always)]
pub(super) unsafe fn copy_short(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: [bump-room] every piece lies inside the first `bytes` of both, of which the caller says that they are there.
    unsafe {
        match bytes {
            0 => {}
            1..4 => {
                copy_nonoverlapping(from, to, 1);
                copy_nonoverlapping(from.add(bytes / 2), to.add(bytes / 2), 1);
                copy_nonoverlapping(from.add(bytes - 1), to.add(bytes - 1), 1);
            }
            4..8 => both_ends::<4>(from, to, bytes),
            8..16 => both_ends::<8>(from, to, bytes),
            16..=32 => both_ends::<16>(from, to, bytes),
            33..=SHORT => both_ends::<32>(from, to, bytes),
            _ => copy_nonoverlapping(from, to, bytes),
        }
    }
}

/// # Safety
///
/// As for [`copy_nonoverlapping`], and `bytes` is at least `PIECE`.
#[inline(always)]
unsafe fn both_ends<const PIECE: usize>(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: [bump-room] the caller's promise.
    unsafe {
        copy_nonoverlapping(from, to, PIECE);
        copy_nonoverlapping(from.add(bytes - PIECE), to.add(bytes - PIECE), PIECE);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_length_is_copied_and_nothing_beside_it() {
        let from: Vec<u8> = (1..=200).collect();
        for bytes in 0..200 {
            let mut to = [0u8; 202];
            // SAFETY: both are longer.
            unsafe { copy_short(from.as_ptr(), to.as_mut_ptr().add(1), bytes) };
            assert_eq!((to[0], &to[1..=bytes]), (0, &from[..bytes]), "{bytes} bytes");
            assert!(to[bytes + 1..].iter().all(|byte| *byte == 0), "{bytes} bytes");
        }
    }
}
