//! Live bytes per OS page as a heat map: how full the resident OS pages of malloc's heaps are, where the sparse ones lie, and
//! which sizes of block keep them.

use super::spans::{Purpose, Span};
use crate::heap::occupancy::{Content, Holder, Occupancy};
use crate::look::Look;
use crate::proc::residency::{OS_PAGE, Residency, Stretch};

/// Parts that are drawn; the smaller ones are summed up.
const MOST_PARTS: usize = 24;

/// How full OS pages are. The order is that of the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing is resident.
    Absent,
    /// malloc's own tables.
    Own,
    /// Resident, without a live byte.
    Free,
    /// Up to an eighth is live.
    Some,
    /// Up to half.
    Half,
    /// More, but not all.
    Most,
    /// All that is resident is live.
    All,
}

impl Level {
    /// Those that resident OS pages can have.
    pub(crate) const RESIDENT: [Level; 6] =
        [Level::Own, Level::Free, Level::Some, Level::Half, Level::Most, Level::All];

    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Level::Absent => "absent",
            Level::Own => "own_tables",
            Level::Free => "free",
            Level::Some => "up_to_an_eighth",
            Level::Half => "up_to_a_half",
            Level::Most => "above_a_half",
            Level::All => "full",
        }
    }

    /// Name in reports.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Level::Absent => "not resident",
            Level::Own => "malloc's tables",
            Level::Free => "no live byte",
            Level::Some => "up to 1/8 live",
            Level::Half => "up to 1/2 live",
            Level::Most => "above 1/2 live",
            Level::All => "all live",
        }
    }

    fn of(live: u64, resident: u64) -> Level {
        match live {
            _ if live >= resident => Level::All,
            0 => Level::Free,
            _ if live * 8 <= resident => Level::Some,
            _ if live * 2 <= resident => Level::Half,
            _ => Level::Most,
        }
    }
}

/// Address space of one cell of the picture. All figures are resident bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) resident: u64,
    pub(crate) live: u64,
    /// Of malloc's own tables.
    pub(crate) own: u64,
}

impl Cell {
    /// How full it is.
    pub(crate) fn level(&self) -> Level {
        match self.resident {
            0 => Level::Absent,
            resident if resident == self.own => Level::Own,
            resident => Level::of(self.live, resident - self.own),
        }
    }

    fn add(&mut self, other: &Cell) {
        self.resident += other.resident;
        self.live += other.live;
        self.own += other.own;
    }
}

/// A range of a heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) label: String,
    pub(crate) sum: Cell,
    /// From `start` on; the last one may reach beyond `end`.
    pub(crate) cells: Vec<Cell>,
}

/// OS pages of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) os_pages: u64,
    pub(crate) live: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heat {
    /// Bytes of address space of a cell.
    pub(crate) cell: u64,
    pub(crate) parts: Vec<Part>,
    /// Ranges that are not drawn.
    pub(crate) others: u64,
    /// Over all ranges, drawn or not.
    pub(crate) sum: Cell,
    /// Resident OS pages by level, in the order of [`Level::RESIDENT`].
    pub(crate) shares: [Share; Level::RESIDENT.len()],
    /// What would come back most first.
    pub(crate) holders: Vec<Holder>,
    /// Whether a heap was too large to be recorded.
    pub(crate) is_cut: bool,
}

/// The records of all heaps of a process as one.
struct Records<'a>(Vec<&'a Occupancy>);

impl Records<'_> {
    fn at(&self, address: u64) -> Cell {
        let mut cell = Cell { resident: OS_PAGE, ..Cell::default() };
        for content in self.0.iter().map(|record| record.at(address)) {
            match content {
                Content::Live(bytes) => cell.live = (cell.live + bytes).min(OS_PAGE),
                Content::Own => cell.own = OS_PAGE,
            }
        }
        if cell.own > 0 {
            cell.live = 0;
        }
        cell
    }
}

fn is_heap(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::BreakHeap | Purpose::Arena(_) | Purpose::MappedBlocks | Purpose::Brkmap)
}

/// Whether somebody recorded what lies on the OS pages.
fn records(look: &Look) -> Vec<&Occupancy> {
    let ours = look.snapshot.heaps.iter().filter(|heap| heap.has_served()).filter_map(|heap| heap.occupancy.as_ref());
    let glibc = look.glibc.iter().filter(|glibc| !glibc.arenas.is_empty()).filter_map(|glibc| glibc.occupancy.as_ref());
    ours.chain(glibc).collect()
}

impl Heat {
    /// The heat map of a look, in at most `most_cells` cells. `None` where no malloc could be read, or where OS pages were
    /// not asked for.
    pub(crate) fn of(look: &Look, spans: &[Span], most_cells: u64) -> Option<Heat> {
        let records = Records(records(look));
        if records.0.is_empty() {
            return None;
        }
        let mut heaps: Vec<&Span> = spans.iter().filter(|span| is_heap(&span.purpose)).collect();
        let resident = |span: &Span| look.residency.resident(span.start, span.end);
        heaps.retain(|span| resident(span) > 0);
        let mut sizes: Vec<u64> = heaps.iter().map(|span| resident(span)).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let least = sizes.get(MOST_PARTS - 1).copied().unwrap_or(0).max(sizes.iter().sum::<u64>() / 1000);
        let (drawn, others): (Vec<&Span>, Vec<&Span>) = heaps.into_iter().partition(|span| resident(span) >= least);
        let cell = cell_size(&drawn, most_cells);
        let mut heat = Heat {
            cell,
            parts: Vec::new(),
            others: others.len() as u64,
            sum: Cell::default(),
            shares: Default::default(),
            holders: Vec::new(),
            is_cut: records.0.iter().any(|record| record.is_cut),
        };
        for span in drawn.iter().take(MOST_PARTS) {
            let part = heat.part(&records, &look.residency, span, cell);
            heat.parts.push(part);
        }
        for span in others.into_iter().chain(drawn.into_iter().skip(MOST_PARTS)) {
            heat.part(&records, &look.residency, span, span.size().next_multiple_of(OS_PAGE));
        }
        heat.holders = records.0.iter().flat_map(|record| record.holders()).copied().collect();
        heat.holders.sort_by_key(|holder| std::cmp::Reverse((holder.would_return(), holder.os_pages)));
        Some(heat)
    }

    /// Draws a range, and adds it to the sums.
    fn part(&mut self, records: &Records<'_>, residency: &Residency, span: &Span, cell: u64) -> Part {
        let mut cells = vec![Cell::default(); span.size().div_ceil(cell) as usize];
        let mut sum = Cell::default();
        for stretch in residency.within(span.start, span.end).filter(Stretch::is_resident) {
            for at in (stretch.start..stretch.end).step_by(OS_PAGE as usize) {
                let page = records.at(at);
                cells[((at - span.start) / cell) as usize].add(&page);
                sum.add(&page);
                let level = Level::RESIDENT.iter().position(|level| *level == page.level()).unwrap_or(0);
                self.shares[level].os_pages += 1;
                self.shares[level].live += page.live;
            }
        }
        self.sum.add(&sum);
        Part { start: span.start, end: span.end, label: span.purpose.label(), sum, cells }
    }

    /// Bytes of OS pages that hold live bytes and free ones.
    pub(crate) fn sparse(&self) -> u64 {
        let is_sparse = |level: &Level| matches!(level, Level::Some | Level::Half | Level::Most);
        let sparse = Level::RESIDENT.iter().zip(&self.shares).filter(|(level, _)| is_sparse(level));
        sparse.map(|(_, share)| share.os_pages * OS_PAGE).sum()
    }
}

/// The smallest power of two, at least an OS page, with which all ranges fit.
fn cell_size(spans: &[&Span], most_cells: u64) -> u64 {
    let mut cell = OS_PAGE;
    while cell < 1 << 40 && spans.iter().map(|span| span.size().div_ceil(cell)).sum::<u64>() > most_cells {
        cell *= 2;
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_shares_of_what_is_resident() {
        let level = |resident, live, own| Cell { resident, live, own }.level();
        assert_eq!(level(0, 0, 0), Level::Absent);
        assert_eq!(level(OS_PAGE, 0, OS_PAGE), Level::Own);
        assert_eq!(level(OS_PAGE, 0, 0), Level::Free);
        assert_eq!(level(OS_PAGE, 1, 0), Level::Some);
        assert_eq!(level(8 * OS_PAGE, OS_PAGE, 0), Level::Some);
        assert_eq!(level(8 * OS_PAGE, OS_PAGE + 1, 0), Level::Half);
        assert_eq!(level(8 * OS_PAGE, 4 * OS_PAGE, 0), Level::Half);
        assert_eq!(level(8 * OS_PAGE, 4 * OS_PAGE + 1, 0), Level::Most);
        assert_eq!(level(OS_PAGE, OS_PAGE - 1, 0), Level::Most);
        assert_eq!(level(OS_PAGE, OS_PAGE, 0), Level::All);
        assert_eq!(level(2 * OS_PAGE, OS_PAGE, OS_PAGE), Level::All, "of what is not malloc's own");
    }

    #[test]
    fn cells_grow_until_everything_fits() {
        let span = |size| Span { start: 0, end: size, rss: 0, huge: 0, mappings: 1, purpose: Purpose::BreakHeap };
        let (small, large) = (span(64 * OS_PAGE), span(1 << 30));
        assert_eq!(cell_size(&[&small], 64), OS_PAGE);
        assert_eq!(cell_size(&[&small], 63), 2 * OS_PAGE);
        assert_eq!(cell_size(&[&small, &large], 1025), 1 << 20);
        assert_eq!(cell_size(&[&small, &large], 0), 1 << 40, "no room at all");
    }

    #[test]
    fn records_of_several_heaps_are_one() {
        let (mut first, mut second) = (Occupancy::default(), Occupancy::default());
        first.add(0x1000, 0x1100);
        second.add(0x1800, 0x2000);
        second.own(0x2000, 0x3000);
        first.add(0x2000, 0x2010);
        let records = Records(vec![&first, &second]);
        assert_eq!(records.at(0x1000), Cell { resident: OS_PAGE, live: 0x900, own: 0 });
        assert_eq!(records.at(0x2000), Cell { resident: OS_PAGE, live: 0, own: OS_PAGE });
    }
}
