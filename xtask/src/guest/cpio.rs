//! The archive that the kernel unpacks as its first file system: cpio in the "newc" form of the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CONSOLE: u32 = 0o020_600;

/// An archive that grows.
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// With the console, which the kernel opens for the first process.
    pub(super) fn new() -> Archive {
        let mut archive = Archive { bytes: Vec::new(), entries: 0, directories: BTreeSet::new() };
        archive.directories_of("dev/console");
        archive.entry("dev/console", CONSOLE, (5, 1), &[]);
        archive
    }

    /// Adds a file that everybody may run; `path` has no `/` in front.
    pub(super) fn file(&mut self, path: &str, contents: &[u8]) {
        self.directories_of(path);
        self.entry(path, PROGRAM, (0, 0), contents);
    }

    /// Adds an empty directory, and those above it.
    pub(super) fn directory(&mut self, path: &str) {
        self.directories_of(&format!("{path}/."));
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn directories_of(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            if self.directories.insert(path[..at].to_owned()) {
                self.entry(&path[..at], DIRECTORY, (0, 0), &[]);
            }
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.entries += 1;
        // Number, mode, user, group, links, time, size, device, device of a special file, length of the name, no checksum.
        let size = contents.len() as u32;
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name.len() as u32 + 1, 0]
            .map(|f| format!("{f:08X}"));
        self.bytes.extend_from_slice(format!("070701{}{name}\0", fields.concat()).as_bytes());
        self.align();
        self.bytes.extend_from_slice(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, modes and contents, read back by the form's description.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(&bytes[..6], b"070701");
            let field = |n: usize| {
                u32::from_str_radix(std::str::from_utf8(&bytes[6 + 8 * n..14 + 8 * n]).unwrap(), 16).unwrap()
            };
            let (size, name_size) = (field(6) as usize, field(11) as usize);
            let start = (110 + name_size).next_multiple_of(4);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            found.push((name, field(1), bytes[start..start + size].to_vec()));
            bytes = &bytes[(start + size).next_multiple_of(4)..];
        }
        found
    }

    #[test]
    fn what_is_put_in_can_be_read_back() {
        let mut archive = Archive::new();
        archive.file("lib/deep/x.so", b"12345");
        archive.file("lib/deep/y", b"");
        archive.directory("run/empty");
        let all = read(&archive.finish());
        let names: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            ["dev", "dev/console", "lib", "lib/deep", "lib/deep/x.so", "lib/deep/y", "run", "run/empty", "TRAILER!!!"]
        );
        assert_eq!((all[4].1, all[4].2.as_slice()), (PROGRAM, &b"12345"[..]));
        assert_eq!((all[1].1, all[3].1), (CONSOLE, DIRECTORY));
    }
}
