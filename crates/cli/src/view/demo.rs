//! `brkmap demo` in words, and as JSON.

use super::cut;
use super::inspect::{Inspection, json as inspected, text as inspect};
use super::style::{Ink, Style};
use crate::cli::demo::Alloc;
use crate::demo::{ALL, Demo, Figure};
use crate::model::verdict::mib;
use serde_json::{Value, json};

/// Lines of the look at it, of 30 in all.
const LOOK_LINES: usize = 20;

/// What was seen of one.
pub(crate) struct Shown {
    pub(crate) demo: &'static Demo,
    pub(crate) alloc: Alloc,
    /// What it did, in its own words.
    pub(crate) did: String,
    /// What that cost, as it counted it.
    pub(crate) cost: String,
    /// The look before the cure.
    pub(crate) ill: Inspection,
    /// RSS after it, and what the program itself counted.
    pub(crate) cured: Option<(u64, String)>,
    /// RSS of the same on brkmap.
    pub(crate) on_brkmap: Option<u64>,
}

fn entry(style: Style, subject: &str, text: &str) -> String {
    style.paint(Ink::Bold, &format!("{subject:<12}")) + &cut(text, style.width.saturating_sub(12))
}

/// The names, with what each shows.
pub(crate) fn list(style: Style) -> String {
    let mut text =
        style.paint(Ink::Bold, "brkmap demo NAME: a program with one disease, the look at it, and its cure") + "\n";
    for demo in &ALL {
        text += &format!("  {:<18}{}\n", demo.name, demo.title);
    }
    text
}

/// The same as data.
pub(crate) fn names() -> Value {
    let entry = |demo: &Demo| json!({ "name": demo.name, "title": demo.title, "class": demo.class, "cure": demo.cure });
    json!({ "schema_version": 1, "demos": ALL.iter().map(entry).collect::<Vec<_>>() })
}

/// What is seen of the ill state, and what became of it: at most 30 lines together.
pub(crate) fn text(shown: &Shown, style: Style) -> (String, String) {
    let demo = shown.demo;
    let mut first = style.paint(Ink::Bold, &format!("demo {}: {}", demo.name, demo.title)) + "\n";
    first += &(entry(style, "did", &shown.did) + "\n");
    first += &inspect::render_within(&shown.ill, LOOK_LINES, style);
    if shown.alloc == Alloc::System && shown.ill.diagnosis.class.key() != demo.class {
        first += &(entry(style, "note", "not as expected on this machine; brkmap doctor may know why") + "\n");
    }
    let mut lines = Vec::new();
    if let Some((rss, said)) = &shown.cured {
        lines.push(entry(style, "cure", demo.cure));
        let before = shown.ill.xray.rss();
        let change = match demo.figure {
            Figure::Counted => format!("{}{}{said} (measured)", shown.cost, style.arrow()),
            _ => format!("{}{}{} resident (measured)", mib(before), style.arrow(), mib(*rss)),
        };
        lines.push(entry(style, "", &change));
    }
    if let Some(rss) = shown.on_brkmap {
        lines.push(entry(style, "on brkmap", &format!("{} resident, idle, without any call (measured)", mib(rss))));
    }
    lines.push(entry(style, "more", &format!("brkmap explain {}", demo.term)));
    (first, lines.join("\n") + "\n")
}

/// The same as data.
pub(crate) fn document(shown: &Shown) -> Value {
    json!({
        "schema_version": 1,
        "demo": shown.demo.name,
        "alloc": match shown.alloc { Alloc::System => "system", Alloc::Brkmap => "brkmap" },
        "did": shown.did,
        "expected_class": shown.demo.class,
        "inspection": inspected::document(&shown.ill),
        "cure": shown.demo.cure,
        "before_rss_bytes": shown.ill.xray.rss(),
        "before": Some(shown.cost.as_str()).filter(|cost| !cost.is_empty()),
        "after_rss_bytes": shown.cured.as_ref().map(|cured| cured.0),
        "after": shown.cured.as_ref().map(|cured| cured.1.as_str()).filter(|said| !said.is_empty()),
        "on_brkmap_rss_bytes": shown.on_brkmap,
    })
}
