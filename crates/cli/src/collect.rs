//! Opens the files of a process and hands their contents to the parsers: the only place that reads `/proc/PID`.

use crate::elf;
use crate::heap::glibc::Chain;
use crate::heap::occupancy::Detail;
use crate::heap::{self, Memory};
use crate::model::snapshot::{Executable, Snapshot};
use crate::os;
use crate::proc::residency::OS_PAGE;
use crate::proc::{smaps, stat, status};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

/// Memory of a live process, through `/proc/PID/mem`.
///
/// `process_vm_readv` pins what it reads, and the kernel pins no memory that is shared after a fork: it copies it before, so
/// that looking at a server with forked workers would cost as much memory as the look sees. Reading the file pins nothing.
pub(crate) struct ProcessMemory {
    tid: i32,
    /// Opened by the first read. `process_vm_readv` is the way where this one is forbidden.
    file: OnceCell<io::Result<File>>,
    chain: Chain,
}

impl ProcessMemory {
    /// Of the process of a thread.
    pub(crate) fn new(tid: i32) -> ProcessMemory {
        ProcessMemory::with(tid, Chain::default())
    }

    /// The same, where chunks of the heap are known.
    pub(crate) fn with(tid: i32, chain: Chain) -> ProcessMemory {
        ProcessMemory { tid, file: OnceCell::new(), chain }
    }
}

impl Memory for ProcessMemory {
    fn chunk_word(&self, address: u64) -> Option<u64> {
        self.chain.word(address)
    }

    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        let file = self.file.get_or_init(|| File::open(format!("/proc/{}/mem", self.tid)));
        let mut done = 0;
        while done < out.len() {
            let (at, rest) = (address + done as u64, &mut out[done..]);
            let got = match file {
                Ok(file) => file.read_at(rest, at)?,
                Err(_) => os::read_process(self.tid, at, rest)?,
            };
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            done += got;
        }
        Ok(())
    }
}

/// Larger files are no libc.
const MOST_LIBC: u64 = 64 << 20;

/// Device, number and time of a file: by these it is the same.
type FileKey = (u64, u64, i64);

fn file_key(file: &File) -> Option<FileKey> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.mtime()))
}

/// Remembers executables that were already inspected: a build runs the same compiler thousands of times.
#[derive(Default)]
pub(crate) struct Collector {
    /// How closely heaps are looked at.
    pub(crate) detail: Detail,
    /// Chunks in the heap of the process that the next look is at, as far as they are known.
    pub(crate) chain: Chain,
    executables: HashMap<FileKey, Option<Executable>>,
    libcs: HashMap<FileKey, Option<u16>>,
}

pub(crate) fn text(pid: i32, file: &str) -> io::Result<String> {
    // The kernel does not tell how long such a file is: with room from the start, one read gets most of them.
    let mut bytes = Vec::with_capacity(8 << 10);
    File::open(format!("/proc/{pid}/{file}"))?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The cheap part: memory figures and ancestry.
pub(crate) fn status(tid: i32) -> io::Result<status::Status> {
    text(tid, "status").map(|text| status::parse(&text))
}

/// How long a process' first thread has waited for a processor, in its whole life. Zero where the kernel does not count that.
pub(crate) fn waited_for_processor(pid: i32) -> Duration {
    let text = text(pid, "schedstat").unwrap_or_default();
    let waited = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// Follows the size of a process at the price of one system call for each look: the file stays open.
#[derive(Default)]
pub(crate) struct MemorySize {
    file: Option<File>,
}

impl MemorySize {
    /// Resident bytes, and bytes of private writable memory with the stack. `None` if it is gone or has no memory.
    pub(crate) fn read(&mut self, pid: i32) -> Option<(u64, u64)> {
        if self.file.is_none() {
            self.file = File::open(format!("/proc/{pid}/statm")).ok();
        }
        let mut buffer = [0; 128];
        let read = self.file.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(&buffer[..read]).ok()?;
        let mut pages = text.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let (resident, data) = (pages.nth(1)?, pages.nth(3)?);
        (resident > 0).then_some((resident * OS_PAGE, data * OS_PAGE))
    }
}

impl Collector {
    /// One that looks so closely at heaps.
    pub(crate) fn with(detail: Detail) -> Collector {
        Collector { detail, ..Collector::default() }
    }

    /// Facts of the file that a process runs.
    pub(crate) fn executable(&mut self, tid: i32) -> Option<Executable> {
        let file = File::open(format!("/proc/{tid}/exe")).ok()?;
        let key = file_key(&file)?;
        self.executables.entry(key).or_insert_with(|| elf::inspect(file).ok()).clone()
    }

    /// Minor version of a glibc by its file. To search it takes a while, in which the process goes on.
    pub(crate) fn libc_version(&mut self, path: &str) -> Option<u16> {
        let file = File::open(path).ok()?;
        let key = file_key(&file)?;
        *self.libcs.entry(key).or_insert_with(|| libc_version(&file))
    }

    /// Whether a process runs a debugger or another tracer.
    pub(crate) fn is_tracer(&mut self, tid: i32) -> bool {
        let path = fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.executable(tid).is_some_and(|executable| executable.is_tracer(&name))
    }

    /// As [`Collector::snapshot`]; where the kernel refuses the memory, what everybody may know of the process.
    pub(crate) fn look(&mut self, tid: i32) -> io::Result<Snapshot> {
        match self.snapshot(tid) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => outline(tid),
            result => result,
        }
    }

    /// All facts of a process, through any of its threads that still has the memory.
    pub(crate) fn snapshot(&mut self, tid: i32) -> io::Result<Snapshot> {
        let status = status(tid)?;
        let mappings = smaps::parse(&text(tid, "smaps")?);
        let stat = stat::parse(&text(tid, "stat")?).unwrap_or_default();
        let exe = fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let preload = words(tid, "environ").into_iter().find_map(|v| v.strip_prefix("LD_PRELOAD=").map(str::to_owned));
        let mut snapshot = Snapshot {
            status,
            stat,
            started_ms: started_ms(&stat),
            exe: exe.to_string_lossy().into_owned(),
            command: words(tid, "cmdline"),
            preload,
            executable: self.executable(tid),
            unreadable: false,
            mappings,
            heaps: Vec::new(),
            named: Vec::new(),
            heap_error: None,
        };
        let memory = ProcessMemory::new(tid);
        let contents = heap::brkmap::read_closely(&memory, &snapshot.mappings, &mut pagemap(tid), self.detail);
        snapshot.heaps = contents.heaps;
        snapshot.named = contents.named;
        snapshot.heap_error = contents.damage.map(|damage| damage.to_string());
        Ok(snapshot)
    }
}

/// The banner lies near the end, among the constants: from there on in parts, which overlap by what it may have.
fn libc_version(file: &File) -> Option<u16> {
    const PART: u64 = 128 << 10;
    let mut bytes = vec![0; PART as usize + heap::glibc::BANNER];
    let parts = file.metadata().ok()?.len().min(MOST_LIBC).div_ceil(PART);
    (0..parts).rev().find_map(|part| {
        let got = file.read_at(&mut bytes, part * PART).ok()?;
        heap::glibc::version(&bytes[..got])
    })
}

/// What is not kept from anybody: status, times, command line.
fn outline(tid: i32) -> io::Result<Snapshot> {
    let status = status(tid)?;
    let stat = stat::parse(&text(tid, "stat")?).unwrap_or_default();
    let exe = status.name.clone();
    Ok(Snapshot { status, stat, exe, command: words(tid, "cmdline"), unreadable: true, ..Snapshot::default() })
}

/// The strings of a file that ends each with a zero byte.
fn words(tid: i32, file: &str) -> Vec<String> {
    let text = text(tid, file).unwrap_or_default();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// When a process began, on CLOCK_MONOTONIC, which stands still while the machine sleeps; the kernel tells it on
/// CLOCK_BOOTTIME, which does not.
fn started_ms(stat: &stat::Stat) -> Option<u64> {
    let since_boot = Duration::from_millis(stat.start_ticks * 1000 / os::ticks_per_second());
    let awake = os::clock(libc::CLOCK_MONOTONIC)?;
    let asleep = os::clock(libc::CLOCK_BOOTTIME)?.saturating_sub(awake);
    since_boot.checked_sub(asleep).filter(|_| stat.start_ticks > 0).map(|started| started.as_millis() as u64)
}

/// A reader of the page table: fills `out` with the entries from an address on.
fn pagemap(tid: i32) -> impl FnMut(u64, &mut [u8]) -> io::Result<()> {
    let file = File::open(format!("/proc/{tid}/pagemap"));
    move |offset, out| match &file {
        Ok(file) => file.read_exact_at(out, offset),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_the_same() {
        let own = std::process::id() as i32;
        let by_file = ProcessMemory::new(own);
        let no_file = OnceCell::from(Err(io::ErrorKind::PermissionDenied.into()));
        let by_call = ProcessMemory { tid: own, file: no_file, chain: Chain::default() };
        let written: Vec<u8> = (0..100_000u32).map(|at| (at * 7 % 251) as u8).collect();
        for memory in [&by_file, &by_call] {
            let mut read = vec![0; written.len()];
            memory.read(written.as_ptr().addr() as u64, &mut read).unwrap();
            assert!(read == written);
            for address in [0, 8, u64::MAX - 4096, 1 << 63] {
                assert!(memory.read(address, &mut [0; 8]).is_err(), "{address:#x}");
            }
        }
        assert!(by_file.file.get().is_some_and(Result::is_ok));
    }
}
