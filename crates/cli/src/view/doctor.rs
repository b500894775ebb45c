//! `brkmap doctor` in words, and as JSON.

use super::cut;
use super::style::{Ink, Style};
use super::terms::wrap;
use crate::model::health::{Check, State};
use serde_json::{Value, json};

/// Columns of the state and of the subject.
const STATE: usize = 9;
const SUBJECT: usize = 16;
/// Lines in all.
const MOST_LINES: usize = 30;

fn count(checks: &[Check], state: State) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

fn ink(state: State) -> Option<Ink> {
    match state {
        State::Ok => None,
        State::Limited => Some(Ink::Kept),
        State::No => Some(Ink::Alert),
    }
}

fn headline(checks: &[Check], style: Style) -> String {
    let [ok, limited, no] = [State::Ok, State::Limited, State::No].map(|state| count(checks, state));
    let sentence = match (limited, no) {
        (0, 0) => "everything works in full".to_owned(),
        (limited, 0) => format!("all verbs work, {limited} in part"),
        (_, no) => format!("{no} of {} things are refused", checks.len()),
    };
    style.paint(Ink::Bold, &format!("brkmap doctor: {sentence} ({ok} ok, {limited} limited, {no} no)"))
}

/// A line of the table.
fn row(state: &str, ink: Option<Ink>, subject: &str, text: &str, style: Style) -> String {
    let state = format!("{state:<STATE$}");
    let state = ink.map_or(state.clone(), |ink| style.paint(ink, &state));
    let room = style.width.saturating_sub(STATE + SUBJECT);
    format!("{state}{subject:<SUBJECT$}{}", cut(text, room)).trim_end().to_owned()
}

/// The lines of one check: what was found, and for a complaint what it costs and what to do.
fn lines(check: &Check, style: Style) -> Vec<String> {
    let mut lines = vec![row(check.state.key(), ink(check.state), check.subject, &check.finding, style)];
    if check.state != State::Ok {
        lines.push(row("", None, "  costs", check.cost, style));
        lines.push(row("", None, "  remedy", &check.remedy, style));
    }
    lines
}

/// Writes the report: at most 30 lines. If they do not suffice, what is well shares lines, then findings and costs do.
pub(crate) fn text(checks: &[Check], style: Style) -> String {
    let full: Vec<String> = checks.iter().flat_map(|check| lines(check, style)).collect();
    let mut all = vec![headline(checks, style)];
    if full.len() < MOST_LINES {
        all.extend(full);
        return all.join("\n") + "\n";
    }
    let complaints: Vec<&Check> = checks.iter().filter(|check| check.state != State::Ok).collect();
    let well: Vec<&str> = checks.iter().filter(|check| check.state == State::Ok).map(|check| check.subject).collect();
    let well = wrap(&well.join(", "), style.width.saturating_sub(STATE).max(1));
    let room = MOST_LINES - 1 - well.len();
    for check in &complaints {
        let three = lines(check, style);
        match () {
            () if complaints.len() * 3 <= room => all.extend(three),
            () if complaints.len() * 2 <= room => {
                let what = format!("{}{}{}", check.finding, style.dot(), check.cost);
                all.push(row(check.state.key(), ink(check.state), check.subject, &what, style));
                all.extend(three.into_iter().skip(2));
            }
            () => {
                let what = format!("{}; {}", check.finding, check.remedy);
                all.push(row(check.state.key(), ink(check.state), check.subject, &what, style));
            }
        }
    }
    let is_first = |index: usize| if index == 0 { State::Ok.key() } else { "" };
    all.extend(well.iter().enumerate().map(|(index, line)| format!("{:<STATE$}{line}", is_first(index))));
    all.join("\n") + "\n"
}

/// The same as data.
pub(crate) fn document(checks: &[Check]) -> Value {
    let entry = |check: &Check| {
        json!({
            "subject": check.subject,
            "state": check.state.key(),
            "finding": check.finding,
            "cost": check.cost,
            "remedy": check.remedy,
        })
    };
    json!({
        "schema_version": 1,
        "ok": count(checks, State::Ok),
        "limited": count(checks, State::Limited),
        "no": count(checks, State::No),
        "checks": checks.iter().map(entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { color: false, ascii: true, width: 80 };
    const SUBJECTS: [&str; 24] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
        "w", "x",
    ];

    /// A report with so many complaints.
    fn with(complaints: usize) -> Vec<Check> {
        let check = |(index, subject): (usize, &&'static str)| {
            let state = if index < complaints { State::No } else { State::Ok };
            let remedy = format!("remedy{index}");
            Check {
                subject,
                state,
                finding: "x".repeat(200),
                cost: if state == State::Ok { "" } else { "cost" },
                remedy,
            }
        };
        SUBJECTS.iter().enumerate().map(check).collect()
    }

    #[test]
    fn it_fits_the_screen_whatever_is_wrong() {
        for complaints in 0..=SUBJECTS.len() {
            let text = text(&with(complaints), STYLE);
            assert!(text.lines().count() <= MOST_LINES, "{complaints}: {text}");
            assert!(text.lines().all(|line| line.chars().count() <= STYLE.width.max(60)), "{text}");
            assert!(complaints == 0 || text.contains(&format!("{complaints} no)")), "{text}");
        }
        let few = text(&with(2), STYLE);
        assert!(few.contains("  costs") && few.contains("remedy1"), "{few}");
    }

    #[test]
    fn the_document_counts() {
        let document = document(&with(3));
        assert_eq!((document["ok"].as_u64(), document["no"].as_u64()), (Some(21), Some(3)));
        assert_eq!(document["checks"].as_array().unwrap().len(), 24);
    }
}
