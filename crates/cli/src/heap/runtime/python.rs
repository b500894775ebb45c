//! CPython's allocator of small objects ("obmalloc", `Objects/obmalloc.c`): arenas of 1 MiB with pools of 16 KiB, before
//! 3.10 of 256 KiB with pools of 4 KiB. A pool is aligned to its size and begins with its numbers: blocks in use, size
//! class, where the next fresh block lies and where the last one may. The last follows from the class, so a chance hit is
//! unlikely. Arenas, not pools, go back to the kernel.

use super::kind::Runtime;
use super::{Foreign, Piece, Scan};
use crate::heap::brkmap::number;

/// Bytes of a pool's head.
const HEAD: u64 = 48;
/// Largest block that pools serve is 512 bytes, in steps of 16.
const CLASSES: u64 = 32;

/// Pools in unclaimed memory: of the size of which there are more bytes.
pub(super) fn read(scan: &Scan<'_>) -> Option<Foreign> {
    let all = [16384, 4096].map(|pool| scan.pieces(Runtime::CPython, pool, |at, head, _| judge(at, head, pool)));
    all.into_iter().flatten().max_by_key(|found| found.resident)
}

fn judge(at: u64, head: &[u8], pool: u64) -> Option<Piece> {
    let half = |offset| number(head, offset, 4);
    let (count, free) = (number(head, 0, 8) & 0xffff_ffff, number(head, 8, 8));
    let (class, next, last) = (half(36), half(40), half(44));
    let size = (class + 1) * 16;
    let is_inside = free == 0 || (at + HEAD..at + pool).contains(&free);
    let is_pool = class < CLASSES
        && last == pool - size
        && next >= HEAD
        && next <= last + size
        && (next - HEAD).is_multiple_of(size)
        && count <= (pool - HEAD) / size
        && is_inside;
    // The product is only one of small numbers if it is a pool.
    is_pool.then(|| Piece { bytes: pool, live: Some(count * size) })
}
