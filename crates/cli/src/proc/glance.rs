//! The cheapest look at a process: two lines of `/proc/PID/stat` and `/proc/PID/statm`, which everybody may read.

use super::residency::OS_PAGE;

/// What the two lines say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) pid: i32,
    /// When it began, in clock ticks since the machine did: with the number, a process that no other can be taken for.
    pub(crate) start: u64,
    pub(crate) ppid: i32,
    /// The kernel's name for it: 15 bytes at most.
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) rss: u64,
    /// Bytes of address space; 0 for kernel threads and processes that have ended.
    pub(crate) size: u64,
}

impl Glance {
    /// Whether it has ended and only waits for its parent.
    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Reads both. `None` if the first is not of the known form.
pub(crate) fn parse(stat: &str, statm: &str) -> Option<Glance> {
    let (front, rest) = stat.rsplit_once(')')?;
    let (pid, name) = front.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // fields[0] is the third field of proc(5), the state.
    let field = |number: usize| fields.get(number - 3).copied();
    let pages = |index: usize| statm.split_whitespace().nth(index).and_then(|text| text.parse::<u64>().ok());
    Some(Glance {
        pid: pid.trim().parse().ok()?,
        start: field(22)?.parse().ok()?,
        ppid: field(4)?.parse().ok()?,
        name: name.to_owned(),
        state: field(3)?.chars().next()?,
        rss: pages(1).unwrap_or(0).saturating_mul(OS_PAGE),
        size: pages(0).unwrap_or(0).saturating_mul(OS_PAGE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read() {
        let stat = "77 (a) R (b)) S 12 77 77 0 -1 4194304 310 9 2 8 15 6 0 0 20 0 1 0 12345 8192 100";
        let glance = parse(stat, "100 25 3 1 0 5 0\n").unwrap();
        assert_eq!((glance.pid, glance.ppid, glance.start, glance.state), (77, 12, 12345, 'S'));
        assert_eq!((glance.name.as_str(), glance.rss, glance.size), ("a) R (b)", 25 * OS_PAGE, 100 * OS_PAGE));
        assert!(!glance.is_zombie());
        let dead = parse(&stat.replace("S 12", "Z 12"), "").unwrap();
        assert!(dead.is_zombie() && dead.rss == 0);
    }

    #[test]
    fn cut_lines_are_refused() {
        let stat = "77 (sh) S 1 77 77 0 -1 4194304 310 9 2 8 15 6 0 0 20 0 1 0 12345 8192 100";
        for end in 0..stat.len() - "12345 8192 100".len() {
            assert_eq!(parse(&stat[..end], ""), None, "{end}");
        }
        assert_eq!(parse("x (y) S 1", "z"), None);
    }
}
