//! The words of the reports, explained: `terms.txt` as data, and how a word that somebody typed finds its entry.
//!
//! ```text
//! = NAME                 an entry
//! also: WORD; WORD …     other names, among them each word and label that a report uses
//! text                   what it is
//! | picture              drawn as it stands
//! see:, classic:, do:, from:    a brkmap command, one without brkmap, a remedy, the source
//! ```

use std::sync::OnceLock;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) name: &'static str,
    /// The name as one word, for the command line and completions.
    pub(crate) slug: String,
    pub(crate) also: Vec<&'static str>,
    pub(crate) text: String,
    pub(crate) picture: Vec<&'static str>,
    pub(crate) see: &'static str,
    pub(crate) classic: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) source: &'static str,
}

impl Term {
    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }
}

/// What a word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This entry.
    Exact(&'static Term),
    /// Nothing is called so, and one name is close enough to be meant.
    Near(&'static Term),
    /// Nothing; these are nearest.
    Nothing(Vec<&'static str>),
}

/// All entries, in the order of the alphabet.
pub(crate) fn all() -> &'static [Term] {
    static ALL: OnceLock<Vec<Term>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = parse(include_str!("terms.txt"));
        all.sort_by_key(|term| plain(term.name));
        all
    })
}

fn parse(text: &'static str) -> Vec<Term> {
    let mut all: Vec<Term> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("= ") {
            all.push(Term { name, slug: plain(name).replace(' ', "-"), ..Term::default() });
            continue;
        }
        let Some(term) = all.last_mut() else { continue };
        match line.split_once(": ") {
            Some(("also", words)) => term.also = words.split("; ").collect(),
            Some(("see", rest)) => term.see = rest,
            Some(("classic", rest)) => term.classic = rest,
            Some(("do", rest)) => term.remedy = rest,
            Some(("from", rest)) => term.source = rest,
            _ if line.starts_with("| ") => term.picture.push(&line[2..]),
            _ => {
                if !term.text.is_empty() {
                    term.text.push(' ');
                }
                term.text.push_str(line);
            }
        }
    }
    all
}

/// A name without what people do not type alike: case, hyphens, underscores, blanks.
fn plain(name: &str) -> String {
    let spaced: String = name
        .chars()
        .filter(|&c| c != '\'')
        .map(|c| if c.is_alphanumeric() || "[]()/".contains(c) { c.to_ascii_lowercase() } else { ' ' })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Mistakes that a word may have and still be understood: one in four characters, at most three.
fn tolerance(word: &str) -> usize {
    (word.chars().count() / 4).min(3)
}

/// Names that are listed when nothing fits.
const NEAREST: usize = 5;

/// Finds the entry for a word.
pub(crate) fn find(word: &str) -> Found {
    let wanted = plain(word);
    let singular = wanted.strip_suffix('s').unwrap_or(&wanted);
    let is_it = |name: &str| {
        let name = plain(name);
        name == wanted || name == singular
    };
    // A name of its own goes before another's second name.
    let by_name = all().iter().find(|term| is_it(term.name));
    if let Some(term) = by_name.or_else(|| all().iter().find(|term| term.names().any(is_it))) {
        return Found::Exact(term);
    }
    let distance = |term: &Term| {
        let one = |name: &str| strsim::damerau_levenshtein(&plain(name), &wanted);
        term.names().map(one).min().unwrap_or(usize::MAX)
    };
    let mut near: Vec<(usize, &'static Term)> = all().iter().map(|term| (distance(term), term)).collect();
    near.sort_by_key(|(distance, _)| *distance);
    match near.as_slice() {
        [(first, term), (second, _), ..] if *first <= tolerance(&wanted) && first < second => Found::Near(term),
        _ => Found::Nothing(nearest(&wanted)),
    }
}

/// Names that contain the word, then those that look alike.
fn nearest(wanted: &str) -> Vec<&'static str> {
    let likeness = |term: &Term| {
        let one = |name: &str| {
            let name = plain(name);
            let is_part = wanted.len() > 2 && name.contains(wanted);
            if is_part { 1.0 } else { strsim::jaro_winkler(&name, wanted) }
        };
        term.names().map(one).fold(0.0, f64::max)
    };
    let mut all: Vec<(f64, &'static str)> = all().iter().map(|term| (likeness(term), term.name)).collect();
    all.sort_by(|one, other| other.0.total_cmp(&one.0));
    all.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::waterfall::Kind;
    use crate::model::xray::{Row, Xray};

    fn is_known(word: &str) -> bool {
        matches!(find(word), Found::Exact(_))
    }

    #[test]
    fn every_entry_is_complete_and_no_name_is_taken_twice() {
        assert!(all().len() > 40, "{}", all().len());
        let mut seen = std::collections::HashMap::new();
        for term in all() {
            for (what, text) in [
                ("text", term.text.as_str()),
                ("see", term.see),
                ("classic", term.classic),
                ("do", term.remedy),
                ("from", term.source),
            ] {
                assert!(!text.is_empty(), "{} has no '{what}'", term.name);
            }
            for name in term.names() {
                if let Some(other) = seen.insert(plain(name), term.name) {
                    assert_eq!(other, term.name, "'{name}' is taken twice");
                }
            }
        }
    }

    #[test]
    fn words_are_found_as_people_type_them() {
        for (typed, name) in [
            ("arena", "arena"),
            ("ARENAS", "arena"),
            ("mmap-threshold", "mmap threshold"),
            ("mmap_threshold", "mmap threshold"),
            ("M_MMAP_THRESHOLD", "mmap threshold"),
            ("Program Break", "program break"),
            ("brk", "program break"),
            ("THP", "huge page"),
            ("lazy_free", "LazyFree"),
            ("pss", "PSS"),
        ] {
            let Found::Exact(term) = find(typed) else { panic!("'{typed}' is not found") };
            assert_eq!(term.name, name);
        }
        for (typed, name) in [("arenna", "arena"), ("framgentation", "fragmentation"), ("overcomit", "overcommit")] {
            let Found::Near(term) = find(typed) else { panic!("'{typed}' is not understood") };
            assert_eq!(term.name, name);
        }
        let Found::Nothing(near) = find("threshhold of mapping") else { panic!("too willing") };
        assert_eq!(near.len(), NEAREST);
        let Found::Nothing(near) = find("pinn") else { panic!("too willing") };
        assert!(near.contains(&"pinned page") && near.contains(&"top pinned"), "{near:?}");
        assert!(matches!(find(""), Found::Nothing(_)) && matches!(find("\u{1b}[2J"), Found::Nothing(_)));
    }

    #[test]
    fn commands_and_documents_that_entries_name_exist() {
        let command = crate::cli::command();
        let verbs: Vec<&str> = command.get_subcommands().map(|verb| verb.get_name()).collect();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for term in all() {
            for text in [term.see, term.remedy] {
                // "brkmap once memory was idle" is no command.
                let follow = text.split("brkmap ").skip(1).filter_map(|rest| rest.split([' ', ';', ',', ')']).next());
                let unknown: Vec<&str> = follow.filter(|word| !verbs.contains(word) && *word != "once").collect();
                assert!(unknown.is_empty(), "{}: {unknown:?}", term.name);
                let demos = text.split("brkmap demo ").skip(1);
                for demo in demos.filter_map(|rest| rest.split([' ', ';', ',', ')']).next()) {
                    assert!(crate::demo::find(demo).is_some_and(|found| found.name == demo), "{}: {demo}", term.name);
                }
            }
            for part in term.source.split("; ").filter(|part| part.starts_with("docs/")) {
                let (file, heading) = part.split_once(", ").unwrap_or((part, ""));
                let page = std::fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{}: {file}", term.name));
                let heading = heading.trim_matches('"');
                let is_there = |line: &str| line.trim_start_matches('#').trim() == heading && line.starts_with('#');
                assert!(heading.is_empty() || page.lines().any(is_there), "{}: {part}", term.name);
            }
        }
    }

    /// What stands between quotes behind a mark in a source.
    fn quoted<'a>(source: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        source.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
    }

    #[test]
    fn every_word_that_a_report_uses_has_an_entry() {
        let mut words: Vec<String> = Vec::new();
        // The rows, by label and by key.
        let xray = Xray::with(&[]);
        for row in Row::ALL {
            words.extend([Xray::default().label(row), xray.label(row), row.key().to_owned()]);
        }
        for kind in Kind::ALL {
            words.extend([kind.label(true).to_owned(), kind.label(false).to_owned(), kind.key().to_owned()]);
        }
        // The classes of verdicts, and their grades.
        for source in [include_str!("diagnosis.rs"), include_str!("verdict.rs"), include_str!("advice.rs")] {
            let keys = source.split("Class::").chain(source.split("Confidence::")).chain(source.split("Mark::"));
            let keys = keys.filter_map(|arm| arm.split_once(" => \"")).filter(|(name, _)| !name.contains(['(', '\n']));
            words.extend(keys.filter_map(|(_, key)| key.split('"').next()).map(str::to_owned));
        }
        // The subjects of lines.
        for source in [
            include_str!("../view/inspect/text.rs"),
            include_str!("../view/text.rs"),
            include_str!("../view/policy.rs"),
        ] {
            words.extend(quoted(source, "entry(style,").map(str::to_owned));
        }
        words.sort();
        words.dedup();
        // Plain English, which needs no entry.
        let plain_words = ["", "time", "children"];
        words.retain(|word| !plain_words.contains(&word.as_str()) && !word.starts_with("runtime, "));
        for sure in ["top_pinned", "never_called", "free, on OS pages that stay", "trim", "by rule", "low", "estimate"]
        {
            assert!(words.iter().any(|word| word == sure), "the search is broken: no '{sure}' in {words:?}");
        }
        let unknown: Vec<&String> = words.iter().filter(|word| !is_known(word)).collect();
        assert!(unknown.is_empty(), "terms.txt explains none of: {unknown:?}");
    }
}
