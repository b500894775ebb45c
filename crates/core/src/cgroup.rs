//! What the kernel's text files say of a control group: whose member a process is, amounts, stalls.
//!
//! Pure: bytes in, numbers and names out; nothing is allocated, and any input is survived in time linear in its length.
//! A file comes in pieces as it is read, cut anywhere, so [`Lines`] puts its lines together; one that is longer than
//! there is room is left out.
//!
//! ```text
//!   /proc/self/cgroup              0::/shop.slice/till.service          the second version, or
//!                                  4:memory:/docker/0f8c…               the first, which comes first where both are
//!   memory.high, memory.max        123456 or max                        limits (first version: memory.limit_in_bytes)
//!   memory.current                 123456                               (first version: memory.usage_in_bytes)
//!   memory.pressure                some avg10=1.50 avg60=… total=987    per cent of ten seconds, microseconds
//!   memory.stat                    inactive_file 4096                   pages that the kernel takes back first
//! ```
//! (cgroups(7), `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst` and `accounting/psi.rst` of Linux)

use core::ffi::CStr;

/// Longest path of a control group, with the place where the file system is mounted.
const PATH: usize = 400;
/// Longest path of a file in one.
pub const FILE: usize = PATH + 40;
/// Control groups, from the process's own upwards, that are looked at.
pub const LEVELS: usize = 32;

/// Puts lines of at most `N` bytes together from pieces of a file.
pub struct Lines<const N: usize> {
    line: [u8; N],
    len: usize,
    too_long: bool,
}

impl<const N: usize> Lines<N> {
    /// Nothing was read yet.
    pub const fn new() -> Self {
        Lines { line: [0; N], len: 0, too_long: false }
    }

    /// Takes the next piece; `each` gets every line that ends in it, without its end, until it answers `false`. That is the
    /// answer then: no more is wanted.
    pub fn feed(&mut self, piece: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        for &byte in piece {
            if byte == b'\n' {
                if !self.end(each) {
                    return false;
                }
            } else if self.len < N {
                self.line[self.len] = byte;
                self.len += 1;
            } else {
                self.too_long = true;
            }
        }
        true
    }

    /// The file has ended: what stands behind its last line end is a line too.
    pub fn end(&mut self, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let is_line = self.len > 0 && !self.too_long;
        let len = core::mem::take(&mut self.len);
        self.too_long = false;
        !is_line || each(&self.line[..len])
    }
}

impl<const N: usize> Default for Lines<N> {
    fn default() -> Self {
        Lines::new()
    }
}

/// The two kinds of control groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy per controller.
    One,
    /// One hierarchy.
    #[default]
    Two,
}

/// A line of `/proc/self/cgroup`: which hierarchy, and the path in it, if memory is accounted for there.
pub fn membership(line: &[u8]) -> Option<(Version, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let version = match controllers {
        b"" if number == b"0" => Version::Two,
        _ if controllers.split(|byte| *byte == b',').any(|name| name == b"memory") => Version::One,
        _ => return None,
    };
    (path.first() == Some(&b'/')).then_some((version, path))
}

/// An amount: a number from end to end, or `max`. Numbers that do not fit are as good as no limit.
pub fn amount(line: &[u8]) -> Option<usize> {
    if line == b"max" {
        return Some(usize::MAX);
    }
    if line.is_empty() || line.len() > 40 {
        return None;
    }
    line.iter().try_fold(0usize, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(usize::from(byte - b'0')))
    })
}

/// The amount behind a name in `memory.stat`.
pub fn amount_of(name: &[u8], line: &[u8]) -> Option<usize> {
    amount(line.strip_prefix(name)?.strip_prefix(b" ")?)
}

/// How long tasks waited for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// Of the last ten seconds, in hundredths of a per cent.
    pub recent: u32,
    /// In all, in microseconds.
    pub total: u64,
}

/// The line `some` of `memory.pressure`.
pub fn stall(line: &[u8]) -> Option<Stall> {
    let mut stall = Stall::default();
    let mut seen = 0;
    for word in line.strip_prefix(b"some ")?.split(|byte| *byte == b' ') {
        if let Some(text) = word.strip_prefix(b"avg10=") {
            stall.recent = hundredths(text)?;
            seen |= 1;
        } else if let Some(text) = word.strip_prefix(b"total=") {
            stall.total = amount(text)? as u64;
            seen |= 2;
        }
    }
    (seen == 3).then_some(stall)
}

/// `12.34`, as hundredths; at most 100 per cent.
fn hundredths(text: &[u8]) -> Option<u32> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let (whole, rest) = (&text[..point], &text[point + 1..]);
    if rest.len() != 2 {
        return None;
    }
    let value = amount(whole)?.saturating_mul(100).saturating_add(amount(rest)?);
    Some(value.min(10_000) as u32)
}

/// Where the files of a process's control group are, and of those above it.
pub struct Group {
    /// Mount point and path, without a `/` at the end.
    text: [u8; PATH],
    len: usize,
    /// Length of the mount point.
    mount: usize,
    version: Version,
}

impl Group {
    /// No group.
    pub const NONE: Group = Group { text: [0; PATH], len: 0, mount: 0, version: Version::One };

    /// Makes it the group at a path. `false`: the path is too long, nothing changed. A group outside what this process may
    /// see (`/..`) counts as the outermost one that it sees.
    pub fn set(&mut self, version: Version, path: &[u8]) -> bool {
        let mount: &[u8] = match version {
            Version::One => b"/sys/fs/cgroup/memory",
            Version::Two => b"/sys/fs/cgroup",
        };
        let outside = path.contains(&0) || path.split(|byte| *byte == b'/').any(|name| name == b"..");
        let path = if outside { b"" } else { path.strip_suffix(b"/").unwrap_or(path) };
        let len = mount.len() + path.len();
        if len > PATH {
            return false;
        }
        (self.len, self.mount, self.version) = (len, mount.len(), version);
        self.text[..mount.len()].copy_from_slice(mount);
        self.text[mount.len()..len].copy_from_slice(path);
        true
    }

    /// Which kind.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path of a file: level 0 is the group itself, 1 the one above it, and so on. `None`: there is no such level.
    pub fn file<'b>(&self, level: usize, name: &str, buffer: &'b mut [u8; FILE]) -> Option<&'b CStr> {
        let mut end = self.len;
        for _ in 0..level {
            if end == self.mount {
                return None;
            }
            end = self.mount + self.text[self.mount..end].iter().rposition(|byte| *byte == b'/')?;
        }
        let total = end + 1 + name.len();
        if total >= FILE {
            return None;
        }
        buffer[..end].copy_from_slice(&self.text[..end]);
        buffer[end] = b'/';
        buffer[end + 1..total].copy_from_slice(name.as_bytes());
        buffer[total] = 0;
        CStr::from_bytes_with_nul(&buffer[..=total]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<const N: usize>(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut lines = Lines::<N>::new();
        let mut each = |line: &[u8]| {
            found.push(line.to_vec());
            line != b"enough"
        };
        if pieces.iter().all(|piece| lines.feed(piece, &mut each)) {
            lines.end(&mut each);
        }
        found
    }

    fn at(version: Version, path: &[u8]) -> Option<Group> {
        let mut group = Group::NONE;
        group.set(version, path).then_some(group)
    }

    fn file(group: &Group, level: usize) -> Option<String> {
        let mut buffer = [0; FILE];
        group.file(level, "memory.max", &mut buffer).map(|path| path.to_string_lossy().into_owned())
    }

    #[test]
    fn lines_are_whole_wherever_the_pieces_are_cut() {
        let text = b"one\ntwo\n\nthree";
        for cut in 0..=text.len() {
            assert_eq!(lines::<8>(&[&text[..cut], &text[cut..]]), [&b"one"[..], b"two", b"three"]);
        }
        assert_eq!(lines::<3>(&[b"abcd\nxyz\nabc", b"d\n"]), [b"xyz"]);
        assert!(lines::<3>(&[]).is_empty());
        assert_eq!(lines::<8>(&[b"one\nenough\nmore\n", b"more\n"]), [&b"one"[..], b"enough"]);
    }

    #[test]
    fn the_group_that_accounts_for_memory_is_found() {
        assert_eq!(membership(b"0::/a/b"), Some((Version::Two, &b"/a/b"[..])));
        assert_eq!(membership(b"4:memory:/docker/0f"), Some((Version::One, &b"/docker/0f"[..])));
        assert_eq!(membership(b"4:cpu,memory:/x:y"), Some((Version::One, &b"/x:y"[..])));
        for other in [&b"3:cpuset:/"[..], b"1:name=memory:/", b"7::/", b"0::", b"0:", b"", b":", b"::::", b"0::a"] {
            assert_eq!(membership(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn levels_lead_from_the_group_to_the_mount_point() {
        let group = at(Version::Two, b"/a/b").unwrap();
        assert_eq!(file(&group, 0).unwrap(), "/sys/fs/cgroup/a/b/memory.max");
        assert_eq!(file(&group, 1).unwrap(), "/sys/fs/cgroup/a/memory.max");
        assert_eq!(file(&group, 2).unwrap(), "/sys/fs/cgroup/memory.max");
        assert_eq!(file(&group, 3), None);
        for outer in [&b"/"[..], b"/../other", b"/a/..", b"/a\0b"] {
            let group = at(Version::One, outer).unwrap();
            assert_eq!(file(&group, 0).unwrap(), "/sys/fs/cgroup/memory/memory.max");
            assert_eq!(file(&group, 1), None);
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let path = |len: usize| [b"/", vec![b'x'; len - 1].as_slice()].concat();
        let room = PATH - "/sys/fs/cgroup".len();
        let longest = at(Version::Two, &path(room)).unwrap();
        assert_eq!(file(&longest, 0).unwrap().len(), PATH + "/memory.max".len());
        assert!(at(Version::Two, &path(room + 1)).is_none());
        assert!(at(Version::Two, &path(100_000)).is_none());
    }

    #[test]
    fn amounts_are_whole_numbers_or_max() {
        assert_eq!(amount(b"0"), Some(0));
        assert_eq!(amount(b"9223372036854771712"), Some(9223372036854771712));
        assert_eq!(amount(b"max"), Some(usize::MAX));
        assert_eq!(amount(b"99999999999999999999999999"), Some(usize::MAX));
        for none in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"1k", b"MAX", b"maximum", b"\xFF", &[b'9'; 4000]] {
            assert_eq!(amount(none), None);
        }
        assert_eq!(amount_of(b"inactive_file", b"inactive_file 4096"), Some(4096));
        assert_eq!(amount_of(b"inactive_file", b"total_inactive_file 4096"), None);
        assert_eq!(amount_of(b"inactive_file", b"inactive_files 4096"), None);
    }

    #[test]
    fn stalls_are_read_and_hostile_ones_refused() {
        let line = b"some avg10=12.34 avg60=0.00 avg300=0.00 total=987654321";
        assert_eq!(stall(line), Some(Stall { recent: 1234, total: 987_654_321 }));
        assert_eq!(stall(b"some avg10=999999999999999999999.00 total=1").unwrap().recent, 10_000);
        for none in [
            &b"full avg10=12.34 avg60=0.00 avg300=0.00 total=1"[..],
            b"some",
            b"some ",
            b"some avg10=1.00",
            b"some total=1",
            b"some avg10=1 total=1",
            b"some avg10=1.0 total=1",
            b"some avg10=1.000 total=1",
            b"some avg10=.00 total=1",
            b"some avg10=-1.00 total=1",
            b"some avg10=1.-1 total=1",
            b"some avg10=1.00 total=",
            b"some avg10=nan total=1",
        ] {
            assert_eq!(stall(none), None, "{}", String::from_utf8_lossy(none));
        }
    }

    /// Any bytes: nothing panics, and what is found keeps its bounds.
    #[test]
    fn any_input_is_survived() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let words: [&[u8]; 14] = [
            b"0::/",
            b"4:memory:",
            b"some ",
            b"avg10=",
            b"total=",
            b"max",
            b"99999999999999999999",
            b".",
            b"/..",
            b"/a",
            b"\n",
            b" ",
            b"\0",
            b"1.00",
        ];
        for _ in 0..200_000 {
            let mut text = Vec::new();
            for _ in 0..next() % 12 {
                match next() % 4 {
                    0 => text.push(next() as u8),
                    _ => text.extend_from_slice(words[next() as usize % words.len()]),
                }
            }
            let mut lines = Lines::<64>::new();
            let mut look = |line: &[u8]| {
                assert!(line.len() <= 64);
                amount(line);
                amount_of(b"max", line);
                assert!(stall(line).is_none_or(|stall| stall.recent <= 10_000));
                if let Some(group) = membership(line).and_then(|(version, path)| at(version, path)) {
                    let paths: Vec<_> = (0..LEVELS + 1).map_while(|level| file(&group, level)).collect();
                    assert!(paths.iter().all(|path| path.starts_with("/sys/fs/cgroup") && !path.contains("/../")));
                }
                true
            };
            let cut = next() as usize % (text.len() + 1);
            lines.feed(&text[..cut], &mut look);
            lines.feed(&text[cut..], &mut look);
            lines.end(&mut look);
        }
    }
}
