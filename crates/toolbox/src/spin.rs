//! A lock for moments that are rare and short.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};

/// Held while a chunk is got from a source. Who finds it held spins; with `std` it lets other threads run now and then.
pub(crate) struct SpinLock(AtomicBool);

impl SpinLock {
    pub(crate) const fn new() -> SpinLock {
        SpinLock(AtomicBool::new(false))
    }

    /// Waits for the lock; released when the guard goes.
    pub(crate) fn lock(&self) -> Held<'_> {
        let mut tries = 0u32;
        while self.0.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            tries = tries.wrapping_add(1);
            pause(tries);
        }
        Held(self)
    }
}

pub(crate) struct Held<'l>(&'l SpinLock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Something to do while waiting for the `tries`-th time.
pub(crate) fn pause(tries: u32) {
    #[cfg(feature = "std")]
    if tries.is_multiple_of(64) {
        std::thread::yield_now();
        return;
    }
    let _ = tries;
    spin_loop();
}
