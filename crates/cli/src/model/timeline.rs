//! How the memory of a process went over its life, in a bounded number of moments.

/// A timeline has at most so many moments, whatever the length of the run.
const LIMIT: usize = 500;

/// One moment of a process. In a timeline that was thinned, it stands for the time up to the next one: each figure is the
/// highest of that time, and `at_ms` is when RSS was highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since the program was started.
    pub(crate) at_ms: u64,
    /// Resident bytes.
    pub(crate) rss: u64,
    /// Bytes of private writable memory that the process has mapped (`VmData`).
    pub(crate) mapped: u64,
    /// Bytes in live blocks, at the moments for which the malloc was read.
    pub(crate) live: Option<u64>,
}

impl Moment {
    /// One moment in the place of two. No peak gets lost, of no figure.
    fn merge(self, other: Moment) -> Moment {
        Moment {
            at_ms: if other.rss > self.rss { other.at_ms } else { self.at_ms },
            rss: self.rss.max(other.rss),
            mapped: self.mapped.max(other.mapped),
            live: self.live.max(other.live),
        }
    }
}

impl Moment {
    /// The same, at the time of `self`: the order of moments stays.
    fn merge_late(self, late: Moment) -> Moment {
        Moment { at_ms: self.at_ms, ..self.merge(late) }
    }
}

/// A process over time, bounded: when it grows past its limit, every second moment goes into its neighbour, and from then
/// on a moment stands for twice as many. So the whole run is as dense everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    moments: Vec<Moment>,
    /// Looks that one moment stands for, as a power of two.
    doublings: u32,
    /// Looks that are in the last moment.
    filled: u64,
}

impl Timeline {
    /// Adds what was seen just now.
    pub(crate) fn push(&mut self, moment: Moment) {
        if self.filled < 1 << self.doublings
            && let Some(last) = self.moments.last_mut()
        {
            *last = last.merge(moment);
            self.filled += 1;
            return;
        }
        self.append(moment);
    }

    /// Adds what was seen earlier, if the news of it came late: to the moment in whose time it was.
    pub(crate) fn push_late(&mut self, moment: Moment) {
        let behind = self.moments.partition_point(|other| other.at_ms <= moment.at_ms);
        match behind.checked_sub(1) {
            Some(last) if behind == self.moments.len() && self.moments[last].at_ms < moment.at_ms => self.push(moment),
            Some(index) => self.moments[index] = self.moments[index].merge_late(moment),
            None => match self.moments.first_mut() {
                Some(first) => *first = first.merge_late(moment),
                None => self.push(moment),
            },
        }
    }

    /// Adds the last moment, which stays as it is: where a program ended is not hidden behind where it was highest.
    pub(crate) fn end(&mut self, moment: Moment) {
        self.append(moment);
    }

    fn append(&mut self, moment: Moment) {
        if self.moments.len() >= LIMIT {
            self.moments =
                self.moments.chunks(2).map(|pair| pair.iter().skip(1).fold(pair[0], |sum, &m| sum.merge(m))).collect();
            self.doublings += 1;
        }
        self.moments.push(moment);
        self.filled = 1;
    }

    /// The moments in their order.
    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_ms: u64, rss: u64) -> Moment {
        Moment { at_ms, rss, mapped: 2 * rss, live: None }
    }

    #[test]
    fn a_short_run_is_kept_as_it_was() {
        let mut timeline = Timeline::default();
        (0..LIMIT as u64).for_each(|index| timeline.push(at(index, index)));
        assert_eq!(timeline.moments().len(), LIMIT);
        assert_eq!(timeline.moments()[7], at(7, 7));
    }

    #[test]
    fn a_long_run_stays_bounded_in_order_and_as_dense_everywhere() {
        let mut timeline = Timeline::default();
        for index in 0..100_000 {
            timeline.push(at(index, 1));
            assert!(timeline.moments().len() <= LIMIT);
        }
        let moments = timeline.moments();
        assert!(moments.len() > LIMIT / 3, "{}", moments.len());
        let steps: Vec<u64> = moments.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
        let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
        assert!(*least > 0 && most <= &(4 * least), "{least} to {most}");
    }

    #[test]
    fn no_peak_is_ever_dropped() {
        for peak in (0..20_000).step_by(37) {
            let mut timeline = Timeline::default();
            for index in 0..20_000 {
                timeline.push(if index == peak {
                    Moment { at_ms: index, rss: 9, mapped: 90, live: Some(5) }
                } else {
                    at(index, 1)
                });
            }
            let highest = timeline.moments().iter().max_by_key(|moment| moment.rss).unwrap();
            assert_eq!((highest.at_ms, highest.rss, highest.mapped, highest.live), (peak, 9, 90, Some(5)));
        }
    }

    #[test]
    fn late_news_goes_where_it_belongs() {
        let mut timeline = Timeline::default();
        timeline.push_late(at(10, 1));
        [20, 30, 40].into_iter().for_each(|ms| timeline.push(at(ms, 1)));
        timeline.push_late(Moment { live: Some(7), ..at(25, 2) });
        timeline.push_late(Moment { live: Some(5), ..at(3, 1) });
        timeline.push_late(at(50, 1));
        let seen: Vec<_> = timeline.moments().iter().map(|moment| (moment.at_ms, moment.rss, moment.live)).collect();
        assert_eq!(seen, [(10, 1, Some(5)), (20, 2, Some(7)), (30, 1, None), (40, 1, None), (50, 1, None)]);
    }

    #[test]
    fn the_end_is_not_hidden_behind_a_peak() {
        let mut timeline = Timeline::default();
        (0..10_000).for_each(|index| timeline.push(at(index, 50)));
        timeline.end(at(10_000, 3));
        assert_eq!(timeline.moments().last(), Some(&at(10_000, 3)));
        assert!(timeline.moments().len() <= LIMIT);
    }
}
