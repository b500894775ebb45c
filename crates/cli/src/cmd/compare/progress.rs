//! What is going on, on standard error: one line that changes on a terminal, else a line for each round.

use crate::model::compare::metric::seconds;
use crate::view::cut;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// See the module.
pub(super) struct Progress {
    is_terminal: bool,
    width: usize,
    begin: Instant,
    total: usize,
    done: usize,
    /// When the first measured run began.
    measuring_since: Option<Instant>,
}

impl Progress {
    /// For so many measured runs.
    pub(super) fn new(total: usize) -> Progress {
        let error = io::stderr();
        let width = crate::os::terminal_width(error.as_raw_fd()).unwrap_or(80);
        let is_terminal = error.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Progress { is_terminal, width, begin: Instant::now(), total, done: 0, measuring_since: None }
    }

    /// A warm-up run begins.
    pub(super) fn warming_up(&mut self, number: usize, all: usize, name: &str) {
        self.show(&format!("warm-up {number} of {all}, {name}"));
    }

    /// A measured run begins.
    pub(super) fn measuring(&mut self, name: &str) {
        self.measuring_since.get_or_insert_with(Instant::now);
        if self.is_terminal {
            let text = format!("run {} of {}, {name}{}", self.done + 1, self.total, self.left());
            self.show(&text);
        }
    }

    /// A measured run ended.
    pub(super) fn measured(&mut self) {
        self.done += 1;
    }

    /// All cells had their run of this round.
    pub(super) fn round(&mut self, number: usize, all: usize) {
        if !self.is_terminal {
            self.show(&format!("round {number} of {all} done{}", self.left()));
        }
    }

    /// Something that stays on the screen.
    pub(super) fn say(&mut self, text: &str) {
        self.clear();
        super::super::complain(text);
    }

    /// Takes the changing line away.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn left(&self) -> String {
        let Some(since) = self.measuring_since.filter(|_| self.done > 0 && self.done < self.total) else {
            return String::new();
        };
        let each = since.elapsed().as_secs_f64() / self.done as f64;
        let left = each * self.total.saturating_sub(self.done) as f64;
        format!("; {} so far, about {} left", seconds(self.begin.elapsed().as_secs_f64()), seconds(left))
    }

    // Where standard error is closed, nobody wants to know.
    fn show(&self, text: &str) {
        let _ = if self.is_terminal {
            write!(io::stderr(), "\r\x1b[K{}", cut(&format!("brkmap: {text}"), self.width.saturating_sub(1)))
        } else {
            writeln!(io::stderr(), "brkmap: {text}")
        };
    }
}
