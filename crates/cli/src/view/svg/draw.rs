//! The few elements that the pictures are made of. Texts are escaped here and nowhere else.

use std::fmt::Write;

/// Escapes text for XML; characters that no XML document may hold become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// An SVG that grows downwards.
pub(super) struct Canvas {
    body: String,
    /// Where the next element goes.
    pub(super) y: f64,
}

impl Canvas {
    pub(super) fn new(y: f64) -> Canvas {
        Canvas { body: String::new(), y }
    }

    /// A line of text. `class` names colour and font, `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(self.body, r#"<text x="{x}" y="{y}" class="{class}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// A rectangle; `tip` is shown where a pointer rests on it.
    pub(super) fn rect(&mut self, (x, y, width, height): (f64, f64, f64, f64), class: &str, tip: &str) {
        let _ =
            write!(self.body, r#"<rect x="{x}" y="{y:.1}" width="{width:.2}" height="{height:.1}" class="{class}""#);
        let _ = match tip {
            "" => writeln!(self.body, "/>"),
            tip => writeln!(self.body, "><title>{}</title></rect>", escape(tip)),
        };
    }

    /// Many rectangles of one class as one element.
    pub(super) fn rects(&mut self, rects: &[(f64, f64, f64, f64)], class: &str) {
        if rects.is_empty() {
            return;
        }
        let _ = write!(self.body, r#"<path class="{class}" d=""#);
        for (x, y, width, height) in rects {
            let _ = write!(self.body, "M{x:.2} {y:.1}h{width:.2}v{height:.1}h-{width:.2}z");
        }
        let _ = writeln!(self.body, r#""/>"#);
    }

    /// A dotted line downwards.
    pub(super) fn dots(&mut self, x: f64, y: f64, height: f64) {
        let end = y + height;
        let _ = writeln!(self.body, r#"<line x1="{x}" y1="{y:.1}" x2="{x}" y2="{end:.1}" class="bm-gap"/>"#);
    }

    /// The whole document.
    pub(super) fn finish(self, width: f64, title: &str, description: &str, style: &str) -> String {
        let height = self.y.ceil();
        let (title, description) = (escape(title), escape(description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"bm\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"bm-title bm-desc\">\n\
             <title id=\"bm-title\">{title}</title>\n<desc id=\"bm-desc\">{description}</desc>\n\
             <style>{style}</style>\n<rect width=\"{width}\" height=\"{height}\" class=\"bm-paper\"/>\n{}</svg>\n",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("</svg><script>\"'&"), "&lt;/svg&gt;&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(escape("a\u{1b}[2J\0\n\u{ffff}b"), "a [2J   b");
    }
}
