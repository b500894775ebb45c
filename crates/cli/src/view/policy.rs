//! The lines of the text report that show the policy at work. Each stands only where it says something:
//!
//! * a move of the mmap threshold always: it is rare, and it changes where all later blocks of that size come from;
//! * what went back, by rule, from 1 MiB on, and
//! * what live blocks pin from 1 MiB and a twentieth of RSS on: 1 MiB is the least budget, below which the engine
//!   itself leaves things as they are, and the verdict too begins to speak at a twentieth.

use super::style::Style;
use super::text::{SUBJECT, entry};
use crate::heap::Pin;
use crate::model::policy::{Policy, Returned, Threshold, ThresholdMove, When};
use crate::model::process::Process;
use crate::model::verdict::mib;
use crate::model::waterfall::Kind;

/// Below this nothing is said about bytes.
const LEAST: u64 = 1 << 20;
/// Rules that are named.
const RULES: usize = 4;
/// Block sizes that are named.
const SIZES: usize = 3;

/// Writes the lines, at most `room`.
pub(super) fn lines(process: &Process, style: Style, room: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        process.policy.thresholds.iter().filter_map(|threshold| moves(threshold, style)).collect();
    lines.extend(by_rule(&process.policy, style));
    lines.truncate(room);
    lines.extend(stayed(process, style, room - lines.len()));
    lines
}

/// A size as people say it: thresholds begin at 128 KiB.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => mib(bytes),
    }
}

/// Whether a move is told with its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Told,
    Omitted,
}

/// Where a move led, and the free that caused it.
fn one_move(moved: &ThresholdMove, time: Time, style: Style) -> String {
    let made = &moved.made;
    let when = match moved.when {
        _ if time == Time::Omitted => String::new(),
        When::After(ms) => format!(" after {:.2} s", ms as f64 / 1000.0),
        When::Inherited => ", before the fork".to_owned(),
        When::Unknown => String::new(),
    };
    format!("{}{} (free of {}{when})", style.arrow(), size(made.to), size(made.freed))
}

/// Columns behind the subject.
fn room(style: Style) -> usize {
    style.width.saturating_sub(SUBJECT)
}

/// The first of these texts that fits the width; the last, if none does.
fn fitting(width: usize, lines: impl IntoIterator<Item = String>) -> Option<String> {
    let mut last = None;
    for line in lines {
        if line.chars().count() <= width {
            return Some(line);
        }
        last = Some(line);
    }
    last
}

/// The moves in a chain if that fits, else the first and the last.
fn moves(threshold: &Threshold, style: Style) -> Option<String> {
    let (first, last) = (threshold.kept.first()?, threshold.kept.last()?);
    let start = format!("mmap {}", size(first.made.from));
    let chain = |time| {
        let moves = threshold.kept.iter().map(|moved| one_move(moved, time, style));
        threshold.is_complete().then(|| start.clone() + &moves.collect::<String>())
    };
    let more = count(threshold.moved.saturating_sub(1), "more move", "more moves");
    let ends = format!("{start}{}, {more}", one_move(first, Time::Omitted, style));
    let cause = ends.clone() + &one_move(last, Time::Omitted, style);
    let short = format!("{ends}{}{}", style.arrow(), size(last.made.to));
    let lines = [chain(Time::Told), chain(Time::Omitted), Some(cause), Some(short)];
    fitting(room(style), lines.into_iter().flatten()).map(|text| entry(style, "threshold", &text))
}

/// What went back and why, most bytes first.
fn by_rule(policy: &Policy, style: Style) -> Option<String> {
    if policy.returned_bytes() < LEAST {
        return None;
    }
    let mut rules: Vec<_> = policy.returned.iter().flatten().filter(|rule| rule.calls > 0).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.bytes));
    let text = |named: usize| {
        let (named, rest) = rules.split_at(named);
        let name = |rule: &&Returned| format!("{} {}", rule.label, mib(rule.bytes));
        let mut parts: Vec<String> = named.iter().map(name).collect();
        if !rest.is_empty() {
            let bytes = rest.iter().map(|rule| rule.bytes).sum();
            parts.push(format!("{} {}", count(rest.len() as u64, "more rule", "more rules"), mib(bytes)));
        }
        parts.join(style.dot())
    };
    fitting(room(style), (1..=rules.len().min(RULES)).rev().map(text)).map(|text| entry(style, "by rule", &text))
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Which blocks keep OS pages from going back: the sizes that hold a tenth of it or more, then the others together.
fn stayed(process: &Process, style: Style, room: usize) -> Vec<String> {
    let pinned = process.waterfall.get(Kind::Pinned);
    if pinned < LEAST || pinned < process.waterfall.rss() / 20 {
        return Vec::new();
    }
    let pins = &process.policy.pins;
    let large = pins.iter().take(SIZES).take_while(|pin| pin.free_bytes >= pinned / 10).count();
    // The others need a line too.
    let named = if large < pins.len() { large.min(room.saturating_sub(1)) } else { large.min(room) };
    let (named, others) = pins.split_at(named);
    let mut lines: Vec<String> = named.iter().map(|pin| pins_text(pin, &format!("{} B", pin.block_bytes))).collect();
    if let (Some(largest), true) = (others.first(), lines.len() < room) {
        let mut sum = Pin::default();
        others.iter().for_each(|pin| sum.add(pin));
        let sizes = match (others.len(), named.is_empty()) {
            (1, _) => format!("{} B", largest.block_bytes),
            (many, true) => format!("{many} sizes (most by {} B: {})", largest.block_bytes, mib(largest.free_bytes)),
            (many, false) => format!("{many} more sizes"),
        };
        lines.push(pins_text(&sum, &sizes));
    }
    let subject = |index| if index == 0 { "stayed" } else { "" };
    lines.iter().enumerate().map(|(index, line)| entry(style, subject(index), line)).collect()
}

fn pins_text(pin: &Pin, sizes: &str) -> String {
    let blocks = count(pin.live_blocks, "live block", "live blocks");
    let pages = count(pin.os_pages, "OS page", "OS pages");
    let verb = if pin.live_blocks == 1 { "keeps" } else { "keep" };
    format!("{} free: {blocks} of {sizes} {verb} {pages}", mib(pin.free_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::model::in_force::Wanted;
    use crate::model::snapshot::{Moment, Snapshot};
    use crate::proc::smaps::Mapping;
    use brkmap_wire::{COUNTERS, Counter, Move, RULES as ALL_RULES, Rule};

    const MIB: u64 = 1 << 20;
    const PLAIN: Style = Style { color: false, ascii: true, width: 100 };

    fn moved(number: u64, from: u64, to: u64) -> Move {
        Move { number, freed: to - 16, from, to, when_ms: 1000 + 10 * number, ..Move::default() }
    }

    fn process(heap: Heap, moves_made: u64) -> Process {
        let mut counters = vec![1; COUNTERS];
        counters[Counter::ThresholdMoves as usize] = moves_made;
        let rss = heap.pinned + heap.live;
        let mapping = Mapping { end: 1, rss, ..Mapping::default() };
        let heap = Heap { in_use: true, counters, explained: vec![rss], ..heap };
        let snapshot =
            Snapshot { heaps: vec![heap], mappings: vec![mapping], started_ms: Some(1000), ..Snapshot::default() };
        Process::of(1, &snapshot, &Wanted::Brkmap, Moment::AtExit)
    }

    fn shown(heap: Heap, moves_made: u64, room: usize) -> Vec<String> {
        lines(&process(heap, moves_made), PLAIN, room)
    }

    #[test]
    fn nothing_is_said_where_nothing_happened() {
        let mut rules = vec![(0, 0); ALL_RULES];
        rules[Rule::Holes as usize] = (9, MIB - 1);
        let pins = vec![Pin { block_bytes: 64, free_bytes: MIB - 1, live_blocks: 9, os_pages: 9 }];
        let small = Heap { rules, pins: pins.clone(), pinned: MIB - 1, live: MIB, ..Heap::default() };
        assert_eq!(shown(small, 0, 9), [""; 0]);
        let large = Heap { pins, pinned: 2 * MIB, live: 100 * MIB, ..Heap::default() };
        assert_eq!(shown(large, 0, 9), [""; 0], "less than a twentieth");
    }

    #[test]
    fn each_move_has_its_free() {
        let chain = [moved(1, 128 << 10, 132 << 10), moved(2, 132 << 10, 5 * MIB), moved(9, 30 * MIB, 32 * MIB)];
        let heap = |count: usize| Heap { moves: chain[..count].to_vec(), ..Heap::default() };
        let text = |count, made| shown(heap(count), made, 9).concat();
        assert_eq!(text(1, 1), "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB after 0.01 s)");
        let two = "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB) -> 5.0 MiB (free of 5.0 MiB)";
        assert_eq!(text(2, 2), two);
        let nine = "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB), 8 more moves -> 32.0 MiB (free of 32.0 MiB)";
        assert_eq!(text(3, 9), nine);
        assert_eq!(shown(heap(2), 2, 0), [""; 0]);
    }

    #[test]
    fn narrow_terminals_get_shorter_lines() {
        let chain = [moved(1, 128 << 10, 132 << 10), moved(9, 30 * MIB, 32 * MIB)];
        let rules = (1..=ALL_RULES as u64).map(|count| (count, count * MIB)).collect();
        let process = process(Heap { moves: chain.to_vec(), rules, ..Heap::default() }, 9);
        for width in [60, 80, 100, 120] {
            let lines = lines(&process, Style { width, ..PLAIN }, 9);
            assert!(lines[0].contains("8 more moves -> 32.0 MiB"), "{}", lines[0]);
            assert!(lines[1].contains("more rule"), "{}", lines[1]);
            assert!(width < 80 || lines.iter().all(|line| line.len() <= width), "{lines:#?}");
        }
    }

    #[test]
    fn rules_stand_by_their_bytes() {
        let mut rules: Vec<_> = (1..=ALL_RULES as u64).map(|count| (count, count * MIB)).collect();
        rules[Rule::Idle as usize] = (1, 90 * MIB);
        let line = shown(Heap { rules, ..Heap::default() }, 0, 9).remove(0);
        assert!(line.starts_with("by rule     idle spans 90.0 MiB - "), "{line}");
        assert!(line.contains(" - ") && line.contains(" more rules "), "{line}");
    }

    #[test]
    fn what_stays_is_told_by_the_blocks_that_pin_it() {
        let pin = |block_bytes, free| Pin { block_bytes, free_bytes: free, live_blocks: 3, os_pages: 2 };
        let one = Pin { live_blocks: 1, os_pages: 1, ..pin(4096, MIB) };
        let pins = vec![pin(64, 10 * MIB), pin(80, 20 * MIB), pin(96, MIB), one];
        let heap = Heap { pins, pinned: 32 * MIB, live: MIB, ..Heap::default() };
        let lines = shown(heap.clone(), 0, 9);
        assert_eq!(lines[0], "stayed      20.0 MiB free: 3 live blocks of 80 B keep 2 OS pages");
        assert_eq!(lines[1], "            10.0 MiB free: 3 live blocks of 64 B keep 2 OS pages");
        assert_eq!(lines[2], "            2.0 MiB free: 4 live blocks of 2 more sizes keep 3 OS pages");
        let short = shown(heap.clone(), 0, 2);
        assert_eq!(short[0], lines[0]);
        assert_eq!(short[1].trim(), "12.0 MiB free: 7 live blocks of 3 more sizes keep 5 OS pages");
        let all = "stayed      32.0 MiB free: 10 live blocks of 4 sizes (most by 80 B: 20.0 MiB) keep 7 OS pages";
        assert_eq!(shown(heap.clone(), 0, 1), [all]);
        assert_eq!(shown(heap, 0, 0), [""; 0]);
        let single = Heap { pins: vec![one], pinned: MIB, live: 0, ..Heap::default() };
        assert_eq!(shown(single, 0, 9), ["stayed      1.0 MiB free: 1 live block of 4096 B keeps 1 OS page"]);
        let spread: Vec<Pin> = (1..=20).map(|size| pin(16 * size, MIB)).collect();
        let spread = shown(Heap { pins: spread, pinned: 20 * MIB, ..Heap::default() }, 0, 9).concat();
        assert!(spread.contains("60 live blocks of 20 sizes (most by 16 B: 1.0 MiB) keep 40 OS pages"), "{spread}");
    }
}
