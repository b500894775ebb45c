//! `docs/DEPENDENCIES.md` lists every dependency of every package, with a reason, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One entry: package, kind (`runtime`, `dev`, `build`), dependency.
type Entry = (String, String, String);

/// What ends up inside other people's programs: only packages of this repository at run time.
const LIBRARY: [&str; 6] = ["brkmap", "brkmap-capi", "brkmap-core", "brkmap-sys", "brkmap-toolbox", "brkmap-wire"];

/// What of it may come from outside: optional, and declarations only. The page says why.
const DECLARATIONS: [(&str, &str); 2] = [("brkmap-toolbox", "libc"), ("brkmap-toolbox", "allocator-api2")];

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package lies two folders below the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Kind and, for a table of its own, dependency that a table of a manifest describes: `[dependencies]`,
/// `[dev-dependencies.x]`, `[target.'cfg(unix)'.build-dependencies]`.
fn kind(table: &str) -> Option<(&'static str, Option<&str>)> {
    let table = table.rsplit_once("'.").map_or(table, |(_, rest)| rest);
    let (head, name) = table.split_once('.').map_or((table, None), |(head, name)| (head, Some(name)));
    match head {
        "dependencies" => Some(("runtime", name)),
        "dev-dependencies" => Some(("dev", name)),
        "build-dependencies" => Some(("build", name)),
        _ => None,
    }
}

/// The entries of a manifest.
fn entries(manifest: &str) -> Vec<Entry> {
    let mut package = String::new();
    let (mut table, mut found) = ("", Vec::new());
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = header;
            if let Some((kind, Some(name))) = kind(table) {
                found.push((package.clone(), kind.to_owned(), name.to_owned()));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let key = key.trim().split('.').next().unwrap_or_default();
        match kind(table) {
            Some((kind, None)) => found.push((package.clone(), kind.to_owned(), key.to_owned())),
            None if table == "package" && key == "name" => package = value.trim().trim_matches('"').to_owned(),
            _ => {}
        }
    }
    found
}

/// Manifests below a folder; build products and hidden folders are passed over.
fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            manifests(&path, found);
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
}

fn in_manifests() -> BTreeMap<Entry, PathBuf> {
    let mut files = Vec::new();
    manifests(&root(), &mut files);
    assert!(files.len() >= 10, "only {} manifests found: the search is broken", files.len());
    let of = |file: PathBuf| {
        let in_tests = file.starts_with(root().join("tests"));
        let wanted = move |entry: &Entry| !in_tests || !entry.2.starts_with("brkmap");
        entries(&read(&file)).into_iter().filter(wanted).map(move |entry| (entry, file.clone()))
    };
    files.into_iter().flat_map(of).collect()
}

/// The rows of the document: an entry and its reason.
fn in_document() -> Vec<(Entry, String)> {
    let text = read(&root().join("docs/DEPENDENCIES.md"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, package, kind, dependency, reason, _] = cells[..] else { return None };
        let name = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        Some(((name(package)?, kind.to_owned(), name(dependency)?), reason.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_dependency_is_listed_with_its_reason() {
    let listed: BTreeMap<_, _> = in_document().into_iter().collect();
    let missing: Vec<_> = in_manifests().into_iter().filter(|(entry, _)| !listed.contains_key(entry)).collect();
    assert!(missing.is_empty(), "docs/DEPENDENCIES.md does not list: {missing:#?}");
    let bare: Vec<_> = listed.iter().filter(|(_, reason)| reason.is_empty()).collect();
    assert!(bare.is_empty(), "docs/DEPENDENCIES.md gives no reason for: {bare:#?}");
}

#[test]
fn every_listed_dependency_exists_and_is_listed_once() {
    let (used, listed) = (in_manifests(), in_document());
    let gone: Vec<_> = listed.iter().filter(|(entry, _)| !used.contains_key(entry)).collect();
    assert!(gone.is_empty(), "docs/DEPENDENCIES.md lists what no Cargo.toml has: {gone:#?}");
    let unique: BTreeSet<_> = listed.iter().map(|(entry, _)| entry).collect();
    assert_eq!(unique.len(), listed.len(), "docs/DEPENDENCIES.md lists an entry twice");
}

#[test]
fn the_library_depends_on_this_repository_alone() {
    let is_outside = |(package, kind, dependency): &Entry| {
        let is_declaration = DECLARATIONS.contains(&(package.as_str(), dependency.as_str()));
        LIBRARY.contains(&package.as_str())
            && kind != "dev"
            && !LIBRARY.contains(&dependency.as_str())
            && !is_declaration
    };
    let outside: Vec<_> = in_manifests().into_iter().filter(|(entry, _)| is_outside(entry)).collect();
    assert!(outside.is_empty(), "the library gained a dependency from outside: {outside:#?}");
}

#[test]
fn manifests_are_read_in_all_their_forms() {
    let manifest = "[package]\nname = \"p\"\n[dependencies]\n# no = 1\na = \"1\"\nb.workspace = true\n\
                    [target.'cfg(unix)'.dev-dependencies]\nc = { version = \"1\" }\n[build-dependencies.d]\nversion = \"1\"\n\
                    [features]\nsim = []\n";
    let found: Vec<_> = entries(manifest).into_iter().map(|(_, kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(found, ["runtime a", "runtime b", "dev c", "build d"]);
}
