//! How blocks that other threads freed come back to the heap that owns their page.
//!
//! ```text
//!   freeing thread                                   owner
//!   chain of blocks ──push──► RemoteWord of the page
//!                     first since it was last emptied?
//!                     └─► PageQueue of the owner ──take_all──► for each page: unqueue ─► its blocks
//! ```
//!
//! Two facts make it safe. *[queued-once]* The bit `QUEUED` of a page's word is set by the push that found it clear, and
//! that push alone puts the page on a queue; whoever takes the page off clears the bit. So a page is on at most one
//! queue. *[queued-lives]* A page whose word is not 0 is never released: its span could become something else while a
//! late push still links it into a queue.

use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// The page is on a queue, or a push is about to put it there. Blocks are at least 8-aligned, so the bit is free.
const QUEUED: usize = 1;
/// Above the addresses of blocks: the parts of the page that have LOOSE blocks, a bit each.
const PARTS_SHIFT: u32 = 48;
/// The address of the chain's first block.
const CHAIN: usize = (1 << PARTS_SHIFT) - 1 - QUEUED;

/// What other threads freed of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    /// The address of the first block of the chain; 0: none.
    pub(crate) chain: usize,
    /// The parts of the page that have LOOSE blocks.
    pub(crate) parts: u16,
}

/// Per page: the chain of blocks that other threads freed, and whether the owner was told.
#[repr(transparent)]
pub(crate) struct RemoteWord(AtomicUsize);

impl RemoteWord {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        RemoteWord(AtomicUsize::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        RemoteWord(AtomicUsize::new(0))
    }

    /// Hands over a block, and the LOOSE ones in some parts of the page. `link(next)` must store `next` (0 = end) into the block;
    /// it may be called more than once. `true`: the caller must now queue the page.
    pub(crate) fn push(&self, block: usize, parts: u16, link: impl Fn(usize)) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            link(seen & CHAIN);
            let word = block | QUEUED | seen & !(CHAIN | QUEUED) | (parts as usize) << PARTS_SHIFT;
            match self.0.compare_exchange_weak(seen, word, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return seen & QUEUED == 0,
                Err(now) => seen = now,
            }
        }
    }

    /// Owner, after taking the page off its queue: takes what there is and allows the next push to queue the page again.
    pub(crate) fn unqueue(&self) -> Returned {
        let word = self.0.swap(0, Ordering::Acquire);
        Returned { chain: word & CHAIN, parts: (word >> PARTS_SHIFT) as u16 }
    }

    /// Nothing to take and on no queue: only then may an empty page be released ([queued-lives]).
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// Per heap: the pages whose remote words have something. Pages are named by their slice number; 0 is none.
#[repr(transparent)]
pub(crate) struct PageQueue(AtomicU32);

impl PageQueue {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        PageQueue(AtomicU32::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        PageQueue(AtomicU32::new(0))
    }

    /// Puts a page on the queue. `set_next(n)` must store `n` as the page's successor; it may be called more than once.
    pub(crate) fn push(&self, page: u32, set_next: impl Fn(u32)) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            set_next(seen);
            match self.0.compare_exchange_weak(seen, page, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Is there anything on it?
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes the whole chain; its first page or 0. Read each page's successor before unqueueing the page.
    pub(crate) fn take_all(&self) -> u32 {
        if self.is_empty() { 0 } else { self.0.swap(0, Ordering::Acquire) }
    }
}
