//! `brkmap top`: the same figures as a plain table, as JSON, and as lines of a live screen. Pure.

pub(crate) mod detail;
mod help;
pub(crate) mod json;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod theme;

use crate::model::top::board::{Board, Entry, Trouble};
use crate::proc::cgroup::Limit;

/// What stands above the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Time of day.
    pub(crate) clock: String,
    /// The control group that is watched: folder, bytes in use, the tightest limit above it.
    pub(crate) group: Option<Group>,
}

/// A control group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) folder: String,
    pub(crate) used: Option<u64>,
    pub(crate) limit: Option<Limit>,
}

/// Bytes in at most six characters.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u32, char); 4] = [(10, 'K'), (20, 'M'), (30, 'G'), (40, 'T')];
    if bytes == 0 {
        return "0".to_owned();
    }
    let fits = |&&(shift, _): &&(u32, char)| bytes < 1000 << shift;
    let &(shift, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
    let number = bytes as f64 / (1u64 << shift) as f64;
    match number {
        number if unit == 'K' => format!("{:.0}K", number.ceil()),
        number if number < 99.95 => format!("{number:.1}{unit}"),
        number => format!("{number:.0}{unit}"),
    }
}

/// A change per minute in at most seven characters.
pub(crate) fn rate(bytes: f64) -> String {
    match bytes {
        bytes if bytes.abs() < 1.0 => "0".to_owned(),
        bytes if bytes < 0.0 => format!("-{}", size(-bytes as u64)),
        bytes => format!("+{}", size(bytes as u64)),
    }
}

/// Sums over processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) processes: usize,
    pub(crate) looked_at: usize,
    pub(crate) troubled: usize,
    pub(crate) gone: usize,
    pub(crate) rss: u64,
    pub(crate) live: u64,
    pub(crate) returnable: u64,
    pub(crate) pinned: u64,
    pub(crate) growth: f64,
}

impl Sums {
    /// Over all processes of the board that fit.
    pub(crate) fn of(board: &Board, fits: impl Fn(&Entry) -> bool) -> Sums {
        let mut sums = Sums::default();
        for entry in board.entries().filter(|entry| fits(entry)) {
            sums.processes += 1;
            sums.troubled += usize::from(entry.trouble.is_some() && entry.gone.is_none());
            if entry.gone.is_some() {
                sums.gone += 1;
                continue;
            }
            sums.rss += entry.rss;
            sums.growth += entry.growth().unwrap_or(0.0);
            if let Some(summary) = &entry.summary {
                sums.looked_at += 1;
                sums.live += summary.live.unwrap_or(0);
                sums.returnable += summary.returnable.unwrap_or(0);
                sums.pinned += summary.pinned.unwrap_or(0);
            }
        }
        sums
    }
}

/// The lines above the list.
pub(crate) fn head(board: &Board, head: &Head) -> Vec<String> {
    let all = Sums::of(board, |_| true);
    let mut first = format!("brkmap top {}  {} processes: {} looked at", head.clock, all.processes, all.looked_at);
    let denied = board.entries().filter(|entry| matches!(entry.trouble, Some(Trouble::Denied(_)))).count();
    for (count, word) in [(denied, "denied"), (all.troubled.saturating_sub(denied), "unreadable"), (all.gone, "gone")] {
        if count > 0 {
            first += &format!(", {count} {word}");
        }
    }
    let tagged = Sums::of(board, |entry| entry.tagged);
    let (whose, sums) =
        if tagged.processes > 0 { (format!("{} tagged: ", tagged.processes), tagged) } else { (String::new(), all) };
    let second = format!(
        "{whose}RSS {}  live {}  returnable {}  pinned {}  growth {}/min",
        size(sums.rss),
        size(sums.live),
        size(sums.returnable),
        size(sums.pinned),
        rate(sums.growth)
    );
    let mut lines = vec![first, second];
    lines.extend(head.group.as_ref().map(group));
    lines
}

fn group(group: &Group) -> String {
    let used = group.used.map_or("use unknown".to_owned(), |used| format!("{} used", size(used)));
    let limit = match &group.limit {
        Some(limit) => format!(" of {}, head-room {}", size(limit.limit), size(limit.head_room())),
        None => ", no limit".to_owned(),
    };
    format!("cgroup {}: {used}{limit}", group.folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fit_their_columns() {
        let shown = |bytes: u64| size(bytes);
        assert_eq!(shown(0), "0");
        assert_eq!(shown(1), "1K", "something is never nothing");
        assert_eq!(shown(999 << 10), "999K");
        assert_eq!(shown(1000 << 10), "1.0M");
        assert_eq!(shown(98 << 20), "98.0M");
        assert_eq!(shown(412 << 20), "412M");
        assert_eq!(shown(3 << 30), "3.0G");
        assert_eq!(shown(u64::MAX), "16777216T");
        for shift in 0..50 {
            assert!(size(1 << shift).len() <= 6 && size((1 << shift) - 1).len() <= 6, "{shift}");
        }
        assert_eq!((rate(0.3), rate(2048.0), rate(-1048576.0)), ("0".to_owned(), "+2K".to_owned(), "-1.0M".to_owned()));
        assert_eq!(rate(f64::NAN), "+0");
    }
}
