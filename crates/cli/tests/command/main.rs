//! The built command on real programs.

mod compare;
mod demo;
mod depth;
mod doctor;
mod explain;
mod facts;
mod flow;
mod help;
mod hostile;
mod html;
mod inspect;
mod lab;
mod labelled;
mod maps;
mod metrics;
mod named;
mod policy;
mod reach;
mod reasons;
mod syscalls;
mod targets;
mod terminal;
mod tmux;
mod top;
mod watched;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn brkmap(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brkmap"));
    command.args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("LD_PRELOAD");
    command
}

fn output(arguments: &[&str]) -> Output {
    brkmap(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs with `--json` and returns the exit status and the document, whose sums are checked.
fn report(alloc: &str, command: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let mut arguments = vec!["run", "--alloc", alloc, "--json", "-o", file.to_str().unwrap(), "--"];
    arguments.extend(command);
    let status = brkmap(&arguments).stdout(Stdio::null()).status().unwrap();
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["exit_status"], status.code().unwrap());
    for process in document["processes"].as_array().unwrap() {
        let waterfall = &process["waterfall"];
        let rows = waterfall["rows"].as_array().unwrap().iter();
        let sum: u64 = rows.map(|row| row["bytes"].as_u64().unwrap()).sum();
        assert_eq!(waterfall["rss_bytes"], sum, "{process}");
        assert!(process["peak_rss_bytes"].as_u64().unwrap() >= sum);
    }
    (status.code().unwrap(), document)
}

fn row(process: &Value, key: &str) -> u64 {
    let rows = process["waterfall"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["key"] == key).unwrap()["bytes"].as_u64().unwrap()
}

/// Waits until something holds. Only a machine on which it never will needs all of the time.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is gone, or waits for a parent that may never ask.
fn has_ended(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| status.contains("State:\tZ"))
}

/// Copies a program by another process: a file that this one has open for writing is busy in every child that a test forks
/// meanwhile.
fn copy_program(from: impl AsRef<Path>, to: &Path) {
    assert!(Command::new("cp").arg(from.as_ref()).arg(to).status().unwrap().success());
}

/// Compiles a C program.
fn compile(folder: &Path, source: &str, flags: &[&str]) -> String {
    let file = folder.join("program.c");
    std::fs::write(&file, source).unwrap();
    let program = folder.join("program").to_str().unwrap().to_owned();
    let status = Command::new("cc").args(["-O0", "-o", &program]).arg(&file).args(flags).status().unwrap();
    assert!(status.success());
    program
}
