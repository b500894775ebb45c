//! Memory that a forked child shares does not go back.
//!
//! What a process gives back while a child shares it frees nothing: the child has it still, and has it to itself from then on.
//! Servers that save in a child count that as what the fork cost them (redis: `rdb_last_cow_size`), and if one of the two
//! needs the memory again, it exists twice. So after a fork nothing goes back by itself until no child shares the memory.
//!
//! What little is free at the moment of the fork goes back before it.
//!
//! How that is seen: the *sentinel*, an OS page of ours that nobody writes to after a fork. It is this process's alone once
//! each child has ended or has begun another program (`exec`), and the kernel tells whether it is ([`Kernel::is_shared`]).
//!
//! A child may live as long as its parent, and what the parent took and freed after the fork is its own. So all that ends
//! [`LONGEST_MS`] after the fork, and begins anew only with a fork that finds the sentinel unshared. Where memory is short, or
//! the program asks (`malloc_trim`), memory goes back whatever is shared.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;

use brkmap_sys::Kernel;
use brkmap_wire::Rule;

use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::spans::Spans;

/// How long after a fork memory is held at most, in ms.
pub(crate) const LONGEST_MS: u64 = 30_000;
/// Between two questions of who waits for it, in ms.
pub(crate) const PAUSE_MS: u64 = 250;
/// Bytes that the heap of a process owns at least which asks: a smaller one has little to give back, and many fork often.
const LEAST: usize = 8 << 20;
/// Before a fork free memory goes back if it is at most this part of what is in use. A program that has more is about to use
/// it again, and faults of that many OS pages would cost as much as the fork.
const LITTLE: usize = 64;

/// May a child share the memory?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not by a fork that is known of.
    Alone,
    /// Since this time, in ms.
    Shared(u64),
    /// One does for so long that nobody waits for it any more.
    Given,
    /// The kernel does not tell, or is not to be asked.
    Unknown,
}

/// What is known of children; under the store's lock.
pub(crate) struct Kin {
    /// Address of the sentinel; 0 = none yet.
    sentinel: usize,
    /// It is the parent's of this process, which may look at it still.
    inherited: bool,
    state: State,
}

impl Kin {
    pub(crate) const fn new() -> Kin {
        Kin { sentinel: 0, inherited: false, state: State::Alone }
    }

    /// Nobody asks the kernel, so memory goes back whatever is shared.
    pub(crate) fn switch_off(&mut self) {
        self.state = State::Unknown;
    }

    /// In the child of a fork: it has no children.
    pub(crate) fn forget(&mut self) {
        self.inherited = true;
        if self.state != State::Unknown {
            self.state = State::Alone;
        }
    }
}

impl<P: Platform> Engine<P> {
    /// The process is about to fork: what is free goes back, so that no child shares it, and the rest stays for a while.
    pub(crate) fn note_fork(&self, spans: &mut Spans) {
        let owned = spans.owned.iter().sum::<usize>() * SLICE;
        if owned < LEAST || !self.can_return() {
            return;
        }
        if spans.dirty <= spans.used / LITTLE {
            // Whoever takes them afterwards touches zeros in place of a copy. No regret is learnt from it.
            let purged = spans.purged;
            self.purge_dirty(spans, 0, Rule::Fork);
            spans.purged = purged;
        }
        if spans.kin.state == State::Unknown {
            return;
        }
        let Some(sentinel) = self.sentinel(spans) else { return };
        let begins = match spans.kin.state {
            State::Alone => true,
            State::Given => !self.kernel().is_shared(sentinel),
            State::Shared(_) | State::Unknown => false,
        };
        if begins {
            spans.kin.state = State::Shared(self.kernel().now_ms());
        }
    }

    /// Would what went back now stay with a forked child? Whoever waits for it asks again after [`PAUSE_MS`].
    pub(crate) fn is_held(&self, spans: &mut Spans) -> bool {
        let State::Shared(since) = spans.kin.state else { return false };
        if self.is_tight() {
            return false;
        }
        let sentinel = NonNull::new(with_exposed_provenance_mut(spans.kin.sentinel));
        spans.kin.state = match sentinel {
            Some(page) if self.kernel().is_shared(page) => {
                if self.kernel().now_ms().saturating_sub(since) < LONGEST_MS {
                    return true;
                }
                State::Given
            }
            _ => State::Alone,
        };
        false
    }

    /// The sentinel, which no other process shares but those that were forked from this one.
    fn sentinel(&self, spans: &mut Spans) -> Option<NonNull<u8>> {
        let is_own = spans.kin.sentinel != 0 && !spans.kin.inherited;
        if spans.kin.sentinel == 0 {
            let bytes = self.os_page.load(Relaxed);
            spans.kin.sentinel = self.bump_metadata(spans, bytes, bytes)?.expose_provenance().get();
        }
        let page = NonNull::new(with_exposed_provenance_mut::<u8>(spans.kin.sentinel))?;
        if is_own {
            return Some(page);
        }
        // Makes it resident, and a page of this process's own if its parent has it too.
        // SAFETY: [fork-sentinel] an OS page that is the engine's; nobody reads what is written.
        unsafe { page.write_volatile(1) };
        spans.kin.inherited = false;
        if self.kernel().is_shared(page) {
            // Older kernels have another meaning for that bit.
            spans.kin.state = State::Unknown;
            return None;
        }
        Some(page)
    }
}
