//! Full looks of `brkmap run`: at the peak, at the end, beside any malloc; and the process over time.

use super::targets::checked;
use super::{brkmap, compile, report, stderr};
use serde_json::Value;

/// Holds 40 MB for a while, frees nearly all of it, and ends a little later.
const PHASES: &str = r#"
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    int main(int count, char **words) {
        static void *all[40000];
        for (int i = 0; i < 40000; i++) memset(all[i] = malloc(1000), 1, 1000);
        usleep(2000000);
        for (int i = 0; i < 40000; i++) if (i % 500) free(all[i]);
        usleep(300000);
        if (count > 1) execl("/bin/true", "true", NULL);
        return 0;
    }"#;

fn process<'a>(document: &'a Value, name: &str) -> &'a Value {
    let is_it = |process: &&Value| process["exe"].as_str().is_some_and(|exe| exe.ends_with(name));
    document["processes"].as_array().unwrap().iter().find(is_it).unwrap()
}

fn row(look: &Value, key: &str) -> u64 {
    let rows = look["waterfall"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["key"] == key).map_or(0, |row| row["bytes"].as_u64().unwrap())
}

#[test]
fn glibcs_heap_is_read_at_the_peak_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PHASES, &[]);
    let (status, document) = report("system", &[&program]);
    assert_eq!(status, 0);
    let process = process(&document, "/program");
    let (peak, end) = (&process["looks"]["peak"], &process["looks"]["end"]);
    for look in [peak, end] {
        checked(look.clone());
        assert!(look["malloc"].as_str().unwrap().starts_with("glibc 2."), "{look:#}");
        assert!(row(look, "unexplained") * 100 <= look["rss_bytes"].as_u64().unwrap(), "{look:#}");
    }
    assert!(peak["of_peak"].as_f64().unwrap() > 0.97, "{peak:#}");
    assert_eq!((peak["verdict"]["class"].as_str(), end["verdict"]["class"].as_str()), (Some("fine"), Some("cached")));
    assert!(row(peak, "live") > 38_000_000 && row(end, "live") < 1 << 20, "{process:#}");
    assert!(end["trim"]["returns_bytes"].as_u64().unwrap() > 36_000_000, "{end:#}");
    assert!(peak["after_us"].as_u64().unwrap() < end["after_us"].as_u64().unwrap());
    assert_eq!(document["verdict"]["class"], "cached", "the last moment is what the report opens with");
    // Over time: up, and for the malloc down again, which RSS does not show.
    let moments = process["timeline"].as_array().unwrap();
    assert!(moments.len() > 4 && moments.len() <= 500, "{}", moments.len());
    assert!(moments.windows(2).all(|pair| pair[0]["at_ms"].as_u64() <= pair[1]["at_ms"].as_u64()));
    let live: Vec<u64> = moments.iter().filter_map(|moment| moment["live_bytes"].as_u64()).collect();
    assert!(
        live.iter().any(|&bytes| bytes > 38_000_000) && live.last().is_some_and(|&bytes| bytes < 1 << 20),
        "{live:?}"
    );
    assert!(moments.iter().any(|moment| moment["rss_bytes"].as_u64().unwrap() > 38_000_000));
    assert!(moments.iter().any(|moment| moment["mapped_bytes"].as_u64().unwrap() > 38_000_000));
}

#[test]
fn the_report_shows_both_looks_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PHASES, &[]);
    for alloc in ["system", "brkmap", "libjemalloc.so.2"] {
        let path = format!("/usr/lib/x86_64-linux-gnu/{alloc}");
        let alloc = if alloc.contains(".so") { &path } else { alloc };
        let ran = brkmap(&["run", "--ascii", "--alloc", alloc, "--", &program]).output().unwrap();
        let text = stderr(&ran);
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.is_ascii() && lines.len() <= 30, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
        for subject in ["resident ", "over time ", "at peak ", "faults ", "time "] {
            assert!(lines.iter().any(|line| line.starts_with(subject)), "{alloc}: {subject}: {text}");
        }
        assert!(text.contains("sum = resident") && text.contains("  unexplained"), "{text}");
        if alloc == "system" {
            let heading = lines.iter().find(|line| line.contains("at peak  ") && line.contains("at exit"));
            assert!(heading.is_some() && text.contains("malloc_trim(0) would return"), "{text}");
        }
    }
}

#[test]
fn children_and_programs_after_an_exec_have_looks_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PHASES, &[]);
    let (_, document) = report("system", &["sh", "-c", &format!("{program}; :")]);
    let child = process(&document, "/program");
    assert!(row(&child["looks"]["peak"], "live") > 38_000_000, "{child:#}");
    // A child gets a look at its end while there is time for it, which a busy machine may not leave.
    let end = &child["looks"]["end"];
    assert!(end.is_null() || end["verdict"]["class"] == "cached", "{child:#}");
    // `true` in the place of the large program: nothing of that is left in it.
    let (_, document) = report("system", &[&program, "and exec"]);
    let after = process(&document, "true");
    assert!(after["looks"]["end"]["rss_bytes"].as_u64().unwrap() < 8 << 20, "{after:#}");
    assert!(after["looks"]["peak"]["rss_bytes"].as_u64().unwrap() < 8 << 20, "{after:#}");
    let moments = after["timeline"].as_array().unwrap();
    assert!(moments.iter().all(|moment| moment["rss_bytes"].as_u64().unwrap() < 8 << 20), "{moments:?}");
    let before = after["before_exec"].as_array().unwrap();
    assert!(before.iter().any(|program| program["peak_rss_bytes"].as_u64().unwrap() > 38_000_000), "{before:?}");
}

#[test]
fn without_tracing_the_last_look_stands_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PHASES, &[]);
    let file = folder.path().join("report.json");
    let file = file.to_str().unwrap();
    let arguments = ["run", "--no-trace", "--alloc", "system", "--json", "-o", file, "--", &program];
    assert!(brkmap(&arguments).status().unwrap().success());
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let looks = &document["processes"][0]["looks"];
    assert!(looks["peak"]["of_peak"].as_f64().unwrap() > 0.9, "{looks:#}");
}
