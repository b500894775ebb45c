//! The address space of a process as ranges of one purpose, low to high.

use super::waterfall::{Kind, kind_of};
use crate::heap::runtime::kind::{self, Runtime};
use crate::look::Look;
use crate::proc::residency::Residency;
use crate::proc::smaps::Mapping;

/// What a range is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The main arena's heap on the program break.
    BreakHeap,
    /// A heap of the arena of this number.
    Arena(usize),
    /// Blocks with a mapping of their own.
    MappedBlocks,
    /// brkmap's memory.
    Brkmap,
    Runtime(Runtime),
    Anonymous,
    Stack,
    /// A program or library.
    Program(String),
    /// Another file.
    File(String),
    /// Memory shared with other processes, or meant to be.
    Shared(String),
    /// Address space that is reserved and cannot be touched.
    Reserved,
}

impl Purpose {
    /// Stable name for JSON.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Purpose::BreakHeap => "break_heap",
            Purpose::Arena(_) => "thread_arena",
            Purpose::MappedBlocks => "mapped_blocks",
            Purpose::Brkmap => "brkmap",
            Purpose::Runtime(_) => "runtime",
            Purpose::Anonymous => "anonymous",
            Purpose::Stack => "stack",
            Purpose::Program(_) => "program",
            Purpose::File(_) => "file",
            Purpose::Shared(_) => "shared_memory",
            Purpose::Reserved => "reserved",
        }
    }

    /// Name in reports.
    pub(crate) fn label(&self) -> String {
        match self {
            Purpose::BreakHeap => "break heap".to_owned(),
            Purpose::Arena(number) => format!("heap of arena {number}"),
            Purpose::MappedBlocks => "mapped blocks".to_owned(),
            Purpose::Brkmap => "brkmap".to_owned(),
            Purpose::Runtime(runtime) => runtime.name().to_owned(),
            Purpose::Anonymous => "anonymous".to_owned(),
            Purpose::Stack => "stack".to_owned(),
            Purpose::Program(name) => name.clone(),
            Purpose::File(name) => format!("file {name}"),
            Purpose::Shared(name) => format!("shared {name}"),
            Purpose::Reserved => "reserved".to_owned(),
        }
    }
}

/// A range of one purpose; mappings side by side are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) rss: u64,
    pub(crate) huge: u64,
    pub(crate) mappings: u64,
    pub(crate) purpose: Purpose,
}

impl Span {
    /// Bytes of address space.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Resident share of each of `cells` equal parts, in per cent. `None` where the page table was not asked: files.
    pub(crate) fn cells(&self, residency: &Residency, cells: u64) -> Option<Vec<u64>> {
        if matches!(self.purpose, Purpose::Program(_) | Purpose::File(_) | Purpose::Shared(_)) || cells == 0 {
            return None;
        }
        let border = |cell: u64| self.start + (u128::from(self.size()) * u128::from(cell) / u128::from(cells)) as u64;
        let share = |cell: u64| {
            let (start, end) = (border(cell), border(cell + 1));
            (residency.resident(start, end) * 100).checked_div(end - start).unwrap_or(0)
        };
        Some((0..cells).map(share).collect())
    }
}

/// All ranges of a process.
pub(crate) fn spans(look: &Look) -> Vec<Span> {
    let mappings = &look.snapshot.mappings;
    let mut all: Vec<Span> = Vec::new();
    for (index, mapping) in mappings.iter().enumerate().filter(|(_, mapping)| mapping.size() > 0) {
        let purpose = purpose(look, index);
        let (rss, huge) = (mapping.rss, mapping.huge);
        match all.last_mut() {
            Some(last) if last.end == mapping.start && last.purpose == purpose => {
                last.end = mapping.end;
                (last.rss, last.huge, last.mappings) = (last.rss + rss, last.huge + huge, last.mappings + 1);
            }
            _ => all.push(Span { start: mapping.start, end: mapping.end, rss, huge, mappings: 1, purpose }),
        }
    }
    all
}

fn purpose(look: &Look, index: usize) -> Purpose {
    let mapping: &Mapping = &look.snapshot.mappings[index];
    let is_inside = |start: u64, end: u64| start < mapping.end && mapping.start < end;
    if let Some(glibc) = &look.glibc {
        let mut ranges = glibc.ranges.iter().filter(|range| is_inside(range.0, range.1));
        match ranges.next() {
            Some(range) if glibc.arenas[range.2].is_main => return Purpose::BreakHeap,
            Some(range) => return Purpose::Arena(range.2),
            None => {}
        }
        if glibc.blocks.iter().any(|block| is_inside(block.0, block.1)) {
            return Purpose::MappedBlocks;
        }
    }
    let by_brkmap = look.snapshot.heaps.iter().any(|heap| heap.explained.get(index).is_some_and(|&bytes| bytes > 0));
    if by_brkmap && mapping.inode == 0 {
        return Purpose::Brkmap;
    }
    let explains = |heap: &&crate::heap::runtime::Foreign| heap.explained.get(index).is_some_and(|&bytes| bytes > 0);
    if let Some(heap) = look.foreign.iter().find(explains) {
        return Purpose::Runtime(heap.runtime);
    }
    let is_closed = !mapping.readable && !mapping.writable && !mapping.executable;
    match kind_of(&look.snapshot.mappings, index) {
        _ if is_closed && mapping.inode == 0 => Purpose::Reserved,
        Kind::BreakHeap => Purpose::BreakHeap,
        Kind::Stacks => Purpose::Stack,
        // Zeroed data lies behind its file and has no name.
        Kind::Programs if mapping.name.is_empty() => Purpose::Program(before(&look.snapshot.mappings, index)),
        Kind::Programs => Purpose::Program(mapping.file_name().to_owned()),
        Kind::Files if is_shared_memory(&mapping.name) => Purpose::Shared(mapping.file_name().to_owned()),
        Kind::Files => Purpose::File(mapping.file_name().to_owned()),
        _ => kind::of_the_rest(&look.runtimes).map_or(Purpose::Anonymous, Purpose::Runtime),
    }
}

/// Files that exist in memory alone, by the names that the kernel gives them.
fn is_shared_memory(name: &str) -> bool {
    ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "[anon_shmem"].iter().any(|start| name.starts_with(start))
}

fn before(mappings: &[Mapping], index: usize) -> String {
    index.checked_sub(1).map_or(String::new(), |before| mappings[before].file_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::residency::{Stretch, category};

    #[test]
    fn cells_are_shares_of_equal_parts() {
        let mut residency = Residency::default();
        residency.push(Stretch { start: 0x1000, end: 0x3000, categories: category::PRESENT });
        let span = |purpose| Span { start: 0x1000, end: 0x5000, rss: 0x2000, huge: 0, mappings: 1, purpose };
        assert_eq!(span(Purpose::BreakHeap).cells(&residency, 4), Some(vec![100, 100, 0, 0]));
        assert_eq!(span(Purpose::BreakHeap).cells(&residency, 1), Some(vec![50]));
        assert_eq!(span(Purpose::BreakHeap).cells(&residency, 0), None);
        assert_eq!(span(Purpose::File("x".to_owned())).cells(&residency, 4), None);
    }
}
