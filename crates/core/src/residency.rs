//! Which OS pages are in memory: asked of the kernel, a window at a time; where it does not say, guessed from the books.

use crate::engine::{Engine, Platform};
use brkmap_sys::Kernel;

/// OS pages that are asked for at once: 4 MiB, and a page of any class in one piece. The stack has to hold a byte for each.
const WINDOW: usize = 1024;

/// The last answer, and where it holds.
pub(crate) struct Residency<'e, P: Platform> {
    engine: &'e Engine<P>,
    os_page: usize,
    start: usize,
    end: usize,
    pages: [u8; WINDOW],
    /// The kernel does not say.
    refused: bool,
}

impl<'e, P: Platform> Residency<'e, P> {
    /// `mapped` is the address of an OS page that is mapped, to find out whether the kernel answers at all; 0: none is.
    pub(crate) fn new(engine: &'e Engine<P>, os_page: usize, mapped: usize) -> Self {
        let refused = mapped == 0 || !engine.kernel().resident(mapped, &mut [0]);
        Residency { engine, os_page, start: 0, end: 0, pages: [0; WINDOW], refused }
    }

    /// Does the kernel not say what is in memory?
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Makes sure of the answer for the `bytes` from `start` on, at most [`WINDOW`] OS pages; asks ahead up to `end`, to
    /// which all is mapped. What is not mapped counts as not in memory.
    fn look(&mut self, start: usize, bytes: usize, end: usize) {
        if self.refused || (self.start <= start && start + bytes <= self.end) {
            return;
        }
        let count = ((end - start) / self.os_page).min(WINDOW);
        let pages = &mut self.pages[..count];
        if !self.engine.kernel().resident(start, pages) {
            pages.fill(0);
        }
        (self.start, self.end) = (start, start + count * self.os_page);
    }

    /// The OS pages of a page of blocks, `bytes` long, from `start` on; `end` as in `look`.
    pub(crate) fn of_page(&mut self, start: usize, bytes: usize, end: usize) -> &[u8] {
        self.look(start, bytes, end);
        if self.refused {
            return &[];
        }
        let first = (start - self.start) / self.os_page;
        &self.pages[first..first + bytes / self.os_page]
    }

    /// Bytes in memory of a range; `guess` of them where the kernel does not say. The ends need not be OS pages' ends: an
    /// OS page counts whole where the range has a part of it.
    pub(crate) fn bytes(&mut self, start: usize, bytes: usize, guess: usize) -> usize {
        if self.refused || bytes == 0 {
            return guess;
        }
        let mut at = start / self.os_page * self.os_page;
        let end = (start + bytes).next_multiple_of(self.os_page);
        let mut sum = 0;
        while at < end {
            let part = (end - at).min(WINDOW * self.os_page);
            let resident = self.of_page(at, part, at + part).iter().filter(|page| **page & 1 != 0).count();
            sum += resident * self.os_page;
            at += part;
        }
        sum
    }
}
