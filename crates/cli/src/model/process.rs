//! What stays of a process after its end: the snapshot reduced to what the report says.

use super::depth::Depth;
use super::in_force::{self, InForce, Wanted};
use super::policy::Policy;
use super::snapshot::{Moment, Snapshot};
use super::waterfall::Waterfall;
use crate::heap::NamedMemory;
use crate::proc::stat::Stat;
use brkmap_wire::{COUNTERS, Counter};
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Code(i32),
    Signal(i32),
}

impl Outcome {
    /// The status a shell would report.
    pub(crate) fn status(self) -> u8 {
        match self {
            Outcome::Code(code) => code as u8,
            Outcome::Signal(signal) => 128u8.wrapping_add(signal as u8),
        }
    }
}

/// A program that the process ran before its last exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EarlierProgram {
    pub(crate) name: String,
    pub(crate) peak_rss: u64,
    /// How long before the exec it was last looked at.
    pub(crate) age: Duration,
}

/// What malloc did, summed over the engines of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Engine {
    pub(crate) counters: Vec<u64>,
    pub(crate) live_blocks: u64,
    /// Heaps with and without a thread.
    pub(crate) heaps: (u64, u64),
    pub(crate) mmap_threshold: u64,
}

impl Engine {
    /// Value of a counter.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).copied().unwrap_or(0)
    }

    /// Sums over the engines of a process that were in use.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<Engine> {
        let used: Vec<_> = snapshot.heaps.iter().filter(|heap| heap.has_served()).collect();
        let counter = |index: usize| used.iter().filter_map(|heap| heap.counters.get(index)).sum();
        (!used.is_empty()).then(|| Engine {
            counters: (0..COUNTERS).map(counter).collect(),
            live_blocks: used.iter().map(|heap| heap.live_blocks).sum(),
            heaps: used.iter().fold((0, 0), |sum, heap| (sum.0 + heap.heaps.0, sum.1 + heap.heaps.1)),
            mmap_threshold: used.iter().map(|heap| heap.mmap_threshold).max().unwrap_or(0),
        })
    }
}

/// One process in the report.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) ppid: i32,
    pub(crate) command: Vec<String>,
    pub(crate) exe: String,
    pub(crate) moment: Moment,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) peak_rss: u64,
    /// RSS as `/proc/PID/status` has it; the waterfall's own sum is the exact one.
    pub(crate) status_rss: u64,
    pub(crate) swap: u64,
    pub(crate) waterfall: Waterfall,
    pub(crate) in_force: InForce,
    pub(crate) engine: Option<Engine>,
    pub(crate) policy: Policy,
    /// Memory of the toolbox's allocators that have a name, the largest first.
    pub(crate) named: Vec<NamedMemory>,
    pub(crate) heap_error: Option<String>,
    /// It should have changed user, and could not because it was traced.
    pub(crate) lost_privilege: bool,
    pub(crate) stat: Stat,
    pub(crate) earlier: Vec<EarlierProgram>,
    /// How it went over time, and the full looks at it.
    pub(crate) depth: Depth,
}

/// A command line longer than this is cut: a linker's can have a megabyte.
const COMMAND_LIMIT: usize = 4096;

impl Process {
    /// Reduces a snapshot.
    pub(crate) fn of(pid: i32, snapshot: &Snapshot, wanted: &Wanted, moment: Moment) -> Process {
        let waterfall = Waterfall::of(snapshot);
        let mut room = COMMAND_LIMIT;
        let fits = |argument: &&String| {
            room = room.saturating_sub(argument.len() + 1);
            room > 0
        };
        Process {
            pid,
            ppid: snapshot.status.ppid,
            command: snapshot.command.iter().take_while(fits).cloned().collect(),
            exe: snapshot.exe.clone(),
            moment,
            outcome: None,
            // A peak below the present RSS can only come from counters that lag.
            peak_rss: snapshot.status.peak_rss.max(waterfall.rss()),
            status_rss: snapshot.status.rss,
            swap: snapshot.mappings.iter().map(|mapping| mapping.swap).sum(),
            waterfall,
            in_force: in_force::decide(snapshot, wanted),
            engine: Engine::of(snapshot),
            policy: Policy::of(snapshot),
            named: snapshot.named.clone(),
            heap_error: snapshot.heap_error.clone(),
            lost_privilege: moment == Moment::AtExit && lost_privilege(snapshot),
            stat: snapshot.stat,
            earlier: Vec::new(),
            depth: Depth::default(),
        }
    }
}

/// The kernel gives a traced program no rights that its tracer has not.
fn lost_privilege(snapshot: &Snapshot) -> bool {
    let (real, effective) = snapshot.status.users;
    effective != 0
        && real == effective
        && snapshot.executable.as_ref().is_some_and(|executable| executable.is_privileged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_shells() {
        assert_eq!(Outcome::Code(3).status(), 3);
        assert_eq!(Outcome::Code(255).status(), 255);
        assert_eq!(Outcome::Signal(9).status(), 137);
        assert_eq!(Outcome::Signal(64).status(), 192);
    }

    #[test]
    fn a_program_that_could_not_change_user_is_noticed() {
        let lost = |users, is_privileged, moment| {
            let mut snapshot = Snapshot::default();
            snapshot.status.users = users;
            snapshot.executable = Some(crate::model::snapshot::Executable { is_privileged, ..Default::default() });
            Process::of(1, &snapshot, &Wanted::System, moment).lost_privilege
        };
        assert!(lost((1000, 1000), true, Moment::AtExit));
        assert!(!lost((1000, 0), true, Moment::AtExit), "it got its rights");
        assert!(!lost((0, 0), true, Moment::AtExit), "it needed none");
        assert!(!lost((1000, 1000), false, Moment::AtExit));
        assert!(!lost((1000, 1000), true, Moment::StillRunning));
    }

    #[test]
    fn long_commands_are_cut() {
        let command = vec!["x".repeat(100); 1000];
        let snapshot = Snapshot { command, ..Snapshot::default() };
        let process = Process::of(1, &snapshot, &Wanted::System, Moment::AtExit);
        assert!(process.command.iter().map(|argument| argument.len() + 1).sum::<usize>() <= COMMAND_LIMIT);
        assert_eq!(process.engine, None);
    }
}
