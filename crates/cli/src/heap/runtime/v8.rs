//! V8's heap: chunks aligned to 256 KiB that begin with their size, flags, heap, and the borders of their objects
//! (`src/heap/basic-memory-chunk.h`). Which objects live only the collector knows.

use super::kind::Runtime;
use super::{Foreign, Piece, Scan};
use crate::heap::brkmap::number;
use crate::proc::residency::OS_PAGE;

const CHUNK: u64 = 256 << 10;
/// The head of a chunk is not larger.
const HEAD: u64 = 64 << 10;

/// Chunks in unclaimed memory.
pub(super) fn read(scan: &Scan<'_>) -> Option<Foreign> {
    scan.pieces(Runtime::V8, CHUNK, judge)
}

fn judge(at: u64, head: &[u8], end: u64) -> Option<Piece> {
    let word = |index: usize| number(head, index * 8, 8);
    let (size, first, last) = (word(0), word(3), word(4));
    if !(OS_PAGE..=end - at).contains(&size) {
        return None;
    }
    let bytes = size.next_multiple_of(OS_PAGE);
    let is_chunk = bytes <= end - at
        && first > at
        && first < at + HEAD.min(size)
        && last > first
        && last <= at + size
        && last + HEAD > at + size;
    is_chunk.then_some(Piece { bytes, live: None })
}
