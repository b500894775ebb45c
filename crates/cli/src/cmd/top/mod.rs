//! `brkmap top`.

mod live;
mod once;
mod scope;
mod terminal;
mod worker;

use super::Failure;
use crate::cli::top::Arguments;
use crate::model::top::board::{Board, Identity, Summary, Trouble};
use crate::view::inspect::Inspection;
use crate::view::style::{Style, locale_is_ascii, wants_color};
use scope::Scope;
use std::io::{self, IsTerminal};
use worker::{Looked, Outcome};

/// Watches, or looks once.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let scope = Scope::of(arguments)?;
    let is_terminal = io::stdout().is_terminal();
    if arguments.once || arguments.json || !is_terminal {
        return once::run(arguments, &scope);
    }
    let variable = |name: &str| std::env::var(name).ok();
    if variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(Failure::tool("this terminal (TERM) cannot show a live screen; use brkmap top --once"));
    }
    live::run(arguments, scope, style(arguments))
}

fn style(arguments: &Arguments) -> Style {
    let variable = |name: &str| std::env::var(name).ok();
    Style {
        color: wants_color(arguments.color, io::stdout().is_terminal(), variable),
        ascii: arguments.ascii || locale_is_ascii(variable),
        width: 80,
    }
}

/// The board at the start: those that were asked for stay on it.
fn board(scope: &Scope) -> Board {
    let mut board = Board::new(matches!(scope, Scope::Some(_)));
    refresh(&mut board, scope, 0.0);
    if let Scope::Some(pids) = scope {
        for &pid in pids {
            board.missing(pid, 0.0);
        }
    }
    board
}

/// Reads what everybody may know of the processes.
fn refresh(board: &mut Board, scope: &Scope, at: f64) {
    board.refresh(at, scope.glances(), scope::command);
}

/// Enters what a look brought; returns the whole of it.
fn enter(board: &mut Board, looked: Looked) -> Option<(Identity, Inspection)> {
    let Looked { id, at, took, outcome, .. } = looked;
    let entry = board.get_mut(id)?;
    entry.looked = Some(at);
    match outcome {
        Outcome::Seen(seen) => {
            let growth = entry.sample(at, seen.xray.clone());
            let figures = Summary::of(at, &seen.xray, growth.as_ref());
            let inspection = Inspection::new(id.pid, seen.look, seen.xray, growth, took);
            let (malloc, diagnosis) = (inspection.malloc.clone(), &inspection.diagnosis);
            let (class, confidence, text) = (diagnosis.class, diagnosis.confidence.key(), diagnosis.text.clone());
            entry.summary = Some(Summary { malloc, class, confidence, text, ..figures });
            entry.trouble = None;
            Some((id, inspection))
        }
        // The next refresh notices by itself.
        Outcome::Gone => None,
        Outcome::Denied(why) => {
            entry.trouble = Some(Trouble::Denied(why));
            None
        }
        Outcome::Unreadable(why) => {
            entry.trouble = Some(Trouble::Unreadable(why));
            None
        }
    }
}
