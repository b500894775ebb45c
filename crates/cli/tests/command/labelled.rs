//! The labelled set: twelve programs of which it is known where their memory is. docs/LABELLED.md lists them; the list there and
//! the one here are compared.

use super::targets::{Target, build_rust, bytes, program};
use serde_json::Value;
use std::process::Command;

/// A program, the verdict that is right for it, and a text that its report must contain.
struct Labelled {
    name: &'static str,
    class: &'static str,
    says: &'static str,
    start: fn(&tempfile::TempDir) -> Target,
}

const SET: [Labelled; 12] = [
    Labelled { name: "healthy", class: "fine", says: "the program holds", start: |_| Target::sick("healthy") },
    Labelled { name: "C", class: "fine", says: "the program holds", start: |_| Target::sick("mapped") },
    Labelled { name: "threaded C", class: "arena_spread", says: "5 arenas", start: |_| Target::sick("arenas") },
    Labelled { name: "Python", class: "not_malloc", says: "free inside obmalloc", start: |_| python() },
    Labelled { name: "Rust", class: "fine", says: "the program holds", start: |_| rust() },
    Labelled { name: "node", class: "not_malloc", says: "V8's heap", start: |_| node() },
    Labelled { name: "on jemalloc", class: "not_malloc", says: "jemalloc's memory", start: |_| jemalloc() },
    Labelled { name: "leaking", class: "growing", says: "more each minute", start: |_| Target::sick("leak") },
    Labelled { name: "cached", class: "cached", says: "free OS pages", start: |_| Target::sick("cached") },
    Labelled { name: "fragmented", class: "fragmented", says: "free bytes", start: |_| Target::sick("fragmented") },
    Labelled {
        name: "pinned top",
        class: "top_pinned",
        says: "at the top of the break",
        start: |_| Target::sick("top"),
    },
    Labelled { name: "growing file", class: "not_malloc", says: "other files, shared memory", start: file },
];

fn file(folder: &tempfile::TempDir) -> Target {
    let mut command = Command::new(program());
    command.arg("file").arg(folder.path().join("file"));
    Target::start(command)
}

fn python() -> Target {
    let script = "import sys\nkeep = [dict(a=i) for i in range(600000)][::40]\nprint('ready', flush=True)\n\
                  sys.stdin.read()";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", script]);
    Target::start(command)
}

fn node() -> Target {
    let script = "const keep = []; for (let i = 0; i < 600000; i++) keep.push({ a: i, b: 'x' + i, c: [i] });\n\
                  console.log('ready'); process.stdin.resume(); process.stdin.on('end', () => keep.length)";
    let mut command = Command::new("node");
    command.args(["-e", script]);
    Target::start(command)
}

fn jemalloc() -> Target {
    let mut command = Command::new(program());
    command.arg("healthy").env("LD_PRELOAD", "libjemalloc.so.2");
    Target::start(command)
}

fn rust() -> Target {
    Target::start(Command::new(build_rust("rusty")))
}

/// What is wrong with the report of one, if anything.
fn mistake(one: &Labelled, document: &Value) -> Option<String> {
    let verdict = &document["verdict"];
    let unexplained = bytes(document, "unexplained");
    let is_dark = unexplained * 100 > document["rss_bytes"].as_u64().unwrap();
    let is_right = verdict["class"] == one.class && verdict["text"].as_str().unwrap().contains(one.says);
    (!is_right || is_dark).then(|| format!("{}: {unexplained} bytes unexplained, {verdict}", one.name))
}

#[test]
fn the_verdict_is_right_on_twelve_of_twelve_and_at_most_one_per_cent_stays_unexplained() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: Vec<String> = SET.iter().filter_map(|one| mistake(one, &(one.start)(&folder).inspect(&[]))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_documents_list_is_the_set() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/LABELLED.md")).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = text.lines().filter(|line| line.starts_with("| ")).map(cells).collect();
    let listed: Vec<(&str, &str)> = rows.iter().skip(1).map(|row| (row[1].as_str(), row[3].as_str())).collect();
    assert_eq!(listed, SET.iter().map(|one| (one.name, one.class)).collect::<Vec<_>>());
}
