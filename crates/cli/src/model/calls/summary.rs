//! Calls added up: by call, by mechanism, by the place in the program that made them, and over time. Needs the same memory
//! for ten calls and for ten million.

use super::{Call, Kind, Mechanism};
use std::collections::HashMap;
use std::time::Duration;

/// So many columns of time.
pub(crate) const COLUMNS: usize = 120;
/// The first columns are so wide; when they are used up, two become one.
const FIRST_WIDTH: Duration = Duration::from_micros(500);
/// So many moves of the mmap threshold are kept: first ones and the last.
const MOVES: usize = 64;

/// A sum of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) refused: u64,
    /// Usable bytes that came.
    pub(crate) came: u64,
    /// Usable bytes that went.
    pub(crate) went: u64,
    /// Bytes whose contents were given back while the range stayed.
    pub(crate) returned: u64,
    /// Address space without access: what came less what went.
    pub(crate) reserved: i64,
    /// What RSS changed by, over the calls of which both ends are known.
    pub(crate) rss: i64,
    /// Time inside, with the tracer's own; over the calls of which it is known.
    pub(crate) took: Duration,
}

impl Tally {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.refused += u64::from(call.answer.is_refused());
        match u64::try_from(call.change.usable) {
            Ok(came) => self.came = self.came.saturating_add(came),
            Err(_) => self.went = self.went.saturating_add(call.change.usable.unsigned_abs()),
        }
        self.returned = self.returned.saturating_add(call.change.returned);
        self.reserved = self.reserved.saturating_add(call.change.reserved);
        self.rss = self.rss.saturating_add(call.rss_effect().unwrap_or(0));
        self.took += call.took.unwrap_or_default();
    }

    fn merge(&mut self, other: &Tally) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.came = self.came.saturating_add(other.came);
        self.went = self.went.saturating_add(other.went);
        self.returned = self.returned.saturating_add(other.returned);
        self.reserved = self.reserved.saturating_add(other.reserved);
        self.rss = self.rss.saturating_add(other.rss);
        self.took += other.took;
    }

    /// How much it matters, for an order.
    pub(crate) fn weight(&self) -> (u64, u64) {
        (self.came.max(self.went).max(self.returned), self.calls)
    }
}

/// The calls of one place in the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) tally: Tally,
    pub(crate) by_kind: [u64; Kind::ALL.len()],
    /// The stack that came first.
    pub(crate) stack: u32,
}

/// A free that moved the mmap threshold of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) at: Duration,
    pub(crate) pid: i32,
    pub(crate) tid: i32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) stack: Option<u32>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) all: Tally,
    pub(crate) by_kind: [Tally; Kind::ALL.len()],
    pub(crate) by_mechanism: [Tally; Mechanism::ALL.len()],
    /// By the number of the place; `None` where the stack is not known.
    pub(crate) sites: HashMap<Option<u32>, Site>,
    pub(crate) columns: Vec<Tally>,
    /// RSS of the process of the last call in each column, where it was read.
    pub(crate) rss: Vec<Option<u64>>,
    pub(crate) width: Duration,
    pub(crate) moves: Vec<Moved>,
    /// Moves that are not kept.
    pub(crate) more_moves: u64,
    /// Processes that made calls.
    pub(crate) processes: Vec<i32>,
    pub(crate) last: Duration,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary {
            all: Tally::default(),
            by_kind: Default::default(),
            by_mechanism: Default::default(),
            sites: HashMap::new(),
            columns: Vec::new(),
            rss: Vec::new(),
            width: FIRST_WIDTH,
            moves: Vec::new(),
            more_moves: 0,
            processes: Vec::new(),
            last: Duration::ZERO,
        }
    }
}

impl Summary {
    /// Adds a call that was made at a place.
    pub(crate) fn add(&mut self, call: &Call, site: Option<u32>) {
        self.all.add(call);
        self.by_kind[call.kind as usize].add(call);
        self.by_mechanism[call.mechanism as usize].add(call);
        let place = self.sites.entry(site).or_default();
        if place.tally.calls == 0 {
            place.stack = call.stack.unwrap_or(0);
        }
        place.tally.add(call);
        place.by_kind[call.kind as usize] += 1;
        if self.processes.last() != Some(&call.pid) && !self.processes.contains(&call.pid) {
            self.processes.push(call.pid);
        }
        self.note_time(call);
        if let Some((from, to)) = call.moved {
            if self.moves.len() == MOVES {
                self.moves.remove(MOVES / 2);
                self.more_moves += 1;
            }
            let Call { at, pid, tid, stack, .. } = *call;
            self.moves.push(Moved { at, pid, tid, from, to, stack });
        }
    }

    fn note_time(&mut self, call: &Call) {
        self.last = self.last.max(call.at);
        let mut index = (call.at.as_nanos() / self.width.as_nanos()) as usize;
        while index >= COLUMNS {
            self.columns = self.columns.chunks(2).map(join).collect();
            self.rss = self.rss.chunks(2).map(|pair| pair.iter().rev().find_map(|rss| *rss)).collect();
            self.width *= 2;
            index = (call.at.as_nanos() / self.width.as_nanos()) as usize;
        }
        if index >= self.columns.len() {
            self.columns.resize(index + 1, Tally::default());
            self.rss.resize(index + 1, None);
        }
        self.columns[index].add(call);
        if call.rss_after.is_some() {
            self.rss[index] = call.rss_after;
        }
    }

    /// The places, the weightiest first.
    pub(crate) fn by_weight(&self) -> Vec<(Option<u32>, &Site)> {
        let mut all: Vec<_> = self.sites.iter().map(|(key, site)| (*key, site)).collect();
        all.sort_by_key(|(key, site)| (std::cmp::Reverse(site.tally.weight()), *key));
        all
    }
}

fn join(pair: &[Tally]) -> Tally {
    let mut both = Tally::default();
    pair.iter().for_each(|tally| both.merge(tally));
    both
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Change};
    use super::*;

    fn call(at: u64, usable: i64) -> Call {
        Call {
            at: Duration::from_micros(at),
            took: Some(Duration::from_micros(3)),
            pid: 1 + (at % 3) as i32,
            tid: 1,
            kind: if usable < 0 { Kind::Munmap } else { Kind::Mmap },
            arguments: [0; 6],
            answer: if usable == 0 { Answer::Refused(12) } else { Answer::Value(0) },
            mechanism: Mechanism::Private,
            change: Change { usable, ..Change::default() },
            rss_before: (usable < 0).then_some(10_000),
            rss_after: Some((10_000 + usable) as u64),
            stack: None,
            moved: None,
        }
    }

    #[test]
    fn every_view_adds_up_to_the_same() {
        let mut summary = Summary::default();
        for step in 0..10_000u64 {
            let usable = [4096, -4096, 8192, 0][step as usize % 4];
            summary.add(&call(step * 977, usable), Some((step % 7) as u32));
        }
        let views = [
            join(&summary.by_kind),
            join(&summary.by_mechanism),
            join(&summary.columns),
            join(&summary.sites.values().map(|site| site.tally.clone()).collect::<Vec<_>>()),
        ];
        for view in views {
            assert_eq!(view, summary.all);
        }
        let all = &summary.all;
        assert_eq!((all.calls, all.refused, all.came, all.went), (10_000, 2500, 30_720_000, 10_240_000));
        assert_eq!((all.rss, all.took), (-10_240_000, Duration::from_micros(30_000)));
        assert_eq!(summary.processes.len(), 3);
        assert!(summary.columns.len() <= COLUMNS && summary.columns.len() > COLUMNS / 2 - 1);
        assert!(summary.width * COLUMNS as u32 > summary.last);
    }

    #[test]
    fn the_first_and_the_last_moves_are_kept() {
        let mut summary = Summary::default();
        for step in 0..1000 {
            summary.add(&Call { moved: Some((step, step + 1)), ..call(step, -4096) }, None);
        }
        assert_eq!((summary.moves.len() as u64 + summary.more_moves, summary.moves[0].from), (1000, 0));
        assert_eq!(summary.moves.last().unwrap().to, 1000);
    }

    #[test]
    fn places_stand_by_their_bytes() {
        let mut summary = Summary::default();
        for (bytes, site) in [(4096, 1), (8192, 2), (-16384, 3), (4096, 1), (4096, 1)] {
            summary.add(&call(1, bytes), Some(site));
        }
        let order: Vec<_> = summary.by_weight().iter().map(|(site, _)| site.unwrap()).collect();
        assert_eq!(order, [3, 1, 2]);
    }
}
