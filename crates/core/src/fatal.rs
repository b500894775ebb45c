//! The last line of a program that misused the heap.
//!
//! One `write(2)` from a stack buffer, then SIGABRT: nothing is allocated, no lock is taken, no loader is called, since
//! the heap may be damaged and the caller may be anywhere.

use brkmap_sys::Kernel;

use crate::engine::{Engine, Platform};

/// What the program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The block is free already.
    DoubleFree,
    /// No block starts there.
    InvalidFree,
    /// The size or layout does not belong to the block.
    SizeMismatch,
    /// A free list leads out of its page: something wrote to a freed block.
    CorruptedList,
}

impl Misuse {
    fn text(self) -> &'static str {
        match self {
            Misuse::DoubleFree => "double free",
            Misuse::InvalidFree => "invalid free",
            Misuse::SizeMismatch => "size mismatch",
            Misuse::CorruptedList => "corrupted free list (write after free?)",
        }
    }
}

/// A line of text on the stack; what does not fit is cut.
struct Line {
    text: [u8; 160],
    length: usize,
}

impl Line {
    fn new() -> Line {
        Line { text: [0; 160], length: 0 }
    }

    fn push(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if self.length < self.text.len() {
                self.text[self.length] = byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, mut value: u64, base: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
            if value == 0 {
                break;
            }
        }
        self.push(core::str::from_utf8(&digits[at..]).unwrap_or("?"));
    }
}

impl<P: Platform> Engine<P> {
    /// Says what the program did to which pointer, and ends it. Not `-> !`, so that callers reach it by a tail jump.
    #[cold]
    #[inline(never)]
    pub(crate) fn die(&self, misuse: Misuse, pointer: usize, size: Option<usize>) {
        let mut line = Line::new();
        line.push("brkmap: fatal: ");
        line.push(misuse.text());
        line.push(" ptr=0x");
        line.number(pointer as u64, 16);
        if let Some(size) = size {
            line.push(" size=");
            line.number(size as u64, 10);
        }
        line.push(" (pid ");
        line.number(self.kernel().process_id() as u64, 10);
        line.push(")\n");
        self.kernel().write_error(&line.text[..line.length]);
        self.kernel().abort()
    }

    /// A signal handler interrupted the allocator and allocates: POSIX forbids it, and to go on would damage the heap.
    #[cold]
    pub(crate) fn die_reentered(&self) -> ! {
        let mut line = Line::new();
        line.push("brkmap: fatal: malloc called from a signal handler that interrupted malloc (pid ");
        line.number(self.kernel().process_id() as u64, 10);
        line.push(")\n");
        self.kernel().write_error(&line.text[..line.length]);
        self.kernel().abort()
    }
}
