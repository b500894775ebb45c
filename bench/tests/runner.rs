//! The runner as a user runs it: a comparison that holds, and the ways in which one must not be believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brkmap-bench")).args(arguments).output().expect("the runner starts")
}

/// A shared library from a line of C, in a directory that ends with the returned value.
fn library(source: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (c, so) = (directory.path().join("lib.c"), directory.path().join("libodd.so"));
    fs::write(&c, source).expect("the source is written");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-w", "-fno-builtin", "-o"]).arg(&so).arg(&c).status();
    assert!(status.expect("cc runs").success());
    (directory, so)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_comparison_ends_with_a_table_and_a_document_that_agree() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("out.json");
    let output = bench(&["startup", "--with", "glibc", "-n", "2", "--json", text(&json)]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&fs::read(&json).expect("the document")).expect("JSON");
    assert_eq!(document["schema_version"], 1);
    let cells = document["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 2);
    for cell in cells {
        assert_eq!(cell["runs"].as_array().map(Vec::len), Some(2));
        assert!(cell["runs"][0]["value"].as_f64().expect("a value") > 0.0);
        assert!(cell["runs"][0]["peak_rss_bytes"].as_u64().expect("bytes") > 500_000);
        assert!(cell["runs"][0]["malloc"].as_str().expect("a path").contains("libc.so"));
        assert!(shown.contains(cell["setting"].as_str().expect("a name")));
    }
}

#[test]
fn a_library_that_is_no_malloc_is_found_out() {
    let (_directory, so) = library("int nothing;");
    let output = bench(&["micro", "--filter", "hot-16k", "--with", &format!("glibc,{}", so.display()), "-n", "1"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("failed: hot-16k on odd: malloc of "), "{shown}");
}

#[test]
fn a_malloc_that_gives_nothing_fails_its_cells_and_not_the_others() {
    let (_directory, so) =
        library("#include <stddef.h>\nvoid *malloc(size_t n) { return NULL; }\nvoid free(void *p) {}");
    let output = bench(&["startup", "--filter", "anon", "--with", &format!("glibc,{}", so.display()), "-n", "1"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("failed: start-anon on odd: it ended with status 1"), "{shown}");
    assert!(!shown.contains("on glibc:"), "{shown}");
}

#[test]
fn what_cannot_be_found_is_named_with_its_remedy() {
    let output = bench(&["--with", "glibc,/nonexistent/libx.so"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("/nonexistent/libx.so") && said.contains("build it"), "{said}");
    let output = bench(&["--filter", "no-such-setting"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("no-such-setting") && said.contains("--list"), "{said}");
}

#[test]
fn what_stays_of_freed_memory_is_told_over_time_and_drawn() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let svg = directory.path().join("out.svg");
    let output = bench(&["giveback", "--filter", "back-threads", "--with", "glibc", "-n", "1", "--svg", text(&svg)]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let figure = |moment: &str| -> f64 {
        let line = shown.lines().find(|line| line.contains(moment)).expect("a line for the moment");
        line.split_whitespace().last().expect("a column").parse().expect("a number")
    };
    // glibc keeps what lies below live blocks until it is told to trim, and most of it goes then.
    assert!(figure("before the frees") > 550.0 && figure("1 s idle") > 550.0, "{shown}");
    assert!(figure("malloc_trim(0)") < 150.0, "{shown}");
    let drawn = fs::read_to_string(&svg).expect("the drawing");
    assert!(drawn.starts_with("<svg ") && drawn.contains(">glibc ") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
}

#[test]
fn a_drawing_of_settings_that_have_no_curve_is_refused() {
    let output = bench(&["startup", "--with", "glibc", "--svg", "never-written.svg"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("--svg") && said.contains("giveback"), "{said}");
    assert!(!Path::new("never-written.svg").exists());
}

#[test]
fn rivals_are_built_from_their_crates_to_preload_and_as_global_allocators() {
    let columns = ["--with", "glibc,rpmalloc,rusty_alloc", "-n", "1"];
    for (set, filter, whose) in
        [("micro", "hot-48", ["its own malloc", "our C layer"]), ("rust", "rust-box-48", ["global allocator"; 2])]
    {
        let output = bench(&[&[set, "--filter", filter], &columns[..]].concat());
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
        for (name, whose) in ["rpmalloc", "rusty_alloc"].into_iter().zip(whose) {
            let version =
                shown.lines().find(|line| line.trim_start().starts_with(name)).expect("a line for the column");
            assert!(version.contains(whose), "{version}");
        }
        // Three figures of three allocators.
        let row = shown.lines().find(|line| line.starts_with(filter)).expect("a row");
        assert_eq!(row.matches(" ns").count(), 3, "{row}");
    }
}

#[test]
fn a_rival_that_does_not_build_leaves_the_others_alone_and_is_named_with_the_reason() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brkmap-bench"));
    command.args(["startup", "--filter", "anon", "--with", "glibc,mimalloc2", "-n", "1"]);
    let output = command.env("CFLAGS", "--no-such-flag").output().expect("the runner starts");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("left out: mimalloc2: ") && shown.contains("no-such-flag"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("start-anon") && line.contains("KiB")), "{shown}");
}

#[test]
fn a_column_without_a_rust_program_is_empty_and_no_failure() {
    let (_directory, so) = library("int nothing;");
    let with = format!("glibc,{}", so.display());
    let output = bench(&["rust", "--filter", "rust-box-48", "--with", &with, "-n", "1"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let row = shown.lines().find(|line| line.starts_with("rust-box-48")).expect("a row");
    assert!(row.trim_end().ends_with('-'), "{row}");
}

/// The median, the 99th percentile and the highest one of single calls, and the whole output.
fn percentiles() -> ([f64; 3], String) {
    let output = bench(&["latency", "--filter", "malloc-p", "--with", "glibc", "-n", "1"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let of = |name: &str| -> f64 {
        let line = shown.lines().find(|line| line.split(' ').next() == Some(name)).expect("a row");
        line.split_whitespace().nth(1).expect("a column").parse().expect("a number")
    };
    (["malloc-p50", "malloc-p99", "malloc-p99.99"].map(of), shown)
}

#[test]
fn percentiles_of_single_calls_rise() {
    // A call takes some nanoseconds, and one in a hundred of glibc's goes through its bins. Other work on the machine may lift
    // the median of a run.
    for tries in 1.. {
        let ([p50, p99, most], shown) = percentiles();
        if p50 > 1.0 && p50 < 1000.0 && p99 > 2.0 * p50 && most > p99 {
            return;
        }
        assert!(tries < 3, "{shown}");
    }
}

#[test]
fn instructions_are_counted_for_fixed_work() {
    let output = bench(&["micro", "--filter", "sizes-32", "--with", "glibc", "-n", "1", "--instructions"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let (_, table) = shown.split_once("Instructions of one run").unwrap_or_else(|| panic!("no table in {shown}"));
    let line = table.lines().find(|line| line.starts_with("sizes-32")).expect("a row");
    let millions: f64 = line.split_whitespace().nth(1).expect("a column").parse().expect("a number");
    // The loop makes 3.2 million pairs; a pair of glibc's takes some tens.
    let each = millions / 3.2;
    assert!(each > 15.0 && each < 200.0, "{each} instructions for a pair");
}

#[test]
fn the_calls_of_a_run_are_counted_apart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("out.json");
    let arguments = ["startup", "--filter", "start-anon", "--with", "glibc", "-n", "1", "--syscalls", "--json"];
    let output = bench(&[&arguments[..], &[text(&json)]].concat());
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&fs::read(&json).expect("the document")).expect("JSON");
    let cell = &document["cells"][0];
    let (all, for_memory) = (&cell["system_calls"]["all"], &cell["system_calls"]["for_memory"]);
    // The loader alone maps two objects; the program itself opens a file and reads it.
    let (all, for_memory) = (all.as_u64().expect("calls"), for_memory.as_u64().expect("calls"));
    assert!(for_memory >= 5 && all >= for_memory + 5 && all < 500, "{all} {for_memory}");
    assert_eq!(cell["runs"].as_array().map(Vec::len), Some(1), "that run is no measured one");
    assert!(shown.contains(&format!("{all} ({for_memory})")), "{shown}");
}

#[test]
fn settings_of_several_threads_have_their_means() {
    let output = bench(&["threads", "--filter", "small-", "--with", "glibc,jemalloc", "-n", "1"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("CPU time, all 2 settings") && shown.contains("wall time, 2 settings"), "{shown}");
    assert!(shown.contains("first or within 3 % in CPU time"), "{shown}");
}
