//! The `bpf` system call: maps, programs, attachment. And the ring through which records come.

use super::code::Instruction;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const MAP_UPDATE: libc::c_long = 2;
const MAP_DELETE: libc::c_long = 3;
const PROGRAM_LOAD: libc::c_long = 5;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;

/// Kinds of maps.
pub(super) mod kind {
    pub(crate) const HASH: u32 = 1;
    pub(crate) const ARRAY: u32 = 2;
    pub(crate) const ARRAY_OF_PROCESSORS: u32 = 6;
    pub(crate) const RING: u32 = 27;
}

/// `union bpf_attr`, of which each command reads its own part.
type Attributes = [u64; 20];

fn bpf(command: libc::c_long, attributes: &mut Attributes) -> io::Result<i64> {
    // SAFETY: [valid-out-pointer] the kernel reads the bytes whose number it is told; addresses in them are of what the
    // caller keeps alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn opened(command: libc::c_long, attributes: &mut Attributes) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: [owned-fd] it was made just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A map of the kernel's.
pub(super) struct Map(OwnedFd);

impl Map {
    /// Makes one; keys are of four bytes where it has keys. `flags` are the kernel's.
    pub(super) fn new(kind: u32, value: u32, entries: u32, flags: u32) -> io::Result<Map> {
        let key = if kind == kind::RING { 0 } else { 4 };
        let mut attributes = [0; 20];
        attributes[0] = u64::from(kind) | key << 32;
        attributes[1] = u64::from(value) | u64::from(entries) << 32;
        attributes[2] = u64::from(flags);
        opened(MAP_CREATE, &mut attributes).map(Map)
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn element(&self, command: libc::c_long, key: u32, value: &mut u64) -> io::Result<()> {
        let mut attributes = [0; 20];
        attributes[0] = self.0.as_raw_fd() as u64;
        attributes[1] = (&raw const key).addr() as u64;
        attributes[2] = (&raw mut *value).addr() as u64;
        bpf(command, &mut attributes).map(drop)
    }

    /// The value of eight bytes of a key.
    pub(super) fn get(&self, key: u32) -> io::Result<u64> {
        let mut value = 0;
        self.element(MAP_LOOKUP, key, &mut value).map(|()| value)
    }

    pub(super) fn put(&self, key: u32, mut value: u64) -> io::Result<()> {
        self.element(MAP_UPDATE, key, &mut value)
    }

    pub(super) fn remove(&self, key: u32) -> io::Result<()> {
        self.element(MAP_DELETE, key, &mut 0)
    }
}

/// Hands a program to the kernel, which checks that it ends and keeps to its memory, and attaches it to a tracepoint.
/// Closing the result takes it away. The error holds the end of what the kernel says of a program that it refuses.
pub(super) fn attach(tracepoint: &str, program: &[Instruction]) -> Result<OwnedFd, String> {
    const RAW_TRACEPOINT: u64 = 17;
    let license = c"Dual MIT/GPL";
    let mut attributes: Attributes = [0; 20];
    attributes[0] = RAW_TRACEPOINT | (program.len() as u64) << 32;
    attributes[1] = program.as_ptr().addr() as u64;
    attributes[2] = license.as_ptr().addr() as u64;
    let loaded = opened(PROGRAM_LOAD, &mut attributes).map_err(|error| {
        let mut log = vec![0u8; 1 << 20];
        attributes[3] = 1 | (log.len() as u64) << 32;
        attributes[4] = log.as_mut_ptr().addr() as u64;
        let again = opened(PROGRAM_LOAD, &mut attributes).err().unwrap_or(error);
        let text = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        format!("the kernel refuses the program for {tracepoint}: {again}: {}", last.join(" / "))
    })?;
    let name = CString::new(tracepoint).map_err(|error| error.to_string())?;
    let mut attributes: Attributes = [0; 20];
    attributes[0] = name.as_ptr().addr() as u64;
    attributes[1] = loaded.as_raw_fd() as u64;
    // The attachment holds the program.
    opened(RAW_TRACEPOINT_OPEN, &mut attributes).map_err(|error| format!("tracepoint {tracepoint}: {error}"))
}

const OS_PAGE: usize = 4096;
/// A record's head: its length with two marks, and where it lies.
const HEADER: usize = 8;
const IS_BUSY: u32 = 1 << 31;
const IS_DISCARDED: u32 = 1 << 30;

/// A mapping of a part (offset and bytes) of a file of the kernel's, which ends with its owner.
struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapping {
    fn new(fd: &impl AsRawFd, protection: i32, sharing: i32, place: (usize, usize)) -> io::Result<Mapping> {
        let (offset, bytes) = place;
        let (fd, offset) = (fd.as_raw_fd(), offset as libc::off_t);
        // SAFETY: [perf-mapping] a new mapping of the kernel's own memory, at a place that it chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, sharing, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), bytes })
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: [kernel-ring] the position is the first word of its OS page, which stays mapped.
        unsafe { AtomicU64::from_ptr(self.start.cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: [kernel-ring] the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// Hands out the kernel's description of its types. To read it takes a call for each 4 KiB of its 5 MiB, and to map it one,
/// where the kernel (6.16) can.
pub(super) fn with_types<T>(path: &str, mut read: impl FnMut(&[u8]) -> T) -> io::Result<T> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len() as usize;
    // Nobody may share it.
    match Mapping::new(&file, libc::PROT_READ, libc::MAP_PRIVATE, (0, bytes)) {
        // SAFETY: [kernel-types] the description is the kernel's own and stays as it is; the mapping covers its length.
        Ok(mapping) => Ok(read(unsafe { std::slice::from_raw_parts(mapping.start, bytes) })),
        Err(_) => Ok(read(&std::fs::read(path)?)),
    }
}

/// The reader's end of a ring.
pub(super) struct Ring {
    ours: Mapping,
    /// The kernel's position, then the data twice, so that no record is cut.
    theirs: Mapping,
    size: usize,
}

impl Ring {
    pub(super) fn new(map: &Map, size: usize) -> io::Result<Ring> {
        let ours = Mapping::new(&map.0, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, (0, OS_PAGE))?;
        let theirs = Mapping::new(&map.0, libc::PROT_READ, libc::MAP_SHARED, (OS_PAGE, OS_PAGE + 2 * size))?;
        Ok(Ring { ours, theirs, size })
    }

    /// Hands out the next finished record, and gives its room back.
    pub(super) fn next<T>(&self, mut take: impl FnMut(&[u8]) -> T) -> Option<T> {
        loop {
            let at = self.ours.position().load(Ordering::Relaxed);
            if at == self.theirs.position().load(Ordering::Acquire) {
                return None;
            }
            let offset = OS_PAGE + (at as usize & (self.size - 1));
            // SAFETY: [kernel-ring] between the two positions lie records, each with an aligned head.
            let head = unsafe { AtomicU64::from_ptr(self.theirs.start.add(offset).cast()) }.load(Ordering::Acquire);
            let head = head as u32;
            if head & IS_BUSY != 0 {
                return None;
            }
            let length = (head & !(IS_BUSY | IS_DISCARDED)) as usize;
            let next = at + (length + HEADER).next_multiple_of(8) as u64;
            if length > self.size {
                return None;
            }
            // SAFETY: [kernel-ring] a finished record stays as it is until our position passes it; the data lie there twice,
            // so it does not end at the ring's end.
            let bytes = unsafe { std::slice::from_raw_parts(self.theirs.start.add(offset + HEADER), length) };
            let taken = (head & IS_DISCARDED == 0).then(|| take(bytes));
            self.ours.position().store(next, Ordering::Release);
            if taken.is_some() {
                return taken;
            }
        }
    }
}
