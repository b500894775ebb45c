//! Resident memory as a waterfall: one bar per reason, each beginning where the one before ended. They sum to RSS.

use super::markup::{Element, element, of_class};
use super::table::{mebibytes, percent};
use crate::model::waterfall::{Kind, Waterfall};
use crate::model::xray::{Row, Xray};

/// Whose bytes they are: what colour and pattern say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Held,
    Overhead,
    Kept,
    Returnable,
    Other,
    Unexplained,
}

impl Share {
    const ALL: [Share; 6] =
        [Share::Held, Share::Overhead, Share::Kept, Share::Returnable, Share::Other, Share::Unexplained];

    /// Class in the style sheet.
    fn class(self) -> &'static str {
        match self {
            Share::Held => "held",
            Share::Overhead => "overhead",
            Share::Kept => "kept",
            Share::Returnable => "returnable",
            Share::Other => "other",
            Share::Unexplained => "unexplained",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Share::Held => "held by the program",
            Share::Overhead => "malloc's own needs",
            Share::Kept => "free, and it stays",
            Share::Returnable => "free, can go back now",
            Share::Other => "not malloc's",
            Share::Unexplained => "unexplained",
        }
    }
}

/// How a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Measured,
    Predicted,
    Estimate,
}

impl Mark {
    pub(super) fn word(self) -> &'static str {
        match self {
            Mark::Measured => "measured",
            Mark::Predicted => "predicted",
            Mark::Estimate => "estimate",
        }
    }
}

/// What the page knows of a reason, by its key.
struct Reason {
    key: &'static str,
    share: Share,
    mark: Mark,
    about: &'static str,
}

const fn reason(key: &'static str, share: Share, mark: Mark, about: &'static str) -> Reason {
    Reason { key, share, mark, about }
}

const REASONS: [Reason; 18] = {
    use Mark::{Estimate, Measured, Predicted};
    use Share::{Held, Kept, Other, Overhead, Returnable, Unexplained};
    [
        reason("live", Held, Measured, "Blocks that the program got from malloc and has not freed."),
        reason("live_mapped", Held, Measured, "Such blocks above the mmap threshold: each is a mapping of its own."),
        reason("headers", Overhead, Measured, "What malloc writes in front of each live block."),
        reason(
            "rounding",
            Overhead,
            Estimate,
            "What blocks are larger than their requests. Known exactly for large blocks, from a sample of requests for \
             small ones.",
        ),
        reason("thread_caches", Kept, Measured, "Freed blocks that threads keep at hand for their next requests."),
        reason(
            "pinned_free",
            Kept,
            Measured,
            "Free bytes on OS pages that also hold live ones: fragmentation in the narrow sense. No trim returns them.",
        ),
        reason(
            "returnable",
            Returnable,
            Predicted,
            "Whole OS pages without a live byte: what malloc_trim(0) would give back to the kernel.",
        ),
        reason(
            "arena_tops",
            Kept,
            Measured,
            "Free OS pages at the ends of thread arenas, which malloc_trim leaves alone.",
        ),
        reason("metadata", Overhead, Measured, "Tables that malloc keeps beside the blocks."),
        reason("runtime_live", Held, Measured, "Objects in use, by the runtime's own count."),
        reason("runtime_free", Kept, Measured, "Free memory that the runtime keeps."),
        reason("runtime", Other, Measured, "Memory of a language's runtime or of another malloc, not split further."),
        reason("break_heap", Other, Measured, "Memory on the program break that malloc does not manage."),
        reason("other_anonymous", Other, Measured, "Private mappings that the program made itself."),
        reason("stacks", Other, Measured, "Stacks of all threads."),
        reason("programs_and_libraries", Other, Measured, "Code and data of the program and its libraries."),
        reason("other_files", Other, Measured, "Mapped files and shared memory; the kernel can take clean pages back."),
        reason(
            "unexplained",
            Unexplained,
            Measured,
            "Resident, and of no use that could be made out. Never hidden, also when it is nothing.",
        ),
    ]
};

/// One reason with its bytes.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) key: &'static str,
    pub(super) label: String,
    pub(super) bytes: u64,
}

impl Bar {
    fn reason(&self) -> &'static Reason {
        REASONS.iter().find(|reason| reason.key == self.key).unwrap_or(&REASONS[REASONS.len() - 1])
    }
}

/// The bars of a foreign process. Rows of nothing are left out, but "unexplained" is not.
pub(super) fn of_xray(xray: &Xray) -> Vec<Bar> {
    let shown = |row: &Row| xray.get(*row) > 0 || *row == Row::Unexplained;
    let bar = |row: Row| Bar { key: row.key(), label: xray.label(row), bytes: xray.get(row) };
    Row::ALL.into_iter().filter(shown).map(bar).collect()
}

/// The bars of a process that was run.
pub(super) fn of_waterfall(waterfall: &Waterfall) -> Vec<Bar> {
    let shown = |kind: &Kind| waterfall.get(*kind) > 0 || *kind == Kind::Unexplained;
    let bar = |kind: Kind| {
        let label = kind.label(waterfall.ours).to_owned();
        Bar { key: kind.key(), label, bytes: waterfall.get(kind) }
    };
    Kind::ALL.into_iter().filter(shown).map(bar).collect()
}

/// Resident bytes of some bars.
pub(super) fn sum(bars: &[Bar]) -> u64 {
    bars.iter().map(|bar| bar.bytes).sum()
}

/// Bytes of what the program holds.
pub(super) fn held(bars: &[Bar]) -> u64 {
    bars.iter().filter(|bar| bar.reason().share == Share::Held).map(|bar| bar.bytes).sum()
}

/// A little square in the colour and pattern of a share.
fn key(share: Share) -> Element {
    of_class("svg", "key")
        .with("width", 14)
        .with("height", 14)
        .with("aria-hidden", "true")
        .child(of_class("rect", share.class()).with("width", 14).with("height", 14).with("rx", 2))
}

/// All of RSS in one bar, cut by whose bytes they are, with a legend that has the figures.
pub(super) fn overview(bars: &[Bar]) -> Element {
    let rss = sum(bars);
    let of = |share: Share| bars.iter().filter(|bar| bar.reason().share == share).map(|bar| bar.bytes).sum::<u64>();
    let shares: Vec<(Share, u64)> = Share::ALL.into_iter().map(|share| (share, of(share))).collect();
    let mut at = 0;
    let mut picture = element("svg").with("width", "100%").with("height", 34).with("role", "img");
    let words: Vec<String> =
        shares.iter().map(|(share, bytes)| format!("{} {:.0} %", share.label(), percent(*bytes, rss))).collect();
    picture = picture.with("aria-label", format!("resident memory: {}", words.join(", ")));
    for &(share, bytes) in shares.iter().filter(|(_, bytes)| *bytes > 0) {
        let (x, width) = (percent(at, rss), percent(bytes, rss));
        let part = of_class("rect", share.class()).with("height", 34);
        let title = element("title").text(format!("{}: {} MiB", share.label(), mebibytes(bytes)));
        picture = picture.child(part.with("x", format!("{x:.3}%")).with("width", format!("{width:.3}%")).child(title));
        at += bytes;
        let cut = of_class("line", "cut").with("y2", 34).with("stroke-width", 2);
        let x = format!("{:.3}%", percent(at, rss));
        picture = picture.child(cut.with("x1", &x).with("x2", &x));
    }
    let entry = |&(share, bytes): &(Share, u64)| {
        element("li").child(key(share)).text(format!("{} {} MiB", share.label(), mebibytes(bytes)))
    };
    let shown = shares.iter().filter(|(share, bytes)| *bytes > 0 || *share == Share::Unexplained);
    of_class("figure", "overview").child(picture).child(of_class("ul", "legend").children(shown.map(entry)))
}

fn bar(bar: &Bar, before: u64, rss: u64) -> Element {
    let reason = bar.reason();
    let (x, width) = (percent(before, rss), percent(bar.bytes, rss));
    let picture = element("svg")
        .with("width", "100%")
        .with("height", 18)
        .with("aria-hidden", "true")
        .child(of_class("rect", "track").with("width", "100%").with("height", 18))
        .child(
            of_class("rect", reason.share.class())
                .with("x", format!("{x:.3}%"))
                .with("width", format!("{:.3}%", width.max(0.15).min(100.0 - x.min(99.85))))
                .with("height", 18),
        );
    let cell = |class: &str, text: String| of_class("td", class).with("role", "cell").text(text);
    element("tr")
        .with("role", "row")
        .with("data-key", bar.key)
        .with("data-bytes", bar.bytes)
        .child(element("th").with("scope", "row").with("role", "rowheader").text(&bar.label))
        .child(of_class("td", "bar").with("role", "cell").child(picture))
        .child(cell("n", mebibytes(bar.bytes)))
        .child(cell("n", format!("{:.1} %", percent(bar.bytes, rss))))
        .child(of_class("td", "source").with("role", "cell").child(mark(reason.mark)))
}

/// The word for how a figure is known.
pub(super) fn mark(mark: Mark) -> Element {
    of_class("span", "mark").text(mark.word())
}

/// The bars as a table; with their sum, and what each row means folded below.
pub(super) fn table(bars: &[Bar], caption: &str) -> Element {
    let rss = sum(bars);
    let mut before = 0;
    let rows = bars.iter().map(|one| {
        let row = bar(one, before, rss);
        before += one.bytes;
        row
    });
    let head = |text: &str, class: &'static str| {
        let head = element("th").with("scope", "col").with("role", "columnheader");
        head.with_some("class", (!class.is_empty()).then_some(class)).text(text)
    };
    let heads = [("reason", ""), ("", ""), ("MiB", "n"), ("of RSS", "n"), ("known as", "")];
    let cell = |class: &str, text: &str| of_class("td", class).with("role", "cell").text(text);
    let foot = element("tr")
        .with("role", "row")
        .with("data-key", "rss")
        .with("data-bytes", rss)
        .child(element("th").with("scope", "row").with("role", "rowheader").text("sum = resident (RSS)"))
        .child(cell("bar", ""))
        .child(cell("n", &mebibytes(rss)))
        .child(cell("n", "100.0 %"))
        .child(cell("source", ""));
    of_class("table", "bars waterfall")
        .with("role", "table")
        .child(element("caption").text(caption))
        .child(
            element("thead")
                .with("role", "rowgroup")
                .child(element("tr").with("role", "row").children(heads.map(|(text, class)| head(text, class)))),
        )
        .child(element("tbody").with("role", "rowgroup").children(rows))
        .child(element("tfoot").with("role", "rowgroup").child(foot))
}

/// What the rows mean.
pub(super) fn terms(bars: &[Bar]) -> Element {
    let term = |bar: &Bar| [element("dt").text(&bar.label), element("dd").text(bar.reason().about)];
    of_class("dl", "terms").children(bars.iter().flat_map(term))
}

/// Patterns by which shares differ also where colour is gone: on grey paper, or to an eye that does not tell them apart.
pub(super) fn patterns() -> Element {
    let tile = |id: &str, share: &str, size: u32, marks: Element| {
        element("pattern")
            .with("id", format!("p-{id}"))
            .with("width", size)
            .with("height", size)
            .with("patternUnits", "userSpaceOnUse")
            .child(of_class("rect", &format!("b-{share}")).with("width", size).with("height", size))
            .child(marks)
    };
    let lines = |d: &str| of_class("path", "cut").with("d", d).with("stroke-width", 1.6);
    let dots = element("circle").with("cx", 3).with("cy", 3).with("r", 1.3).with("fill", "var(--cut)");
    let tiles = [
        tile("overhead", "overhead", 8, lines("M0 4H8")),
        tile("kept", "kept", 8, lines("M-2 2L2 -2M0 8L8 0M6 10L10 6")),
        tile("returnable", "returnable", 6, dots),
        tile("unexplained", "unexplained", 8, lines("M0 0L8 8M0 8L8 0")),
    ];
    of_class("svg", "defs").with("aria-hidden", "true").child(element("defs").children(tiles))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_both_commands_is_known() {
        let keys = Row::ALL.iter().map(|row| row.key()).chain(Kind::ALL.iter().map(|kind| kind.key()));
        for key in keys {
            assert!(REASONS.iter().any(|reason| reason.key == key), "{key}");
        }
        assert_eq!(Share::ALL.map(Share::class).iter().collect::<std::collections::HashSet<_>>().len(), 6);
    }

    #[test]
    fn bars_follow_each_other_and_sum_to_rss() {
        let xray = Xray::with(&[(Row::Live, 3 << 20), (Row::Returnable, 1 << 20), (Row::Programs, 4 << 20)]);
        let bars = of_xray(&xray);
        let text = table(&bars, "rows").to_string();
        let value = |part: &str| part.split('"').next().unwrap().parse::<u64>().unwrap();
        let mut figures: Vec<u64> = text.split("data-bytes=\"").skip(1).map(value).collect();
        assert_eq!(figures.pop(), Some(xray.rss()));
        assert_eq!(figures.iter().sum::<u64>(), xray.rss());
        assert!(text.contains("x=\"37.500%\" width=\"12.500%\""), "{text}");
        assert!(text.contains("x=\"50.000%\" width=\"50.000%\""), "{text}");
        assert!(text.contains("data-key=\"unexplained\" data-bytes=\"0\""), "{text}");
    }

    #[test]
    fn nothing_resident_draws_nothing() {
        let bars = of_xray(&Xray::default());
        assert_eq!(sum(&bars), 0);
        assert!(!format!("{}{}", overview(&bars), table(&bars, "")).contains("NaN"));
    }
}
