//! Dot plots on a logarithmic scale of ratios: a mark for each allocator, a line for the range of its runs.

use super::markup::{Element, element, of_class};
use crate::report::Comparison;
use crate::report::sheets::{Entry, Sheet, ratio};

/// Units of the drawing.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 20.0;
const MARGIN: f64 = 14.0;
/// A scale never goes beyond these powers of two; what is outside is drawn at the edge, and its figure is in the table.
const WIDEST: (i32, i32) = (-5, 6);

/// The scale that all plots of a table share: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    /// A scale on which every median of a table has its place.
    pub(super) fn of(sheet: &Sheet) -> Scale {
        let ratios = sheet.lines.iter().flat_map(|line| line.entries.iter().flatten()).map(|entry| entry.ratio.median);
        Scale::over(ratios)
    }

    /// A scale for these ratios.
    pub(super) fn over(ratios: impl Iterator<Item = f64>) -> Scale {
        let powers = ratios.filter(|ratio| *ratio > 0.0).map(f64::log2);
        let (low, high) = powers.fold((-0.8, 0.8), |(low, high): (f64, f64), power| (low.min(power), high.max(power)));
        // Room at the edges, so that a mark at a power of two is whole.
        Scale { low: ((low - 0.1).floor() as i32).max(WIDEST.0), high: ((high + 0.1).ceil() as i32).min(WIDEST.1) }
    }

    fn x(self, ratio: f64) -> f64 {
        let power = ratio.max(f64::MIN_POSITIVE).log2().clamp(f64::from(self.low), f64::from(self.high));
        MARGIN + (power - f64::from(self.low)) / f64::from(self.high - self.low) * (WIDTH - 2.0 * MARGIN)
    }

    fn lines(self, height: f64) -> impl Iterator<Item = Element> {
        (self.low..=self.high).map(move |power| {
            let x = format!("{:.1}", self.x(f64::from(power).exp2()));
            of_class("line", if power == 0 { "one" } else { "grid" })
                .with("x1", &x)
                .with("x2", &x)
                .with("y1", 0)
                .with("y2", height)
        })
    }

    /// The head of the column: the numbers of the scale.
    pub(super) fn head(self) -> Element {
        let number = |power: i32| {
            let text = if power < 0 { format!("1/{}", 1 << -power) } else { format!("{}", 1 << power) };
            of_class("text", "soft")
                .with("x", format!("{:.1}", self.x(f64::from(power).exp2())))
                .with("y", 14)
                .with("text-anchor", "middle")
                .text(text)
        };
        let label = format!("scale from {} to {}", f64::from(self.low).exp2(), f64::from(self.high).exp2());
        drawing("plot head", HEIGHT).with("aria-label", label).children((self.low..=self.high).map(number))
    }
}

fn drawing(class: &str, height: f64) -> Element {
    of_class("svg", class).with("viewBox", format!("0 0 {WIDTH} {height}")).with("role", "img")
}

/// The plot of a line: the first column is the line at 1, brkmap is drawn last, over the others.
pub(super) fn plot(comparison: &Comparison, entries: &[Result<Entry, &str>], scale: Scale) -> Element {
    let looks = looks(comparison);
    let mut order: Vec<usize> = (1..entries.len()).collect();
    order.sort_by_key(|&column| looks[column].is_ours);
    let told = |column: usize| {
        let entry = entries[column].as_ref().ok().filter(|entry| !entry.ratio.median.is_nan())?;
        let range = if entry.ratio.min < entry.ratio.max {
            format!(" ({} to {})", ratio(entry.ratio.min), ratio(entry.ratio.max))
        } else {
            String::new()
        };
        Some(format!("{} {}{range}", comparison.allocators[column].name, ratio(entry.ratio.median)))
    };
    let label: Vec<String> = order.iter().filter_map(|&column| told(column)).collect();
    let mark = |&column: &usize| {
        let entry = entries[column].as_ref().ok().filter(|entry| !entry.ratio.median.is_nan())?;
        let (low, high) = (scale.x(entry.ratio.min), scale.x(entry.ratio.max));
        let range = (high - low > 1.0).then(|| {
            of_class("line", "range")
                .with("x1", format!("{low:.1}"))
                .with("x2", format!("{high:.1}"))
                .with("y1", HEIGHT / 2.0)
                .with("y2", HEIGHT / 2.0)
        });
        let group = of_class("g", &looks[column].class()).child(element("title").text(told(column)?)).children(range);
        Some(group.child(looks[column].mark(scale.x(entry.ratio.median), HEIGHT / 2.0)))
    };
    drawing("plot", HEIGHT)
        .with("aria-label", if label.is_empty() { "nothing to compare".into() } else { label.join(", ") })
        .children(scale.lines(HEIGHT))
        .children(order.iter().filter_map(mark))
}

/// How an allocator is drawn. Colour and shape both tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    is_first: bool,
    is_ours: bool,
    /// Its number among the rivals.
    number: usize,
}

/// The looks of the columns.
pub(super) fn looks(comparison: &Comparison) -> Vec<Look> {
    let mut rivals = 0;
    let look = |(column, allocator): (usize, &crate::allocator::Allocator)| {
        let is_ours = allocator.name.starts_with("brkmap");
        let is_first = column == 0;
        if !is_ours && !is_first {
            rivals += 1;
        }
        Look { is_first, is_ours, number: rivals }
    };
    comparison.allocators.iter().enumerate().map(look).collect()
}

impl Look {
    fn class(self) -> String {
        match self {
            Look { is_first: true, .. } => "g".into(),
            Look { is_ours: true, .. } => "s0".into(),
            // Seven colours for rivals, and another shape for each until both begin anew.
            Look { number, .. } => format!("s{}", 1 + (number - 1) % 7),
        }
    }

    fn mark(self, x: f64, y: f64) -> Element {
        let shape = |class: &str, points: &[(f64, f64)], is_closed: bool| {
            let points: Vec<String> = points.iter().map(|(dx, dy)| format!("{:.1} {:.1}", x + dx, y + dy)).collect();
            let end = if is_closed { "Z" } else { "" };
            of_class("path", &format!("mark-of {class}")).with("d", format!("M{}{end}", points.join("L")))
        };
        let circle = |class: &str, radius: f64| {
            of_class("circle", &format!("mark-of {class}"))
                .with("cx", format!("{x:.1}"))
                .with("cy", format!("{y:.1}"))
                .with("r", radius)
        };
        if self.is_first {
            return shape("line", &[(0.0, -8.0), (0.0, 8.0)], false);
        }
        if self.is_ours {
            return circle("", 5.5);
        }
        match (self.number - 1) % 6 {
            0 => shape("", &[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)], true),
            1 => shape("", &[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)], true),
            2 => shape("", &[(-5.0, 4.0), (5.0, 4.0), (0.0, -5.0)], true),
            3 => circle("open", 4.0),
            4 => shape("open", &[(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)], true),
            _ => shape("", &[(-5.0, -4.0), (5.0, -4.0), (0.0, 5.0)], true),
        }
    }
}

/// Which mark is whose.
pub(super) fn legend(comparison: &Comparison) -> Element {
    let entry = |(look, allocator): (Look, &crate::allocator::Allocator)| {
        let key = of_class("svg", &look.class()).with("viewBox", "0 0 20 20").with("aria-hidden", true);
        let words = if look.is_first { format!("{} (the line at 1)", allocator.name) } else { allocator.name.clone() };
        element("li").child(key.child(look.mark(10.0, 10.0))).child(element("span").text(words))
    };
    of_class("ul", "legend").children(looks(comparison).into_iter().zip(&comparison.allocators).map(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;
    use crate::setting::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn halves_and_doubles_lie_as_far_from_one() {
        let scale = Scale::over([0.3, 1.7].into_iter());
        assert_eq!(scale, Scale { low: -2, high: 1 });
        let (half, one, two) = (scale.x(0.5), scale.x(1.0), scale.x(2.0));
        assert!(((one - half) - (two - one)).abs() < 1e-9 && half < one);
        assert_eq!((scale.x(0.0), scale.x(1e9)), (MARGIN, WIDTH - MARGIN));
        assert_eq!(Scale::over([1e-9, 1e9].into_iter()), Scale { low: WIDEST.0, high: WIDEST.1 });
    }

    #[test]
    fn no_two_of_many_rivals_look_alike() {
        let mut made = comparison(&[("a", Kind::Program, [(1.0, 5.0), (2.0, 5.0), (0.5, 5.0)])]);
        for number in 0..14 {
            made.allocators
                .push(crate::allocator::Allocator { name: format!("r{number}"), ..made.allocators[2].clone() });
        }
        let drawn: BTreeSet<String> =
            looks(&made).iter().map(|look| look.class() + &look.mark(0.0, 0.0).to_string()).collect();
        assert_eq!(drawn.len(), made.allocators.len());
    }
}
