//! The lab: every claim tried, its page, its words; and what becomes of it where the machine refuses things.

use super::{brkmap, output};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Claims that need what a machine may not have, or compare times that a busy machine may blur.
const MAY_BE_MISSING: [&str; 6] =
    ["break-threads", "cost-allocators", "free-tcache", "malloc-go", "malloc-musl", "layout-gap"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The trials of a document by their names, with what holds of each whatever the machine.
fn trials(document: &Value) -> BTreeMap<String, Value> {
    assert_eq!(document["schema_version"], 1);
    let trials = document["trials"].as_array().unwrap().iter();
    let named: BTreeMap<_, _> = trials.map(|trial| (trial["id"].as_str().unwrap().to_owned(), trial.clone())).collect();
    for (id, trial) in &named {
        let verdict = trial["verdict"].as_str().unwrap();
        let figures = trial["figures"].as_array().unwrap();
        let has_detail = trial["detail"].as_str().is_some_and(|text| text.len() > 10);
        match verdict {
            "as told" => assert!(!has_detail, "{trial}"),
            "told otherwise" | "not on this machine" | "failed" => assert!(has_detail, "{id} gives no reason: {trial}"),
            other => panic!("{id}: {other}"),
        }
        if verdict.contains("told") {
            assert!(!figures.is_empty(), "{id} asserts no figure");
            assert!(figures.iter().all(|figure| figure["held"] == true), "{trial}");
            assert!(!trial["did"].as_array().unwrap().is_empty() && !trial["saw"].as_array().unwrap().is_empty());
        }
    }
    named
}

/// All claims with the verdict of the index.
fn index() -> BTreeMap<String, String> {
    let list = json(&output(&["lab", "list", "--json"]));
    let claims = list["claims"].as_array().unwrap().iter();
    claims.map(|one| (one["id"].as_str().unwrap().to_owned(), one["verdict"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn every_claim_is_tried_and_found_as_the_index_says() {
    let ran = output(&["lab", "all", "--json"]);
    let document = json(&ran);
    let (tried, told) = (trials(&document), index());
    assert_eq!(tried.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>());
    for (id, trial) in &tried {
        let verdict = trial["verdict"].as_str().unwrap();
        let excused = verdict == "not on this machine" && MAY_BE_MISSING.contains(&id.as_str());
        assert!(verdict == told[id] || excused, "{id}: the index says {}, found: {trial:#}", told[id]);
    }
    assert_eq!((ran.status.code(), &document["failed"]), (Some(0), &Value::from(0)));
    // A guard against what waits for ever, not a measure.
    assert!(document["took_ms"].as_u64().unwrap() < 600_000, "{}", document["took_ms"]);
    // The figures that everybody knows, by name.
    let figure = |id: &str, what: &str| {
        let figures = tried[id]["figures"].as_array().unwrap();
        figures.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("{id} has no '{what}'"))["seen"].clone()
    };
    assert_eq!(figure("break-arithmetic", "0x10000000 + 8192"), "0x10002000");
    assert_eq!(figure("break-grow", "bytes the end of [heap] moved"), "8192");
    assert_eq!(figure("map-rounding", "bytes in /proc/self/maps"), "8192");
    assert_eq!(figure("malloc-which", "200000 on glibc"), "mapping");
    assert_eq!(figure("malloc-which", "131071 on brkmap"), "heap");
    assert_eq!(figure("task-6", "calls of free"), "munmap");
    assert_eq!(figure("task-7", "moves of 4096 bytes"), "10");
}

/// Light ones of every family.
const LIGHT: [&str; 16] = [
    "break",
    "map-rounding",
    "map-unmap",
    "map-reserve",
    "map-failed",
    "layout-order",
    "malloc-which",
    "malloc-batch",
    "malloc-thread",
    "free-reuse",
    "free-double",
    "back-trim-threshold",
    "back-malloc-trim",
    "cost-tlb",
    "cost-realloc",
    "task-6",
];

/// A command line that refuses two system calls, in front of the program.
fn refusing(folder: &Path, calls: [i64; 2], names: &[&str]) -> Output {
    let program = folder.join("refuse");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/targets/refuse.c");
    let made = std::process::Command::new("cc").arg("-o").arg(&program).arg(source).status().unwrap();
    assert!(made.success());
    let mut command = std::process::Command::new(program);
    command.args(calls.map(|call| call.to_string())).arg(env!("CARGO_BIN_EXE_brkmap")).arg("lab").args(names);
    command.arg("--json").env_remove("LD_PRELOAD").output().unwrap()
}

#[test]
fn without_ptrace_and_counters_each_still_ends_with_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let ran = refusing(folder.path(), [libc::SYS_ptrace, libc::SYS_perf_event_open], &LIGHT);
    let tried = trials(&json(&ran));
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
    assert_eq!(tried["malloc-which"]["verdict"], "as told", "addresses suffice");
    assert_eq!(tried["malloc-which"]["traced"], false);
    assert_eq!(tried["break-grow"]["verdict"], "as told");
    let seen = tried["cost-tlb"]["saw"].to_string();
    assert!(seen.contains("cannot be counted here"), "{seen}");
}

#[test]
fn under_a_small_limit_of_addresses_each_still_ends_with_a_verdict_or_a_reason() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v 131072; exec \"$0\" lab \"$@\" --json", env!("CARGO_BIN_EXE_brkmap")]).args(LIGHT);
    let ran = command.env_remove("LD_PRELOAD").output().unwrap();
    let tried = trials(&json(&ran));
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
    assert_eq!(tried["break-grow"]["verdict"], "as told");
    assert_eq!(tried["map-reserve"]["verdict"], "not on this machine");
    assert!(tried["map-reserve"]["detail"].as_str().unwrap().contains("cannot allocate memory"));
}

#[test]
fn the_page_of_the_documentation_is_what_the_index_makes() {
    let page = std::fs::read_to_string(repository().join("docs/CLAIMS.md")).unwrap();
    let made = text(&output(&["lab", "list", "--markdown"]));
    assert_eq!(made, page, "make it anew: brkmap lab list --markdown > docs/CLAIMS.md");
}

#[test]
fn the_tour_goes_through_all_claims_in_order() {
    let tour = std::fs::read_to_string(repository().join("docs/TOUR.md")).unwrap();
    let list = json(&output(&["lab", "list", "--json"]));
    let claims: Vec<&str> = list["claims"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let shown: Vec<&str> = tour.lines().filter_map(|line| line.strip_prefix("$ brkmap lab ")).collect();
    assert_eq!(shown, claims);
    // What stands below each is the lab's: its claim, and a verdict.
    for id in claims {
        let (_, rest) = tour.split_once(&format!("$ brkmap lab {id}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        assert!(block.starts_with(&format!("{id}\n  claim   ")), "{id}: {block}");
        assert!(block.contains("\n  verdict ") && !block.contains("verdict FAILED"), "{id}: {block}");
        assert!(block.lines().count() <= 25, "{id} is long: {block}");
    }
}

#[test]
fn a_report_is_short_and_explains_on_demand() {
    let short = text(&output(&["lab", "map-rounding", "--ascii"]));
    assert!(short.is_ascii() && short.lines().count() <= 25, "{short}");
    for word in ["claim", "did", "saw", "held", "verdict as told", "= 8192"] {
        assert!(short.contains(word), "no {word}: {short}");
    }
    let long = text(&output(&["lab", "map-rounding", "--explain", "--color", "always"]));
    assert!(long.contains("told by") && long.contains("\u{1b}["), "{long}");
    let two = text(&output(&["lab", "task-5", "map-rounding"]));
    assert!(two.find("map-rounding").unwrap() < two.find("task-5").unwrap(), "in the order of the index");
    assert!(two.contains("2 claims in "), "{two}");
    let plain = brkmap(&["lab", "map-hint"]).env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(!text(&plain).contains('\u{1b}'));
}

#[test]
fn a_name_that_nobody_knows_is_told_with_those_near() {
    let wrong = output(&["lab", "rounding"]);
    assert_eq!(wrong.status.code(), Some(125));
    let told = super::stderr(&wrong);
    assert!(told.contains("no claim or family 'rounding'") && told.contains("map-rounding"), "{told}");
    let list = text(&output(&["lab"]));
    assert!(list.contains("break-grow") && list.contains("task-9"), "{list}");
}
