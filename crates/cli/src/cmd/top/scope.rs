//! Which processes are watched, and the cheapest look at them.

use super::super::{Failure, target};
use crate::cli::inspect::status;
use crate::cli::top::Arguments;
use crate::collect;
use crate::look::Refusal;
use crate::proc::cgroup::{self, Limit, Version};
use crate::proc::glance::{self, Glance};
use crate::view::command_line;
use crate::view::top::Group;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Groups below a group that are read, and how deep.
const MOST_GROUPS: usize = 1 << 14;
const DEEPEST: usize = 64;

/// See the module.
pub(super) enum Scope {
    /// All that have memory of their own, but brkmap itself.
    All,
    Some(Vec<i32>),
    /// A folder of a control group.
    Group(PathBuf),
}

impl Scope {
    /// What the command line says.
    pub(super) fn of(arguments: &Arguments) -> Result<Scope, Failure> {
        if let Some(path) = &arguments.cgroup {
            return group_folder(path).map(Scope::Group);
        }
        if arguments.targets.is_empty() {
            return Ok(Scope::All);
        }
        let mut pids = Vec::new();
        for name in &arguments.targets {
            match name.parse::<i32>() {
                Ok(pid) => pids.push(pid),
                Err(_) => pids.extend(target::all_called(name)?),
            }
        }
        pids.dedup();
        if !pids.iter().any(|&pid| glance(pid).is_some()) {
            let names = arguments.targets.join(", ");
            let why = format!("none of these processes exists: {names}; `ps -eo pid,comm` lists those that do");
            return Err(target::failure(Refusal::Gone(why)));
        }
        Ok(Scope::Some(pids))
    }

    /// The cheapest look at all of them. What cannot be read is not there.
    pub(super) fn glances(&self) -> Vec<Glance> {
        let own = std::process::id() as i32;
        match self {
            Scope::All => {
                numbers("/proc").filter_map(glance).filter(|glance| glance.size > 0 && glance.pid != own).collect()
            }
            Scope::Some(pids) => pids.iter().copied().filter_map(glance).collect(),
            Scope::Group(folder) => members(folder).into_iter().filter_map(glance).collect(),
        }
    }

    /// What the group may use, if there is one.
    pub(super) fn group(&self) -> Option<Group> {
        let Scope::Group(folder) = self else { return None };
        let version = if folder.join(Version::One.files().1).exists() { Version::One } else { Version::Two };
        let (limit_files, used_file) = version.files();
        let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).ok();
        let used = |folder: &Path| read(folder, used_file)?.trim().parse().ok();
        let of = |folder: &Path| {
            let limit = cgroup::lowest(limit_files.iter().filter_map(|file| read(folder, file)))?;
            Some(Limit { folder: folder.display().to_string(), limit, used: used(folder)? })
        };
        let limit = folder.ancestors().filter_map(of).min_by_key(Limit::head_room);
        Some(Group { folder: folder.display().to_string(), used: used(folder), limit })
    }
}

/// The numbers among the names of a folder.
fn numbers(folder: &str) -> impl Iterator<Item = i32> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn glance(pid: i32) -> Option<Glance> {
    glance::parse(&collect::text(pid, "stat").ok()?, &collect::text(pid, "statm").unwrap_or_default())
}

/// The command line of a process, with the folder of its program.
pub(super) fn command(pid: i32) -> Option<String> {
    let text = collect::text(pid, "cmdline").ok()?;
    let words: Vec<String> = text.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    match words.as_slice() {
        // A program that renames itself writes one line of text over its arguments.
        [title] => Some(title.trim().to_owned()),
        words => Some(command_line(words)),
    }
}

/// The folder of a control group: given as such, or as the group's path.
fn group_folder(path: &Path) -> Result<PathBuf, Failure> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = [Version::One, Version::Two].into_iter().filter_map(|version| cgroup::mount(&mounts, version));
    let inside = path.strip_prefix("/").unwrap_or(path);
    let folders = std::iter::once(path.to_owned()).chain(mounted.map(|(folder, _)| Path::new(&folder).join(inside)));
    let mut refused = None;
    for folder in folders {
        match fs::read(folder.join("cgroup.procs")) {
            Ok(_) => return Ok(folder),
            // A group of threads does not list its processes; those below it may.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(folder),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(folder) => Failure {
            message: format!("{} may not be read: run brkmap as its owner or as root", folder.display()),
            status: status::DENIED,
        },
        None => target::failure(Refusal::Gone(format!(
            "there is no control group {}: give a folder with a file cgroup.procs, or the path that /proc/PID/cgroup shows",
            path.display()
        ))),
    })
}

/// The processes of a group and of all groups below it.
fn members(folder: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    let mut groups = 0;
    while let Some((folder, depth)) = open.pop() {
        groups += 1;
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()));
        if groups < MOST_GROUPS && depth < DEEPEST {
            let below = fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            open.extend(below.map(|entry| (entry.path(), depth + 1)));
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_a_group_are_those_below_it_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("cgroup.procs"), "5\n3\n").unwrap();
        fs::write(folder.path().join("a/cgroup.procs"), "").unwrap();
        fs::write(folder.path().join("a/b/cgroup.procs"), "9\n3\nx\n").unwrap();
        assert_eq!(members(folder.path()), [3, 5, 9]);
        assert_eq!(group_folder(folder.path()).unwrap(), folder.path());
        let missing = group_folder(&folder.path().join("c")).unwrap_err();
        assert_eq!(missing.status, status::GONE);
    }

    #[test]
    fn the_tightest_limit_above_a_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for (folder, limit, used) in [(folder.path(), "1000", "900"), (inner.as_path(), "max", "300")] {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), used).unwrap();
            fs::write(folder.join("cgroup.procs"), "").unwrap();
        }
        let group = Scope::Group(inner).group().unwrap();
        assert_eq!(group.used, Some(300));
        assert_eq!(group.limit.map(|limit| limit.head_room()), Some(100));
        assert!(Scope::All.group().is_none());
    }

    #[test]
    fn the_own_process_is_seen_by_its_number() {
        let own = std::process::id() as i32;
        let seen = Scope::Some(vec![own, i32::MAX]).glances();
        assert_eq!(seen.iter().map(|glance| glance.pid).collect::<Vec<_>>(), [own]);
        assert!(seen[0].rss > 0 && command(own).is_some_and(|text| !text.is_empty()));
        assert!(Scope::All.glances().iter().all(|glance| glance.pid != own));
    }
}
