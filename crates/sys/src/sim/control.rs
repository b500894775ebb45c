//! What a test does to a simulated kernel and asks it.

use std::ffi::CString;
use std::sync::atomic::Ordering;

use super::brk::{Outcome, Owner};
use super::{Call, Fault, Foreign, Mapping, Sim};

/// What the other user of the break writes on its memory.
pub(super) const FOREIGN: u8 = 0xF0;

impl Sim {
    /// Makes calls fail, in addition to the plans that are there.
    pub fn fail(&self, call: Call, fault: Fault) {
        if let Fault::Nth(0) | Fault::From(0) | Fault::Every(0) = fault {
            panic!("{fault:?}: calls are counted from 1");
        }
        self.state().faults.add(call, fault);
    }

    /// Forgets all plans of [`fail`](Sim::fail).
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// How often it was called.
    pub fn calls(&self, call: Call) -> u64 {
        self.state().faults.calls(call)
    }

    /// How often it was refused, by plan, by a limit or for want of room.
    pub fn refused(&self, call: Call) -> u64 {
        self.state().faults.refused(call)
    }

    /// Refuses every use of the break from now on, as a sandbox does.
    pub fn close_break(&self) {
        self.state().brk.close();
    }

    /// The break grows no further than this many bytes above its start, as with `RLIMIT_DATA` or a mapping in its way.
    pub fn limit_break(&self, bytes: usize) {
        self.state().brk.limit(bytes);
    }

    /// The limit of mapped bytes, as `RLIMIT_AS`; the break does not count.
    pub fn limit_bytes(&self, bytes: usize) {
        self.state().byte_limit = bytes;
    }

    /// The limit of mappings, as `vm.max_map_count`.
    pub fn limit_mappings(&self, count: usize) {
        self.state().area_limit = count;
    }

    /// Somebody else calls `sbrk(delta)`; where the break was, or `None` if it was refused. What it gets, it fills.
    ///
    /// # Panics
    /// If it shrinks over memory that is not its own.
    pub fn foreign_sbrk(&self, delta: isize) -> Option<usize> {
        let mut state = self.state();
        let outcome = state.brk.shift(delta, Owner::Foreign);
        self.followed(&mut state, outcome)
    }

    /// Somebody else moves the break by a raw call, of which libc knows nothing.
    pub fn foreign_brk(&self, delta: isize) -> Option<usize> {
        let mut state = self.state();
        let outcome = state.brk.shift_raw(delta, Owner::Foreign);
        self.followed(&mut state, outcome)
    }

    fn followed(&self, state: &mut super::State, outcome: Outcome) -> Option<usize> {
        match outcome {
            Outcome::Refused => None,
            Outcome::Moved { old, new } => {
                state.follow_break(old, new, Owner::Foreign);
                Some(old)
            }
        }
    }

    /// From now on somebody else takes `bytes` of the break before each `every`-th move of the caller, if that
    /// grows it.
    pub fn share_break(&self, every: u64, bytes: usize) {
        assert!(every > 0, "share_break counts from 1");
        self.state().foreign = Some(Foreign { every, bytes });
    }

    /// Is what the other user of the break wrote still there? Else the first address where it is not.
    pub fn foreign_damage(&self) -> Option<usize> {
        let state = self.state();
        state.brk.foreign().into_iter().find_map(|(start, end)| {
            // SAFETY: [simulated-space] memory below the break, open
            (start..end).find(|&at| unsafe { (at as *const u8).read_volatile() } != FOREIGN)
        })
    }

    /// From the first break to the present one; what a refused `program_break` hides.
    pub fn break_range(&self) -> (usize, usize) {
        self.state().brk.range()
    }

    /// All mappings in order.
    pub fn mappings(&self) -> Vec<Mapping> {
        self.state().areas.list()
    }

    /// Bytes that are mapped; the break does not count.
    pub fn mapped_bytes(&self) -> usize {
        self.state().areas.bytes()
    }

    /// Bytes of mappings and break that are in memory.
    pub fn resident_bytes(&self) -> usize {
        let state = self.state();
        let (start, now) = state.brk.range();
        let (low, high) = state.brk.accessible(now);
        let below_break = if now > start { state.memory.resident(low, high) } else { 0 };
        let mapped = state.areas.list();
        below_break + mapped.iter().map(|area| state.memory.resident(area.start, area.end)).sum::<usize>()
    }

    /// Bytes that were purged, honestly.
    pub fn purged_bytes(&self) -> u64 {
        self.state().purged
    }

    /// Bytes that were mapped when huge pages were asked for there.
    pub fn huge_bytes(&self) -> usize {
        self.state().huge.len() * self.config().page_size
    }

    /// Bytes that were mapped when it was said that they shall not become huge pages, whatever the system does by itself.
    pub fn never_huge_bytes(&self) -> usize {
        self.state().never_huge.len() * self.config().page_size
    }

    /// Bytes that were purged and that a control group would still be charged for if all memory were of huge pages: parts
    /// of such as were not split before.
    pub fn stuck_bytes(&self) -> usize {
        self.state().stuck
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.state().now_ms += ms;
    }

    /// The thread ended without telling anybody.
    pub fn kill_thread(&self, thread: u32) {
        self.state().dead.insert(thread);
    }

    /// The thread id is in use (again).
    pub fn revive_thread(&self, thread: u32) {
        self.state().dead.remove(&thread);
    }

    /// Spawned threads that run at present.
    pub fn spawned(&self) -> u32 {
        self.0.spawned.load(Ordering::Acquire)
    }

    /// What process this is, as after a fork.
    pub fn set_process(&self, id: u32) {
        self.state().process = id;
    }

    /// From now on a forked child shares all OS pages, or none does any more.
    pub fn set_shared(&self, shared: bool) {
        self.state().shared = shared;
    }

    /// Puts a file there; `None` takes it away.
    ///
    /// # Panics
    /// If the path has a zero in it.
    pub fn set_file(&self, path: &str, contents: Option<&str>) {
        let path = CString::new(path).expect("a path without a zero");
        let mut state = self.state();
        match contents {
            Some(text) => state.files.insert(path, text.into()),
            None => state.files.remove(&path),
        };
    }

    /// Takes what was written to fd 2.
    pub fn take_errors(&self) -> String {
        let text = std::mem::take(&mut self.state().errors);
        String::from_utf8_lossy(&text).into_owned()
    }
}
