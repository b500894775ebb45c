//! Processes to look at: `targets/sick.c` in one of its states, or another program that says "ready".

use super::brkmap;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Removes what was built for tests that have ended. The youngest stay: they may belong to processes of another namespace.
fn sweep(folder: &Path) {
    const YOUNG: Duration = Duration::from_secs(3600);
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("targets-")) else { continue };
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > YOUNG) && !Path::new("/proc").join(pid).exists() {
            // Another run may be at it as well.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Builds one of the programs of `targets`; each output once, as to link it again would take it from a test that starts it.
pub(super) fn build(name: &str, output: &str, flags: &[&str]) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap();
    if let Some(program) = built.get(output) {
        return program.clone();
    }
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if built.is_empty() {
        sweep(all);
    }
    let folder = all.join(format!("targets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/command/targets/{name}.c"));
    let program = folder.join(output);
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-w", "-pthread"]).args(flags).arg("-o").arg(&program).arg(source);
    assert!(compiler.status().expect("a C compiler (cc) is needed").success());
    built.insert(output.to_owned(), program.clone());
    program
}

/// Builds a Rust program of `targets`, with the compiler that builds these tests.
pub(super) fn build_rust(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/command/targets/{name}.rs"));
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let beside_cargo = Path::new(env!("CARGO")).with_file_name("rustc");
    let compiler = if beside_cargo.is_file() { beside_cargo } else { "rustc".into() };
    let status = Command::new(compiler).args(["-O", "--edition", "2024", "-o"]).arg(&program).arg(source).status();
    assert!(status.expect("a Rust compiler (rustc) is needed").success());
    program
}

/// The program that falls ill, built once.
pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("sick", "sick", &[]))
}

/// A process that ends with the test.
pub(super) struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Target {
    /// The program in a state.
    pub(super) fn sick(state: &str) -> Target {
        let mut command = Command::new(program());
        command.arg(state);
        if state == "caches" {
            command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=60000");
        }
        Target::start(command)
    }

    /// Any program, once it has said so.
    pub(super) fn start(mut command: Command) -> Target {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = loop {
            match command.spawn() {
                // Another test's child, not yet at its exec, still has the file open that was just written.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                result => break result.unwrap(),
            }
        };
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut target = Target { child, input, output };
        let line = target.line();
        assert!(line.starts_with("ready"), "{line}");
        target
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Sends a line; returns the numbers of the answer.
    pub(super) fn ask(&mut self, question: &str) -> Vec<u64> {
        // In one piece: the program takes what one read gives it for a line.
        self.input.write_all(format!("{question}\n").as_bytes()).unwrap();
        let line = self.line();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Stops it and returns when its last thread stands still: `kill` returns before they do.
    pub(super) fn stop(&self) {
        let pid = self.pid();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        while !self.stands_still() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether every thread is stopped by a signal.
    pub(super) fn stands_still(&self) -> bool {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().all(|thread| {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            status.contains("State:\tT")
        })
    }

    /// What brkmap sees, checked for what must always hold.
    pub(super) fn inspect(&self, extra: &[&str]) -> Value {
        let pid = self.pid();
        let output = brkmap(&[&["inspect", &pid, "--json"][..], extra].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        checked(serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A document whose rows sum to its RSS.
pub(super) fn checked(document: Value) -> Value {
    assert_eq!(document["schema_version"], 1);
    let rows = document["waterfall"]["rows"].as_array().unwrap();
    let sum: u64 = rows.iter().map(|row| row["bytes"].as_u64().unwrap()).sum();
    assert_eq!(document["waterfall"]["rss_bytes"], sum, "{document:#}");
    assert_eq!(document["rss_bytes"], sum);
    document
}

/// Bytes of a row; 0 if it is not there.
pub(super) fn bytes(document: &Value, key: &str) -> u64 {
    let rows = document["waterfall"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["key"] == key).map_or(0, |row| row["bytes"].as_u64().unwrap())
}
