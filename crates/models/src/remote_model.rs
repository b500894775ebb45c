//! Blocks that other threads free: each comes back to the owner exactly once, and a page is on at most one queue.

/// The model over one implementation of `RemoteWord` and `PageQueue`.
macro_rules! remote_model {
    ($implementation:ident) => {
        use std::sync::atomic::{AtomicIsize as Plain, Ordering::SeqCst};

        use crate::Watched;
        use loom::sync::Arc;

        use crate::sync::{AtomicU32, Ordering};
        use $implementation::{PageQueue, RemoteWord};

        const BLOCKS: usize = 4;
        const LIVE: u32 = 1;
        const FREED: u32 = 2;
        const REMOTE: u32 = 3;
        const LOOSE: u32 = 4;

        struct Page {
            remote: RemoteWord,
            next: AtomicU32,
            states: [AtomicU32; BLOCKS],
            /// What is in each block: what the program wrote, then the link; the checker watches every access.
            memory: [Watched<usize>; BLOCKS],
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
                    states: std::array::from_fn(|_| AtomicU32::new(LIVE)),
                    memory: std::array::from_fn(|_| Watched::new(0)),
                    queues: Plain::new(0),
                };
                Heap { queue: PageQueue::new(), pages: [page(), page()] }
            }

            /// Frees blocks of one page, each in a part of its own, and hands the parcel over, as `handover.rs` does.
            fn free(&self, number: u32, blocks: &[usize]) {
                let page = &self.pages[number as usize - 1];
                let mut parts = 0;
                for &block in blocks {
                    page.memory[block].set(55);
                    let state = if block == blocks[0] { REMOTE } else { LOOSE };
                    assert_eq!(page.states[block].swap(state, Ordering::Release), LIVE);
                    parts |= if block == blocks[0] { 0 } else { 1 << block };
                }
                let link = |next| page.memory[blocks[0]].set(next);
                if page.remote.push((blocks[0] + 1) * 8, parts, link) {
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
                    self.absorb(number, taken);
                    number = next;
                }
            }

            fn absorb(&self, number: u32, taken: &mut Vec<(u32, usize)>) {
                let page = &self.pages[number as usize - 1];
                let returned = page.remote.unqueue();
                let mut take = |block: usize| {
                    page.memory[block].set(77);
                    page.states[block].store(FREED, Ordering::Relaxed);
                    taken.push((number, block));
                };
                let mut address = returned.chain;
                while address != 0 {
                    let block = address / 8 - 1;
                    assert_eq!(page.states[block].load(Ordering::Relaxed), REMOTE, "the chain names another block");
                    address = page.memory[block].get();
                    take(block);
                }
                for block in (0..BLOCKS).filter(|block| returned.parts >> block & 1 != 0) {
                    if page.states[block].load(Ordering::Acquire) == LOOSE {
                        take(block);
                    }
                }
            }

            fn is_quiet(&self) -> bool {
                self.pages.iter().all(|page| page.remote.is_quiet())
            }
        }

        /// Two threads free blocks of one page while the owner drains.
        fn one_page() {
            run([(1, &[0, 1]), (1, &[2, 3])]);
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
    remote_model::one_page finds remote_push_forgets_parts;
    remote_model::one_page finds remote_push_always_queues;
    remote_model::one_page finds remote_unqueue_loads_and_stores;
    remote_model::one_page finds remote_unqueue_keeps_the_bit;
    remote_model::two_pages finds remote_queue_links_after_publishing;
    remote_model::two_pages finds remote_queue_taken_by_load_and_store;
}
