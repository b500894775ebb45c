//! Sleeping and waking as the kernel's futex does it, for the model checker.

use loom::sync::{Condvar, Mutex};

use crate::lock::{Parking, Wake};
use crate::sync::{AtomicU32, Ordering};

/// One futex queue. Like the kernel's: comparing the word and going to sleep are one step with respect to a wake. Nobody
/// is woken by time, and a sleep that nobody is left to end fails the model.
pub(crate) struct Futex {
    threads: Mutex<Threads>,
    sleepers: Condvar,
}

struct Threads {
    running: usize,
    asleep: usize,
}

impl Futex {
    /// For a model in which this many threads use it; each calls [`leave`](Futex::leave) at its end.
    pub(crate) fn new(threads: usize) -> Self {
        Futex { threads: Mutex::new(Threads { running: threads, asleep: 0 }), sleepers: Condvar::new() }
    }

    pub(crate) fn sleep(&self, word: &AtomicU32, expected: u32) {
        let mut threads = self.threads.lock().unwrap();
        // A load of the model may return an old value, but not one from before a wake that held the lock earlier.
        if word.load(Ordering::Relaxed) == expected {
            threads.running -= 1;
            threads.asleep += 1;
            threads.check();
            drop(self.sleepers.wait(threads).unwrap());
        }
    }

    pub(crate) fn wake_up_to(&self, count: usize) {
        let mut threads = self.threads.lock().unwrap();
        for _ in 0..count.min(threads.asleep) {
            threads.asleep -= 1;
            threads.running += 1;
            self.sleepers.notify_one();
        }
    }

    /// The calling thread does nothing more.
    pub(crate) fn leave(&self) {
        let mut threads = self.threads.lock().unwrap();
        threads.running -= 1;
        threads.check();
    }
}

impl Threads {
    fn check(&self) {
        assert!(self.running > 0 || self.asleep == 0, "a wake is lost: {} sleep for ever", self.asleep);
    }
}

impl Parking for Futex {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        self.sleep(word, expected);
    }

    fn wake(&self, _word: &AtomicU32, whom: Wake) {
        self.wake_up_to(if whom == Wake::One { 1 } else { usize::MAX });
    }
}
