//! The toolbox's stack of free slots: a slot has one owner at a time, what one owner wrote is visible to the next, none is lost.

/// The model over one implementation of `pop` and `push`.
macro_rules! tagged_model {
    ($implementation:ident) => {
        use crate::Watched;
        use loom::sync::Arc;

        use crate::sync::{AtomicU32, AtomicU64, Ordering};
        use $implementation::{pop, push};

        const SLOTS: usize = 3;

        struct Pool {
            head: AtomicU64,
            links: [AtomicU32; SLOTS],
            /// What an owner writes; the checker watches every access.
            values: [Watched<u32>; SLOTS],
        }

        impl Pool {
            /// All slots are free, the first on top.
            fn new() -> Pool {
                let pool = Pool {
                    head: AtomicU64::new(0),
                    links: std::array::from_fn(|_| AtomicU32::new(0)),
                    values: std::array::from_fn(|_| Watched::new(0)),
                };
                (0..SLOTS as u32).rev().for_each(|slot| pool.free(slot));
                pool
            }

            fn take(&self) -> Option<u32> {
                let next_of = |slot: u32| Ok::<u32, ()>(self.links[slot as usize].load(Ordering::Relaxed));
                pop(&self.head, next_of).unwrap()
            }

            fn free(&self, slot: u32) {
                push(&self.head, slot, |next| self.links[slot as usize].store(next, Ordering::Relaxed));
            }

            /// Writes to a slot that was taken, as its only owner.
            fn use_up(&self, slot: u32) {
                let value = &self.values[slot as usize];
                value.set(value.get() + 1);
            }

            /// One slot, used and given back.
            fn one(&self) {
                let slot = self.take().expect("others have two at most");
                self.use_up(slot);
                self.free(slot);
            }

            /// Two slots; the first comes back while the second is still out: the head is what it was.
            fn two(&self) {
                let (first, second) = (self.take().expect("another has one"), self.take().expect("another has one"));
                assert_ne!(first, second, "one slot, two owners");
                self.use_up(first);
                self.free(first);
                self.use_up(second);
                self.free(second);
            }
        }

        fn model() {
            let pool = Arc::new(Pool::new());
            crate::together(&pool, [Box::new(|pool: &Pool| pool.one()) as _, Box::new(|pool: &Pool| pool.two()) as _]);
            let mut found: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
            found.sort_unstable();
            assert_eq!(found, [0, 1, 2], "each slot is in the list once");
            assert_eq!(pool.values.iter().map(Watched::get).sum::<u32>(), 3);
        }
    };
}
use tagged_model;

mod toolbox {
    use crate::tagged;
    super::tagged_model!(tagged);

    #[test]
    fn a_slot_has_one_owner_and_none_is_lost() {
        crate::explore(crate::PREEMPTIONS, model);
    }
}

crate::mutants! {
    tagged_model::model finds tagged_head_does_not_count;
    tagged_model::model finds tagged_push_publishes_relaxed;
    tagged_model::model finds tagged_pop_takes_relaxed;
    tagged_model::model finds tagged_pop_loads_and_stores;
    tagged_model::model finds tagged_push_links_once;
}
