//! Threads that come, take turns, end in every way, and fork.

use crate::driver::{Actor, Driver};
use crate::platform::{Registration, SLOTS};
use crate::shadow::Face;

impl Driver {
    pub(crate) fn switch(&mut self) {
        let slot = self.random.below(SLOTS as u64) as usize;
        if self.actors[slot].is_none() {
            let id = self.next_thread;
            self.next_thread += 1;
            let registration =
                [Registration::Allocates, Registration::Works, Registration::Fails][self.random.below(3) as usize];
            let hooked = registration != Registration::Fails;
            self.stage().registration.lock().expect("no panic yet").set(registration);
            self.stage().reset(slot);
            self.actors[slot] = Some(Actor { id, hooked });
        }
        self.play(slot);
    }

    /// The thread ends as threads do; now and then it uses the heap once more in a late destructor.
    pub(crate) fn end_thread(&mut self) {
        let actor = self.actors[self.slot].expect("a living thread");
        if self.slot == 0 {
            return;
        }
        self.tally.exits += 1;
        if actor.hooked {
            self.engine.thread_exit();
            // libc frees its entry when the function has run.
            let entries: Vec<_> = self.shadow.all().filter(|block| block.face == Face::Libc).copied().collect();
            if let Some(&entry) = entries.first() {
                self.free(entry);
            }
            if self.random.one_in(3) {
                self.allocate();
                self.free_one();
            }
            self.note_registered();
        }
        self.bury();
    }

    /// The thread ends without a word.
    pub(crate) fn die(&mut self) {
        if self.slot != 0 {
            self.tally.deaths += 1;
            self.bury();
        }
    }

    pub(crate) fn bury(&mut self) {
        let actor = self.actors[self.slot].take().expect("a living thread");
        self.say(format_args!("thread {} is gone", actor.id));
        self.sim.kill_thread(actor.id);
        self.play(0);
    }

    pub(crate) fn fork_as_parent(&mut self) {
        self.engine.fork_prepare();
        // A handler of the program that allocates while ours hold the locks.
        let block = self.engine.allocate(100);
        self.admit(block, 100, 16, Face::C);
        self.engine.fork_parent();
        self.tally.forks += 1;
    }

    /// From now on this is the child: the other threads are gone.
    pub(crate) fn fork_as_child(&mut self) {
        self.say(format_args!("fork, as the child"));
        self.engine.fork_prepare();
        for slot in 0..SLOTS {
            if slot != self.slot {
                if let Some(actor) = self.actors[slot].take() {
                    self.sim.kill_thread(actor.id);
                }
                self.stage().reset(slot);
            }
        }
        let id = self.next_thread;
        self.next_thread += 1;
        self.sim.set_process(id);
        // The one thread of the child is its main thread, wherever it is played.
        let mine = self.slot;
        self.actors[mine] = Some(Actor { id, hooked: true });
        self.play(mine);
        self.engine.fork_child();
        if mine != 0 {
            let other = self.next_thread;
            self.next_thread += 1;
            self.actors[0] = Some(Actor { id: other, hooked: true });
        }
        self.tally.forks += 1;
    }
}
