//! Pages of `--html`, shown and judged by a real browser.

use super::targets::{Target, program};
use super::{brkmap, compile, stderr};
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes the page of a running process; further arguments may follow.
fn inspect(folder: &Path, name: &str, pid: &str, extra: &[&str]) -> PathBuf {
    let page = folder.join(format!("{name}.html"));
    let arguments = ["inspect", pid, "--html", page.to_str().unwrap()];
    let output = brkmap(&[&arguments[..], extra].concat()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", stderr(&output));
    assert!(!output.stdout.is_empty(), "the report for the terminal comes all the same");
    page
}

fn run(folder: &Path, name: &str, alloc: &str, command: &[&str]) -> PathBuf {
    let page = folder.join(format!("{name}.html"));
    let arguments = ["run", "--alloc", alloc, "--html", page.to_str().unwrap(), "--"];
    let output = brkmap(&[&arguments[..], command].concat()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", stderr(&output));
    page
}

/// The data inside of a page.
fn data(page: &Path) -> Value {
    let text = fs::read_to_string(page).unwrap();
    let inside = text.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    serde_json::from_str(inside).unwrap()
}

/// Names that would be markup, end the data, or turn the text around them.
const HOSTILE: [&str; 3] =
    ["</script><script>alert(1)</script>", "\" onload=\"alert(2)", "<!-- \u{202e}&amp; <img src=x onerror=alert(3)>"];

/// A program whose name, arguments and settings are hostile.
fn hostile(folder: &Path) -> Target {
    let program_file = folder.join("<b>&\"'");
    fs::copy(program(), &program_file).unwrap();
    let mut command = Command::new(&program_file);
    command.arg0(HOSTILE[0]).arg("healthy").args(HOSTILE).env("MALLOC_X", HOSTILE[0]);
    Target::start(command)
}

#[test]
fn a_browser_shows_every_page_without_complaint_or_request() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let churn = compile(
        place,
        "#include <stdlib.h>\n#include <string.h>\n#include <stdio.h>\n#include <unistd.h>\n\
         int main(int count, char **words) { static char *all[40000]; (void)words;\n\
         for (int i = 0; i < 40000; i++) memset(all[i] = malloc(20 + i % 900), 1, 20);\n\
         for (int i = 0; i < 40000; i++) if (i % 9) free(all[i]);\n\
         char *large = malloc(5 << 20); memset(large, 1, 5 << 20); free(large);\n\
         if (count > 1) { puts(\"ready\"); fflush(stdout); getchar(); } return 0; }\n",
        &[],
    );
    let arenas = Target::sick("arenas");
    let leaking = Target::sick("leak");
    let mut ours = Command::new(env!("CARGO_BIN_EXE_brkmap"));
    ours.args(["use", "--", &churn, "wait"]);
    let ours = Target::start(ours);
    let hostile = hostile(place);
    let script = format!("for i in 1 2 3 4 5 6 7 8; do {churn}; done; true");
    let pages = [
        inspect(place, "leak", &leaking.pid(), &["--watch", "0.1", "--count", "4"]),
        run(place, "run", "brkmap", &["sh", "-c", &script]),
        inspect(place, "arenas", &arenas.pid(), &["--over", "0"]),
        inspect(place, "ours", &ours.pid(), &["--over", "0"]),
        inspect(place, "hostile", &hostile.pid(), &["--over", "0"]),
        run(place, "system", "system", &[&churn, HOSTILE[0]]),
    ];
    assert_eq!(data(&pages[0])["growth"]["looks"], 4);
    assert!(fs::read_to_string(&pages[0]).unwrap().contains("class=\"rss\""), "several looks are a line");
    assert!(data(&pages[4])["command"].to_string().contains("alert(1)"), "it was a test of something");
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/browser.py");
    let shown = Command::new("python3").arg(checker).arg(place).args(&pages).stdin(Stdio::null()).output();
    let shown = shown.expect("python3 is needed");
    let said = String::from_utf8_lossy(&shown.stdout).into_owned() + &stderr(&shown);
    assert!(shown.status.success(), "{said}");
    assert!(said.contains("6 pages shown"), "{said}");
}

#[test]
fn a_page_is_not_written_over_another_file_unless_wished() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    fs::write(&page, "mine").unwrap();
    let page = page.to_str().unwrap();
    let target = Target::sick("small");
    for arguments in [&["inspect", &target.pid(), "--html", page][..], &["run", "--html", page, "--", "true"]] {
        let refused = brkmap(arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(125));
        assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
        assert_eq!(fs::read_to_string(page).unwrap(), "mine");
    }
    let wished = brkmap(&["run", "--html", page, "--force", "--", "true"]).output().unwrap();
    assert!(wished.status.success() && fs::read_to_string(page).unwrap().ends_with("</html>\n"));
    let nowhere = brkmap(&["run", "--html", "/nowhere/page.html", "--", "true"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(125), "{}", stderr(&nowhere));
    assert!(stderr(&nowhere).contains("/nowhere/page.html"), "{}", stderr(&nowhere));
    let alone = brkmap(&["run", "--force", "--", "true"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(125), "--force of nothing is a mistake");
}

#[test]
fn a_run_of_many_processes_stays_a_small_page() {
    let folder = tempfile::tempdir().unwrap();
    let script = "i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i + 1)); done";
    let page = run(folder.path(), "many", "system", &["sh", "-c", script]);
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.len() < 2 << 20, "{}", text.len());
    let data = data(&page);
    let kept = data["processes"].as_array().unwrap().len() as u64;
    let left_out = data["entries_left_out"].as_u64().unwrap_or(0);
    assert_eq!(kept + left_out, 401, "none is lost without a word");
    assert!(text.contains("more are in --json"));
}
