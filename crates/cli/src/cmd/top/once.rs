//! One table or document, for pipes.

use super::worker::{self, Looked};
use super::{Failure, Scope, board, enter, refresh, style};
use crate::cli::top::Arguments;
use crate::collect::Collector;
use crate::heap::occupancy::Detail;
use crate::model::top::board::{Board, Entry, Identity, Trouble};
use crate::model::top::order::Order;
use crate::view::top::{Head, json, table};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Between the first look and the last, so that growth can be told from standing still.
const OVER: Duration = Duration::from_millis(300);
/// Time for looks where nobody named the processes: the largest come first.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks twice at each process, the largest first, and writes.
pub(super) fn run(arguments: &Arguments, scope: &Scope) -> Result<u8, Failure> {
    let begin = Instant::now();
    let mut board = board(scope);
    let mut collector = Collector::default();
    let mut ids: Vec<(u64, Identity)> = board.entries().filter(|e| e.gone.is_none()).map(|e| (e.rss, e.id)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let is_patient = matches!(scope, Scope::Some(_));
    let mut pass = |board: &mut Board, patience: Duration| {
        for &(_, id) in &ids {
            if !is_patient && begin.elapsed() > patience {
                return;
            }
            if board.get(id).is_some_and(|entry| entry.trouble.is_none()) {
                let looked: Looked = worker::take(id, Detail::Sums, &mut collector, begin);
                enter(board, looked);
            }
        }
    };
    pass(&mut board, PATIENCE * 2 / 3);
    std::thread::sleep(OVER.saturating_sub(begin.elapsed()));
    pass(&mut board, PATIENCE);
    refresh(&mut board, scope, begin.elapsed().as_secs_f64());
    board.forget_gone();
    let order = Order { column: arguments.sort, inverted: false, filter: String::new(), tree: false };
    let head = Head { clock: String::new(), group: scope.group() };
    let text = if arguments.json {
        format!("{:#}\n", json::document(&board, &order, &head))
    } else {
        let width = crate::os::terminal_width(io::stdout().as_raw_fd());
        table::plain(&board, &order, &head, width, style(arguments).ascii)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Failure::tool(format!("cannot write the table to standard output: {error}")));
        }
        _ => {}
    }
    if !arguments.json {
        complain(&board);
    }
    Ok(0)
}

/// Says for one process that may not be read what to do about it.
fn complain(board: &Board) {
    let why = |entry: &Entry| match (&entry.trouble, entry.gone) {
        (Some(Trouble::Denied(why)), None) => Some(why.clone()),
        _ => None,
    };
    let all: Vec<String> = board.entries().filter_map(why).collect();
    match all.as_slice() {
        [] => {}
        [one] => super::super::complain(one),
        [one, rest @ ..] => super::super::complain(&format!("{one} (and {} more)", rest.len())),
    }
}
