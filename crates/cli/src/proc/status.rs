//! `/proc/PID/status`.

use super::smaps::kib_value;

/// The fields that brkmap uses. Absent ones are 0: a kernel thread or a zombie has no memory lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) name: String,
    /// Process that the thread belongs to.
    pub(crate) tgid: i32,
    pub(crate) ppid: i32,
    pub(crate) threads: u64,
    /// Highest resident bytes so far.
    pub(crate) peak_rss: u64,
    pub(crate) rss: u64,
    pub(crate) swap: u64,
    pub(crate) data: u64,
    /// Whether it has an address space of its own to speak of.
    pub(crate) has_memory: bool,
    /// Real and effective user.
    pub(crate) users: (u32, u32),
    /// Whether it may do anything that an ordinary user may not.
    pub(crate) has_capabilities: bool,
}

/// Reads the text; lines that are not understood are passed over.
pub(crate) fn parse(text: &str) -> Status {
    let mut status = Status::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = || value.trim().parse::<i64>().unwrap_or(0);
        let bytes = || kib_value(value).unwrap_or(0);
        match key {
            "Name" => status.name = value.trim().to_owned(),
            "Tgid" => status.tgid = number() as i32,
            "PPid" => status.ppid = number() as i32,
            "Threads" => status.threads = number() as u64,
            "VmHWM" => status.peak_rss = bytes(),
            "VmRSS" => (status.rss, status.has_memory) = (bytes(), true),
            "VmSwap" => status.swap = bytes(),
            "VmData" => status.data = bytes(),
            "CapPrm" => status.has_capabilities = u64::from_str_radix(value.trim(), 16).is_ok_and(|set| set != 0),
            "Uid" => {
                let mut ids = value.split_whitespace().map(|id| id.parse().unwrap_or(0));
                status.users = (ids.next().unwrap_or(0), ids.next().unwrap_or(0));
            }
            _ => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_read() {
        let text = "Name:\tmy: prog\nTgid:\t12\nPPid:\t3\nUid:\t1000\t0\t0\t0\nVmHWM:\t    40 kB\nVmRSS:\t  36 kB\n\
                    VmSwap:\t 4 kB\nCapPrm:\t0000000000002000\nVmData:\t 8 kB\nThreads:\t5\nnonsense\n";
        let status = parse(text);
        assert_eq!(status.name, "my: prog");
        assert_eq!((status.tgid, status.ppid, status.threads), (12, 3, 5));
        assert_eq!((status.peak_rss, status.rss, status.swap, status.data), (40960, 36864, 4096, 8192));
        assert_eq!(status.users, (1000, 0));
        assert!(status.has_memory && status.has_capabilities);
        assert!(!parse("CapPrm:\t0000000000000000\n").has_capabilities);
    }

    #[test]
    fn a_zombie_has_no_memory() {
        let status = parse("Name:\tsh\nState:\tZ (zombie)\nTgid:\t9\n");
        assert!(!status.has_memory);
        assert_eq!(status.peak_rss, 0);
        assert_eq!(parse(""), Status::default());
        assert_eq!(parse("Uid:\nVmRSS: kB\nTgid: 99999999999999999999").users, (0, 0));
    }
}
