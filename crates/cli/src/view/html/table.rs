//! Numbers and tables as all sections write them.

use super::markup::{Element, element, of_class};

/// Bytes as MiB with one decimal, thousands apart; the unit stands in the column's head.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10 + (1 << 19)) >> 20;
    format!("{}.{}", number((tenths / 10) as u64), tenths % 10)
}

/// The same with its unit.
pub(super) fn mib(bytes: u64) -> String {
    format!("{} MiB", mebibytes(bytes))
}

/// A number with its thousands apart.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size of any magnitude, in the unit that fits: block sizes are bytes, address spaces may be terabytes.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{} B", number(bytes)),
        10_240..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        1_048_576..10_737_418_240 => mib(bytes),
        10_737_418_240..10_995_116_277_760 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        _ => format!("{:.1} TiB", bytes as f64 / (1u64 << 40) as f64),
    }
}

/// Share of a whole, in per cent.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// What is in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Right-aligned figures.
    Number,
    Text,
}

/// A table: heads with what is below them, then rows; the first cell of a row is its head.
pub(super) fn table(caption: &str, heads: &[(&str, Column)], rows: impl IntoIterator<Item = Vec<String>>) -> Element {
    let class = |column: Column| (column == Column::Number).then_some("n");
    let head = |(text, column): &(&str, Column)| {
        element("th").with("scope", "col").with_some("class", class(*column)).text(text)
    };
    let cell = |index: usize, text: &str| {
        let column = heads.get(index).map_or(Column::Text, |head| head.1);
        // Words of a narrow column stay whole; the last one takes the rest of the width, and long commands.
        let is_last = index + 1 == heads.len();
        match (index, column) {
            (0, _) => element("th").with("scope", "row").with_some("class", class(column)).text(text),
            (_, Column::Number) => of_class("td", "n").text(text),
            (_, Column::Text) => element("td").with_some("class", is_last.then_some("any")).text(text),
        }
    };
    let row =
        |cells: Vec<String>| element("tr").children(cells.iter().enumerate().map(|(index, text)| cell(index, text)));
    let table = element("table")
        .child(element("caption").text(caption))
        .child(element("thead").child(element("tr").children(heads.iter().map(head))))
        .child(element("tbody").children(rows.into_iter().map(row)));
    // A table may be wider than a phone; then it moves under the finger.
    of_class("div", "wide").child(table)
}

/// A table of names and values.
pub(super) fn facts(caption: &str, rows: impl IntoIterator<Item = (String, String)>) -> Element {
    let row = |(name, value): (String, String)| {
        element("tr").child(element("th").with("scope", "row").text(name)).child(element("td").text(value))
    };
    of_class("table", "facts")
        .child(element("caption").text(caption))
        .child(element("tbody").children(rows.into_iter().map(row)))
}

/// What is folded away at first. `is_printed` tells whether paper shows it nevertheless.
pub(super) fn folded(summary: &str, is_printed: bool, inner: impl IntoIterator<Item = Element>) -> Element {
    element("details")
        .with_some("class", is_printed.then_some("shown"))
        .child(element("summary").text(summary))
        .children(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_grouped() {
        assert_eq!(mebibytes(0), "0.0");
        assert_eq!(mebibytes(52428), "0.0");
        assert_eq!(mebibytes(1_234_567 << 20), "1,234,567.0");
        assert_eq!(mib(u64::MAX), "17,592,186,044,416.0 MiB");
        assert_eq!([number(7), number(1000), number(123_456)], ["7", "1,000", "123,456"]);
        assert_eq!(
            [size(48), size(131_072), size(3 << 20), size(1 << 40)],
            ["48 B", "128 KiB", "3.0 MiB", "1024.0 GiB"]
        );
        assert_eq!(size(128 << 40), "128.0 TiB");
        assert_eq!(percent(1, 0), 0.0);
    }

    #[test]
    fn cells_are_escaped_and_aligned() {
        let heads = [("size", Column::Number), ("what", Column::Text)];
        let text = table("sizes", &heads, [vec!["1".to_owned(), "<b>".to_owned()]]).to_string();
        assert!(text.contains("<th scope=\"row\" class=\"n\">1</th><td class=\"any\">&lt;b&gt;</td>"), "{text}");
        assert!(facts("f", [("a".to_owned(), "&".to_owned())]).to_string().contains("<td>&amp;</td>"));
    }
}
