//! What is on the screen and what keys do to it. Keys are those of htop where htop has them.

use super::board::{Board, Identity};
use super::order::{Column, Order, Placed, matches};

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Control(char),
    Function(u8),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What the caller has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing but drawing.
    Draw,
    Quit,
    /// Stop, as a job of the shell.
    Suspend,
    /// Draw everything anew: something else wrote on the terminal.
    Repaint,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    List,
    /// Of one process; first line that is shown.
    Detail(Identity, usize),
    /// First line that is shown.
    Help(usize),
    /// The columns to sort by; the selected one.
    Sort(usize),
}

/// A line at the bottom that is typed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    Search,
    Filter,
}

/// Times between two refreshes, in milliseconds.
const INTERVALS: [u64; 10] = [250, 500, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000, 60_000];

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    pub(crate) page: Page,
    pub(crate) order: Order,
    pub(crate) typing: Option<Typing>,
    pub(crate) search: String,
    /// The process that is selected; it stays selected wherever it moves.
    pub(crate) selected: Option<Identity>,
    /// Where it stood last, for when it goes away.
    place: usize,
    /// First row that is shown, and rows that fit.
    pub(crate) first: usize,
    pub(crate) height: usize,
    /// Lines of the open page, as drawn last.
    pub(crate) page_lines: usize,
    /// First character of commands that is shown.
    pub(crate) shift: usize,
    pub(crate) interval_ms: u64,
    pub(crate) paused: bool,
}

impl Ui {
    pub(crate) fn new(column: Column, interval_ms: u64) -> Ui {
        Ui {
            page: Page::List,
            order: Order { column, inverted: false, filter: String::new(), tree: false },
            typing: None,
            search: String::new(),
            selected: None,
            place: 0,
            first: 0,
            height: 1,
            page_lines: 0,
            shift: 0,
            interval_ms,
            paused: false,
        }
    }

    /// The rows of the list, with a selected one among them and that one in sight.
    pub(crate) fn rows(&mut self, board: &Board) -> Vec<Placed> {
        let rows = self.order.rows(board);
        let found = self.selected.and_then(|id| rows.iter().position(|row| row.id == id));
        self.place = found.unwrap_or(self.place).min(rows.len().saturating_sub(1));
        self.selected = rows.get(self.place).map(|row| row.id);
        let height = self.height.max(1);
        self.first = self.first.clamp((self.place + 1).saturating_sub(height), self.place);
        self.first = self.first.min(rows.len().saturating_sub(height));
        rows
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: Key, board: &mut Board) -> Action {
        match key {
            Key::Control('c') => return Action::Quit,
            Key::Control('z') => return Action::Suspend,
            Key::Control('l') => return Action::Repaint,
            _ => {}
        }
        if let Some(typing) = self.typing {
            self.type_into(typing, key, board);
            return Action::Draw;
        }
        match self.page {
            Page::List => self.list_key(key, board),
            Page::Detail(id, at) => self.scroll(key, at, |at| Page::Detail(id, at)),
            Page::Help(at) => self.scroll(key, at, Page::Help),
            Page::Sort(at) => self.sort_key(key, at),
        }
    }

    fn list_key(&mut self, key: Key, board: &mut Board) -> Action {
        let page = self.height.max(1) as isize;
        match key {
            Key::Char('q') | Key::Function(10) => return Action::Quit,
            Key::Up => self.step(-1, board),
            Key::Down => self.step(1, board),
            Key::PageUp => self.step(-page, board),
            Key::PageDown => self.step(page, board),
            Key::Home => self.step(isize::MIN, board),
            Key::End => self.step(isize::MAX, board),
            Key::Left => self.shift = self.shift.saturating_sub(8),
            Key::Right => self.shift = (self.shift + 8).min(4096),
            Key::Enter => self.page = self.selected.map_or(Page::List, |id| Page::Detail(id, 0)),
            Key::Char('h' | '?') | Key::Function(1) => self.page = Page::Help(0),
            Key::Char('/') | Key::Function(3) => {
                (self.typing, self.search) = (Some(Typing::Search), String::new());
            }
            Key::Char('n') => self.find(board, 1),
            Key::Char('\\') | Key::Function(4) => self.typing = Some(Typing::Filter),
            Key::Char('t') | Key::Function(5) => self.order.tree = !self.order.tree,
            Key::Char('>' | '<' | ',' | '.') | Key::Function(6) => {
                let at = Column::ALL.iter().position(|column| *column == self.order.column);
                self.page = Page::Sort(at.unwrap_or(0));
            }
            Key::Char('I') => self.order.inverted = !self.order.inverted,
            Key::Char('M') => self.sort_by(Column::Rss),
            Key::Char('N') => self.sort_by(Column::Pid),
            Key::Char('+') => self.change_interval(1),
            Key::Char('-') => self.change_interval(-1),
            Key::Char('Z') => self.paused = !self.paused,
            Key::Char(' ') => {
                if let Some(entry) = self.selected.and_then(|id| board.get_mut(id)) {
                    entry.tagged = !entry.tagged;
                }
                self.step(1, board);
            }
            Key::Char('U') => {
                let all: Vec<Identity> = board.entries().map(|entry| entry.id).collect();
                for id in all {
                    if let Some(entry) = board.get_mut(id) {
                        entry.tagged = false;
                    }
                }
            }
            Key::Escape => {
                self.search.clear();
                self.order.filter.clear();
            }
            _ => {}
        }
        Action::Draw
    }

    fn step(&mut self, by: isize, board: &Board) {
        let rows = self.rows(board);
        self.place = self.place.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.selected = rows.get(self.place).map(|row| row.id);
    }

    fn sort_by(&mut self, column: Column) {
        (self.order.column, self.order.inverted) = (column, false);
    }

    fn change_interval(&mut self, by: isize) {
        let place = INTERVALS.iter().position(|&ms| ms >= self.interval_ms).unwrap_or(INTERVALS.len() - 1);
        self.interval_ms = INTERVALS[place.saturating_add_signed(by).min(INTERVALS.len() - 1)];
    }

    /// Keys of a page that is read.
    fn scroll(&mut self, key: Key, at: usize, page: impl Fn(usize) -> Page) -> Action {
        let last = self.page_lines.saturating_sub(self.height);
        let to = match key {
            Key::Function(10) => return Action::Quit,
            Key::Escape | Key::Enter | Key::Backspace | Key::Char('q') => {
                self.page = Page::List;
                return Action::Draw;
            }
            Key::Up => at.saturating_sub(1),
            Key::Down => at + 1,
            Key::PageUp => at.saturating_sub(self.height),
            Key::PageDown | Key::Char(' ') => at + self.height,
            Key::Home => 0,
            Key::End => last,
            Key::Char('+') => {
                self.change_interval(1);
                at
            }
            Key::Char('-') => {
                self.change_interval(-1);
                at
            }
            Key::Char('Z') => {
                self.paused = !self.paused;
                at
            }
            _ => at,
        };
        self.page = page(to.min(last));
        Action::Draw
    }

    fn sort_key(&mut self, key: Key, at: usize) -> Action {
        let last = Column::ALL.len() - 1;
        match key {
            Key::Function(10) => return Action::Quit,
            Key::Escape | Key::Backspace | Key::Char('q') => self.page = Page::List,
            Key::Enter => {
                self.sort_by(Column::ALL[at]);
                self.page = Page::List;
            }
            Key::Up => self.page = Page::Sort(at.saturating_sub(1)),
            Key::Down => self.page = Page::Sort((at + 1).min(last)),
            Key::Home | Key::PageUp => self.page = Page::Sort(0),
            Key::End | Key::PageDown => self.page = Page::Sort(last),
            _ => {}
        }
        Action::Draw
    }

    /// Keys of the line at the bottom.
    fn type_into(&mut self, typing: Typing, key: Key, board: &Board) {
        let text = match typing {
            Typing::Search => &mut self.search,
            Typing::Filter => &mut self.order.filter,
        };
        match key {
            Key::Char(c) if text.chars().count() < 200 => text.push(c),
            Key::Backspace => drop(text.pop()),
            Key::Enter => self.typing = None,
            Key::Escape => {
                text.clear();
                self.typing = None;
            }
            Key::Function(3) if typing == Typing::Search => return self.find(board, 1),
            Key::Up | Key::Down => self.typing = None,
            _ => {}
        }
        if typing == Typing::Search && self.typing.is_some() {
            self.find(board, 0);
        }
    }

    /// Selects the next process that the search means, from so many rows behind the selected one on.
    fn find(&mut self, board: &Board, from: usize) {
        let rows = self.rows(board);
        if self.search.is_empty() || rows.is_empty() {
            return;
        }
        let places = (0..rows.len()).map(|step| (self.place + from + step) % rows.len());
        let is_it = |&place: &usize| board.get(rows[place].id).is_some_and(|entry| matches(entry, &self.search));
        if let Some(place) = { places }.find(is_it) {
            (self.place, self.selected) = (place, Some(rows[place].id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::glance;
    use super::*;

    fn start(count: i32) -> (Ui, Board) {
        let mut board = Board::default();
        let glances = (1..=count).map(|pid| glance(pid, 1, 1000 - pid as u64)).collect();
        board.refresh(0.0, glances, |pid| Some(format!("program{pid}")));
        let mut ui = Ui::new(Column::Rss, 2000);
        ui.height = 10;
        ui.rows(&board);
        (ui, board)
    }

    fn press(ui: &mut Ui, board: &mut Board, keys: &[Key]) -> Action {
        let mut action = Action::Draw;
        for &key in keys {
            action = ui.key(key, board);
            ui.rows(board);
        }
        action
    }

    fn selected(ui: &Ui) -> i32 {
        ui.selected.unwrap().pid
    }

    #[test]
    fn arrows_and_pages_move_and_stay_in_sight() {
        let (mut ui, mut board) = start(35);
        press(&mut ui, &mut board, &[Key::Down, Key::Down, Key::Up]);
        assert_eq!((selected(&ui), ui.first), (2, 0));
        press(&mut ui, &mut board, &[Key::PageDown]);
        assert_eq!((selected(&ui), ui.first), (12, 2));
        press(&mut ui, &mut board, &[Key::End]);
        assert_eq!((selected(&ui), ui.first), (35, 25));
        press(&mut ui, &mut board, &[Key::Down, Key::PageUp]);
        assert_eq!(selected(&ui), 25);
        press(&mut ui, &mut board, &[Key::Home, Key::Up]);
        assert_eq!((selected(&ui), ui.first), (1, 0));
    }

    #[test]
    fn the_selected_process_stays_selected_until_it_goes() {
        let (mut ui, mut board) = start(5);
        press(&mut ui, &mut board, &[Key::Down, Key::Char('I')]);
        assert_eq!(selected(&ui), 2, "wherever it moves");
        board.refresh(100.0, vec![glance(1, 1, 9), glance(5, 1, 5)], |_| None);
        board.refresh(200.0, vec![glance(1, 1, 9), glance(5, 1, 5)], |_| None);
        ui.rows(&board);
        assert_eq!(selected(&ui), 1, "the one at its place");
        let mut empty = Board::default();
        assert!(ui.rows(&empty).is_empty() && ui.selected.is_none());
        press(&mut ui, &mut empty, &[Key::Down, Key::Enter, Key::Char(' '), Key::Char('n'), Key::End]);
        assert_eq!(ui.page, Page::List);
    }

    #[test]
    fn searches_jump_and_filters_hide() {
        let (mut ui, mut board) = start(30);
        let typed: Vec<Key> = "/gram2".chars().map(Key::Char).collect();
        press(&mut ui, &mut board, &typed);
        assert_eq!((selected(&ui), ui.typing), (2, Some(Typing::Search)));
        press(&mut ui, &mut board, &[Key::Function(3)]);
        assert_eq!(selected(&ui), 20);
        press(&mut ui, &mut board, &[Key::Enter, Key::Char('n')]);
        assert_eq!((selected(&ui), ui.typing), (21, None));
        let typed: Vec<Key> = "\\m30".chars().map(Key::Char).collect();
        press(&mut ui, &mut board, &typed);
        assert_eq!((selected(&ui), ui.rows(&board).len()), (30, 1));
        press(&mut ui, &mut board, &[Key::Backspace, Key::Enter]);
        assert_eq!(ui.rows(&board).len(), 2, "3 and 30");
        press(&mut ui, &mut board, &[Key::Escape]);
        assert_eq!(ui.rows(&board).len(), 30);
    }

    #[test]
    fn pages_open_and_close() {
        let (mut ui, mut board) = start(3);
        press(&mut ui, &mut board, &[Key::Enter]);
        assert!(matches!(ui.page, Page::Detail(id, 0) if id.pid == 1));
        ui.page_lines = 25;
        press(&mut ui, &mut board, &[Key::PageDown, Key::PageDown, Key::PageDown]);
        assert!(matches!(ui.page, Page::Detail(_, 15)), "{:?}", ui.page);
        press(&mut ui, &mut board, &[Key::Char('q'), Key::Function(6), Key::Down, Key::Enter]);
        assert_eq!((ui.page, ui.order.column), (Page::List, Column::Live));
        press(&mut ui, &mut board, &[Key::Char('?')]);
        assert_eq!(ui.page, Page::Help(0));
        assert_eq!(press(&mut ui, &mut board, &[Key::Escape, Key::Char('q')]), Action::Quit);
        for page in [Page::List, Page::Help(0), Page::Sort(0), Page::Detail(Identity { pid: 1, start: 1 }, 0)] {
            ui.page = page;
            assert_eq!(press(&mut ui, &mut board, &[Key::Function(10)]), Action::Quit);
            assert_eq!(press(&mut ui, &mut board, &[Key::Control('c')]), Action::Quit);
        }
    }

    #[test]
    fn tags_and_intervals_change() {
        let (mut ui, mut board) = start(3);
        press(&mut ui, &mut board, &[Key::Char(' '), Key::Char(' ')]);
        assert_eq!(board.entries().filter(|entry| entry.tagged).count(), 2);
        assert_eq!(selected(&ui), 3, "one further each time");
        press(&mut ui, &mut board, &[Key::Char('U'), Key::Char('+'), Key::Char('+'), Key::Char('-')]);
        assert_eq!((board.entries().filter(|entry| entry.tagged).count(), ui.interval_ms), (0, 3000));
        press(&mut ui, &mut board, &[Key::Char('-'); 20]);
        assert_eq!(ui.interval_ms, 250);
        press(&mut ui, &mut board, &[Key::Char('+'); 20]);
        assert_eq!(ui.interval_ms, 60_000);
    }
}
