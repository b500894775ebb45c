//! `brkmap doctor` where all is allowed, and where something is not.

use super::targets::build;
use super::{brkmap, output, stderr};
use serde_json::Value;
use std::process::{Command, Output};

fn document(output: &Output) -> Value {
    assert!(output.stderr.is_empty(), "{}", stderr(output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema_version"], 1);
    let no = document["no"].as_u64().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(no > 0)), "{document:#}");
    document
}

/// State and finding of a line.
fn check(document: &Value, subject: &str) -> (String, String) {
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["subject"] == subject).unwrap_or_else(|| panic!("no {subject}"));
    let text = |key: &str| check[key].as_str().unwrap().to_owned();
    assert_eq!(text("state") == "ok", text("remedy").is_empty(), "{check}");
    (text("state"), text("finding"))
}

/// The report in a process for which two system calls are refused, or end it.
fn without(calls: [i32; 2], kills: bool) -> Value {
    let mut command = Command::new(build("refuse", "refuse-doctor", &[]));
    command.args(calls.map(|call| call.to_string())).args([env!("CARGO_BIN_EXE_brkmap"), "doctor", "--json"]);
    command.env_remove("LD_PRELOAD");
    if kills {
        command.env("REFUSE_KILLS", "1");
    }
    document(&command.output().unwrap())
}

#[test]
fn what_the_other_tests_need_is_allowed_here() {
    let document = document(&output(&["doctor", "--json"]));
    for subject in
        ["kernel", "libc", "library", "preload", "read children", "read others", "smaps", "pagemap", "ptrace"]
    {
        assert_eq!(check(&document, subject).0, "ok", "{document:#}");
    }
    let sum: u64 = ["ok", "limited", "no"].iter().map(|key| document[*key].as_u64().unwrap()).sum();
    assert_eq!(sum, document["checks"].as_array().unwrap().len() as u64);
}

#[test]
fn refused_calls_are_noticed_and_named() {
    let (process_vm_readv, ptrace) = (310, 101);
    let seen = without([process_vm_readv, ptrace], false);
    let (state, finding) = check(&seen, "read children");
    assert_eq!((state.as_str(), finding.contains("/proc/PID/mem works")), ("limited", true), "{finding}");
    assert_eq!(check(&seen, "read others").0, "no");
    assert_eq!(check(&seen, "ptrace"), ("no".to_owned(), "Operation not permitted".to_owned()));
    assert_eq!(check(&seen, "smaps").0, "ok");
    let (madvise, process_madvise) = (28, 440);
    let seen = without([madvise, process_madvise], false);
    assert_eq!(check(&seen, "give back").0, "no");
    assert_eq!(check(&seen, "ptrace").0, "ok");
    let (ioctl, bpf) = (16, 321);
    let seen = without([ioctl, bpf], false);
    let (state, finding) = check(&seen, "BPF");
    assert_eq!((state.as_str(), finding.contains("Operation not permitted")), ("limited", true), "{finding}");
    assert_eq!(check(&seen, "PAGEMAP_SCAN").0, "limited");
    assert_eq!(check(&seen, "pagemap").0, "ok");
}

#[test]
fn a_sandbox_that_kills_ends_one_test_and_not_the_report() {
    let (ptrace, process_madvise) = (101, 440);
    let seen = without([ptrace, process_madvise], true);
    assert_eq!(check(&seen, "ptrace"), ("no".to_owned(), "ended by SIGSYS".to_owned()));
    let (state, finding) = check(&seen, "give back");
    assert_eq!((state.as_str(), finding.contains("ended by SIGSYS")), ("limited", true), "{finding}");
    for behind in ["program break", "mappings", "overcommit", "read others"] {
        assert_eq!(check(&seen, behind).0, "ok", "what comes after a death is tried by the next child");
    }
}

#[test]
fn limits_and_a_missing_place_are_seen() {
    let shell = |setting: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{setting}; exec \"$0\" doctor --json"), env!("CARGO_BIN_EXE_brkmap")]);
        document(&command.env_remove("LD_PRELOAD").output().unwrap())
    };
    let small = shell("ulimit -v 4000000");
    assert_eq!(check(&small, "limits"), ("limited".to_owned(), "RLIMIT_AS 3906.2 MiB".to_owned()));
    assert_eq!(check(&small, "overcommit").0, "ok");
    let place = tempfile::tempdir().unwrap();
    let blocked = place.path().join("a b");
    let homeless = document(
        &brkmap(&["doctor", "--json"]).env("XDG_CACHE_HOME", &blocked).env("TMPDIR", &blocked).output().unwrap(),
    );
    assert_eq!(check(&homeless, "library").0, "limited");
    assert_eq!(check(&homeless, "preload").0, "ok", "a file in memory serves as well");
    let same = document(
        &Command::new("setarch").args(["-R", env!("CARGO_BIN_EXE_brkmap"), "doctor", "--json"]).output().unwrap(),
    );
    assert!(check(&same, "aslr").1.starts_with("off"));
    assert!(check(&small, "aslr").1.starts_with("on"));
}

#[test]
fn the_text_fits_the_screen() {
    let text = output(&["doctor", "--ascii"]);
    assert!(text.status.code().is_some_and(|code| code < 2));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.is_ascii() && text.lines().count() <= 30, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.starts_with("brkmap doctor: "), "{text}");
}
