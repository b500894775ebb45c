//! Every resident byte under one reason.
//!
//! Invariant `[sum]`: the rows of a waterfall sum to its RSS, exactly. RSS is the sum over `smaps`: the kernel walks the
//! page tables for it, while `VmRSS` may come from counters that lag behind. Where `smaps` may not be read `VmRSS` has to do,
//! and all of it is unexplained.

use super::rows::Rows;
use super::snapshot::Snapshot;
use crate::heap::Heap;
use crate::proc::smaps::Mapping;

/// Why bytes are resident, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Live,
    Rounding,
    Caches,
    Pinned,
    Returnable,
    Metadata,
    BreakHeap,
    Anonymous,
    Stacks,
    Programs,
    Files,
    Unexplained,
}

impl Kind {
    /// All kinds in order.
    pub(crate) const ALL: [Kind; 12] = [
        Kind::Live,
        Kind::Rounding,
        Kind::Caches,
        Kind::Pinned,
        Kind::Returnable,
        Kind::Metadata,
        Kind::BreakHeap,
        Kind::Anonymous,
        Kind::Stacks,
        Kind::Programs,
        Kind::Files,
        Kind::Unexplained,
    ];

    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::Live => "live",
            Kind::Rounding => "rounding",
            Kind::Caches => "thread_caches",
            Kind::Pinned => "pinned_free",
            Kind::Returnable => "returnable",
            Kind::Metadata => "metadata",
            Kind::BreakHeap => "break_heap",
            Kind::Anonymous => "other_anonymous",
            Kind::Stacks => "stacks",
            Kind::Programs => "programs_and_libraries",
            Kind::Files => "other_files",
            Kind::Unexplained => "unexplained",
        }
    }

    /// Name in the report. `ours` tells whether brkmap's heap could be read.
    pub(crate) fn label(self, ours: bool) -> &'static str {
        match (self, ours) {
            (Kind::Live, _) => "live blocks",
            (Kind::Rounding, _) => "rounding inside blocks (estimate)",
            (Kind::Caches, _) => "thread caches",
            (Kind::Pinned, _) => "free, on OS pages with live blocks",
            (Kind::Returnable, _) => "free, whole OS pages (returnable)",
            (Kind::Metadata, true) => "malloc's own tables",
            (Kind::Metadata, false) => "brkmap's tables, unused",
            (Kind::BreakHeap, true) => "[heap] outside brkmap",
            (Kind::BreakHeap, false) => "[heap] (program break)",
            (Kind::Anonymous, true) => "other anonymous memory",
            (Kind::Anonymous, false) => "anonymous memory",
            (Kind::Stacks, _) => "stacks",
            (Kind::Programs, _) => "program and libraries",
            (Kind::Files, _) => "other files, shared memory",
            (Kind::Unexplained, _) => "unexplained",
        }
    }

    /// Whether malloc decides over these bytes.
    pub(crate) fn is_malloc(self) -> bool {
        self <= Kind::Metadata
    }
}

/// Resident bytes by reason; see the invariant above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waterfall {
    rows: Rows<{ Kind::ALL.len() }>,
    /// Whether the rows of malloc come from brkmap's own structures.
    pub(crate) ours: bool,
}

impl Waterfall {
    /// Bytes of one row.
    pub(crate) fn get(&self, kind: Kind) -> u64 {
        self.rows.get(kind as usize)
    }

    /// Resident bytes: the sum of the rows.
    pub(crate) fn rss(&self) -> u64 {
        self.rows.sum()
    }

    /// Bytes that malloc decides over.
    pub(crate) fn malloc(&self) -> u64 {
        Kind::ALL.iter().filter(|kind| kind.is_malloc()).map(|&kind| self.get(kind)).sum()
    }

    /// Sorts the resident bytes of a process.
    pub(crate) fn of(snapshot: &Snapshot) -> Waterfall {
        let mut waterfall = Waterfall { ours: snapshot.heaps.iter().any(Heap::has_served), ..Waterfall::default() };
        for heap in &snapshot.heaps {
            waterfall.add_heap(heap);
        }
        if snapshot.unreadable {
            waterfall.rows = Rows::default();
            waterfall.rows.add(Kind::Unexplained as usize, snapshot.status.rss);
            return waterfall;
        }
        for (index, mapping) in snapshot.mappings.iter().enumerate() {
            let explained: u64 = snapshot.heaps.iter().filter_map(|heap| heap.explained.get(index)).sum();
            let rest = mapping.rss.saturating_sub(explained);
            // The engine's books are complete: what is not in them belongs to the program, also in a mapping that both
            // share (the kernel joins neighbours without names). Unless the books could not be read to the end.
            let is_cut = explained > 0 && snapshot.heap_error.is_some();
            let kind = if is_cut { Kind::Unexplained } else { kind_of(&snapshot.mappings, index) };
            waterfall.rows.add(kind as usize, rest);
        }
        let rss: u64 = snapshot.mappings.iter().map(|mapping| mapping.rss).sum();
        waterfall.rows.settle(rss, FREE_FIRST.map(|kind| kind as usize), Kind::Unexplained as usize);
        waterfall
    }

    fn add_heap(&mut self, heap: &Heap) {
        let rows = [heap.live, heap.rounding, heap.caches, heap.pinned, heap.returnable, heap.metadata];
        for (row, bytes) in rows.into_iter().enumerate() {
            self.rows.add(row, bytes);
        }
        self.rows.add(Kind::Unexplained as usize, heap.unclear);
    }
}

/// What is too much comes off the free rows first: such an OS page was not written.
const FREE_FIRST: [Kind; 7] =
    [Kind::Returnable, Kind::Unexplained, Kind::Metadata, Kind::Pinned, Kind::Caches, Kind::Rounding, Kind::Live];

/// What a mapping is for, as far as its name and neighbours tell.
pub(crate) fn kind_of(mappings: &[Mapping], index: usize) -> Kind {
    let mapping = &mappings[index];
    match mapping.name.as_str() {
        "[heap]" => return Kind::BreakHeap,
        "[vdso]" | "[vvar]" | "[vvar_vclock]" | "[vsyscall]" | "[uprobes]" => return Kind::Programs,
        name if name.starts_with("[stack") => return Kind::Stacks,
        name if name.starts_with("[anon:brkmap") => return Kind::Unexplained,
        name if name.starts_with("[anon_shmem:") => return Kind::Files,
        name if name.starts_with("[anon") => return Kind::Anonymous,
        _ => {}
    }
    if mapping.inode != 0 || !mapping.name.is_empty() {
        let is_program =
            |other: &Mapping| other.executable && other.inode == mapping.inode && other.name == mapping.name;
        return if mappings.iter().any(is_program) { Kind::Programs } else { Kind::Files };
    }
    // The zeroed data of a program or library is an anonymous mapping that begins where its file mapping ends.
    let before = index.checked_sub(1).map(|before| &mappings[before]);
    match before {
        Some(data) if data.end == mapping.start && data.writable && data.inode != 0 && mapping.writable => {
            Kind::Programs
        }
        // A thread's stack: libc puts an unreadable guard right below it.
        Some(guard) if is_guard(guard, mapping) => Kind::Stacks,
        _ => Kind::Anonymous,
    }
}

/// Whether `guard` looks like the guard pages of the thread stack `stack`. Heaps have guards as well; the default sizes of
/// stacks (with the guard, 8 MiB in C and 2 MiB in Rust) tell them apart.
fn is_guard(guard: &Mapping, stack: &Mapping) -> bool {
    let closed = !guard.readable && !guard.writable && !guard.executable && guard.name.is_empty();
    closed
        && guard.end == stack.start
        && guard.size() <= 64 << 10
        && stack.writable
        && (guard.size() + stack.size()).is_multiple_of(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::check_order_and_keys;
    use crate::proc::smaps::parse;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot { mappings: parse(text), ..Snapshot::default() }
    }

    const PLAIN: &str = "\
1000-2000 r-xp 0 0:0 7 /bin/a\nRss: 4 kB
2000-3000 rw-p 0 0:0 7 /bin/a\nRss: 4 kB
3000-5000 rw-p 0 0:0 0\nRss: 8 kB
6000-9000 rw-p 0 0:0 0 [heap]\nRss: 12 kB
a000-b000 r--p 0 0:0 9 /data\nRss: 4 kB
c000-d000 ---p 0 0:0 0\nRss: 0 kB
d000-20c000 rw-p 0 0:0 0\nRss: 16 kB
400000-500000 rw-p 0 0:0 0\nRss: 20 kB
600000-700000 rw-p 0 0:0 0 [anon:brkmap heap]\nRss: 24 kB
800000-900000 rw-p 0 0:0 0 [stack]\nRss: 28 kB
";

    #[test]
    fn mappings_are_sorted_by_what_they_are() {
        let waterfall = Waterfall::of(&snapshot(PLAIN));
        let kib = |kind| waterfall.get(kind) >> 10;
        assert_eq!(kib(Kind::Programs), 16, "code, data and zeroed data");
        assert_eq!(kib(Kind::BreakHeap), 12);
        assert_eq!(kib(Kind::Files), 4);
        assert_eq!(kib(Kind::Stacks), 16 + 28, "a thread's and the first one");
        assert_eq!(kib(Kind::Anonymous), 20);
        assert_eq!(kib(Kind::Unexplained), 24, "named as ours, but not explained by the heap");
        assert_eq!(waterfall.rss() >> 10, 120);
        assert!(!waterfall.ours);
    }

    #[test]
    fn rows_sum_to_rss_whatever_the_heap_claims() {
        let mut snapshot = snapshot(PLAIN);
        let rss: u64 = snapshot.mappings.iter().map(|m| m.rss).sum();
        for explained in [0, 4 << 10, 24 << 10, 100 << 10] {
            let mut per_mapping = vec![0; snapshot.mappings.len()];
            per_mapping[8] = explained;
            snapshot.heaps = vec![Heap { in_use: true, live: explained, explained: per_mapping, ..Heap::default() }];
            let waterfall = Waterfall::of(&snapshot);
            assert_eq!(waterfall.rss(), rss, "explained {explained}");
            assert_eq!(waterfall.get(Kind::Live), explained.min(24 << 10));
            snapshot.heaps[0].live /= 2;
            let cut_short = Waterfall::of(&snapshot);
            assert_eq!(cut_short.rss(), rss, "explained {explained}, half of it without a row");
        }
    }

    #[test]
    fn what_may_not_be_read_is_unexplained() {
        let mut snapshot = Snapshot { unreadable: true, ..Snapshot::default() };
        snapshot.status.rss = 5 << 20;
        let waterfall = Waterfall::of(&snapshot);
        assert_eq!((waterfall.rss(), waterfall.get(Kind::Unexplained)), (5 << 20, 5 << 20));
    }

    #[test]
    fn what_an_unfinished_walk_left_is_unexplained() {
        let mut snapshot = snapshot("1000-5000 rw-p 0 0:0 0\nRss: 16 kB\n");
        snapshot.heaps =
            vec![Heap { in_use: true, live: 4096, unclear: 4096, explained: vec![8192], ..Heap::default() }];
        assert_eq!(Waterfall::of(&snapshot).get(Kind::Anonymous), 8192);
        assert_eq!(Waterfall::of(&snapshot).get(Kind::Unexplained), 4096);
        snapshot.heap_error = Some("cut".to_owned());
        assert_eq!(Waterfall::of(&snapshot).get(Kind::Unexplained), 12288);
    }

    #[test]
    fn pages_of_zeros_come_off_the_free_rows_first() {
        let mut snapshot = snapshot("1000-5000 rw-p 0 0:0 0 [heap]\nRss: 8 kB\n");
        let heap = Heap { in_use: true, live: 4096, returnable: 8192, explained: vec![12288], ..Heap::default() };
        snapshot.heaps = vec![heap];
        let waterfall = Waterfall::of(&snapshot);
        assert_eq!((waterfall.get(Kind::Live), waterfall.get(Kind::Returnable)), (4096, 4096));
        assert_eq!(waterfall.rss(), 8192);
        assert_eq!(waterfall.malloc(), 8192);
    }

    #[test]
    fn order_and_keys_are_one_to_one() {
        check_order_and_keys(Kind::ALL.iter().map(|kind| (*kind as usize, kind.key())));
    }
}
