//! One look at a running process from outside: everything `brkmap inspect` and `brkmap maps` know of it. Nothing is
//! stopped, injected, signalled or written.

use crate::collect::{self, Collector, ProcessMemory};
use crate::heap::Memory;
use crate::heap::glibc::{self, Glibc};
use crate::heap::runtime::kind::{self, Runtime};
use crate::heap::runtime::{self, Foreign};
use crate::model::snapshot::Snapshot;
use crate::os;
use crate::proc::cgroup::{self, Limit};
use crate::proc::pagemap;
use crate::proc::residency::{OS_PAGE, Residency, Stretch, category};
use crate::proc::smaps::{self, Mapping};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Instant;

/// Why there is no look.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No process has this number, or it is gone by now.
    Gone(String),
    /// We may not.
    Denied(String),
    /// It is there, and its memory cannot be read.
    Unreadable(String),
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) snapshot: Snapshot,
    pub(crate) residency: Residency,
    pub(crate) glibc: Option<Glibc>,
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) runtimes: Vec<Runtime>,
    /// Variables of its first environment that some malloc listens to.
    pub(crate) settings: Vec<String>,
    pub(crate) limit: Option<Limit>,
    /// OS pages of zeros on huge pages, in bytes: contents that the program never wrote.
    pub(crate) zeros_on_huge: u64,
}

/// Bytes on huge pages that are read in search of zeros.
const MOST_HUGE: u64 = 1 << 30;
/// Programs up to here are searched for the marks of allocators linked into them.
const MOST_PROGRAM: u64 = 256 << 20;
/// Anonymous memory without an owner from which such a search is worth it.
const WORTH: u64 = 4 << 20;

/// Looks before a process that keeps replacing its program is given up.
const TRIES: u32 = 3;

/// Takes a look.
pub(crate) fn look(pid: i32, collector: &mut Collector) -> Result<Look, Refusal> {
    for _ in 0..TRIES {
        let look = attempt(pid, collector)?;
        // A process that ended or replaced its program meanwhile left us with pieces of two.
        let maps = collect::text(pid, "maps").unwrap_or_default();
        let first = smaps::parse(maps.lines().next().unwrap_or_default());
        match (first.first(), look.snapshot.mappings.first()) {
            (None, _) => return Err(Refusal::Gone(format!("process {pid} ended during the look"))),
            (Some(now), Some(then)) if (now.start, &now.name) == (then.start, &then.name) => return Ok(look),
            _ => {}
        }
    }
    Err(Refusal::Unreadable(format!("process {pid} replaces its program faster than it can be read")))
}

fn attempt(pid: i32, collector: &mut Collector) -> Result<Look, Refusal> {
    let at = Instant::now();
    let snapshot = collector.snapshot(pid).map_err(|error| refusal(pid, &error))?;
    if !snapshot.status.has_memory || snapshot.mappings.is_empty() {
        return Err(without_memory(pid));
    }
    let memory = ProcessMemory::with(pid, std::mem::take(&mut collector.chain));
    check_access(pid, &memory, &snapshot.mappings)?;
    let residency = residency(pid, &snapshot.mappings)
        .map_err(|error| Refusal::Unreadable(format!("the page table of process {pid} cannot be read: {error}")))?;
    let version = libc_version(pid, &snapshot.mappings, collector);
    let glibc = glibc::read_closely(&memory, &snapshot.mappings, &residency, version, collector.detail);
    let claims = claims(&snapshot, glibc.as_ref());
    let mut runtimes = kind::of_files(&snapshot.mappings, snapshot.executable.as_ref());
    let foreign = runtime::read(&memory, &snapshot.mappings, &residency, &claims, &runtimes);
    if is_worth_a_search(&snapshot, glibc.as_ref(), &foreign, &runtimes) {
        runtimes.extend(linked_in(pid));
    }
    let zeros_on_huge = zeros_on_huge(&memory, &snapshot.mappings, &residency);
    let (settings, limit) = (settings(pid), limit(pid));
    Ok(Look { at, snapshot, residency, glibc, foreign, runtimes, settings, limit, zeros_on_huge })
}

fn refusal(pid: i32, error: &io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => Refusal::Gone(format!("there is no process {pid}")),
        Some(libc::EACCES | libc::EPERM) => denied(pid),
        _ => Refusal::Unreadable(format!("process {pid} cannot be read: {error}")),
    }
}

/// What stands in the way, and what to do about it.
fn denied(pid: i32) -> Refusal {
    let status = collect::status(pid).unwrap_or_default();
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let own = os::effective_user();
    let owner = status.users.0;
    let remedy = match scope.trim() {
        _ if own != 0 && owner != own => {
            format!("it belongs to user {owner} and you are {own}: run brkmap as that user or as root")
        }
        "1" | "2" if own != 0 => format!(
            "kernel.yama.ptrace_scope is {}: run brkmap as root, or start the program under `brkmap run`, whose \
             children may be read",
            scope.trim()
        ),
        "3" => "kernel.yama.ptrace_scope is 3: start the program under `brkmap run`".to_owned(),
        _ if own == 0 => {
            "even root may not here: in a container, add the capability (--cap-add=SYS_PTRACE) or a seccomp \
                          profile that allows process_vm_readv"
                .to_owned()
        }
        _ => "it is protected (it changed user, or forbids core dumps): run brkmap as root, or give it CAP_SYS_PTRACE \
             and CAP_DAC_READ_SEARCH"
            .to_owned(),
    };
    Refusal::Denied(format!("process {pid} ({}) may not be read: {remedy}", status.name))
}

fn without_memory(pid: i32) -> Refusal {
    let state = collect::text(pid, "status").unwrap_or_default();
    if state.is_empty() {
        return Refusal::Gone(format!("there is no process {pid}"));
    }
    let is_zombie = state.lines().any(|line| line.starts_with("State:\tZ"));
    let why =
        if is_zombie { "has ended and waits for its parent" } else { "has no memory of its own (a kernel thread?)" };
    Refusal::Unreadable(format!("process {pid} {why}"))
}

/// Reads a few bytes: the right to see the list of mappings is not yet the right to see what is in them.
fn check_access(pid: i32, memory: &ProcessMemory, mappings: &[Mapping]) -> Result<(), Refusal> {
    let place = mappings.iter().rev().find(|mapping| mapping.readable && mapping.writable && mapping.rss > 0);
    let Some(place) = place else { return Ok(()) };
    match memory.read(place.end - 8, &mut [0; 8]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => Err(denied(pid)),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(refusal(pid, &error)),
        _ => Ok(()),
    }
}

/// Whether the contents of a mapping may be malloc's or a runtime's, or libc's data.
fn is_of_interest(mapping: &Mapping) -> bool {
    (mapping.rss > 0 || mapping.swap > 0) && mapping.private && (mapping.inode == 0 || mapping.writable)
}

/// The OS pages with contents of all memory that matters.
fn residency(pid: i32, mappings: &[Mapping]) -> io::Result<Residency> {
    let file = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut residency = Residency::default();
    let mut is_old = false;
    let mut found = vec![[0; 3]; 1024];
    for mapping in mappings.iter().filter(|mapping| is_of_interest(mapping)) {
        if !is_old {
            match scan(&file, mapping, &mut found, &mut residency) {
                Ok(()) => continue,
                // Kernels before 6.7 do not know the call.
                Err(_) => is_old = true,
            }
        }
        read_entries(&file, mapping, &mut residency)?;
    }
    Ok(residency)
}

fn scan(file: &File, mapping: &Mapping, found: &mut [[u64; 3]], residency: &mut Residency) -> io::Result<()> {
    let wanted = category::PRESENT | category::SWAPPED;
    let mut at = mapping.start;
    while at < mapping.end {
        let (count, end) = os::scan_pagemap(file, (at, mapping.end), wanted, found)?;
        let known = category::PRESENT | category::SWAPPED | category::ZERO | category::HUGE;
        for &[start, end, categories] in &found[..count.min(found.len())] {
            residency.push(Stretch { start, end, categories: categories & known });
        }
        if end <= at {
            break;
        }
        at = end;
    }
    Ok(())
}

fn read_entries(file: &File, mapping: &Mapping, residency: &mut Residency) -> io::Result<()> {
    const PAGES: u64 = 8192;
    let mut at = mapping.start;
    while at < mapping.end {
        let pages = ((mapping.end - at) / OS_PAGE).min(PAGES);
        let mut bytes = vec![0; (pages * pagemap::ENTRY) as usize];
        file.read_exact_at(&mut bytes, pagemap::offset(at, OS_PAGE))?;
        residency.push_entries(at, &bytes);
        at += pages * OS_PAGE;
    }
    Ok(())
}

/// Minor version of the libc that a process maps, by its file.
fn libc_version(pid: i32, mappings: &[Mapping], collector: &mut Collector) -> Option<u16> {
    let libc = mappings.iter().find(|mapping| glibc::is_glibc(mapping))?;
    collector.libc_version(&format!("/proc/{pid}/root{}", libc.name))
}

/// Everything that malloc has, sorted.
fn claims(snapshot: &Snapshot, glibc: Option<&Glibc>) -> Vec<(u64, u64)> {
    let ours = snapshot.mappings.iter().enumerate().filter(|(index, _)| {
        snapshot.heaps.iter().any(|heap| heap.explained.get(*index).is_some_and(|&explained| explained > 0))
    });
    let mut all: Vec<(u64, u64)> = ours.map(|(_, mapping)| (mapping.start, mapping.end)).collect();
    if let Some(glibc) = glibc {
        all.extend(glibc.ranges.iter().map(|range| (range.0, range.1)));
        all.extend(&glibc.blocks);
    }
    all.sort_unstable();
    all
}

fn is_worth_a_search(snapshot: &Snapshot, glibc: Option<&Glibc>, foreign: &[Foreign], runtimes: &[Runtime]) -> bool {
    let anonymous = |mapping: &&Mapping| mapping.inode == 0 && mapping.private && !mapping.name.starts_with("[stack");
    let all: u64 = snapshot.mappings.iter().filter(anonymous).map(|mapping| mapping.rss).sum();
    let known: u64 = glibc.map_or(0, |glibc| glibc.explained.iter().sum())
        + foreign.iter().map(|heap| heap.resident).sum::<u64>()
        + snapshot.heaps.iter().flat_map(|heap| &heap.explained).sum::<u64>();
    kind::of_the_rest(runtimes).is_none() && all.saturating_sub(known) >= WORTH
}

/// Allocators linked into the program, by texts that only they contain. The file is read part by part: a browser's has 200 MB.
fn linked_in(pid: i32) -> Vec<Runtime> {
    const PART: u64 = 1 << 20;
    let place = |path: &str| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    // This command contains those texts because it searches for them.
    if place(&format!("/proc/{pid}/exe")) == place("/proc/self/exe") {
        return Vec::new();
    }
    let longest = kind::MARKS.iter().map(|(mark, _)| mark.len() as u64).max().unwrap_or(0);
    let mut found = [false; kind::MARKS.len()];
    let Ok(file) = File::open(format!("/proc/{pid}/exe")) else { return Vec::new() };
    let size = file.metadata().map_or(0, |file| file.len());
    let mut bytes = vec![0; (PART + longest) as usize];
    for start in (0..size.min(MOST_PROGRAM)).step_by(PART as usize) {
        // A mark that lies across two parts is found in the first: each is read on into the next.
        let Ok(read) = file.read_at(&mut bytes, start) else { break };
        for ((mark, _), found) in kind::MARKS.iter().zip(&mut found) {
            *found = *found || contains(&bytes[..read], mark);
        }
    }
    let mut all: Vec<Runtime> =
        kind::MARKS.iter().zip(found).filter(|(_, found)| *found).map(|((_, runtime), _)| *runtime).collect();
    all.dedup();
    all
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == mark[0]) {
        if rest[at..].starts_with(mark) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Contents that were never written, on huge pages: a program that touches one byte of such a page gets 2 MiB.
fn zeros_on_huge(memory: &ProcessMemory, mappings: &[Mapping], residency: &Residency) -> u64 {
    let mut room = MOST_HUGE;
    let mut zeros = 0;
    let mut buffer = Vec::new();
    for mapping in mappings.iter().filter(|mapping| mapping.huge > 0 && mapping.inode == 0 && mapping.private) {
        let huge = residency.within(mapping.start, mapping.end).filter(|s| s.categories & category::HUGE != 0);
        for stretch in huge {
            for at in (stretch.start..stretch.end).step_by(2 << 20) {
                let bytes = (stretch.end - at).min(2 << 20);
                if bytes > room {
                    return zeros;
                }
                room -= bytes;
                buffer.resize(bytes as usize, 0);
                if memory.read(at, &mut buffer).is_ok() {
                    let is_zero = |page: &&[u8]| page.iter().all(|&byte| byte == 0);
                    zeros += buffer.chunks(OS_PAGE as usize).filter(is_zero).count() as u64 * OS_PAGE;
                }
            }
        }
    }
    zeros
}

/// Variables that a malloc listens to.
fn settings(pid: i32) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "MALLOC_",
        "GLIBC_TUNABLES=",
        "_RJEM_MALLOC_CONF=",
        "MIMALLOC_",
        "TCMALLOC_",
        "BRKMAP_",
        "PYTHONMALLOC=",
        "LD_PRELOAD=",
    ];
    let text = collect::text(pid, "environ").unwrap_or_default();
    let is_one = |variable: &&str| NAMES.iter().any(|name| variable.starts_with(name));
    text.split_terminator('\0').filter(is_one).map(str::to_owned).collect()
}

/// The tightest limit of memory above a process.
pub(crate) fn limit(pid: i32) -> Option<Limit> {
    let group = cgroup::parse(&collect::text(pid, "cgroup").ok()?)?;
    let (mounted, shown) = cgroup::mount(&fs::read_to_string("/proc/self/mountinfo").ok()?, group.version)?;
    let (limit_files, used_file) = group.version.files();
    let read = |folder: &str, file: &str| fs::read_to_string(format!("{folder}/{file}")).ok();
    let of = |folder: String| {
        let limit = cgroup::lowest(limit_files.iter().filter_map(|file| read(&folder, file)))?;
        let used = read(&folder, used_file)?.trim().parse().ok()?;
        Some(Limit { folder, limit, used })
    };
    cgroup::folders(&group, &mounted, &shown).into_iter().filter_map(of).min_by_key(Limit::head_room)
}
