//! Text without allocation: gathered on the stack, handed on in parts that a zero byte ends.

use core::ffi::CStr;
use core::fmt::{self, Write};

/// Bytes that are gathered before they are handed on, the zero byte included.
const ROOM: usize = 2048;

/// Gathers text for `write`, which is called with no lock held.
pub(crate) struct Out<'w> {
    text: [u8; ROOM],
    length: usize,
    write: &'w mut dyn FnMut(&CStr),
}

impl<'w> Out<'w> {
    pub(crate) fn new(write: &'w mut dyn FnMut(&CStr)) -> Self {
        Out { text: [0; ROOM], length: 0, write }
    }

    /// Hands on what was gathered. The last call of who writes.
    pub(crate) fn flush(&mut self) {
        self.text[self.length] = 0;
        if self.length > 0
            && let Ok(part) = CStr::from_bytes_until_nul(&self.text)
        {
            (self.write)(part);
        }
        self.length = 0;
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let room = ROOM - 1 - self.length;
            if room == 0 {
                self.flush();
                continue;
            }
            let (part, behind) = rest.split_at(rest.len().min(room));
            self.text[self.length..self.length + part.len()].copy_from_slice(part);
            self.length += part.len();
            rest = behind;
        }
        Ok(())
    }
}

/// A number of bytes as people read it: `1.5 MiB`.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut unit, mut units) = (1u64, ["B", "KiB", "MiB", "GiB", "TiB"].iter().peekable());
        while self.0 / unit >= 1024 && units.len() > 1 {
            unit *= 1024;
            units.next();
        }
        let name = units.next().unwrap_or(&"B");
        // Tenths by whole numbers: the library has no use for floating point else.
        let tenths = (self.0 % unit) * 10 / unit;
        if unit == 1 {
            write!(out, "{:>6} {name:<3}", self.0)
        } else {
            write!(out, "{:>4}.{tenths} {name:<3}", self.0 / unit)
        }
    }
}
