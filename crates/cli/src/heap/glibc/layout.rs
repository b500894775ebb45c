//! How glibc's malloc lies in memory, by version (x86-64). One table; everything else in this folder asks it.
//!
//! Offsets are from `malloc/malloc.c` and `malloc/arena.c` of each version (`struct malloc_state`, `struct malloc_par`,
//! `heap_info`, `tcache_perthread_struct`) and were checked on the libc6 packages of Debian 11 (2.31), 12 (2.36), 13 (2.41)
//! and of Debian's development branch in November 2026 (2.43).

/// Bytes of a chunk's two leading words, of which the first belongs to the chunk before while that is in use.
pub(crate) const HEADER: u64 = 16;
/// Smallest chunk.
pub(crate) const LEAST: u64 = 32;
/// What `malloc_trim` leaves at the start of a free chunk: `sizeof (struct malloc_chunk)`.
pub(crate) const CHUNK_STRUCT: u64 = 48;
/// Distance and alignment of the heaps of thread arenas: `HEAP_MAX_SIZE`.
pub(crate) const HEAP_SPAN: u64 = 64 << 20;
/// Bits in a chunk's size word.
pub(crate) const PREV_IN_USE: u64 = 1;
pub(crate) const IS_MAPPED: u64 = 2;
pub(crate) const NOT_MAIN: u64 = 4;
/// Number of bins, the unsorted one first.
pub(crate) const BINS: u64 = 127;
/// Number of lists of small free chunks, where there are any.
pub(crate) const FAST_LISTS: u64 = 10;

/// Largest chunk on such a list.
pub(crate) const FAST_LARGEST: u64 = (FAST_LISTS + 1) * 16;

/// How a thread's cache counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// 16-bit numbers of blocks in each list.
    Held,
    /// 16-bit numbers of blocks for which a list still has room.
    Room,
}

/// Where the parts are, in one range of versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// First and last minor version.
    pub(crate) versions: (u16, u16),
    /// `malloc_state`: the lists of small free chunks, or `None` where there are none any more.
    pub(crate) fast: Option<u64>,
    pub(crate) top: u64,
    pub(crate) bins: u64,
    pub(crate) next: u64,
    pub(crate) system: u64,
    /// Bytes of `malloc_state`.
    pub(crate) state_bytes: u64,
    /// Bytes of `heap_info`.
    pub(crate) heap_info: u64,
    /// Links of one-way lists are combined with their own address.
    pub(crate) mangled: bool,
    /// `malloc_par`, as distances in front of `sbrk_base`.
    pub(crate) params: Params,
    /// `tcache_perthread_struct`.
    pub(crate) cache_counts: Counts,
    pub(crate) cache_lists: u64,
    /// What a block's own mapping is larger than the size in its header.
    pub(crate) mapped_more: u64,
}

/// Distances of fields in front of `sbrk_base` in `malloc_par`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) trim_threshold: u64,
    pub(crate) top_pad: u64,
    pub(crate) mmap_threshold: u64,
    pub(crate) arena_max: u64,
    /// Size of huge pages to trim by; `None` in versions without.
    pub(crate) huge_page: Option<u64>,
    pub(crate) mapped_count: u64,
    pub(crate) mapped_most: u64,
    pub(crate) no_dynamic: u64,
}

const OLD_PARAMS: Params = Params {
    trim_threshold: 72,
    top_pad: 64,
    mmap_threshold: 56,
    arena_max: 40,
    huge_page: None,
    mapped_count: 32,
    mapped_most: 28,
    no_dynamic: 20,
};

const HUGE_PARAMS: Params = Params {
    trim_threshold: 96,
    top_pad: 88,
    mmap_threshold: 80,
    arena_max: 64,
    huge_page: Some(56),
    mapped_count: 36,
    mapped_most: 32,
    no_dynamic: 24,
};

const BASE: Layout = Layout {
    versions: (30, 31),
    fast: Some(0x10),
    top: 0x60,
    bins: 0x70,
    next: 0x870,
    system: 0x888,
    state_bytes: 0x898,
    heap_info: 0x20,
    mangled: false,
    params: OLD_PARAMS,
    cache_counts: Counts::Held,
    cache_lists: 64,
    mapped_more: 0,
};

/// All known layouts, oldest first.
pub(crate) const ALL: [Layout; 4] = [
    BASE,
    // Links are mangled.
    Layout { versions: (32, 34), mangled: true, ..BASE },
    // Huge pages: `heap_info` and `malloc_par` grow.
    Layout { versions: (35, 41), mangled: true, heap_info: 0x30, params: HUGE_PARAMS, ..BASE },
    // No lists of small free chunks, more lists in a thread's cache, `thp_mode` in `malloc_par`, a mapped chunk's size
    // without its header.
    Layout {
        versions: (43, 43),
        fast: None,
        top: 0x8,
        bins: 0x18,
        next: 0x818,
        system: 0x830,
        state_bytes: 0x840,
        heap_info: 0x30,
        mangled: true,
        params: Params { trim_threshold: 104, top_pad: 96, mmap_threshold: 88, arena_max: 72, ..HUGE_PARAMS },
        cache_counts: Counts::Room,
        cache_lists: 76,
        mapped_more: 16,
    },
];

impl Layout {
    /// Layouts to try for a version, the likeliest first: its own, or where the version is unknown or between the known
    /// ones, all of them. Which is right is then for the invariants to say.
    pub(crate) fn candidates(minor: Option<u16>) -> Vec<&'static Layout> {
        let own =
            |layout: &&Layout| minor.is_some_and(|minor| (layout.versions.0..=layout.versions.1).contains(&minor));
        match ALL.iter().find(own) {
            Some(layout) => vec![layout],
            None => ALL.iter().rev().collect(),
        }
    }

    /// Bytes of the chunk that holds a thread's cache.
    pub(crate) fn cache_chunk(&self) -> u64 {
        (self.cache_lists * 10 + 8).next_multiple_of(16).max(LEAST)
    }

    /// Offset of the heads of lists in a thread's cache.
    pub(crate) fn cache_heads(&self) -> u64 {
        (self.cache_lists * 2).next_multiple_of(8)
    }

    /// Decodes a link that lies at an address.
    pub(crate) fn link(&self, at: u64, raw: u64) -> u64 {
        if self.mangled { raw ^ (at >> 12) } else { raw }
    }

    /// First chunk behind an arena's own structure in its first heap.
    pub(crate) fn first_chunk(&self, arena: u64) -> u64 {
        (arena + self.state_bytes).next_multiple_of(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_do_not_overlap_and_offsets_fit() {
        for pair in ALL.windows(2) {
            assert!(pair[0].versions.1 < pair[1].versions.0);
        }
        for layout in &ALL {
            assert_eq!(layout.bins - layout.top, 16, "top and last_remainder stand in front of the bins");
            assert_eq!(layout.next, layout.bins + BINS * 16 + 16, "the bitmap of bins stands behind them");
            assert_eq!(layout.system, layout.next + 24);
            assert_eq!(layout.state_bytes, layout.system + 16);
            let params = &layout.params;
            assert!(params.trim_threshold == params.top_pad + 8 && params.top_pad == params.mmap_threshold + 8);
        }
        assert_eq!(ALL[0].cache_chunk(), 0x290);
        assert_eq!(ALL[3].cache_chunk(), 0x300);
    }

    #[test]
    fn a_known_version_has_one_candidate() {
        assert_eq!(Layout::candidates(Some(36)), [&ALL[2]]);
        assert_eq!(Layout::candidates(Some(31)), [&ALL[0]]);
        assert_eq!(Layout::candidates(Some(99)).len(), ALL.len());
        assert_eq!(Layout::candidates(None)[0], &ALL[3]);
    }

    #[test]
    fn links_are_decoded() {
        assert_eq!(ALL[0].link(0x5000_1010, 0x42), 0x42);
        assert_eq!(ALL[2].link(0x5000_1010, 0x5000_1230 ^ 0x5_0001), 0x5000_1230);
    }
}
