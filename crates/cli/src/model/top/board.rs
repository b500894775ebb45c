//! The processes that are watched: at each refresh their RSS, from time to time a full look.

use crate::model::diagnosis::Class;
use crate::model::growth::{Growth, Sample};
use crate::model::xray::{Row, Xray};
use crate::proc::glance::Glance;
use std::collections::{BTreeMap, VecDeque};

/// Moments of RSS that are remembered of a process.
const MOMENTS: usize = 300;
/// Looks that are remembered; beyond them every second one is dropped.
const SAMPLES: usize = 64;
/// Seconds over which growth is measured, and the least time for a word on it.
const WINDOW: f64 = 60.0;
const LEAST: f64 = 0.25;
/// Seconds for which a process stays on the screen after its end, unless it was asked for by its number.
const MOURNING: f64 = 5.0;

/// A process that no other can be taken for: its number and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    pub(crate) start: u64,
}

/// What a look at it said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) at: f64,
    /// What it holds, of malloc or of a runtime whose heap is known.
    pub(crate) live: Option<u64>,
    pub(crate) returnable: Option<u64>,
    pub(crate) pinned: Option<u64>,
    /// Change of what it holds, in bytes per minute.
    pub(crate) live_growth: Option<f64>,
    pub(crate) malloc: String,
    pub(crate) class: Class,
    pub(crate) confidence: &'static str,
    pub(crate) text: String,
}

/// Why there is no look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Denied(String),
    Unreadable(String),
}

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Identity,
    pub(crate) ppid: i32,
    pub(crate) name: String,
    /// Its command line; the name where there is none.
    pub(crate) command: String,
    pub(crate) state: char,
    pub(crate) rss: u64,
    /// Seconds and RSS, oldest first.
    pub(crate) moments: VecDeque<(f64, u64)>,
    pub(crate) summary: Option<Summary>,
    pub(crate) trouble: Option<Trouble>,
    /// When the last look ended, whatever came of it.
    pub(crate) looked: Option<f64>,
    /// When its end was noticed.
    pub(crate) gone: Option<f64>,
    pub(crate) tagged: bool,
    samples: Vec<Sample>,
}

impl Entry {
    fn new(id: Identity) -> Entry {
        Entry {
            id,
            ppid: 0,
            name: String::new(),
            command: String::new(),
            state: '?',
            rss: 0,
            moments: VecDeque::new(),
            summary: None,
            trouble: None,
            looked: None,
            gone: None,
            tagged: false,
            samples: Vec::new(),
        }
    }

    /// Change of RSS in bytes per minute.
    pub(crate) fn growth(&self) -> Option<f64> {
        let &(end, last) = self.moments.back()?;
        // After a long pause the moment before it has to do.
        let before = self.moments.len().checked_sub(2)?;
        let first = self.moments.iter().position(|(at, _)| end - at <= WINDOW).unwrap_or(before);
        let (begin, first) = self.moments[first.min(before)];
        (end - begin >= LEAST).then(|| (last as f64 - first as f64) * 60.0 / (end - begin))
    }

    /// The looks at it, oldest first.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Adds a look to those that growth is judged by.
    pub(crate) fn sample(&mut self, at: f64, xray: Xray) -> Option<Growth> {
        if self.samples.len() >= SAMPLES {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.samples.push(Sample { seconds: at, xray });
        Growth::of(&self.samples)
    }
}

impl Summary {
    /// The figures of a look; the judgement is filled in by whoever has it.
    pub(crate) fn of(at: f64, xray: &Xray, growth: Option<&Growth>) -> Summary {
        let runtime = xray.get(Row::RuntimeLive);
        let malloc = |bytes: u64| xray.malloc_seen.then_some(bytes);
        Summary {
            at,
            live: (xray.malloc_seen || runtime > 0).then(|| xray.live() + runtime),
            returnable: malloc(xray.get(Row::Returnable)),
            pinned: malloc(xray.get(Row::Pinned)),
            live_growth: growth.map(|growth| growth.per_minute(growth.live)),
            malloc: String::new(),
            class: Class::Unclear,
            confidence: "low",
            text: String::new(),
        }
    }
}

/// The processes, by their number.
#[derive(Debug, Default)]
pub(crate) struct Board {
    entries: BTreeMap<i32, Entry>,
    /// Whether those that ended stay.
    keeps_gone: bool,
}

impl Board {
    /// An empty one; `keeps_gone` tells whether processes that ended stay.
    pub(crate) fn new(keeps_gone: bool) -> Board {
        Board { keeps_gone, ..Board::default() }
    }

    /// All of them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One of them.
    pub(crate) fn get(&self, id: Identity) -> Option<&Entry> {
        self.entries.get(&id.pid).filter(|entry| entry.id == id)
    }

    /// One of them.
    pub(crate) fn get_mut(&mut self, id: Identity) -> Option<&mut Entry> {
        self.entries.get_mut(&id.pid).filter(|entry| entry.id == id)
    }

    /// Takes in what is there at a moment. `command` is asked for processes that are new.
    pub(crate) fn refresh(&mut self, at: f64, glances: Vec<Glance>, command: impl Fn(i32) -> Option<String>) {
        let mut seen = std::collections::BTreeSet::new();
        for glance in glances {
            let id = Identity { pid: glance.pid, start: glance.start };
            seen.insert(id.pid);
            let entry = self.entries.entry(id.pid).or_insert_with(|| Entry::new(id));
            if entry.id != id {
                // The number was given to another process.
                *entry = Entry { tagged: false, ..Entry::new(id) };
            }
            if entry.name != glance.name || entry.command.is_empty() {
                entry.command = command(id.pid).filter(|text| !text.is_empty()).unwrap_or_else(|| glance.name.clone());
            }
            (entry.ppid, entry.state, entry.name) = (glance.ppid, glance.state, glance.name.clone());
            if glance.is_zombie() {
                entry.gone.get_or_insert(at);
                continue;
            }
            entry.gone = None;
            entry.rss = glance.rss;
            entry.moments.push_back((at, glance.rss));
            if entry.moments.len() > MOMENTS {
                entry.moments.pop_front();
            }
        }
        for entry in self.entries.values_mut().filter(|entry| !seen.contains(&entry.id.pid)) {
            entry.gone.get_or_insert(at);
            entry.state = 'X';
        }
        let keeps = self.keeps_gone;
        self.entries.retain(|_, entry| keeps || entry.tagged || entry.gone.is_none_or(|gone| at - gone < MOURNING));
    }

    /// Forgets those that ended, unless they were asked for.
    pub(crate) fn forget_gone(&mut self) {
        let keeps = self.keeps_gone;
        self.entries.retain(|_, entry| keeps || entry.gone.is_none());
    }

    /// Enters a process that was asked for and is not there.
    pub(crate) fn missing(&mut self, pid: i32, at: f64) {
        let mut entry = Entry::new(Identity { pid, start: 0 });
        (entry.gone, entry.state) = (Some(at), 'X');
        self.entries.entry(pid).or_insert(entry);
    }
}

/// The verdict in a word that fits a column.
pub(crate) fn word(entry: &Entry) -> &'static str {
    match (&entry.trouble, &entry.summary) {
        _ if entry.gone.is_some() && entry.state == 'Z' => "zombie",
        _ if entry.gone.is_some() => "gone",
        (Some(Trouble::Denied(_)), _) => "denied",
        (Some(Trouble::Unreadable(_)), _) => "unreadable",
        (None, None) => "",
        (None, Some(summary)) => match summary.class {
            Class::Growing => "growing",
            Class::Cached => "cached",
            Class::TopPinned => "top pinned",
            Class::ArenaSpread => "arenas",
            Class::Fragmented => "fragmented",
            Class::ThreadCaches => "caches",
            Class::HugePages => "huge pages",
            Class::LazyFree => "LazyFree",
            Class::NotMalloc => "not malloc",
            Class::Fine => "fine",
            Class::Unclear => "unclear",
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn glance(pid: i32, start: u64, rss: u64) -> Glance {
        Glance { pid, start, rss, ppid: 1, name: format!("p{pid}"), state: 'S', size: rss }
    }

    fn seen(board: &Board) -> Vec<(i32, bool)> {
        board.entries().map(|entry| (entry.id.pid, entry.gone.is_some())).collect()
    }

    #[test]
    fn processes_come_go_and_are_replaced() {
        let mut board = Board::default();
        let command = |pid: i32| Some(format!("command {pid}"));
        board.refresh(0.0, vec![glance(5, 100, 1 << 20), glance(6, 100, 1 << 20)], command);
        board.refresh(2.0, vec![glance(5, 100, 2 << 20)], command);
        assert_eq!(seen(&board), [(5, false), (6, true)]);
        assert_eq!(board.entries().next().unwrap().growth(), Some(f64::from(30 << 20)));
        board.refresh(20.0, vec![glance(5, 900, 7)], command);
        assert_eq!(seen(&board), [(5, false)], "it stays for a while only");
        let entry = board.entries().next().unwrap();
        assert_eq!((entry.growth(), entry.command.as_str()), (None, "command 5"), "another process of the same number");
        assert!(board.get(Identity { pid: 5, start: 100 }).is_none());
    }

    #[test]
    fn those_that_were_asked_for_stay() {
        let mut board = Board::new(true);
        board.missing(9, 0.0);
        board.refresh(0.0, vec![glance(5, 1, 1)], |_| None);
        board.refresh(1000.0, vec![Glance { state: 'Z', ..glance(5, 1, 0) }], |_| None);
        let words: Vec<&str> = board.entries().map(word).collect();
        assert_eq!(words, ["zombie", "gone"]);
        assert_eq!(board.entries().next().unwrap().command, "p5", "the name where there is no command line");
        assert_eq!(board.entries().next().unwrap().rss, 1, "as it was last");
    }

    #[test]
    fn growth_is_that_of_the_last_minute() {
        let mut entry = Entry::new(Identity { pid: 1, start: 1 });
        entry.moments.push_back((0.0, 100 << 20));
        assert_eq!(entry.growth(), None, "one moment");
        entry.moments.push_back((0.1, 101 << 20));
        assert_eq!(entry.growth(), None, "too short");
        entry.moments.extend([(100.0, 10 << 20), (130.0, 15 << 20)]);
        assert_eq!(entry.growth(), Some(f64::from(10 << 20)));
        entry.moments.push_back((1930.0, 45 << 20));
        assert_eq!(entry.growth(), Some(f64::from(1 << 20)), "over the pause");
    }

    #[test]
    fn looks_are_thinned_and_the_first_stays() {
        let mut entry = Entry::new(Identity { pid: 1, start: 1 });
        for index in 0..1000 {
            entry.sample(f64::from(index), Xray::with(&[(Row::Live, 1 << 20)]));
        }
        assert!(entry.samples().len() <= SAMPLES && entry.samples()[0].seconds == 0.0);
        assert_eq!(entry.samples().last().unwrap().seconds, 999.0);
    }
}
