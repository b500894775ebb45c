//! Memory, mappings and page table of the other process, with every access checked.

use super::{Damage, PageTable};
use crate::heap::Memory;
use crate::heap::occupancy::Detail;
use crate::proc::pagemap;
use crate::proc::smaps::Mapping;

/// No single read is longer: what is larger is read in parts, or is nonsense.
const LONGEST: u64 = 16 << 20;
/// OS pages whose entries are fetched at once.
const WINDOW: u64 = 1024;

/// See the module.
pub(super) struct Reader<'a, 'b> {
    memory: &'a dyn Memory,
    pub(super) mappings: &'a [Mapping],
    table: &'a mut PageTable<'b>,
    pub(super) os_page: u64,
    pub(super) detail: Detail,
    /// First OS page of the window.
    window: u64,
    entries: Vec<u64>,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(memory: &'a dyn Memory, mappings: &'a [Mapping], table: &'a mut PageTable<'b>) -> Self {
        Reader { memory, mappings, table, os_page: 4096, detail: Detail::Sums, window: 0, entries: Vec::new() }
    }

    /// Index of the mapping that holds an address.
    pub(super) fn mapping_at(&self, address: u64) -> Option<usize> {
        let index = self.mappings.partition_point(|mapping| mapping.end <= address);
        self.mappings.get(index).is_some_and(|mapping| mapping.start <= address).then_some(index)
    }

    /// Bytes from an address to the end of its mapping.
    pub(super) fn mapped_from(&self, address: u64) -> u64 {
        self.mapping_at(address).map_or(0, |index| self.mappings[index].end - address)
    }

    /// Checks that a range is mapped without a hole.
    pub(super) fn check(&self, what: &str, address: u64, bytes: u64) -> Result<(), Damage> {
        let missing = || Damage::new(format!("{what} at {address:#x} ({bytes} bytes) is not mapped"));
        let end = address.checked_add(bytes).ok_or_else(missing)?;
        let mut at = address;
        let mut index = self.mapping_at(address).ok_or_else(missing)?;
        while at < end {
            let mapping = self.mappings.get(index).filter(|mapping| mapping.start <= at).ok_or_else(missing)?;
            (at, index) = (mapping.end, index + 1);
        }
        Ok(())
    }

    /// Reads a range that has to be mapped.
    pub(super) fn bytes(&self, what: &str, address: u64, bytes: u64) -> Result<Vec<u8>, Damage> {
        if bytes > LONGEST {
            return Err(Damage::new(format!("{what} at {address:#x} claims {bytes} bytes")));
        }
        self.check(what, address, bytes)?;
        let mut out = vec![0; bytes as usize];
        match self.memory.read(address, &mut out) {
            Ok(()) => Ok(out),
            Err(error) => Err(Damage::new(format!("{what} at {address:#x} cannot be read: {error}"))),
        }
    }

    /// Reads one number.
    pub(super) fn word(&self, what: &str, address: u64) -> Result<u64, Damage> {
        Ok(word_at(&self.bytes(what, address, 8)?, 0))
    }

    /// The page-table entry of the OS page that holds an address; 0 where there is none.
    fn entry(&mut self, address: u64) -> Result<u64, Damage> {
        let page = address / self.os_page;
        let is_there = page.checked_sub(self.window).is_some_and(|index| index < self.entries.len() as u64);
        if !is_there {
            let mut bytes = vec![0; (WINDOW * pagemap::ENTRY) as usize];
            (self.table)(pagemap::offset(address, self.os_page), &mut bytes)
                .map_err(|error| Damage::new(format!("the page table at {address:#x} cannot be read: {error}")))?;
            self.entries = pagemap::entries(&bytes).collect();
            self.window = page;
        }
        let index = page.saturating_sub(self.window) as usize;
        Ok(self.entries.get(index).copied().unwrap_or(0))
    }

    /// Whether the OS page at an address is resident.
    pub(super) fn is_resident(&mut self, address: u64) -> Result<bool, Damage> {
        self.entry(address).map(pagemap::is_resident)
    }

    /// Whether the OS page at an address was ever written or read, and still has contents.
    pub(super) fn has_contents(&mut self, address: u64) -> Result<bool, Damage> {
        self.entry(address).map(|entry| pagemap::is_resident(entry) || pagemap::is_swapped(entry))
    }
}

/// Little-endian number at an offset; 0 behind the end.
pub(super) fn word_at(bytes: &[u8], offset: usize) -> u64 {
    number(bytes, offset, 8)
}

/// Little-endian 32-bit number at an offset; 0 behind the end.
pub(super) fn half_at(bytes: &[u8], offset: usize) -> u32 {
    number(bytes, offset, 4) as u32
}

/// Little-endian number of `size` bytes at an offset; 0 behind the end.
pub(crate) fn number(bytes: &[u8], offset: usize, size: usize) -> u64 {
    let end = offset.saturating_add(size);
    bytes.get(offset..end).map_or(0, |bytes| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}
