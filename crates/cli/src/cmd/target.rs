//! From what the user typed to one process.

use super::Failure;
use crate::cli::inspect::status;
use crate::collect;
use crate::look::Refusal;
use std::fs;

/// Candidates of one name that are listed.
const LISTED: usize = 12;

/// A process that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    pid: i32,
    /// The kernel's name for it: 15 bytes at most.
    comm: String,
    /// Last part of its first argument.
    argument: String,
    /// The whole command, for lists.
    command: String,
    rss: u64,
}

impl Candidate {
    fn is_called(&self, name: &str) -> bool {
        self.comm == name || self.argument == name
    }
}

/// The process that a number or name stands for.
pub(super) fn find(target: &str) -> Result<i32, Failure> {
    if let Ok(pid) = target.parse::<i32>() {
        return match fs::metadata(format!("/proc/{pid}")) {
            Ok(_) if pid > 0 => Ok(pid),
            _ => Err(failure(Refusal::Gone(format!("there is no process {pid}")))),
        };
    }
    choose(target, others().collect())
}

/// All processes but this one.
fn others() -> impl Iterator<Item = Candidate> {
    let own = std::process::id() as i32;
    candidates().filter(move |candidate| candidate.pid != own)
}

/// All processes that a number or name stands for.
pub(super) fn all_called(target: &str) -> Result<Vec<i32>, Failure> {
    if target.parse::<i32>().is_ok() {
        return find(target).map(|pid| vec![pid]);
    }
    let fitting = others().filter(|candidate| candidate.is_called(target));
    let all: Vec<i32> = fitting.map(|candidate| candidate.pid).collect();
    if all.is_empty() { Err(nobody(target)) } else { Ok(all) }
}

/// All processes with at least so much resident memory, the largest first.
pub(super) fn all_above(least: u64) -> Vec<i32> {
    let mut all: Vec<Candidate> = others().filter(|candidate| candidate.rss >= least).collect();
    all.sort_by_key(|candidate| std::cmp::Reverse(candidate.rss));
    all.into_iter().map(|candidate| candidate.pid).collect()
}

fn nobody(name: &str) -> Failure {
    failure(Refusal::Gone(format!(
        "no process is called '{name}'; the name must fit to the letter, as `ps -eo pid,comm` shows it"
    )))
}

fn choose(name: &str, all: Vec<Candidate>) -> Result<i32, Failure> {
    let mut fitting: Vec<Candidate> = all.into_iter().filter(|candidate| candidate.is_called(name)).collect();
    match fitting.as_slice() {
        [one] => Ok(one.pid),
        [] => Err(nobody(name)),
        several => {
            let count = several.len();
            fitting.sort_by_key(|candidate| std::cmp::Reverse(candidate.rss));
            let line = |candidate: &Candidate| {
                let command: String = candidate.command.chars().take(50).collect();
                format!("\n  {:>8}  {:>9.1} MiB  {}", candidate.pid, candidate.rss as f64 / f64::from(1 << 20), command)
            };
            let list: String = fitting.iter().take(LISTED).map(line).collect();
            let more = if count > LISTED { format!("\n  and {} more", count - LISTED) } else { String::new() };
            let message = format!("{count} processes are called '{name}'; name one by its number:{list}{more}");
            Err(Failure { message, status: status::AMBIGUOUS })
        }
    }
}

fn candidates() -> impl Iterator<Item = Candidate> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = collect::status(pid).ok().filter(|status| status.has_memory)?;
        let command = collect::text(pid, "cmdline").unwrap_or_default();
        let first = command.split('\0').next().unwrap_or_default();
        let argument = first.rsplit('/').next().unwrap_or_default().to_owned();
        let shown = command.trim_end_matches('\0').replace('\0', " ").escape_debug().to_string();
        Some(Candidate { pid, comm: status.name, argument, command: shown, rss: status.rss })
    })
}

/// A refusal with the status that it has.
pub(super) fn failure(refusal: Refusal) -> Failure {
    let (message, status) = match refusal {
        Refusal::Gone(message) => (message, status::GONE),
        Refusal::Denied(message) => (message, status::DENIED),
        Refusal::Unreadable(message) => (message, status::UNREADABLE),
    };
    Failure { message, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(pid: i32, comm: &str, argument: &str) -> Candidate {
        let (comm, argument) = (comm.to_owned(), argument.to_owned());
        Candidate { pid, command: argument.clone(), comm, argument, rss: pid as u64 }
    }

    #[test]
    fn names_fit_to_the_letter_or_not_at_all() {
        let all = || {
            vec![
                candidate(5, "redis-server", "redis-server"),
                candidate(6, "a-very-long-nam", "a-very-long-name-it-is"),
            ]
        };
        assert_eq!(choose("redis-server", all()).unwrap(), 5);
        assert_eq!(choose("a-very-long-name-it-is", all()).unwrap(), 6);
        assert_eq!(choose("redis", all()).unwrap_err().status, status::GONE);
    }

    #[test]
    fn several_of_a_name_are_listed_largest_first() {
        let all = (1..30).map(|pid| candidate(pid, "worker", "worker")).collect();
        let failure = choose("worker", all).unwrap_err();
        assert_eq!(failure.status, status::AMBIGUOUS);
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines.len(), 2 + LISTED);
        assert!(lines[1].trim_start().starts_with("29 "), "{}", lines[1]);
        assert!(lines[0].starts_with("29 processes") && lines[13].contains("17 more"));
    }
}
