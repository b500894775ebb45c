//! What the heap should hold: every live block, where it lies, what was written to it.

use std::collections::BTreeMap;

use brkmap_sys::sim::Sim;

/// Who allocated it: decides how it may be freed with its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// `malloc` and its kin.
    C,
    /// A Rust layout.
    Rust,
    /// libc itself, for a thread's exit; only that exit frees it.
    Libc,
}

/// A live block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) start: usize,
    /// Bytes asked for.
    pub(crate) bytes: usize,
    pub(crate) align: usize,
    /// Bytes of the block that are the program's: between the bytes asked for and the usable size.
    pub(crate) filled: usize,
    pub(crate) usable: usize,
    pub(crate) mark: u64,
    pub(crate) face: Face,
}

/// All live blocks.
#[derive(Default)]
pub(crate) struct Shadow {
    by_start: BTreeMap<usize, (Block, usize)>,
    starts: Vec<usize>,
    pub(crate) bytes: usize,
    pub(crate) usable: usize,
}

/// The parts of a block that are written and compared: all of a small one, samples of a large one.
fn parts(bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (bytes / 32).max(4096) & !7;
    let (head, tail) = if bytes <= 1024 { (bytes, 0) } else { (256, 256) };
    let middle = (1..).map(move |number| number * step).take_while(move |&at| bytes > 1024 && at + 8 <= bytes);
    [(0, head), (bytes - tail, tail)].into_iter().chain(middle.map(|at| (at, 8)))
}

fn byte(mark: u64, offset: usize) -> u8 {
    (mark >> ((offset & 7) * 8)) as u8 ^ (offset >> 3) as u8
}

/// The eight bytes of the pattern from a multiple of 8 on.
fn word(mark: u64, offset: usize) -> u64 {
    (mark ^ ((offset >> 3) as u8 as u64 * 0x0101_0101_0101_0101)).to_le()
}

/// The part as words at multiples of 8 and the bytes before and behind them: (first byte, first word, words end, end).
fn words(at: usize, end: usize) -> (usize, usize, usize, usize) {
    let from = at.next_multiple_of(8).min(end);
    (at, from, from + ((end - from) & !7), end)
}

impl Block {
    /// Writes the block's pattern.
    pub(crate) fn fill(&self) {
        for (at, length) in parts(self.filled) {
            let (at, from, to, end) = words(at, at + length);
            for offset in (from..to).step_by(8) {
                // SAFETY: inside a live block
                unsafe { ((self.start + offset) as *mut u64).write_unaligned(word(self.mark, offset)) };
            }
            for offset in (at..from).chain(to..end) {
                // SAFETY: inside a live block
                unsafe { ((self.start + offset) as *mut u8).write(byte(self.mark, offset)) };
            }
        }
    }

    /// Compares the first `bytes` with the pattern that was written; they lie at `start` now.
    pub(crate) fn verify_at(&self, start: usize, bytes: usize, what: &str) {
        for (at, length) in parts(self.filled) {
            let (at, from, to, end) = words(at.min(bytes), (at + length).min(bytes));
            // SAFETY: inside a live block
            let whole = |offset: usize| unsafe { ((start + offset) as *const u64).read_unaligned() };
            let same = (from..to).step_by(8).all(|offset| whole(offset) == word(self.mark, offset));
            let rest = (at..from).chain(to..end);
            let singly = if same { rest } else { (at..end).chain(0..0) };
            singly.for_each(|offset| self.verify_byte(start, offset, what));
        }
    }

    fn verify_byte(&self, start: usize, offset: usize, what: &str) {
        // SAFETY: inside a live block
        let found = unsafe { ((start + offset) as *const u8).read() };
        let wanted = byte(self.mark, offset);
        assert!(
            found == wanted,
            "{what}: byte {offset} of {self:x?} at {start:#x} is {found:#x}, written was {wanted:#x}"
        );
    }

    pub(crate) fn verify(&self, what: &str) {
        self.verify_at(self.start, self.filled, what);
    }
}

/// A block that must read as zero does.
pub(crate) fn verify_zero(start: usize, bytes: usize) {
    let step = if bytes <= 16384 { 8 } else { (bytes / 2048) & !7 };
    // SAFETY: inside a live block
    let whole = |offset: &usize| unsafe { ((start + *offset) as *const u64).read_unaligned() } == 0;
    let last = bytes.saturating_sub(8);
    let wrong = (0..last).step_by(step).chain((bytes & !7).saturating_sub(64)..last).find(|offset| !whole(offset));
    for at in wrong.unwrap_or(last)..bytes {
        // SAFETY: inside a live block
        let found = unsafe { ((start + at) as *const u8).read() };
        assert!(found == 0, "byte {at} of a zeroed block of {bytes} at {start:#x} is {found:#x}");
    }
}

impl Shadow {
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Takes a new block in: it must overlap no other, no part of the break that is not the engine's, and lie in memory
    /// that the engine has.
    pub(crate) fn insert(&mut self, block: Block, sim: &Sim) {
        let end = block.start + block.usable.max(1);
        if let Some((&start, (other, _))) = self.by_start.range(..end).next_back() {
            assert!(start + other.usable.max(1) <= block.start, "{block:x?} overlaps {other:x?}");
        }
        let (low, high) = sim.break_range();
        let beyond = block.start < high && end > high && block.start >= low;
        assert!(!beyond, "{block:x?} reaches over the break at {high:#x}");
        self.bytes += block.bytes;
        self.usable += block.usable;
        self.by_start.insert(block.start, (block, self.starts.len()));
        self.starts.push(block.start);
    }

    /// Takes a block out.
    pub(crate) fn remove(&mut self, start: usize) -> Block {
        let (block, index) = self.by_start.remove(&start).expect("a live block");
        self.starts.swap_remove(index);
        if let Some(&moved) = self.starts.get(index) {
            self.by_start.get_mut(&moved).expect("a live block").1 = index;
        }
        self.bytes -= block.bytes;
        self.usable -= block.usable;
        block
    }

    /// The block with this number, in no particular order.
    pub(crate) fn nth(&self, number: usize) -> Block {
        self.by_start[&self.starts[number]].0
    }

    /// All live blocks.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Block> {
        self.by_start.values().map(|(block, _)| block)
    }
}
