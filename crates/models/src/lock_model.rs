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
            fn wait(&self, word: &AtomicU32, expected: u32) {
                self.0.sleep(word, expected);
            }

            fn wake(&self, _word: &AtomicU32, whom: Wake) {
                self.0.wake_up_to(if whom == Wake::One { 1 } else { usize::MAX });
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
}

crate::mutants! {
    lock_model::model finds lock_takes_without_contended;
    lock_model::model finds lock_releases_relaxed;
    lock_model::model finds lock_acquires_relaxed;
    lock_model::model finds lock_spins_relaxed;
    lock_model::model finds lock_wakes_nobody;
    lock_model::model finds lock_sleeps_unmarked;
}
