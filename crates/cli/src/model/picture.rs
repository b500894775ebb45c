//! The address space of a process as it is drawn, in text or as SVG: which ranges get a line, which share one, where the gaps
//! are. A picture knows nothing of the process any more and can be drawn anywhere.

use super::heat::Heat;
use super::spans::{Purpose, Span, spans};
use crate::look::Look;
use crate::proc::residency::{Residency, Stretch, category};

/// Gaps smaller than this are not drawn.
const GAP: u64 = 1 << 20;
/// A heap in more ranges than this is in pieces: small ones share lines.
const PIECES: usize = 8;

/// How finely to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain {
    /// Cells of a range.
    pub(crate) cells: u64,
    /// Cells of the heat map in all.
    pub(crate) heat: u64,
    /// A line for each range, however small.
    pub(crate) all: bool,
}

impl Grain {
    /// As an SVG shows it.
    pub(crate) const SVG: Grain = Grain { cells: 100, heat: 4096, all: false };
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    BreakHeap,
    Arena,
    MappedBlocks,
    Brkmap,
    Runtime,
    Anonymous,
    Stack,
    Program,
    File,
    Shared,
    Reserved,
}

impl Group {
    /// Of a purpose.
    pub(crate) fn of(purpose: &Purpose) -> Group {
        match purpose {
            Purpose::BreakHeap => Group::BreakHeap,
            Purpose::Arena(_) => Group::Arena,
            Purpose::MappedBlocks => Group::MappedBlocks,
            Purpose::Brkmap => Group::Brkmap,
            Purpose::Runtime(_) => Group::Runtime,
            Purpose::Anonymous => Group::Anonymous,
            Purpose::Stack => Group::Stack,
            Purpose::Program(_) => Group::Program,
            Purpose::File(_) => Group::File,
            Purpose::Shared(_) => Group::Shared,
            Purpose::Reserved => Group::Reserved,
        }
    }

    /// Name in legends.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Group::BreakHeap => "break heap",
            Group::Arena => "thread arenas",
            Group::MappedBlocks => "mapped blocks",
            Group::Brkmap => "brkmap",
            Group::Runtime => "a runtime's heap",
            Group::Anonymous => "other anonymous",
            Group::Stack => "stacks",
            Group::Program => "program, libraries",
            Group::File => "files",
            Group::Shared => "shared memory",
            Group::Reserved => "reserved",
        }
    }
}

/// A range with a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) rss: u64,
    pub(crate) huge: u64,
    pub(crate) group: Group,
    pub(crate) label: String,
    /// Resident share of each part, in per cent. `None` where only the sum is known: files.
    pub(crate) cells: Option<Vec<u64>>,
    /// Whether each part has memory on huge pages.
    pub(crate) huge_cells: Vec<bool>,
}

/// One line of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// So many bytes of nothing.
    Gap(u64),
    Range(Range),
    /// Small ranges that share a line.
    Few {
        start: u64,
        size: u64,
        rss: u64,
        label: String,
    },
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// Bytes of address space and resident ones.
    pub(crate) size: u64,
    pub(crate) rss: u64,
    /// Low to high.
    pub(crate) items: Vec<Item>,
    /// How full the OS pages of malloc's heaps are, if that was looked at.
    pub(crate) heat: Option<Heat>,
}

impl Picture {
    /// The picture of a look.
    pub(crate) fn of(pid: i32, look: &Look, grain: Grain) -> Picture {
        let spans = spans(look);
        let mut picture = Picture {
            name: look.snapshot.status.name.clone(),
            pid,
            size: spans.iter().map(Span::size).sum(),
            rss: spans.iter().map(|span| span.rss).sum(),
            items: Vec::new(),
            heat: Heat::of(look, &spans, grain.heat),
        };
        picture.items = items(&spans, &look.residency, picture.rss, grain);
        picture
    }

    /// The ranges that have a line, low to high.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.items.iter().filter_map(|item| match item {
            Item::Range(range) => Some(range),
            _ => None,
        })
    }
}

fn items(spans: &[Span], residency: &Residency, rss: u64, grain: Grain) -> Vec<Item> {
    // A heap in hundreds of pieces all over the address space (V8's) would hide the rest.
    let pieces = |purpose: &Purpose| spans.iter().filter(|span| span.purpose == *purpose).count();
    let is_small = |span: &Span| {
        let is_piece = || span.rss < rss / 100 && pieces(&span.purpose) > PIECES;
        !grain.all && (span.rss < rss / 1000 || span.rss == 0 || is_piece())
    };
    let mut items = Vec::new();
    let mut small: Vec<&Span> = Vec::new();
    let mut end = None;
    for span in spans {
        let gap = end.map_or(0, |end| span.start.saturating_sub(end));
        end = Some(span.end);
        let is_small = is_small(span);
        if gap >= GAP && !is_small {
            items.extend(few(&mut small));
            items.push(Item::Gap(gap));
        }
        if is_small {
            small.push(span);
            continue;
        }
        items.extend(few(&mut small));
        items.push(Item::Range(range(span, residency, grain.cells)));
    }
    items.extend(few(&mut small));
    items
}

fn range(span: &Span, residency: &Residency, cells: u64) -> Range {
    let border = |cell: u64| span.start + (u128::from(span.size()) * u128::from(cell) / u128::from(cells)) as u64;
    let is_huge = |stretch: Stretch| stretch.categories & category::HUGE != 0;
    let has_huge = |cell: u64| residency.within(border(cell), border(cell + 1)).any(is_huge);
    Range {
        start: span.start,
        size: span.size(),
        rss: span.rss,
        huge: span.huge,
        group: Group::of(&span.purpose),
        label: span.purpose.label(),
        cells: span.cells(residency, cells),
        huge_cells: if span.huge > 0 { (0..cells).map(has_huge).collect() } else { Vec::new() },
    }
}

/// One line for ranges that are small.
fn few(small: &mut Vec<&Span>) -> Option<Item> {
    let first = *small.first()?;
    let (size, rss) = small.iter().fold((0, 0), |sum, span| (sum.0 + span.size(), sum.1 + span.rss));
    let most = small.iter().max_by_key(|span| span.rss).unwrap_or(&first);
    let label = match small.len() {
        1 => first.purpose.label(),
        count => {
            let alike = small.iter().filter(|span| span.purpose == most.purpose);
            let part: u64 = alike.map(|span| span.rss).sum();
            let is_most = part * 2 > rss && rss >= 1 << 20;
            let most = if is_most { format!(", most: {}", most.purpose.label()) } else { String::new() };
            format!("{count} small ranges{most}")
        }
    };
    small.clear();
    Some(Item::Few { start: first.start, size, rss, label })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, size: u64, rss: u64, purpose: Purpose) -> Span {
        Span { start, end: start + size, rss, huge: 0, mappings: 1, purpose }
    }

    fn drawn(spans: &[Span], all: bool) -> Vec<Item> {
        let rss = spans.iter().map(|span| span.rss).sum();
        items(spans, &Residency::default(), rss, Grain { cells: 4, heat: 0, all })
    }

    #[test]
    fn small_ranges_share_a_line_and_gaps_lie_between_large_ones() {
        let spans = [
            span(0x1000, 0x1000, 0, Purpose::Program("a".to_owned())),
            span(0x2000, 0x1000, 0, Purpose::Program("b".to_owned())),
            span(0x100_0000, 8 << 20, 8 << 20, Purpose::BreakHeap),
            span(1 << 40, 4 << 20, 4 << 20, Purpose::Stack),
        ];
        let items = drawn(&spans, false);
        assert!(matches!(&items[0], Item::Few { size: 0x2000, label, .. } if label == "2 small ranges"), "{items:?}");
        assert_eq!(items[1], Item::Gap(0x100_0000 - 0x3000));
        assert!(matches!(&items[2], Item::Range(range) if range.group == Group::BreakHeap));
        assert!(matches!(items[3], Item::Gap(_)) && items.len() == 5);
        assert_eq!(drawn(&spans, true).len(), 6, "a line for each");
        assert!(drawn(&[], false).is_empty());
    }

    #[test]
    fn a_heap_in_pieces_does_not_hide_the_rest() {
        let piece = |index: u64| span(index << 21, 1 << 20, 1 << 20, Purpose::Anonymous);
        let spans: Vec<Span> = (1..200).map(piece).collect();
        let items = drawn(&spans, false);
        assert_eq!(items.len(), 1, "{items:?}");
        assert!(matches!(&items[0], Item::Few { label, .. } if label.contains("199 small ranges, most: anonymous")));
    }
}
