//! The stack of free slots that many threads, or processes, pop and push without a lock.
//!
//! ```text
//!   head  |changes (32 bits)|number + 1 of the first free slot, 0: none|
//!                                    │
//!                                    ▼
//!   link of a slot             |number + 1 of the next free slot, 0: none|
//! ```
//!
//! Invariant `[tagged-head]`: who moves the head past a slot by compare-and-exchange has the slot, and nobody else. The
//! danger is a head that *comes back*: a thread reads the head and the link of the first slot, sleeps, and meanwhile others
//! pop that slot and the next and push the first again. The head names the same slot, the link that was read names a slot
//! that somebody has. So the head counts its changes, and a head that came back is another word.
//!
//! Links are read by threads that lose the race, too, so they are atomic and lie where no value is written.
//!
//! **Limit.** The count has 32 bits: a thread that sleeps between its load and its exchange while others change the head
//! exactly 2^32 times, or a multiple of that, is not told (some two minutes of nothing but pops and pushes).
//!
//! `crates/models` runs this file under every interleaving.

use crate::sync::{AtomicU64, Ordering};

/// A head that names `first` (a number plus 1, or 0), one change after `head`.
const fn changed(head: u64, first: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | first as u64
}

/// Takes the first slot off. `next_of` loads the link of a slot, relaxed; it is asked for slots that somebody else may get.
pub(crate) fn pop<E>(head: &AtomicU64, next_of: impl Fn(u32) -> Result<u32, E>) -> Result<Option<u32>, E> {
    let mut now = head.load(Ordering::Acquire);
    loop {
        let Some(first) = (now as u32).checked_sub(1) else { return Ok(None) };
        let next = next_of(first)?;
        match head.compare_exchange_weak(now, changed(now, next), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(Some(first)),
            Err(other) => now = other,
        }
    }
}

/// Puts a slot on. It is the caller's, and its number is below `u32::MAX`. `link_to` stores its link, relaxed if links are
/// followed by [`pop`] alone; who walks them otherwise needs a release there, and gets all that is behind the head with it.
pub(crate) fn push(head: &AtomicU64, number: u32, link_to: impl Fn(u32)) {
    let mut now = head.load(Ordering::Acquire);
    loop {
        link_to(now as u32);
        match head.compare_exchange_weak(now, changed(now, number + 1), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(other) => now = other,
        }
    }
}
