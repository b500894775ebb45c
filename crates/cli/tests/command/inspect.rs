//! `brkmap inspect` on processes whose state is known.

use super::targets::{Target, build, bytes, checked, program};
use super::{brkmap, compile, copy_program, output, stderr, wait_until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// States of the program and the verdict each must get.
const STATES: [(&str, &str); 17] = [
    ("healthy", "fine"),
    ("small", "fine"),
    ("mapped", "fine"),
    ("leak", "growing"),
    ("cached", "cached"),
    ("fast", "cached"),
    ("shuffled", "cached"),
    ("mixed", "cached"),
    ("top", "top_pinned"),
    ("arenas", "arena_spread"),
    ("fragmented", "fragmented"),
    ("foreign", "fragmented"),
    ("caches", "thread_caches"),
    ("huge", "huge_pages"),
    ("lazy", "lazy_free"),
    ("shared", "not_malloc"),
    ("file", "not_malloc"),
];

fn start(state: &str, folder: &tempfile::TempDir) -> Target {
    if state != "file" {
        return Target::sick(state);
    }
    let mut command = Command::new(program());
    command.arg(state).arg(folder.path().join("file"));
    Target::start(command)
}

#[test]
fn verdicts_are_right_in_every_state_and_nothing_stays_unexplained() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (state, class) in STATES {
        let target = start(state, &folder);
        let document = target.inspect(&[]);
        let unexplained = bytes(&document, "unexplained");
        let is_dark = unexplained * 100 > document["rss_bytes"].as_u64().unwrap();
        if document["verdict"]["class"] != class || is_dark {
            wrong.push(format!("{state}: {} instead of {class}, {unexplained} unexplained", document["verdict"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn live_bytes_are_mallinfos_and_a_trim_returns_what_was_predicted() {
    for state in ["top", "fast", "cached", "mixed", "arenas", "fragmented", "healthy", "mapped"] {
        let mut target = Target::sick(state);
        let document = target.inspect(&["--over", "0"]);
        let total = &document["glibc"]["total"];
        let sum = |keys: &[&str]| keys.iter().map(|key| total[*key].as_u64().unwrap()).sum::<u64>();
        let live = sum(&["live_bytes", "header_bytes", "cached_bytes"]);
        let [in_use, mapped] = target.ask("info")[..] else { panic!("no answer") };
        // mallinfo counts the structures of thread arenas as in use: at most 2,304 bytes each.
        let arenas = document["glibc"]["arenas"].as_array().unwrap().len() as u64;
        assert!(live <= in_use && in_use - live <= (arenas - 1) * 2304, "{state}: {live} and {in_use}");
        assert_eq!(document["glibc"]["mapped"]["bytes"], mapped, "{state}");
        let predicted = document["trim"]["returns_bytes"].as_u64().unwrap() / 1024;
        let [before, after] = target.ask("trim")[..] else { panic!("no answer") };
        let measured = before.saturating_sub(after);
        // Reading its own size takes the program some OS pages of its own.
        assert!(predicted.abs_diff(measured) <= (measured / 50).max(200), "{state}: {predicted} and {measured} KiB");
    }
}

#[test]
fn the_process_is_not_stopped_and_not_changed() {
    let mut target = Target::sick("fragmented");
    let status = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let wanted = ["State", "VmRSS", "VmSize", "VmPTE", "TracerPid", "Threads", "SigPnd"];
        text.lines()
            .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let sum = target.ask("sum");
    // Its answer comes a little before it waits again.
    wait_until("it waits", || status(&target.pid()).iter().any(|line| line.starts_with("State:\tS")));
    let before = status(&target.pid());
    target.inspect(&[]);
    assert_eq!(status(&target.pid()), before);
    assert_eq!(target.ask("sum"), sum);
}

#[test]
fn a_stopped_process_is_read_and_stays_stopped() {
    let target = Target::sick("healthy");
    target.stop();
    assert_eq!(target.inspect(&[])["verdict"]["class"], "fine");
    assert!(target.stands_still());
}

#[test]
fn busy_processes_are_read_and_add_up() {
    let target = Target::sick("busy");
    let arenas = |document: &Value| document["glibc"]["arenas"].as_array().unwrap().len();
    wait_until("its threads have their arenas", || arenas(&target.inspect(&["--over", "0"])) >= 4);
    for _ in 0..10 {
        let document = target.inspect(&["--over", "0"]);
        let unexplained = bytes(&document, "unexplained");
        assert!(unexplained * 10 < document["rss_bytes"].as_u64().unwrap(), "{document:#}");
        assert!(arenas(&document) >= 4);
    }
}

#[test]
fn a_dying_process_ends_the_look_and_nothing_else() {
    for delay in [0, 1, 3, 10, 30, 60] {
        let mut target = Target::sick("mixed");
        let begin = Instant::now();
        let look = brkmap(&["inspect", &target.pid()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        target.kill();
        let ended = look.wait_with_output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(60));
        let code = ended.status.code().expect("it was not killed itself");
        assert!([0, 3, 5].contains(&code), "{code}: {}", stderr(&ended));
        assert!(!stderr(&ended).contains("panicked"), "{}", stderr(&ended));
        assert_eq!(ended.stdout.is_empty(), code != 0);
    }
}

#[test]
fn a_process_that_replaces_its_program_is_never_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("again");
    std::fs::write(&script, "#!/bin/sh\n[ \"$1\" ] || echo ready\nexec \"$0\" again\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let target = Target::start(Command::new(&script));
    for _ in 0..10 {
        let ended = output(&["inspect", &target.pid(), "--json", "--over", "0"]);
        match ended.status.code() {
            Some(0) => drop(checked(serde_json::from_slice(&ended.stdout).unwrap())),
            Some(3 | 5) => assert!(ended.stdout.is_empty()),
            other => panic!("{other:?}: {}", stderr(&ended)),
        }
    }
}

#[test]
fn reports_fit_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    for state in ["leak", "arenas", "fragmented", "lazy", "file"] {
        let target = start(state, &folder);
        let text = output(&["inspect", &target.pid(), "--ascii", "--over", "0.1"]);
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.is_ascii());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() <= 30, "{text}");
        let is_too_wide = |line: &&&str| line.chars().count() > 100;
        assert_eq!(lines.iter().find(is_too_wide), None, "{text}");
        assert!(lines[1].starts_with("confidence ") && lines[2].contains("malloc: "), "{text}");
        assert!(text.contains("sum = resident") && text.contains("  unexplained"), "{text}");
        for subject in ["resident ", "growth ", "trim ", "cgroup ", "do "] {
            assert!(lines.iter().any(|line| line.starts_with(subject)), "{state}: {subject}: {text}");
        }
    }
}

#[test]
fn failures_have_statuses_of_their_own_and_say_what_to_do() {
    assert_eq!(output(&["inspect"]).status.code(), Some(125));
    let missing = output(&["inspect", "999999999"]);
    assert_eq!(missing.status.code(), Some(3));
    assert_eq!(stderr(&missing), "brkmap: there is no process 999999999\n");
    assert_eq!(output(&["inspect", "no-such-name-anywhere"]).status.code(), Some(3));
    assert_eq!(output(&["inspect", "0"]).status.code(), Some(3));
    assert_eq!(output(&["inspect", "-1"]).status.code(), Some(125));
    let mut zombie = Command::new("true").spawn().unwrap();
    // SAFETY: [plain-data] zeros are a value of it.
    let mut ended = unsafe { std::mem::zeroed() };
    // SAFETY: [valid-out-pointer] a siginfo_t of ours; the process stays as it ended.
    let waited = unsafe { libc::waitid(libc::P_PID, zombie.id(), &raw mut ended, libc::WEXITED | libc::WNOWAIT) };
    assert_eq!(waited, 0);
    let look = output(&["inspect", &zombie.id().to_string()]);
    zombie.wait().unwrap();
    assert_eq!(look.status.code(), Some(5));
    assert!(stderr(&look).contains("has ended and waits for its parent"), "{}", stderr(&look));
}

#[test]
fn names_are_found_and_ambiguous_ones_listed() {
    let name = format!("sick{}", std::process::id());
    let copy = program().with_file_name(&name);
    copy_program(program(), &copy);
    let start = || {
        let mut command = Command::new(&copy);
        command.arg("small");
        Target::start(command)
    };
    let one = start();
    let found = output(&["inspect", &name, "--json", "--over", "0"]);
    let document: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(document["pid"].to_string(), one.pid());
    let two = start();
    let ambiguous = output(&["inspect", &name]);
    assert_eq!(ambiguous.status.code(), Some(6));
    let text = stderr(&ambiguous);
    assert!(
        text.contains("2 processes are called") && text.contains(&one.pid()) && text.contains(&two.pid()),
        "{text}"
    );
}

#[test]
fn another_users_process_is_refused_with_the_remedy() {
    let target = Target::sick("small");
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let pid = if own == 0 { target.pid() } else { "1".to_owned() };
    // Root becomes nobody; the file has to be in a place that nobody may enter.
    let place = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let place = place.path().join("brkmap");
    copy_program(env!("CARGO_BIN_EXE_brkmap"), &place);
    let mut command = Command::new(place);
    command.args(["inspect", &pid]).current_dir("/");
    if own == 0 {
        command.uid(65534).gid(65534);
    }
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let text = stderr(&refused);
    assert!(text.contains("may not be read") && text.contains("run brkmap as that user or as root"), "{text}");
    assert!(refused.stdout.is_empty());
}

#[test]
fn watching_judges_growth_over_all_looks() {
    let target = Target::sick("leak");
    let watched = output(&["inspect", &target.pid(), "--json", "--watch", "0.3", "--count", "9"]);
    assert!(watched.status.success(), "{}", stderr(&watched));
    let lines = String::from_utf8(watched.stdout).unwrap();
    let documents: Vec<Value> = lines.lines().map(|line| checked(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(documents.len(), 9);
    assert_eq!(documents[8]["growth"]["looks"], 9);
    let verdict = &documents[8]["verdict"];
    assert_eq!(
        (verdict["class"].as_str(), verdict["confidence"].as_str()),
        (Some("growing"), Some("high")),
        "{verdict}"
    );
    assert!(documents[0]["growth"].is_null());
    let healthy = Target::sick("healthy");
    let calm = output(&["inspect", &healthy.pid(), "--json", "--watch", "0.1", "--count", "4"]);
    let last = String::from_utf8(calm.stdout).unwrap().lines().last().unwrap().to_owned();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((last["verdict"]["class"].as_str(), last["growth"]["live_bytes"].as_i64()), (Some("fine"), Some(0)));
}

#[test]
fn older_kernels_and_containers_have_other_ways() {
    let target = Target::sick("fragmented");
    let expected = target.inspect(&["--over", "0"]);
    let (ioctl, process_vm_readv) = ("16", "310");
    let mut command = Command::new(build("refuse", "refuse", &[]));
    command.args([
        ioctl,
        process_vm_readv,
        env!("CARGO_BIN_EXE_brkmap"),
        "inspect",
        &target.pid(),
        "--json",
        "--over",
        "0",
    ]);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let document = checked(serde_json::from_slice(&ran.stdout).unwrap());
    assert_eq!(document["glibc"]["total"]["live_bytes"], expected["glibc"]["total"]["live_bytes"]);
    assert_eq!(document["verdict"]["class"], "fragmented");
}

/// `process_vm_readv` would have the kernel copy all of it.
#[test]
fn what_is_shared_with_a_child_stays_shared() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/prctl.h>
        #include <unistd.h>
        int main(void) {
            for (int i = 0; i < 100000; i++) memset(malloc(400), 1, 400);
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                puts(\"ready\");
                fflush(stdout);
            }
            pause();
        }";
    let target = Target::start(Command::new(compile(folder.path(), source, &[])));
    // Anonymous memory, of which a part counts that is the smaller the more processes share it.
    let share = || {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", target.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
    };
    let before = share();
    let document = target.inspect(&[]);
    assert!(bytes(&document, "live") >= 38 << 20, "{document:#}");
    let after = share();
    assert!((19_000..24_000).contains(&before) && after < before + 1000, "{before} kB became {after} kB");
}

#[test]
fn a_static_program_is_read_without_its_libc() {
    let mut command = Command::new(build("sick", "sick-static", &["-static"]));
    command.arg("fragmented");
    let mut target = Target::start(command);
    let document = target.inspect(&["--over", "0"]);
    let total = &document["glibc"]["total"];
    let sum: u64 = ["live_bytes", "header_bytes", "cached_bytes"].iter().map(|key| total[*key].as_u64().unwrap()).sum();
    assert_eq!(sum, target.ask("info")[0]);
    assert_eq!(document["verdict"]["class"], "fragmented");
}

#[test]
fn pythons_own_heap_is_named_and_split() {
    let script =
        "import sys\nkeep = [dict(a=i) for i in range(400000)][::40]\nprint('ready', flush=True)\nsys.stdin.read()";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", script]);
    let document = Target::start(command).inspect(&[]);
    assert_eq!(document["runtimes"][0], "cpython");
    let (live, free) = (bytes(&document, "runtime_live"), bytes(&document, "runtime_free"));
    assert!(live > 2 << 20 && free > 20 << 20, "{document:#}");
    assert!(bytes(&document, "unexplained") * 100 < document["rss_bytes"].as_u64().unwrap());
}

#[test]
fn brkmaps_own_heap_is_read_too() {
    let library = String::from_utf8(output(&["lib-path"]).stdout).unwrap();
    let mut command = Command::new(program());
    command.arg("healthy").env("LD_PRELOAD", library.trim_end());
    let document = Target::start(command).inspect(&[]);
    assert!(document["malloc"].as_str().unwrap().starts_with("brkmap "), "{document:#}");
    assert_eq!(document["verdict"]["class"], "fine");
    assert!(bytes(&document, "live") > 50 << 20, "{document:#}");
}

#[test]
fn settings_are_those_that_are_in_force() {
    let mut command = Command::new(program());
    command.arg("arenas").env("MALLOC_ARENA_MAX", "2").env("MALLOC_TRIM_THRESHOLD_", "1000000");
    let document = Target::start(command).inspect(&["--over", "0"]);
    let parameters = &document["glibc"]["parameters"];
    assert_eq!((&parameters["arena_max"], &parameters["trim_threshold_bytes"]), (&2.into(), &1_000_000.into()));
    assert_eq!(parameters["thresholds_move"], false);
    assert_eq!(document["glibc"]["arenas"].as_array().unwrap().len(), 2);
    assert!(document["settings"].as_array().unwrap().contains(&"MALLOC_ARENA_MAX=2".into()));
}

#[test]
fn the_address_space_is_shown_range_by_range() {
    let target = Target::sick("arenas");
    let drawn = output(&["maps", &target.pid(), "--ascii"]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    let text = String::from_utf8(drawn.stdout).unwrap();
    assert!(text.is_ascii() && text.contains("heap of arena 4") && text.contains("libc.so.6"), "{text}");
    assert!(text.contains("########################  heap of arena"), "{text}");
    let document = output(&["maps", &target.pid(), "--json"]);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    let ranges = document["ranges"].as_array().unwrap();
    let rss: u64 = ranges.iter().map(|range| range["rss_bytes"].as_u64().unwrap()).sum();
    assert_eq!(document["rss_bytes"], rss);
    let address = |range: &Value, key: &str| u64::from_str_radix(&range[key].as_str().unwrap()[2..], 16).unwrap();
    assert!(ranges.windows(2).all(|pair| address(&pair[0], "end") <= address(&pair[1], "start")));
    let arenas = ranges.iter().filter(|range| range["purpose"] == "thread_arena");
    assert!(arenas.map(|range| range["rss_bytes"].as_u64().unwrap()).sum::<u64>() > 200 << 20);
    assert_eq!(output(&["maps", "999999999"]).status.code(), Some(3));
}
