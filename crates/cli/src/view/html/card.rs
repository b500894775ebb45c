//! The first thing on the page: the verdict, how sure it is, the figures that matter, and what to do.

use super::markup::{Element, element, of_class};
use super::table::mebibytes;
use super::waterfall::{Bar, Mark, overview};

/// A figure of the card.
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// `None` where it cannot be known.
    pub(super) bytes: Option<u64>,
    pub(super) note: String,
}

/// Something to do, with what it saves and how that is known.
pub(super) struct Remedy {
    pub(super) text: String,
    pub(super) gain: Option<(u64, &'static str)>,
}

/// Everything on the card.
pub(super) struct Card<'a> {
    /// Stable name of the verdict's class.
    pub(super) class: &'a str,
    pub(super) text: &'a str,
    /// Confidence and what it rests on.
    pub(super) evidence: Option<(&'a str, &'a str)>,
    pub(super) figures: Vec<Figure>,
    pub(super) remedies: Vec<Remedy>,
    /// What went wrong while looking, if anything did.
    pub(super) warnings: Vec<String>,
    pub(super) bars: &'a [Bar],
    /// Of which moment the bars are, if that has to be said.
    pub(super) moment: Option<String>,
}

/// Colour of a class: good, memory that is kept, something to act on, or neither.
fn tone(class: &str) -> &'static str {
    match class {
        "fine" | "live" | "small" => "fine",
        "growing" | "unclear" | "unexplained" | "not_in_force" => "alert",
        "cached" | "top_pinned" | "arena_spread" | "fragmented" | "thread_caches" | "huge_pages" | "lazy_free"
        | "returnable" => "kept",
        _ => "plain",
    }
}

fn figure(figure: &Figure) -> Element {
    let value = element("dd");
    let value = match figure.bytes {
        Some(bytes) => value.text(mebibytes(bytes)).child(element("small").text(" MiB")),
        None => value.text("unknown"),
    };
    let note = if figure.bytes.is_some() { &figure.note } else { "this malloc was not read" };
    let note = (!note.is_empty()).then(|| of_class("dd", "note").text(note));
    element("div").child(element("dt").text(figure.name)).child(value).children(note)
}

fn remedy(remedy: &Remedy) -> Element {
    let item = element("li").text(&remedy.text);
    match remedy.gain {
        Some((bytes, mark)) => item
            .text(" ")
            .child(of_class("span", "gain").text(format!("−{} MiB", mebibytes(bytes))))
            .text(" ")
            .child(of_class("span", "mark").text(mark)),
        None => item,
    }
}

/// The card as a section.
pub(super) fn section(card: &Card<'_>) -> Element {
    let mut section = of_class("section", "card").with("id", "verdict").with("aria-label", "verdict");
    let tone = format!("word {}", tone(card.class));
    section = section.child(of_class("span", &tone).text(card.class.replace('_', " ")));
    section = section.child(of_class("h2", "verdict").text(card.text));
    if let Some((confidence, evidence)) = card.evidence {
        let text = format!("Confidence {confidence}: {evidence}");
        section = section.child(of_class("p", "soft").text(text));
    }
    section = section.children(card.warnings.iter().map(|warning| of_class("p", "warn").text(warning)));
    if !card.bars.is_empty() {
        let moment = card.moment.iter().map(|moment| of_class("p", "soft small moment").text(moment));
        section = section.children(moment).child(overview(card.bars));
    }
    section = section.child(of_class("dl", "figures").children(card.figures.iter().map(figure)));
    if !card.remedies.is_empty() {
        let list = of_class("ol", "advice").children(card.remedies.iter().map(remedy));
        section = section.child(element("h3").text("What to do")).child(list);
    }
    section
}

/// The note of a figure that is not simply measured.
pub(super) fn marked(mark: Mark) -> String {
    mark.word().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_figures_are_words_and_text_is_escaped() {
        let card = Card {
            class: "top_pinned",
            text: "<held>",
            evidence: Some(("low", "a & b")),
            figures: vec![Figure { name: "floor", bytes: None, note: String::new() }],
            remedies: vec![Remedy { text: "trim".to_owned(), gain: Some((3 << 20, "predicted")) }],
            warnings: vec!["torn".to_owned()],
            bars: &[],
            moment: None,
        };
        let text = section(&card).to_string();
        for part in ["word kept\">top pinned<", "&lt;held&gt;", "a &amp; b", "<dd>unknown</dd>", "−3.0 MiB", "torn"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
