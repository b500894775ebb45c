//! Processes that die, stop, change or lie while they are looked at.

use super::targets::{Target, checked, program};
use super::{brkmap, stderr};
use serde_json::Value;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::FileExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// No look takes more memory than this, whatever the process is.
const MOST_MEMORY: &str = "--as=268435456";
/// No look takes more time of a processor: beyond, the kernel kills it.
const MOST_TIME: &str = "--cpu=20";

/// `brkmap inspect` with less memory than the limit says.
fn inspect_in_little_memory(pid: &str) -> Output {
    let mut command = Command::new("prlimit");
    command.args([MOST_MEMORY, MOST_TIME, env!("CARGO_BIN_EXE_brkmap"), "inspect", pid, "--json"]);
    let output = command.output().expect("prlimit (util-linux) is needed");
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

/// A sum over all private writable memory of a stopped process.
fn sum_of_memory(pid: &str) -> (u64, u64) {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut hasher = DefaultHasher::new();
    let mut bytes = 0;
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let mut contents = vec![0; (number(end) - number(start)) as usize];
        if rest.starts_with("rw") && memory.read_exact_at(&mut contents, number(start)).is_ok() {
            hasher.write(&contents);
            bytes += contents.len() as u64;
        }
    }
    (hasher.finish(), bytes)
}

#[test]
fn forged_heaps_end_the_walk_in_little_memory_and_time() {
    for seed in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let mut command = Command::new(program());
        command.args(["forged", seed]);
        let target = Target::start(command);
        let ended = inspect_in_little_memory(&target.pid());
        assert!(ended.status.success(), "seed {seed}: {}", stderr(&ended));
        let document = checked(serde_json::from_slice(&ended.stdout).unwrap());
        let heap = &document["glibc"];
        let is_honest = heap["torn"].as_u64().is_some_and(|torn| torn > 0) && heap["problem"].is_string();
        assert!(is_honest, "seed {seed}: {heap:#}");
        assert_ne!(document["verdict"]["confidence"], "high", "seed {seed}: {}", document["verdict"]);
    }
}

#[test]
fn every_state_is_read_in_little_memory() {
    for state in ["mixed", "shuffled", "arenas", "busy", "huge"] {
        let target = Target::sick(state);
        let ended = inspect_in_little_memory(&target.pid());
        assert!(ended.status.success(), "{state}: {}", stderr(&ended));
    }
}

#[test]
fn a_process_that_is_stopped_in_the_middle_is_read_to_the_end() {
    for delay in [0, 5, 20, 60] {
        let target = Target::sick("busy");
        let pid = target.pid();
        let look = brkmap(&["inspect", &pid, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        target.stop();
        let ended = look.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
        checked(serde_json::from_slice(&ended.stdout).unwrap());
        assert!(target.stands_still(), "it is left as it was");
    }
}

#[test]
fn not_one_byte_of_the_process_changes() {
    for state in ["mixed", "arenas", "lazy"] {
        let target = Target::sick(state);
        let pid = target.pid();
        target.stop();
        let before = sum_of_memory(&pid);
        assert!(before.1 > 1 << 20);
        assert!(inspect_in_little_memory(&pid).status.success());
        assert!(brkmap(&["maps", &pid]).output().unwrap().status.success());
        assert_eq!(sum_of_memory(&pid), before, "{state}");
    }
}

#[test]
fn a_program_that_is_killed_while_it_is_run_gets_its_report() {
    for delay in ["0.05", "0.2", "0.5"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        let script =
            format!("\"{}\" mixed < /dev/zero > /dev/null & sleep {delay}; kill -9 $!; wait $!", program().display());
        let arguments = ["run", "--alloc", "system", "--json", "-o", file.to_str().unwrap(), "--", "sh", "-c", &script];
        let ended = brkmap(&arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(137), "{}", stderr(&ended));
        let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let killed = document["processes"].as_array().unwrap().iter().find(|process| process["ended"]["signal"] == 9);
        assert!(killed.is_some(), "{document:#}");
    }
}
