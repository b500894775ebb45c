//! From our few inks to what a terminal shows.

use crate::view::style::{Ink, Style};
use ratatui::style::{Color, Modifier, Style as Look};
use ratatui::text::{Line, Span};

/// A line in one ink.
pub(super) fn painted(ink: Ink, text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), look(ink, style))
}

fn look(ink: Ink, style: Style) -> Look {
    match ink {
        Ink::Bold => Look::new().add_modifier(Modifier::BOLD),
        _ if !style.color => Look::new(),
        Ink::Used => Look::new().fg(Color::Blue),
        Ink::Kept => Look::new().fg(Color::Yellow),
        Ink::Alert => Look::new().fg(Color::Magenta).add_modifier(Modifier::BOLD),
    }
}

/// What is selected, and bars: the colours exchanged, which needs no colour.
pub(super) fn reversed(text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), Look::new().add_modifier(Modifier::REVERSED))
}

/// A line of a report, whose codes of colour (those of [`Style::paint`]) become styles.
pub(super) fn line(text: &str) -> Line<'static> {
    let with_color = Style { color: true, ascii: false, width: 0 };
    let mut spans = Vec::new();
    let mut present = Look::new();
    for (index, part) in text.split('\x1b').enumerate() {
        let code = if index == 0 { None } else { part.strip_prefix('[').and_then(|rest| rest.split_once('m')) };
        let shown = match code {
            Some((code, rest)) => {
                present = match code {
                    "1" => look(Ink::Bold, with_color),
                    "34" => look(Ink::Used, with_color),
                    "33" => look(Ink::Kept, with_color),
                    "1;35" => look(Ink::Alert, with_color),
                    _ => Look::new(),
                };
                rest
            }
            None => part,
        };
        if !shown.is_empty() {
            spans.push(Span::styled(shown.to_owned(), present));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_styles_and_text_stays() {
        let style = Style { color: true, ascii: false, width: 80 };
        let text = format!("a {} b {}", style.paint(Ink::Used, "blue"), style.paint(Ink::Alert, "alert"));
        let line = line(&text);
        let parts: Vec<&str> = line.spans.iter().map(|span| span.content.as_ref()).collect();
        assert_eq!(parts, ["a ", "blue", " b ", "alert"]);
        assert_eq!(line.spans[1].style.fg, Some(Color::Blue));
        assert_eq!(line.spans[2].style, Look::new());
        assert!(super::line("").spans.is_empty());
        assert_eq!(super::line("x\x1b[2Jy\x1b[").to_string(), "x[2Jy[", "an unknown code is text, and stays harmless");
    }
}
