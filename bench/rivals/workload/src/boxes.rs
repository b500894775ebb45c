//! The fast path alone: one `Box` made and dropped, over and over.

use crate::Outcome;
use std::hint::black_box;
use std::time::Instant;

/// A `Box` of 48 bytes made and dropped: nanoseconds for the pair, the least of many short windows.
pub(crate) fn hot_pair() -> Outcome {
    const PAIRS: u32 = 10_000;
    let mut best = f64::INFINITY;
    for _ in 0..2_000 {
        let start = Instant::now();
        for number in 0..PAIRS {
            let block = Box::new([u64::from(number); 6]);
            // The address escapes, so neither the block nor what is written to it can go.
            black_box(&*block);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(PAIRS));
    }
    Outcome::Nanoseconds(best)
}
