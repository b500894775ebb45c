//! Blocks that other threads free: each comes back to the owner exactly once, and a page is on at most one queue.

/// The model over one implementation of `RemoteWord` and `PageQueue`.
macro_rules! remote_model {
    ($implementation:ident) => {
        use std::sync::atomic::{AtomicIsize as Plain, Ordering::SeqCst};

        use crate::Watched;
        use loom::sync::Arc;

        use crate::sync::{AtomicU32, Ordering};
        use $implementation::{PageQueue, RemoteWord};

        const BLOCKS: usize = 3;

        struct Page {
            remote: RemoteWord,
            next: AtomicU32,
            /// The link word in each block; the checker watches every access.
            links: [Watched<usize>; BLOCKS],
            /// How many queues the page is on; not part of the program.
            queues: Plain,
        }

        struct Heap {
            queue: PageQueue,
            pages: [Page; 2],
        }

        impl Heap {
            fn new() -> Heap {
                let page = || Page {
                    remote: RemoteWord::new(),
                    next: AtomicU32::new(0),
                    links: std::array::from_fn(|_| Watched::new(0)),
                    queues: Plain::new(0),
                };
                Heap { queue: PageQueue::new(), pages: [page(), page()] }
            }

            /// Hands over a chain of blocks of one page, as `handover.rs` does.
            fn free(&self, number: u32, blocks: &[usize]) {
                let page = &self.pages[number as usize - 1];
                let address = |index: usize| (index + 1) * 8;
                for pair in blocks.windows(2) {
                    page.links[pair[0]].set(address(pair[1]));
                }
                let tail = *blocks.last().unwrap();
                let link_tail = |next| page.links[tail].set(next);
                if page.remote.push(address(blocks[0]), link_tail) {
                    assert_eq!(page.queues.fetch_add(1, SeqCst), 0, "the page is put on a second queue");
                    self.queue.push(number, |next| page.next.store(next, Ordering::Relaxed));
                }
            }

            /// The owner takes back what waits; which blocks of which page.
            fn drain(&self, taken: &mut Vec<(u32, usize)>) {
                let mut number = self.queue.take_all();
                while number != 0 {
                    let page = &self.pages[number as usize - 1];
                    let next = page.next.load(Ordering::Relaxed);
                    page.queues.fetch_sub(1, SeqCst);
                    self.walk(number, page.remote.unqueue(), taken);
                    number = next;
                }
            }

            fn walk(&self, number: u32, mut address: usize, taken: &mut Vec<(u32, usize)>) {
                while address != 0 {
                    let index = address / 8 - 1;
                    taken.push((number, index));
                    assert!(taken.len() <= 2 * BLOCKS, "the chain does not end");
                    address = self.pages[number as usize - 1].links[index].get();
                }
            }

            fn is_quiet(&self) -> bool {
                self.pages.iter().all(|page| page.remote.is_quiet())
            }
        }

        /// Two threads free blocks of one page while the owner drains.
        fn one_page() {
            run([(1, &[0, 1]), (1, &[2])]);
        }

        /// The same with a page each.
        fn two_pages() {
            run([(1, &[0, 1]), (2, &[2])]);
        }

        fn run(freed: [(u32, &'static [usize]); 2]) {
            let heap = Arc::new(Heap::new());
            let [first, second] = freed;
            let free = |heap: &Heap, (page, blocks)| {
                heap.free(page, blocks);
                Vec::new()
            };
            let own = |heap: &Heap| {
                let mut taken = Vec::new();
                heap.drain(&mut taken);
                taken
            };
            let freer = move |freed| move |heap: &Heap| free(heap, freed);
            let mut taken =
                crate::together(&heap, [Box::new(freer(first)), Box::new(freer(second)), Box::new(own)]).concat();
            heap.drain(&mut taken);
            assert!(heap.queue.is_empty() && heap.is_quiet(), "something is left behind");
            taken.sort();
            let mut expected: Vec<_> =
                freed.iter().flat_map(|&(page, blocks)| blocks.iter().map(move |&block| (page, block))).collect();
            expected.sort();
            assert_eq!(taken, expected, "blocks lost or doubled");
        }
    };
}
use remote_model;

mod engine {
    use crate::remote;
    super::remote_model!(remote);

    #[test]
    fn no_block_is_lost_or_doubled() {
        crate::explore(crate::PREEMPTIONS, one_page);
    }

    #[test]
    fn nor_with_two_pages_on_the_queue() {
        crate::explore(crate::PREEMPTIONS, two_pages);
    }
}

crate::mutants! {
    remote_model::one_page finds remote_push_publishes_relaxed;
    remote_model::one_page finds remote_push_stores;
    remote_model::one_page finds remote_push_always_queues;
    remote_model::one_page finds remote_unqueue_loads_and_stores;
    remote_model::one_page finds remote_unqueue_keeps_the_bit;
    remote_model::two_pages finds remote_queue_links_after_publishing;
    remote_model::two_pages finds remote_queue_taken_by_load_and_store;
}
