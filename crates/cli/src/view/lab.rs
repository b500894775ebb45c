//! What the lab says: text, the documentation's page, JSON.

use super::style::{Ink, Style};
use crate::lab::{Claim, Ending, Expectation, Notes, Trial};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Version of the JSON documents.
const SCHEMA: u32 = 1;

/// Breaks a text into lines of at most `width` columns; the first line follows `label`, the others stand below it.
fn labelled(out: &mut String, label: &str, text: &str, style: Style) {
    let margin = 10;
    let width = style.width.saturating_sub(margin).max(30);
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut lines = vec![String::new()];
    // Runs of spaces stay: they align columns.
    for word in text.split_inclusive(' ') {
        let last = lines.last_mut().expect("there is one");
        if last.chars().count() + word.trim_end().chars().count() > width && !last.trim().is_empty() {
            lines.push(format!("{indent}  {word}"));
        } else {
            last.push_str(word);
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let painted = style.paint(Ink::Bold, label);
        let pad = " ".repeat(8usize.saturating_sub(label.chars().count()));
        let _ = writeln!(out, "{}", format!("  {painted}{pad}{line}").trim_end());
    }
}

fn ink(ending: &Ending) -> Ink {
    match ending {
        Ending::AsTold => Ink::Used,
        Ending::Otherwise(_) | Ending::NotHere(_) => Ink::Kept,
        Ending::Failed(_) => Ink::Alert,
    }
}

/// The verdict as a sentence.
fn sentence(trial: &Trial) -> String {
    match &trial.ending {
        Ending::AsTold => "as told".to_owned(),
        Ending::Otherwise(what) => format!("told otherwise: {what}"),
        Ending::NotHere(why) => format!("not on this machine: {why}"),
        Ending::Failed(what) => format!("FAILED: {what}"),
    }
}

/// The figures that came out as expected: the first few by name, the rest by number (JSON has all).
fn held(trial: &Trial, style: Style) -> Option<String> {
    const NAMED: usize = 5;
    let held: Vec<String> = trial.notes.expectations.iter().filter(|one| one.held).map(figure).collect();
    let mut text = held.iter().take(NAMED).cloned().collect::<Vec<_>>().join(if style.ascii { "; " } else { " · " });
    if held.len() > NAMED {
        let _ = write!(text, ", and {} more", held.len() - NAMED);
    }
    (!held.is_empty()).then_some(text)
}

/// A figure in few words.
fn figure(one: &Expectation) -> String {
    if one.seen == Notes::SO { one.what.clone() } else { format!("{} = {}", one.what, one.seen) }
}

/// One experiment in full.
pub(crate) fn trial(trial: &Trial, explain: bool, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.paint(Ink::Bold, &trial.claim.id));
    labelled(&mut out, "claim", &trial.claim.claim, style);
    for (index, text) in trial.notes.did.iter().enumerate() {
        labelled(&mut out, if index == 0 { "did" } else { "" }, text, style);
    }
    for (index, text) in trial.notes.saw.iter().enumerate() {
        labelled(&mut out, if index == 0 { "saw" } else { "" }, text, style);
    }
    if trial.no_trace.is_some() {
        labelled(&mut out, "", "(calls not traced: the kernel refuses ptrace here)", style);
    }
    if let Some(figures) = held(trial, style) {
        labelled(&mut out, "held", &figures, style);
    }
    for missed in trial.notes.expectations.iter().filter(|one| !one.held) {
        labelled(
            &mut out,
            "missed",
            &format!("{}: expected {}, seen {}", missed.what, missed.expected, missed.seen),
            style,
        );
    }
    let mut verdict = String::new();
    labelled(&mut verdict, "verdict", &sentence(trial), style);
    let word = trial.ending.word();
    let word = if word == "failed" { "FAILED" } else { word };
    out.push_str(&verdict.replacen(word, &style.paint(ink(&trial.ending), word), 1));
    if explain {
        labelled(&mut out, "why", &trial.claim.explain, style);
        labelled(&mut out, "told by", &trial.claim.source, style);
    }
    out.push('\n');
    if style.ascii { ascii(&out) } else { out }
}

/// Signs that notes use and an ASCII terminal has not.
fn ascii(text: &str) -> String {
    text.replace('→', "->").replace('×', "x").replace('µ', "u").replace('…', "...").replace(['–', '·'], "-")
}

/// One experiment as a line of the table.
pub(crate) fn line(trial: &Trial, new_family: bool, style: Style) -> String {
    let mut out = String::new();
    if new_family {
        let _ = writeln!(out, "{}", style.paint(Ink::Bold, &trial.claim.family));
    }
    let word = trial.ending.word();
    let pad = " ".repeat(20usize.saturating_sub(word.len()));
    let detail = match &trial.ending {
        Ending::Otherwise(text) | Ending::NotHere(text) => text.clone(),
        _ => trial.notes.expectations.first().map(figure).unwrap_or_default(),
    };
    let room = style.width.saturating_sub(46);
    let cut: String = detail.chars().take(room).collect();
    let mark = if cut.len() < detail.len() { "…" } else { "" };
    let _ = writeln!(out, "  {:<22}{}{pad}{cut}{mark}", trial.claim.id, style.paint(ink(&trial.ending), word));
    if style.ascii { ascii(&out) } else { out }
}

/// How many of each, and the reasons of those that could not be tried.
pub(crate) fn summary(trials: &[Trial], took: Duration, style: Style) -> String {
    let count = |word: &str| trials.iter().filter(|trial| trial.ending.word() == word).count();
    let figures: usize = trials.iter().map(|trial| trial.notes.expectations.len()).sum();
    let dot = style.dot();
    format!(
        "\n{} claims in {:.1} s, {figures} figures asserted\n{} as told{dot}{} told otherwise{dot}{} not on this \
         machine{dot}{} failed\n",
        trials.len(),
        took.as_secs_f64(),
        count("as told"),
        count("told otherwise"),
        count("not on this machine"),
        count("failed"),
    )
}

/// All claims, by family.
pub(crate) fn list(claims: &[Claim], explain: bool, style: Style) -> String {
    let mut out = String::from("Claims that the lab tries: brkmap lab NAME, a family, or all.\n");
    let mut family = "";
    for claim in claims {
        if claim.family != family {
            family = &claim.family;
            let _ = write!(out, "\n{}\n", style.paint(Ink::Bold, family));
        }
        let _ = writeln!(out, "  {}", claim.id);
        labelled(&mut out, "", &claim.claim, style);
        if explain {
            labelled(&mut out, "", &format!("({})", claim.verdict), style);
        }
    }
    if style.ascii { ascii(&out) } else { out }
}

/// The page of the documentation.
pub(crate) fn page(claims: &[Claim]) -> String {
    let mut out = String::from(
        "# What is said about brk, mmap and malloc\n\n\
         Every sentence below has an experiment that makes it happen: `brkmap lab NAME`. The verdict is what the experiment\n\
         finds where the machine has what it needs; **told otherwise** means that the common text is out of date, or that\n\
         two texts disagree. This page is made from [claims.toml](claims.toml) by `brkmap lab list --markdown`; a test\n\
         compares them, and another compares the verdicts with what the experiments find.\n",
    );
    let mut family = "";
    for claim in claims {
        if claim.family != family {
            family = &claim.family;
            let _ = write!(out, "\n## {family}\n\n| claim | sentence | verdict | told by |\n|---|---|---|---|\n");
        }
        let bold = if claim.verdict == "as told" { "" } else { "**" };
        let cell = |text: &str| text.replace('|', "\\|");
        let (claim_text, source) = (cell(&claim.claim), cell(&claim.source));
        let _ = writeln!(out, "| `{}` | {claim_text} | {bold}{}{bold} | {source} |", claim.id, claim.verdict);
    }
    out
}

/// The index as JSON.
pub(crate) fn index(claims: &[Claim]) -> Value {
    let one = |claim: &Claim| {
        json!({ "id": claim.id, "family": claim.family, "claim": claim.claim, "verdict": claim.verdict,
            "source": claim.source, "explain": claim.explain })
    };
    json!({ "schema_version": SCHEMA, "claims": claims.iter().map(one).collect::<Vec<_>>() })
}

/// The trials as JSON.
pub(crate) fn document(trials: &[Trial], took: Duration) -> Value {
    let one = |trial: &Trial| {
        let detail = match &trial.ending {
            Ending::AsTold => Value::Null,
            Ending::Otherwise(text) | Ending::NotHere(text) | Ending::Failed(text) => json!(text),
        };
        let figure = |one: &Expectation| json!({ "what": one.what, "expected": one.expected, "seen": one.seen, "held": one.held });
        json!({
            "id": trial.claim.id,
            "family": trial.claim.family,
            "claim": trial.claim.claim,
            "verdict": trial.ending.word(),
            "detail": detail,
            "did": trial.notes.did,
            "saw": trial.notes.saw,
            "figures": trial.notes.expectations.iter().map(figure).collect::<Vec<_>>(),
            "traced": trial.no_trace.is_none(),
            "took_ms": trial.took.as_millis() as u64,
        })
    };
    json!({
        "schema_version": SCHEMA,
        "took_ms": took.as_millis() as u64,
        "failed": trials.iter().filter(|trial| matches!(trial.ending, Ending::Failed(_))).count(),
        "trials": trials.iter().map(one).collect::<Vec<_>>(),
    })
}
