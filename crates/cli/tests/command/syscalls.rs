//! `brkmap syscalls` and `run --syscalls` on programs whose calls are known, beside strace, and on what must be left alone.

use super::targets::{Target, build};
use super::{brkmap, compile, copy_program, has_ended, output, stderr, wait_until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const MIB: i64 = 1 << 20;

fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| build("calls", "calls", &["-g"]).to_str().unwrap().to_owned())
}

/// Runs a command; returns the status and the document, whose views have to agree.
fn recorded(flags: &[&str], command: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.json");
    let arguments = [&["syscalls", "--json", "-o", file.to_str().unwrap()], flags, &["--"], command].concat();
    let ran = brkmap(&arguments).stdout(Stdio::null()).output().unwrap();
    let document = std::fs::read(&file).unwrap_or_default();
    let document = serde_json::from_slice(&document).unwrap_or_else(|_| panic!("no document: {}", stderr(&ran)));
    (ran.status.code().unwrap(), checked(document))
}

fn checked(document: Value) -> Value {
    assert_eq!(document["schema_version"], 1);
    let all = &document["all"];
    let views =
        [&document["by_call"], &document["by_mechanism"], &document["by_site"], &document["timeline"]["columns"]];
    for view in views {
        for key in ["calls", "refused", "bytes_came", "bytes_went", "bytes_given_back", "rss_effect_bytes"] {
            let sum: i64 = view.as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).sum();
            assert_eq!(all[key], sum, "{key} of {view:#}");
        }
    }
    let listed = document["calls"].as_array().unwrap().len() as u64;
    assert_eq!(all["calls"], listed + document["calls_not_kept"].as_u64().unwrap());
    document
}

/// The calls of one function, in their order.
fn calls_of<'a>(document: &'a Value, function: &str) -> Vec<&'a Value> {
    let sites = document["by_site"].as_array().unwrap();
    let sites: Vec<&Value> =
        sites.iter().filter(|site| site["function"] == function).map(|site| &site["site"]).collect();
    document["calls"].as_array().unwrap().iter().filter(|call| sites.contains(&&call["site"])).collect()
}

fn count(document: &Value, function: &str) -> usize {
    calls_of(document, function).len()
}

#[test]
fn every_call_is_told_with_what_it_did() {
    let (status, document) = recorded(&[], &[program(), "known"]);
    assert_eq!(status, 0);
    let calls = calls_of(&document, "known_calls");
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            (text("call"), text("mechanism"), call["bytes"].as_i64().unwrap(), text("errno"))
        })
        .collect();
    let expected = [
        ("mmap", "private", 4 * MIB, ""),
        ("madvise", "private", 0, ""),
        ("madvise", "private", 0, ""),
        ("process_madvise", "private", 0, ""),
        ("mprotect", "private", -MIB, ""),
        ("mprotect", "private", MIB, ""),
        ("mremap", "private", 4 * MIB, ""),
        ("munmap", "private", -2 * MIB, ""),
        ("munmap", "private", -6 * MIB, ""),
        ("mmap", "private", 0, "ENOMEM"),
        ("munmap", "other", 0, "EINVAL"),
        ("brk", "break", 0, ""),
        ("brk", "break", MIB, ""),
        ("brk", "break", -MIB, ""),
        ("mmap", "shared", 2 * MIB, ""),
        ("mmap", "thread_arena", 0, ""),
    ];
    // libc asks where the break is before it moves it for the first time, unless something did before.
    let told: Vec<_> = told.iter().map(|(a, b, c, d)| (a.as_str(), b.as_str(), *c, d.as_str())).collect();
    let without_question = |list: &[(&'static str, &'static str, i64, &'static str)]| {
        list.iter().filter(|call| **call != ("brk", "break", 0, "")).copied().collect::<Vec<_>>()
    };
    let told: Vec<_> = told.into_iter().filter(|call| *call != ("brk", "break", 0, "")).collect();
    assert_eq!(told, without_question(&expected), "{calls:#?}");
    let effect = |index: usize| calls[index]["rss_effect_bytes"].as_i64().unwrap();
    assert!((effect(2) + 2 * MIB).abs() <= MIB / 4, "MADV_DONTNEED of 2 MiB: {}", effect(2));
    assert_eq!(calls[2]["bytes_given_back"], 2 * MIB);
    assert_eq!(calls[3]["bytes_given_back"], MIB);
    assert_eq!(calls.last().unwrap()["bytes_reserved"], 64 * MIB);
    let site = document["by_site"].as_array().unwrap().iter().find(|site| site["function"] == "known_calls").unwrap();
    assert!(site["line"].as_str().unwrap().starts_with("calls.c:"), "{site}");
    let stack = &document["stacks"][site["first_stack"].as_u64().unwrap() as usize];
    let names: Vec<_> = stack.as_array().unwrap().iter().map(|frame| frame.as_str().unwrap()).collect();
    let at = |name: &str| names.iter().position(|frame| frame.starts_with(name)).unwrap_or_else(|| panic!("{names:?}"));
    assert!(at("known_calls (") < at("main ("), "{names:?}");
}

#[test]
fn threads_and_children_are_followed() {
    for flags in [&[][..], &["--every-call"]] {
        let (status, document) = recorded(flags, &[program(), "family"]);
        assert_eq!(status, 0);
        // Each is a mapping and its end. `child_calls`: 30 after fork, 20 after vfork and exec, 20 after exec.
        assert_eq!(count(&document, "room"), 4 * 50 + 30 + 20 + 20, "{flags:?}");
        assert_eq!(count(&document, "thread_calls"), 4 * 50);
        assert_eq!(count(&document, "child_calls"), 30 + 20 + 20);
        assert_eq!(document["processes"].as_array().unwrap().len(), 3);
        let threads: std::collections::HashSet<_> =
            calls_of(&document, "thread_calls").iter().map(|call| call["thread"].as_u64().unwrap()).collect();
        assert_eq!(threads.len(), 4);
        let unmapped = |call: &&Value| call["mechanism"] == "private" && call["bytes"] == -(128 << 10);
        assert_eq!(
            calls_of(&document, "child_calls").into_iter().filter(unmapped).count(),
            70,
            "memory is known there"
        );
    }
}

/// Calls and refusals of each kind, as `strace -c` counts them.
fn strace_counts(folder: &Path, command: &[&str]) -> Vec<(String, u64, u64)> {
    let file = folder.join("counts");
    let trace = "trace=brk,mmap,munmap,mremap,madvise,mprotect,process_madvise";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "name,calls,errors", "-e", trace, "-o", file.to_str().unwrap()]).args(command);
    let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace is needed");
    assert!(status.success(), "{command:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words.get(index).map_or(Some(0), |word| word.parse().ok());
        let is_call = words.first().is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        (is_call && words[0] != "total").then(|| Some((words[0].to_owned(), number(1)?, number(2)?))).flatten()
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

#[test]
fn counts_are_those_of_strace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    // The same addresses each time, the same hashes: then the same calls.
    let fixed = ["setarch", "-R", "env", "PYTHONHASHSEED=0"];
    let python = "import json; d = json.loads(json.dumps([{str(i): [i] * 9} for i in range(30000)])); b = bytearray(9 << 20); del b";
    // Commands that write no index: what they do to one depends on the clock.
    let make = "git init -q r && cd r && for i in 1 2 3 4 5 6 7 8 9; do echo $i > $i; git add $i; \
                git -c user.name=a -c user.email=a@b commit -qm $i; done";
    assert!(Command::new("sh").args(["-c", make]).current_dir(path).status().unwrap().success());
    let script = format!("git -C {path}/r log -p --stat && git -C {path}/r cat-file --batch-all-objects --batch-check");
    for command in [&["/usr/bin/python3", "-c", python][..], &["sh", "-c", &script]] {
        let command = [&fixed[..], command].concat();
        let expected = strace_counts(folder.path(), &command);
        let (status, document) = recorded(&[], &command);
        assert_eq!(status, 0);
        let mut seen: Vec<(String, u64, u64)> = document["by_call"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["call"].as_str().unwrap().to_owned(),
                    row["calls"].as_u64().unwrap(),
                    row["refused"].as_u64().unwrap(),
                )
            })
            .filter(|row| row.1 > 0)
            .collect();
        seen.sort();
        assert!(expected.iter().map(|row| row.1).sum::<u64>() > 50, "{expected:?}");
        assert_eq!(seen, expected, "{command:?}");
    }
}

#[test]
fn frees_that_move_the_threshold_are_explained() {
    let (_, document) = recorded(&[], &[program(), "thresholds"]);
    let moves = document["glibc_threshold_moves"].as_array().unwrap();
    let ends: Vec<_> =
        moves.iter().map(|made| [made["from_bytes"].as_i64().unwrap(), made["to_bytes"].as_i64().unwrap()]).collect();
    let (five, twelve) = (5 * MIB + 4096, 12 * MIB + 4096);
    assert_eq!(ends, [[128 << 10, five], [five, twelve]], "{document:#}");
    assert!(moves.iter().all(|made| made["place"] == "free_large (calls)"), "{moves:?}");
    // That is what glibc did: the next 4 MiB came from the break.
    let calls = calls_of(&document, "thresholds");
    assert!(calls.iter().any(|call| call["call"] == "brk" && call["bytes"].as_i64().unwrap() >= 4 * MIB), "{calls:#?}");
    let blocks = calls.iter().filter(|call| call["mechanism"] == "mapped_block" && call["call"] == "mmap").count();
    assert_eq!(blocks, 3, "5 MiB, 200 KiB, 33 MiB: {calls:#?}");
    let text = stderr(&output(&["syscalls", "--ascii", "--", program(), "thresholds"]));
    let line = "mmap threshold 128 KiB -> 5.0 MiB, blocks below now come from the break";
    assert!(text.contains(line), "{text}");
    for variable in [("MALLOC_TOP_PAD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")] {
        let ran = brkmap(&["syscalls", "--", program(), "thresholds"]).env(variable.0, variable.1).output().unwrap();
        assert!(!stderr(&ran).contains("threshold "), "{variable:?}: {}", stderr(&ran));
    }
    let ours = stderr(&output(&["syscalls", "--alloc", "brkmap", "--", program(), "thresholds"]));
    assert!(ours.contains("malloc: brkmap") && !ours.contains("blocks below now"), "{ours}");
    // The library's own books.
    assert!(ours.contains("128 KiB → 5.0 MiB (free of 5.0 MiB) → 12.0 MiB"), "{ours}");
}

#[test]
fn the_program_notices_nothing() {
    let script = "echo out; echo err >&2; read line; echo $line; trap 'echo usr1' USR1; kill -USR1 $$; kill -STOP $$; echo on; exit 7";
    let run = |mut command: Command| {
        let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut running.stdin.take().unwrap(), b"typed\n").unwrap();
        let pid = running.id();
        // Whoever stopped itself is continued by us: the shell, alone or below brkmap.
        let end = Instant::now() + Duration::from_secs(20);
        while running.try_wait().unwrap().is_none() && Instant::now() < end {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            for one in children.split_whitespace().chain([pid.to_string().as_str()]) {
                let state = std::fs::read_to_string(format!("/proc/{one}/status")).unwrap_or_default();
                if state.contains("State:\tT") || state.contains("State:\tt") {
                    let _ = Command::new("kill").args(["-CONT", one]).status();
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        running.wait_with_output().unwrap()
    };
    let mut plain = Command::new("bash");
    plain.args(["-c", script]);
    let alone = run(plain);
    let folder = tempfile::tempdir().unwrap();
    for flags in [&[][..], &["--every-call"], &["--all"]] {
        let file = folder.path().join("report");
        let arguments =
            [&["syscalls", "-o", file.to_str().unwrap(), "--force"], flags, &["--", "bash", "-c", script]].concat();
        let watched = run(brkmap(&arguments));
        assert_eq!(watched.status.code(), alone.status.code(), "{}", stderr(&watched));
        assert_eq!((&watched.stdout, &watched.stderr), (&alone.stdout, &alone.stderr), "{flags:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("bash -c ") && text.contains("exit 7"), "{text}");
        let listed = text.lines().filter(|line| line.contains(" mmap(")).count();
        assert_eq!(listed > 5, flags == ["--all"], "{text}");
    }
    assert_eq!(output(&["syscalls", "--", "/no/such/program"]).status.code(), Some(127));
    assert_eq!(output(&["syscalls", "--", "/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn the_end_is_told_however_it_came() {
    let (status, document) = recorded(&[], &[program(), "killed"]);
    assert_eq!((status, document["ended"]["name"].as_str()), (137, Some("SIGKILL")));
    assert_eq!(count(&document, "child_calls"), 10);
    // A process that outlives the command needs its tracer, which waits for it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.json");
    let ran = output(&["syscalls", "--json", "-o", file.to_str().unwrap(), "--", program(), "orphan"]);
    assert_eq!(ran.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "late\n");
    let document = checked(serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap());
    assert_eq!(count(&document, "child_calls"), 40);
}

#[test]
fn a_filtered_program_ends_with_its_tracer() {
    let command = ["syscalls", "--", "sh", "-c", "echo $$; exec sleep 60"];
    let mut watching = brkmap(&command).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    watching.kill().unwrap();
    watching.wait().unwrap();
    // Without a tracer its calls for memory would fail: it is ended rather than broken.
    wait_until("the program has ended", || has_ended(line.trim()));
}

#[test]
fn the_summary_fits_and_is_plain_without_a_terminal() {
    let text = stderr(&output(&["syscalls", "--ascii", "--", program(), "family"]));
    assert!(text.lines().count() <= 30 && text.is_ascii(), "{text}");
    for word in ["system calls for memory", "mmap", "mechanism", "place in the program", "came ", "by 3 processes"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    for (view, word) in [("call", "munmap"), ("mechanism", "thread stack"), ("site", "thread_calls"), ("time", "from")]
    {
        let text = stderr(&output(&["syscalls", "--by", view, "--", program(), "family"]));
        assert!(text.contains(word), "{view}: {text}");
    }
    let text = stderr(&output(&["syscalls", "--by", "site", "--stacks", "--", program(), "family"]));
    assert!(text.contains("start_thread") || text.contains("clone"), "{text}");
    let without = stderr(&output(&["syscalls", "--no-stacks", "--", program(), "family"]));
    assert!(without.contains("(no stack)") && !without.contains("thread_calls"), "{without}");
}

#[test]
fn the_run_report_has_the_same_summary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let arguments = ["run", "--syscalls", "--json", "-o", file.to_str().unwrap(), "--", program(), "family"];
    assert!(output(&arguments).status.success());
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let calls = checked(document["system_calls"].clone());
    assert_eq!(count(&calls, "room"), 270);
    assert_eq!(document["processes"][0]["malloc"]["as_wanted"], true);
    let text = stderr(&output(&["run", "--alloc", "system", "--syscalls", "--", program(), "family"]));
    assert!(text.contains("sum = resident") && text.contains("thread_calls (calls)"), "{text}");
    assert!(text.lines().count() <= 60, "{text}");
}

#[test]
fn programs_that_trace_others_run_untraced() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let strace = ["strace", "-f", "-e", "trace=execve", "-o", log.to_str().unwrap(), "sh", "-c", "exit 5"];
    let ran = output(&[&["syscalls", "--"], &strace[..]].concat());
    assert_eq!(ran.status.code(), Some(5), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("strace traces programs itself"), "{}", stderr(&ran));
    assert!(std::fs::read_to_string(&log).unwrap().contains("execve"));
    // Further down in the tree: told with the filter, unhindered without.
    let line = strace.map(|word| format!("'{word}'")).join(" ") + "; true";
    let hindered = stderr(&output(&["syscalls", "--", "sh", "-c", &line]));
    assert!(hindered.contains("hindered") && hindered.contains("--every-call"), "{hindered}");
    std::fs::remove_file(&log).unwrap();
    let ran = output(&["syscalls", "--every-call", "--", "sh", "-c", &line]);
    assert!(std::fs::read_to_string(&log).unwrap().contains("exit_group") || ran.status.success(), "{}", stderr(&ran));
    assert!(std::fs::read_to_string(&log).unwrap().contains("exited with 5"));
}

#[test]
fn programs_that_change_user_run_untraced() {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let open =
        |path: &Path, mode| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    open(folder.path(), 0o755);
    let own = folder.path().join("brkmap");
    copy_program(env!("CARGO_BIN_EXE_brkmap"), &own);
    let source = "#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf(\"%d\\n\", geteuid()); return 4; }";
    // Without root the file is our own, and stays untraced for the same reason.
    let program = compile(folder.path(), source, &[]);
    open(Path::new(&program), 0o4755);
    let mut command = Command::new(&own);
    command.args(["syscalls", "--", &program]).current_dir("/");
    if is_root {
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        std::os::unix::process::CommandExt::gid(&mut command, 65534);
    }
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(4), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("changes user or has capabilities"), "{}", stderr(&ran));
    let owner = std::fs::metadata(&program).unwrap().uid().to_string();
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), owner, "it kept its rights");
    // And one without such rights is traced by the filter, which then needs a promise.
    open(Path::new(&program), 0o755);
    let ran = command.output().unwrap();
    assert!(stderr(&ran).contains("stopped at these calls only"), "{}", stderr(&ran));
}

/// A program that works until SIGUSR1.
fn server() -> Target {
    let mut command = Command::new(program());
    command.arg("serve");
    Target::start(command)
}

fn is_left_alone(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stopped = tasks.flatten().any(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0") || status.contains("State:\tt") || status.contains("State:\tT")
    });
    status.contains("TracerPid:\t0") && !stopped
}

/// Waits until every thread has this tracer: what brkmap writes first, it writes before.
fn wait_for_tracer(pid: &str, tracer: u32) {
    let line = format!("TracerPid:\t{tracer}\n");
    wait_until("all threads are watched", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.flatten().all(|task| {
            // A thread that has just ended is none to wait for.
            std::fs::read_to_string(task.path().join("status")).map_or(true, |status| status.contains(&line))
        })
    });
}

#[test]
fn a_running_process_is_watched_and_left_running() {
    let mut target = server();
    let pid = target.pid();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.json");
    let file = file.to_str().unwrap();
    let ran = output(&["syscalls", &pid, "--every-call", "--for", "2", "--json", "-o", file]);
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("is stopped at both ends of every system call"), "{}", stderr(&ran));
    let document = checked(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap());
    let calls = calls_of(&document, "work");
    assert!(calls.len() > 5 && calls.iter().all(|call| call["bytes"].as_i64().unwrap() == -MIB), "{calls:#?}");
    let threads: std::collections::HashSet<_> =
        calls.iter().map(|call| &call["thread"]).map(Value::to_string).collect();
    assert_eq!(threads.len(), 2, "both threads");
    assert_eq!((&document["ended"], document["seen_by"].as_str()), (&Value::Null, Some("every_call")));
    assert!(is_left_alone(&pid));
    // Until the process ends, or somebody interrupts.
    for (signal, to_target) in [("INT", false), ("USR1", true)] {
        let mut watching = brkmap(&["syscalls", &pid, "--every-call"]);
        let mut watching = watching.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watching.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        wait_for_tracer(&pid, watching.id());
        let to = if to_target { pid.clone() } else { watching.id().to_string() };
        assert!(Command::new("kill").args(["-s", signal, &to]).status().unwrap().success());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut lines, &mut text).unwrap();
        assert!(watching.wait().unwrap().success(), "{text}");
        assert_eq!(text.contains("exit 0"), to_target, "{text}");
        assert_eq!(text.contains("runs on"), !to_target, "{text}");
        assert!(to_target || is_left_alone(&pid));
    }
    assert_eq!(target.line(), "over\n");
}

#[test]
fn tracepoints_watch_without_a_stop() {
    let target = server();
    let pid = target.pid();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.json");
    // A mount of our own, where the machine has none and we may.
    let script = "mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing; exec \"$@\"";
    let own = env!("CARGO_BIN_EXE_brkmap");
    let watch = ["sh", own, "syscalls", &pid, "--for", "2", "--json", "-o", file.to_str().unwrap()];
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if is_root { "unshare" } else { "sh" });
    let front: &[&str] = if is_root { &["-m", "sh", "-c", script] } else { &["-c", "exec \"$@\""] };
    command.args(front).args(watch);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let document = checked(serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap());
    // The target runs while its map is read, so what it did in that moment may count for nothing.
    let settled = |call: &&Value| call["at_us"].as_u64().unwrap() > 500_000;
    let calls: Vec<&Value> = calls_of(&document, "work").into_iter().filter(settled).collect();
    assert!(calls.len() > 5 && calls.iter().all(|call| call["bytes"].as_i64().unwrap() == -MIB), "{calls:#?}");
    // Where the kernel or the user's rights do not allow it, brkmap says why, and the other way is taken.
    match document["seen_by"].as_str() {
        Some("tracepoints") => assert!(!stderr(&ran).contains("stopped"), "{}", stderr(&ran)),
        _ => assert!(stderr(&ran).contains("no tracepoints: "), "{}", stderr(&ran)),
    }
    assert!(is_left_alone(&pid));
}

#[test]
fn what_cannot_be_watched_is_told() {
    let target = server();
    let pid = target.pid();
    let mut watching = brkmap(&["syscalls", &pid, "--every-call"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stderr.take().unwrap()).read_line(&mut line).unwrap();
    wait_for_tracer(&pid, watching.id());
    let second = output(&["syscalls", &pid, "--every-call", "--for", "1"]);
    assert_eq!(second.status.code(), Some(4));
    assert!(stderr(&second).contains("is traced by process"), "{}", stderr(&second));
    let tracer = output(&["syscalls", &watching.id().to_string(), "--every-call", "--for", "1"]);
    assert_eq!(tracer.status.code(), Some(4));
    assert!(stderr(&tracer).contains("traces programs itself"), "{}", stderr(&tracer));
    watching.kill().unwrap();
    watching.wait().unwrap();
    wait_until("a tracer that is killed leaves it running", || is_left_alone(&pid));
    assert_eq!(output(&["syscalls", "999999999"]).status.code(), Some(3));
    let usage = output(&["syscalls"]);
    assert_eq!(usage.status.code(), Some(125));
}
