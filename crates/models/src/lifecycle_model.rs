//! A heap is left by its thread, tended by those who free into it, adopted by another thread: one owner at a time, and no
//! page that waits is forgotten.

/// The model over one implementation of `Lifecycle`.
macro_rules! lifecycle_model {
    ($implementation:ident) => {
        use crate::Watched;
        use loom::sync::Arc;

        use crate::remote::PageQueue;
        use crate::sync::{AtomicU32, Ordering};
        use $implementation::{ACTIVE, IDLE, Lifecycle};

        struct Heap {
            lifecycle: Lifecycle,
            queue: PageQueue,
            next: [AtomicU32; 2],
            /// The private fields: pages that were drained. The checker watches every access.
            drained: Watched<u32>,
        }

        impl Heap {
            fn new() -> Heap {
                Heap {
                    lifecycle: Lifecycle::new(ACTIVE),
                    queue: PageQueue::new(),
                    next: std::array::from_fn(|_| AtomicU32::new(0)),
                    drained: Watched::new(0),
                }
            }

            /// By the owner, or by who holds the heap.
            fn drain(&self) {
                let mut page = self.queue.take_all();
                self.drained.set(self.drained.get());
                while page != 0 {
                    self.drained.set(self.drained.get() + 1);
                    page = self.next[page as usize - 1].load(Ordering::Relaxed);
                }
            }

            fn tend(&self) {
                self.lifecycle.tend(|| !self.queue.is_empty(), || self.drain());
            }

            /// Another thread frees into a page and queues it.
            fn free(&self, page: u32) {
                self.queue.push(page, |next| self.next[page as usize - 1].store(next, Ordering::Relaxed));
                self.tend();
            }

            /// The owner's thread ends.
            fn exit(&self) {
                self.drain();
                self.lifecycle.abandon();
                self.tend();
            }

            /// After all threads: a page still waiting is right only if an owner will look.
            fn finish(&self, pages: u32) {
                if self.lifecycle.now() == ACTIVE {
                    // Its next refill does this.
                    self.drain();
                }
                let state = self.lifecycle.now();
                assert!(state == IDLE || state == ACTIVE, "held for ever");
                assert!(self.queue.is_empty(), "a page waits and nobody will look");
                assert_eq!(self.drained.get(), pages, "pages lost or doubled");
            }
        }

        fn run(pages: u32, threads: [fn(&Heap); 3]) {
            let heap = Arc::new(Heap::new());
            crate::together(&heap, threads.map(|role| Box::new(role) as _));
            heap.finish(pages);
        }

        fn adopt(heap: &Heap) {
            if heap.lifecycle.adopt() {
                heap.drain();
            }
        }

        /// The thread leaves while two others free into its pages.
        fn two_freers() {
            run(2, [Heap::exit, |heap| heap.free(1), |heap| heap.free(2)]);
        }

        /// The thread leaves, another frees, a third adopts.
        fn freer_and_adopter() {
            run(1, [Heap::exit, |heap| heap.free(1), adopt]);
        }

        /// The thread leaves, two others want the heap.
        fn two_adopters() {
            run(0, [Heap::exit, adopt, adopt]);
        }

        /// A thread takes a page out of an idle heap while others free into it (`refill.rs`).
        fn visitor() {
            run(
                1,
                [
                    Heap::exit,
                    |heap| heap.free(1),
                    |heap| {
                        if heap.lifecycle.try_hold() {
                            heap.drain();
                            heap.lifecycle.let_go();
                            heap.tend();
                        }
                    },
                ],
            );
        }
    };
}
use lifecycle_model;

mod engine {
    use crate::lifecycle;
    super::lifecycle_model!(lifecycle);

    #[test]
    fn no_page_is_forgotten_while_the_owner_leaves() {
        crate::explore(crate::PREEMPTIONS, two_freers);
    }

    #[test]
    fn nor_while_another_thread_adopts() {
        crate::explore(crate::PREEMPTIONS, freer_and_adopter);
    }

    #[test]
    fn one_of_two_adopters_gets_the_heap() {
        crate::explore(crate::PREEMPTIONS, two_adopters);
    }

    #[test]
    fn a_visitor_forgets_nothing() {
        crate::explore(crate::PREEMPTIONS, visitor);
    }
}

crate::mutants! {
    lifecycle_model::two_freers finds lifecycle_tend_without_fence;
    lifecycle_model::two_freers finds lifecycle_tend_looks_once;
    lifecycle_model::two_freers finds lifecycle_tend_checks_before_idle;
    lifecycle_model::two_freers finds lifecycle_hold_relaxed;
    lifecycle_model::two_adopters finds lifecycle_adopt_loads_and_stores;
}
