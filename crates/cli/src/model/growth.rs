//! Does it grow? From several looks at one process, with the time of each.

use super::xray::{Row, Xray};

/// Growth below this per window is noise.
const NOISE: u64 = 128 << 10;

/// One look, reduced to what growth is about.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Seconds since the first look.
    pub(crate) seconds: f64,
    pub(crate) xray: Xray,
}

/// How the process changed between the first look and the last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Growth {
    pub(crate) looks: usize,
    pub(crate) seconds: f64,
    /// Change of what the program holds, in bytes.
    pub(crate) live: i64,
    pub(crate) rss: i64,
    /// Steps from one look to the next in which it grew.
    pub(crate) rising: usize,
    /// The row that grew most, and by how much.
    pub(crate) most: (Row, i64),
}

/// What a program holds: of malloc, and of a runtime or mappings of its own where that is known.
fn held(xray: &Xray) -> u64 {
    xray.live() + xray.get(Row::RuntimeLive)
}

fn change(before: u64, after: u64) -> i64 {
    after.wrapping_sub(before) as i64
}

impl Growth {
    /// `None` for fewer than two looks.
    pub(crate) fn of(samples: &[Sample]) -> Option<Growth> {
        let (first, last) = (samples.first()?, samples.last()?);
        if samples.len() < 2 {
            return None;
        }
        let rows = Row::ALL.map(|row| (row, change(first.xray.get(row), last.xray.get(row))));
        let most = rows.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or((Row::Unexplained, 0));
        let rises = |pair: &&[Sample]| held(&pair[1].xray) > held(&pair[0].xray);
        Some(Growth {
            looks: samples.len(),
            seconds: last.seconds - first.seconds,
            live: change(held(&first.xray), held(&last.xray)),
            rss: change(first.xray.rss(), last.xray.rss()),
            rising: samples.windows(2).filter(rises).count(),
            most,
        })
    }

    /// Bytes per minute.
    pub(crate) fn per_minute(&self, bytes: i64) -> f64 {
        if self.seconds > 0.0 { bytes as f64 * 60.0 / self.seconds } else { 0.0 }
    }

    /// Whether what the program holds grows as it does when something leaks: nearly always upwards, by more than noise.
    pub(crate) fn is_leak_like(&self, xray: &Xray) -> bool {
        let least = (held(xray) / 2000).max(NOISE);
        self.live >= least as i64 && self.rising * 5 >= (self.looks - 1) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(held: &[u64]) -> Vec<Sample> {
        let xray = |&bytes: &u64| Xray::with(&[(Row::Live, bytes << 20), (Row::Programs, 1 << 20)]);
        held.iter().enumerate().map(|(i, bytes)| Sample { seconds: i as f64, xray: xray(bytes) }).collect()
    }

    fn leaks(held: &[u64]) -> bool {
        let samples = samples(held);
        Growth::of(&samples).unwrap().is_leak_like(&samples.last().unwrap().xray)
    }

    #[test]
    fn steady_rise_is_leak_like_and_a_sawtooth_is_not() {
        assert!(leaks(&[10, 12]));
        assert!(leaks(&[10, 11, 12, 13, 14, 15]));
        assert!(!leaks(&[10, 20, 11, 21, 12, 22]));
        assert!(!leaks(&[10, 10]));
        assert!(!leaks(&[12, 10]));
    }

    #[test]
    fn rates_are_per_minute() {
        let growth = Growth::of(&samples(&[10, 11, 13])).unwrap();
        assert_eq!((growth.looks, growth.rising, growth.live), (3, 2, 3 << 20));
        assert_eq!(growth.per_minute(growth.live), f64::from(90 << 20));
        assert_eq!(growth.most, (Row::Live, 3 << 20));
        assert_eq!(Growth::of(&samples(&[1])), None);
    }
}
