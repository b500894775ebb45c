//! Who may touch a heap's private fields.
//!
//! ```text
//!             adopt                    tend
//!   ACTIVE ◄────────── IDLE ◄────────────────────► BUSY
//!      └── abandon ─────►┘       (any thread, briefly)
//! ```
//!
//! *[heap-owner]* The private fields belong to the thread that holds the heap ACTIVE, or to the one that made it BUSY.
//!
//! Blocks that are freed into an idle heap's pages must not lie there until a thread happens to adopt the heap: the
//! thread that queued the page tends the heap. *[no-lost-page]* Both sides publish first and look second (with a full
//! fence between): the freeing thread queues the page and then looks at the state; the one that makes the heap idle does
//! so and then looks at the queue. At least one of them sees the other.

use crate::sync::{AtomicU32, Ordering, fence};

/// A thread has the heap.
pub(crate) const ACTIVE: u32 = 1;
/// Nobody has it.
pub(crate) const IDLE: u32 = 2;
/// Some thread works on it for a moment.
pub(crate) const BUSY: u32 = 3;

/// The state word of a heap.
#[repr(transparent)]
pub(crate) struct Lifecycle(AtomicU32);

impl Lifecycle {
    #[cfg(not(loom))]
    pub(crate) const fn new(state: u32) -> Self {
        Lifecycle(AtomicU32::new(state))
    }

    #[cfg(loom)]
    pub(crate) fn new(state: u32) -> Self {
        Lifecycle(AtomicU32::new(state))
    }

    /// The present state; only a hint unless it is ours.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes an idle heap for this thread.
    pub(crate) fn adopt(&self) -> bool {
        self.0.compare_exchange(IDLE, ACTIVE, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The owner leaves; then [`Lifecycle::tend`] must follow.
    pub(crate) fn abandon(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// Takes an idle heap for a moment.
    pub(crate) fn try_hold(&self) -> bool {
        self.0.compare_exchange(IDLE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Drains an idle heap as long as something waits in it ([no-lost-page]). `waiting` looks at the heap's queue;
    /// `drain` runs with the heap held BUSY. Returns at once if the heap has an owner or another thread tends it: either
    /// will look at the queue after us.
    pub(crate) fn tend(&self, waiting: impl Fn() -> bool, mut drain: impl FnMut()) {
        loop {
            fence(Ordering::SeqCst);
            if !waiting() || !self.try_hold() {
                return;
            }
            drain();
            self.0.store(IDLE, Ordering::Release);
        }
    }

    /// Ends a [`Lifecycle::try_hold`]; then [`Lifecycle::tend`] must follow.
    pub(crate) fn let_go(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// Sets the state by force: for the child of a fork, where the other threads do not exist.
    pub(crate) fn reset(&self, state: u32) {
        self.0.store(state, Ordering::Release);
    }
}
