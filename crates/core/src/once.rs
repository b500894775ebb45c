//! First initialisation: exactly one thread runs it, the others wait until it is complete.

use crate::lock::{Parking, Wake};
use crate::sync::{AtomicU32, Ordering};

const NEW: u32 = 0;
const RUNNING: u32 = 1;
/// Running, and somebody sleeps until it is done.
const AWAITED: u32 = 2;
const DONE: u32 = 3;

/// A door that opens once.
pub(crate) struct Once(AtomicU32);

impl Once {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Once(AtomicU32::new(NEW))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Once(AtomicU32::new(NEW))
    }

    /// Has [`Once::call`] completed? If so, everything it wrote is visible.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) == DONE
    }

    /// Runs `first` if nobody has, and returns when it is complete.
    pub(crate) fn call(&self, parking: &impl Parking, first: impl FnOnce()) {
        match self.0.compare_exchange(NEW, RUNNING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                first();
                if self.0.swap(DONE, Ordering::Release) == AWAITED {
                    parking.wake(&self.0, Wake::All);
                }
            }
            Err(_) => {
                while !self.is_done() {
                    let _ = self.0.compare_exchange(RUNNING, AWAITED, Ordering::Relaxed, Ordering::Relaxed);
                    parking.wait(&self.0, AWAITED);
                }
            }
        }
    }
}
