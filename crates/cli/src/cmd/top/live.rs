//! The live screen: keys, refreshes, looks and pictures, in one loop that never waits for a look.

use super::terminal::{self, Screen};
use super::worker::{Looked, Outcome, Worker};
use super::{Failure, Scope, board, enter, refresh};
use crate::cli::top::Arguments;
use crate::heap::occupancy::Detail;
use crate::model::top::board::{Board, Identity};
use crate::model::top::schedule::{self, Pace, Wanted};
use crate::model::top::ui::{Action, Page, Ui};
use crate::os;
use crate::view::style::Style;
use crate::view::top::detail::Opened;
use crate::view::top::{Head, screen};
use ratatui::crossterm::event::{self, Event};
use std::io;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

/// Longest wait for a key: so late may a look or a signal be noticed.
const TICK: Duration = Duration::from_millis(50);

/// Everything that lives while the screen is on.
struct Live {
    scope: Scope,
    board: Board,
    ui: Ui,
    head: Head,
    style: Style,
    worker: Worker,
    begin: Instant,
    refreshed: f64,
    pace: Pace,
    /// Whom the worker looks at, and how closely.
    busy: Option<(Identity, Detail)>,
    /// What is known of the process whose page is open.
    opened: Option<Opened>,
}

/// Shows the screen until somebody quits.
pub(super) fn run(arguments: &Arguments, scope: Scope, style: Style) -> Result<u8, Failure> {
    let signals = terminal::signals();
    let begin = Instant::now();
    let interval = u64::try_from(arguments.interval.as_millis()).unwrap_or(2000);
    let mut live = Live {
        board: board(&scope),
        ui: Ui::new(arguments.sort, interval),
        head: Head { clock: os::time_of_day(), group: scope.group() },
        style,
        worker: Worker::start(begin),
        begin,
        refreshed: 0.0,
        pace: Pace::default(),
        busy: None,
        opened: None,
        scope,
    };
    let mut screen = Screen::new().map_err(|error| lost(&error))?;
    let mut is_stale = true;
    let ended_by = loop {
        match signals.try_recv() {
            Ok(libc::SIGTSTP) => {
                screen.suspend().map_err(|error| lost(&error))?;
                is_stale = true;
            }
            Ok(signal) => break Some(signal),
            Err(_) => {}
        }
        is_stale |= live.refresh();
        is_stale |= live.results()?;
        live.order()?;
        if is_stale {
            let lines = live.lines(screen.size());
            screen.draw(lines).map_err(|error| lost(&error))?;
            is_stale = false;
        }
        if !event::poll(TICK).map_err(|error| lost(&error))? {
            continue;
        }
        is_stale = true;
        if let Event::Key(key) = event::read().map_err(|error| lost(&error))?
            && let Some(key) = terminal::key(key)
        {
            match live.key(key) {
                Action::Draw => {}
                Action::Quit => break None,
                Action::Suspend => screen.suspend().map_err(|error| lost(&error))?,
                Action::Repaint => screen.repaint().map_err(|error| lost(&error))?,
            }
        }
    };
    drop(screen);
    match ended_by {
        // Whoever sent it sees that it was obeyed.
        Some(signal) => os::end_by(signal),
        None => Ok(0),
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::tool(format!("the terminal is lost: {error}; brkmap top --once needs none"))
}

impl Live {
    fn now(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    fn interval(&self) -> f64 {
        self.ui.interval_ms as f64 / 1000.0
    }

    /// Reads RSS of all, if it is time.
    fn refresh(&mut self) -> bool {
        let now = self.now();
        if self.ui.paused || now - self.refreshed < self.interval() {
            return false;
        }
        self.refreshed = now;
        refresh(&mut self.board, &self.scope, now);
        self.head = Head { clock: os::time_of_day(), group: self.scope.group() };
        true
    }

    /// Takes in what the worker brought.
    fn results(&mut self) -> Result<bool, Failure> {
        let looked: Looked = match self.worker.result() {
            Ok(looked) => looked,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => return Err(Failure::tool("the thread that looks at processes ended")),
        };
        let order = self.busy.take();
        self.pace = Pace::after(looked.at - looked.took.as_secs_f64(), looked.at, looked.cost.as_secs_f64());
        let mut looked = looked;
        let heat = match &mut looked.outcome {
            Outcome::Seen(seen) => seen.heat.take(),
            _ => None,
        };
        if let Some((id, inspection)) = enter(&mut self.board, looked)
            && self.open() == Some(id)
        {
            self.opened = Some(Opened { inspection, heat });
            // It was under way when the page was opened, and the page wants more.
            if order == Some((id, Detail::Sums))
                && let Some(entry) = self.board.get_mut(id)
            {
                entry.looked = None;
            }
        }
        Ok(true)
    }

    /// The process whose page is open.
    fn open(&self) -> Option<Identity> {
        match self.ui.page {
            Page::Detail(id, _) => Some(id),
            _ => None,
        }
    }

    /// Sends the worker to the next process, if one is due and there is time.
    fn order(&mut self) -> Result<(), Failure> {
        let now = self.now();
        // Who opens a page waits for it.
        let is_awaited = self.open().and_then(|id| self.board.get(id)).is_some_and(|entry| entry.looked.is_none());
        if self.busy.is_some() || !is_awaited && (self.ui.paused || !self.pace.allows(now)) {
            return Ok(());
        }
        let rows = self.ui.rows(&self.board);
        let visible = rows.iter().skip(self.ui.first).take(self.ui.height).map(|row| row.id);
        let visible = self.ui.selected.into_iter().chain(visible).collect();
        let wanted = Wanted { open: self.open(), visible, all: self.ui.order.column.needs_look() };
        let Some(id) = schedule::next(&self.board, &wanted, now, self.interval()) else { return Ok(()) };
        let detail = if wanted.open == Some(id) { Detail::OsPages } else { Detail::Sums };
        self.busy = Some((id, detail));
        let sent = self.worker.order(id, detail);
        sent.map_err(|_| Failure::tool("the thread that looks at processes ended"))
    }

    fn key(&mut self, key: crate::model::top::ui::Key) -> Action {
        let before = self.open();
        let action = self.ui.key(key, &mut self.board);
        if self.open() != before {
            self.opened = None;
            // Its page wants more than the list did, and at once.
            if let Some(entry) = self.open().and_then(|id| self.board.get_mut(id)) {
                entry.looked = None;
            }
        }
        action
    }

    fn lines(&mut self, size: (usize, usize)) -> Vec<ratatui::text::Line<'static>> {
        screen::lines(&mut self.ui, &self.board, &self.head, self.opened.as_ref(), size, self.style)
    }
}
