//! The document `docs/BENCHMARKS.md`: written by hand but for the parts between marks, which are filled from recorded runs.
//!
//! ```text
//! <!-- generated: summary 0123456789abcdef -->
//! what this program wrote
//! <!-- end of summary -->
//! ```
//!
//! The number is a digest of the part, so that a test finds a figure that was changed by hand.

use super::{Comparison, markdown};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The document, where no other is named.
pub(crate) fn default_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("BENCHMARKS.md")
}

/// A part's name, and what writes it.
type PartOf = (&'static str, fn(&[Comparison]) -> String);

/// The parts, in the order in which the document must have them.
const PARTS: [PartOf; 3] =
    [("caveats", markdown::caveats), ("summary", markdown::summary), ("settings", markdown::settings)];

/// Fills the parts of the document.
pub(crate) fn write(comparisons: &[Comparison], path: &Path) -> Result<()> {
    let about = || format!("--docs {}", path.display());
    let old = fs::read_to_string(path).with_context(about)?;
    let new = filled(&old, |name| PARTS.iter().find(|part| part.0 == name).map(|part| (part.1)(comparisons)));
    fs::write(path, new.with_context(about)?).with_context(about)
}

/// The document with its parts made anew. What is outside stays as it is, byte for byte.
fn filled(document: &str, part: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = document;
    for (name, _) in PARTS {
        let found = Part::first(rest)?.with_context(|| format!("there is no part `{name}` where it should be"))?;
        ensure!(found.name == name, "the part `{}` stands where `{name}` should be", found.name);
        let text = part(name).unwrap_or_default();
        let text = text.trim_end();
        out += found.before;
        out += &format!("<!-- generated: {name} {:016x} -->\n{text}\n<!-- end of {name} -->\n", digest(text));
        rest = found.after;
    }
    ensure!(
        Part::first(rest)?.is_none(),
        "there are marks after the last part; those known are caveats, summary, settings"
    );
    Ok(out + rest)
}

/// A part of a document and what is around it.
struct Part<'a> {
    before: &'a str,
    name: &'a str,
    #[cfg_attr(not(test), expect(dead_code, reason = "what was generated is only replaced"))]
    digest: &'a str,
    #[cfg_attr(not(test), expect(dead_code, reason = "what was generated is only replaced"))]
    inner: &'a str,
    after: &'a str,
}

impl<'a> Part<'a> {
    /// The first part of a text.
    fn first(text: &'a str) -> Result<Option<Part<'a>>> {
        const BEGIN: &str = "<!-- generated: ";
        let Some(at) = text.find(BEGIN) else {
            ensure!(!text.contains("<!-- end of "), "an end without its beginning");
            return Ok(None);
        };
        let (before, rest) = text.split_at(at);
        ensure!(!before.contains("<!-- end of "), "an end without its beginning");
        let Some((mark, rest)) = rest[BEGIN.len()..].split_once(" -->\n") else {
            bail!("a mark that does not end with its line");
        };
        let (name, digest) = mark.split_once(' ').unwrap_or((mark, ""));
        let end = format!("<!-- end of {name} -->\n");
        let Some((inner, after)) = rest.split_once(&end) else { bail!("the part `{name}` has no end") };
        ensure!(!inner.contains(BEGIN), "the part `{name}` has another one inside");
        Ok(Some(Part { before, name, digest, inner, after }))
    }
}

/// FNV-1a.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json;

    const EMPTY: &str = "# Title\nby hand 1\n<!-- generated: caveats 0 -->\n<!-- end of caveats -->\nby hand 2\n\
                         <!-- generated: summary 0 -->\nold\n<!-- end of summary -->\n\
                         <!-- generated: settings 0 -->\nold\n<!-- end of settings -->\nby hand 3\n";

    fn parts(document: &str) -> Vec<Part<'_>> {
        let (mut rest, mut all) = (document, Vec::new());
        while let Some(part) = Part::first(rest).unwrap() {
            rest = part.after;
            all.push(part);
        }
        all
    }

    /// Checks that the parts are those that this program knows, and that nobody has changed one.
    fn check(document: &str) {
        let all = parts(document);
        assert_eq!(all.iter().map(|part| part.name).collect::<Vec<_>>(), PARTS.map(|part| part.0));
        for part in all {
            let own = format!("{:016x}", digest(part.inner.trim_end()));
            assert_eq!(
                part.digest, own,
                "{}: changed by hand; `cargo xtask bench --from FILE --docs` writes it",
                part.name
            );
        }
    }

    #[test]
    fn the_document_has_its_marks_and_nobody_changed_what_is_between_them() {
        check(&fs::read_to_string(default_path()).unwrap());
    }

    #[test]
    fn what_is_written_by_hand_stays() {
        let new = filled(EMPTY, |name| Some(format!("new {name}"))).unwrap();
        check(&new);
        for kept in ["# Title\nby hand 1\n<!--", "-->\nby hand 2\n<!--", "-->\nby hand 3\n"] {
            assert!(new.contains(kept), "{new}");
        }
        assert!(new.contains(" -->\nnew summary\n<!-- end of summary -->\n") && !new.contains("old"), "{new}");
        assert_eq!(filled(&new, |name| Some(format!("new {name}"))).unwrap(), new);
    }

    #[test]
    #[should_panic(expected = "changed by hand")]
    fn a_changed_figure_is_found() {
        let new = filled(EMPTY, |name| Some(format!("1.05 {name}"))).unwrap();
        check(&new.replace("1.05 summary", "0.95 summary"));
    }

    #[test]
    fn damaged_marks_are_refused() {
        for (whole, damaged) in [
            ("<!-- end of summary -->\n", ""),
            ("<!-- generated: summary 0 -->\n", ""),
            ("generated: summary", "generated: resume"),
            ("<!-- end of caveats -->\n", "<!-- generated: caveats 0 -->\n<!-- end of caveats -->\n"),
        ] {
            let document = EMPTY.replace(whole, damaged);
            assert_ne!(document, EMPTY);
            assert!(filled(&document, |name| Some(name.into())).is_err(), "{document}");
        }
        let more = format!("{EMPTY}<!-- generated: more 0 -->\n<!-- end of more -->\n");
        assert!(filled(&more, |_| None).is_err());
    }

    #[test]
    fn a_recorded_run_is_rendered_as_it_was_before() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let comparison = json::read(&data.join("small.json")).unwrap();
        let all = [comparison];
        let rendered =
            filled(EMPTY, |name| PARTS.iter().find(|part| part.0 == name).map(|part| (part.1)(&all))).unwrap();
        let expected = fs::read_to_string(data.join("small.md")).unwrap();
        assert!(
            rendered == expected,
            "tests/data/small.md is not how small.json is rendered now; where the change is meant, take this:\n{rendered}"
        );
    }
}
