//! What is kept of a living process: its timeline and its best looks, and when the next look is due.

use super::looker::{Answer, Looker, cpu_time, look_now};
use crate::collect::{self, Collector, MemorySize};
use crate::heap::glibc::Chain;
use crate::model::depth::{Deep, Depth, When};
use crate::model::pace::{Budget, News, Watermark};
use crate::model::timeline::Moment;
use std::time::{Duration, Instant};

/// A process whose end will not be seen is looked at this often, if there is time.
const AGAIN: Duration = Duration::from_millis(250);
/// A child that is smaller at its end gets the common look only.
const LARGE_CHILD: u64 = 16 << 20;

/// One process.
#[derive(Default)]
pub(super) struct Track {
    pub(super) depth: Depth,
    mark: Watermark,
    size: MemorySize,
    /// Counts its programs.
    program: u32,
    last_rss: u64,
    last_look: Option<Instant>,
}

impl Track {
    /// Takes a sample; the result is the RSS if a look is worth it, and how much.
    fn sample(&mut self, pid: i32, begin: Instant, is_traced: bool) -> Option<(News, u64)> {
        let (rss, mapped) = self.size.read(pid)?;
        self.last_rss = rss;
        self.depth.timeline.push(Moment { at_ms: millis(begin), rss, mapped, live: None });
        let is_old = !is_traced && self.last_look.is_none_or(|last| last.elapsed() >= AGAIN);
        // What is not traced is gone at its end: then the last look stands for it.
        let news = self.mark.saw(rss).max(is_old.then_some(News::Large));
        news.map(|news| (news, rss))
    }

    /// The process runs a new program: what was seen belongs to the one before.
    pub(super) fn exec(&mut self) {
        *self = Track { program: self.program + 1, ..Track::default() };
    }

    fn add(&mut self, deep: Deep, when: When) {
        let xray = &deep.inspection.xray;
        let moment = Moment {
            at_ms: deep.after.as_millis() as u64,
            rss: deep.rss(),
            mapped: deep.inspection.look.snapshot.status.data,
            live: xray.malloc_seen.then(|| xray.live()),
        };
        match when {
            When::AtEnd => self.depth.timeline.end(moment),
            When::Running | When::Last => self.depth.timeline.push_late(moment),
        }
        self.mark.looked(deep.rss());
        self.last_look = Some(Instant::now());
        self.depth.add(deep, when);
    }
}

fn millis(begin: Instant) -> u64 {
    begin.elapsed().as_millis() as u64
}

/// Decides which process is looked at, within the time that looks may take.
pub(super) struct Tracks {
    begin: Instant,
    pub(super) looker: Looker,
    budget: Budget,
}

impl Tracks {
    pub(super) fn new(begin: Instant) -> Tracks {
        Tracks { begin, looker: Looker::new(begin), budget: Budget::default() }
    }

    /// Samples the living, and asks for a look at the largest that is worth one.
    /// `main` is the command's own process, whose look at the end is certain.
    pub(super) fn sample<'a>(&mut self, main: i32, living: impl Iterator<Item = (i32, &'a mut Track, bool)>) {
        let mut best: Option<(News, u64, i32, u32, bool)> = None;
        for (pid, track, is_traced) in living {
            let Some((news, rss)) = track.sample(pid, self.begin, is_traced) else { continue };
            best = best.max(Some((news, rss, pid, track.program, is_traced && pid == main)));
        }
        let Some((news, rss, pid, program, has_end)) = best else { return };
        let elapsed = self.begin.elapsed();
        if !self.looker.is_free() || !self.budget.allows(rss, elapsed, news, has_end) {
            return;
        }
        // On a busy machine looks shall not take a larger part of a program than elsewhere.
        let had = elapsed.saturating_sub(collect::waited_for_processor(pid));
        if self.budget.allows(rss, had, news, has_end) {
            self.looker.ask(pid, program);
        }
    }

    /// A look that was finished meanwhile, and whose it is.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        self.looker.answer()
    }

    /// The look that is under way at a process which is about to lose its memory.
    pub(super) fn last_answer(&mut self, pid: i32) -> Option<Answer> {
        self.looker.wait_for(pid)
    }

    /// Enters a look.
    pub(super) fn enter(&mut self, answer: Answer, track: &mut Track, is_traced: bool) {
        let rss = answer.deep.as_ref().map_or(0, Deep::rss);
        self.budget.spend(rss, answer.took);
        match answer.deep {
            Some(deep) if track.program == answer.program => {
                track.add(deep, if is_traced { When::Running } else { When::Last });
            }
            // Whatever is in the way (no permission, say) will be there the next time too.
            None => track.mark.looked(track.last_rss),
            Some(_) => {}
        }
    }

    /// Takes the look at the end of a process, through the thread that still has its memory. The command's own process
    /// always gets one, a child if it is large and there is time. `chain` is what is known of its heap.
    pub(super) fn look_at_end(
        &mut self,
        tid: i32,
        is_main: bool,
        chain: Chain,
        track: &mut Track,
        collector: &mut Collector,
    ) -> bool {
        let rss = track.last_rss;
        if !is_main && (rss < LARGE_CHILD || !self.budget.allows(rss, self.begin.elapsed(), News::Large, false)) {
            return false;
        }
        let start = cpu_time();
        collector.chain = chain;
        let deep = look_now(tid, collector, self.begin);
        self.budget.spend(rss, cpu_time().saturating_sub(start));
        deep.map(|deep| track.add(deep, When::AtEnd)).is_some()
    }
}
