//! Memory over time: resident, mapped and live bytes, with the kernel's calls as ticks in lanes below.
//!
//! The picture is drawn twice, for broad screens and paper and for narrow ones, as text in a picture that shrinks with
//! its screen cannot be read; the style sheet shows one of the two.

use super::markup::{Element, element, of_class};
use super::table::{Column, folded, mebibytes, mib, table};
use crate::model::kernel_calls::{Lane, Tick};
use crate::model::timeline::Moment;

/// What there is to draw.
pub(super) struct Timeline<'a> {
    pub(super) moments: &'a [Moment],
    pub(super) ticks: &'a [Tick],
    /// Limit of the control group.
    pub(super) limit: Option<u64>,
}

/// Rows of the table of moments; more would say less.
const ROWS: usize = 40;
/// Space around the plot.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BELOW: f64 = 26.0;
/// Height of a lane of ticks.
const LANE: f64 = 20.0;
/// A line further above RSS than this would press RSS flat.
const OFF_SCALE: u64 = 3;

/// The figure, or why there is none.
pub(super) fn figure(timeline: &Timeline<'_>, how_to_get_one: &str) -> Vec<Element> {
    // A full look takes its time: what it saw is entered behind samples that are younger.
    let mut moments = timeline.moments.to_vec();
    moments.sort_by_key(|moment| moment.at_ms);
    let (moments, timeline) = (&moments, &Timeline { moments: &moments, ..*timeline });
    if moments.len() < 2 {
        return vec![element("p").text("One look only: there is no line to draw. ").text(how_to_get_one)];
    }
    let charts = element("figure")
        .child(Chart::new(timeline, 1080.0, 330.0).draw("chart broad"))
        .child(Chart::new(timeline, 356.0, 260.0).draw("chart narrow"))
        .child(legend(timeline));
    vec![charts, folded(&format!("the figures ({} moments)", moments.len()), false, [numbers(moments)])]
}

/// Scale and place of everything in one of the two pictures.
struct Chart<'a> {
    timeline: &'a Timeline<'a>,
    width: f64,
    /// Of the plot and the space around it, without lanes.
    height: f64,
    first_ms: u64,
    last_ms: u64,
    /// Bytes at the upper edge.
    most: u64,
    step: u64,
    lanes: Vec<Lane>,
}

fn highest(moments: &[Moment], of: impl Fn(&Moment) -> u64) -> u64 {
    moments.iter().map(of).max().unwrap_or(0)
}

/// Whether the mapped bytes fit into a picture of the resident ones.
fn shows_mapped(moments: &[Moment]) -> bool {
    highest(moments, |moment| moment.mapped) <= highest(moments, |moment| moment.rss).saturating_mul(OFF_SCALE)
}

fn shown_limit(timeline: &Timeline<'_>) -> Option<u64> {
    let rss = highest(timeline.moments, |moment| moment.rss);
    timeline.limit.filter(|limit| *limit <= rss.saturating_mul(2))
}

/// A step of 1, 2 or 5 times a power of ten that gives at most `most` of them.
fn step(range: f64, most: f64) -> f64 {
    let raw = (range / most).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    power * steps.into_iter().find(|step| power * step >= raw * 0.999).unwrap_or(10.0)
}

impl<'a> Chart<'a> {
    fn new(timeline: &'a Timeline<'a>, width: f64, height: f64) -> Chart<'a> {
        let moments = timeline.moments;
        let mut most = highest(moments, |moment| moment.rss.max(moment.live.unwrap_or(0)));
        if shows_mapped(moments) {
            most = most.max(highest(moments, |moment| moment.mapped));
        }
        most = most.max(shown_limit(timeline).unwrap_or(0)).max(1 << 16);
        let mebibyte = f64::from(1 << 20);
        let step = ((step(most as f64 / mebibyte, 5.0) * mebibyte) as u64).max(1);
        let most = most.div_ceil(step) * step;
        let lanes = Lane::ALL.into_iter().filter(|lane| timeline.ticks.iter().any(|tick| tick.lane == *lane)).collect();
        let (first_ms, last_ms) = (moments[0].at_ms, moments[moments.len() - 1].at_ms);
        Chart { timeline, width, height, first_ms, last_ms: last_ms.max(first_ms + 1), most, step, lanes }
    }

    fn x(&self, at_ms: u64) -> f64 {
        let at = at_ms.clamp(self.first_ms, self.last_ms) - self.first_ms;
        LEFT + (self.width - LEFT - RIGHT) * at as f64 / (self.last_ms - self.first_ms) as f64
    }

    fn y(&self, bytes: u64) -> f64 {
        TOP + (self.floor() - TOP) * (1.0 - bytes.min(self.most) as f64 / self.most as f64)
    }

    /// Where zero is.
    fn floor(&self) -> f64 {
        self.height - BELOW
    }

    fn draw(&self, class: &str) -> Element {
        let height = self.height + self.lanes.len() as f64 * LANE;
        let moments = self.timeline.moments;
        let mut svg = of_class("svg", class)
            .with("viewBox", format!("0 0 {} {height}", self.width))
            .with("width", "100%")
            .with("role", "img")
            .with("aria-label", self.words())
            .children(self.grid())
            .children(self.live());
        if shows_mapped(moments) {
            svg = svg.child(self.line("mapped", moments.iter().map(|moment| (moment.at_ms, moment.mapped))));
        }
        svg = svg.child(self.line("rss", moments.iter().map(|moment| (moment.at_ms, moment.rss))));
        svg.children(self.limit()).children(self.peak()).children(self.lanes())
    }

    /// The picture in a sentence, for who cannot see it.
    fn words(&self) -> String {
        let moments = self.timeline.moments;
        let (first, last) = (moments[0], moments[moments.len() - 1]);
        let peak = highest(moments, |moment| moment.rss);
        let seconds = (last.at_ms - first.at_ms) as f64 / 1000.0;
        format!("resident memory over {seconds:.1} s: from {} to {}, peak {}", mib(first.rss), mib(last.rss), mib(peak))
    }

    fn grid(&self) -> Vec<Element> {
        let mut all = Vec::new();
        let decimals = usize::from(self.step < 1 << 20);
        for bytes in (0..=self.most).step_by(self.step as usize) {
            let y = self.y(bytes);
            let class = if bytes == 0 { "axis" } else { "grid" };
            all.push(rule(class, (LEFT, y), (self.width - RIGHT, y)));
            let unit = if bytes + self.step > self.most { " MiB" } else { "" };
            let value = format!("{:.decimals$}{unit}", bytes as f64 / f64::from(1 << 20));
            all.push(label((LEFT - 8.0, y + 4.0), "end", &value));
        }
        let seconds = (self.last_ms - self.first_ms) as f64 / 1000.0;
        let (step, most) = (step(seconds, (self.width / 110.0).max(3.0)), seconds * 1.0001);
        let decimals = (-step.log10().floor()).clamp(0.0, 3.0) as usize;
        for index in 0..=((most / step) as u64).min(50) {
            let at = index as f64 * step;
            let x = self.x(self.first_ms + (at * 1000.0) as u64);
            all.push(rule("axis", (x, self.floor()), (x, self.floor() + 4.0)));
            let is_last = x > self.width - RIGHT - 24.0;
            let anchor = if is_last { "end" } else { "middle" };
            all.push(label((x, self.floor() + 19.0), anchor, &format!("{at:.decimals$} s")));
        }
        all
    }

    fn points(&self, values: impl Iterator<Item = (u64, u64)>) -> String {
        let point = |(at_ms, bytes)| format!("{:.1},{:.1}", self.x(at_ms), self.y(bytes));
        values.map(point).collect::<Vec<_>>().join(" ")
    }

    fn line(&self, class: &str, values: impl Iterator<Item = (u64, u64)>) -> Element {
        of_class("polyline", class).with("points", self.points(values))
    }

    /// Live bytes, from each moment that knows them to the next.
    fn live(&self) -> Vec<Element> {
        let known: Vec<(u64, u64)> =
            self.timeline.moments.iter().filter_map(|moment| Some((moment.at_ms, moment.live?))).collect();
        let (Some(first), Some(last)) = (known.first(), known.last()) else { return Vec::new() };
        if known.len() == 1 {
            let dot = of_class("circle", "dot").with("r", 4);
            return vec![
                dot.with("cx", format!("{:.1}", self.x(first.0))).with("cy", format!("{:.1}", self.y(first.1))),
            ];
        }
        let edges = [(last.0, 0), (first.0, 0)].into_iter();
        let area = self.points(known.iter().copied().chain(edges));
        vec![of_class("polygon", "live-area").with("points", area), self.line("live", known.iter().copied())]
    }

    fn limit(&self) -> Vec<Element> {
        let Some(limit) = shown_limit(self.timeline) else { return Vec::new() };
        let y = self.y(limit);
        vec![
            rule("limit", (LEFT, y), (self.width - RIGHT, y)),
            label((LEFT + 6.0, y + 14.0), "start", &format!("limit {}", mib(limit))),
        ]
    }

    fn peak(&self) -> Vec<Element> {
        let Some(peak) = self.timeline.moments.iter().rev().max_by_key(|moment| moment.rss) else { return Vec::new() };
        let (x, y) = (self.x(peak.at_ms), self.y(peak.rss));
        let is_right = x > self.width * 0.6;
        let dot = of_class("circle", "dot").with("r", 4.5).with("cx", format!("{x:.1}")).with("cy", format!("{y:.1}"));
        let (x, anchor) = if is_right { (x - 7.0, "end") } else { (x + 7.0, "start") };
        vec![dot, label((x, y - 9.0), anchor, &format!("highest {}", mib(peak.rss)))]
    }

    /// One lane per kind of call; calls of one place share a tick, taller for more bytes.
    fn lanes(&self) -> Vec<Element> {
        let mut all = Vec::new();
        for (index, lane) in self.lanes.iter().enumerate() {
            let base = self.height + (index as f64 + 1.0) * LANE - 4.0;
            all.push(label((LEFT - 8.0, base - 1.0), "end", lane.label()));
            all.push(rule("grid", (LEFT, base), (self.width - RIGHT, base)));
            let mut places: std::collections::BTreeMap<u64, (u64, u64)> = Default::default();
            for tick in self.timeline.ticks.iter().filter(|tick| tick.lane == *lane) {
                let (calls, bytes) = places.entry((self.x(tick.at_ms) / 2.0) as u64).or_default();
                (*calls, *bytes) = (*calls + tick.calls, bytes.saturating_add(tick.bytes));
            }
            for (place, (calls, bytes)) in places {
                // 4 KiB is the shortest tick, 1 GiB the tallest.
                let tall = (bytes.max(1).ilog2().clamp(12, 30) - 12) as f64 / 18.0;
                let x = place as f64 * 2.0 + 1.0;
                let title = format!("{}: {calls} calls, {}", lane.label(), mib(bytes));
                let tick = rule("tick", (x, base), (x, base - 3.0 - tall * (LANE - 8.0)));
                all.push(tick.child(element("title").text(title)));
            }
        }
        all
    }
}

fn rule(class: &str, from: (f64, f64), to: (f64, f64)) -> Element {
    let number = |value: f64| format!("{value:.1}");
    of_class("line", class)
        .with("x1", number(from.0))
        .with("y1", number(from.1))
        .with("x2", number(to.0))
        .with("y2", number(to.1))
}

fn label(at: (f64, f64), anchor: &str, text: &str) -> Element {
    of_class("text", "soft")
        .with("x", format!("{:.1}", at.0))
        .with("y", format!("{:.1}", at.1))
        .with("text-anchor", anchor)
        .text(text)
}

fn legend(timeline: &Timeline<'_>) -> Element {
    let moments = timeline.moments;
    let last = moments[moments.len() - 1];
    let sample = |class: &str| {
        of_class("svg", "chart")
            .with("width", 30)
            .with("height", 10)
            .with("aria-hidden", "true")
            .child(of_class("polyline", class).with("points", "0,5 30,5"))
    };
    let entry = |picture: Element, text: String| element("li").child(picture).text(text);
    let mut entries = vec![entry(sample("rss"), format!("resident (RSS), at last {}", mib(last.rss)))];
    let live = moments.iter().rev().find_map(|moment| moment.live);
    entries.extend(live.map(|bytes| entry(sample("live"), format!("live blocks of malloc, at last {}", mib(bytes)))));
    let mapped = format!("mapped and writable (VmData), at last {}", mib(last.mapped));
    entries.push(match shows_mapped(moments) {
        true => entry(sample("mapped"), mapped),
        false => element("li").text(format!("not drawn, far above: {mapped}")),
    });
    entries.extend(shown_limit(timeline).map(|bytes| entry(sample("limit"), format!("limit {}", mib(bytes)))));
    if !timeline.ticks.is_empty() {
        entries.push(element("li").text("ticks: calls for memory, taller for more bytes"));
    }
    of_class("ul", "legend").children(entries)
}

fn numbers(moments: &[Moment]) -> Element {
    let every = moments.len().div_ceil(ROWS);
    let last = moments.len() - 1;
    let shown = moments.iter().enumerate().filter(|(index, _)| index % every == 0 || *index == last);
    let row = |(_, moment): (usize, &Moment)| {
        vec![
            format!("{:.3}", moment.at_ms as f64 / 1000.0),
            mebibytes(moment.rss),
            moment.live.map_or("–".to_owned(), mebibytes),
            mebibytes(moment.mapped),
        ]
    };
    let heads = [
        ("seconds", Column::Number),
        ("resident, MiB", Column::Number),
        ("live, MiB", Column::Number),
        ("mapped, MiB", Column::Number),
    ];
    let caption = if every > 1 { format!("every {every}th moment and the last") } else { "all moments".to_owned() };
    table(&caption, &heads, shown.map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(count: u64) -> Vec<Moment> {
        let moment = |i: u64| Moment { at_ms: i * 100, rss: (i + 1) << 20, mapped: (i + 3) << 20, live: Some(i << 19) };
        (0..count).map(moment).collect()
    }

    fn text(timeline: &Timeline<'_>) -> String {
        figure(timeline, "use --watch").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn moments_are_drawn_in_their_order() {
        let mut moments = moments(4);
        moments.swap(1, 2);
        let text = text(&Timeline { moments: &moments, ticks: &[], limit: None });
        let line = text.split("class=\"rss\" points=\"").nth(1).unwrap().split('"').next().unwrap();
        let places: Vec<f64> = line.split(' ').map(|point| point.split(',').next().unwrap().parse().unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn one_look_has_no_line_and_says_so() {
        let moments = moments(1);
        let text = text(&Timeline { moments: &moments, ticks: &[], limit: None });
        assert!(text.contains("One look only") && text.contains("use --watch") && !text.contains("<svg"), "{text}");
    }

    #[test]
    fn lines_stay_inside_and_nothing_is_no_number() {
        for count in [2, 3, 500] {
            let mut moments = moments(count);
            moments[1].at_ms = 0;
            let ticks = [(0, 1), (50, 0), (9_999_999, u64::MAX)].map(|(at_ms, bytes)| Tick {
                at_ms,
                bytes,
                calls: 1,
                lane: Lane::Map,
            });
            let text = text(&Timeline { moments: &moments, ticks: &ticks, limit: Some(2 << 20) });
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            let points = text.split("points=\"").skip(1).flat_map(|part| part.split('"').next().unwrap().split(' '));
            for point in points {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((0.0..=1080.0).contains(&x) && (0.0..=330.0).contains(&y), "{point}");
            }
            assert!(text.contains("mmap"));
        }
    }

    #[test]
    fn what_would_press_the_rest_flat_is_told_and_not_drawn() {
        let mut moments = moments(5);
        moments[4].mapped = 100 << 30;
        let text = text(&Timeline { moments: &moments, ticks: &[], limit: Some(1 << 40) });
        assert!(text.contains("not drawn, far above: mapped"), "{text}");
        assert!(!text.contains("class=\"limit\""));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(step(10.0, 5.0), 2.0);
        assert_eq!(step(11.0, 5.0), 5.0);
        assert_eq!(step(1.0, 5.0), 0.2);
        assert!((step(0.3, 3.0) - 0.1).abs() < 1e-12);
    }
}
