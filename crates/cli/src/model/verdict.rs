//! One sentence about a process' memory at its last moment.

use super::diagnosis::Diagnosis;
use super::in_force::InForce;
use super::process::Process;
use super::waterfall::{Kind, Waterfall};

/// What dominates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Not enough to talk about.
    Small,
    /// The wanted malloc was not in force.
    NotInForce,
    /// No request ever came.
    NeverCalled,
    /// malloc's bytes cannot be seen from outside.
    Opaque,
    /// Blocks that the program holds.
    Live,
    /// Free bytes between live blocks.
    Fragmented,
    /// Free OS pages.
    Returnable,
    /// Free blocks in threads' lists.
    ThreadCaches,
    /// Not malloc's memory.
    NotMalloc,
    /// No reason reaches a quarter.
    Mixed,
    /// More than a twentieth has no explanation.
    Unexplained,
}

impl Class {
    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Class::Small => "small",
            Class::NotInForce => "not_in_force",
            Class::NeverCalled => "never_called",
            Class::Opaque => "opaque",
            Class::Live => "live",
            Class::Fragmented => "fragmented",
            Class::Returnable => "returnable",
            Class::ThreadCaches => "thread_caches",
            Class::NotMalloc => "not_malloc",
            Class::Mixed => "mixed",
            Class::Unexplained => "unexplained",
        }
    }
}

/// The judgement and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) class: Class,
    pub(crate) text: String,
}

/// Below this a process is small: its libraries alone take as much.
const SMALL: u64 = 8 << 20;

/// Bytes as MiB with one decimal, the only unit of the reports.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn classify(waterfall: &Waterfall, in_force: &InForce) -> Class {
    let rss = waterfall.rss().max(1);
    let is_part = |bytes: u64, percent: u64| bytes.saturating_mul(100) >= rss.saturating_mul(percent);
    let other = rss.saturating_sub(waterfall.malloc() + waterfall.get(Kind::Unexplained));
    let kept =
        [(Kind::Caches, Class::ThreadCaches), (Kind::Returnable, Class::Returnable), (Kind::Pinned, Class::Fragmented)];
    let kept = kept.into_iter().max_by_key(|(kind, _)| waterfall.get(*kind)).unwrap_or((Kind::Live, Class::Live));
    match () {
        () if in_force.reason.is_some() => Class::NotInForce,
        () if in_force.never_called => Class::NeverCalled,
        () if !waterfall.ours => Class::Opaque,
        () if rss < SMALL => Class::Small,
        () if is_part(waterfall.get(Kind::Unexplained), 5) => Class::Unexplained,
        () if is_part(waterfall.get(kept.0), 25) => kept.1,
        () if is_part(other, 50) => Class::NotMalloc,
        () if is_part(waterfall.get(Kind::Live) + waterfall.get(Kind::Rounding), 50) => Class::Live,
        () => Class::Mixed,
    }
}

/// Judges the last moment of a process.
pub(crate) fn judge(waterfall: &Waterfall, in_force: &InForce) -> Verdict {
    let class = classify(waterfall, in_force);
    let rss = waterfall.rss();
    let of = |bytes: u64| format!("{} of {}", mib(bytes), mib(rss));
    let row = |kind| of(waterfall.get(kind));
    let text = match class {
        Class::NotInForce => {
            let reason = in_force.reason.map_or("", |reason| reason.text());
            format!("ran on {}: {reason}", in_force.phrase())
        }
        Class::NeverCalled => format!("never called malloc: all of its {} are other things", mib(rss)),
        Class::Opaque if !in_force.is_known() => {
            format!("{} resident at the end; which malloc it used is not known", mib(rss))
        }
        Class::Opaque => format!(
            "{} resident at the end; what {} holds inside cannot be seen from outside yet",
            mib(rss),
            in_force.phrase()
        ),
        Class::Small => format!("small: {} resident at the end, {} of it malloc's", mib(rss), mib(waterfall.malloc())),
        Class::Live => {
            format!("mostly live: the program still held {} at the end", of(waterfall.get(Kind::Live)))
        }
        Class::Fragmented => {
            format!("fragmented: {} are free bytes that live blocks keep from going back", row(Kind::Pinned))
        }
        Class::Returnable => format!("held back: {} are free OS pages that could go back", row(Kind::Returnable)),
        Class::ThreadCaches => format!("cached: {} are free blocks in the lists of threads", row(Kind::Caches)),
        Class::NotMalloc => {
            format!(
                "mostly not malloc: {} are programs, files, stacks and other mappings",
                of(rss - waterfall.malloc())
            )
        }
        Class::Unexplained => format!("unclear: {} have no explanation", row(Kind::Unexplained)),
        Class::Mixed => format!("mixed: {} at the end, no reason reaches a quarter", mib(rss)),
    };
    Verdict { class, text }
}

/// The judgement that a report of a process opens with: of its last moment, by brkmap's own books where brkmap served it, else
/// by the full look.
pub(crate) enum Judgement<'a> {
    Plain(Verdict),
    Deep(&'a Diagnosis),
}

impl<'a> Judgement<'a> {
    /// Judges a process.
    pub(crate) fn of(process: &'a Process) -> Judgement<'a> {
        let plain = judge(&process.waterfall, &process.in_force);
        let deep = process.depth.end.as_deref().or(process.depth.highest());
        match (plain.class, deep) {
            (Class::Opaque, Some(deep)) => Judgement::Deep(&deep.inspection.diagnosis),
            _ => Judgement::Plain(plain),
        }
    }

    /// Stable name for JSON.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Judgement::Plain(verdict) => verdict.class.key(),
            Judgement::Deep(diagnosis) => diagnosis.class.key(),
        }
    }

    /// The sentence.
    pub(crate) fn text(&self) -> &str {
        match self {
            Judgement::Plain(verdict) => &verdict.text,
            Judgement::Deep(diagnosis) => &diagnosis.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::model::in_force::Reason;
    use crate::model::snapshot::Snapshot;
    use crate::proc::smaps::Mapping;

    fn judged(heap: Heap, other: u64) -> Verdict {
        let sum = heap.live + heap.rounding + heap.pinned + heap.returnable + heap.caches + heap.metadata;
        let malloc = Mapping { end: 1, rss: sum, name: "[heap]".to_owned(), ..Mapping::default() };
        let code = Mapping { end: 1, rss: other, inode: 1, executable: true, ..Mapping::default() };
        let heap = Heap { in_use: true, explained: vec![sum, 0], ..heap };
        let snapshot = Snapshot { mappings: vec![malloc, code], heaps: vec![heap], ..Snapshot::default() };
        judge(&Waterfall::of(&snapshot), &InForce::yes("brkmap"))
    }

    #[test]
    fn the_largest_reason_is_named() {
        const MIB: u64 = 1 << 20;
        let case = |heap: Heap, other| judged(heap, other).class;
        assert_eq!(case(Heap { live: 90 * MIB, ..Heap::default() }, 10 * MIB), Class::Live);
        assert_eq!(case(Heap { live: 50 * MIB, pinned: 40 * MIB, ..Heap::default() }, 10 * MIB), Class::Fragmented);
        assert_eq!(case(Heap { live: 50 * MIB, returnable: 40 * MIB, ..Heap::default() }, 0), Class::Returnable);
        let both = Heap { live: 40 * MIB, pinned: 30 * MIB, returnable: 31 * MIB, ..Heap::default() };
        assert_eq!(case(both, 0), Class::Returnable);
        assert_eq!(case(Heap { live: 50 * MIB, caches: 40 * MIB, ..Heap::default() }, 0), Class::ThreadCaches);
        assert_eq!(case(Heap { live: 10 * MIB, ..Heap::default() }, 40 * MIB), Class::NotMalloc);
        assert_eq!(case(Heap { live: MIB, ..Heap::default() }, MIB), Class::Small);
        assert_eq!(
            judged(Heap { live: 90 * MIB, ..Heap::default() }, 10 * MIB).text,
            "mostly live: the program still held 90.0 MiB of 100.0 MiB at the end"
        );
    }

    #[test]
    fn what_cannot_be_known_is_said() {
        let waterfall = Waterfall::of(&Snapshot::default());
        let glibc = InForce::yes("glibc");
        let verdict = judge(&waterfall, &glibc);
        assert_eq!(verdict.class, Class::Opaque);
        assert!(verdict.text.contains("cannot be seen from outside yet"));
        let refused = judge(&waterfall, &InForce::no("glibc", Reason::Static));
        assert_eq!(refused.class, Class::NotInForce);
        assert_eq!(refused.text, "ran on glibc: it is statically linked: no loader, no LD_PRELOAD");
    }
}
