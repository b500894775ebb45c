//! A page is taken out of an idle heap while others free into it: who frees may still queue it at the old heap, which must
//! pass it on. The two protocols below it are the engine's; the few lines that join them (`handover.rs`, `refill.rs`) are
//! repeated here.

use crate::Watched;
use loom::sync::Arc;

use crate::lifecycle::{ACTIVE, IDLE, Lifecycle};
use crate::remote::{PageQueue, RemoteWord};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// What a heap does with a page on its queue that is not its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stray {
    /// Queues it at its owner.
    PassOn,
    /// The mistake: takes the blocks itself.
    Keep,
    /// The mistake: forgets it.
    Drop,
}

struct Heap {
    lifecycle: Lifecycle,
    queue: PageQueue,
}

/// One page with three blocks, and two heaps: 0 is being left, 1 belongs to the thread that wants the page.
struct World {
    heaps: [Heap; 2],
    owner: AtomicUsize,
    remote: RemoteWord,
    next: AtomicU32,
    links: [Watched<usize>; 2],
    /// The page's private fields: blocks that came back. The checker watches every access.
    returned: Watched<u32>,
    stray: Stray,
}

impl World {
    fn new(stray: Stray) -> World {
        let heap = |state| Heap { lifecycle: Lifecycle::new(state), queue: PageQueue::new() };
        World {
            heaps: [heap(ACTIVE), heap(ACTIVE)],
            owner: AtomicUsize::new(0),
            remote: RemoteWord::new(),
            next: AtomicU32::new(0),
            links: std::array::from_fn(|_| Watched::new(0)),
            returned: Watched::new(0),
            stray,
        }
    }

    fn free(&self, block: usize) {
        let link = |next| self.links[block].set(next);
        if self.remote.push((block + 1) * 8, 0, link) {
            self.queue_page();
        }
    }

    fn queue_page(&self) {
        let owner = self.owner.load(Ordering::Acquire);
        self.heaps[owner].queue.push(1, |next| self.next.store(next, Ordering::Relaxed));
        self.tend(owner);
    }

    fn tend(&self, heap: usize) {
        let Heap { lifecycle, queue } = &self.heaps[heap];
        lifecycle.tend(|| !queue.is_empty(), || self.drain(heap));
    }

    fn drain(&self, heap: usize) {
        if self.heaps[heap].queue.take_all() == 0 {
            return;
        }
        assert_eq!(self.next.load(Ordering::Relaxed), 0, "the only page follows itself");
        let mine = self.owner.load(Ordering::Acquire) == heap;
        match self.stray {
            Stray::PassOn if !mine => self.queue_page(),
            Stray::Drop if !mine => {}
            _ => self.absorb(),
        }
    }

    fn absorb(&self) {
        let mut address = self.remote.unqueue().chain;
        while address != 0 {
            self.returned.set(self.returned.get() + 1);
            address = self.links[address / 8 - 1].get();
        }
    }

    /// The thread of heap 0 ends.
    fn leave(&self) {
        self.drain(0);
        self.heaps[0].lifecycle.abandon();
        self.tend(0);
    }

    /// The thread of heap 1 takes the page, if heap 0 is idle, and refills from it.
    fn adopt_page(&self) {
        let old = &self.heaps[0];
        if old.lifecycle.try_hold() {
            self.drain(0);
            self.owner.store(1, Ordering::Release);
            old.lifecycle.let_go();
            self.tend(0);
            self.returned.set(self.returned.get());
            self.drain(1);
        }
    }

    fn finish(&self, freed: u32) {
        // The next refill of the thread of heap 1.
        self.drain(1);
        assert_eq!(self.heaps[0].lifecycle.now(), IDLE);
        assert!(self.heaps.iter().all(|heap| heap.queue.is_empty()) && self.remote.is_quiet(), "the page is forgotten");
        assert_eq!(self.returned.get(), freed, "blocks lost or doubled");
    }
}

fn model(stray: Stray) {
    let world = Arc::new(World::new(stray));
    world.heaps[0].lifecycle.abandon();
    let free = |block| Box::new(move |world: &World| world.free(block)) as crate::Role<World, ()>;
    crate::together(&world, [Box::new(World::adopt_page), free(0), free(1)]);
    world.finish(2);
}

fn leaving() {
    let world = Arc::new(World::new(Stray::PassOn));
    crate::together(
        &world,
        [Box::new(World::leave), Box::new(World::adopt_page), Box::new(|world: &World| world.free(0))],
    );
    world.finish(1);
}

#[test]
fn blocks_follow_their_page_to_its_new_heap() {
    // With one preemption more it takes minutes.
    crate::explore(crate::PREEMPTIONS - 1, || model(Stray::PassOn));
}

#[test]
fn also_while_the_old_thread_is_leaving() {
    crate::explore(crate::PREEMPTIONS, leaving);
}

#[test]
fn a_heap_that_keeps_a_page_it_lost_is_found() {
    crate::must_fail("keeps a lost page", || model(Stray::Keep));
}

#[test]
fn a_heap_that_drops_a_page_it_lost_is_found() {
    crate::must_fail("drops a lost page", || model(Stray::Drop));
}
