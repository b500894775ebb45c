//! The frame of a page: head, table of contents, sections, raw data.

use super::markup::{Element, base64, element, for_script, of_class};
use super::waterfall::patterns;
use crate::model::machine::date;
use serde_json::Value;

/// The style sheet of all pages.
const STYLE: &str = include_str!("style.css");
/// Nothing may be loaded and nothing may run: what is foreign in a page could do no harm even if it were markup.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
/// Raw data beyond this many bytes would make the page too large; lists in it are shortened then.
const MOST_DATA: usize = 600 << 10;
/// Characters of a text in data that is shortened, and of the command in the head.
const LONGEST_TEXT: usize = 2000;

/// A section with its place in the table of contents.
pub(super) struct Section {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) inner: Vec<Element>,
}

impl Section {
    pub(super) fn new(id: &str, title: &str, lead: impl Into<String>, inner: Vec<Element>) -> Section {
        Section { id: id.to_owned(), title: title.to_owned(), lead: lead.into(), inner }
    }

    fn element(&self) -> Element {
        let heading = format!("{}-title", self.id);
        let lead = (!self.lead.is_empty()).then(|| of_class("p", "lead").text(&self.lead));
        element("section")
            .with("id", &self.id)
            .with("aria-labelledby", &heading)
            .child(element("h2").with("id", &heading).text(&self.title))
            .children(lead)
            .children(self.inner.iter().cloned())
    }
}

/// A whole page.
pub(super) struct Page<'a> {
    /// What it is about, for the window's title.
    pub(super) title: String,
    /// The command as a person would type it.
    pub(super) command: String,
    /// Facts in a line below.
    pub(super) facts: Vec<String>,
    pub(super) unix_seconds: u64,
    pub(super) card: Element,
    pub(super) sections: Vec<Section>,
    /// The document that `--json` writes.
    pub(super) data: &'a Value,
    /// Name of the file that the data would be saved as.
    pub(super) file: String,
}

/// Writes the page.
pub(super) fn render(page: &Page<'_>) -> String {
    let html = element("html").with("lang", "en").child(head(&page.title)).child(body(page));
    format!("<!DOCTYPE html>\n{html}\n")
}

fn head(title: &str) -> Element {
    let meta = |name: &'static str, content: &str| element("meta").with("name", name).with("content", content);
    let policy = element("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY);
    element("head")
        .child(element("meta").with("charset", "utf-8"))
        .child(policy)
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(meta("referrer", "no-referrer"))
        .child(meta("generator", concat!("brkmap ", env!("CARGO_PKG_VERSION"))))
        .child(element("title").text(title))
        // Without an icon of its own, a browser would ask for one.
        .child(element("link").with("rel", "icon").with("href", "data:,"))
        .child(element("style").verbatim(STYLE))
}

fn body(page: &Page<'_>) -> Element {
    let facts = of_class("p", "soft small").text(page.facts.join(" · "));
    let made = format!("brkmap {} · {}", env!("CARGO_PKG_VERSION"), date(page.unix_seconds));
    let top = of_class("header", "top")
        .child(
            element("div")
                .child(element("h1").child(element("code").text(crate::view::cut(&page.command, LONGEST_TEXT))))
                .child(facts),
        )
        .child(of_class("p", "soft small").text(made));
    let entry = |section: &Section| {
        element("li").child(element("a").with("href", format!("#{}", section.id)).text(&section.title))
    };
    let data = raw(page.data, &page.file);
    let entries = page.sections.iter().chain([&data]).map(entry);
    let contents = element("nav").with("aria-label", "contents").child(element("ol").children(entries));
    let main = element("main")
        .with("id", "main")
        .child(page.card.clone())
        .child(contents)
        .children(page.sections.iter().chain([&data]).map(Section::element));
    let skip = of_class("a", "skip").with("href", "#main").text("Skip to the report");
    let frame = of_class("div", "frame").child(top).child(main);
    element("body").child(skip).child(patterns()).child(frame)
}

/// The raw data, for programs and for who wants to save it. Neither needs a script.
fn raw(data: &Value, file: &str) -> Section {
    let (data, left_out) = shortened(data);
    let text = for_script(&data);
    let address = format!("data:application/json;base64,{}", base64(text.as_bytes()));
    let link =
        element("p").child(element("a").with("href", address).with("download", file).text(format!("Save {file}")));
    let script = element("script").with("type", "application/json").with("id", "data").verbatim(&text);
    let lead = "The document that --json writes, with every figure of this page in bytes. It is inside this file.";
    let more = left_out.map(|left_out| {
        let text = format!(
            "To keep this page small, {left_out} entries of its lists and the ends of long texts are left out here; --json \
             has all."
        );
        of_class("p", "warn").text(text)
    });
    let inner = [link].into_iter().chain(more).chain([script]).collect();
    Section::new("raw-data", "Raw data", lead, inner)
}

/// The data as it is if it fits; else with shorter lists and texts, and how many entries that left out.
fn shortened(data: &Value) -> (Value, Option<usize>) {
    if size(data) <= MOST_DATA {
        return (data.clone(), None);
    }
    let (mut room, mut left_out) = (MOST_DATA, 0);
    let mut data = cut(data, &mut room, &mut left_out);
    data["entries_left_out"] = left_out.into();
    (data, Some(left_out))
}

/// Bytes in the page: a sign that has to be spelled out takes six.
fn size(value: &Value) -> usize {
    for_script(value).len()
}

/// A value without the entries of lists that do not fit any more: whole ones go, so that what stays is true by itself. Lists
/// have what matters most first.
fn cut(value: &Value, room: &mut usize, left_out: &mut usize) -> Value {
    match value {
        Value::Array(all) => {
            let mut kept: Vec<Value> = Vec::new();
            for item in all.iter().map(shorter) {
                let size = size(&item) + 1;
                if size > *room {
                    break;
                }
                *room -= size;
                kept.push(item);
            }
            *left_out += all.len() - kept.len();
            Value::Array(kept)
        }
        Value::Object(all) => {
            let part = |(key, value): (&String, &Value)| (key.clone(), cut(value, room, left_out));
            Value::Object(all.iter().map(part).collect())
        }
        value => shorter(value),
    }
}

/// A value with the beginnings of its long texts.
fn shorter(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(crate::view::cut(text, LONGEST_TEXT)),
        Value::Array(all) => Value::Array(all.iter().map(shorter).collect()),
        Value::Object(all) => Value::Object(all.iter().map(|(key, value)| (key.clone(), shorter(value))).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(data: &Value) -> String {
        render(&Page {
            title: "<title>".to_owned(),
            command: "tool </script> --x".to_owned(),
            facts: vec!["pid 1".to_owned()],
            unix_seconds: 0,
            card: of_class("section", "card").text("card"),
            sections: vec![Section::new("one", "First & last", "", vec![element("p").text("text")])],
            data,
            file: "brkmap-1.json".to_owned(),
        })
    }

    #[test]
    fn the_page_contains_its_data_twice_and_no_script_that_runs() {
        let data = json!({ "command": ["</script><script>alert(1)</script>"] });
        let text = page(&data);
        assert_eq!(text.matches("<script").count(), 1);
        let inside = text.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
        assert_eq!(serde_json::from_str::<Value>(inside).unwrap(), data);
        assert!(text.contains("href=\"data:application/json;base64,eyJjb21tYW5kIjpb"), "{text}");
        assert!(text.contains("<a href=\"#one\">First &amp; last</a>"), "{text}");
        assert!(text.contains("<title>&lt;title&gt;</title>"), "{text}");
        assert!(!text.contains("http:") && !text.contains("https:"), "no address of anybody");
    }

    #[test]
    fn data_that_is_too_much_is_shortened_and_says_so() {
        let process = json!({ "command": "x".repeat(1000) });
        let many = json!({ "z": 7, "processes": vec![process; 5000] });
        let long = json!({ "command": vec!["<".repeat(100_000); 40] });
        for data in [&many, &long] {
            let text = page(data);
            assert!(text.len() < 2 << 20, "{}", text.len());
            assert!(text.contains("are left out here"), "{}", &text[..5000]);
        }
        let (short, left_out) = shortened(&many);
        let left_out = left_out.unwrap();
        let kept = short["processes"].as_array().unwrap();
        assert_eq!(kept.len() + left_out, 5000);
        assert!(kept.iter().all(|one| one == &many["processes"][0]), "what stays is whole");
        assert_eq!((&short["entries_left_out"], &short["z"]), (&json!(left_out), &json!(7)));
        assert_eq!(shortened(&json!({ "processes": [1] })), (json!({ "processes": [1] }), None));
    }
}
