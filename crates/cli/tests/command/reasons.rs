//! Which malloc was in force and why not brkmap: programs that run for real, each with the property in question.

use super::{compile, copy_program, report, stderr};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What a process of the report says of its malloc: name and reason.
fn malloc(process: &Value) -> (&str, &str) {
    let malloc = &process["malloc"];
    (malloc["in_force"].as_str().unwrap(), malloc["reason"].as_str().unwrap_or("as wanted"))
}

/// The process with this name among the words of its command.
fn process<'a>(document: &'a Value, name: &str) -> &'a Value {
    let is_it = |process: &&Value| process["command"][0].as_str().is_some_and(|word| word.ends_with(name));
    let mut found = document["processes"].as_array().unwrap().iter().filter(is_it);
    found.next().unwrap_or_else(|| panic!("{name} is not in {document:#}"))
}

fn executable(path: &Path, bytes: &[u8]) -> String {
    let written = path.with_extension("written");
    fs::write(&written, bytes).unwrap();
    copy_program(&written, path);
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A 32-bit ELF file with one segment that is all of it: ends with status 7.
fn small_32_bit_program(folder: &Path) -> String {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let code = [0xb8, 1, 0, 0, 0, 0xbb, 7, 0, 0, 0, 0xcd, 0x80]; // mov $1,%eax; mov $7,%ebx; int $0x80
    let size = HEADERS + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let word = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    half(&mut file, &[2, 3]); // ET_EXEC, EM_386
    word(&mut file, &[1, BASE + HEADERS, 52, 0, 0]); // version, entry, program headers, no sections, flags
    half(&mut file, &[52, 32, 1, 0, 0, 0]);
    word(&mut file, &[1, 0, BASE, BASE, size, size, 5, 0x1000]); // PT_LOAD, readable and executable
    file.extend(code);
    executable(&folder.join("small32"), &file)
}

#[test]
fn a_32_bit_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = small_32_bit_program(folder.path());
    let status = Command::new(&program).status().expect("this kernel must run 32-bit programs (CONFIG_IA32_EMULATION)");
    assert_eq!(status.code(), Some(7));
    let (status, document) = report("brkmap", &[&program]);
    assert_eq!((status, malloc(&document["processes"][0])), (7, ("linked in", "32_bit")));
    assert_eq!(document["verdict"]["class"], "not_in_force");
    let text = document["verdict"]["text"].as_str().unwrap();
    assert_eq!(text, "ran on a linked-in malloc: it is a 32-bit program and the library is 64-bit");
    let (_, document) = report("brkmap", &["sh", "-c", &format!("{program}; true")]);
    assert_eq!(malloc(process(&document, "small32")), ("linked in", "32_bit"));
    assert_eq!(malloc(&document["processes"][0]).1, "as wanted");
    let (_, document) = report("system", &[&program]);
    assert_eq!(malloc(&document["processes"][0]), ("linked in", "as wanted"));
}

/// A program without libc: writes a line and ends with status 5. `extra` is put in front.
fn bare_program(folder: &Path, extra: &str) -> String {
    let source = format!(
        "{extra}
        static long call(long number, long a, long b, long c) {{
            long result;
            __asm__ volatile(\"syscall\" : \"=a\"(result) : \"a\"(number), \"D\"(a), \"S\"(b), \"d\"(c)
                             : \"rcx\", \"r11\", \"memory\");
            return result;
        }}
        void _start(void) {{
            call(1, 1, (long)\"ran\\n\", 4);
            call(60, 5, 0, 0);
        }}"
    );
    compile(folder, &source, &["-nostdlib", "-static", "-fno-stack-protector"])
}

const BUILD_INFO: &str =
    "__attribute__((section(\".go.buildinfo\"), used)) static const char info[32] = \"\\xff Go buildinf:\\x08\\x02\";";
const BUILD_ID: &str = "__asm__(\".section .note.go.buildid,\\\"a\\\",@note\\n.long 4, 4, 4\\n\
                        .asciz \\\"Go\\\\0\\\"\\n.long 0\\n.text\");";

#[test]
fn a_go_program_is_told_from_other_static_ones() {
    let folder = tempfile::tempdir().unwrap();
    let go = ("Go's heap", "go");
    for (mark, expected) in [(BUILD_INFO, go), (BUILD_ID, go), ("", ("linked in", "static"))] {
        let program = bare_program(folder.path(), mark);
        let (status, document) = report("brkmap", &[&program]);
        assert_eq!((status, malloc(&document["processes"][0])), (5, expected), "{mark}");
        let (_, document) = report("system", &[&program]);
        assert_eq!(malloc(&document["processes"][0]), (expected.0, "as wanted"), "{mark}");
        let (_, document) = report("brkmap", &["sh", "-c", &format!("{program}; true")]);
        assert_eq!(malloc(process(&document, "program")), expected, "{mark}");
    }
    // Without section headers, as after `sstrip`, the note is left.
    let program = bare_program(folder.path(), BUILD_ID);
    let mut bytes = fs::read(&program).unwrap();
    bytes[0x28..0x30].fill(0);
    bytes[0x3a..0x40].fill(0);
    let stripped = executable(&folder.path().join("stripped"), &bytes);
    let (status, document) = report("brkmap", &[&stripped]);
    assert_eq!((status, malloc(&document["processes"][0])), (5, go));
}

#[test]
fn a_go_program_with_c_inside_has_two_heaps() {
    let folder = tempfile::tempdir().unwrap();
    let main = |body| format!("#include <stdlib.h>\n{BUILD_INFO}\nint main(void) {{ return {body}; }}");
    let (_, document) = report("brkmap", &[&compile(folder.path(), &main("malloc(10) == 0"), &[])]);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("brkmap {version}, beside Go's heap");
    assert_eq!(malloc(&document["processes"][0]), (name.as_str(), "as wanted"));
    let (_, document) = report("brkmap", &[&compile(folder.path(), &main("0"), &[])]);
    assert_eq!(malloc(&document["processes"][0]), ("Go's heap", "go"));
}

#[test]
fn a_supervisor_that_cleans_the_environment_is_seen() {
    let (_, document) = report("brkmap", &["sh", "-c", "env -i /bin/cat /dev/null; true"]);
    assert_eq!(malloc(process(&document, "cat")), ("glibc", "environment_scrubbed"));
    assert_eq!(malloc(process(&document, "sh")).1, "as wanted");
}

/// An unprivileged user's surroundings: a folder with a copy of the command, as a user that may do nothing.
struct Unprivileged {
    folder: tempfile::TempDir,
    command: PathBuf,
}

const NOBODY: u32 = 65534;

/// Whether the test itself runs as root and can give a program another user.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Unprivileged {
    fn new() -> Unprivileged {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let command = folder.path().join("brkmap");
        copy_program(env!("CARGO_BIN_EXE_brkmap"), &command);
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&cache, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Unprivileged { folder, command }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the command; its standard input stays open for a while, so that a program that asks for a password waits.
    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.command);
        command.args(arguments).env("XDG_CACHE_HOME", self.path().join("cache")).current_dir("/");
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "LD_PRELOAD"] {
            command.env_remove(name);
        }
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = piped.spawn().unwrap();
        let input = running.stdin.take();
        std::thread::sleep(Duration::from_millis(if is_root() { 0 } else { 500 }));
        drop(input);
        running.wait_with_output().unwrap()
    }

    /// The report as JSON, which `-o` could not write as this user.
    fn report(&self, arguments: &[&str]) -> (Output, Value) {
        let ran = self.output(&[&["run", "--json"], arguments].concat());
        let text = stderr(&ran);
        let document = serde_json::from_str(text.get(text.find('{').unwrap_or(0)..).unwrap_or_default());
        (ran, document.unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// A set-user-id program: our own, which prints its effective user, or the system's `su` if we cannot make one.
    fn set_user_id_program(&self) -> String {
        if !is_root() {
            return "/usr/bin/su".to_owned();
        }
        let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
                      int main(void) { char *volatile p = malloc(100); printf(\"%d\\n\", geteuid()); fflush(stdout);\n\
                      usleep(2000000); return p == 0; }";
        let program = compile(self.path(), source, &[]);
        fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
        program
    }
}

#[test]
fn a_set_user_id_program_in_the_tree_is_told() {
    let user = Unprivileged::new();
    let program = user.set_user_id_program();
    let shell = ["--", "sh", "-c", &format!("{program}; true")];
    let (ran, document) = user.report(&shell);
    let name = Path::new(&program).file_name().unwrap().to_str().unwrap();
    let child = process(&document, name);
    assert_eq!(malloc(child), ("glibc", "privileged"));
    assert_eq!(child["lost_privilege"], true);
    if is_root() {
        assert_eq!(
            String::from_utf8_lossy(&ran.stdout),
            format!("{NOBODY}\n"),
            "the kernel gives a traced one no rights"
        );
    }
    let text = stderr(&user.output(&[&["run"], &shell[..]].concat()));
    let line = format!("privilege   {name} should have changed user and could not, being traced; try --no-trace");
    assert!(text.lines().any(|shown| shown == line), "{text}");
}

#[test]
fn a_set_user_id_program_itself_keeps_its_rights() {
    let user = Unprivileged::new();
    let program = user.set_user_id_program();
    let (ran, document) = user.report(&["--", &program]);
    if is_root() {
        assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stdout).as_ref()), (Some(0), "0\n"));
    }
    assert_eq!(document["children_followed"], false);
    let main = &document["processes"][0];
    assert_eq!((malloc(main), main["seen"]["at"].as_str()), (("unknown", "privileged"), Some("sample")));
    assert!(main["rss_bytes"].as_u64().unwrap() > 0);
    let text = stderr(&user.output(&["run", "--", &program]));
    let verdict =
        "brkmap: ran on an unknown malloc: it changes user or has capabilities, so the loader ignores LD_PRELOAD";
    assert!(text.contains(verdict), "{text}");
    assert!(text.contains("changes user or has capabilities, and would lose them if traced"), "{text}");
}

#[test]
fn a_program_that_may_not_be_read_is_no_gap_in_the_report() {
    let user = Unprivileged::new();
    let source = "#include <stdlib.h>\n#include <sys/prctl.h>\n#include <unistd.h>\n\
                  int main(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); usleep(2000000); return malloc(9) ? 6 : 1; }";
    let program = compile(user.path(), source, &[]);
    for arguments in [&["--", &program][..], &["--no-trace", "--", &program]] {
        let (ran, document) = user.report(arguments);
        assert_eq!(ran.status.code(), Some(6));
        let main = &document["processes"][0];
        assert_eq!(malloc(main), ("unknown", "unreadable"), "{document:#}");
        assert!(super::row(main, "unexplained") > 100_000 && main["peak_rss_bytes"].as_u64().unwrap() > 100_000);
        assert_eq!(document["verdict"]["text"], "ran on an unknown malloc: its memory may not be read");
    }
    let (_, document) = user.report(&["--", "sh", "-c", &format!("{program}; true")]);
    let child = process(&document, "program");
    assert_eq!((malloc(child), child["seen"]["at"].as_str()), (("unknown", "unreadable"), Some("exit")));
    let (_, document) = user.report(&["--alloc", "system", "--", &program]);
    assert_eq!(malloc(&document["processes"][0]), ("unknown", "as wanted"));
    let text = document["verdict"]["text"].as_str().unwrap();
    assert!(text.ends_with("resident at the end; which malloc it used is not known"), "{text}");
}
