//! `brkmap demo`: each program has the disease that it claims, and the cure helps.

use super::{brkmap, has_ended, output, stderr, wait_until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn shown(name: &str) -> Value {
    let output = output(&["demo", name, "--json"]);
    assert!(output.status.success(), "{name}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The document of one whose verdict is right, with RSS before and after, and on brkmap.
fn checked(name: &str) -> (Value, [u64; 3]) {
    let document = shown(name);
    let verdict = &document["inspection"]["verdict"];
    assert_eq!(verdict["class"], document["expected_class"], "{name}: {verdict}");
    let bytes = |key: &str| document[key].as_u64().unwrap_or(0);
    let all = ["before_rss_bytes", "after_rss_bytes", "on_brkmap_rss_bytes"].map(bytes);
    (document, all)
}

#[test]
fn what_malloc_keeps_is_cured_by_a_trim_and_by_another_malloc() {
    for name in ["cached", "top-pinned", "arena-spread"] {
        let (document, [before, after, on_brkmap]) = checked(name);
        assert!(after * 3 < before, "{name}: {before} to {after}");
        assert!(on_brkmap * 3 < before, "{name}: {before} and {on_brkmap} on brkmap");
        let predicted = document["inspection"]["trim"]["returns_bytes"].as_u64().unwrap();
        let measured = before - after;
        assert!(predicted.abs_diff(measured) < before / 20, "{name}: {predicted} predicted, {measured} measured");
    }
}

#[test]
fn what_the_program_does_is_cured_by_the_program() {
    for name in ["random-survivors", "leak", "huge-pages"] {
        let (_, [before, after, on_brkmap]) = checked(name);
        assert!(after * 2 < before, "{name}: {before} to {after}");
        assert_eq!(on_brkmap, 0);
    }
    let (document, [_, after, _]) = checked("healthy");
    assert_eq!((document["cure"].as_str(), after), (Some(""), 0));
    let (document, _) = checked("mapped-blocks");
    let faults = |key: &str| document[key].as_str().unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(faults("after") * 50 < faults("before"), "{document:#}");
}

#[test]
fn the_state_is_held_for_other_commands() {
    let mut demo = brkmap(&["demo", "Pinned top", "--hold", "60", "--ascii"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut head: Vec<String> = Vec::new();
    for line in lines {
        head.push(line);
        if head.last().is_some_and(|line| line.starts_with("hold ")) {
            break;
        }
    }
    let line = head.last().cloned().unwrap_or_default();
    let pid = line.split("pid ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_else(|| panic!("{line}"));
    let seen = output(&["inspect", pid, "--json", "--over", "0"]);
    demo.kill().unwrap();
    demo.wait().unwrap();
    let document: Value = serde_json::from_slice(&seen.stdout).unwrap_or_else(|_| panic!("{}", stderr(&seen)));
    assert_eq!(document["verdict"]["class"], "top_pinned");
    // The process does not outlive the command that started it.
    wait_until("the process has ended", || has_ended(pid));
}

#[test]
fn the_text_fits_the_screen_and_wrong_names_are_refused() {
    let text = output(&["demo", "cached", "--ascii", "--alloc", "brkmap"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.is_ascii() && text.lines().count() <= 30, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("malloc: brkmap ") && text.contains("\ncure  "), "{text}");
    let list = output(&["demo"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), 9, "{list}");
    let unknown = output(&["demo", "measles"]);
    assert_eq!(unknown.status.code(), Some(125));
    assert!(stderr(&unknown).contains("there are healthy, cached,"), "{}", stderr(&unknown));
}
