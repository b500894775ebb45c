//! The rows of the list, as text: on the screen and, plainly, for pipes.

use super::{Head, head, rate, size};
use crate::model::top::board::{Board, Entry, word};
use crate::model::top::order::{Column, Order, Placed};
use crate::view::cut;

/// Columns in front of the command: name, width, whether it stands on the right.
const COLUMNS: [(&str, usize, bool, Column); 8] = [
    ("PID", 7, true, Column::Pid),
    ("RSS", 6, true, Column::Rss),
    ("LIVE", 6, true, Column::Live),
    ("RETURN", 6, true, Column::Returnable),
    ("PINNED", 6, true, Column::Pinned),
    ("GROWTH/m", 8, true, Column::Growth),
    ("MALLOC", 10, false, Column::Malloc),
    ("VERDICT", 10, false, Column::Verdict),
];

fn pad(text: &str, width: usize, right: bool) -> String {
    if right { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

/// The names of the columns, with a sign at the one that is sorted by.
pub(super) fn header(order: &Order, ascii: bool) -> String {
    let sign = match (order.inverted, ascii) {
        (false, true) => "v",
        (true, true) => "^",
        (false, false) => "▼",
        (true, false) => "▲",
    };
    let name = |name: &str, width: usize, column| {
        let is_key = column == order.column;
        if is_key { format!("{}{sign}", name.chars().take(width - 1).collect::<String>()) } else { name.to_owned() }
    };
    let mut line = " ".to_owned();
    for (text, width, right, column) in COLUMNS {
        line += &pad(&name(text, width, column), width, right);
        line.push(' ');
    }
    line + &name("COMMAND", 8, Column::Command)
}

/// Name of the allocator, shortened.
fn malloc(text: &str) -> String {
    match text {
        text if text.starts_with("brkmap") => "brkmap".to_owned(),
        "its own malloc" => "own".to_owned(),
        text if text.contains(", and ") => text.replacen(", and ", "+", 1).chars().take(10).collect(),
        text => text.chars().take(10).collect(),
    }
}

/// The cells of a process in front of its command, in order.
pub(super) fn cells(entry: &Entry) -> [String; 8] {
    let bytes = |bytes: Option<u64>| bytes.map_or("-".to_owned(), size);
    let summary = entry.summary.as_ref();
    [
        entry.id.pid.to_string(),
        size(entry.rss),
        bytes(summary.and_then(|summary| summary.live)),
        bytes(summary.and_then(|summary| summary.returnable)),
        bytes(summary.and_then(|summary| summary.pinned)),
        entry.growth().filter(|_| entry.gone.is_none()).map_or("-".to_owned(), rate),
        summary.map_or("-".to_owned(), |summary| malloc(&summary.malloc)),
        match word(entry) {
            "" => "-".to_owned(),
            word => word.to_owned(),
        },
    ]
}

/// The figures of a process, aligned below [`header`].
pub(super) fn figures(entry: &Entry) -> String {
    let mut line = String::new();
    for (text, (_, width, right, _)) in cells(entry).iter().zip(COLUMNS) {
        line += &pad(text, width, right);
        line.push(' ');
    }
    line
}

/// The command without the folder of its program, indented in a tree; control characters become spaces.
pub(super) fn command(entry: &Entry, depth: usize, ascii: bool) -> String {
    let branch = if ascii { "`- " } else { "└─ " };
    let indent = if depth > 0 { "  ".repeat(depth.min(20) - 1) + branch } else { String::new() };
    let text: String = entry.command.chars().flat_map(|c| if c.is_control() { ' '.into() } else { Some(c) }).collect();
    let program = text.split(' ').next().unwrap_or_default();
    let folder =
        if program.starts_with('/') || program.starts_with('.') { program.rfind('/').map(|at| at + 1) } else { None };
    indent + &text[folder.unwrap_or(0)..]
}

/// A table for pipes: what is known at this moment, nothing cut unless there is a width.
pub(crate) fn plain(board: &Board, order: &Order, top: &Head, width: Option<usize>, ascii: bool) -> String {
    let mut lines = head(board, top);
    lines.push(String::new());
    lines.push(header(order, ascii));
    for Placed { id, depth } in order.rows(board) {
        if let Some(entry) = board.get(id) {
            lines.push(format!(" {}{}", figures(entry), command(entry, depth, ascii)));
        }
    }
    let fit = |line: &String| width.map_or(line.clone(), |width| cut(line, width)).trim_end().to_owned();
    lines.iter().map(fit).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::Class;
    use crate::model::top::board::tests::glance;
    use crate::model::top::board::{Identity, Summary, Trouble};
    use crate::model::xray::{Row, Xray};

    #[test]
    fn every_row_stands_below_the_names_of_its_columns() {
        let mut board = Board::new(true);
        let command = |pid: i32| Some(format!("/usr/bin/program-{pid} \u{1b}[2J"));
        board.refresh(0.0, vec![glance(7, 1, 412 << 20), glance(4_194_303, 1, 1 << 20)], command);
        board.refresh(60.0, vec![glance(7, 1, 400 << 20), glance(4_194_303, 1, 1 << 20)], command);
        let xray = Xray::with(&[(Row::Live, 100 << 20), (Row::Pinned, 50 << 20), (Row::Returnable, 3 << 30)]);
        let entry = board.get_mut(Identity { pid: 7, start: 1 }).unwrap();
        let (class, malloc) = (Class::Fragmented, "glibc, and jemalloc linked in".to_owned());
        entry.summary = Some(Summary { class, malloc, ..Summary::of(0.0, &xray, None) });
        let other = board.get_mut(Identity { pid: 4_194_303, start: 1 }).unwrap();
        other.trouble = Some(Trouble::Denied("no".to_owned()));
        board.missing(99, 60.0);
        let order = Order { column: Column::Rss, inverted: false, filter: String::new(), tree: false };
        let text = plain(&board, &order, &Head::default(), None, true);
        let expected = "\
brkmap top   3 processes: 1 looked at, 1 denied, 1 gone
RSS 401M  live 100M  returnable 3.0G  pinned 50.0M  growth -12.0M/min

     PID   RSSv   LIVE RETURN PINNED GROWTH/m MALLOC     VERDICT    COMMAND
       7   400M   100M   3.0G  50.0M   -12.0M glibc+jema fragmented program-7  [2J
 4194303   1.0M      -      -      -        0 -          denied     program-4194303  [2J
      99      0      -      -      -        - -          gone
";
        assert_eq!(text, expected);
        let narrow = plain(&board, &order, &Head::default(), Some(40), true);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40));
    }
}
