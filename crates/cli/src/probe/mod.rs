//! Finds out what this machine and this user may do, by doing it: the facts of `brkmap doctor`.
//!
//! ```text
//!   gather ──► child: tries one thing after the other, and says what came of each ──► Facts ──► model::health
//!                └──► its own children, as targets for reading and tracing
//! ```
//! A sandbox may end whoever makes a call that it does not like. So nothing is tried in brkmap's own process: a child that
//! dies leaves one test without an answer, and another child goes on behind it.

mod attempt;

use crate::embed::{self, Library};
use crate::heap::glibc::layout::Layout;
use crate::look;
use crate::model::health::{Facts, Outcome, Place, Test};
use crate::os;
use crate::proc::cgroup;
use crate::view::signal_name;
pub(crate) use attempt::run as attempt;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The hidden verb of the processes that try.
pub(crate) const VERB: &str = "__probe";
/// What one test may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// This very program, also if its file was replaced meanwhile.
fn ourselves(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).args(words).env_remove("LD_PRELOAD").stderr(Stdio::null());
    command
}

/// Why this program could not start itself.
fn no_child(error: &io::Error) -> String {
    match fs::metadata("/proc/self/exe") {
        Ok(_) => format!("no child could be started: {}", words(error)),
        Err(_) => "needs /proc".to_owned(),
    }
}

/// An error in words, without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Finds out everything.
pub(crate) fn gather() -> Facts {
    let (release, processor) = os::probe::kernel();
    let glibc = os::probe::glibc_version();
    let minor = glibc.as_deref().and_then(|version| version.strip_prefix("2.")?.parse().ok());
    let (place, preload) = library();
    let tests = try_all();
    let again = try_some(&[Test::Break]);
    let break_at = |tests: &BTreeMap<Test, Outcome>| match tests.get(&Test::Break) {
        Some(Outcome::Works(address)) => Some(*address),
        _ => None,
    };
    let own = std::process::id() as i32;
    Facts {
        random: break_at(&tests).is_none_or(|address| break_at(&again) != Some(address)),
        tests,
        release,
        processor,
        user: os::effective_user(),
        glibc_known: minor.is_some_and(|minor| Layout::candidates(Some(minor)).len() == 1),
        glibc,
        place,
        preload,
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
        paranoid: fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok().and_then(|t| t.trim().parse().ok()),
        has_proc: fs::metadata("/proc/self/exe").is_ok(),
        sees_others: fs::metadata("/proc/1/status").is_ok(),
        cgroup: version(),
        limit: look::limit(own),
        address_limit: os::probe::limit(libc::RLIMIT_AS),
        data_limit: os::probe::limit(libc::RLIMIT_DATA),
        max_map_count: number("/proc/sys/vm/max_map_count"),
        huge_mode: fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok().and_then(|t| chosen(&t)),
        overcommit: number("/proc/sys/vm/overcommit_memory"),
        container: container(),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The word in brackets.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// Version of the tree that has the controller of memory, if it is mounted.
fn version() -> Option<cgroup::Version> {
    let group = cgroup::parse(&fs::read_to_string("/proc/self/cgroup").ok()?)?;
    cgroup::mount(&fs::read_to_string("/proc/self/mountinfo").ok()?, group.version).map(|_| group.version)
}

/// The kind of container that this process is in, as far as containers tell.
fn container() -> Option<String> {
    let variable = std::env::var("container").ok().filter(|kind| !kind.is_empty());
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    match () {
        () if text("/proc/version").contains("gVisor") => Some("gVisor".to_owned()),
        () if fs::metadata("/.dockerenv").is_ok() => Some("docker".to_owned()),
        () if fs::metadata("/run/.containerenv").is_ok() => Some("podman".to_owned()),
        () if variable.is_some() => variable.map(|kind| kind.escape_debug().to_string()),
        () if text("/proc/1/cgroup").contains("kubepods") => Some("kubernetes".to_owned()),
        () if !text("/proc/self/uid_map").trim_end().ends_with("4294967295") => Some("user namespace".to_owned()),
        () => None,
    }
}

/// Unpacks the library and preloads it into a child.
fn library() -> (Place, Result<(), String>) {
    let library = match embed::unpack(|name| std::env::var_os(name)) {
        Ok(library) => library,
        Err(why) => return (Place::Nowhere(why.clone()), Err(format!("the library could not be unpacked: {why}"))),
    };
    let output = ourselves(&["preloaded"]).env("LD_PRELOAD", library.path()).output();
    let preload = match output {
        Err(error) => Err(no_child(&error)),
        Ok(output) if output.stdout == b"yes\n" => Ok(()),
        Ok(output) if !output.status.success() => Err(format!("a preloaded child failed ({})", output.status)),
        Ok(_) => Err("LD_PRELOAD has no effect on this command (is it static, or set-user-ID?)".to_owned()),
    };
    let place = match &library {
        Library::File(path) => Place::File(path.display().to_string()),
        Library::Memory(_) => Place::Memory,
    };
    (place, preload)
}

/// Tries everything, with as many children as it takes.
fn try_all() -> BTreeMap<Test, Outcome> {
    let mut all = BTreeMap::new();
    let mut rest = &Test::ALL[..];
    while let Some(&next) = rest.first() {
        let some = try_some(rest);
        let ended = some.is_empty();
        all.extend(some);
        if ended {
            all.insert(next, Outcome::Refused("no answer".to_owned()));
        }
        rest = &rest[rest.iter().take_while(|test| all.contains_key(test)).count()..];
    }
    all
}

/// Lets one child try some tests, until it ends; the one that ended it has that as its outcome.
fn try_some(tests: &[Test]) -> BTreeMap<Test, Outcome> {
    let keys: Vec<&str> = std::iter::once("try").chain(tests.iter().map(|test| test.key())).collect();
    let mut all = BTreeMap::new();
    let child = ourselves(&keys).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let why = no_child(&error);
            return tests.iter().map(|&test| (test, Outcome::Refused(why.clone()))).collect();
        }
    };
    let lines = lines(&mut child);
    for &test in tests {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => drop(all.insert(test, answer(&line))),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                all.insert(test, Outcome::Refused(format!("no answer within {} s", PATIENCE.as_secs())));
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let signal = child.wait().ok().and_then(|status| status.signal());
                let how = signal.map_or("its process ended".to_owned(), |s| format!("ended by {}", signal_name(s)));
                all.insert(test, Outcome::Refused(how));
                break;
            }
        }
    }
    // It may have ended by itself, which is as well.
    let _ = child.kill();
    let _ = child.wait();
    all
}

/// What a child writes, line by line.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// An answer of the child: `works NUMBER` or `refused WORDS`.
fn answer(line: &str) -> Outcome {
    match line.split_once(' ') {
        Some(("works", number)) => Outcome::Works(number.parse().unwrap_or(0)),
        Some((_, why)) => Outcome::Refused(why.to_owned()),
        None => Outcome::Refused(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_choices_are_read() {
        assert_eq!(answer("works 12"), Outcome::Works(12));
        assert_eq!(answer("refused no such thing"), Outcome::Refused("no such thing".to_owned()));
        assert_eq!(answer(""), Outcome::Refused(String::new()));
        assert_eq!(chosen("always [madvise] never\n"), Some("madvise".to_owned()));
        assert_eq!(chosen("nothing"), None);
        assert_eq!(words(&io::Error::from_raw_os_error(libc::EPERM)), "Operation not permitted");
    }
}
