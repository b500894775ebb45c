//! What `run --syscalls` costs, counted and not timed; that it tells the same whether the program stops at its calls or
//! programs in the kernel tell of them; and that nothing is lost.

use super::targets::build;
use super::{brkmap, compile, copy_program, stderr};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Maps and unmaps from so many threads, so many times each; says how often it slept.
const PAIRS: &str = r#"
    #include <pthread.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <sys/resource.h>
    static int pairs;
    static volatile sig_atomic_t continued;
    static void note(int signal) { continued++; }
    static void *work(void *nothing) {
        for (int i = 0; i < pairs; i++) munmap(mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
        return nothing;
    }
    int main(int count, char **words) {
        int threads = atoi(words[1]);
        pthread_t all[8];
        struct rusage before, after;
        pairs = atoi(words[2]);
        signal(SIGCONT, note);
        getrusage(RUSAGE_SELF, &before);
        if (!threads) work(0);
        for (int i = 0; i < threads; i++) pthread_create(all + i, 0, work, 0);
        for (int i = 0; i < threads; i++) pthread_join(all[i], 0);
        getrusage(RUSAGE_SELF, &after);
        printf("%ld %d\n", after.ru_nvcsw - before.ru_nvcsw, (int) continued);
        return 6;
    }"#;

/// Whether programs in the kernel may be used here: by the rights CAP_PERFMON and CAP_BPF, the kernel's description of its
/// types, and the first namespace of processes.
fn kernel_may_tell() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    let rights = u64::from_str_radix(rights, 16).unwrap();
    let is_first = std::fs::read_link("/proc/self/ns/pid").unwrap().as_os_str() == "pid:[4026531836]";
    rights >> 38 & 3 == 3 && Path::new("/sys/kernel/btf/vmlinux").exists() && is_first
}

fn seen_by() -> &'static str {
    if kernel_may_tell() { "kernel_programs" } else { "seccomp_filter" }
}

fn document(file: &Path, ran: &Output) -> Value {
    let bytes = std::fs::read(file).unwrap_or_else(|_| panic!("no document: {}", stderr(ran)));
    serde_json::from_slice(&bytes).unwrap()
}

/// The document of the system calls under `run --syscalls`, the exit status, and what the program printed.
fn watched(command: &[&str]) -> (Value, i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let flags = ["run", "--syscalls", "--alloc", "system", "--json", "-o", file.to_str().unwrap(), "--"];
    let ran = brkmap(&[&flags[..], command].concat()).output().unwrap();
    let document = document(&file, &ran);
    (document["system_calls"].clone(), ran.status.code().unwrap(), String::from_utf8(ran.stdout).unwrap())
}

/// The same by `syscalls`, which stops the program at these calls.
fn stopped(command: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.json");
    let ran = brkmap(&[&["syscalls", "--json", "-o", file.to_str().unwrap(), "--"], command].concat());
    let ran = { ran }.stdout(Stdio::null()).output().unwrap();
    document(&file, &ran)
}

/// Each call of one function: which, for what, bytes, refusal, thread's effect on RSS in MiB.
fn told(document: &Value, function: &str) -> Vec<(String, String, i64, String, i64)> {
    let sites = document["by_site"].as_array().unwrap();
    let sites: Vec<&Value> =
        sites.iter().filter(|site| site["function"] == function).map(|site| &site["site"]).collect();
    let calls = document["calls"].as_array().unwrap().iter().filter(|call| sites.contains(&&call["site"]));
    let row = |call: &Value| {
        let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
        let effect = call["rss_effect_bytes"].as_i64().unwrap_or(0);
        let effect = (effect as f64 / f64::from(1 << 20)).round() as i64;
        (text("call"), text("mechanism"), call["bytes"].as_i64().unwrap(), text("errno"), effect)
    };
    // Whether libc asks for the break first depends on what it did before.
    calls.map(row).filter(|row| row.0 != "brk" || row.2 != 0).collect()
}

#[test]
fn programs_in_the_kernel_tell_what_stops_tell() {
    let program = build("calls", "watched-calls", &["-g"]);
    let program = program.to_str().unwrap();
    for (what, functions) in
        [("known", &["known_calls"][..]), ("thresholds", &["thresholds", "free_large"]), ("killed", &["child_calls"])]
    {
        let (kernel, ..) = watched(&[program, what]);
        let stops = stopped(&[program, what]);
        assert_eq!((kernel["seen_by"].as_str(), stops["seen_by"].as_str()), (Some(seen_by()), Some("seccomp_filter")));
        for function in functions {
            let told = told(&kernel, function);
            assert!(!told.is_empty(), "{function}: {kernel:#}");
            assert_eq!(told, self::told(&stops, function), "{what}, {function}");
        }
        let moves = |document: &Value| {
            let moves = document["glibc_threshold_moves"].as_array().unwrap().iter();
            moves.map(|made| [made["to_bytes"].clone(), made["place"].clone()]).collect::<Vec<_>>()
        };
        assert_eq!(moves(&kernel), moves(&stops), "{what}");
        assert_eq!(kernel["calls_lost"], 0);
        let calls = kernel["calls"].as_array().unwrap();
        assert!(calls.iter().all(|call| call["took_us"].as_f64().is_some()), "{what}: each has its time");
    }
    // Programs that make way for others at once: their code is known although their memory is gone.
    let (document, ..) = watched(&["sh", "-c", "env true; exec env sh -c 'exec env true'"]);
    let stacks = document["stacks"].as_array().unwrap();
    assert!(stacks.len() > 5 && document["processes"].as_array().unwrap().len() == 2, "{document:#}");
    assert!(stacks.iter().all(|stack| !stack[0].as_str().unwrap().starts_with('?')), "{stacks:#?}");
    // Threads, children by fork, vfork and exec; and a process that outlives the command.
    for (what, calls) in [("family", 4 * 50 + 30 + 20 + 20), ("orphan", 40)] {
        let (document, ..) = watched(&[program, what]);
        let rooms = document["by_site"].as_array().unwrap().iter().find(|site| site["function"] == "room").unwrap();
        assert_eq!(rooms["calls"], calls, "{what}: {document:#}");
    }
}

/// Fills 60 MiB of the break with chunks, and frees every third; says what malloc counts as in use. With a word a second thread
/// sleeps meanwhile.
const CHUNKS: &str = r#"
    #include <malloc.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    static char *blocks[60000];
    static void *sleeper(void *nothing) { pause(); return nothing; }
    int main(int count, char **words) {
        pthread_t thread;
        if (count > 1) pthread_create(&thread, 0, sleeper, 0);
        for (int i = 0; i < 60000; i++) memset(blocks[i] = malloc(100 + i % 2000), 1, 100 + i % 2000);
        for (int i = 0; i < 60000; i += 3) free(blocks[i]);
        dprintf(1, "%zu\n", mallinfo2().uordblks);
        return 0;
    }"#;

/// Runs a program; what brkmap read meanwhile, in bytes, what malloc had in use by brkmap, and by the program.
fn read_at_end(command: &[&str]) -> (u64, u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let flags = ["run", "--syscalls", "--alloc", "system", "--json", "-o", file.to_str().unwrap(), "--"];
    let child = brkmap(&[&flags[..], command].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // SAFETY: [plain-data] zeros are a value of it.
    let mut ended = unsafe { std::mem::zeroed() };
    // SAFETY: [valid-out-pointer] a siginfo_t of ours; the process stays to be asked about.
    let waited = unsafe { libc::waitid(libc::P_PID, child.id(), &raw mut ended, libc::WEXITED | libc::WNOWAIT) };
    assert_eq!(waited, 0);
    let counts = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap();
    let ran = child.wait_with_output().unwrap();
    let document = document(&file, &ran);
    let total = &document["processes"][0]["looks"]["end"]["glibc"]["total"];
    let seen = ["live_bytes", "header_bytes", "cached_bytes"].iter().map(|key| total[*key].as_u64().unwrap()).sum();
    (read, seen, String::from_utf8(ran.stdout).unwrap().trim().parse().unwrap())
}

/// Whether the kernel's machine has loops without a bound that it sees (Linux 6.9).
fn kernel_may_follow() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    kernel_may_tell() && (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

#[test]
fn a_heap_is_followed_inside_the_kernel_where_its_process_ends_alone() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), CHUNKS, &["-pthread", "-w"]);
    let (read, seen, counted) = read_at_end(&[&program]);
    assert_eq!(seen, counted);
    assert_eq!(read < 20 << 20, kernel_may_follow(), "{read} bytes were read");
    // What other threads may change yet is read once they are gone.
    let (read, seen, counted) = read_at_end(&[&program, "threads"]);
    assert_eq!(seen, counted);
    assert!(read > 60 << 20, "{read} bytes were read");
}

#[test]
fn nothing_is_lost_however_fast_calls_come() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PAIRS, &["-pthread", "-w"]);
    let (document, status, text) = watched(&[&program, "4", "1500"]);
    assert_eq!((status, document["calls_lost"].as_u64()), (6, Some(0)), "{document:#}");
    let work = document["by_site"].as_array().unwrap().iter().find(|site| site["function"] == "work").unwrap();
    assert_eq!(work["calls"], 4 * 1500 * 2, "{work:#}");
    // The signals by which the kernel makes a thread wait for brkmap never reach the program.
    assert!(text.ends_with(" 0\n"), "{text}");
}

#[test]
fn a_user_without_rights_is_told_by_stops() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let own = folder.path().join("brkmap");
    copy_program(env!("CARGO_BIN_EXE_brkmap"), &own);
    let file = folder.path().join("report.json");
    let mut command = Command::new(&own);
    let file_name = file.to_str().unwrap();
    command
        .args(["run", "--syscalls", "--alloc", "system", "--json", "-o", file_name, "--", "/bin/true"])
        .current_dir("/");
    // Who is not root has none of these rights anyway.
    if std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t") {
        command.uid(65534).gid(65534);
    }
    let ran = command.output().unwrap();
    let document = document(&file, &ran);
    assert_eq!(document["system_calls"]["seen_by"], "seccomp_filter");
    assert!(document["system_calls"]["all"]["calls"].as_u64().unwrap() > 5);
}

/// System calls of brkmap itself, without its children, while the program makes so many pairs of calls; and how often the
/// program slept meanwhile.
fn calls_of_brkmap(flags: &[&str], program: &str, pairs: u32, folder: &Path) -> (u64, u64) {
    let counts = folder.join("counts");
    let report = folder.join("report");
    let mut strace = Command::new("strace");
    strace.args(["-c", "-U", "calls,name", "-o", counts.to_str().unwrap(), env!("CARGO_BIN_EXE_brkmap")]);
    strace.args(flags).args(["--force", "-o", report.to_str().unwrap(), "--", program, "0", &pairs.to_string()]);
    let ran = strace.output().expect("strace is needed");
    assert_eq!(ran.status.code(), Some(6), "{}", stderr(&ran));
    let text = std::fs::read_to_string(&counts).unwrap();
    let total = text.lines().find(|line| line.trim_end().ends_with("total")).unwrap_or_else(|| panic!("{text}"));
    let slept = String::from_utf8(ran.stdout).unwrap();
    let first = |text: &str| text.split_whitespace().next().unwrap().parse().unwrap();
    (first(total), first(&slept))
}

#[test]
fn a_watched_call_costs_few_calls_and_no_sleep() {
    const PAIRS_MORE: u64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), PAIRS, &["-pthread", "-w"]);
    let cost = |flags: &[&str]| {
        let (few, _) = calls_of_brkmap(flags, &program, 100, folder.path());
        let (many, slept) = calls_of_brkmap(flags, &program, 100 + PAIRS_MORE as u32, folder.path());
        let calls = (2 * PAIRS_MORE) as f64;
        (many.saturating_sub(few) as f64 / calls, slept as f64 / calls)
    };
    // Two stops: at each a wait, the registers, going on; RSS twice where the call may lower it; the stack; the head of what
    // is unmapped. 8 on the average, and room for looks and ticks.
    // What the clock makes brkmap do is in it as well, and more of it the slower the machine is.
    let cost = |flags: &[&str], most: f64| {
        let mut least = cost(flags);
        for _ in 0..4 {
            if least.0 > most {
                let again = cost(flags);
                least = if again.0 < least.0 { again } else { least };
            }
        }
        least
    };
    let (calls, slept) = cost(&["syscalls"], 10.0);
    assert!((6.0..=10.0).contains(&calls), "{calls} system calls of brkmap for each that is watched");
    assert!(slept > 1.0, "the program stops twice at each: {slept}");
    let is_kernel = seen_by() == "kernel_programs";
    let (calls, slept) = cost(&["run", "--syscalls", "--alloc", "system"], if is_kernel { 0.5 } else { 10.0 });
    if is_kernel {
        assert!(calls < 0.5 && slept < 0.1, "{calls} calls, {slept} sleeps for each call that is watched");
    } else {
        assert!(calls <= 10.0, "{calls}");
    }
}
