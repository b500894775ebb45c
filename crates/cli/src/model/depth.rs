//! What `brkmap run` knows of a process beyond its last moment: how it went over time, and full looks at its peak and at its
//! end, as deep as those of `brkmap inspect`.

use super::inspection::Inspection;
use super::timeline::Timeline;
use std::time::Duration;

/// A full look, and when it was taken.
#[derive(Debug)]
pub(crate) struct Deep {
    /// Since the command was started.
    pub(crate) after: Duration,
    pub(crate) inspection: Inspection,
}

impl Deep {
    /// Resident bytes that it saw.
    pub(crate) fn rss(&self) -> u64 {
        self.inspection.xray.rss()
    }
}

/// Whether a look saw the process at its end or while it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Running,
    /// While it ran, and nobody will see its end: the last such look stands for that.
    Last,
    AtEnd,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Depth {
    pub(crate) timeline: Timeline,
    /// The look while it ran that saw most.
    pub(crate) peak: Option<Box<Deep>>,
    /// The look at its end; where the end cannot be seen, the last one.
    pub(crate) end: Option<Box<Deep>>,
}

impl Depth {
    /// Takes a look into account.
    pub(crate) fn add(&mut self, deep: Deep, when: When) {
        match when {
            When::AtEnd => self.end = Some(Box::new(deep)),
            When::Running | When::Last if self.peak.as_ref().is_none_or(|peak| deep.rss() >= peak.rss()) => {
                self.peak = Some(Box::new(deep));
                self.end = None;
            }
            When::Last => self.end = Some(Box::new(deep)),
            When::Running => {}
        }
    }

    /// The look that shows the peak: the one at the end if the process was not nearly as large before. Where RSS stays as it
    /// is once it is high, the first look up there shows what made it high.
    pub(crate) fn highest(&self) -> Option<&Deep> {
        match (&self.peak, &self.end) {
            (Some(peak), Some(end)) if end.rss() > peak.rss() + peak.rss() / 32 => Some(end),
            (Some(peak), _) => Some(peak),
            (None, end) => end.as_deref(),
        }
    }

    /// The look at the end if it is another one than [`Depth::highest`].
    pub(crate) fn lowest(&self) -> Option<&Deep> {
        let end = self.end.as_deref()?;
        self.highest().filter(|highest| !std::ptr::eq(*highest, end)).map(|_| end)
    }
}
