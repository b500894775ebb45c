//! What a program and its caller notice of brkmap: nothing but the report.

use super::{brkmap, output, report, stderr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    let folder = tempfile::tempdir().unwrap();
    let script = "
        cd \"$0\"
        sh -c 'kill -STOP $$; echo continued > after' & child=$!
        until grep -qi '^State:.t' /proc/$child/status; do sleep 0.05; done
        sleep 0.3
        if [ -e after ]; then echo it did not stop; fi
        until [ -e after ]; do kill -CONT $child; sleep 0.05; done
        wait $child && cat after";
    let ran = output(&["run", "--", "sh", "-c", script, folder.path().to_str().unwrap()]);
    assert!(ran.status.success());
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "continued\n");
}

#[test]
fn a_caller_that_ignores_its_children_changes_nothing() {
    let script = "trap '' CHLD; exec \"$0\" \"$@\" sh -c 'grep SigIgn /proc/self/status; exit 3'";
    let own = env!("CARGO_BIN_EXE_brkmap");
    let ran = |arguments: &[&str]| {
        let ran = Command::new("sh").args(["-c", script]).args(arguments).output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{}", stderr(&ran));
        ran.stdout
    };
    assert_eq!(ran(&[own, "run", "--"]), ran(&["env"]));
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
fn a_child_left_behind_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late");
    let go = folder.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done; echo done > {}", go.display(), late.display());
    let (status, document) = report("brkmap", &["sh", "-c", &format!("({wait}) >/dev/null 2>&1 & sleep 0.5")]);
    assert_eq!(status, 0);
    std::fs::write(&go, "").unwrap();
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

#[test]
fn what_is_sent_to_brkmap_is_the_programs() {
    // Sent by its number, as a supervisor does: a program that was started without brkmap would have got it.
    for name in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"] {
        let script = format!("trap 'echo got it; exit 7' {name}; echo ready; while :; do sleep 0.05; done");
        // A shell cannot trap what it was started to ignore, as jobs in the background are.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,QUIT", env!("CARGO_BIN_EXE_brkmap"), "run", "--", "sh", "-c", &script]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert_eq!(line, "ready\n");
        assert!(
            Command::new("kill").args([&format!("-{name}"), &running.id().to_string()]).status().unwrap().success()
        );
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(7), "{name}");
        assert!(stderr(&ended).contains("sum = resident"), "{name}: {}", stderr(&ended));
    }
}
