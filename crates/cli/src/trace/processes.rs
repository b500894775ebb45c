//! The living processes of a run, and what stays of the ended ones.

use super::kernel::Chunks;
use super::track::{Track, Tracks};
use crate::collect::{self, Collector};
use crate::heap::glibc::Chain;
use crate::heap::occupancy::Detail;
use crate::model::depth::Depth;
use crate::model::in_force::Wanted;
use crate::model::process::{EarlierProgram, Outcome, Process};
use crate::model::snapshot::{Moment, Snapshot};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// So many ended processes are kept; of the rest only the number.
const KEPT: usize = 20_000;
/// So many processes are looked at in one round.
const ROUND: usize = 64;
/// Two exits of one process within this time show the same memory.
const SAME_EXIT: Duration = Duration::from_millis(10);
/// Of so many processes besides the command's own, timelines and full looks are kept.
const DEEP: usize = 16;

#[derive(Default)]
struct Living {
    /// Threads that are not in the exit path yet.
    threads: HashSet<i32>,
    traced: bool,
    /// Between vfork (or posix_spawn) and exec it runs in its parent's memory.
    borrowed: bool,
    has_exec: bool,
    observed: Option<(Process, Instant)>,
    /// Name and peak of the present program at the last look.
    sample: Option<(String, u64, Instant)>,
    earlier: Vec<EarlierProgram>,
    track: Track,
    /// What is known of its heap now that it is about to end.
    chain: Chain,
}

/// See the module.
pub(super) struct Processes {
    wanted: Wanted,
    collector: Collector,
    tracks: Tracks,
    /// The command's own process.
    main: i32,
    /// Process of each known thread.
    threads: HashMap<i32, i32>,
    living: HashMap<i32, Living>,
    ended: Vec<Process>,
    /// Ended processes that never ran a program of their own: the news that one had borrowed its memory may be late.
    never_exec: HashSet<i32>,
    not_kept: u64,
}

impl Processes {
    pub(super) fn new(wanted: Wanted, begin: Instant) -> Processes {
        Processes {
            wanted,
            collector: Collector::default(),
            tracks: Tracks::new(begin),
            main: 0,
            threads: HashMap::new(),
            living: HashMap::new(),
            ended: Vec::new(),
            never_exec: HashSet::new(),
            not_kept: 0,
        }
    }

    /// Full looks shall see heaps so closely.
    pub(super) fn look_closely(&mut self, detail: Detail) {
        self.collector.detail = detail;
        self.tracks.looker.detail = detail;
    }

    /// Enters the command's own process.
    pub(super) fn begin(&mut self, pid: i32, traced: bool) {
        self.main = pid;
        self.threads.insert(pid, pid);
        self.living.insert(pid, Living { threads: HashSet::from([pid]), traced, ..Living::default() });
    }

    /// Whether events of this thread come from tracing.
    pub(super) fn is_traced(&self, tid: i32) -> bool {
        let pid = self.threads.get(&tid).copied().unwrap_or(tid);
        self.living.get(&pid).is_none_or(|living| living.traced)
    }

    /// Process of a known thread.
    pub(super) fn of(&self, tid: i32) -> Option<i32> {
        self.threads.get(&tid).copied()
    }

    /// All threads that are known.
    pub(super) fn all_threads(&self) -> Vec<i32> {
        self.threads.keys().copied().collect()
    }

    /// The living processes.
    pub(super) fn all(&self) -> Vec<i32> {
        self.living.keys().copied().collect()
    }

    /// A process that traces others has to stay traced.
    pub(super) fn stays_traced(&mut self, pid: i32) {
        if let Some(living) = self.living.get_mut(&pid) {
            living.traced = true;
        }
    }

    /// Enters a thread that reports for the first time. Its first stop may come before its parent's report of it.
    pub(super) fn see(&mut self, tid: i32) {
        if self.threads.contains_key(&tid) {
            return;
        }
        let pid = collect::status(tid).map_or(tid, |status| if status.tgid > 0 { status.tgid } else { tid });
        self.threads.insert(tid, pid);
        let living = self.living.entry(pid).or_insert_with(|| Living { traced: true, ..Living::default() });
        living.threads.insert(tid);
    }

    /// A new process runs in its parent's memory until its exec.
    pub(super) fn shares_memory(&mut self, pid: i32) {
        if self.never_exec.remove(&pid) {
            self.ended.retain(|process| process.pid != pid);
        } else {
            let fresh = || Living { traced: true, ..Living::default() };
            let living = self.living.entry(pid).or_insert_with(fresh);
            living.borrowed = !living.has_exec;
        }
    }

    /// A process runs a new program. The result tells whether to stop tracing it, because it traces others itself.
    pub(super) fn exec(&mut self, pid: i32, former: i32) -> bool {
        self.see(pid);
        let Some(living) = self.living.get_mut(&pid) else { return false };
        for thread in living.threads.drain().chain([former]) {
            self.threads.remove(&thread);
        }
        self.threads.insert(pid, pid);
        living.threads.insert(pid);
        if let Some((name, peak_rss, when)) = living.sample.take() {
            living.earlier.push(EarlierProgram { name, peak_rss, age: when.elapsed() });
        }
        (living.borrowed, living.has_exec, living.observed) = (false, true, None);
        living.track.exec();
        let is_tracer = self.collector.is_tracer(pid);
        living.traced = !is_tracer;
        is_tracer
    }

    /// A process is about to end, and these are chunks of its heap. Where other threads run, they may change them yet.
    pub(super) fn chunks(&mut self, chunks: &Chunks) {
        if let Some(living) = self.living.get_mut(&chunks.pid)
            && living.threads.len() == 1
        {
            living.chain.add(chunks.start, chunks.words());
        }
    }

    /// A thread is in the kernel's exit path.
    pub(super) fn exiting(&mut self, tid: i32) {
        let Some(&pid) = self.threads.get(&tid) else { return };
        let Some(living) = self.living.get_mut(&pid) else { return };
        // A leader that left early stays in the kernel's lists until the last thread is gone; here it does not.
        living.threads.remove(&tid);
        let is_last = living.threads.is_empty();
        let is_new = living.observed.as_ref().is_none_or(|(_, when)| when.elapsed() > SAME_EXIT);
        if living.borrowed || !(tid == pid || is_last) || !is_new {
            return;
        }
        if let Some(answer) = self.tracks.last_answer(pid) {
            self.tracks.enter(answer, &mut living.track, living.traced);
        }
        let chain = std::mem::take(&mut living.chain);
        if self.tracks.look_at_end(tid, pid == self.main, chain, &mut living.track, &mut self.collector)
            && let Some(deep) = &living.track.depth.end
        {
            let process = Process::of(pid, &deep.inspection.look.snapshot, &self.wanted, Moment::AtExit);
            living.observed = Some((process, Instant::now()));
            return;
        }
        if let Ok(snapshot) = self.collector.look(tid) {
            // Without memory: another thread already took it away, or the program is not there yet.
            if is_there(&snapshot) {
                let process = Process::of(pid, &snapshot, &self.wanted, Moment::AtExit);
                living.observed = Some((process, Instant::now()));
            }
        }
    }

    /// A thread or process is gone.
    pub(super) fn ended(&mut self, tid: i32, outcome: Outcome, peak_rss: u64) {
        let Some(pid) = self.threads.remove(&tid) else { return };
        if tid != pid {
            if let Some(living) = self.living.get_mut(&pid) {
                living.threads.remove(&tid);
            }
            return;
        }
        let Some(living) = self.living.remove(&pid) else { return };
        self.threads.retain(|_, owner| *owner != pid);
        if !living.borrowed {
            self.keep(pid, living, Some(outcome), peak_rss);
        }
    }

    fn keep(&mut self, pid: i32, living: Living, outcome: Option<Outcome>, peak_rss: u64) {
        if self.ended.len() >= KEPT {
            self.not_kept += 1;
            return;
        }
        let Some((mut process, when)) = living.observed else { return };
        if let Moment::Before(_) = process.moment {
            process.moment = Moment::Before(when.elapsed());
            // The kernel's own figure also covers children; it is needed only where nobody saw the end.
            process.peak_rss = process.peak_rss.max(peak_rss);
        }
        process.outcome = outcome;
        process.earlier = living.earlier;
        process.depth = living.track.depth;
        // The kernel's count of the peak lags; a look counted OS page by OS page.
        let seen = process.depth.highest().map_or(0, |deep| deep.inspection.xray.rss());
        process.peak_rss = process.peak_rss.max(seen);
        if !living.has_exec {
            self.never_exec.insert(pid);
        }
        self.ended.push(process);
        self.thin_out();
    }

    /// Drops the depth of the smallest process if there are too many: a build has thousands of them.
    fn thin_out(&mut self) {
        let main = self.main;
        let is_deep = |process: &&mut Process| process.pid != main && !process.depth.timeline.moments().is_empty();
        if self.ended.iter_mut().filter(is_deep).count() > DEEP
            && let Some(least) = self.ended.iter_mut().filter(is_deep).min_by_key(|process| process.peak_rss)
        {
            least.depth = Depth::default();
        }
    }

    /// Follows the sizes of the living.
    pub(super) fn sample(&mut self) {
        while let Some(answer) = self.tracks.answer() {
            if let Some(living) = self.living.get_mut(&answer.pid) {
                self.tracks.enter(answer, &mut living.track, living.traced);
            }
        }
        let living = self.living.iter_mut().take(ROUND).filter(|(_, living)| !living.borrowed);
        self.tracks.sample(self.main, living.map(|(&pid, living)| (pid, &mut living.track, living.traced)));
    }

    /// Looks at the living: cheaply at the traced ones, fully at those whose end will not be seen.
    pub(super) fn look(&mut self) {
        let mut gone = Vec::new();
        for (&pid, living) in self.living.iter_mut().take(ROUND) {
            if living.traced {
                if let Ok(status) = collect::status(pid)
                    && status.has_memory
                    && !living.borrowed
                {
                    // In the middle of an exec the old name already stands over the new memory.
                    let before = living.sample.take().filter(|(name, ..)| *name == status.name);
                    let peak = before.map_or(0, |(_, peak, _)| peak).max(status.peak_rss);
                    living.sample = Some((status.name, peak, Instant::now()));
                }
                continue;
            }
            match self.collector.look(pid) {
                Ok(snapshot) if is_there(&snapshot) => {
                    let moment = Moment::Before(Duration::ZERO);
                    living.observed = Some((Process::of(pid, &snapshot, &self.wanted, moment), Instant::now()));
                }
                Ok(_) => {}
                // A child of ours stays as a zombie until its end is reported.
                Err(_) if collect::status(pid).is_err() => gone.push(pid),
                Err(_) => {}
            }
        }
        // Only processes that are neither traced nor children of ours: nobody reports their end.
        for pid in gone {
            if let Some(living) = self.living.remove(&pid) {
                self.threads.retain(|_, owner| *owner != pid);
                self.keep(pid, living, None, 0);
            }
        }
    }

    /// Closes the books. What still runs is read once more.
    pub(super) fn finish(mut self) -> (Vec<Process>, u64) {
        let living: Vec<_> = self.living.drain().filter(|(_, living)| !living.borrowed).collect();
        for (pid, mut living) in living {
            match self.collector.look(pid) {
                Ok(snapshot) if snapshot.status.has_memory => {
                    let process = Process::of(pid, &snapshot, &self.wanted, Moment::StillRunning);
                    living.observed = Some((process, Instant::now()));
                }
                _ => {}
            }
            self.keep(pid, living, None, 0);
        }
        (self.ended, self.not_kept)
    }
}

/// Whether there was anything to look at.
fn is_there(snapshot: &Snapshot) -> bool {
    snapshot.status.has_memory && (snapshot.unreadable || !snapshot.mappings.is_empty())
}
