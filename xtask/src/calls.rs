//! What a program asks of the kernel: the programs of `tests/calls`, run under strace on glibc and on brkmap.
//!
//! A program says where it is by `mark("PHASE")` (`tests/calls/marks.h`); its first comment says which calls for memory each
//! phase may make, as `PHASE=WHAT,WHAT…` words under `calls`. What stands under `calls-glibc` or `calls-brkmap` replaces the
//! words of the same phases where the two differ. Phases that are not named are not judged.
//!
//! | WHAT | the phase makes |
//! |---|---|
//! | `none` | no call |
//! | `break` | moves of the break upwards, or no call: the break serves it |
//! | `down` | one move of the break downwards |
//! | `map(N)`, `unmap(N)` | one such call, for N bytes in whole OS pages, or one OS page more (a header) |
//! | `purges` | one `madvise` at least |
//! | `trial` | an OS page that is mapped, purged and unmapped: does this kernel give memory back? Once in a process |

use crate::behaviour::{self, Bench, Note};
use crate::context::{Context, stem};
use crate::header::Header;
use crate::process;
use crate::report::Outcome;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The kernel's page on x86-64.
const OS_PAGE: usize = 4096;
/// The calls that are shown; `write` for the marks.
const TRACED: &str = "trace=brk,mmap,munmap,mremap,madvise,process_madvise,write";

/// Runs every program.
pub(crate) fn run(context: &mut Context) {
    behaviour::run_directory(context, "calls", "tests/calls", one_program);
}

fn one_program(bench: &Bench, source: &Path) -> Vec<Note> {
    let executable = bench.work.join(stem(source));
    let header = Header::read(source).and_then(|header| {
        behaviour::compile(bench, source, &executable, &header.words("flags"))?;
        Ok(header)
    });
    let header = match header {
        Ok(header) => header,
        Err(why) => return vec![Note::Done(stem(source), Err(why), Duration::ZERO)],
    };
    let runs = ["glibc", "brkmap"].into_iter().map(|malloc| {
        let start = Instant::now();
        let outcome = one_run(bench, &header, &executable, malloc);
        Note::Done(format!("{} [{malloc}]", stem(source)), outcome, start.elapsed())
    });
    runs.collect()
}

fn one_run(bench: &Bench, header: &Header, executable: &Path, malloc: &str) -> Outcome {
    let wanted = expectations(header, malloc)?;
    let trace = executable.with_extension(malloc);
    let mut command = Command::new("strace");
    // What lies near what must not change from run to run.
    if process::may_fix_layout(&bench.work)? {
        command = Command::new("setarch");
        command.args(["-R", "strace"]);
    }
    command.current_dir(&bench.work).env("PATH", crate::tools::SYSTEM_PATH).env_remove("LD_PRELOAD");
    command.args(["-f", "-e", TRACED, "-e", "signal=none", "-o"]).arg(&trace);
    for pair in header.words("env") {
        command.arg("-E").arg(pair);
    }
    if malloc == "brkmap" {
        command.arg("-E").arg(format!("LD_PRELOAD={}", bench.library.display()));
    }
    let object = if malloc == "brkmap" { "libbrkmap.so" } else { "libc.so.6" };
    command.arg("-E").arg(format!("MALLOC_IN_FORCE={object}")).arg(executable);
    process::run(&mut command, header.timeout()?, &bench.work)?.success()?;
    let text = std::fs::read_to_string(&trace).map_err(|e| format!("cannot read {}: {e}", trace.display()))?;
    let phases = phases(&text)?;
    for (phase, what) in &wanted {
        let calls =
            phases.get(phase.as_str()).ok_or_else(|| format!("the program never reached the phase `{phase}`"))?;
        judge(calls, what).map_err(|why| {
            let seen: Vec<String> = calls.iter().map(Call::to_string).collect();
            format!("{phase}={what}: {why}; the phase made: {}", seen.join(", "))
        })?;
    }
    Ok(())
}

/// What each phase must show on this malloc.
fn expectations(header: &Header, malloc: &str) -> Result<BTreeMap<String, String>, String> {
    let mut wanted = BTreeMap::new();
    for key in ["calls", &format!("calls-{malloc}")] {
        for word in header.words(key) {
            let (phase, what) = word.split_once('=').ok_or_else(|| format!("{key}: `{word}` is not PHASE=WHAT"))?;
            wanted.insert(phase.to_owned(), what.to_owned());
        }
    }
    if wanted.is_empty() { Err("its first comment has no `calls:`".into()) } else { Ok(wanted) }
}

/// A call for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Up(usize),
    Down(usize),
    Map(usize),
    Unmap(usize),
    Remap(usize),
    Purge(usize),
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Call::Up(bytes) => write!(f, "break up by {bytes}"),
            Call::Down(bytes) => write!(f, "break down by {bytes}"),
            Call::Map(bytes) => write!(f, "mmap of {bytes}"),
            Call::Unmap(bytes) => write!(f, "munmap of {bytes}"),
            Call::Remap(bytes) => write!(f, "mremap to {bytes}"),
            Call::Purge(bytes) => write!(f, "madvise of {bytes}"),
        }
    }
}

/// The calls of each phase. What comes before the first mark is left out.
fn phases(trace: &str) -> Result<BTreeMap<&str, Vec<Call>>, String> {
    let mut phases: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
    let (mut now, mut end_of_break) = (None, 0);
    for line in trace.lines() {
        // With -f and -o every line begins with the thread's id.
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if let Some(name) = line.strip_prefix("write(-1, \"mark ").and_then(|rest| rest.split('"').next()) {
            if phases.insert(name, Vec::new()).is_some() {
                return Err(format!("the program marks `{name}` twice"));
            }
            now = Some(name);
        }
        let call = parse(line, &mut end_of_break);
        if let (Some(call), Some(calls)) = (call, now.and_then(|name| phases.get_mut(name))) {
            calls.push(call);
        }
    }
    Ok(phases)
}

/// A line of the trace as a call for memory, if it is one.
fn parse(line: &str, end_of_break: &mut usize) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let arguments: Vec<&str> = rest.split([',', ')']).map(str::trim).collect();
    let bytes = |index: usize| arguments.get(index).and_then(|text| text.parse().ok());
    match name {
        "brk" => {
            let result = rest.rsplit_once("= ").map(|(_, result)| result).or(arguments.first().copied());
            let at = result?.trim().strip_prefix("0x").and_then(|hex| usize::from_str_radix(hex, 16).ok())?;
            let before = std::mem::replace(end_of_break, at);
            match at.cmp(&before) {
                _ if before == 0 => None,
                std::cmp::Ordering::Less => Some(Call::Down(before - at)),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(Call::Up(at - before)),
            }
        }
        "mmap" => bytes(1).map(Call::Map),
        "munmap" => bytes(1).map(Call::Unmap),
        "mremap" => bytes(2).map(Call::Remap),
        "madvise" => bytes(1).map(Call::Purge),
        "process_madvise" => Some(Call::Purge(0)),
        _ => None,
    }
}

/// Are the calls those that were wanted?
fn judge(calls: &[Call], wanted: &str) -> Outcome {
    let mut left = calls.to_vec();
    let mut take = |what: &str, is: &dyn Fn(&Call) -> bool| match left.iter().position(is) {
        Some(at) => Ok(left.remove(at)),
        None => Err(format!("no `{what}`")),
    };
    for what in wanted.split(',') {
        let sized = what.strip_suffix(')').and_then(|text| text.split_once('('));
        match (what, sized) {
            ("none", _) => {}
            ("break", _) => while take(what, &|call| matches!(call, Call::Up(_))).is_ok() {},
            ("down", _) => _ = take(what, &|call| matches!(call, Call::Down(_)))?,
            ("purges", _) => {
                take(what, &|call| matches!(call, Call::Purge(_)))?;
                while take(what, &|call| matches!(call, Call::Purge(_))).is_ok() {}
            }
            ("trial", _) => {
                for part in [Call::Map(OS_PAGE), Call::Purge(OS_PAGE), Call::Unmap(OS_PAGE)] {
                    take(what, &|call| *call == part)?;
                }
            }
            (_, Some((kind @ ("map" | "unmap"), bytes))) => {
                let bytes: usize = bytes.parse().map_err(|e| format!("`{what}`: {e}"))?;
                let least = bytes.next_multiple_of(OS_PAGE);
                let fits = |size: usize| size == least || size == least + OS_PAGE;
                take(what, &|call| match call {
                    Call::Map(size) => kind == "map" && fits(*size),
                    Call::Unmap(size) => kind == "unmap" && fits(*size),
                    _ => false,
                })?;
            }
            _ => return Err(format!("`{what}` is nothing that a phase can show")),
        }
    }
    match left.first() {
        Some(call) => Err(format!("{call} is one too many")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
7 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f01
7 brk(NULL)                         = 0x1000
7 write(-1, \"mark small\", 10)      = -1 EBADF (Bad file descriptor)
7 brk(NULL)                         = 0x1000
7 brk(0x3000)                       = 0x3000
7 write(-1, \"mark big\", 8)         = -1 EBADF (Bad file descriptor)
7 mmap(NULL, 266240, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f02
8 madvise(0x7f02, 4096, MADV_DONTNEED <unfinished ...>
7 write(-1, \"mark end\", 8)         = -1 EBADF (Bad file descriptor)
7 munmap(0x7f02, 266240)            = 0
7 brk(0x2000)                       = 0x2000
";

    #[test]
    fn a_trace_falls_into_phases() {
        let phases = phases(TRACE).unwrap();
        assert_eq!(phases["small"], [Call::Up(0x2000)]);
        assert_eq!(phases["big"], [Call::Map(266_240), Call::Purge(4096)]);
        assert_eq!(phases["end"], [Call::Unmap(266_240), Call::Down(0x1000)]);
    }

    #[test]
    fn sizes_are_compared_by_rule_and_numbers_exactly() {
        let map = Call::Map(266_240);
        assert_eq!(judge(&[map], "map(262144)"), Ok(()));
        assert_eq!(judge(&[map], "map(266240)"), Ok(()));
        assert_eq!(judge(&[map], "map(262000)"), Ok(()));
        assert!(judge(&[map], "map(250000)").is_err());
        assert!(judge(&[map, map], "map(262144)").is_err());
        assert!(judge(&[map], "none").is_err());
        assert!(judge(&[], "map(262144)").is_err());
        assert_eq!(judge(&[Call::Up(1), Call::Up(2)], "break"), Ok(()));
        assert_eq!(judge(&[], "break"), Ok(()));
        assert!(judge(&[Call::Down(1)], "break").is_err());
        assert!(judge(&[], "purges").is_err());
        assert!(judge(&[], "nonsense").is_err());
    }
}
