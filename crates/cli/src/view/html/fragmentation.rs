//! Why free memory stays: arenas, sizes of blocks, and what pins OS pages.

use super::markup::{Element, element, of_class};
use super::table::{Column, folded, mebibytes, mib, number, percent, size, table};
use crate::heap::Pin;
use crate::heap::glibc::{Arena, Glibc};
use crate::heap::occupancy::Holder;
use crate::model::heat::{Heat, Level, Share};
use crate::model::policy::{Policy, Returned, Threshold, When};
use crate::proc::residency::OS_PAGE;

/// Rows of a table.
const ROWS: usize = 60;
/// Sizes that are drawn; the rest is one row.
const SIZES: usize = 16;

/// Of a heap of glibc's.
pub(super) fn of_glibc(glibc: &Glibc) -> Vec<Element> {
    if glibc.arenas.is_empty() {
        let why = glibc.problem.as_deref().unwrap_or("no arena was found");
        return vec![of_class("p", "warn").text(format!("glibc's heap could not be read: {why}"))];
    }
    let total = glibc.total();
    let mut text = format!(
        "{} live blocks in {} and {} free gaps between them; the largest gap is {}.",
        number(total.live_blocks),
        count(glibc.arenas.len() as u64, "arena", "arenas"),
        number(total.free_chunks),
        size(total.largest_free)
    );
    if total.under_top >= 1 << 20 {
        text += &format!(
            " {} of live blocks near the top hold {} of free memory back.",
            size(total.holding_top),
            mib(total.under_top)
        );
    }
    let mut all = vec![element("p").text(text), element("h3").text("Arenas"), arenas(&glibc.arenas)];
    let (live, gaps) = (glibc.sizes.classes(), glibc.gaps.classes());
    if !live.is_empty() {
        all.push(element("h3").text("Live blocks by size"));
        all.push(sizes("sizes of chunks: the blocks with malloc's 8 bytes and rounding", "blocks", live));
    }
    if !gaps.is_empty() {
        all.push(element("h3").text("Free gaps by size"));
        all.push(sizes(
            "free chunks between live ones, side by side as one; not all of their bytes are resident",
            "gaps",
            gaps,
        ));
    }
    all
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", self::number(number), if number == 1 { one } else { many })
}

fn arenas(arenas: &[Arena]) -> Element {
    let heads = [
        ("arena", Column::Text),
        ("from the kernel, MiB", Column::Number),
        ("live, MiB", Column::Number),
        ("in caches, MiB", Column::Number),
        ("free, stays, MiB", Column::Number),
        ("free at its end, MiB", Column::Number),
        ("returnable, MiB", Column::Number),
        ("live blocks", Column::Number),
        ("gaps", Column::Number),
    ];
    let row = |(index, arena): (usize, &Arena)| {
        let figures = &arena.figures;
        vec![
            if arena.is_main { "main".to_owned() } else { format!("thread arena {index}") },
            mebibytes(arena.system),
            mebibytes(figures.live + figures.headers),
            mebibytes(figures.caches),
            mebibytes(figures.pinned),
            mebibytes(figures.kept_top),
            mebibytes(figures.returnable),
            number(figures.live_blocks),
            number(figures.free_chunks),
        ]
    };
    let mut shown: Vec<(usize, &Arena)> = arenas.iter().enumerate().collect();
    let free = |arena: &Arena| arena.figures.returnable + arena.figures.kept_top + arena.figures.pinned;
    shown.sort_by_key(|(index, arena)| (std::cmp::Reverse(free(arena)), *index));
    shown.truncate(ROWS);
    let caption = match arenas.len() {
        more if more > ROWS => format!("the {ROWS} arenas that keep most, of {more}"),
        _ => "what each arena keeps, most free memory first".to_owned(),
    };
    table(&caption, &heads, shown.into_iter().map(row))
}

/// Chunks by their size: from, to, how many, bytes.
fn sizes(caption: &str, what: &str, classes: Vec<(u64, u64, u64, u64)>) -> Element {
    let name = |from: u64, to: u64| if from == to { size(from) } else { format!("{} – {}", size(from), size(to)) };
    let rows =
        classes.iter().map(|&(from, to, count, bytes)| (name(from, to), vec![number(count), mebibytes(bytes)], bytes));
    bars(caption, "size", &[what, "MiB"], rows.collect())
}

/// A table whose rows have a bar: name, cells, length of the bar. The largest are shown, in their order.
fn bars(caption: &str, name: &str, heads: &[&str], rows: Vec<(String, Vec<String>, u64)>) -> Element {
    let mut by_length: Vec<u64> = rows.iter().map(|row| row.2).collect();
    by_length.sort_unstable_by(|one, other| other.cmp(one));
    let least = by_length.get(SIZES).map_or(0, |length| length + 1);
    let longest = by_length.first().copied().unwrap_or(0).max(1);
    let (shown, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.2 >= least);
    let head = |text: &str, class: &str| element("th").with("scope", "col").with("class", class).text(text);
    let mut all_heads = vec![head(name, ""), head("", "")];
    all_heads.extend(heads.iter().map(|text| head(text, "n")));
    let row = |(name, cells, length): (String, Vec<String>, u64)| {
        let picture = element("svg").with("width", "100%").with("height", 14).with("aria-hidden", "true").child(
            of_class("rect", "held").with("height", 14).with("width", format!("{:.2}%", percent(length, longest))),
        );
        element("tr")
            .with("role", "row")
            .child(element("th").with("scope", "row").with("role", "rowheader").text(name))
            .child(of_class("td", "bar").with("role", "cell").child(picture))
            .children(cells.iter().map(|text| of_class("td", "n").with("role", "cell").text(text)))
    };
    let more = match rest.len() {
        0 => String::new(),
        more => format!("; {more} more sizes with {} together", mib(rest.iter().map(|row| row.2).sum())),
    };
    of_class("table", "bars sizes")
        .with("role", "table")
        .child(element("caption").text(format!("{caption}{more}")))
        .child(element("thead").child(element("tr").children(all_heads)))
        .child(element("tbody").with("role", "rowgroup").children(shown.into_iter().map(row)))
}

/// How full the OS pages of all heaps are, and which sizes of block keep the sparse ones.
pub(super) fn of_pages(heat: &Heat) -> Vec<Element> {
    let heads = [
        ("how full", Column::Text),
        ("OS pages", Column::Number),
        ("resident, MiB", Column::Number),
        ("live, MiB", Column::Number),
    ];
    let level = |(level, share): (&Level, &Share)| {
        let resident = share.os_pages * OS_PAGE;
        vec![level.label().to_owned(), number(share.os_pages), mebibytes(resident), mebibytes(share.live)]
    };
    let levels = Level::RESIDENT.iter().zip(&heat.shares).rev().map(level);
    let caption =
        format!("resident OS pages of malloc's heaps; {} are on those with live and free bytes", mib(heat.sparse()));
    let mut all = vec![element("h3").text("How full OS pages are"), table(&caption, &heads, levels)];
    if heat.is_cut {
        all.push(
            of_class("p", "warn")
                .text("The heap is too large for a record of every OS page: the end of it is missing here."),
        );
    }
    if !heat.holders.is_empty() {
        all.push(element("h3").text("Blocks that keep OS pages from going back"));
        all.push(holders(&heat.holders));
    }
    all
}

fn holders(holders: &[Holder]) -> Element {
    let row = |holder: &Holder| {
        let name = if holder.from == holder.to {
            size(holder.from)
        } else {
            format!("{} – {}", size(holder.from), size(holder.to))
        };
        let figures = [holder.live_blocks, holder.os_pages, holder.alone].map(number);
        let back = holder.would_return();
        (name, figures.into_iter().chain([mebibytes(back)]).collect(), back)
    };
    let caption =
        "OS pages with live and free bytes, by size of block; held alone: no other size has a live block there";
    let heads = ["live blocks", "OS pages", "held alone", "would come back, MiB"];
    bars(caption, "block size", &heads, holders.iter().map(row).collect())
}

/// Of brkmap's own heaps, where nobody looked at single OS pages.
pub(super) fn of_brkmap(policy: &Policy) -> Vec<Element> {
    let mut all = Vec::new();
    if policy.pins.is_empty() {
        all.push(element("p").text("No OS page holds both live and free bytes."));
    } else {
        all.push(element("h3").text("Blocks that keep OS pages from going back"));
        all.push(pins(&policy.pins));
    }
    all.extend(of_policy(policy));
    all
}

/// brkmap's policy at work: what went back, and how the mmap threshold moved.
pub(super) fn of_policy(policy: &Policy) -> Vec<Element> {
    let mut all = returned(policy);
    for threshold in policy.thresholds.iter().filter(|threshold| threshold.moved > 0) {
        all.push(element("h3").text("Moves of the mmap threshold"));
        all.push(moves(threshold));
    }
    all
}

fn pins(pins: &[Pin]) -> Element {
    let row = |pin: &Pin| {
        let cells = vec![number(pin.live_blocks), number(pin.os_pages), mebibytes(pin.free_bytes)];
        (size(pin.block_bytes), cells, pin.free_bytes)
    };
    let caption = "free bytes beside live blocks on one OS page, by size of block, most first";
    bars(caption, "block size", &["live blocks", "OS pages", "free, MiB"], pins.iter().map(row).collect())
}

/// What went back to the kernel, by rule.
fn returned(policy: &Policy) -> Vec<Element> {
    let Some(rules) = &policy.returned else { return Vec::new() };
    let mut rules: Vec<&Returned> = rules.iter().filter(|rule| rule.calls > 0).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.bytes));
    let heads = [("rule", Column::Text), ("times", Column::Number), ("MiB", Column::Number)];
    let row = |rule: &&Returned| vec![rule.label.to_owned(), number(rule.calls), mebibytes(rule.bytes)];
    let caption = "bytes that went back to the kernel without being asked for, by the rule that decided";
    vec![element("h3").text("Given back"), table(caption, &heads, rules.iter().map(row))]
}

fn moves(threshold: &Threshold) -> Element {
    let heads = [
        ("after", Column::Text),
        ("free of a block of", Column::Number),
        ("from", Column::Number),
        ("to", Column::Number),
        ("thread", Column::Number),
    ];
    let row = |moved: &crate::model::policy::ThresholdMove| {
        let when = match moved.when {
            When::After(ms) => format!("{:.2} s", ms as f64 / 1000.0),
            When::Inherited => "before the fork".to_owned(),
            When::Unknown => "–".to_owned(),
        };
        let made = &moved.made;
        vec![when, size(made.freed), size(made.from), size(made.to), made.thread.to_string()]
    };
    let moved = count(threshold.moved, "move", "moves");
    let caption = format!("{moved}, {} remembered; it stands at {}", threshold.kept.len(), size(threshold.bytes));
    folded(
        &caption,
        true,
        [table("blocks from the new size on get a mapping of their own", &heads, threshold.kept.iter().map(row))],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sizes_are_shown_and_the_rest_is_summed() {
        let rows = (0..30).map(|i| (format!("size {i}"), vec![i.to_string()], i << 20)).collect();
        let text = bars("sizes", "size", &["blocks"], rows).to_string();
        assert_eq!(text.matches("role=\"rowheader\"").count(), SIZES);
        assert!(text.contains("14 more sizes with 91.0 MiB together"), "{text}");
        assert!(!bars("none", "size", &[], Vec::new()).to_string().contains("NaN"));
    }

    #[test]
    fn a_heap_that_was_refused_says_why() {
        let refused = Glibc { problem: Some("a version <unknown>".to_owned()), ..Glibc::default() };
        let text = of_glibc(&refused)[0].to_string();
        assert!(text.contains("a version &lt;unknown&gt;"), "{text}");
    }
}
