//! What an experiment writes down, and how it is judged.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Whether a sentence holds here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does.
    AsTold,
    /// The common text is out of date, or two texts disagree: what holds here.
    Otherwise(String),
}

/// Why an experiment has no verdict.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The machine has not what it needs, or refused it.
    NotHere(String),
    /// It did not come to its end, which is a fault of the lab or of what it tests.
    Broken(String),
}

/// What an experiment's body returns.
pub(super) type Judged = Result<Verdict, Trouble>;

/// A figure that must come out.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    pub(crate) held: bool,
}

/// The notes of one experiment.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) did: Vec<String>,
    pub(crate) saw: Vec<String>,
    pub(crate) expectations: Vec<Expectation>,
}

impl Notes {
    /// What is seen of a fact that holds.
    pub(crate) const SO: &str = "so it is";

    /// What is done.
    pub(super) fn did(&mut self, text: impl Into<String>) {
        self.did.push(text.into());
    }

    /// What was seen.
    pub(super) fn saw(&mut self, text: impl Into<String>) {
        self.saw.push(text.into());
    }

    /// A figure that is known beforehand.
    pub(super) fn equals<T: PartialEq + Display>(&mut self, what: impl Into<String>, seen: T, expected: T) {
        let (held, seen, expected) = (seen == expected, seen.to_string(), expected.to_string());
        self.expectations.push(Expectation { what: what.into(), expected, seen, held });
    }

    /// A figure between two bounds.
    pub(super) fn within(&mut self, what: impl Into<String>, seen: u64, range: RangeInclusive<u64>) {
        let (low, high) = (*range.start(), *range.end());
        let expected = if high == u64::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
        let held = range.contains(&seen);
        self.expectations.push(Expectation { what: what.into(), expected, seen: seen.to_string(), held });
    }

    /// A fact.
    pub(super) fn holds(&mut self, what: impl Into<String>, held: bool) {
        let seen = if held { Notes::SO } else { "not so" };
        let expected = "to hold".to_owned();
        self.expectations.push(Expectation { what: what.into(), expected, seen: seen.to_owned(), held });
    }
}

/// How an experiment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    AsTold,
    Otherwise(String),
    NotHere(String),
    /// An expectation did not hold, or it did not come to its end: what happened.
    Failed(String),
}

impl Ending {
    /// The judgement over notes and the body's own word.
    ///
    /// `addresses` is the limit of address space that this process is under: below 1 GiB arenas and reservations are
    /// refused, and a figure that does not come out is the limit's doing.
    pub(super) fn of(notes: &Notes, judged: Judged, addresses: Option<u64>) -> Ending {
        const SMALL: u64 = 1 << 30;
        let missed = notes.expectations.iter().find(|expectation| !expectation.held);
        match (missed, judged) {
            (_, Err(Trouble::NotHere(why))) => Ending::NotHere(why),
            (_, Err(Trouble::Broken(why))) => Ending::Failed(why),
            (Some(missed), Ok(_)) => {
                let what = format!("{}: expected {}, seen {}", missed.what, missed.expected, missed.seen);
                match addresses {
                    Some(bytes) if bytes < SMALL => Ending::NotHere(format!(
                        "RLIMIT_AS is {} MiB, and malloc behaves otherwise then: {what}",
                        bytes >> 20
                    )),
                    _ => Ending::Failed(what),
                }
            }
            (None, Ok(_)) if notes.expectations.is_empty() => Ending::Failed("it asserted no figure".to_owned()),
            (None, Ok(Verdict::AsTold)) => Ending::AsTold,
            (None, Ok(Verdict::Otherwise(what))) => Ending::Otherwise(what),
        }
    }

    /// For JSON, the index, and the summary.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Ending::AsTold => "as told",
            Ending::Otherwise(_) => "told otherwise",
            Ending::NotHere(_) => "not on this machine",
            Ending::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_figure_fails_whatever_the_body_says() {
        let mut notes = Notes::default();
        assert!(
            matches!(Ending::of(&notes, Ok(Verdict::AsTold), None), Ending::Failed(why) if why.contains("no figure"))
        );
        notes.equals("one", 1, 1);
        assert_eq!(Ending::of(&notes, Ok(Verdict::AsTold), Some(1)), Ending::AsTold);
        notes.within("two", 2, 3..=4);
        let Ending::Failed(why) = Ending::of(&notes, Ok(Verdict::Otherwise("x".into())), None) else { panic!() };
        assert_eq!(why, "two: expected 3 to 4, seen 2");
        let limited = Ending::of(&notes, Ok(Verdict::AsTold), Some(100 << 20));
        assert!(matches!(limited, Ending::NotHere(why) if why.contains("100 MiB") && why.contains("seen 2")));
        let here = Ending::of(&notes, Err(Trouble::NotHere("no reason".into())), None);
        assert_eq!(here.word(), "not on this machine");
    }
}
