//! Resident size over time as one SVG: a panel per setting, a line per allocator, the first run of each cell.
//!
//! From left to right: the state before the frees, the second of idleness after them, and `malloc_trim(0)`, which is
//! drawn as one more step at the right edge. Each line is labelled at its end with the size there.

use super::Comparison;
use crate::curve::Curve;
use crate::setting::Kind;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const COLOURS: [&str; 9] =
    ["#6b7280", "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#78350f", "#be185d"];
const PANEL: (f64, f64) = (480.0, 290.0);
const PLOT: (f64, f64) = (300.0, 200.0);
const MARGIN: (f64, f64) = (55.0, 45.0);
const COLUMNS: usize = 2;
/// Seconds at the left edge; what happened earlier is drawn there.
const FIRST: f64 = -0.15;
/// Where the state after the trim is drawn.
const TRIMMED: f64 = 1.12;
/// Least distance of two labels.
const LINE: f64 = 14.0;

/// Writes the drawing; a file of that name is replaced.
pub(crate) fn write(comparison: &Comparison, path: &Path) -> Result<()> {
    fs::write(path, render(comparison))
        .with_context(|| format!("--svg {}: the file could not be written; name one that can", path.display()))
}

/// The panels, each with its frame, in the colours of a page that may be light or dark.
pub(super) fn panels_for_page(comparison: &Comparison) -> Vec<String> {
    let own =
        [("#111827", "var(--ink)"), ("#4b5563", "var(--soft)"), ("#e5e7eb", "var(--line)"), ("#9ca3af", "var(--soft)")];
    let of_lines = ["g", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"].map(|name| format!("var(--{name})"));
    let frame = |panel: String| {
        let colours = COLOURS.into_iter().zip(of_lines.iter().map(String::as_str)).chain(own);
        let panel = colours.fold(panel, |panel, (colour, variable)| panel.replace(colour, variable));
        format!(
            "<svg viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" aria-label=\"resident size over time\">{panel}</svg>",
            PANEL.0, PANEL.1, PANEL.0
        )
    };
    panels(comparison).into_iter().map(frame).collect()
}

fn panels(comparison: &Comparison) -> Vec<String> {
    (0..comparison.settings.len())
        .filter(|&number| comparison.settings[number].kind == Kind::GiveBack)
        .map(|number| {
            let cells = comparison.row(number).iter();
            let first = |cell: &'_ crate::suite::Cell| {
                let run = cell.runs.first().filter(|_| cell.failure.is_none())?;
                run.curve.clone()
            };
            let named = cells.enumerate().filter_map(|(column, cell)| {
                Some(Line { name: &cell.allocator, colour: COLOURS[column % COLOURS.len()], curve: first(cell)? })
            });
            panel(&comparison.settings[number].name, &named.collect::<Vec<_>>())
        })
        .collect()
}

fn render(comparison: &Comparison) -> String {
    let panels = panels(comparison);
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS.min(panels.len()) as f64, PANEL.1 * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let (x, y) = ((number % COLUMNS) as f64 * PANEL.0, (number / COLUMNS) as f64 * PANEL.1);
        _ = write!(svg, "<g transform=\"translate({x} {y})\">\n{panel}</g>\n");
    }
    svg + "</svg>\n"
}

/// One allocator in one panel.
struct Line<'a> {
    name: &'a str,
    colour: &'static str,
    curve: Curve,
}

fn panel(title: &str, lines: &[Line]) -> String {
    let highest = lines.iter().flat_map(|line| &line.curve.points).map(|point| point.mib).fold(1.0, f64::max);
    let step = tick_step(highest);
    let top = (highest / step).ceil() * step;
    let x = |seconds: f64| MARGIN.0 + (seconds.max(FIRST) - FIRST) / (TRIMMED - FIRST) * PLOT.0;
    let y = |mib: f64| MARGIN.1 + (1.0 - mib.max(0.0) / top) * PLOT.1;

    let mut svg = format!(
        "<text x=\"{}\" y=\"22\" font-size=\"14\" font-weight=\"bold\" fill=\"#111827\">{} \
         <tspan font-weight=\"normal\" fill=\"#4b5563\">MiB over the start</tspan></text>\n",
        MARGIN.0,
        escaped(title)
    );
    for tick in 0..=(top / step).round() as u32 {
        let mib = f64::from(tick) * step;
        _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#4b5563\">{mib:.0}</text>",
            x(FIRST),
            x(TRIMMED),
            x(FIRST) - 6.0,
            y(mib) + 4.0,
            y = y(mib)
        );
    }
    for (seconds, name) in [(0.0, "freed"), (0.25, ""), (0.5, "0.5 s"), (0.75, ""), (1.0, "1 s"), (TRIMMED, "trim")] {
        _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#9ca3af\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#4b5563\">{name}</text>",
            y(0.0),
            y(0.0) + 5.0,
            y(0.0) + 19.0,
            x = x(seconds)
        );
    }
    let ends: Vec<f64> = lines.iter().map(|line| y(line.curve.trimmed_mib)).collect();
    for (line, label) in lines.iter().zip(spread(&ends, y(0.0))) {
        let points = line.curve.points.iter().map(|point| (point.seconds, point.mib));
        let path = points.chain([(TRIMMED, line.curve.trimmed_mib)]);
        let path: Vec<_> = path.map(|(seconds, mib)| format!("{:.1},{:.1}", x(seconds), y(mib))).collect();
        _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{} {:.1}</text>",
            path.join(" "),
            x(TRIMMED) + 8.0,
            label + 4.0,
            escaped(line.name),
            line.curve.trimmed_mib,
            colour = line.colour
        );
    }
    svg
}

/// A round step that gives four to ten lines.
fn tick_step(highest: f64) -> f64 {
    let power = 10f64.powf((highest / 4.0).log10().floor());
    [5.0, 2.0].iter().map(|factor| factor * power).find(|step| highest / step >= 4.0).unwrap_or(power)
}

/// Moves labels up so that none covers another and none is below `lowest`; the order of heights stays.
fn spread(wanted: &[f64], lowest: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[b].total_cmp(&wanted[a]));
    let mut placed = wanted.to_vec();
    let mut limit = lowest;
    for number in order {
        placed[number] = wanted[number].min(limit);
        limit = placed[number] - LINE;
    }
    placed
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[100.0, 99.0, 20.0, 100.0], 100.0), [100.0, 72.0, 20.0, 86.0]);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([tick_step(1083.0), tick_step(640.0), tick_step(9.0)], [200.0, 100.0, 2.0]);
    }

    #[test]
    fn a_line_goes_from_before_the_frees_to_the_trim() {
        let curve = Curve::parse("rss -3 100\nrss 0 100\nrss 1 40\ntrimmed 20\n").expect("a curve");
        let svg = panel("back-a", &[Line { name: "a<b", colour: COLOURS[0], curve }]);
        assert!(svg.contains("points=\"55.0,45.0 90.4,45.0 326."), "{svg}");
        assert!(svg.contains(",165.0 355.0,205.0\""), "{svg}");
        assert!(svg.contains(">a&lt;b 20.0</text>"), "{svg}");
    }
}
