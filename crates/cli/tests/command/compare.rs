//! `brkmap compare` on programs whose best malloc is known.

use super::targets::build;
use super::terminal::Terminal;
use super::{brkmap, compile, output, stderr, wait_until};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn compare(arguments: &[&str]) -> Value {
    let output = output(&[&["compare", "--json"][..], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema_version"], 1);
    for cell in document["cells"].as_array().unwrap() {
        for (name, figure) in cell["figures"].as_object().unwrap() {
            let number = |key: &str| figure[key].as_f64().unwrap();
            if !figure.is_null() {
                assert!(number("low") <= number("median") && number("median") <= number("high"), "{name}: {figure}");
            }
        }
    }
    document
}

fn cell<'a>(document: &'a Value, name: &str) -> &'a Value {
    let cells = document["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["name"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

fn median(document: &Value, name: &str, figure: &str) -> f64 {
    cell(document, name)["figures"][figure]["median"].as_f64().unwrap()
}

#[test]
fn the_malloc_that_gives_back_wins_where_that_decides() {
    let program = build("keeps", "keeps", &[]);
    let document =
        compare(&["--with", "glibc,brkmap", "-n", "6", "--metric", "settled-rss", "--", program.to_str().unwrap()]);
    assert_eq!(document["verdict"]["kind"], "winner", "{document:#}");
    assert_eq!(document["verdict"]["use"][0]["name"], "brkmap");
    assert!(document["verdict"]["text"].as_str().unwrap().starts_with("brkmap wins: settled RSS −"), "{document:#}");
    let settled = |name| median(&document, name, "settled_rss_bytes");
    // 40 MB were filled, and a tenth stays.
    assert!(settled("glibc") > f64::from(30 << 20) && settled("brkmap") < f64::from(12 << 20), "{document:#}");
    assert!(median(&document, "brkmap", "peak_rss_bytes") > f64::from(38 << 20));
    assert_eq!(cell(&document, "brkmap")["runs"].as_array().unwrap().len(), 6);
    assert!(document["differences"].as_array().unwrap().is_empty(), "{document:#}");
}

#[test]
fn glibc_stays_where_a_library_only_costs() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(void) { return malloc(100) == NULL; }";
    let program = compile(folder.path(), source, &[]);
    let document = compare(&["--with", "glibc,jemalloc,tcmalloc", "-n", "6", "--metric", "peak-rss", "--", &program]);
    assert_eq!(document["verdict"]["kind"], "stays", "{document:#}");
    assert!(document["verdict"]["use"].as_array().unwrap().is_empty());
    for name in ["jemalloc", "tcmalloc"] {
        let in_force = &cell(&document, name)["in_force"];
        assert!(in_force["malloc"].as_str().unwrap().contains(name) && in_force["as_wanted"] == true, "{in_force}");
        // The kernel's own figure begins with the memory of who started the program; these are smaller than brkmap.
        assert!(median(&document, name, "peak_rss_bytes") < f64::from(12 << 20), "{document:#}");
    }
    assert!(median(&document, "glibc", "peak_rss_bytes") < f64::from(3 << 20), "{document:#}");
}

#[test]
fn a_variable_that_nobody_reads_makes_no_difference() {
    let arguments = ["--with", "glibc", "--set", "NOBODY_READS_THIS=a,b", "-n", "8", "--", "/usr/bin/python3", "-c"];
    let document = compare(&[&arguments[..], &["print(sum(len(str(i)) for i in range(20000)))"]].concat());
    assert_eq!(document["verdict"]["kind"], "no_difference", "{document:#}");
    let names: Vec<&str> =
        document["cells"].as_array().unwrap().iter().map(|cell| cell["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["glibc NOBODY_READS_THIS=a", "glibc NOBODY_READS_THIS=b"]);
}

#[test]
fn the_example_of_the_page_ends_as_it_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/COMPARE.md")).unwrap();
    let script = page.split("cat > arenas.py <<'END'\n").nth(1).and_then(|rest| rest.split("END\n").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arenas.py");
    std::fs::write(&file, script).unwrap();
    let options = ["--with", "glibc,brkmap", "--set", "MALLOC_ARENA_MAX=,1", "-n", "6", "--metric", "peak-rss"];
    let document = compare(&[&options[..], &["--", "/usr/bin/python3", file.to_str().unwrap()]].concat());
    let text = document["verdict"]["text"].as_str().unwrap();
    assert!(text.starts_with("glibc MALLOC_ARENA_MAX=1 wins: peak RSS −8"), "{text}");
    assert!(page.contains("\nbrkmap: glibc MALLOC_ARENA_MAX=1 wins: peak RSS −8"));
    let paste = &document["verdict"]["use"][0]["paste"];
    assert_eq!(paste["dockerfile"].to_string(), r#"["ENV MALLOC_ARENA_MAX=1"]"#);
    assert_eq!(cell(&document, "glibc MALLOC_ARENA_MAX=1")["settings"]["MALLOC_ARENA_MAX"], "1");
    assert_eq!(document["cells"].as_array().unwrap().len(), 4);
}

#[test]
fn sqlite_gets_its_input_in_each_run_and_its_figures_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let sql = folder.path().join("input.sql");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
    std::fs::write(
        &sql,
        format!("CREATE TABLE t AS {rows} SELECT i, hex(i * i) AS h FROM n;\nSELECT sum(i), max(h) FROM t;\n"),
    )
    .unwrap();
    let all = "glibc,brkmap,jemalloc,mimalloc,tcmalloc";
    let document = compare(&["--with", all, "-n", "2", "--input", sql.to_str().unwrap(), "--", "sqlite3", ":memory:"]);
    assert_eq!(document["verdict"]["kind"], "too_few_runs");
    assert!(document["differences"].as_array().unwrap().is_empty(), "{document:#}");
    for name in all.split(',') {
        let cell = cell(&document, name);
        assert!(cell["in_force"]["malloc"].as_str().unwrap().contains(name), "{cell:#}");
        assert!(cell["system_calls"]["for_memory"].as_u64().unwrap() > 10, "{cell:#}");
        for run in cell["runs"].as_array().unwrap() {
            assert!(
                run["stdout_bytes"].as_u64().unwrap() > 10 && run["exit_status"] == 0 && run["seen_at_end"] == true
            );
            assert!(run["peak_rss_bytes"].as_u64() >= run["settled_rss_bytes"].as_u64());
            assert!(run["page_faults"].as_u64().unwrap() > 100 && run["cpu_seconds"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn system_calls_are_counted_as_strace_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <pthread.h>\n#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
        static void *work(void *x) { for (int i = 0; i < 500; i++) getppid(); return x; }\n\
        int main(void) {\n pthread_t thread; pthread_create(&thread, 0, work, 0); pthread_join(thread, 0);\n\
        for (int i = 0; i < 50; i++) free(malloc(64 << 20));\n\
        if (!fork()) { work(0); _exit(0); }\n wait(0); return 0; }";
    let program = compile(folder.path(), source, &["-pthread"]);
    let document = compare(&["--with", "glibc", "-n", "1", "--", &program]);
    let calls = &cell(&document, "glibc")["system_calls"];
    let list = folder.path().join("calls");
    let strace = Command::new("strace").args(["-f", "-o", list.to_str().unwrap(), &program]).status().unwrap();
    assert!(strace.success());
    let text = std::fs::read_to_string(list).unwrap();
    let count = |name: &str| text.lines().filter(|line| line.contains(&format!(" {name}("))).count() as u64;
    for name in ["brk", "mmap", "munmap"] {
        assert_eq!(calls["by_name"][name], count(name), "{name}: {calls}");
    }
    assert!(calls["by_name"]["munmap"].as_u64().unwrap() >= 50);
    let all = text.lines().filter(|line| line.contains('(') && !line.contains("resumed>")).count() as u64;
    // Two threads that wait for each other make a futex call more or less; the exec is not counted.
    let counted = calls["all"].as_u64().unwrap();
    assert!(counted.abs_diff(all) <= 6 && counted > 1000, "{counted} and {all}");
}

#[test]
fn a_static_program_cannot_be_compared_and_the_report_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "int main(void) { return 0; }", &["-static"]);
    let output = output(&["compare", "--with", "glibc,brkmap,jemalloc", "-n", "1", "--ascii", "--", &program]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.starts_with("brkmap: nothing to compare: glibc alone was measured"), "{text}");
    assert!(
        text.contains("! brkmap does not count, it was not in force:") && text.contains("statically linked"),
        "{text}"
    );
}

#[test]
fn what_differs_between_runs_is_told() {
    let script = "echo $LD_PRELOAD; test -z \"$LD_PRELOAD\" || { echo no preload please >&2; exit 3; }";
    let document = compare(&["--with", "glibc,jemalloc", "-n", "2", "--", "sh", "-c", script]);
    let told = document["differences"].to_string();
    assert!(told.contains("exit status 0 in 2 runs of glibc; exit status 3 in 2 runs of jemalloc"), "{told}");
    assert!(told.contains("its output is not the same in all runs: 1 B in 2 runs of glibc"), "{told}");
    assert_eq!(document["last_words"], "no preload please");
}

#[test]
fn a_program_that_never_ends_is_looked_at_and_ended() {
    let source = "import time; x = b'1' * (20 << 20); time.sleep(100)";
    let begin = Instant::now();
    let document =
        compare(&["--with", "glibc,brkmap", "-n", "1", "--for", "1.5", "--", "/usr/bin/python3", "-c", source]);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(document["metrics"].to_string(), r#"["cpu_seconds","settled_rss_bytes"]"#);
    for name in ["glibc", "brkmap"] {
        let run = &cell(&document, name)["runs"][0];
        assert_eq!((&run["signal"], &run["seen_at_end"]), (&15.into(), &true.into()), "{run}");
        assert!(run["settled_rss_bytes"].as_u64().unwrap() > 20 << 20, "{run}");
    }
}

#[test]
fn a_malloc_that_is_not_installed_is_named_with_its_package_and_left_out() {
    // A view of the file system in which tcmalloc is not installed.
    let folder = tempfile::tempdir().unwrap();
    let hide = "cd \"$1\"; mkdir up work; lib=$(dirname \"$(readlink -f /usr/lib/*/libtcmalloc_minimal.so.4)\") && \
        mount -t tmpfs none work && mkdir work/up work/work && \
        mount -t overlay none -o \"lowerdir=$lib,upperdir=work/up,workdir=work/work\" \"$lib\" && \
        rm \"$lib\"/libtcmalloc*; shift; exec \"$@\"";
    let hidden = |arguments: &[&str]| {
        let own =
            ["-rm", "sh", "-c", hide, "sh", folder.path().to_str().unwrap(), env!("CARGO_BIN_EXE_brkmap"), "compare"];
        Command::new("unshare").args(own).args(arguments).env_remove("LD_PRELOAD").output().unwrap()
    };
    let output = hidden(&["--with", "glibc,tcmalloc", "-n", "1", "--ascii", "--", "true"]);
    let (text, said) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{text}{said}");
    assert!(
        text.contains("! tcmalloc is left out: libtcmalloc_minimal.so.4 is not installed (package libtcmalloc-mini")
    );
    assert!(said.contains("apt-get install libtcmalloc-minimal4"), "{said}");
    let alone = hidden(&["--with", "tcmalloc", "-n", "1", "--", "true"]);
    assert_eq!(alone.status.code(), Some(125));
    assert!(stderr(&alone).contains("apt-get install libtcmalloc-minimal4"), "{}", stderr(&alone));
}

#[test]
fn children_on_another_malloc_are_counted() {
    let script = "env -i /bin/ls / >/dev/null; /bin/ls / >/dev/null; true";
    let document = compare(&["--with", "glibc,jemalloc", "-n", "1", "--", "sh", "-c", script]);
    let children = cell(&document, "jemalloc")["children"].as_array().unwrap();
    let of = |reason: Value| children.iter().filter(|child| child["not_in_force_because"] == reason).count();
    assert_eq!((of(Value::Null), of("environment_scrubbed".into())), (1, 1), "{children:#?}");
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    let fails = |arguments: &[&str], status: i32, words: &str| {
        let output = output(&[&["compare"][..], arguments].concat());
        let text = stderr(&output);
        assert!(output.status.code() == Some(status) && text.contains(words), "{:?}: {text}", output.status);
    };
    fails(&["--", "/nowhere/program"], 127, "/nowhere/program");
    fails(&["--with", "/nowhere/lib.so", "--", "true"], 125, "cannot preload /nowhere/lib.so");
    fails(&["--with", "nomalloc", "--", "true"], 125, "expected glibc, brkmap, jemalloc");
    fails(&["--with", "glibc,glibc", "--", "true"], 125, "twice");
    fails(&["--set", "A=1", "--set", "A=2", "--", "true"], 125, "--set A=a,b");
    fails(&["--input", "/nowhere/input", "--", "true"], 125, "--input /nowhere/input");
    fails(&["-o", "/nowhere/report", "--", "true"], 125, "/nowhere/report");
}

#[test]
fn a_key_ends_it_and_what_there_is_is_shown() {
    let own = env!("CARGO_BIN_EXE_brkmap");
    let mut terminal = Terminal::new("sh");
    terminal.types(&format!("{own} compare --no-calls --with glibc,jemalloc -n 500 --ascii -- sleep 0.02\n"));
    terminal.sees("round 8 of 500 done");
    terminal.types("\x03");
    terminal.sees("interrupted; 500 runs of each were wanted");
    terminal.sees("peak RSS");
    terminal.types("echo status=$?\n");
    terminal.sees("status=130");
    terminal.types("exit\n");
}

#[test]
fn a_signal_ends_the_program_too_and_nothing_stays_behind() {
    // A time that no other process of this machine sleeps.
    let time = format!("61.{}", std::process::id());
    let mut command = brkmap(&["compare", "--json", "--with", "glibc", "-n", "9", "--", "sleep", &time]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    wait_until("the program runs", || {
        let children = read(format!("/proc/{0}/task/{0}/children", child.id()));
        children.split_whitespace().any(|pid| read(format!("/proc/{pid}/comm")) == "sleep\n")
    });
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["interrupted"], true);
    let left = Command::new("pgrep").args(["-fx", &format!("sleep {time}")]).output().unwrap();
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
}
