//! The built command on real programs.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

/// Compiles a C program.
fn compile(folder: &Path, source: &str, flags: &[&str]) -> String {
    let file = folder.join("program.c");
    std::fs::write(&file, source).unwrap();
    let program = folder.join("program").to_str().unwrap().to_owned();
    let status = Command::new("cc").args(["-O0", "-o", &program]).arg(&file).args(flags).status().unwrap();
    assert!(status.success());
    program
}

#[test]
fn exit_statuses_are_the_programs() {
    for alloc in ["system", "brkmap"] {
        assert_eq!(report(alloc, &["true"]).0, 0);
        assert_eq!(report(alloc, &["false"]).0, 1);
        assert_eq!(report(alloc, &["sh", "-c", "exit 3"]).0, 3);
        let (status, document) = report(alloc, &["sh", "-c", "kill -9 $$"]);
        assert_eq!(status, 137);
        assert_eq!(document["ended"]["name"], "SIGKILL");
        assert_eq!(document["processes"][0]["seen"]["at"], "exit", "a killed process is seen at its last moment");
        assert_eq!(report(alloc, &["sh", "-c", "kill -34 $$"]).0, 128 + 34, "real-time signals too");
    }
}

#[test]
fn a_program_that_does_not_start_is_told_as_env_does() {
    let missing = output(&["run", "--", "no-such-program-anywhere"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(stderr(&missing).contains("cannot run 'no-such-program-anywhere': No such file"), "{}", stderr(&missing));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain");
    std::fs::write(&file, "text").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    for verb in ["run", "use"] {
        assert_eq!(output(&[verb, "--", file.to_str().unwrap()]).status.code(), Some(126));
        assert_eq!(output(&[verb, "--", "/no/such/file"]).status.code(), Some(127));
    }
}

#[test]
fn mistakes_on_the_command_line_are_125() {
    assert_eq!(output(&["run"]).status.code(), Some(125));
    let unknown = output(&["run", "--jsno", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(125));
    assert!(stderr(&unknown).contains("--json"), "{}", stderr(&unknown));
    assert_eq!(output(&["run", "--alloc", "/no/such.so", "true"]).status.code(), Some(125));
    assert_eq!(output(&["--version"]).status.code(), Some(0));
}

#[test]
fn output_and_input_pass_byte_for_byte() {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    bytes.push(0);
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::write(&input, &bytes).unwrap();
    let ran = brkmap(&["run", "--", "cat"]).stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
    assert!(ran.status.success());
    assert_eq!(ran.stdout, bytes);
    let both = output(&["run", "-o", "/dev/null", "--force", "--", "sh", "-c", "echo one; echo two >&2"]);
    assert_eq!((both.stdout.as_slice(), both.stderr.as_slice()), (&b"one\n"[..], &b"two\n"[..]));
}

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
    assert_eq!(system["verdict"]["class"], "opaque");
}

#[test]
fn a_program_killed_from_outside_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let command = ["run", "--json", "-o", file.to_str().unwrap(), "--", "sh", "-c", "echo $$; exec sleep 60"];
    let mut running = brkmap(&command).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(running.stdout.take().unwrap()), &mut line).unwrap();
    let until_it_sleeps = Duration::from_millis(300);
    std::thread::sleep(until_it_sleeps);
    assert!(Command::new("kill").args(["-9", line.trim()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(137));
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let main = &document["processes"][0];
    assert_eq!(main["seen"]["at"], "exit");
    assert_eq!(main["command"][0], "sleep");
}

#[test]
fn a_signal_to_brkmap_reaches_the_program() {
    let script = "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running =
        brkmap(&["run", "--", "sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = std::io::BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(7));
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "got it\n");
}

#[test]
fn stopping_and_continuing_a_program_works() {
    let script = "sh -c 'kill -STOP $$; echo continued' & child=$!; sleep 0.3; kill -CONT $child; wait $child";
    let ran = output(&["run", "--", "sh", "-c", script]);
    assert!(ran.status.success());
    assert_eq!(ran.stdout, b"continued\n");
}

#[test]
fn signal_dispositions_are_handed_through() {
    let fields = ["sh", "-c", "grep -E '^Sig(Ign|Blk)' /proc/self/status"];
    let plain = Command::new(fields[0]).args(&fields[1..]).output().unwrap();
    for verb in ["run", "use"] {
        let ran = output(&[&[verb, "--"][..], &fields].concat());
        assert_eq!(String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&plain.stdout), "{verb}");
    }
}

#[test]
fn without_tracing_the_last_sample_is_shown() {
    let ran = output(&["run", "--no-trace", "--", "sleep", "0.4"]);
    assert!(ran.status.success());
    let text = stderr(&ran);
    assert!(text.contains("last sample, ") && text.contains(" ms before the end"), "{text}");
    assert!(text.contains("the command only, no children: --no-trace"), "{text}");
    assert_eq!(output(&["run", "--no-trace", "--", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
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
        let arguments = [&call.to_string(), own, "run", "--", "sh", "-c", "sleep 0.3; exit 5"];
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
fn files_are_never_replaced_silently() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    let name = file.to_str().unwrap();
    assert!(output(&["run", "-o", name, "true"]).status.success());
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.starts_with("brkmap: "), "{first}");
    let refused = output(&["run", "-o", name, "--", "sh", "-c", "echo ran"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(refused.stdout.is_empty(), "the program did not run");
    assert!(stderr(&refused).contains("--force"));
    assert!(output(&["run", "-o", name, "--force", "true"]).status.success());
}

#[test]
fn an_existing_preload_is_kept_behind_ours() {
    let library = String::from_utf8(output(&["lib-path"]).stdout).unwrap();
    let library = library.trim_end();
    assert!(library.ends_with("/libbrkmap.so"), "{library}");
    let mode = std::fs::metadata(Path::new(library).parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    let ran = brkmap(&["use", "--", "printenv", "LD_PRELOAD"]).env("LD_PRELOAD", "libc.so.6").output().unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), format!("{library}:libc.so.6\n"));
    let foreign = report(library, &["true"]).1;
    assert!(foreign["processes"][0]["malloc"]["as_wanted"].as_bool().unwrap());
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
fn a_child_left_behind_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late");
    let script = format!("(sleep 0.5; true; echo done > {}) >/dev/null 2>&1 & sleep 0.2", late.display());
    let (status, document) = report("brkmap", &["sh", "-c", &script]);
    assert_eq!(status, 0);
    assert!(!late.exists());
    let processes = document["processes"].as_array().unwrap();
    assert!(processes.iter().any(|process| process["seen"]["at"] == "still_running"), "{document:#}");
    let begin = std::time::Instant::now();
    while std::fs::read(&late).unwrap_or_default() != b"done\n" {
        assert!(begin.elapsed() < Duration::from_secs(20), "it did not survive the end of brkmap");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_closed_report_pipe_does_not_hide_the_status() {
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(reader);
    let writer = Stdio::from(std::os::fd::OwnedFd::from(writer));
    let status = brkmap(&["run", "--", "sh", "-c", "exit 9"]).stderr(writer).status().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(9), None));
}

#[test]
fn programs_may_replace_themselves_under_their_own_name() {
    let mut command = brkmap(&["use", "--", "sh", "-c", "exit 6"]);
    assert_eq!(command.arg0("other").status().unwrap().code(), Some(6));
}
