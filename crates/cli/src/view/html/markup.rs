//! Markup, well-formed and escaped by construction. This is the only place where foreign text (names, command lines,
//! variables) becomes part of a page.
//!
//! What is written is HTML and well-formed XML alike, so that a strict parser can check a whole page.

use serde_json::Value;
use std::fmt::{self, Display, Write};

/// Elements that have no contents in HTML.
const VOID: [&str; 3] = ["col", "link", "meta"];

/// An element under construction: attributes and contents that are escaped already.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    name: &'static str,
    attributes: String,
    inner: String,
}

/// An element without attributes and contents.
pub(crate) fn element(name: &'static str) -> Element {
    Element { name, attributes: String::new(), inner: String::new() }
}

/// An element of a class.
pub(crate) fn of_class(name: &'static str, class: &str) -> Element {
    element(name).with("class", class)
}

impl Element {
    /// Adds an attribute.
    pub(crate) fn with(mut self, attribute: &'static str, value: impl Display) -> Element {
        let _ = write!(self.attributes, " {attribute}=\"{}\"", escape(&value.to_string()));
        self
    }

    /// Adds an attribute if there is a value for it.
    pub(crate) fn with_some(self, attribute: &'static str, value: Option<impl Display>) -> Element {
        match value {
            Some(value) => self.with(attribute, value),
            None => self,
        }
    }

    /// Adds text.
    pub(crate) fn text(mut self, text: impl AsRef<str>) -> Element {
        self.inner += &escape(text.as_ref());
        self
    }

    /// Adds an element.
    pub(crate) fn child(mut self, child: Element) -> Element {
        let _ = write!(self.inner, "{child}");
        self
    }

    /// Adds elements.
    pub(crate) fn children(self, children: impl IntoIterator<Item = Element>) -> Element {
        children.into_iter().fold(self, Element::child)
    }

    /// Adds markup that another view made: a whole picture.
    pub(crate) fn markup(mut self, markup: &str) -> Element {
        self.inner += markup;
        self
    }

    /// Adds a style sheet or data whose text is not markup. Both come without `<` and `&`, see [`for_script`].
    pub(crate) fn verbatim(mut self, text: &str) -> Element {
        assert!(!text.contains(['<', '&']), "verbatim text must not be able to end its element");
        self.inner += text;
        self
    }
}

impl Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Element { name, attributes, inner } = self;
        if VOID.contains(name) {
            return write!(out, "<{name}{attributes}/>");
        }
        write!(out, "<{name}{attributes}>{inner}</{name}>")
    }
}

/// Text as contents or attribute. What has no picture of its own, or would turn the text around it, is spelled out.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Whether a character is invisible or acts on its neighbours.
fn is_hidden(c: char) -> bool {
    let acts = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    let is_no_character = c == '\u{feff}' || c as u32 & 0xfffe == 0xfffe;
    c.is_control() || acts || is_no_character
}

/// A document as it may stand in a `script` element: it cannot end the element, nor begin a comment in it.
pub(crate) fn for_script(document: &Value) -> String {
    let mut out = String::new();
    for c in document.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Bytes in base 64, for addresses that hold their own data.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let is_there = digit <= group.len();
            let index = bits >> (18 - 6 * digit) & 63;
            out.push(if is_there { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn foreign_text_stays_text() {
        let hostile = "</p><script>alert('1')</script>\"&<!--\u{202e}\x1b[2J\0\u{fffe}";
        let shown = element("p").with("title", hostile).text(hostile).to_string();
        let inside = "&lt;/p&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;&lt;!--\
                      \\u{202e}\\u{1b}[2J\\u{0}\\u{fffe}";
        assert_eq!(shown, format!("<p title=\"{inside}\">{inside}</p>"));
        assert_eq!(escape("äöü 漢字 -_./"), "äöü 漢字 -_./");
    }

    #[test]
    fn data_cannot_end_its_element() {
        let hostile = json!({ "command": ["</script><script>", "<!--", "a&b", "\u{2028}", "\u{85}"] });
        let text = for_script(&hostile);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{85}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
        let _ = element("script").verbatim(&text);
    }

    #[test]
    #[should_panic(expected = "verbatim")]
    fn verbatim_text_is_checked() {
        let _ = element("style").verbatim("</style>");
    }

    #[test]
    fn elements_nest_and_void_ones_close_themselves() {
        let list = element("ul").children((0..2).map(|i| element("li").text(i.to_string())));
        assert_eq!(list.to_string(), "<ul><li>0</li><li>1</li></ul>");
        assert_eq!(element("meta").with("charset", "utf-8").to_string(), "<meta charset=\"utf-8\"/>");
        let some = element("a").with_some("id", Some(1)).with_some("href", None::<&str>);
        assert_eq!(some.to_string(), "<a id=\"1\"></a>");
    }

    #[test]
    fn base64_has_its_padding() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd, 0x00]), "//79AA==");
    }
}
