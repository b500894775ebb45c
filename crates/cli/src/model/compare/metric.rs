//! What is measured of each run, and how it is written.

/// One figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Metric {
    /// Wall-clock time
    Time,
    /// CPU time, in user mode and in the kernel, with children
    Cpu,
    /// Highest resident memory
    PeakRss,
    /// Resident memory of the command's own process at its end
    SettledRss,
    /// Page faults
    Faults,
}

impl Metric {
    /// All of them in order.
    pub(crate) const ALL: [Metric; 5] =
        [Metric::Time, Metric::Cpu, Metric::PeakRss, Metric::SettledRss, Metric::Faults];

    /// Stable name for JSON, with its unit.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Metric::Time => "time_seconds",
            Metric::Cpu => "cpu_seconds",
            Metric::PeakRss => "peak_rss_bytes",
            Metric::SettledRss => "settled_rss_bytes",
            Metric::Faults => "page_faults",
        }
    }

    /// Name in sentences and headings.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Metric::Time => "time",
            Metric::Cpu => "CPU time",
            Metric::PeakRss => "peak RSS",
            Metric::SettledRss => "settled RSS",
            Metric::Faults => "page faults",
        }
    }

    /// What the best in it is called.
    pub(crate) fn superlative(self) -> &'static str {
        match self {
            Metric::Time => "fastest",
            Metric::Cpu => "thriftiest with CPU",
            Metric::PeakRss => "smallest at its peak",
            Metric::SettledRss => "smallest at the end",
            Metric::Faults => "one with the fewest page faults",
        }
    }

    /// A difference below this is none, whatever the intervals say: a few OS pages, or the resolution of a clock.
    pub(crate) fn least(self) -> f64 {
        match self {
            Metric::Time | Metric::Cpu => 0.001,
            Metric::PeakRss | Metric::SettledRss => f64::from(256 << 10),
            Metric::Faults => 64.0,
        }
    }

    /// A value with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Metric::Time | Metric::Cpu => seconds(value),
            Metric::PeakRss | Metric::SettledRss => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Metric::Faults => thousands(value.round() as u64),
        }
    }

    /// Two values with one unit.
    pub(crate) fn range(self, low: f64, high: f64) -> String {
        let (low, high) = (self.text(low), self.text(high));
        match (low.rsplit_once(' '), high.rsplit_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}..{high}"),
            _ => format!("{low}..{high}"),
        }
    }
}

/// A time with three digits that mean something.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{:.1} ms", value * 1e3),
        value if value < 1.0 => format!("{:.0} ms", value * 1e3),
        value if value < 100.0 => format!("{value:.2} s"),
        value => format!("{value:.0} s"),
    }
}

/// A number with its thousands apart.
pub(crate) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_and_ranges_have_one() {
        assert_eq!(Metric::Time.text(0.00421), "4.2 ms");
        assert_eq!(Metric::Time.range(0.0042, 0.0051), "4.2..5.1 ms");
        assert_eq!(Metric::Time.range(0.5, 1.5), "500 ms..1.50 s");
        assert_eq!(Metric::PeakRss.text(f64::from(3 << 19)), "1.5 MiB");
        assert_eq!(Metric::Faults.range(999.0, 1_234_567.0), "999..1,234,567");
        assert_eq!((seconds(123.4), thousands(0), thousands(1000)), ("123 s".into(), "0".into(), "1,000".into()));
    }
}
