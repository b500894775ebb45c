//! The live screen, as lines that fit it exactly: whatever the size, nothing is written outside.

use super::detail::{self, Opened};
use super::table::{command, figures, header};
use super::theme::{line, painted, reversed};
use super::{Head, head, help};
use crate::model::diagnosis::Class;
use crate::model::top::board::{Board, Entry, word};
use crate::model::top::order::Column;
use crate::model::top::ui::{Page, Typing, Ui};
use crate::view::style::{Ink, Style};
use ratatui::text::{Line, Span};

/// Draws a screen of `width` and `height`; tells `ui` how many rows and lines there are.
pub(crate) fn lines(
    ui: &mut Ui,
    board: &Board,
    top: &Head,
    opened: Option<&Opened>,
    (width, height): (usize, usize),
    style: Style,
) -> Vec<Line<'static>> {
    let style = Style { width: width.max(20), ..style };
    let mut lines: Vec<Line<'static>> = Vec::new();
    match ui.page {
        Page::List => list(&mut lines, ui, board, top, (width, height), style),
        Page::Detail(id, at) => {
            let Some(entry) = board.get(id) else {
                ui.page = Page::List;
                return self::lines(ui, board, top, opened, (width, height), style);
            };
            let title = format!(" pid {} {}", id.pid, command(entry, 0, style.ascii));
            lines.push(Line::from(reversed(filled(&title, width))));
            let page = detail::lines(entry, opened, style);
            let page: Vec<Line> = page.iter().map(|text| line(text)).collect();
            paged(&mut lines, ui, page, at, height, |at| Page::Detail(id, at));
        }
        Page::Help(at) => {
            lines.push(Line::from(reversed(filled(" brkmap top", width))));
            let page = help::LINES.iter().map(|text| Line::from((*text).to_owned())).collect();
            paged(&mut lines, ui, page, at, height, Page::Help);
        }
        Page::Sort(at) => {
            lines.push(Line::from(reversed(filled(" Sort by", width))));
            for (index, column) in Column::ALL.iter().enumerate() {
                let text = filled(&format!("{} {}", if index == at { ">" } else { " " }, column.label()), width);
                lines.push(Line::from(if index == at { reversed(text) } else { Span::raw(text) }));
            }
        }
    }
    lines.truncate(height.saturating_sub(1));
    lines.resize(height.saturating_sub(1), Line::default());
    if height > 0 {
        lines.push(footer(ui, width, style));
    }
    lines
}

/// Text cut to a width, with dots where there is room for them.
fn fit(text: &str, width: usize) -> String {
    if width > 8 { crate::view::cut(text, width) } else { text.chars().take(width).collect() }
}

/// Text cut or filled to a width.
fn filled(text: &str, width: usize) -> String {
    format!("{:<width$}", fit(text, width))
}

fn list(
    lines: &mut Vec<Line<'static>>,
    ui: &mut Ui,
    board: &Board,
    top: &Head,
    (width, height): (usize, usize),
    style: Style,
) {
    for text in head(board, top) {
        lines.push(Line::from(painted(Ink::Bold, fit(&text, width), style)));
    }
    lines.push(Line::from(reversed(filled(&header(&ui.order, style.ascii), width))));
    ui.height = height.saturating_sub(lines.len() + 1);
    let rows = ui.rows(board);
    for row in rows.iter().skip(ui.first).take(ui.height) {
        let Some(entry) = board.get(row.id) else { continue };
        let is_selected = ui.selected == Some(row.id);
        let mark = match (is_selected, entry.tagged) {
            (true, _) => '>',
            (false, true) => '*',
            (false, false) => ' ',
        };
        let shown: String = command(entry, row.depth, style.ascii).chars().skip(ui.shift).collect();
        let text = format!("{mark}{}{shown}", figures(entry));
        lines.push(match is_selected {
            true => Line::from(reversed(filled(&text, width))),
            false => colored(entry, &fit(&text, width), style),
        });
    }
    if rows.is_empty() {
        let why = if ui.order.filter.is_empty() { "no process" } else { "no process fits the filter; Esc: all again" };
        lines.push(Line::from(fit(&format!("  {why}"), width)));
    }
}

/// A row whose verdict has the ink that fits it.
fn colored(entry: &Entry, text: &str, style: Style) -> Line<'static> {
    let ink = match (&entry.summary, &entry.trouble, entry.gone) {
        (_, _, Some(_)) | (_, Some(_), _) | (None, _, _) => None,
        (Some(summary), None, None) => match summary.class {
            Class::Growing | Class::Unclear => Some(Ink::Alert),
            Class::Fine => Some(Ink::Used),
            Class::NotMalloc => None,
            _ => Some(Ink::Kept),
        },
    };
    let ink = if entry.tagged { Some(Ink::Bold) } else { ink };
    let word = word(entry);
    match (ink, text.find(word)) {
        (Some(Ink::Bold), _) => Line::from(painted(Ink::Bold, text, style)),
        (Some(ink), Some(at)) if !word.is_empty() => Line::from(vec![
            Span::raw(text[..at].to_owned()),
            painted(ink, word, style),
            Span::raw(text[at + word.len()..].to_owned()),
        ]),
        _ => Line::from(text.to_owned()),
    }
}

/// A page that can be scrolled.
fn paged(
    lines: &mut Vec<Line<'static>>,
    ui: &mut Ui,
    page: Vec<Line<'static>>,
    at: usize,
    height: usize,
    make: impl Fn(usize) -> Page,
) {
    ui.height = height.saturating_sub(2);
    ui.page_lines = page.len();
    let at = at.min(page.len().saturating_sub(ui.height));
    ui.page = make(at);
    lines.extend(page.into_iter().skip(at).take(ui.height));
}

/// The keys, or what is typed.
fn footer(ui: &Ui, width: usize, style: Style) -> Line<'static> {
    let typed = match ui.typing {
        Some(Typing::Search) => {
            Some(format!("Search: {}_   Enter done  F3 next  Esc cancel", ui.search.escape_debug()))
        }
        Some(Typing::Filter) => Some(format!("Filter: {}_   Enter done  Esc all", ui.order.filter.escape_debug())),
        None => None,
    };
    if let Some(text) = typed {
        return Line::from(reversed(filled(&text, width)));
    }
    let seconds = format!("{:.2}", ui.interval_ms as f64 / 1000.0);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    let pace = if ui.paused { "standing still".to_owned() } else { format!("{seconds} s") };
    let more = ui.page_lines.saturating_sub(ui.height);
    let keys: &[(&str, &str)] = match ui.page {
        Page::List => &[
            ("F1", "Help"),
            ("F3", "Search"),
            ("F4", "Filter"),
            ("F5", "Tree"),
            ("F6", "Sort"),
            ("Enter", "Page"),
            ("F10", "Quit"),
        ],
        Page::Sort(_) => &[("Up Down", "Choose"), ("Enter", "Sort"), ("Esc", "Back"), ("F10", "Quit")],
        Page::Detail(..) | Page::Help(_) if more > 0 => {
            &[("Up Down PgUp PgDn", "Scroll"), ("Esc", "Back"), ("F10", "Quit")]
        }
        Page::Detail(..) | Page::Help(_) => &[("Esc", "Back"), ("F10", "Quit")],
    };
    let mut spans = Vec::new();
    for (key, word) in keys {
        spans.push(painted(Ink::Bold, *key, style));
        // As in htop, a function key and its word stand together.
        let space = if key.starts_with('F') { "" } else { " " };
        spans.push(reversed(format!("{space}{word} ")));
        spans.push(Span::raw(" "));
    }
    let mut rest = format!("+- {pace}");
    if let Page::Detail(_, at) | Page::Help(at) = ui.page
        && more > 0
    {
        rest += &format!("   line {} of {}", at + 1, ui.page_lines);
    }
    if !ui.order.filter.is_empty() && ui.page == Page::List {
        rest += &format!("  filter: {}", ui.order.filter.escape_debug());
    }
    spans.push(Span::raw(rest));
    let mut line = Line::from(spans);
    // What does not fit is left out.
    let mut room = width;
    line.spans.retain_mut(|span| {
        let length = span.content.chars().count();
        let is_in = room > 0;
        if length > room {
            span.content = span.content.chars().take(room).collect::<String>().into();
        }
        room = room.saturating_sub(length);
        is_in
    });
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::top::board::tests::glance;
    use crate::model::top::ui::Key;

    fn board(count: i32) -> Board {
        let mut board = Board::default();
        let glances = (1..=count).map(|pid| glance(pid, 1, (1000 - pid as u64) << 20)).collect();
        board.refresh(0.0, glances, |pid| Some(format!("/usr/bin/program-{pid} with a long line of arguments")));
        board
    }

    fn drawn(ui: &mut Ui, board: &Board, size: (usize, usize)) -> Vec<String> {
        let style = Style { color: true, ascii: true, width: 0 };
        lines(ui, board, &Head::default(), None, size, style).iter().map(Line::to_string).collect()
    }

    #[test]
    fn a_screen_is_filled_to_its_size_and_not_beyond() {
        let mut board = board(50);
        for size in [(80, 24), (132, 50), (40, 10), (20, 5), (10, 3), (3, 2), (1, 1), (0, 0), (300, 90)] {
            let mut ui = Ui::new(Column::Rss, 2000);
            for key in
                [None, Some(Key::Down), Some(Key::Enter), Some(Key::Char('q')), Some(Key::Function(1)), Some(Key::End)]
                    .into_iter()
                    .chain([
                        Some(Key::Escape),
                        Some(Key::Function(6)),
                        Some(Key::Escape),
                        Some(Key::Char('/')),
                        Some(Key::Char('x')),
                    ])
            {
                if let Some(key) = key {
                    ui.key(key, &mut board);
                }
                let lines = drawn(&mut ui, &board, size);
                assert_eq!(lines.len(), size.1, "{size:?} {key:?}");
                let wide = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                let is_cut_by_the_terminal = matches!(ui.page, Page::Help(_) | Page::Detail(..));
                assert!(wide <= size.0 || is_cut_by_the_terminal, "{size:?} {key:?} {lines:#?}");
            }
        }
    }

    #[test]
    fn the_page_of_a_process_that_is_gone_closes() {
        let mut board = board(3);
        let mut ui = Ui::new(Column::Rss, 2000);
        drawn(&mut ui, &board, (80, 24));
        ui.key(Key::Enter, &mut board);
        let page = drawn(&mut ui, &board, (80, 24)).join("\n");
        assert!(page.contains("pid 1 ") && page.contains("looking at its heap"), "{page}");
        board.refresh(1.0, vec![glance(2, 1, 5)], |_| None);
        assert!(drawn(&mut ui, &board, (80, 24)).join("\n").contains("It has ended"));
        board.refresh(100.0, vec![glance(2, 1, 5)], |_| None);
        assert!(drawn(&mut ui, &board, (80, 24))[0].starts_with("brkmap top"));
    }

    #[test]
    fn the_footer_says_what_is_typed() {
        let mut board = board(3);
        let mut ui = Ui::new(Column::Rss, 2000);
        for key in "\\abc".chars() {
            ui.key(Key::Char(key), &mut board);
        }
        let lines = drawn(&mut ui, &board, (80, 24));
        assert!(lines[23].starts_with("Filter: abc_"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("no process fits")));
        ui.key(Key::Enter, &mut board);
        assert!(drawn(&mut ui, &board, (120, 24))[23].contains("filter: abc"));
    }
}
