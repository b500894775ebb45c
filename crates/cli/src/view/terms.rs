//! `brkmap explain` in words, and as JSON.

use super::style::{Ink, Style};
use crate::model::terms::{self, Term};
use serde_json::{Value, json};

/// Columns of the words in front of the last lines.
const SUBJECT: usize = 9;

/// Breaks text into lines of at most `width` characters.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// One entry: at most 15 lines at 80 columns.
pub(crate) fn text(term: &Term, style: Style) -> String {
    let width = style.width.min(80);
    let mut lines = vec![style.paint(Ink::Bold, term.name)];
    lines.extend(wrap(&term.text, width - 2).iter().map(|line| format!("  {line}")));
    lines.extend(term.picture.iter().map(|line| style.paint(Ink::Used, &format!("    {line}"))));
    for (subject, text) in [("see", term.see), ("classic", term.classic), ("do", term.remedy), ("source", term.source)]
    {
        for (index, line) in wrap(text, width - 2 - SUBJECT).iter().enumerate() {
            let subject = if index == 0 { subject } else { "" };
            lines.push(format!("  {}{line}", style.paint(Ink::Bold, &format!("{subject:<SUBJECT$}"))));
        }
    }
    lines.join("\n") + "\n"
}

/// All names, in columns.
pub(crate) fn list(style: Style) -> String {
    let names: Vec<&str> = terms::all().iter().map(|term| term.name).collect();
    let cell = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 2;
    let columns = ((style.width.min(100)) / cell).max(1);
    let rows = names.len().div_ceil(columns);
    let mut text = style.paint(Ink::Bold, &format!("{} terms; brkmap explain TERM", names.len())) + "\n";
    for row in 0..rows {
        let line: String = names.iter().skip(row).step_by(rows).map(|name| format!("{name:<cell$}")).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// One entry as data.
fn entry(term: &Term) -> Value {
    json!({
        "name": term.name,
        "also": term.also,
        "text": term.text,
        "picture": term.picture,
        "see": term.see,
        "classic": term.classic,
        "do": term.remedy,
        "source": term.source,
    })
}

/// Entries as one document.
pub(crate) fn document<'a>(terms: impl IntoIterator<Item = &'a Term>) -> Value {
    json!({ "schema_version": 1, "terms": terms.into_iter().map(entry).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { color: false, ascii: true, width: 80 };

    #[test]
    fn every_entry_fits_the_screen_in_plain_letters() {
        for term in terms::all() {
            let text = text(term, STYLE);
            assert!(text.is_ascii(), "{text}");
            assert!(text.lines().count() <= 15, "{} lines: {text}", text.lines().count());
            assert_eq!(text.lines().find(|line| line.len() > 80), None, "{text}");
        }
        let list = list(STYLE);
        assert!(list.lines().count() <= 30, "{list}");
        assert!(terms::all().iter().all(|term| list.contains(term.name)));
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("enormous", 3), ["enormous"], "no word is cut");
        assert_eq!(wrap("", 3), [""]);
    }
}
