//! Memory goes back behind the owner's back (`idle.rs` of the engine, [stale-books]): while the owner frees without a lock,
//! a looker that holds the heap's gate gives OS pages of a page back, or the whole page, by the state bytes alone. The lock
//! and the remote word are the engine's; the rest is repeated here, with one OS page per block.

use loom::sync::Arc;

use crate::Watched;
use crate::lock::{Entry, Lock};
use crate::parking::Futex;
use crate::remote::RemoteWord;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

const LIVE: u32 = 1;
const FREED: u32 = 2;
const REMOTE: u32 = 3;
const LOOSE: u32 = 4;

/// Of which two are used unless another thread frees a parcel.
const BLOCKS: usize = 3;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// The owner marks the block free before it links it.
    FreedFirst,
    /// The owner's mark orders nothing.
    FreedRelaxed,
    /// The looker's reading of the mark orders nothing.
    CensusRelaxed,
    /// The looker does not say that the books are stale.
    NotStale,
    /// The looker takes no gate.
    NoGate,
    /// The looker counts a block on its way from another thread as free.
    RemoteIsFree,
    /// Another thread's mark orders nothing.
    LooseRelaxed,
    /// Books are made anew, and LOOSE blocks stay what they are.
    KeepsLoose,
}

/// A page of two or three blocks that is not in use for allocation.
struct Page {
    blocks: usize,
    gate: Lock,
    futex: Futex,
    states: [AtomicU32; BLOCKS],
    /// The blocks' memory: a free block's is its link. A purge writes 0. The checker watches every access.
    memory: [Watched<usize>; BLOCKS],
    /// The list of free blocks: address of the first.
    local: AtomicUsize,
    remote: RemoteWord,
    /// Touched inside the gate only.
    stale: Watched<bool>,
    holes: Watched<[bool; BLOCKS]>,
    released: Watched<bool>,
    mistake: Mistake,
}

fn address(index: usize) -> usize {
    (index + 1) * 8
}

impl Page {
    fn new(threads: usize, blocks: usize, mistake: Mistake) -> Page {
        Page {
            blocks,
            gate: Lock::new(),
            futex: Futex::new(threads),
            states: std::array::from_fn(|_| AtomicU32::new(LIVE)),
            memory: std::array::from_fn(|_| Watched::new(0)),
            local: AtomicUsize::new(0),
            remote: RemoteWord::new(),
            stale: Watched::new(false),
            holes: Watched::new([false; BLOCKS]),
            released: Watched::new(false),
            mistake,
        }
    }

    fn gated<R>(&self, me: u32, work: impl FnOnce() -> R) -> R {
        assert_eq!(self.gate.acquire(me, &self.futex), Entry::Taken);
        let result = work();
        self.gate.release(&self.futex);
        result
    }

    /// `free_local`.
    fn free(&self, index: usize) {
        let mark = |order| self.states[index].store(FREED, order);
        if self.mistake == Mistake::FreedFirst {
            mark(Ordering::Release);
        }
        self.memory[index].set(self.local.load(Ordering::Relaxed));
        self.local.store(address(index), Ordering::Relaxed);
        match self.mistake {
            Mistake::FreedFirst => {}
            Mistake::FreedRelaxed => mark(Ordering::Relaxed),
            _ => mark(Ordering::Release),
        }
    }

    /// `free_remote`, `free_into_parcel` and `hand_over`, of blocks that were just written to; whether the page must be queued
    /// does not matter with one page.
    fn free_remote(&self, first: usize, second: Option<usize>) {
        let mark = |index: usize, state, order| {
            self.memory[index].set(55);
            assert_eq!(self.states[index].swap(state, order), LIVE);
        };
        mark(first, REMOTE, Ordering::Release);
        let order = if self.mistake == Mistake::LooseRelaxed { Ordering::Relaxed } else { Ordering::Release };
        second.inspect(|&second| mark(second, LOOSE, order));
        self.remote.push(address(first), second.is_some() as u16, |next| self.memory[first].set(next));
    }

    /// `look_over`, of this page.
    fn look(&self, me: u32) {
        if self.mistake == Mistake::NoGate {
            self.look_inside();
        } else {
            self.gated(me, || self.look_inside());
        }
    }

    fn look_inside(&self) {
        if self.released.get() {
            return;
        }
        self.absorb_behind();
        let order = if self.mistake == Mistake::CensusRelaxed { Ordering::Relaxed } else { Ordering::Acquire };
        let is_free =
            |state: u32| state == FREED || state == LOOSE || (self.mistake == Mistake::RemoteIsFree && state == REMOTE);
        let free: Vec<bool> = (0..self.blocks).map(|index| is_free(self.states[index].load(order))).collect();
        let quiet = self.remote.is_quiet() || self.mistake == Mistake::RemoteIsFree;
        if free.iter().all(|&free| free) {
            if quiet {
                // Whoever gets the memory next writes to it.
                self.released.set(true);
                self.memory[..self.blocks].iter().for_each(|memory| memory.set(77));
            }
            return;
        }
        let mut holes = self.holes.get();
        for index in 0..self.blocks {
            if !free[index] || holes[index] {
                continue;
            }
            if self.mistake != Mistake::NotStale {
                self.stale.set(true);
            }
            self.memory[index].set(0);
            holes[index] = true;
            self.holes.set(holes);
        }
    }

    fn absorb_behind(&self) {
        let chain = self.remote.unqueue().chain;
        if chain != 0 {
            self.stale.set(true);
        }
        self.mark_chain(chain);
    }

    fn mark_chain(&self, mut chain: usize) {
        while chain != 0 {
            let index = chain / 8 - 1;
            chain = self.memory[index].get();
            self.states[index].store(FREED, Ordering::Release);
        }
    }

    /// The owner links a block that came back.
    fn take_in(&self, index: usize) {
        self.memory[index].set(self.local.load(Ordering::Relaxed));
        self.local.store(address(index), Ordering::Relaxed);
        self.states[index].store(FREED, Ordering::Relaxed);
    }

    fn absorb(&self) {
        let returned = self.remote.unqueue();
        if self.stale.get() {
            return self.mark_chain(returned.chain);
        }
        let mut chain = returned.chain;
        while chain != 0 {
            let index = chain / 8 - 1;
            chain = self.memory[index].get();
            self.take_in(index);
        }
        for index in (0..self.blocks).filter(|_| returned.parts != 0) {
            if self.states[index].load(Ordering::Acquire) == LOOSE {
                self.take_in(index);
            }
        }
    }

    /// The owner allocates from the page until it has nothing: drain, renew, the list, then the holes.
    fn refill(&self, me: u32) -> Option<Vec<usize>> {
        self.gated(me, || {
            if self.released.get() {
                return None;
            }
            self.absorb();
            if self.stale.get() {
                self.renew_books();
            }
            let mut taken = Vec::new();
            let mut next = self.local.load(Ordering::Relaxed);
            while next != 0 {
                let index = next / 8 - 1;
                taken.push(index);
                assert!(taken.len() <= self.blocks, "the list runs in a circle");
                next = self.memory[index].get();
            }
            self.local.store(0, Ordering::Relaxed);
            let holes = self.holes.get();
            taken.extend((0..self.blocks).filter(|&index| holes[index]));
            self.holes.set([false; BLOCKS]);
            for &index in &taken {
                self.states[index].store(LIVE, Ordering::Relaxed);
                self.memory[index].set(99);
            }
            Some(taken)
        })
    }

    fn renew_books(&self) {
        self.stale.set(false);
        let holes = self.holes.get();
        let mut head = 0;
        for state in &self.states[..self.blocks] {
            if state.load(Ordering::Acquire) == LOOSE && self.mistake != Mistake::KeepsLoose {
                state.store(FREED, Ordering::Relaxed);
            }
        }
        for index in (0..self.blocks).filter(|&index| !holes[index]) {
            let state = self.states[index].load(Ordering::Relaxed);
            if state == FREED || (state == LOOSE && self.mistake == Mistake::KeepsLoose) {
                self.memory[index].set(head);
                head = address(index);
            }
        }
        self.local.store(head, Ordering::Relaxed);
    }

    /// After all threads: what the owner got before, and what it still gets, is every block once; or the page is gone.
    fn finish(&self, before: Option<Vec<usize>>) {
        let mut blocks = before.unwrap_or_default();
        match self.refill(1) {
            Some(rest) => {
                blocks.extend(rest);
                blocks.sort();
                assert!(blocks.iter().copied().eq(0..self.blocks), "blocks lost or doubled: {blocks:?}");
            }
            None => assert!(blocks.is_empty(), "a page was released that had a block out"),
        }
    }
}

type Taken = Option<Vec<usize>>;

/// The owner frees both blocks and allocates again, while a looker looks twice.
fn owner_frees(mistake: Mistake) {
    let page = Arc::new(Page::new(2, 2, mistake));
    let owner = |page: &Page| {
        page.free(0);
        page.free(1);
        let taken = page.refill(1);
        page.futex.leave();
        taken
    };
    let looker = |page: &Page| {
        page.look(2);
        page.look(2);
        page.futex.leave();
        None
    };
    let roles: [crate::Role<Page, Taken>; 2] = [Box::new(owner), Box::new(looker)];
    let [taken, _] = crate::together(&page, roles);
    page.finish(taken);
}

/// One block is freed by the owner, one by another thread, while a looker looks.
fn both_free(mistake: Mistake) {
    let page = Arc::new(Page::new(3, 2, mistake));
    let owner = |page: &Page| {
        page.free(0);
        page.futex.leave();
        None
    };
    let other = |page: &Page| {
        page.free_remote(1, None);
        page.futex.leave();
        None
    };
    let looker = |page: &Page| {
        page.look(2);
        page.futex.leave();
        None
    };
    let roles: [crate::Role<Page, Taken>; 3] = [Box::new(owner), Box::new(other), Box::new(looker)];
    crate::together(&page, roles);
    page.finish(None);
}

/// Another thread frees all blocks but the first, which the owner frees, while a looker looks and the owner allocates.
fn others_free(mistake: Mistake) {
    let page = Arc::new(Page::new(3, 3, mistake));
    let owner = |page: &Page| {
        page.free(0);
        let taken = page.refill(1);
        page.futex.leave();
        taken
    };
    let other = |page: &Page| {
        page.free_remote(1, Some(2));
        page.futex.leave();
        None
    };
    let looker = |page: &Page| {
        page.look(2);
        page.futex.leave();
        None
    };
    let roles: [crate::Role<Page, Taken>; 3] = [Box::new(owner), Box::new(other), Box::new(looker)];
    let [taken, ..] = crate::together(&page, roles);
    page.finish(taken);
}

#[test]
fn every_block_is_there_once_whatever_went_back() {
    crate::explore(crate::PREEMPTIONS, || owner_frees(Mistake::None));
}

#[test]
fn also_when_another_thread_frees() {
    crate::explore(crate::PREEMPTIONS, || both_free(Mistake::None));
}

#[test]
fn also_blocks_that_nobody_names() {
    crate::explore(crate::PREEMPTIONS, || others_free(Mistake::None));
}

#[test]
fn a_loose_mark_without_release_is_found() {
    crate::must_fail("LOOSE without release", || others_free(Mistake::LooseRelaxed));
}

#[test]
fn loose_blocks_that_stay_so_in_new_books_are_found() {
    crate::must_fail("kept LOOSE", || others_free(Mistake::KeepsLoose));
}

#[test]
fn a_mark_before_the_link_is_found() {
    crate::must_fail("FREED before the link", || owner_frees(Mistake::FreedFirst));
}

#[test]
fn a_mark_without_release_is_found() {
    crate::must_fail("FREED without release", || owner_frees(Mistake::FreedRelaxed));
}

#[test]
fn a_census_without_acquire_is_found() {
    crate::must_fail("census without acquire", || owner_frees(Mistake::CensusRelaxed));
}

#[test]
fn books_that_are_not_called_stale_are_found() {
    crate::must_fail("not called stale", || owner_frees(Mistake::NotStale));
}

#[test]
fn a_look_without_the_gate_is_found() {
    crate::must_fail("look without the gate", || owner_frees(Mistake::NoGate));
}

#[test]
fn a_remote_block_taken_for_free_is_found() {
    crate::must_fail("REMOTE taken for free", || both_free(Mistake::RemoteIsFree));
}
