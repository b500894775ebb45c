//! What is wrong with a process' memory, if anything, and what to do about it: one class, how sure, and why.
//! docs/INSPECT.md lists the rules; their numbers are the constants here.

use super::advice::Advice;
use super::growth::Growth;
use super::verdict::mib;
use super::xray::{Row, Xray};
use crate::heap::glibc::{Figures, Glibc};
use crate::heap::runtime::kind::Runtime;

/// The judgement in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What the program holds grows from look to look.
    Growing,
    /// Free OS pages that malloc keeps.
    Cached,
    /// The same, and it is one block near the top that keeps them.
    TopPinned,
    /// The same, spread over the arenas of threads.
    ArenaSpread,
    /// Free bytes between live blocks.
    Fragmented,
    /// Free blocks in the lists of threads.
    ThreadCaches,
    /// Huge pages with contents that were never written.
    HugePages,
    /// Given back, and the kernel has not taken it yet.
    LazyFree,
    /// Not malloc's memory.
    NotMalloc,
    /// It uses what it has.
    Fine,
    /// It cannot be said.
    Unclear,
}

impl Class {
    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Class::Growing => "growing",
            Class::Cached => "cached",
            Class::TopPinned => "top_pinned",
            Class::ArenaSpread => "arena_spread",
            Class::Fragmented => "fragmented",
            Class::ThreadCaches => "thread_caches",
            Class::HugePages => "huge_pages",
            Class::LazyFree => "lazy_free",
            Class::NotMalloc => "not_malloc",
            Class::Fine => "fine",
            Class::Unclear => "unclear",
        }
    }
}

/// How sure the judgement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confidence {
    High,
    Medium,
    Low,
}

impl Confidence {
    /// Name in reports and JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
}

/// The judgement, its reasons and its remedies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    pub(crate) class: Class,
    pub(crate) text: String,
    pub(crate) confidence: Confidence,
    pub(crate) evidence: String,
    pub(crate) advice: Vec<Advice>,
}

/// What is judged.
pub(crate) struct Case<'a> {
    pub(crate) xray: &'a Xray,
    pub(crate) glibc: Option<&'a Glibc>,
    pub(crate) growth: Option<&'a Growth>,
    pub(crate) lazy_free: u64,
    pub(crate) zeros_on_huge: u64,
    /// Whether a heap could not be read, or not to its end.
    pub(crate) problem: Option<&'a str>,
}

/// Below this a process is small: its libraries alone take as much.
pub(super) const SMALL: u64 = 8 << 20;
/// Share of RSS, in per cent, from which a reason is the verdict.
const DOMINANT: u64 = 25;
/// Share from which it is beyond doubt.
const CLEAR: u64 = 40;
/// Share of memory without explanation above which nothing is said.
const DARK: u64 = 5;

impl Case<'_> {
    fn rss(&self) -> u64 {
        self.xray.rss().max(1)
    }

    fn percent(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(100) / self.rss()
    }

    pub(super) fn total(&self) -> Figures {
        self.glibc.map(Glibc::total).unwrap_or_default()
    }

    /// Free OS pages that malloc keeps: what a trim returns and what lies at the tops of arenas.
    pub(super) fn whole_pages(&self) -> u64 {
        self.xray.get(Row::Returnable) + self.xray.get(Row::KeptTop)
    }

    /// Arenas of threads, and what of the free OS pages lies there.
    pub(super) fn thread_arenas(&self) -> (u64, u64) {
        let arenas = self.glibc.map_or(&[][..], |glibc| &glibc.arenas);
        let threads = arenas.iter().filter(|arena| !arena.is_main);
        let free = threads.clone().map(|arena| arena.figures.returnable + arena.figures.kept_top).sum();
        (threads.count() as u64, free)
    }

    /// What is not malloc's: the largest row of it.
    pub(super) fn largest_other(&self) -> (Row, u64) {
        let others = Row::ALL.into_iter().filter(|row| !row.is_malloc() && *row != Row::Unexplained);
        others.map(|row| (row, self.xray.get(row))).max_by_key(|(_, bytes)| *bytes).unwrap_or((Row::Files, 0))
    }

    fn not_malloc(&self) -> u64 {
        let rows = Row::ALL.into_iter().filter(|row| !row.is_malloc() && *row != Row::Unexplained);
        rows.map(|row| self.xray.get(row)).sum()
    }

    fn classify(&self) -> Class {
        let reaches = |bytes| self.percent(bytes) >= DOMINANT;
        let total = self.total();
        let (pinned, caches) = (self.xray.get(Row::Pinned), self.xray.get(Row::Caches));
        let (arenas, in_arenas) = self.thread_arenas();
        // Part of what a block at the top holds back are the crumbs between other blocks below it; those would stay.
        let under_top = total.under_top;
        match () {
            () if self.percent(self.xray.get(Row::Unexplained)) > DARK => Class::Unclear,
            () if self.growth.is_some_and(|growth| growth.is_leak_like(self.xray)) => Class::Growing,
            () if self.rss() < SMALL => Class::Fine,
            () if reaches(self.lazy_free) => Class::LazyFree,
            () if reaches(self.zeros_on_huge) => Class::HugePages,
            () if reaches(self.whole_pages()) && self.whole_pages() >= pinned => match () {
                () if arenas > 1 && in_arenas * 2 > self.whole_pages() => Class::ArenaSpread,
                () if under_top * 2 > self.whole_pages() => Class::TopPinned,
                () => Class::Cached,
            },
            () if reaches(pinned) && pinned >= caches => Class::Fragmented,
            () if reaches(caches) => Class::ThreadCaches,
            () if self.not_malloc() * 2 > self.rss() => Class::NotMalloc,
            () => Class::Fine,
        }
    }

    /// The figure that decided, for the sentence and for how sure it is.
    fn decisive(&self, class: Class) -> u64 {
        match class {
            Class::Growing => self.growth.map_or(0, |growth| growth.live.max(0) as u64),
            Class::Cached | Class::ArenaSpread => self.whole_pages(),
            Class::TopPinned => self.total().under_top,
            Class::Fragmented => self.xray.get(Row::Pinned),
            Class::ThreadCaches => self.xray.get(Row::Caches),
            Class::HugePages => self.zeros_on_huge,
            Class::LazyFree => self.lazy_free,
            Class::NotMalloc => self.not_malloc(),
            Class::Fine => self.xray.live(),
            Class::Unclear => self.xray.get(Row::Unexplained),
        }
    }

    fn text(&self, class: Class) -> String {
        let rss = mib(self.rss());
        let of = format!("{} of {rss}", mib(self.decisive(class)));
        let (row, bytes) = self.largest_other();
        let label = self.xray.label(row);
        match class {
            Class::Growing => {
                let rate = self.growth.map_or(0.0, |growth| growth.per_minute(growth.live));
                format!("growing like a leak: the program holds {:.1} MiB more each minute", rate / f64::from(1 << 20))
            }
            Class::Cached => format!("cached: {of} are free OS pages that malloc keeps"),
            Class::TopPinned => {
                let holding = size(self.total().holding_top);
                format!("top pinned: {holding} at the top of the break hold {of} of free memory back")
            }
            Class::ArenaSpread => {
                format!("too many arenas: {of} are free OS pages, spread over {} arenas", self.thread_arenas().0 + 1)
            }
            Class::Fragmented => format!("fragmented: {of} are free bytes between live blocks"),
            Class::ThreadCaches => format!("cached: {of} are free blocks in the caches of threads"),
            Class::HugePages => format!("huge-page bloat: {of} were never written, but lie on huge pages"),
            Class::LazyFree => format!("LazyFree: {of} were given back; the kernel takes them when it needs them"),
            Class::NotMalloc if row == Row::Runtime && self.xray.rest.is_some_and(Runtime::is_malloc) => {
                format!("not glibc's malloc: {} of {rss} are {label}", mib(bytes))
            }
            Class::NotMalloc => format!("not malloc: {} of {rss} are {label}", mib(bytes)),
            Class::Fine if self.rss() < SMALL => format!("fine: {rss} is small, and nothing stands out"),
            Class::Fine if self.xray.live() * 2 > self.rss() => format!("fine: the program holds {of}"),
            Class::Fine => format!("fine: no reason reaches a quarter of {rss}"),
            Class::Unclear => format!("unclear: {of} have no explanation"),
        }
    }

    fn confidence(&self, class: Class) -> Confidence {
        let torn = self.glibc.is_some_and(|glibc| glibc.torn > 0) || self.problem.is_some();
        let dark = self.percent(self.xray.get(Row::Unexplained));
        let share = self.percent(self.decisive(class));
        let looks = self.growth.map_or(1, |growth| growth.looks);
        match class {
            Class::Unclear => Confidence::Low,
            Class::Growing if looks < 4 => Confidence::Low,
            Class::Growing if looks < 8 => Confidence::Medium,
            _ if dark > 1 => Confidence::Low,
            _ if torn => Confidence::Medium,
            Class::Growing => Confidence::High,
            Class::Fine if share < DOMINANT && self.rss() >= SMALL => Confidence::Medium,
            Class::Fine => Confidence::High,
            _ if share < CLEAR => Confidence::Medium,
            _ => Confidence::High,
        }
    }

    /// What the judgement rests on, besides the rows.
    fn evidence(&self, class: Class) -> String {
        let total = self.total();
        let mut parts = Vec::new();
        match class {
            Class::Growing => {
                if let Some(growth) = self.growth {
                    parts.push(format!("rose in {} of {} steps", growth.rising, growth.looks - 1));
                }
                if let Some((from, to, _, bytes)) = self.glibc.and_then(|glibc| glibc.sizes.largest()) {
                    let sizes = if from == to { format!("{from}") } else { format!("{from} to {to}") };
                    parts.push(format!("{} in chunks of {sizes} bytes", mib(bytes)));
                }
            }
            Class::Unclear => parts.extend(self.problem.map(str::to_owned)),
            Class::HugePages => parts.push("read and found to be zeros".to_owned()),
            Class::LazyFree => parts.push("by the kernel's count".to_owned()),
            _ if total.live_blocks > 0 => {
                let free = total.free_chunks;
                let (live, gaps) = (plural(total.live_blocks, "live block"), plural(free, "gap"));
                parts.push(format!("{live}, {gaps} up to {}", size(total.largest_free)));
            }
            _ => {}
        }
        let torn = self.glibc.map_or(0, |glibc| glibc.torn);
        match torn {
            0 => parts.push(format!(
                "{:.1} % unexplained",
                self.xray.get(Row::Unexplained) as f64 * 100.0 / self.rss() as f64
            )),
            torn => parts.push(format!("{} torn", plural(torn, "place"))),
        }
        parts.join(", ")
    }
}

/// A number of things.
fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A size that may be small.
fn size(bytes: u64) -> String {
    match bytes {
        0..10240 => format!("{bytes} bytes"),
        10240..1048576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => mib(bytes),
    }
}

/// Judges.
pub(crate) fn judge(case: &Case<'_>) -> Diagnosis {
    let class = case.classify();
    Diagnosis {
        class,
        text: case.text(class),
        confidence: case.confidence(class),
        evidence: case.evidence(class),
        advice: case.advice(class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::glibc::Arena;
    use crate::model::advice::Mark;
    use crate::model::growth::Sample;

    const MIB: u64 = 1 << 20;

    fn case<'a>(xray: &'a Xray, glibc: Option<&'a Glibc>) -> Case<'a> {
        Case { xray, glibc, growth: None, lazy_free: 0, zeros_on_huge: 0, problem: None }
    }

    fn class(rows: &[(Row, u64)]) -> Class {
        let rows: Vec<(Row, u64)> = rows.iter().map(|&(row, mib)| (row, mib * MIB)).collect();
        judge(&case(&Xray::with(&rows), None)).class
    }

    fn arena(is_main: bool, returnable: u64, under_top: u64) -> Arena {
        let figures = Figures { returnable, under_top, holding_top: under_top.min(48), ..Figures::default() };
        Arena { is_main, figures, ..Arena::default() }
    }

    #[test]
    fn the_largest_reason_is_the_verdict() {
        assert_eq!(class(&[(Row::Live, 90), (Row::Programs, 10)]), Class::Fine);
        assert_eq!(class(&[(Row::Live, 50), (Row::Returnable, 40), (Row::Pinned, 10)]), Class::Cached);
        assert_eq!(class(&[(Row::Live, 50), (Row::Returnable, 30), (Row::Pinned, 40)]), Class::Fragmented);
        assert_eq!(class(&[(Row::Live, 50), (Row::Caches, 40)]), Class::ThreadCaches);
        assert_eq!(class(&[(Row::Live, 10), (Row::Files, 40)]), Class::NotMalloc);
        assert_eq!(class(&[(Row::Live, 1), (Row::Returnable, 2)]), Class::Fine);
        assert_eq!(class(&[(Row::Live, 50), (Row::Unexplained, 10)]), Class::Unclear);
    }

    #[test]
    fn free_pages_are_told_by_where_they_lie() {
        let xray = Xray::with(&[(Row::Live, 10 * MIB), (Row::Returnable, 90 * MIB)]);
        let of = |arenas| judge(&case(&xray, Some(&Glibc { arenas, ..Glibc::default() }))).class;
        assert_eq!(of(vec![arena(true, 90 * MIB, 0)]), Class::Cached);
        assert_eq!(of(vec![arena(true, 90 * MIB, 80 * MIB)]), Class::TopPinned);
        let threads = vec![arena(true, 0, 0), arena(false, 45 * MIB, 0), arena(false, 45 * MIB, 0)];
        assert_eq!(of(threads), Class::ArenaSpread);
    }

    #[test]
    fn every_gain_is_marked_and_confidence_falls_with_doubt() {
        let xray = Xray::with(&[(Row::Live, 10 * MIB), (Row::Returnable, 90 * MIB)]);
        let glibc = Glibc { arenas: vec![arena(true, 90 * MIB, 80 * MIB)], ..Glibc::default() };
        let sure = judge(&case(&xray, Some(&glibc)));
        assert_eq!(sure.confidence, Confidence::High);
        assert_eq!(sure.advice[0].gain, Some((90 * MIB, Mark::Predicted)));
        assert!(sure.text.starts_with("top pinned: 48 bytes at the top"), "{}", sure.text);
        let torn = Glibc { torn: 1, ..glibc };
        assert_eq!(judge(&case(&xray, Some(&torn))).confidence, Confidence::Medium);
        let dim = Xray::with(&[(Row::Live, 10 * MIB), (Row::Returnable, 90 * MIB), (Row::Unexplained, 3 * MIB)]);
        assert_eq!(judge(&case(&dim, None)).confidence, Confidence::Low);
    }

    #[test]
    fn growth_comes_before_all_other_reasons_and_says_its_rate() {
        let at = |seconds, mib: u64| Sample {
            seconds,
            xray: Xray::with(&[(Row::Live, mib * MIB), (Row::Returnable, 50 * MIB)]),
        };
        let samples = [at(0.0, 50), at(30.0, 60)];
        let growth = Growth::of(&samples).unwrap();
        let found = judge(&Case { growth: Some(&growth), ..case(&samples[1].xray, None) });
        assert_eq!((found.class, found.confidence), (Class::Growing, Confidence::Low));
        assert!(found.text.contains("20.0 MiB more each minute"), "{}", found.text);
    }

    #[test]
    fn what_the_kernel_knows_better_is_told_apart() {
        let xray = Xray::with(&[(Row::Live, 10 * MIB), (Row::Anonymous, 90 * MIB)]);
        let lazy = judge(&Case { lazy_free: 50 * MIB, ..case(&xray, None) });
        assert_eq!((lazy.class, lazy.advice[0].gain), (Class::LazyFree, Some((50 * MIB, Mark::Measured))));
        let huge = judge(&Case { zeros_on_huge: 50 * MIB, ..case(&xray, None) });
        assert_eq!(huge.class, Class::HugePages);
    }
}
