//! What the report says about programs whose doings are known.

use super::{brkmap, compile, output, report, row, stderr, wait_until};
use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn the_report_fits_and_is_plain_without_a_terminal() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do cat /dev/null; done; exit 4";
    for extra in [&["--ascii"][..], &[]] {
        let mut arguments = vec!["run"];
        arguments.extend(extra);
        arguments.extend(["--", "sh", "-c", script]);
        let ran = output(&arguments);
        assert_eq!(ran.status.code(), Some(4));
        let text = stderr(&ran);
        assert!(text.lines().count() <= 30, "{text}");
        assert!(text.starts_with("brkmap: "), "{text}");
        assert!(text.contains("exit 4") && text.contains("sum = resident") && text.contains("unexplained"), "{text}");
        assert!(text.contains("4 more, sum of their peaks"), "{text}");
        assert!(!text.contains("not on the wanted malloc"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(text.is_ascii(), !extra.is_empty(), "{text}");
    }
    let color = output(&["run", "--color", "always", "--", "true"]);
    assert!(stderr(&color).contains("\u{1b}[1m"));
    let forced = brkmap(&["run", "--", "true"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(stderr(&forced).contains('\u{1b}'));
    let refused = brkmap(&["run", "--", "true"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output().unwrap();
    assert!(!stderr(&refused).contains('\u{1b}'));
}

#[test]
fn children_are_followed_through_fork_and_exec() {
    let (status, document) = report("brkmap", &["sh", "-c", "(exit 1); cat /dev/null; sh -c 'sh -c \"exit 0\"; :'; :"]);
    assert_eq!(status, 0);
    let processes = document["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 5, "{document:#}");
    assert_eq!(processes.iter().filter(|p| p["malloc"]["as_wanted"] == true).count(), 5, "{document:#}");
    let (_, system) = report("system", &["sh", "-c", "cat /dev/null; :"]);
    assert!(system["processes"].as_array().unwrap().iter().all(|p| p["malloc"]["in_force"] == "glibc"));
    assert_eq!(system["verdict"]["class"], "fine");
}

#[test]
fn a_program_killed_from_outside_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let command = ["run", "--json", "-o", file.to_str().unwrap(), "--", "sh", "-c", "echo $$; exec sleep 60"];
    let mut running = brkmap(&command).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(running.stdout.take().unwrap()), &mut line).unwrap();
    // Its name changes in the middle of the exec; with a stack and libc it is through it.
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", line.trim())).unwrap();
    wait_until("sleep has begun", || {
        let is_named = read("comm") == "sleep\n";
        let maps = read("maps");
        is_named && maps.contains("[stack]") && maps.contains("libc.so")
    });
    assert!(Command::new("kill").args(["-9", line.trim()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(137));
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let main = &document["processes"][0];
    assert_eq!(main["seen"]["at"], "exit");
    assert_eq!(main["command"][0], "sleep");
}

#[test]
fn without_tracing_the_last_sample_is_shown() {
    let ran = output(&["run", "--no-trace", "--", "sleep", "2"]);
    assert!(ran.status.success());
    let text = stderr(&ran);
    assert!(text.contains("last sample, ") && text.contains(" ms before the end"), "{text}");
    assert!(text.contains("the command only, no children: --no-trace"), "{text}");
    assert_eq!(output(&["run", "--no-trace", "--", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let sampled = ["run", "--no-trace", "--json", "-o", file.to_str().unwrap(), "--", "sh", "-c", "sleep 2; exit 2"];
    assert_eq!(output(&sampled).status.code(), Some(2));
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["processes"][0]["ended"]["code"], 2);
    assert_eq!(document["children_followed"], false);
}

#[test]
fn a_program_that_traces_others_is_left_alone() {
    let own = env!("CARGO_BIN_EXE_brkmap");
    let ran = output(&["run", "--", own, "run", "--", "sh", "-c", "sleep 0.1; exit 5"]);
    assert_eq!(ran.status.code(), Some(5));
    let text = stderr(&ran);
    assert_eq!(text.matches("sum = resident").count(), 2, "{text}");
    assert!(!text.contains("tracing was refused"), "{text}");
    assert!(text.contains("it traces programs itself and is left alone"), "{text}");
}

#[test]
fn where_system_calls_are_forbidden_another_way_is_found() {
    let folder = tempfile::tempdir().unwrap();
    // Installs a filter under which one system call fails with EPERM, then runs a program.
    let source = "
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <stdlib.h>
        #include <sys/prctl.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            struct sock_filter code[] = {
                {0x20, 0, 0, 0}, {0x15, 0, 1, atoi(argv[1])}, {0x06, 0, 0, 0x00050001}, {0x06, 0, 0, 0x7fff0000},
            };
            struct sock_fprog program = {4, code};
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 99;
            execvp(argv[2], argv + 2);
            return 98;
        }";
    let filter = compile(folder.path(), source, &[]);
    let run = |call: i64| {
        let own = env!("CARGO_BIN_EXE_brkmap");
        let arguments = [&call.to_string(), own, "run", "--", "sh", "-c", "sleep 2; exit 5"];
        let ran = Command::new(&filter).args(arguments).output().unwrap();
        assert_eq!(ran.status.code(), Some(5));
        stderr(&ran)
    };
    let untraced = run(libc::SYS_ptrace);
    assert!(untraced.contains("tracing was refused (Operation not permitted"), "{untraced}");
    assert!(untraced.contains("last sample, ") && untraced.contains("live blocks"), "{untraced}");
    let read_by_file = run(libc::SYS_process_vm_readv);
    assert!(read_by_file.contains("at exit ") && read_by_file.contains("live blocks"), "{read_by_file}");
}

#[test]
fn the_waterfall_knows_what_a_program_did() {
    const MIB: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(void) {
            static void *p[20000];
            for (int i = 0; i < 20000; i++) memset(p[i] = malloc(1000), 1, 1000);
            for (int i = 0; i < 20000; i += 2) free(p[i]);
            memset(malloc(8 << 20), 1, 8 << 20);
            _exit(0);
        }";
    let program = compile(folder.path(), source, &[]);
    let (_, document) = report("brkmap", &[&program]);
    let main = &document["processes"][0];
    let held = row(main, "live") + row(main, "rounding");
    let expected = 10_000 * 1000 + 8 * MIB;
    assert!(held.abs_diff(expected) < expected / 20, "{held} of {expected}: {document:#}");
    let free = row(main, "pinned_free") + row(main, "thread_caches");
    assert!(free.abs_diff(10_000_000) < 500_000, "{free}");
    assert!(row(main, "unexplained") * 100 <= main["rss_bytes"].as_u64().unwrap(), "{main:#}");
    let asked = &main["asked_of_kernel"];
    assert_eq!(asked["mappings"]["direct"]["calls"], 1);
    assert!(asked["break"]["up"]["bytes"].as_u64().unwrap() >= 20_000_000);
    assert_eq!(document["verdict"]["class"], "fragmented");
}

#[test]
fn threads_that_outlive_the_first_one_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <pthread.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        static void *work(void *unused) {
            usleep(100000);
            memset(malloc(20 << 20), 1, 20 << 20);
            return unused;
        }
        int main(void) {
            pthread_t thread;
            pthread_create(&thread, 0, work, 0);
            pthread_exit(0);
        }";
    let program = compile(folder.path(), source, &["-pthread"]);
    let (status, document) = report("brkmap", &[&program]);
    assert_eq!(status, 0);
    let main = &document["processes"][0];
    assert_eq!(main["seen"]["at"], "exit");
    assert!(row(main, "live") >= 20 << 20, "{main:#}");
}

#[test]
fn an_exec_from_another_thread_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <pthread.h>
        #include <spawn.h>
        #include <stdlib.h>
        #include <unistd.h>
        static void *work(void *unused) {
            execl(\"/bin/sh\", \"sh\", \"-c\", \"exit 8\", (char *)0);
            return unused;
        }
        int main(void) {
            pid_t child;
            char *none[] = {\"/no/such/program\", 0};
            if (posix_spawn(&child, none[0], 0, 0, none, none) == 0) return 1;
            pthread_t thread;
            pthread_create(&thread, 0, work, 0);
            pthread_join(thread, 0);
            return 2;
        }";
    let program = compile(folder.path(), source, &["-pthread"]);
    let (status, document) = report("brkmap", &[&program]);
    assert_eq!(status, 8);
    let processes = document["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "a child that only borrowed memory is no process of its own: {document:#}");
    assert_eq!(processes[0]["command"][0], "sh");
    assert_eq!(processes[0]["seen"]["at"], "exit");
}

#[test]
fn why_brkmap_is_not_in_force_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { return malloc(10) == 0; }";
    let program = compile(folder.path(), source, &["-static"]);
    let reason = |command: &[&str]| report("brkmap", command).1["processes"][0]["malloc"]["reason"].clone();
    assert_eq!(reason(&[&program]), "static");
    assert_eq!(reason(&["env", "-u", "LD_PRELOAD", "sleep", "0"]), "environment_scrubbed");
    let own = "#include <stddef.h>\nchar pool[1 << 20]; size_t used;\n\
               void *malloc(size_t n) { void *p = pool + used; used += (n + 15) & ~15ul; return p; }\n\
               void free(void *p) { (void)p; }\nint main(void) { return malloc(10) == 0; }";
    let program = compile(folder.path(), own, &["-rdynamic", "-fno-builtin"]);
    assert_eq!(reason(&[&program]), "own_malloc");
    // It asks brkmap a question, so that brkmap's tables are there; the sum has to hold (`report` checks it).
    let own = own.replace("main(void) {", "main(void) { extern int mallopt(int, int); mallopt(-1, 1 << 20);");
    let program = compile(folder.path(), &own, &["-rdynamic", "-fno-builtin"]);
    assert_eq!(reason(&[&program]), "own_malloc");
}

#[test]
fn strace_sees_what_it_traces_under_brkmap_too() {
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let strace = ["strace", "-f", "-e", "trace=execve", "-o", calls.to_str().unwrap(), "sh", "-c", "sleep 2; exit 5"];
    let traced = |what: &str| {
        let lines = std::fs::read_to_string(&calls).unwrap_or_else(|error| panic!("strace is needed: {error}"));
        assert!(lines.contains("sleep"), "{what}: {lines}");
    };
    let (status, document) = report("brkmap", &strace);
    assert_eq!((status, document["children_followed"].as_bool()), (5, Some(false)));
    assert_eq!(document["not_followed_because"], "it traces programs itself and is left alone");
    assert_eq!(document["processes"][0]["malloc"]["as_wanted"], true);
    traced("alone");
    std::fs::remove_file(&calls).unwrap();
    // In the tree it is left alone, and the rest is followed.
    let line = format!("{}; cat /dev/null; exit 6", strace.map(|word| format!("'{word}'")).join(" "));
    let (status, document) = report("brkmap", &["sh", "-c", &line]);
    assert_eq!((status, document["children_followed"].as_bool()), (6, Some(true)));
    traced("in the tree");
    let moment = |name: &str| {
        let processes = document["processes"].as_array().unwrap();
        processes.iter().find(|process| process["command"][0] == name).unwrap()["seen"]["at"].clone()
    };
    assert_eq!((moment("strace"), moment("cat")), ("sample".into(), "exit".into()));
}
