//! The machine that a report was made on: what decides how memory behaves there and is no part of the process.

/// Facts of the machine and the limits of a process. What cannot be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// When the facts were collected, in seconds since 1970.
    pub(crate) unix_seconds: u64,
    pub(crate) kernel: Option<String>,
    pub(crate) architecture: &'static str,
    pub(crate) processors: usize,
    /// Bytes.
    pub(crate) memory: Option<u64>,
    pub(crate) available: Option<u64>,
    pub(crate) swap: Option<u64>,
    /// When the kernel makes huge pages: `always`, `madvise`, `never`.
    pub(crate) huge_pages: Option<String>,
    /// `vm.overcommit_memory`.
    pub(crate) overcommit: Option<String>,
    /// `vm.max_map_count`.
    pub(crate) most_mappings: Option<String>,
    /// Name and value of limits of the process, as `ulimit` sets them.
    pub(crate) limits: Vec<(String, String)>,
}

/// Limits that matter to memory, as `/proc/PID/limits` names them.
const LIMITS: [&str; 4] = ["Max address space", "Max data size", "Max stack size", "Max locked memory"];

/// Reads `/proc/PID/limits`.
pub(crate) fn limits(text: &str) -> Vec<(String, String)> {
    let one = |name: &&str| {
        let line = text.lines().find_map(|line| line.strip_prefix(*name))?;
        let soft = line.split_whitespace().next()?;
        let value = soft.parse::<u64>().map_or(soft.to_owned(), |bytes| format!("{} KiB", bytes >> 10));
        Some(((*name).to_owned(), value))
    };
    LIMITS.iter().filter_map(one).collect()
}

/// The word in brackets, by which the kernel marks the choice in force.
pub(crate) fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// Bytes of a line of `/proc/meminfo`.
pub(crate) fn memory(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Date and time by the calendar, in UTC: `2026-11-26 03:45:00 UTC`.
pub(crate) fn date(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Counted from 1 March of the year 0, so that a leap day is the last day of its year (Howard Hinnant's algorithm).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00:00 UTC", "no leap year");
        assert_eq!(date(1_795_664_700), "2026-11-26 03:45:00 UTC");
    }

    #[test]
    fn the_kernels_texts_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max data size             unlimited            unlimited            bytes\n\
                    Max stack size            8388608              unlimited            bytes\n";
        let expected = [("Max data size", "unlimited"), ("Max stack size", "8192 KiB")];
        assert_eq!(limits(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(chosen("always [madvise] never\n"), Some("madvise".to_owned()));
        assert_eq!(chosen("none"), None);
        assert_eq!(memory("MemTotalX: 1 kB\nMemTotal:   2048 kB\n", "MemTotal"), Some(2048 << 10));
        assert_eq!(memory("", "MemTotal"), None);
    }
}
