//! The lock that knows its holder: one thread inside at a time, what it wrote is visible to the next, nobody sleeps for
//! ever.

/// The model over one implementation of `Lock`.
macro_rules! lock_model {
    ($implementation:ident) => {
        use crate::Watched;
        use loom::sync::Arc;

        use crate::parking::Futex;
        use crate::sync::AtomicU32;
        use $implementation::{Entry, Lock, Parking, Wake};

        /// A mutant brings its own trait, so the futex has a coat.
        struct Kernel(Futex);

        impl Parking for Kernel {
            fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
                self.0.sleep(word, expected);
                false
            }

            fn wake(&self, _word: &AtomicU32, whom: Wake) {
                self.0.wake_up_to(if whom == Wake::One { 1 } else { usize::MAX });
            }

            fn lives(&self, _thread: u32) -> bool {
                true
            }
        }

        struct Guarded {
            lock: Lock,
            kernel: Kernel,
            /// The checker watches every access.
            count: Watched<u32>,
        }

        fn enter(guarded: &Guarded, me: u32) {
            assert_eq!(guarded.lock.acquire(me, &guarded.kernel), Entry::Taken);
            guarded.count.set(guarded.count.get() + 1);
            guarded.lock.release(&guarded.kernel);
            guarded.kernel.0.leave();
        }

        fn model() {
            let guarded =
                Arc::new(Guarded { lock: Lock::new(), kernel: Kernel(Futex::new(3)), count: Watched::new(0) });
            crate::together(&guarded, [1, 2, 3].map(|me| Box::new(move |guarded: &Guarded| enter(guarded, me)) as _));
            assert_eq!(guarded.count.get(), 3);
        }
    };
}
use lock_model;

mod engine {
    use crate::lock;
    super::lock_model!(lock);

    #[test]
    fn one_thread_at_a_time_and_none_sleeps_for_ever() {
        crate::explore(crate::PREEMPTIONS, model);
    }

    #[test]
    fn a_holder_that_asks_again_is_told() {
        crate::explore(crate::PREEMPTIONS, || {
            let (lock, kernel) = (Lock::new(), Kernel(Futex::new(1)));
            assert_eq!(lock.acquire(1, &kernel), Entry::Taken);
            assert_eq!(lock.acquire(1, &kernel), Entry::Nested);
            lock.release(&kernel);
            assert_eq!(lock.acquire(2, &kernel), Entry::Taken);
        });
    }

    /// Thread 9 died with the lock; two threads want it and are told, when their patience ends, that it is dead.
    #[test]
    fn one_thread_takes_over_from_a_dead_holder() {
        struct Impatient(Kernel);
        impl Parking for Impatient {
            fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
                // Time passes while 9 holds it; for a living holder the sleep ends by a wake.
                if expected & !(1 << 31) == 9 { true } else { self.0.wait(word, expected) }
            }
            fn wake(&self, word: &AtomicU32, whom: Wake) {
                self.0.wake(word, whom)
            }
            fn lives(&self, thread: u32) -> bool {
                thread != 9
            }
        }
        crate::explore(crate::PREEMPTIONS, || {
            let kernel = Impatient(Kernel(Futex::new(2)));
            let shared = Arc::new((Lock::new(), kernel, Watched::new(0)));
            assert_eq!(shared.0.acquire(9, &shared.1), Entry::Taken);
            let enter = |me| {
                move |shared: &(Lock, Impatient, Watched<i32>)| {
                    assert_eq!(shared.0.acquire(me, &shared.1), Entry::Taken);
                    shared.2.set(shared.2.get() + 1);
                    shared.0.release(&shared.1);
                    shared.1.0.0.leave();
                }
            };
            crate::together(&shared, [1, 2].map(|me| Box::new(enter(me)) as _));
            assert_eq!(shared.2.get(), 2);
        });
    }
}

crate::mutants! {
    lock_model::model finds lock_takes_without_contended;
    lock_model::model finds lock_releases_relaxed;
    lock_model::model finds lock_acquires_relaxed;
    lock_model::model finds lock_wakes_nobody;
    lock_model::model finds lock_sleeps_unmarked;
}
