//! Reading malloc's own structures in another process.

pub(crate) mod brkmap;
pub(crate) mod glibc;
pub(crate) mod occupancy;
pub(crate) mod runtime;

#[cfg(test)]
pub(crate) mod image;

use brkmap_wire::{Counter, Move};
use occupancy::Occupancy;
use std::io;

/// Memory of a process, or an image of it in a test.
pub(crate) trait Memory {
    /// Fills `out` from `address`; an error if any byte of it is not there.
    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()>;

    /// The second word of the chunk of glibc's at an address, where it is known without reading.
    fn chunk_word(&self, _address: u64) -> Option<u64> {
        None
    }

    /// Fills `out` from several ranges, one behind the other; an error if any byte of them is not there.
    fn read_ranges(&self, ranges: &[(u64, usize)], out: &mut [u8]) -> io::Result<()> {
        let mut rest = out;
        for &(address, bytes) in ranges {
            let (part, behind) = rest.split_at_mut(bytes);
            self.read(address, part)?;
            rest = behind;
        }
        Ok(())
    }
}

/// OS pages that blocks of one size keep from going back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) block_bytes: u64,
    /// Live blocks that lie, wholly or in part, on these OS pages.
    pub(crate) live_blocks: u64,
    /// Resident OS pages that hold live bytes and free ones.
    pub(crate) os_pages: u64,
    /// Free bytes on them, without the blocks in the lists of threads.
    pub(crate) free_bytes: u64,
}

impl Pin {
    /// Adds another engine's or page's.
    pub(crate) fn add(&mut self, other: &Pin) {
        self.block_bytes = other.block_bytes;
        self.live_blocks += other.live_blocks;
        self.os_pages += other.os_pages;
        self.free_bytes += other.free_bytes;
    }
}

/// Memory of the toolbox's allocators that have a name, summed by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedMemory {
    /// What the program called it.
    pub(crate) name: String,
    /// Ranges of that name.
    pub(crate) ranges: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Those on OS pages that are resident; they are part of other rows of the waterfall.
    pub(crate) resident: u64,
}

/// Where the resident bytes of one brkmap engine are. The byte figures count resident memory only and do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// Major, minor, patch.
    pub(crate) version: (u16, u16, u16),
    /// See `brkmap_wire::face`.
    pub(crate) face: u64,
    /// Whether the engine ever allocated.
    pub(crate) in_use: bool,
    /// Blocks that the program holds, without rounding.
    pub(crate) live: u64,
    /// What the blocks are larger than their requests (an estimate for small blocks, exact for large ones).
    pub(crate) rounding: u64,
    /// Free bytes on OS pages that also hold live bytes.
    pub(crate) pinned: u64,
    /// Whole OS pages without a live byte.
    pub(crate) returnable: u64,
    /// Free blocks in the lists of threads.
    pub(crate) caches: u64,
    /// The engine's own tables.
    pub(crate) metadata: u64,
    /// In the engine's own memory, but of no use that could be made out: a page between two states, for instance.
    pub(crate) unclear: u64,
    /// Number of live blocks.
    pub(crate) live_blocks: u64,
    /// Heaps with and without a thread.
    pub(crate) heaps: (u64, u64),
    /// Present mmap threshold.
    pub(crate) mmap_threshold: u64,
    /// The engine's counters, indexed by `brkmap_wire::Counter`.
    pub(crate) counters: Vec<u64>,
    /// Calls and bytes that went back, by `brkmap_wire::Rule` (newer libraries have more); empty: the library is older.
    pub(crate) rules: Vec<(u64, u64)>,
    /// Moves of the mmap threshold that the engine remembers, in their order.
    pub(crate) moves: Vec<Move>,
    /// What `pinned` consists of, by the size of the blocks.
    pub(crate) pins: Vec<Pin>,
    /// Resident bytes explained by the figures above, per mapping of the snapshot.
    pub(crate) explained: Vec<u64>,
    /// What lies on each OS page, if that was asked for.
    pub(crate) occupancy: Option<Occupancy>,
}

impl Heap {
    /// Value of a counter; 0 where the library is older than the counter.
    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).copied().unwrap_or(0)
    }

    /// Whether the engine ever had memory to serve from. One that was only asked for statistics had not.
    pub(crate) fn has_served(&self) -> bool {
        let asked = [Counter::BreakGrow, Counter::MapRegion, Counter::MapDirect];
        self.in_use && (self.counters.is_empty() || asked.into_iter().any(|counter| self.counter(counter) > 0))
    }
}
