//! What the kernel says of this process and this machine.

use super::os_page;
use std::ptr;

/// OS pages of a range that are in memory; -1 where nothing is mapped.
pub(in crate::lab) fn resident(start: u64, bytes: usize) -> i64 {
    let mut seen = [0u8; 256];
    let (page, mut count) = (os_page(), 0);
    for offset in (0..bytes).step_by(page * seen.len()) {
        let part = (bytes - offset).min(page * seen.len());
        let at = ptr::without_provenance_mut(start as usize + offset);
        // SAFETY: [valid-out-pointer] a byte for each OS page of the part; the range itself is only asked about.
        if unsafe { libc::mincore(at, part, seen.as_mut_ptr()) } != 0 {
            return -1;
        }
        count += seen[..part.div_ceil(page)].iter().filter(|&&byte| byte & 1 == 1).count() as i64;
    }
    count
}

/// Page faults of this process that needed no disk.
pub(in crate::lab) fn faults() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: [plain-data] zeroed and filled by the kernel.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init().ru_minflt as u64
    }
}

/// Bytes of memory of the machine.
pub(in crate::lab) fn ram() -> u64 {
    machine("MemTotal:")
}

/// Bytes that can be had without swapping.
pub(in crate::lab) fn available() -> u64 {
    machine("MemAvailable:")
}

fn machine(key: &str) -> u64 {
    with_file(c"/proc/meminfo", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    })
}

static FILE: std::sync::Mutex<[u8; 512 << 10]> = std::sync::Mutex::new([0; 512 << 10]);

/// Reads a file of `/proc` into the buffer and passes its text on.
fn with_file<T>(path: &std::ffi::CStr, read: impl FnOnce(&str) -> T) -> T {
    let mut buffer = FILE.lock().expect("no subject panics while it reads");
    let mut length = 0;
    // SAFETY: [valid-out-pointer] the path is a C string; read gets the rest of the buffer.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        while fd >= 0 && length < buffer.len() {
            let got = libc::read(fd, buffer[length..].as_mut_ptr().cast(), buffer.len() - length);
            if got <= 0 {
                break;
            }
            length += got as usize;
        }
        libc::close(fd);
    }
    read(std::str::from_utf8(&buffer[..length]).unwrap_or_default())
}

/// Bytes of a line of `/proc/self/status`, or 0.
pub(in crate::lab) fn status(key: &str) -> u64 {
    with_file(c"/proc/self/status", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    })
}

/// Sum of a field of `/proc/self/smaps` over the mappings that touch a range, in bytes.
pub(in crate::lab) fn smaps(range: (u64, u64), key: &str) -> u64 {
    with_file(c"/proc/self/smaps", |text| {
        let (mut inside, mut sum) = (false, 0);
        for line in text.lines() {
            if let Some((start, end, _)) = header(line) {
                inside = start < range.1 && end > range.0;
            } else if let Some(value) = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')) {
                let kib = value.split_whitespace().next().and_then(|value| value.parse::<u64>().ok());
                sum += if inside { kib.unwrap_or(0) * 1024 } else { 0 };
            }
        }
        sum
    })
}

/// A line of `/proc/self/maps`.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Line {
    pub(in crate::lab) start: u64,
    pub(in crate::lab) end: u64,
    text: [u8; 120],
    length: usize,
}

impl Line {
    /// The line as the kernel writes it, with the gap before the name made short.
    pub(in crate::lab) fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

fn header(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, rest))
}

/// The first line of `/proc/self/maps` that is wanted.
pub(super) fn find(mut wanted: impl FnMut(u64, u64, &str) -> bool) -> Option<Line> {
    with_file(c"/proc/self/maps", |text| {
        let (start, end, line) = text.lines().find_map(|line| {
            let (start, end, rest) = header(line)?;
            wanted(start, end, rest).then_some((start, end, line))
        })?;
        let mut result = Line { start, end, text: [0; 120], length: 0 };
        let mut words = line.split_ascii_whitespace();
        while let Some(word) = words.next()
            && result.length + word.len() + 1 < result.text.len()
        {
            // The folder of a file says nothing here.
            let word = if word.starts_with("/dev/") { word } else { word.rsplit('/').next().unwrap_or(word) };
            if result.length > 0 {
                result.text[result.length] = b' ';
                result.length += 1;
            }
            result.text[result.length..result.length + word.len()].copy_from_slice(word.as_bytes());
            result.length += word.len();
        }
        Some(result)
    })
}

/// The line of an address.
pub(in crate::lab) fn line_of(address: u64) -> Option<Line> {
    find(|start, end, _| start <= address && address < end)
}

/// The line with a name.
pub(in crate::lab) fn line_named(name: &str) -> Option<Line> {
    find(|_, _, rest| rest.ends_with(name))
}

/// Number of mappings.
pub(in crate::lab) fn mappings() -> u64 {
    with_file(c"/proc/self/maps", |text| text.lines().count() as u64)
}
