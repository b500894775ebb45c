//! Every resident byte of a foreign process under one reason: the waterfall of `brkmap inspect`.
//!
//! Invariant `[sum]`, as for [`super::waterfall`]: the rows sum to RSS, exactly.

use super::rows::Rows;
use super::waterfall;
use crate::heap::glibc::{Figures, Glibc};
use crate::heap::runtime::kind::{self, Runtime};
use crate::look::Look;

/// Why bytes are resident, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Live,
    Mapped,
    Headers,
    Rounding,
    Caches,
    Pinned,
    Returnable,
    KeptTop,
    Metadata,
    RuntimeLive,
    RuntimeFree,
    Runtime,
    BreakHeap,
    Anonymous,
    Stacks,
    Programs,
    Files,
    Unexplained,
}

impl Row {
    /// All rows in order.
    pub(crate) const ALL: [Row; 18] = [
        Row::Live,
        Row::Mapped,
        Row::Headers,
        Row::Rounding,
        Row::Caches,
        Row::Pinned,
        Row::Returnable,
        Row::KeptTop,
        Row::Metadata,
        Row::RuntimeLive,
        Row::RuntimeFree,
        Row::Runtime,
        Row::BreakHeap,
        Row::Anonymous,
        Row::Stacks,
        Row::Programs,
        Row::Files,
        Row::Unexplained,
    ];

    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Row::Live => "live",
            Row::Mapped => "live_mapped",
            Row::Headers => "headers",
            Row::Rounding => "rounding",
            Row::Caches => "thread_caches",
            Row::Pinned => "pinned_free",
            Row::Returnable => "returnable",
            Row::KeptTop => "arena_tops",
            Row::Metadata => "metadata",
            Row::RuntimeLive => "runtime_live",
            Row::RuntimeFree => "runtime_free",
            Row::Runtime => "runtime",
            Row::BreakHeap => "break_heap",
            Row::Anonymous => "other_anonymous",
            Row::Stacks => "stacks",
            Row::Programs => "programs_and_libraries",
            Row::Files => "other_files",
            Row::Unexplained => "unexplained",
        }
    }

    /// Whether malloc decides over these bytes.
    pub(crate) fn is_malloc(self) -> bool {
        self <= Row::Metadata
    }

    /// Whether the bytes are free memory that malloc or a runtime keeps.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Row::Caches | Row::Pinned | Row::Returnable | Row::KeptTop | Row::RuntimeFree)
    }
}

/// Resident bytes by reason; see the invariant above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Xray {
    rows: Rows<{ Row::ALL.len() }>,
    /// Who the rows of a runtime are about.
    pub(crate) runtime: Option<Runtime>,
    /// Whose the row of other anonymous memory must be.
    pub(crate) rest: Option<Runtime>,
    /// Whether a malloc's own structures were read.
    pub(crate) malloc_seen: bool,
}

impl Xray {
    /// Bytes of one row.
    pub(crate) fn get(&self, row: Row) -> u64 {
        self.rows.get(row as usize)
    }

    /// Resident bytes: the sum of the rows.
    pub(crate) fn rss(&self) -> u64 {
        self.rows.sum()
    }

    /// What the program holds of malloc.
    pub(crate) fn live(&self) -> u64 {
        [Row::Live, Row::Mapped, Row::Headers, Row::Rounding].into_iter().map(|row| self.get(row)).sum()
    }

    /// Name of a row.
    pub(crate) fn label(&self, row: Row) -> String {
        let runtime = self.runtime.map_or("runtime", Runtime::name);
        let text = match row {
            Row::Live => "live blocks",
            Row::Mapped => "live blocks, own mappings",
            Row::Headers => "headers of live blocks",
            Row::Rounding => "rounding inside blocks (estimate)",
            Row::Caches => "thread caches",
            Row::Pinned => "free, on OS pages that stay",
            Row::Returnable => "free, whole OS pages (returnable)",
            Row::KeptTop => "free, tops of thread arenas",
            Row::Metadata => "malloc's own tables",
            Row::RuntimeLive if self.runtime == Some(Runtime::CPython) => "Python objects (obmalloc)",
            Row::RuntimeLive => return format!("{runtime}, in use"),
            Row::RuntimeFree if self.runtime == Some(Runtime::CPython) => "free inside obmalloc",
            Row::RuntimeFree => return format!("{runtime}, free"),
            Row::Runtime => self.rest.or(self.runtime).map_or(runtime, Runtime::name),
            Row::BreakHeap if self.malloc_seen => "[heap] outside malloc",
            Row::BreakHeap => "[heap] (program break)",
            Row::Anonymous if self.malloc_seen => "other anonymous memory",
            Row::Anonymous => "anonymous memory",
            Row::Stacks => "stacks",
            Row::Programs => "program and libraries",
            Row::Files => "other files, shared memory",
            Row::Unexplained => "unexplained",
        };
        text.to_owned()
    }

    /// Sorts the resident bytes of a look.
    pub(crate) fn of(look: &Look) -> Xray {
        let snapshot = &look.snapshot;
        let mut xray = Xray { rest: kind::of_the_rest(&look.runtimes), ..Xray::default() };
        if let Some(glibc) = &look.glibc {
            xray.add_glibc(glibc);
        }
        for heap in &snapshot.heaps {
            xray.malloc_seen |= heap.has_served();
            xray.add(&[
                (Row::Live, heap.live),
                (Row::Rounding, heap.rounding),
                (Row::Caches, heap.caches),
                (Row::Pinned, heap.pinned),
                (Row::Returnable, heap.returnable),
                (Row::Metadata, heap.metadata),
                (Row::Unexplained, heap.unclear),
            ]);
        }
        for heap in &look.foreign {
            xray.runtime = Some(heap.runtime);
            match heap.live {
                Some(live) => xray.add(&[(Row::RuntimeLive, live), (Row::RuntimeFree, heap.resident - live)]),
                None => xray.add(&[(Row::Runtime, heap.resident)]),
            }
        }
        xray.add_mappings(look);
        let rss: u64 = snapshot.mappings.iter().map(|mapping| mapping.rss).sum();
        let order = FREE_FIRST.into_iter().chain(Row::ALL).map(|row| row as usize);
        xray.rows.settle(rss, order, Row::Unexplained as usize);
        xray
    }

    fn add(&mut self, rows: &[(Row, u64)]) {
        for (row, bytes) in rows {
            self.rows.add(*row as usize, *bytes);
        }
    }

    fn add_glibc(&mut self, glibc: &Glibc) {
        self.malloc_seen |= !glibc.arenas.is_empty();
        let Figures { live, headers, caches, pinned, returnable, kept_top, metadata, unclear, foreign, .. } =
            glibc.total();
        self.add(&[
            (Row::Live, live),
            (Row::Headers, headers),
            (Row::Caches, caches),
            (Row::Pinned, pinned),
            (Row::Returnable, returnable),
            (Row::KeptTop, kept_top),
            (Row::Metadata, metadata),
            (Row::Unexplained, unclear),
            (Row::BreakHeap, foreign),
            (Row::Mapped, glibc.mapped.resident),
        ]);
    }

    /// What nobody explained goes by what its mapping is for.
    fn add_mappings(&mut self, look: &Look) {
        let mappings = &look.snapshot.mappings;
        // A malloc that is there and was not understood: nobody knows whose its memory is.
        let is_refused = look.glibc.as_ref().is_some_and(|glibc| glibc.layout.is_none());
        for (index, mapping) in mappings.iter().enumerate() {
            let by_brkmap: u64 = look.snapshot.heaps.iter().filter_map(|heap| heap.explained.get(index)).sum();
            let by_glibc = look.glibc.as_ref().and_then(|glibc| glibc.explained.get(index)).copied().unwrap_or(0);
            let by_runtimes: u64 = look.foreign.iter().filter_map(|heap| heap.explained.get(index)).sum();
            let rest = mapping.rss.saturating_sub(by_brkmap + by_glibc + by_runtimes);
            let is_cut = by_brkmap > 0 && look.snapshot.heap_error.is_some();
            let row = match waterfall::kind_of(mappings, index) {
                _ if is_cut => Row::Unexplained,
                waterfall::Kind::BreakHeap if is_refused => Row::Unexplained,
                // Another malloc may take its memory from the break (tcmalloc does).
                waterfall::Kind::BreakHeap if by_glibc == 0 && self.rest.is_some_and(Runtime::is_malloc) => {
                    Row::Runtime
                }
                waterfall::Kind::BreakHeap => Row::BreakHeap,
                waterfall::Kind::Anonymous if is_refused => Row::Unexplained,
                waterfall::Kind::Anonymous if self.rest.is_some() => Row::Runtime,
                waterfall::Kind::Stacks => Row::Stacks,
                waterfall::Kind::Programs => Row::Programs,
                waterfall::Kind::Files => Row::Files,
                waterfall::Kind::Unexplained => Row::Unexplained,
                _ => Row::Anonymous,
            };
            self.add(&[(row, rest)]);
        }
    }
}

/// What is too much comes off the free rows first, then off the others in their order.
const FREE_FIRST: [Row; 6] =
    [Row::Returnable, Row::KeptTop, Row::Unexplained, Row::Pinned, Row::RuntimeFree, Row::Metadata];

#[cfg(test)]
impl Xray {
    /// One with these rows.
    pub(crate) fn with(rows: &[(Row, u64)]) -> Xray {
        let mut xray = Xray { malloc_seen: true, ..Xray::default() };
        xray.add(rows);
        xray
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rows::check_order_and_keys;

    #[test]
    fn order_and_keys_are_one_to_one() {
        check_order_and_keys(Row::ALL.iter().map(|row| (*row as usize, row.key())));
    }
}
