//! The page of one process: how it grew, the report of `brkmap inspect`, its arenas and how full its OS pages are.

use super::size;
use crate::heap::glibc::Glibc;
use crate::model::heat::Heat;
use crate::model::top::board::{Entry, Trouble};
use crate::view::inspect::{Inspection, text};
use crate::view::maps;
use crate::view::style::{Ink, Style};

/// What is known of the process whose page is open.
pub(crate) struct Opened {
    pub(crate) inspection: Inspection,
    pub(crate) heat: Option<Heat>,
}

/// Writes the page, in lines with codes of colour.
pub(crate) fn lines(entry: &Entry, opened: Option<&Opened>, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if entry.gone.is_some() {
        lines.push(style.paint(Ink::Alert, "It has ended. This is what was seen last."));
    }
    match &entry.trouble {
        Some(Trouble::Denied(why) | Trouble::Unreadable(why)) => {
            lines.push(style.paint(Ink::Alert, why));
            lines.push(String::new());
        }
        None => {}
    }
    let moments: Vec<(f64, u64)> = entry.moments.iter().copied().collect();
    lines.extend(spark("RSS", &moments, style));
    let held: Vec<(f64, u64)> = entry
        .samples()
        .iter()
        .map(|sample| (sample.seconds, sample.xray.live() + sample.xray.get(crate::model::xray::Row::RuntimeLive)))
        .collect();
    if entry.summary.as_ref().is_some_and(|summary| summary.live.is_some()) {
        lines.extend(spark("live", &held, style));
    }
    lines.push(String::new());
    let Some(opened) = opened else {
        if entry.trouble.is_none() && entry.gone.is_none() {
            lines.push("looking at its heap ...".to_owned());
        }
        return lines;
    };
    lines.extend(text::render(&opened.inspection, style).lines().map(str::to_owned));
    if let Some(glibc) = &opened.inspection.look.glibc
        && glibc.arenas.len() > 1
    {
        lines.push(String::new());
        lines.extend(arenas(glibc, style));
    }
    if let Some(heat) = &opened.heat {
        lines.push(String::new());
        lines.extend(maps::heat_lines(heat, style));
    }
    let took = opened.inspection.took.as_secs_f64() * 1000.0;
    lines.push(String::new());
    lines.push(format!("the look took {took:.0} ms"));
    lines
}

/// Values over time as a row of signs, the least to the most.
pub(super) fn spark(name: &str, values: &[(f64, u64)], style: Style) -> Vec<String> {
    let (Some(&(first, _)), Some(&(last, now))) = (values.first(), values.last()) else { return Vec::new() };
    let signs: &[char] = if style.ascii {
        &['_', '.', ',', '-', '=', '+', '*', '#']
    } else {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    let room = style.width.saturating_sub(46).clamp(8, 60);
    let least = values.iter().map(|value| value.1).min().unwrap_or(0);
    let most = values.iter().map(|value| value.1).max().unwrap_or(0);
    // One sign for each stretch of time; the largest value of it counts.
    let cells = room.min(values.len());
    let picture: String = (0..cells)
        .map(|cell| {
            let part = &values[cell * values.len() / cells..(cell + 1) * values.len() / cells];
            let value = part.iter().map(|value| value.1).max().unwrap_or(least);
            let step = u128::from(value - least) * (signs.len() as u128 - 1);
            signs[step.checked_div(u128::from(most - least)).unwrap_or(0) as usize]
        })
        .collect();
    let (now, least, most) = (size(now), size(least), size(most));
    let text = format!("{now:>6}  {least} to {most} in {:.0} s", last - first);
    vec![format!("{}{picture:<room$}  {text}", style.paint(Ink::Bold, &format!("{name:<6}")))]
}

/// One line for each arena, the largest first.
fn arenas(glibc: &Glibc, style: Style) -> Vec<String> {
    const MOST: usize = 16;
    let head = format!(
        "{:<8}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "arena", "from OS", "live", "caches", "pinned", "return", "top", "blocks"
    );
    let mut lines = vec![style.paint(Ink::Bold, &head)];
    let mut all: Vec<_> = glibc.arenas.iter().enumerate().collect();
    all.sort_by_key(|(_, arena)| std::cmp::Reverse(arena.system));
    for (number, arena) in all.iter().take(MOST) {
        let name = if arena.is_main { "main".to_owned() } else { number.to_string() };
        let figures = &arena.figures;
        lines.push(format!(
            "{name:<8}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
            size(arena.system),
            size(figures.live + figures.headers),
            size(figures.caches),
            size(figures.pinned),
            size(figures.returnable),
            size(figures.kept_top),
            figures.live_blocks
        ));
    }
    if all.len() > MOST {
        lines.push(format!("and {} more arenas", all.len() - MOST));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_shows_the_least_and_the_most() {
        let style = Style { color: false, ascii: true, width: 80 };
        let values: Vec<(f64, u64)> = (0..8).map(|i| (f64::from(i), (i as u64) << 20)).collect();
        let line = spark("RSS", &values, style).remove(0);
        assert!(line.starts_with("RSS   _.,-=+*#"), "{line}");
        assert!(line.ends_with("7.0M  0 to 7.0M in 7 s") && line.chars().count() <= 80, "{line}");
        assert!(spark("RSS", &[], style).is_empty());
        let flat = spark("RSS", &[(0.0, 5), (1.0, 5)], style).remove(0);
        assert!(flat.contains("__"), "{flat}");
        let many: Vec<(f64, u64)> = (0..1000).map(|i| (f64::from(i), u64::from(i == 500))).collect();
        assert!(spark("x", &many, style)[0].contains('#'), "a peak is never thinned away");
        assert_eq!(spark("x", &[(0.0, u64::MAX), (1.0, 0)], style).len(), 1);
    }
}
