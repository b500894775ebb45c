//! Reads brkmap's own heap.

use super::{Heap, Memory};
use crate::proc::smaps::Mapping;
use std::io;

/// Reads entries of the page table.
pub(crate) type PageTable<'a> = dyn FnMut(u64, &mut [u8]) -> io::Result<()> + 'a;

/// Reads all engines of a process.
pub(crate) fn read(_: &dyn Memory, _: &[Mapping], _: &mut PageTable<'_>) -> io::Result<Vec<Heap>> {
    Ok(Vec::new())
}
