//! Finds the main arena and malloc's parameters in libc's data by what they always look like.
//!
//! An arena has 127 bins, each two words: an empty bin points at itself, at a distance that only an arena has. Others point
//! at chunks. In front of them stands the top chunk, behind them the ring of arenas and the bytes from the kernel.

use super::layout::{BINS, HEAP_SPAN, Layout};
use super::source::Source;
use super::{Found, Parameters};
use crate::heap::brkmap::number;
use crate::proc::smaps::Mapping;

/// Data of libc, or of a static program, that is searched at most.
const LARGEST_DATA: u64 = 16 << 20;
/// So many bins of an arena are empty at least. A heap with chunks of 120 distant sizes has not been seen.
const EMPTY_BINS: u64 = 8;
/// Times that a process is searched.
const TRIES: usize = 4;
/// More arenas than this are none.
const MOST_ARENAS: usize = 16384;

/// What the search came to.
pub(super) enum Outcome {
    Found(Found),
    /// No glibc, or its malloc never served anything.
    Nothing,
    /// There is one, and it is not understood.
    Unknown(String),
}

/// An arena and what its structure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArenaAt {
    pub(super) address: u64,
    pub(super) is_main: bool,
}

/// Data of a program or library: where, and what is in it.
struct Data {
    start: u64,
    bytes: Vec<u8>,
}

impl Data {
    fn word(&self, offset: usize) -> u64 {
        number(&self.bytes, offset, 8)
    }
}

/// Whether a file is glibc.
pub(crate) fn is_glibc(mapping: &Mapping) -> bool {
    let name = mapping.file_name();
    mapping.inode != 0 && (name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so")))
}

/// Searches all layouts that may be the right one. A bin or the ring may be in the middle of a change: then again.
pub(super) fn find(source: &mut Source<'_>, version: Option<u16>) -> Outcome {
    for _ in 1..TRIES {
        match attempt(source, version) {
            Outcome::Found(found) => return Outcome::Found(found),
            _ => source.refresh(),
        }
    }
    attempt(source, version)
}

fn attempt(source: &mut Source<'_>, version: Option<u16>) -> Outcome {
    let data = data(source);
    let candidates = Layout::candidates(version);
    let mut without_parameters = None;
    for layout in &candidates {
        for data in &data {
            let Some(arenas) = main_arena(source, data, layout).and_then(|main| ring(source, main, layout)) else {
                continue;
            };
            let parameters = parameters(source, data, layout);
            let found = Found { layout, parameters, arenas };
            if found.parameters.is_some() {
                return Outcome::Found(found);
            }
            without_parameters = without_parameters.or(Some(found));
        }
    }
    let is_known = candidates.len() == 1;
    match without_parameters {
        // Without the parameters only the version tells the layouts apart.
        Some(found) if is_known => Outcome::Found(found),
        None if is_known || data.is_empty() => Outcome::Nothing,
        None if !source.mappings.iter().any(is_glibc) => Outcome::Nothing,
        _ => {
            let name = version.map_or("this glibc, whose version is unknown,".to_owned(), |v| format!("glibc 2.{v}"));
            Outcome::Unknown(format!("{name} keeps its heap in a way that this command does not know"))
        }
    }
}

/// Writable data of libc, or where there is none, of all files: a static program has one.
fn data(source: &mut Source<'_>) -> Vec<Data> {
    let mappings = source.mappings;
    let has_libc = mappings.iter().any(is_glibc);
    let mut all = Vec::new();
    let mut index = 0;
    while let Some(mapping) = mappings.get(index) {
        index += 1;
        let is_data = mapping.inode != 0 && mapping.readable && mapping.writable && mapping.private;
        if !is_data || (has_libc && !is_glibc(mapping)) {
            continue;
        }
        let (start, mut end) = (mapping.start, mapping.end);
        // More data of the same file, and the zeroed data behind it.
        while let Some(next) = mappings.get(index) {
            let is_more = next.writable && (next.inode == mapping.inode || (next.inode == 0 && next.name.is_empty()));
            if next.start != end || !is_more {
                break;
            }
            (end, index) = (next.end, index + 1);
        }
        let bytes = source.range(start, end, LARGEST_DATA);
        all.push(Data { start, bytes });
    }
    all
}

/// Address of the main arena.
fn main_arena(source: &Source<'_>, data: &Data, layout: &Layout) -> Option<u64> {
    let last = data.bytes.len().checked_sub(layout.state_bytes as usize)?;
    (0..=last).step_by(8).find(|&offset| is_arena(source, data, layout, offset)).map(|at| data.start + at as u64)
}

fn is_arena(source: &Source<'_>, data: &Data, layout: &Layout, offset: usize) -> bool {
    let address = data.start + offset as u64;
    let field = |at: u64| data.word(offset + at as usize);
    let top = field(layout.top);
    // An arena without memory has its own first bin as its top.
    let is_unused = top == address + layout.top;
    let (system, most) = (field(layout.system), field(layout.system + 8));
    // The cheap questions first: this is asked of every word of the data.
    if field(layout.next) == 0 || system > most || (!is_unused && (system == 0 || !source.may_be_chunk_by_now(top))) {
        return false;
    }
    let mut empty = 0;
    for bin in 0..BINS {
        let at = layout.bins + bin * 16;
        let (forward, back) = (field(at), field(at + 8));
        let own = address + at - 16;
        match (forward == own, back == own) {
            (true, true) => empty += 1,
            (false, false) if source.may_be_chunk_by_now(forward) && source.may_be_chunk_by_now(back) => {}
            _ => return false,
        }
    }
    empty >= EMPTY_BINS
}

/// All arenas, by the ring that they form. A thread's arena begins right behind the head of its first heap.
fn ring(source: &mut Source<'_>, main: u64, layout: &Layout) -> Option<Vec<ArenaAt>> {
    let mut all = vec![ArenaAt { address: main, is_main: true }];
    let mut next = source.word(main + layout.next)?;
    while next != main {
        let heap = next & !(HEAP_SPAN - 1);
        if next == heap + layout.heap_info && !source.residency.is_resident(heap) {
            // Made after the page table was read: nothing of it is in this look.
            break;
        }
        let is_arena = next == heap + layout.heap_info && source.distant(heap)? == next;
        if !is_arena || all.len() >= MOST_ARENAS {
            return None;
        }
        all.push(ArenaAt { address: next, is_main: false });
        next = source.distant(next + layout.next)?;
    }
    Some(all)
}

/// malloc's parameters, around the word that says where the break was at first.
fn parameters(source: &Source<'_>, data: &Data, layout: &Layout) -> Option<Parameters> {
    let heap = source.mappings.iter().find(|mapping| mapping.name == "[heap]");
    let fits = |offset: usize| {
        let start = data.word(offset);
        let is_break = heap.is_some_and(|heap| (heap.start..heap.end).contains(&start));
        (is_break || start == 0).then(|| shape(data, layout, offset)).flatten()
    };
    let first = layout.params.trim_threshold as usize;
    let last = data.bytes.len().checked_sub(40)?;
    let mut all: Vec<Parameters> = (first..=last).step_by(8).filter_map(fits).collect();
    all.sort_by_key(|parameters| std::cmp::Reverse(parameters.break_start));
    all.first().copied()
}

/// Reads the parameters around an address, if all of them make sense together.
fn shape(data: &Data, layout: &Layout, offset: usize) -> Option<Parameters> {
    let params = &layout.params;
    let word = |before: u64| data.word(offset - before as usize);
    let half = |before: u64| number(&data.bytes, offset - before as usize, 4) as u32;
    let (blocks, most_blocks, no_dynamic) =
        (half(params.mapped_count), half(params.mapped_most), half(params.no_dynamic));
    let (bytes, most_bytes) = (word(16), word(8));
    let (lists, cache_largest, cache_count) = (data.word(offset + 8), data.word(offset + 16), data.word(offset + 24));
    let huge_page = params.huge_page.map_or(0, &word);
    let (threshold, arena_max) = (word(params.mmap_threshold), word(params.arena_max));
    let is_sound = no_dynamic <= 1
        && most_blocks <= i32::MAX as u32
        && blocks <= i32::MAX as u32
        && bytes <= most_bytes
        && bytes.is_multiple_of(4096)
        && most_bytes.is_multiple_of(4096)
        && (blocks == 0) == (bytes == 0)
        && (16..=layout.cache_lists).contains(&lists)
        && cache_largest <= 8 << 20
        && cache_count <= 65535
        && arena_max <= 1 << 32
        && (huge_page == 0 || (huge_page.is_power_of_two() && huge_page >= 1 << 16))
        && threshold > 0
        // Nothing else in libc's data looks like three sizes that programs were told of.
        && word(params.top_pad) <= 1 << 40;
    is_sound.then(|| Parameters {
        trim_threshold: word(params.trim_threshold),
        top_pad: word(params.top_pad),
        mmap_threshold: threshold,
        arena_max,
        huge_page,
        is_dynamic: no_dynamic == 0,
        mapped_blocks: u64::from(blocks),
        mapped_bytes: bytes,
        break_start: data.word(offset),
        cache_count,
    })
}
