//! Which processes are shown, and in which order.

use super::board::{Board, Entry, Identity, word};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// What can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Column {
    Pid,
    Rss,
    Live,
    Returnable,
    Pinned,
    Growth,
    Malloc,
    Verdict,
    Command,
}

impl Column {
    /// All of them, as they stand from left to right.
    pub(crate) const ALL: [Column; 9] = [
        Column::Pid,
        Column::Rss,
        Column::Live,
        Column::Returnable,
        Column::Pinned,
        Column::Growth,
        Column::Malloc,
        Column::Verdict,
        Column::Command,
    ];

    /// What it shows, for menus.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Column::Pid => "PID         number of the process",
            Column::Rss => "RSS         resident memory",
            Column::Live => "LIVE        what the program holds",
            Column::Returnable => "RETURN      what a trim would give back",
            Column::Pinned => "PINNED      free bytes on OS pages that stay",
            Column::Growth => "GROWTH/m    change of RSS per minute",
            Column::Malloc => "MALLOC      allocator in force",
            Column::Verdict => "VERDICT     the judgement in a word",
            Column::Command => "COMMAND     command line",
        }
    }

    /// Whether it is known only of processes that were looked at.
    pub(crate) fn needs_look(self) -> bool {
        !matches!(self, Column::Pid | Column::Rss | Column::Growth | Column::Command)
    }

    /// Whether the largest stand first.
    fn falls(self) -> bool {
        matches!(self, Column::Rss | Column::Live | Column::Returnable | Column::Pinned | Column::Growth)
    }

    /// In the order of this column; what is not known comes last.
    fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let known = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        let of = |pick: fn(&Entry) -> Option<u64>| known(pick(a).map(|n| n as f64), pick(b).map(|n| n as f64));
        let text = |pick: fn(&Entry) -> &str| {
            let (a, b) = (pick(a), pick(b));
            a.is_empty().cmp(&b.is_empty()).then_with(|| a.cmp(b))
        };
        match self {
            Column::Pid => a.id.cmp(&b.id),
            Column::Rss => a.rss.cmp(&b.rss),
            Column::Live => of(|entry| entry.summary.as_ref()?.live),
            Column::Returnable => of(|entry| entry.summary.as_ref()?.returnable),
            Column::Pinned => of(|entry| entry.summary.as_ref()?.pinned),
            Column::Growth => known(a.growth(), b.growth()),
            Column::Malloc => text(|entry| entry.summary.as_ref().map_or("", |summary| &summary.malloc)),
            Column::Verdict => text(word),
            Column::Command => text(|entry| &entry.command),
        }
    }
}

/// How the list stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) column: Column,
    pub(crate) inverted: bool,
    /// Only processes with this text in their command or number; empty for all.
    pub(crate) filter: String,
    /// Children below their parents.
    pub(crate) tree: bool,
}

/// One row of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: Identity,
    /// How deep it stands in the tree.
    pub(crate) depth: usize,
}

/// Whether a process is meant by a text: part of its command, or its number.
pub(crate) fn matches(entry: &Entry, text: &str) -> bool {
    let contains = |whole: &str| whole.to_lowercase().contains(&text.to_lowercase());
    contains(&entry.command) || contains(&entry.name) || entry.id.pid.to_string() == text
}

impl Order {
    /// The rows, from the first to the last.
    pub(crate) fn rows(&self, board: &Board) -> Vec<Placed> {
        let shown = |entry: &&Entry| self.filter.is_empty() || matches(entry, &self.filter);
        let mut entries: Vec<&Entry> = board.entries().filter(shown).collect();
        entries.sort_by(|a, b| {
            let order = self.column.compare(a, b);
            let order = if self.column.falls() != self.inverted { order.reverse() } else { order };
            order.then_with(|| a.id.cmp(&b.id))
        });
        if self.tree { family(&entries) } else { entries.iter().map(|e| Placed { id: e.id, depth: 0 }).collect() }
    }
}

/// Children behind their parents, siblings in the order that they have.
fn family(entries: &[&Entry]) -> Vec<Placed> {
    let known: HashSet<i32> = entries.iter().map(|entry| entry.id.pid).collect();
    let mut children: HashMap<i32, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        let parent = if known.contains(&entry.ppid) && entry.ppid != entry.id.pid { entry.ppid } else { 0 };
        children.entry(parent).or_default().push(entry);
    }
    let mut rows = Vec::new();
    let mut placed = HashSet::new();
    let mut open: Vec<(&Entry, usize)> =
        children.get(&0).into_iter().flatten().rev().map(|&entry| (entry, 0)).collect();
    while let Some((entry, depth)) = open.pop() {
        if placed.insert(entry.id.pid) {
            rows.push(Placed { id: entry.id, depth });
            open.extend(children.get(&entry.id.pid).into_iter().flatten().rev().map(|&child| (child, depth + 1)));
        }
    }
    // Numbers that were given anew can make a ring that hangs on nobody.
    rows.extend(entries.iter().filter(|e| placed.insert(e.id.pid)).map(|e| Placed { id: e.id, depth: 0 }));
    rows
}

#[cfg(test)]
mod tests {
    use super::super::board::Summary;
    use super::super::board::tests::glance;
    use super::*;
    use crate::model::xray::{Row, Xray};

    fn board() -> Board {
        let mut board = Board::default();
        let glances = vec![glance(10, 1, 300), glance(11, 1, 100), glance(12, 1, 200)];
        board.refresh(0.0, glances, |pid| Some(format!("Program-{pid} --flag")));
        let xray = Xray::with(&[(Row::Live, 5)]);
        let live = Some(Summary { live: Some(5), ..Summary::of(0.0, &xray, None) });
        board.get_mut(Identity { pid: 11, start: 1 }).unwrap().summary = live;
        board
    }

    fn pids(order: &Order, board: &Board) -> Vec<i32> {
        order.rows(board).iter().map(|row| row.id.pid).collect()
    }

    fn by(column: Column) -> Order {
        Order { column, inverted: false, filter: String::new(), tree: false }
    }

    #[test]
    fn figures_fall_and_names_rise() {
        let board = board();
        assert_eq!(pids(&by(Column::Rss), &board), [10, 12, 11]);
        assert_eq!(pids(&Order { inverted: true, ..by(Column::Rss) }, &board), [11, 12, 10]);
        assert_eq!(pids(&by(Column::Command), &board), [10, 11, 12]);
        assert_eq!(pids(&by(Column::Live), &board), [11, 10, 12], "what is not known comes last");
        for column in Column::ALL {
            assert_eq!(pids(&by(column), &board).len(), 3);
        }
    }

    #[test]
    fn filters_take_parts_of_commands_and_whole_numbers() {
        let board = board();
        let shown = |filter: &str| pids(&Order { filter: filter.to_owned(), ..by(Column::Pid) }, &board);
        assert_eq!(shown("program-1"), [10, 11, 12]);
        assert_eq!(shown("11 --FLAG"), [11]);
        assert_eq!(shown("12"), [12]);
        assert!(shown("nothing").is_empty());
    }

    #[test]
    fn children_stand_below_their_parents_also_in_a_ring() {
        let mut board = Board::default();
        let child = |pid, ppid, rss| crate::proc::glance::Glance { ppid, ..glance(pid, 1, rss) };
        let glances =
            vec![child(1, 0, 1), child(2, 1, 5), child(3, 1, 9), child(4, 2, 1), child(8, 9, 1), child(9, 8, 1)];
        board.refresh(0.0, glances, |_| None);
        let rows = Order { tree: true, ..by(Column::Rss) }.rows(&board);
        let rows: Vec<(i32, usize)> = rows.iter().map(|row| (row.id.pid, row.depth)).collect();
        assert_eq!(rows, [(1, 0), (3, 1), (2, 1), (4, 2), (8, 0), (9, 0)]);
    }
}
