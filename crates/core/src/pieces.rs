//! A walk over all that the engine holds, piece by piece: for statistics, which count and change nothing.

use core::sync::atomic::Ordering::Acquire;

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::geometry::{self, LEAF_SLICES, SLICE, slice_address};
use crate::page::{PageMeta, Status, owner};
use crate::page_map::Leaf;
use crate::spans::Spans;

/// What a piece is.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Free slices: a maximal run of them.
    Free,
    /// A page of blocks, with its owner word.
    Page(&'a PageMeta, usize),
    /// A run of slices that is one block.
    Run,
    /// A direct mapping.
    Direct,
    /// A direct mapping that was freed and is kept.
    Kept,
    /// A slice of a page that is being made or given back at this moment.
    Between,
}

/// Consecutive bytes of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) start: usize,
    pub(crate) bytes: usize,
    /// Where the slice lies in its leaf; of no meaning for direct mappings.
    pub(crate) leaf: &'a Leaf,
    pub(crate) index: usize,
}

impl Piece<'_> {
    /// Does it lie on the program break?
    pub(crate) fn is_on_break(&self) -> bool {
        !matches!(self.kind, Kind::Direct | Kind::Kept) && self.leaf.on_break.get(self.index)
    }

    /// Of a run: what its block holds.
    pub(crate) fn run_usable(&self) -> usize {
        self.bytes - self.leaf.metas[self.index].shift().min(geometry::SHIFT_MAX)
    }
}

impl<P: Platform> Engine<P> {
    /// Visits all slices of the store, and all direct mappings, live and kept. Under the store's lock: pages are made and released there,
    /// so a page that is found in use keeps its table and its shape meanwhile. Direct mappings come and go.
    pub(crate) fn each_piece(&self, _spans: &Spans, mut visit: impl FnMut(&Piece<'_>)) {
        for leaf in self.map.leaves() {
            let mut index = 0;
            while index < LEAF_SLICES {
                if index % 64 == 0 && leaf.owned.word(index / 64) | leaf.direct.word(index / 64) == 0 {
                    index += 64;
                    continue;
                }
                if leaf.direct.get(index)
                    && let Some(direct) = direct_piece(leaf, index)
                {
                    visit(&direct);
                }
                if leaf.owned.get(index) {
                    let piece = owned_piece(leaf, index);
                    visit(&piece);
                    index += (piece.bytes / SLICE).max(1);
                } else {
                    index += 1;
                }
            }
        }
    }
}

fn direct_piece(leaf: &Leaf, index: usize) -> Option<Piece<'_>> {
    let page = &leaf.metas[index];
    let kind = match page.owner.load(Acquire) {
        owner::DIRECT => Kind::Direct,
        owner::KEPT => Kind::Kept,
        _ => return None,
    };
    Some(Piece { kind, start: page.start(), bytes: page.span_bytes(), leaf, index })
}

fn owned_piece(leaf: &Leaf, index: usize) -> Piece<'_> {
    let page = &leaf.metas[index];
    let on_break = leaf.on_break.get(index);
    let is_alike = |at: &usize| leaf.owned.get(*at) && leaf.free.get(*at) && leaf.on_break.get(*at) == on_break;
    let (kind, bytes) = if leaf.free.get(index) {
        let end = (index + 1..LEAF_SLICES).find(|at| !is_alike(at)).unwrap_or(LEAF_SLICES);
        (Kind::Free, (end - index) * SLICE)
    } else {
        match page.owner.load(Acquire) {
            owner::NONE | owner::INTERIOR | owner::DIRECT | owner::KEPT => (Kind::Between, SLICE),
            owner::RUN => (Kind::Run, page.span_bytes()),
            _ if page.status() == Status::None => (Kind::Between, SLICE),
            word => (Kind::Page(page, word), classes::slices(page.class()) * SLICE),
        }
    };
    // A run that is being resized may claim what it does not have any more; none crosses a leaf.
    let bytes = bytes.clamp(SLICE, (LEAF_SLICES - index) * SLICE) / SLICE * SLICE;
    Piece { kind, start: slice_address(leaf.first_slice() + index as u32), bytes, leaf, index }
}
