//! `docs/INVARIANTS.md` and the sources name the same invariants.
//!
//! A name is cited as `[kebab-name]` in a comment (a single word counts behind `SAFETY:` and "invariant" only, elsewhere it
//! is English) or is the name of a `Violation` of `check`. It is defined by a heading `### [name]` or a table row that starts with `| [name] |`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package lies two folders below the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust sources below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_name(text: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    text.split('-').all(letters)
}

/// The bracketed names of a line, with what precedes and follows each.
fn bracketed(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    line.match_indices('[').filter_map(move |(at, _)| {
        let (name, after) = line[at + 1..].split_once(']')?;
        is_name(name).then_some((&line[..at], name, after))
    })
}

/// Names that the comment of a source line cites.
fn cited(line: &str) -> Vec<String> {
    let Some((_, comment)) = line.split_once("//") else { return Vec::new() };
    let is_citation = |before: &str, name: &str, after: &str| {
        let link = after.starts_with(['(', '[', ':']);
        let announced = before.ends_with("SAFETY: ") || before.ends_with("nvariant `");
        announced || name.contains('-') && !link
    };
    bracketed(comment).filter(|(b, n, a)| is_citation(b, n, a)).map(|(_, name, _)| name.to_owned()).collect()
}

/// Names of the violations that `check.rs` reports: `"name"` or `"name: detail"`.
fn reported(line: &str) -> Option<String> {
    let text = line.split_once("invariant: \"").or_else(|| line.split_once("equal(\""));
    let text = text.map(|(_, text)| text).or_else(|| line.trim_start().strip_prefix('"'))?;
    let (text, _) = text.split_once('"')?;
    Some(text.split_once(':').map_or(text, |(name, _)| name).to_owned())
}

fn all_cited() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    for package in fs::read_dir(root().join("crates")).expect("the workspace has crates") {
        let folder = package.expect("a folder can be listed").path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
    }
    let mut names = BTreeMap::new();
    for file in files {
        let is_check = file.ends_with("core/src/check.rs");
        for (index, line) in read(&file).lines().enumerate() {
            let place = || format!("{}:{}", file.display(), index + 1);
            for name in cited(line).into_iter().chain(reported(line).filter(|_| is_check)) {
                names.entry(name).or_insert_with(place);
            }
        }
    }
    names
}

fn defined() -> Vec<String> {
    let document = read(&root().join("docs/INVARIANTS.md"));
    let entry = |line: &str| {
        let rest = line.strip_prefix("### [").or_else(|| line.strip_prefix("| ["))?;
        rest.split_once(']').map(|(name, _)| name.to_owned())
    };
    document.lines().filter_map(entry).collect()
}

#[test]
fn every_cited_invariant_is_listed() {
    let (cited, defined) = (all_cited(), defined());
    assert!(cited.len() > 20, "only {} names found: the search is broken", cited.len());
    let missing: Vec<_> = cited.iter().filter(|(name, _)| !defined.contains(name)).collect();
    assert!(missing.is_empty(), "docs/INVARIANTS.md does not define (name, first place): {missing:#?}");
}

#[test]
fn every_listed_invariant_is_cited_and_listed_once() {
    let (cited, mut defined) = (all_cited(), defined());
    let unused: Vec<_> = defined.iter().filter(|name| !cited.contains_key(*name)).collect();
    assert!(unused.is_empty(), "docs/INVARIANTS.md defines what no source cites: {unused:?}");
    defined.sort();
    let twice: Vec<_> = defined.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "docs/INVARIANTS.md defines twice: {twice:?}");
}

#[test]
fn what_is_said_to_check_an_invariant_exists() {
    let document = read(&root().join("docs/INVARIANTS.md"));
    let links = document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned());
    let paths = document.split('`').filter(|code| code.starts_with("tests/")).map(|path| format!("../{path}"));
    let all: Vec<_> = links.chain(paths).collect();
    assert!(all.len() > 30, "only {} files found: the search is broken", all.len());
    let missing: Vec<_> = all.iter().filter(|file| !root().join("docs").join(file).exists()).collect();
    assert!(missing.is_empty(), "docs/INVARIANTS.md names files that do not exist: {missing:#?}");
}

#[test]
fn citations_are_told_from_links_and_english() {
    assert_eq!(cited("    // SAFETY: [leaf-stays] it stays; also [page-counter]."), ["leaf-stays", "page-counter"]);
    assert_eq!(cited("// SAFETY: [register] comes out as it went in"), ["register"]);
    assert_eq!(cited("//! Invariant `[total]`: the parts and the whole"), ["total"]);
    assert!(cited("/// A [slice] of [bytes-like](crate::x) `a[i]`, see [`Page`]").is_empty());
    assert!(cited("let x = table[at-most];").is_empty());
    assert_eq!(reported("        equal(\"page-start\", at, 1, 2)?;").as_deref(), Some("page-start"));
    assert_eq!(reported("    \"span-bits: leaf free\",").as_deref(), Some("span-bits"));
    assert_eq!(reported("    at,"), None);
}
