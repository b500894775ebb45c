//! Real programs: each script of `tests/programs` runs under glibc's malloc and under brkmap; what it prints must be the
//! same byte for byte, and each run must have had the malloc it was meant to have.
//!
//! Which malloc was in force is seen from inside: `tests/tools/witness.c` is preloaded too and notes, for every process
//! that starts, its executable, the object that answers for `malloc`, and whether libbrkmap.so is in the process.

use crate::behaviour::{self, Bench};
use crate::context::{Context, stem};
use crate::header::Header;
use crate::process::{self, Run};
use crate::report::Outcome;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs every script.
pub(crate) fn run(context: &mut Context) {
    let scripts = match context.sources("tests/programs", &["sh"]) {
        Ok(scripts) => scripts,
        Err(why) => return context.report.check("programs", "sources", || Err(why)),
    };
    let scripts: Vec<PathBuf> = scripts.into_iter().filter(|s| context.selects("programs", &stem(s))).collect();
    if scripts.is_empty() {
        return;
    }
    let bench = match prepare(context) {
        Ok(bench) => bench,
        Err(why) => return context.report.check("programs", "prepare", || Err(why)),
    };
    context.report.section(&format!("tests/programs ({} programs)", scripts.len()));
    for script in scripts {
        context.report.check("programs", &stem(&script), || compare(&bench, &script));
    }
}

fn prepare(context: &mut Context) -> Result<Bench, String> {
    let library = context.library()?;
    let libraries = context.scratch("lib")?;
    let sources = context.root.join("tests/tools");
    let bench = Bench { work: context.scratch("programs")?, libraries, library, sources, extended: false };
    let witness = bench.libraries.join("witness.so");
    behaviour::compile(&bench, &bench.sources.join("witness.c"), &witness, &["-shared", "-fPIC"])?;
    Ok(bench)
}

/// One script, both ways.
fn compare(bench: &Bench, script: &Path) -> Outcome {
    let header = Header::read(script)?;
    let ours = bench.library.display().to_string();
    let baseline = header.get("baseline").unwrap_or_default();
    let (expected, seen) = one_run(bench, script, &header, "glibc", baseline)?;
    in_force(&header, &seen, "libc.so.6", false).map_err(|why| format!("glibc run: {why}"))?;
    let (actual, seen) = one_run(bench, script, &header, "brkmap", &ours)?;
    in_force(&header, &seen, "libbrkmap.so", true).map_err(|why| format!("brkmap run: {why}"))?;
    if expected.stdout == actual.stdout { Ok(()) } else { Err(first_difference(&expected.stdout, &actual.stdout)) }
}

/// Runs a script in a directory of its own; returns what the witness saw, too.
fn one_run(bench: &Bench, script: &Path, header: &Header, side: &str, preload: &str) -> Result<(Run, String), String> {
    let directory = bench.work.join(format!("{}-{side}", stem(script)));
    std::fs::create_dir(&directory).map_err(|e| format!("cannot create {}: {e}", directory.display()))?;
    let notes = bench.work.join(format!("{}-{side}.witness", stem(script)));
    let witness = bench.libraries.join("witness.so").display().to_string();
    let preload = if preload.is_empty() { witness } else { format!("{preload}:{witness}") };
    let mut command = Command::new("bash");
    command.arg(script).current_dir(&directory).env_clear();
    command.env("PATH", crate::tools::SYSTEM_PATH).env("HOME", &directory).env("TMPDIR", &directory);
    command.env("LC_ALL", "C").env("TZ", "UTC").env("INPUTS", script.parent().unwrap_or(script));
    command.env("LD_PRELOAD", preload).env("MALLOC_WITNESS", &notes);
    let run = process::run(&mut command, header.timeout()?, &bench.work)?;
    run.success().map_err(|why| format!("{side} run: {why}"))?;
    if run.stdout.is_empty() {
        return Err(format!("{side} run: printed nothing, so there is nothing to compare"));
    }
    let seen = std::fs::read_to_string(&notes).map_err(|e| format!("cannot read {}: {e}", notes.display()))?;
    std::fs::remove_dir_all(&directory).map_err(|e| format!("cannot remove {}: {e}", directory.display()))?;
    Ok((run, seen))
}

/// Checks the witness's lines: `executable TAB object with malloc TAB 1 if libbrkmap.so is loaded`.
fn in_force(header: &Header, seen: &str, wanted: &str, with_brkmap: bool) -> Outcome {
    let rows: Vec<Vec<&str>> = seen.lines().map(|line| line.split('\t').collect()).collect();
    let own = header.words("own-malloc");
    let programs = header.words("programs");
    if programs.is_empty() && own.is_empty() {
        return Err("the script's first comment names no `programs:`".into());
    }
    for program in programs.iter().chain(&own) {
        if !rows.iter().any(|row| base(row[0]) == *program) {
            let names: Vec<&str> = rows.iter().map(|row| base(row[0])).collect();
            return Err(format!("`{program}` was not seen; seen were {}", names.join(" ")));
        }
    }
    for row in &rows {
        let [executable, object, loaded] = row[..] else { return Err(format!("a torn line of the witness: {row:?}")) };
        if with_brkmap && loaded != "1" {
            return Err(format!("libbrkmap.so is not in {executable}"));
        }
        if base(object) != wanted && !own.contains(&base(executable)) {
            return Err(format!("{executable} has its malloc from {object}, not from {wanted}"));
        }
    }
    Ok(())
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn first_difference(expected: &[u8], actual: &[u8]) -> String {
    let (left, right) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
    let (mut a, mut b) = (left.lines(), right.lines());
    for number in 1.. {
        match (a.next(), b.next()) {
            (x, y) if x == y && x.is_some() => {}
            (x, y) => {
                let show = |line: Option<&str>| line.unwrap_or("(end)").chars().take(200).collect::<String>();
                return format!("line {number} differs\nglibc:  {}\nbrkmap: {}", show(x), show(y));
            }
        }
    }
    "the outputs differ".into()
}
