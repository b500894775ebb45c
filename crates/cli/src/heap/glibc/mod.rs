//! Reads the heap of glibc's own malloc in another process, without symbols and without stopping it.
//!
//! ```text
//!  find    main_arena in libc's data, by what an arena always looks like ──► arenas by their ring, parameters
//!  lists   lists of small free chunks, which look like chunks in use     ──► addresses, sorted
//!  walk    every segment of every arena, chunk by chunk                  ──► account: bytes by reason, what a trim returns
//!  caches  what threads keep for themselves                              ──► taken from "live"
//!  mapped  blocks with a mapping of their own
//! ```
//! The other process runs on, or is damaged, or hostile: nothing that is read is believed before it is checked, every list
//! and walk has an end, and a place that stays wrong after repeated reads is reported as torn, its bytes as unclear.

mod account;
mod caches;
mod chain;
mod find;
pub(crate) mod layout;
mod lists;
mod mapped;
mod source;
mod walk;

#[cfg(test)]
mod image;
#[cfg(test)]
mod tests;

use crate::heap::Memory;
use crate::heap::occupancy::{Detail, Occupancy};
use crate::proc::residency::Residency;
use crate::proc::smaps::Mapping;
pub(crate) use account::Sizes;
pub(crate) use chain::Chain;
pub(crate) use find::is_glibc;
use layout::Layout;
use source::Source;

/// malloc's parameters as they are in force at the moment (`struct malloc_par`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) trim_threshold: u64,
    pub(crate) top_pad: u64,
    pub(crate) mmap_threshold: u64,
    /// 0 for "by the number of processors".
    pub(crate) arena_max: u64,
    /// Size of huge pages that malloc asks for; 0 for none.
    pub(crate) huge_page: u64,
    /// Whether freeing a mapped block still moves the thresholds.
    pub(crate) is_dynamic: bool,
    /// Blocks with a mapping of their own, as malloc counts them.
    pub(crate) mapped_blocks: u64,
    pub(crate) mapped_bytes: u64,
    /// Where the break was when malloc first moved it.
    pub(crate) break_start: u64,
    /// Blocks that a list of a thread's cache may hold.
    pub(crate) cache_count: u64,
}

/// One arena. All byte figures but `system` count resident memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arena {
    pub(crate) address: u64,
    pub(crate) is_main: bool,
    /// Bytes that it got from the kernel and still has, resident or not.
    pub(crate) system: u64,
    pub(crate) heaps: u64,
    pub(crate) figures: Figures,
}

/// Bytes by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Blocks that the program holds, without their headers.
    pub(crate) live: u64,
    pub(crate) headers: u64,
    /// Free blocks that threads keep for themselves.
    pub(crate) caches: u64,
    /// Free bytes on OS pages that stay: they hold something live, or the header of the free chunk itself.
    pub(crate) pinned: u64,
    /// What `malloc_trim(0)` would give back.
    pub(crate) returnable: u64,
    /// Free OS pages at the top of thread arenas, which `malloc_trim` leaves alone.
    pub(crate) kept_top: u64,
    /// The arenas' own structures.
    pub(crate) metadata: u64,
    /// In a heap, of a use that could not be made out.
    pub(crate) unclear: u64,
    /// On the break, and got from `sbrk` by the program itself.
    pub(crate) foreign: u64,
    /// OS pages, in bytes, that hold at least one live byte.
    pub(crate) floor: u64,
    /// Of `returnable` and `pinned`: the largest gap and what is free above it, if only few live bytes lie above.
    pub(crate) under_top: u64,
    /// The live bytes that hold it.
    pub(crate) holding_top: u64,
    /// Live blocks, in whatever memory.
    pub(crate) live_blocks: u64,
    pub(crate) cached_blocks: u64,
    pub(crate) free_chunks: u64,
    /// Largest free chunk, in bytes of address space.
    pub(crate) largest_free: u64,
}

impl Figures {
    /// Adds another arena's.
    pub(crate) fn add(&mut self, other: &Figures) {
        let pairs = [
            (&mut self.live, other.live),
            (&mut self.headers, other.headers),
            (&mut self.caches, other.caches),
            (&mut self.pinned, other.pinned),
            (&mut self.returnable, other.returnable),
            (&mut self.kept_top, other.kept_top),
            (&mut self.metadata, other.metadata),
            (&mut self.unclear, other.unclear),
            (&mut self.foreign, other.foreign),
            (&mut self.floor, other.floor),
            (&mut self.under_top, other.under_top),
            (&mut self.holding_top, other.holding_top),
            (&mut self.live_blocks, other.live_blocks),
            (&mut self.cached_blocks, other.cached_blocks),
            (&mut self.free_chunks, other.free_chunks),
        ];
        for (sum, bytes) in pairs {
            *sum += bytes;
        }
        self.largest_free = self.largest_free.max(other.largest_free);
    }
}

/// Blocks with a mapping of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) blocks: u64,
    /// Bytes of address space.
    pub(crate) bytes: u64,
    pub(crate) resident: u64,
}

/// What was found of glibc's malloc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glibc {
    /// Minor version by libc's own file.
    pub(crate) version: Option<u16>,
    /// Versions whose layout fits.
    pub(crate) layout: Option<(u16, u16)>,
    pub(crate) parameters: Option<Parameters>,
    /// The main arena first.
    pub(crate) arenas: Vec<Arena>,
    pub(crate) mapped: Mapped,
    /// Threads whose caches were found, and their blocks.
    pub(crate) caches: u64,
    /// Live chunks.
    pub(crate) sizes: Sizes,
    /// Free chunks between them, side by side as one; without the tops.
    pub(crate) gaps: Sizes,
    /// Resident bytes explained, per mapping.
    pub(crate) explained: Vec<u64>,
    /// Ranges of address space that belong to arenas, with the arena's index, sorted.
    pub(crate) ranges: Vec<(u64, u64, usize)>,
    /// Ranges of blocks with a mapping of their own, sorted.
    pub(crate) blocks: Vec<(u64, u64)>,
    /// Places that were read in the middle of a change and stayed wrong.
    pub(crate) torn: u64,
    /// The first of them, or why the heap could not be read at all.
    pub(crate) problem: Option<String>,
    /// What lies on each OS page, if that was asked for.
    pub(crate) occupancy: Option<Occupancy>,
}

impl Glibc {
    /// All arenas together.
    pub(crate) fn total(&self) -> Figures {
        let mut sum = Figures::default();
        for arena in &self.arenas {
            sum.add(&arena.figures);
        }
        sum
    }

    fn refused(version: Option<u16>, why: String) -> Glibc {
        Glibc { version, problem: Some(why), ..Glibc::default() }
    }
}

/// Bytes that the banner has, at most.
pub(crate) const BANNER: usize = 256;

/// Minor version by the banner that libc's file contains (`GNU C Library … release version 2.36.`).
pub(crate) fn version(file: &[u8]) -> Option<u16> {
    const START: &[u8] = b"GNU C Library (";
    const VERSION: &[u8] = b"release version 2.";
    let mut rest = file;
    loop {
        rest = &rest[find_bytes(rest, START)?..];
        let line = &rest[..rest.len().min(BANNER)];
        if let Some(at) = find_bytes(line, VERSION) {
            let digits = line[at + VERSION.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let add = |sum: u16, byte: &u8| sum.checked_mul(10)?.checked_add(u16::from(byte - b'0'));
            return digits.copied().try_fold(0, |sum, byte| add(sum, &byte));
        }
        rest = &rest[START.len()..];
    }
}

/// Where bytes first occur. Looks at one byte in as many as are sought, as a rule: libc has two million.
fn find_bytes(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    // How far from a byte to the end of what is sought; all of it where the byte is not in it.
    let mut steps = [sought.len(); 256];
    for (at, &byte) in sought.iter().enumerate().take(sought.len() - 1) {
        steps[usize::from(byte)] = sought.len() - 1 - at;
    }
    let mut at = 0;
    while let Some(place) = bytes.get(at..at + sought.len()) {
        if place == sought {
            return Some(at);
        }
        at += steps[usize::from(place[sought.len() - 1])];
    }
    None
}

/// Looks for glibc's malloc. `None` if there is none: no libc, or one that never served anything.
#[cfg(test)]
pub(crate) fn read(
    memory: &dyn Memory,
    mappings: &[Mapping],
    residency: &Residency,
    version: Option<u16>,
) -> Option<Glibc> {
    read_closely(memory, mappings, residency, version, Detail::Sums)
}

/// The same, as closely as is wanted.
pub(crate) fn read_closely(
    memory: &dyn Memory,
    mappings: &[Mapping],
    residency: &Residency,
    version: Option<u16>,
    detail: Detail,
) -> Option<Glibc> {
    let mut source = Source::new(memory, mappings, residency);
    let found = match find::find(&mut source, version) {
        find::Outcome::Found(found) => found,
        find::Outcome::Nothing => return None,
        find::Outcome::Unknown(why) => return Some(Glibc::refused(version, why)),
    };
    let mut glibc = Glibc {
        version,
        layout: Some(found.layout.versions),
        parameters: found.parameters,
        explained: vec![0; mappings.len()],
        occupancy: detail.record(),
        ..Glibc::default()
    };
    let fast = lists::fast(&mut source, &found, &mut glibc);
    walk::arenas(&mut source, &found, &fast, &mut glibc);
    mapped::read(&mut source, found.layout.mapped_more, &mut glibc);
    glibc.blocks.sort_unstable();
    Some(glibc)
}

/// What [`find`] returns of a process that has a malloc.
struct Found {
    layout: &'static Layout,
    parameters: Option<Parameters>,
    arenas: Vec<find::ArenaAt>,
}
