//! Reads brkmap's own heap in another process, as `brkmap-wire` describes it.
//!
//! The other process may be damaged, hostile, or in the middle of a change. So nothing that is read from it is believed:
//! addresses and lengths are checked against its mappings before they are used, lists against their possible length,
//! and the figures can only ever share out bytes that the page table says are resident. Whatever goes wrong ends in an
//! error beside the figures collected so far; the bytes that were not reached stay in the waterfall as unexplained.

mod layout;
mod ledger;
mod names;
mod pages;
mod reader;
mod roots;
mod walk;

#[cfg(test)]
mod image;
#[cfg(test)]
mod tests;

use super::occupancy::Detail;
use super::{Heap, Memory, NamedMemory};
use crate::proc::smaps::Mapping;
use reader::Reader;
pub(crate) use reader::number;
use std::fmt;
use std::io;

/// Reads the page table: fills a buffer from an offset of `/proc/PID/pagemap`.
pub(crate) type PageTable<'a> = dyn FnMut(u64, &mut [u8]) -> io::Result<()> + 'a;

/// Why a heap could not be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage(String);

impl Damage {
    fn new(text: impl Into<String>) -> Damage {
        Damage(text.into())
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What was read of a process.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) heaps: Vec<Heap>,
    pub(crate) named: Vec<NamedMemory>,
    /// The first thing that was wrong.
    pub(crate) damage: Option<Damage>,
}

/// Reads all engines of a process, and the names of the toolbox's memory.
#[cfg(test)]
pub(crate) fn read(memory: &dyn Memory, mappings: &[Mapping], table: &mut PageTable<'_>) -> Contents {
    read_closely(memory, mappings, table, Detail::Sums)
}

/// The same, as closely as is wanted.
pub(crate) fn read_closely(
    memory: &dyn Memory,
    mappings: &[Mapping],
    table: &mut PageTable<'_>,
    detail: Detail,
) -> Contents {
    let mut reader = Reader::new(memory, mappings, table);
    reader.detail = detail;
    let (found, mut damage) = roots::find(&mut reader);
    let mut heaps = Vec::new();
    for root in found.roots {
        let (heap, wrong) = walk::walk(&mut reader, &root);
        heaps.push(heap);
        damage = damage.or(wrong);
    }
    let named = names::read(&mut reader, &found.tables);
    Contents { heaps, named, damage }
}
