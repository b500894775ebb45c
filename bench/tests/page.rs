//! The page and the document that are made from recorded runs, as a reader and a browser get them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brkmap-bench")).args(arguments).output().expect("the runner starts")
}

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn recorded() -> PathBuf {
    manifest("tests/data/small.json")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn the_page_is_whole_and_asks_for_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = directory.path().join("page.html");
    let output = bench(&["--from", text(&recorded()), "--html", text(&page)]);
    // One cell of the recorded run failed, and it says so.
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let html = fs::read_to_string(&page).expect("the page");
    assert!(html.len() < 2 << 20 && !html.contains("http:") && !html.contains("https:"), "{} bytes", html.len());
    assert!(html.contains("prefers-color-scheme: dark") && html.contains("default-src &#39;none&#39;"));

    let parsed = Command::new("python3").arg(manifest("tests/page.py")).arg(&page).output();
    let parsed = parsed.expect("python3 parses the page; install it with `apt-get install python3`");
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let found = String::from_utf8_lossy(&parsed.stdout);
    let cells: BTreeSet<&str> = found.lines().filter_map(|line| line.strip_prefix("cell ")).collect();
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(recorded()).expect("the recorded run")).expect("JSON");
    let has = |sheet: &str, cell: &serde_json::Value, figure: &str| {
        let place = format!("{sheet} {} {} = ", cell["setting"].as_str().unwrap(), cell["allocator"].as_str().unwrap());
        let shown = cells.iter().find_map(|line| line.strip_prefix(place.as_str()));
        let shown = shown.unwrap_or_else(|| panic!("no cell {place}\n{found}"));
        assert!(shown.contains(figure), "{place}{shown} lacks {figure}");
    };
    let all = document["cells"].as_array().expect("cells");
    let setting = |name: &serde_json::Value| {
        document["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == *name).expect("the setting")
    };
    let mut counted = 0;
    for cell in all {
        let setting = setting(&cell["setting"]);
        let first = &cell["runs"][0];
        // The recorded runs are the median, one below and one above it.
        let figure = |what: &str, unit: &str, divisor: f64| {
            first[what].as_f64().map_or("failed".into(), |value| format!("{}{unit}", three_digits(value / divisor)))
        };
        if setting["counted"] == true {
            has("cpu", cell, &figure("cpu_seconds", " s", 1.0));
            has(
                "rss",
                cell,
                first["peak_rss_bytes"].as_f64().map(|b| format!("{:.1} MiB", b / 1048576.0)).as_deref().unwrap(),
            );
            counted += 1;
        }
        match (setting["figure"]["from"].as_str(), setting["kind"].as_str()) {
            (Some("time"), _) => has("loops", cell, &figure("value", " ns", 1.0)),
            (Some("memory"), Some("give_back")) => {
                let trimmed = first["curve"]["trimmed_mib"].as_f64().expect("a curve");
                assert!(html.contains(&format!("<td class=\"n\">{trimmed:.1}</td>")));
                assert!(html.contains(&format!("{} {trimmed:.1}</text>", cell["allocator"].as_str().unwrap())));
            }
            (Some("memory"), _) => has("sizes", cell, &figure("value", " KiB", 1.0)),
            _ => {}
        }
    }
    assert_eq!(counted, 9);
    assert!(cells.iter().any(|cell| cell.starts_with("sizes start-anon jemalloc = failed")), "{found}");
    assert!(html.contains("left out: rustc"), "what was left out is named");
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[test]
fn runs_are_joined_and_written_again_with_their_summary() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (once, twice) = (directory.path().join("once.json"), directory.path().join("twice.json"));
    let again = directory.path().join("again.json");
    let recorded = recorded();
    bench(&["--from", text(&recorded), "--json", text(&once)]);
    bench(&["--from", text(&once), "--json", text(&again)]);
    assert!(fs::read(&once).expect("a document") == fs::read(&again).expect("a document"), "nothing is lost or added");
    bench(&["--from", text(&once), text(&recorded), "--json", text(&twice)]);
    let read = |path: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).expect("the document")).expect("JSON")
    };
    let (once, twice) = (read(&once), read(&twice));
    assert_eq!(once["cells"].as_array().map(Vec::len), Some(18));
    assert_eq!(once["summary"]["settings"], 3);
    assert_eq!(once["summary"]["ours"]["allocator"], "brkmap");
    assert!(once["summary"]["columns"][1]["means"]["cpu_times_rss"].as_f64().expect("a mean") > 0.0);
    assert_eq!(twice["cells"][0]["runs"].as_array().map(Vec::len), Some(6));
    assert_eq!(twice["summary"]["columns"], once["summary"]["columns"]);
}

#[test]
fn the_document_is_filled_and_what_is_written_by_hand_stays() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let document = directory.path().join("document.md");
    let own = manifest("../docs/BENCHMARKS.md");
    fs::copy(&own, &document).expect("the document is copied");
    bench(&["--from", text(&recorded()), "--docs", text(&document)]);
    let (before, after) = (fs::read_to_string(&own).unwrap(), fs::read_to_string(&document).unwrap());
    assert!(after.contains("| start-anon | 100 KiB ±0% | 105 KiB 1.05 | failed |\n"), "{after}");
    let mut is_generated = false;
    let mut by_hand = |text: &str| -> Vec<String> {
        let mut kept = Vec::new();
        for line in text.lines() {
            if line.starts_with("<!-- generated: ") {
                is_generated = true;
            }
            if !is_generated {
                kept.push(line.to_string());
            }
            if line.starts_with("<!-- end of ") {
                is_generated = false;
            }
        }
        kept
    };
    assert_eq!(by_hand(&before), by_hand(&after));
}

#[test]
fn what_was_not_recorded_by_this_program_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let odd = directory.path().join("odd.json");
    for (wrong, word) in [("{}", "not what --json writes"), ("[", "not what --json writes")] {
        fs::write(&odd, wrong).expect("written");
        let said = bench(&["--from", text(&odd)]);
        let complaint = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2));
        assert!(complaint.contains("odd.json") && complaint.contains(word), "{complaint}");
    }
    let newer = fs::read_to_string(recorded()).unwrap().replace("\"schema_version\": 1", "\"schema_version\": 9");
    fs::write(&odd, newer).expect("written");
    let complaint = bench(&["--from", text(&odd)]);
    assert!(String::from_utf8_lossy(&complaint.stderr).contains("version 9"));
    let complaint = bench(&["short", "--docs"]);
    assert!(String::from_utf8_lossy(&complaint.stderr).contains("--from"), "documents are made from what was recorded");
}
