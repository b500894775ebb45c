//! Which process is looked at next. A full look reads a whole heap, so looks are bounded: one at a time, at processes that are
//! on the screen, none twice within a refresh, and together no more than a share of one processor.

use super::board::{Board, Entry, Identity};

/// Looks may take up one part in so many of the time.
const SHARE: f64 = 10.0;
/// Seconds between two looks, however short they are.
const BREATH: f64 = 0.02;

/// When the last look was, and what it cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    next: f64,
}

impl Pace {
    /// After a look from `began` to `ended` that had a processor for `cost` seconds.
    pub(crate) fn after(began: f64, ended: f64, cost: f64) -> Pace {
        Pace { next: (began + cost * SHARE).max(ended + BREATH) }
    }

    /// Whether there may be another one.
    pub(crate) fn allows(&self, now: f64) -> bool {
        now >= self.next
    }
}

/// What somebody wants to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The process whose page is open.
    pub(crate) open: Option<Identity>,
    /// On the screen, the selected one first.
    pub(crate) visible: Vec<Identity>,
    /// Whether the order needs a look at the others, too.
    pub(crate) all: bool,
}

/// The next one, if one is due. `interval` is the time between two refreshes.
pub(crate) fn next(board: &Board, wanted: &Wanted, now: f64, interval: f64) -> Option<Identity> {
    let is_due = |entry: &Entry| entry.gone.is_none() && entry.looked.is_none_or(|at| now - at >= interval);
    let oldest = |a: &&Entry, b: &&Entry| a.looked.unwrap_or(-1.0).total_cmp(&b.looked.unwrap_or(-1.0));
    let open = wanted.open.and_then(|id| board.get(id)).filter(|entry| is_due(entry));
    if wanted.open.is_some() {
        return open.map(|entry| entry.id);
    }
    let visible = wanted.visible.iter().filter_map(|&id| board.get(id));
    let due: Vec<&Entry> = visible.chain(board.entries().filter(|e| e.tagged)).filter(|e| is_due(e)).collect();
    let is_new = |entry: &&&Entry| entry.looked.is_none();
    let other = || board.entries().find(|entry| wanted.all && entry.looked.is_none() && entry.gone.is_none());
    // Everybody once before somebody twice.
    let first = due.iter().find(is_new).copied().or_else(other);
    first.or_else(|| due.iter().copied().min_by(oldest)).map(|entry| entry.id)
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::glance;
    use super::*;

    fn id(pid: i32) -> Identity {
        Identity { pid, start: 1 }
    }

    fn board() -> Board {
        let mut board = Board::default();
        board.refresh(0.0, (1..=4).map(|pid| glance(pid, 1, 9)).collect(), |_| None);
        board
    }

    #[test]
    fn looks_leave_nine_tenths_of_the_time() {
        assert!(Pace::default().allows(0.0));
        let pace = Pace::after(9.0, 10.0, 1.0);
        assert!(!pace.allows(18.9) && pace.allows(19.0));
        let quick = Pace::after(10.0, 10.0001, 0.0001);
        assert!(!quick.allows(10.01) && quick.allows(10.03));
        let starved = Pace::after(0.0, 10.0, 1.0);
        assert!(starved.allows(10.03), "what counts is the time that it had a processor");
    }

    #[test]
    fn what_is_on_the_screen_comes_first_and_in_turn() {
        let mut board = board();
        let wanted = Wanted { visible: vec![id(3), id(2)], ..Wanted::default() };
        assert_eq!(next(&board, &wanted, 0.0, 2.0), Some(id(3)), "the selected one");
        board.get_mut(id(3)).unwrap().looked = Some(0.5);
        assert_eq!(next(&board, &wanted, 0.6, 2.0), Some(id(2)));
        board.get_mut(id(2)).unwrap().looked = Some(0.7);
        assert_eq!(next(&board, &wanted, 1.0, 2.0), None, "the rest is not on the screen");
        assert_eq!(next(&board, &wanted, 2.6, 2.0), Some(id(3)), "again when it is due");
        let all = Wanted { all: true, ..wanted };
        assert_eq!(next(&board, &all, 1.0, 2.0), Some(id(1)));
        board.get_mut(id(4)).unwrap().tagged = true;
        assert_eq!(next(&board, &all, 1.0, 2.0), Some(id(4)));
    }

    #[test]
    fn an_open_page_has_the_looks_for_itself() {
        let mut board = board();
        let wanted = Wanted { open: Some(id(2)), visible: vec![id(1)], all: true };
        assert_eq!(next(&board, &wanted, 0.0, 2.0), Some(id(2)));
        board.get_mut(id(2)).unwrap().looked = Some(0.0);
        assert_eq!(next(&board, &wanted, 1.0, 2.0), None);
        board.get_mut(id(2)).unwrap().gone = Some(1.0);
        assert_eq!(next(&board, &wanted, 9.0, 2.0), None, "there is nothing left to look at");
    }
}
