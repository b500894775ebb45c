//! `/proc/PID/smaps` (and `maps`, which is the same without the figures).

/// One mapping of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    /// Writes stay with the process.
    pub(crate) private: bool,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    /// Inode of the file behind it; 0 for memory without a file.
    pub(crate) inode: u64,
    /// Path, or a name in brackets, or empty.
    pub(crate) name: String,
    /// Resident bytes.
    pub(crate) rss: u64,
    /// Bytes in swap.
    pub(crate) swap: u64,
    /// Resident bytes that the process gave back (`MADV_FREE`) and the kernel has not taken yet.
    pub(crate) lazy_free: u64,
    /// Resident bytes on huge pages.
    pub(crate) huge: u64,
}

impl Mapping {
    /// Bytes of address space.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// The last part of the name, without the kernel's note that the file was deleted.
    pub(crate) fn file_name(&self) -> &str {
        let name = self.name.strip_suffix(" (deleted)").unwrap_or(&self.name);
        name.rsplit('/').next().unwrap_or(name)
    }
}

/// Reads `start-end perms offset device inode name`. `None` for any other line.
fn header(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        rest = rest.trim_start_matches(' ');
        let end = rest.find(' ').unwrap_or(rest.len());
        let (head, tail) = rest.split_at(end);
        rest = tail;
        (!head.is_empty()).then_some(head)
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?.as_bytes();
    let (offset, _device) = (field()?, field()?);
    let inode = field()?.parse().ok()?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    if permissions.len() < 4 || end < start {
        return None;
    }
    Some(Mapping {
        start,
        end,
        readable: permissions[0] == b'r',
        writable: permissions[1] == b'w',
        executable: permissions[2] == b'x',
        private: permissions[3] == b'p',
        offset: u64::from_str_radix(offset, 16).unwrap_or(0),
        inode,
        name: rest.trim_start_matches(' ').to_owned(),
        ..Mapping::default()
    })
}

/// Bytes of a `Key:   123 kB` line's value.
pub(super) fn kib_value(value: &str) -> Option<u64> {
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Reads all mappings, which follow each other. Lines of a form that this version does not know are passed over; so is a
/// mapping that begins before the end of the one in front, which the kernel may show when mappings change while they are
/// read. No figure is larger than its mapping.
pub(crate) fn parse(text: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_passed_over = true;
    for line in text.lines() {
        // Field lines begin with a capital letter, headers with a lower-case hexadecimal digit.
        if line.starts_with(|c: char| c.is_ascii_uppercase()) {
            let (Some((key, value)), Some(mapping)) = (line.split_once(':'), mappings.last_mut()) else { continue };
            if is_passed_over {
                continue;
            }
            let bytes = kib_value(value).unwrap_or(0).min(mapping.size());
            match key {
                "Rss" => mapping.rss = bytes,
                "Swap" => mapping.swap = bytes,
                "LazyFree" => mapping.lazy_free = bytes,
                "AnonHugePages" | "ShmemPmdMapped" | "FilePmdMapped" => {
                    mapping.huge = (mapping.huge + bytes).min(mapping.size());
                }
                _ => {}
            }
        } else if let Some(mapping) = header(line) {
            is_passed_over = mappings.last().is_some_and(|last| mapping.start < last.end);
            if !is_passed_over {
                mappings.push(mapping);
            }
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
55d0c0a00000-55d0c0a02000 r--p 00001000 fe:00 1234                       /usr/bin/my program (deleted)
Size:                  8 kB
Rss:                   4 kB
VmFlags: rd mr mw me
7ffc00000000-7ffc00010000 rw-p 00000000 00:00 0 
Rss:                  12 kB
Swap:                  8 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Rss:                   0 kB
";

    #[test]
    fn names_with_spaces_and_no_name_are_read() {
        let all = parse(TEXT);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].name, "/usr/bin/my program (deleted)");
        assert_eq!(all[0].file_name(), "my program");
        assert_eq!((all[0].rss, all[0].inode, all[0].writable, all[0].readable), (4096, 1234, false, true));
        assert_eq!((all[1].name.as_str(), all[1].rss, all[1].swap, all[1].writable), ("", 12288, 8192, true));
        assert_eq!(all[1].size(), 0x10000);
        assert_eq!((all[2].name.as_str(), all[2].executable, all[2].readable), ("[vsyscall]", true, false));
        assert_eq!(all[2].end, 0xffff_ffff_ff60_1000);
    }

    #[test]
    fn text_cut_anywhere_is_read_without_panic() {
        for end in 0..TEXT.len() {
            assert!(parse(&TEXT[..end]).len() <= 3);
        }
    }

    #[test]
    fn odd_lines_are_passed_over() {
        assert!(parse("Rss: 4 kB\n").is_empty(), "a figure before any mapping");
        assert!(parse("20-10 r--p 0 0:0 0 x\n").is_empty(), "end before start");
        assert!(parse("zz-10 r--p 0 0:0 0\n10-20 r 0 0:0 0\n10-20\n").is_empty());
        let huge = parse("10-20 r--p 0 0:0 0\nRss: 99999999999999999999 kB\nRss: x\n");
        assert_eq!(huge[0].rss, 0);
        let full = parse("1000-2000 r--p 0 0:0 0\nRss: 9999 kB\n");
        assert_eq!(full[0].rss, 4096);
        let moved =
            parse("1000-3000 r--p 0 0:0 0\nRss: 8 kB\n2000-4000 r--p 0 0:0 0\nRss: 4 kB\n4000-5000 r--p 0 0:0 0\n");
        assert_eq!((moved.len(), moved[0].rss, moved[1].start), (2, 8192, 0x4000), "a mapping that overlaps");
    }

    #[test]
    fn maps_without_figures_are_read_too() {
        let maps = parse("10-20 r-xp 0 0:0 7 /a\n20-30 rw-s 0 0:0 7 /a\n");
        assert_eq!(maps.len(), 2);
        assert_eq!(maps[1].start, 0x20);
    }
}
