//! The lines of the text report that show the policy at work. Each stands only where it says something:
//!
//! * a move of the mmap threshold always: it is rare, and it changes where all later blocks of that size come from;
//! * what went back, by rule, from 1 MiB on, and
//! * what live blocks pin from 1 MiB and a twentieth of RSS on: 1 MiB is the least budget, below which the engine
//!   itself leaves things as they are, and the verdict too begins to speak at a twentieth.

use super::style::Style;
use super::text::{SUBJECT, entry};
use crate::heap::Pin;
use crate::model::policy::{Policy, Returned, ThresholdMove, When};
use crate::model::process::Process;
use crate::model::verdict::mib;
use crate::model::waterfall::Kind;

/// Below this nothing is said about bytes.
const LEAST: u64 = 1 << 20;
/// Moves that get a line each.
const MOVES: usize = 2;
/// Rules that are named.
const RULES: usize = 4;
/// Block sizes that are named.
const SIZES: usize = 3;

/// Writes the lines, at most `room`.
pub(super) fn lines(process: &Process, style: Style, room: usize) -> Vec<String> {
    let mut lines = moves(&process.policy, style);
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

fn one_move(moved: &ThresholdMove, time: Time, style: Style) -> String {
    let made = &moved.made;
    let when = match moved.when {
        _ if time == Time::Omitted => String::new(),
        When::After(ms) => format!(" after {:.2} s", ms as f64 / 1000.0),
        When::Inherited => ", before the fork".to_owned(),
        When::Unknown => String::new(),
    };
    format!("mmap {}{}{} (free of {}{when})", size(made.from), style.arrow(), size(made.to), size(made.freed))
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

/// One line per move, or the first and the last of many in one.
fn moves(policy: &Policy, style: Style) -> Vec<String> {
    let line = |text: String| entry(style, "threshold", &text);
    let one = |moved| one_move(moved, Time::Told, style);
    match policy.moves.as_slice() {
        [] => Vec::new(),
        few if few.len() <= MOVES && few.len() as u64 == policy.moves_made => {
            few.iter().map(|moved| line(one(moved))).collect()
        }
        [first, .., last] => {
            let more = policy.moves_made.saturating_sub(1);
            let many = |time| {
                format!("{}, {more} more moves{}{}", one_move(first, time, style), style.arrow(), size(last.made.to))
            };
            let cause = format!(" (free of {})", size(last.made.freed));
            let lines = [many(Time::Told) + &cause, many(Time::Omitted) + &cause, many(Time::Omitted)];
            fitting(room(style), lines).map(line).into_iter().collect()
        }
        [only] => vec![line(format!("{}, of {} moves", one(only), policy.moves_made))],
    }
}

/// What went back and why, most bytes first.
fn by_rule(policy: &Policy, style: Style) -> Option<String> {
    if policy.returned_bytes() < LEAST {
        return None;
    }
    let mut rules: Vec<_> = policy.returned.iter().flatten().filter(|rule| rule.calls > 0).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.bytes));
    let calls = |number| count(number, "call", "calls");
    let text = |named: usize| {
        let (named, rest) = rules.split_at(named);
        let name = |rule: &&Returned| format!("{} {} ({})", rule.label, mib(rule.bytes), calls(rule.calls));
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

/// Which blocks keep OS pages from going back.
fn stayed(process: &Process, style: Style, room: usize) -> Vec<String> {
    let pinned = process.waterfall.get(Kind::Pinned);
    if pinned < LEAST || pinned < process.waterfall.rss() / 20 {
        return Vec::new();
    }
    let pins = &process.policy.pins;
    // A size that holds less than a tenth of it explains nothing.
    let large = pins.iter().take(SIZES).take_while(|pin| pin.free_bytes >= pinned / 10).count();
    let mut named = large.max(1).min(pins.len()).min(room);
    // The rest needs a line too.
    if named == room && named < pins.len() && named > 1 {
        named -= 1;
    }
    let (named, rest) = pins.split_at(named);
    let pin = |pin: &Pin| {
        let blocks = count(pin.live_blocks, "live block", "live blocks");
        let pages = count(pin.os_pages, "OS page", "OS pages");
        let verb = if pin.live_blocks == 1 { "pins" } else { "pin" };
        format!("{} free: {blocks} of {} B {verb} {pages}", mib(pin.free_bytes), pin.block_bytes)
    };
    let mut lines: Vec<String> = named.iter().map(pin).collect();
    if !rest.is_empty() && lines.len() < room {
        let free = rest.iter().map(|pin| pin.free_bytes).sum();
        lines.push(format!("{} free: {}", mib(free), count(rest.len() as u64, "more size", "more sizes")));
    }
    let subject = |index| if index == 0 { "stayed" } else { "" };
    lines.iter().enumerate().map(|(index, line)| entry(style, subject(index), line)).collect()
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
    fn each_move_has_its_free_and_many_are_one_line() {
        let chain = [moved(1, 128 << 10, 132 << 10), moved(2, 132 << 10, 5 * MIB), moved(9, 30 * MIB, 32 * MIB)];
        let heap = |count: usize| Heap { moves: chain[..count].to_vec(), ..Heap::default() };
        let two = shown(heap(2), 2, 9);
        assert_eq!(two[0], "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB after 0.01 s)");
        assert_eq!(two[1], "threshold   mmap 132 KiB -> 5.0 MiB (free of 5.0 MiB after 0.02 s)");
        let nine = shown(heap(3), 9, 9);
        let line = "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB), 8 more moves -> 32.0 MiB (free of 32.0 MiB)";
        assert_eq!(nine, [line]);
        assert_eq!(
            shown(heap(1), 3, 9)[0],
            "threshold   mmap 128 KiB -> 132 KiB (free of 132 KiB after 0.01 s), of 3 moves"
        );
        assert_eq!(shown(heap(2), 2, 1).len(), 1);
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
        assert!(line.starts_with("by rule     idle spans 90.0 MiB (1 call) - "), "{line}");
        assert!(line.contains(" - ") && line.contains(" more rules "), "{line}");
    }

    #[test]
    fn what_stays_is_told_by_the_blocks_that_pin_it() {
        let pin = |block_bytes, free| Pin { block_bytes, free_bytes: free, live_blocks: 3, os_pages: 2 };
        let one = Pin { live_blocks: 1, os_pages: 1, ..pin(4096, MIB) };
        let pins = vec![pin(64, 10 * MIB), pin(80, 20 * MIB), pin(96, MIB), one];
        let heap = Heap { pins, pinned: 32 * MIB, live: MIB, ..Heap::default() };
        let lines = shown(heap.clone(), 0, 9);
        assert_eq!(lines[0], "stayed      20.0 MiB free: 3 live blocks of 80 B pin 2 OS pages");
        assert_eq!(lines[1], "            10.0 MiB free: 3 live blocks of 64 B pin 2 OS pages");
        assert_eq!(lines[2], "            2.0 MiB free: 2 more sizes");
        let short = shown(heap.clone(), 0, 2);
        assert_eq!((&short[0], short[1].trim()), (&lines[0], "12.0 MiB free: 3 more sizes"));
        assert_eq!(shown(heap.clone(), 0, 1), lines[..1]);
        assert_eq!(shown(heap, 0, 0), [""; 0]);
        let single = Heap { pins: vec![one], pinned: MIB, live: 0, ..Heap::default() };
        assert_eq!(shown(single, 0, 9), ["stayed      1.0 MiB free: 1 live block of 4096 B pins 1 OS page"]);
    }
}
