//! What a subject reports.

use super::{Refusal, line_of};
use brkmap_toolbox::calls::{self, Mapping};
use std::fmt::{self, Write};

/// What a subject reports: lines `name<TAB>value`, written at its end in one go.
pub(in crate::lab) struct Out {
    bytes: &'static mut [u8],
    length: usize,
}

impl Out {
    /// A buffer in a mapping of its own.
    pub(in crate::lab) fn new() -> Result<Out, Refusal> {
        let range = calls::map(48 << 10, &Mapping::new())?;
        // SAFETY: [own-memory] fresh, zeroed, known to nobody else; it stays.
        let bytes = unsafe { std::slice::from_raw_parts_mut(range.cast::<u8>().as_ptr(), range.len()) };
        Ok(Out { bytes, length: 0 })
    }

    /// A figure.
    pub(in crate::lab) fn put(&mut self, name: &str, value: u64) {
        self.text(name, format_args!("{value}"));
    }

    /// A text without line ends.
    pub(in crate::lab) fn text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // What does not fit is cut; the experiment then misses a figure and says so.
        let _ = writeln!(self, "{name}\t{value}");
    }

    /// The line of the map in which an address lies.
    pub(in crate::lab) fn line(&mut self, name: &str, address: u64) {
        match line_of(address) {
            Some(line) => self.text(name, format_args!("{}", line.text())),
            None => self.text(name, format_args!("nothing is mapped there")),
        }
    }

    /// Writes everything to standard output.
    pub(in crate::lab) fn flush(&mut self) {
        let mut done = 0;
        while done < self.length {
            let rest = &self.bytes[done..self.length];
            // SAFETY: [valid-out-pointer] the rest is alive.
            let wrote = unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
            if wrote <= 0 {
                break;
            }
            done += wrote as usize;
        }
        self.length = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
