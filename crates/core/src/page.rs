//! The 64 bytes that describe a page (a span of slices cut into blocks of one class), a run or a direct mapping.
//!
//! Who may touch what:
//! * the *owner* (see `lifecycle`) reads and writes everything, with plain loads and stores (relaxed atomics);
//! * *any thread* may read `owner`, `class`, `magic`, `states` and `start` of a page that holds a block it has, because
//!   these do not change while the page has live blocks but for `owner` (adoption), and swap its block's state byte. The owner
//!   writes the same cache line all the time, so who frees blocks of other heaps reads copies: [owner-copy], and a parcel's;
//! * *any thread* may push to `remote` and, when the push says so, link `queue_next`;
//! * an inspector in another process reads all of it and believes nothing.
//!
//! # Invariants (checked by `check`)
//!
//! * *[page-counter]* of a page that is not in use `counter = blocks out + bias(status)`, where *out* is live + freed
//!   by others (REMOTE or LOOSE), and bias is 0 for PARTIAL, −(capacity − K) for FULL with K = max(1, capacity / 8). So
//!   one "decrement, is it ≤ 0?" tells that a PARTIAL page became empty or that a FULL page has a useful batch of free
//!   blocks. `malloc` does not count: of the page in use the counter only falls, from 2^30, and says nothing.
//! * *[in-play]* `in_play = out + blocks in local`: the blocks that the list and the counter know. The others are not
//!   carved yet (behind the record's frontier) or asleep (free, on an OS page that was given back: a *hole*).
//! * *[page-local]* the blocks in `local` have state FREED or NEVER.
//! * *[page-state]* the state byte of a block is LIVE exactly while the program has it. Another thread's free makes it LOOSE,
//!   and of the first block of a parcel REMOTE, which keeps the page in use until the owner was told. The owner's free writes
//!   FREED *last* (release), so who reads FREED or LOOSE (acquire) sees all else of that free done.
//! * *[page-carved]* blocks at or behind the frontier were never handed out; if the page is marked zero their memory reads
//!   as zero.
//! * *[stale-books]* a page marked STALE was worked on behind its owner's back (see `idle`): `local`, `in_play` and
//!   `counter` may miss free blocks, but never name a block that is not free. The owner sets them right from the state
//!   bytes (`Engine::renew_books`) before it allocates from the page or judges it. A CURRENT page is never STALE.

use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use brkmap_sys::multiply;

use crate::classes;
use crate::geometry::{SLICE, slice_of};
use crate::remote::RemoteWord;

/// A free block: its first word links to the next one.
#[repr(transparent)]
pub(crate) struct Block(AtomicPtr<Block>);

impl Block {
    /// The next free block of the list.
    #[inline(always)]
    pub(crate) fn next(&self) -> *mut Block {
        self.0.load(Relaxed)
    }

    /// Links the block in front of `next`.
    #[inline(always)]
    pub(crate) fn set_next(&self, next: *mut Block) {
        self.0.store(next, Relaxed);
    }
}

/// Owner words that are no heap. Heaps are 128-aligned, so none is taken for one.
pub(crate) mod owner {
    /// The slice belongs to nobody, or nothing starts there.
    pub(crate) const NONE: usize = 0;
    /// A slice inside a medium page; `slice` names the page.
    pub(crate) const INTERIOR: usize = 1;
    /// A run of slices that is one block.
    pub(crate) const RUN: usize = 2;
    /// A direct mapping starts in this slice.
    pub(crate) const DIRECT: usize = 3;
    /// A direct mapping starts in this slice that was freed and is kept: see `kept`. No block.
    pub(crate) const KEPT: usize = 4;

    /// Is the word no heap's?
    pub(crate) fn is_tag(word: usize) -> bool {
        word <= KEPT
    }
}

/// What the owner does with a page at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// Not a page.
    None = 0,
    /// Blocks are handed out from it; on no ring.
    Current = 1,
    /// On the heap's ring of its class.
    Partial = 2,
    /// All blocks are out, or were when it was left; on no ring.
    Full = 3,
}

/// State byte of a block.
pub(crate) mod state {
    /// Free, and never handed out.
    pub(crate) const NEVER: u8 = 0;
    /// The program has it.
    pub(crate) const LIVE: u8 = 1;
    /// Free after use, and known to the owner.
    pub(crate) const FREED: u8 = 2;
    /// Freed by another thread, whose parcel or the page's remote word names it.
    pub(crate) const REMOTE: u8 = 3;
    /// Freed by another thread, and named by nobody: the owner finds it by this byte.
    pub(crate) const LOOSE: u8 = 4;

    // What is live or on its way is odd: see `busy_blocks`.
    const _: () = assert!(LIVE & REMOTE & 1 == 1 && (NEVER | FREED | LOOSE) & 1 == 0);
}

/// Parts of a small page, each searched for itself for blocks that other threads freed.
const PARTS: usize = u16::BITS as usize;
/// Bytes of a part.
pub(crate) const PART: usize = SLICE / PARTS;
/// State bytes that are read together.
const GROUP: usize = 16;
/// Blocks of a page, at most.
const MOST_BLOCKS: usize = SLICE / classes::SIZES_CONST[0] as usize;

/// Some of the blocks of a page: a bit each, in the first `used` words.
pub(crate) struct Blocks {
    words: [u64; MOST_BLOCKS / 64],
    used: usize,
}

impl Blocks {
    /// How many they are.
    pub(crate) fn count(&self) -> u32 {
        self.words[..self.used].iter().map(|word| word.count_ones()).sum()
    }

    /// The first of them from `index` on.
    pub(crate) fn next(&self, index: usize) -> Option<usize> {
        let words = &self.words[..self.used];
        let mut at = index / 64;
        let mut rest = *words.get(at)? & (u64::MAX << (index % 64));
        while rest == 0 {
            at += 1;
            rest = *words.get(at)?;
        }
        Some(at * 64 + rest.trailing_zeros() as usize)
    }
}

pub(crate) const STATUS_MASK: u8 = 3;
/// The page came from the kernel as zeros: blocks in state NEVER read as zero behind their link word.
const ZERO: u8 = 4;
/// See [stale-books].
pub(crate) const STALE: u8 = 8;
/// Counter bias of the page in use: far from any event.
pub(crate) const CURRENT_BIAS: i32 = 1 << 30;

/// What only slow paths need of a page. Private to who holds the heap's gate.
#[repr(C, align(16))]
pub(crate) struct Record {
    /// OS pages of the page whose memory was given back, a bit each; at most 128 (a medium page of 4 KiB OS pages).
    pub(crate) holes: [AtomicU64; 2],
    /// Blocks carved so far: the start of the untouched part.
    pub(crate) frontier: AtomicU32,
    /// Blocks not free when the page was last looked at, plus one; 0 = never looked at.
    pub(crate) seen: AtomicU32,
}

/// See the head of this file. All zero: describes nothing.
#[repr(C, align(64))]
pub(crate) struct PageMeta {
    pub(crate) owner: AtomicUsize,
    /// Free blocks of the page; for runs and direct mappings: bytes of the span.
    pub(crate) local: AtomicPtr<Block>,
    /// See [page-counter].
    pub(crate) counter: AtomicI32,
    pub(crate) magic: AtomicU32,
    /// Where the page's first block starts, and so the page; the block of a run or a direct mapping. Of an interior slice:
    /// where its page starts.
    pub(crate) start: AtomicUsize,
    /// One byte per block; for runs and direct mappings: bytes asked for.
    pub(crate) states: AtomicPtr<AtomicU8>,
    /// See [in-play].
    pub(crate) in_play: AtomicU16,
    pub(crate) class: AtomicU8,
    pub(crate) flags: AtomicU8,
    pub(crate) next: AtomicU32,
    pub(crate) remote: RemoteWord,
    pub(crate) prev: AtomicU32,
    pub(crate) queue_next: AtomicU32,
}

const _: () = assert!(size_of::<PageMeta>() == 64);
const _: () = assert!(size_of::<RemoteWord>() == 8);

/// What of a page does not change while blocks are handed out from it.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) start: usize,
    pub(crate) magic: usize,
    pub(crate) states: *const AtomicU8,
}

impl PageMeta {
    /// A meta that describes nothing, for the static that stands for no page.
    pub(crate) const fn empty() -> PageMeta {
        PageMeta {
            owner: AtomicUsize::new(owner::NONE),
            local: AtomicPtr::new(null_mut()),
            counter: AtomicI32::new(0),
            magic: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            states: AtomicPtr::new(null_mut()),
            in_play: AtomicU16::new(0),
            class: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            next: AtomicU32::new(0),
            remote: RemoteWord::new(),
            prev: AtomicU32::new(0),
            queue_next: AtomicU32::new(0),
        }
    }

    /// Counts a block that came back; by the owner. Does the counter fire?
    #[inline(always)]
    pub(crate) fn count_down(&self) -> bool {
        // SAFETY: [record-field] the offset is that of an `AtomicI32`, which only the owner writes.
        unsafe { brkmap_sys::count_down::<{ offset_of!(PageMeta, counter) }, _>(self) }
    }

    #[inline(always)]
    pub(crate) fn class(&self) -> usize {
        self.class.load(Relaxed) as usize
    }

    #[inline]
    pub(crate) fn capacity(&self) -> i32 {
        classes::CAPACITY[self.class()] as i32
    }

    /// Bytes of a block of the page.
    #[inline]
    pub(crate) fn block_bytes(&self) -> usize {
        // SAFETY: [class-range] what `new_page` stored, or 0.
        unsafe { *classes::SIZES.get_unchecked(self.class()) as usize }
    }

    /// Where the page, or the block of a run or a direct mapping, starts.
    #[inline(always)]
    pub(crate) fn start(&self) -> usize {
        self.start.load(Relaxed)
    }

    /// Where the page starts, and how its offsets become state bytes. Plain loads, around which compilers move other things.
    ///
    /// # Safety
    /// [current-page]: the page is CURRENT in the calling thread's heap, or the empty one. Then nobody else writes these.
    #[inline(always)]
    pub(crate) unsafe fn shape(&self) -> Shape {
        // SAFETY: [current-page] promised by the caller.
        unsafe {
            Shape { start: *self.start.as_ptr(), magic: *self.magic.as_ptr() as usize, states: *self.states.as_ptr() }
        }
    }

    /// The slice in which it starts.
    #[inline]
    pub(crate) fn first_slice(&self) -> u32 {
        slice_of(self.start())
    }

    #[inline]
    pub(crate) fn status(&self) -> Status {
        match self.flags.load(Relaxed) & STATUS_MASK {
            1 => Status::Current,
            2 => Status::Partial,
            3 => Status::Full,
            _ => Status::None,
        }
    }

    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        self.flags.load(Relaxed) & ZERO != 0
    }

    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.flags.load(Relaxed) & STALE != 0
    }

    pub(crate) fn set_stale(&self, stale: bool) {
        let flags = self.flags.load(Relaxed);
        self.flags.store(if stale { flags | STALE } else { flags & !STALE }, Relaxed);
    }

    pub(crate) fn set_zero(&self, zero: bool) {
        let flags = self.flags.load(Relaxed);
        self.flags.store(if zero { flags | ZERO } else { flags & !ZERO }, Relaxed);
    }

    /// `counter − out` in a status ([page-counter]).
    pub(crate) fn bias(&self, status: Status) -> i32 {
        match status {
            Status::Current => CURRENT_BIAS,
            Status::Full => self.batch() - self.capacity(),
            Status::Partial | Status::None => 0,
        }
    }

    /// Free blocks that make a full page worth looking at again.
    fn batch(&self) -> i32 {
        (self.capacity() / 8).max(1)
    }

    /// Blocks that are live or on their way back; of a CURRENT page, all that are in play.
    pub(crate) fn out(&self) -> i32 {
        match self.status() {
            Status::Current => self.in_play.load(Relaxed) as i32,
            status => self.counter.load(Relaxed) - self.bias(status),
        }
    }

    /// Counts the blocks in the page's list. By the owner.
    pub(crate) fn count_local(&self) -> i32 {
        let (mut block, mut count) = (self.local.load(Relaxed), 0);
        // A list that somebody wrote to may be a circle.
        while !block.is_null() && count < self.capacity() {
            count += 1;
            // SAFETY: [page-local] a free block of this page.
            block = unsafe { (*block).next() };
        }
        count
    }

    /// Changes status and keeps *out*.
    pub(crate) fn set_status(&self, status: Status) {
        let out = self.out();
        let flags = self.flags.load(Relaxed);
        self.flags.store(flags & !STATUS_MASK | status as u8, Relaxed);
        self.counter.store(out + self.bias(status), Relaxed);
    }

    /// The state byte of a block.
    ///
    /// # Safety
    /// *[state-index]* The page is in use and `index <= SLICE / block_bytes` (small) or `index < capacity` (medium): the
    /// table has a byte for every index that the division can yield.
    #[inline(always)]
    pub(crate) unsafe fn state(&self, index: usize) -> &AtomicU8 {
        // SAFETY: [state-index] promised by the caller.
        unsafe { &*self.states.load(Relaxed).add(index) }
    }

    /// Which of the first `carved` blocks are live or on their way.
    ///
    /// # Safety
    /// [page-table]
    pub(crate) unsafe fn busy_blocks(&self, carved: usize) -> Blocks {
        let carved = carved.min(MOST_BLOCKS);
        let mut blocks = Blocks { words: [0; MOST_BLOCKS / 64], used: carved.div_ceil(64) };
        let table = self.states.load(Relaxed).cast::<[AtomicU8; GROUP]>();
        for group in 0..carved.div_ceil(GROUP) {
            // SAFETY: [page-table] a table's state bytes are whole groups.
            let busy = brkmap_sys::odd_bytes(unsafe { &*table.add(group) });
            blocks.words[group * GROUP / 64] |= (busy as u64) << (group * GROUP % 64);
        }
        if !carved.is_multiple_of(64) {
            blocks.words[carved / 64] &= (1 << (carved % 64)) - 1;
        }
        blocks
    }

    /// Calls `take` with each LOOSE block of some parts of a small page, the last one first.
    ///
    /// # Safety
    /// [page-table]
    pub(crate) unsafe fn each_loose(&self, parts: u16, mut take: impl FnMut(usize, &AtomicU8)) {
        let magic = self.magic.load(Relaxed) as u64;
        let index = |offset: usize| ((offset as u64 * magic) >> 32) as usize;
        let table = self.states.load(Relaxed).cast::<[AtomicU8; GROUP]>();
        for part in (0..PARTS).rev().filter(|part| parts >> part & 1 != 0) {
            let (first, last) = (index(part * PART), index((part + 1) * PART - 1));
            for group in (first / GROUP..=last / GROUP).rev() {
                // SAFETY: [page-table] a table's state bytes are whole groups.
                let states = unsafe { &*table.add(group) };
                let mut loose = brkmap_sys::bytes_equal(states, state::LOOSE);
                while loose != 0 {
                    let at = loose.ilog2() as usize;
                    loose &= !(1 << at);
                    take(group * GROUP + at, &states[at]);
                }
            }
        }
    }

    /// Index of the block at `offset` of a small page, if a block starts there.
    #[inline(always)]
    pub(crate) fn small_index_of(&self, offset: usize) -> Option<usize> {
        let magic = self.magic.load(Relaxed);
        classes::quotient(multiply(offset, magic as usize) as u64, magic)
    }

    /// Index of the block at `offset`, if a block starts there; for pages of any length.
    #[inline(always)]
    pub(crate) fn index_of(&self, offset: usize) -> Option<usize> {
        let index = ((offset as u64 * self.magic.load(Relaxed) as u64) >> 32) as usize;
        (index * self.block_bytes() == offset).then_some(index)
    }

    /// The page's record, behind its state bytes.
    ///
    /// # Safety
    /// *[page-table]* The page is in use.
    #[inline]
    pub(crate) unsafe fn record(&self) -> &Record {
        let behind = PageMeta::state_bytes(self.class());
        // SAFETY: [page-table] a table has a record behind its bytes, 16-aligned.
        unsafe { &*self.states.load(Relaxed).byte_add(behind).cast::<Record>() }
    }

    /// Bytes of a class's table: state bytes and record.
    pub(crate) const fn table_bytes(class: usize) -> usize {
        PageMeta::state_bytes(class) + size_of::<Record>()
    }

    /// Bytes for the states: one for every index that the division can yield on this class.
    const fn state_bytes(class: usize) -> usize {
        (classes::slices(class) * SLICE / classes::SIZES_CONST[class] as usize + 1).next_multiple_of(GROUP)
    }

    // Runs and direct mappings.

    /// Bytes of the span of a run or a direct mapping.
    #[inline]
    pub(crate) fn span_bytes(&self) -> usize {
        self.local.load(Relaxed).addr()
    }

    pub(crate) fn set_span_bytes(&self, bytes: usize) {
        self.local.store(core::ptr::without_provenance_mut(bytes), Relaxed);
    }

    /// Bytes the program asked for, of a run or a direct mapping.
    pub(crate) fn requested(&self) -> usize {
        self.states.load(Relaxed).addr()
    }

    /// Bytes of a run's first slice in front of its block.
    #[inline]
    pub(crate) fn shift(&self) -> usize {
        self.start() % SLICE
    }

    pub(crate) fn set_requested(&self, bytes: usize) {
        self.states.store(core::ptr::without_provenance_mut(bytes), Relaxed);
    }
}

impl Record {
    /// The lowest hole, by its OS page within the page.
    pub(crate) fn lowest_hole(&self) -> Option<usize> {
        let low = self.holes[0].load(Relaxed);
        let high = self.holes[1].load(Relaxed);
        if low != 0 {
            Some(low.trailing_zeros() as usize)
        } else if high != 0 {
            Some(64 + high.trailing_zeros() as usize)
        } else {
            None
        }
    }

    /// How many OS pages are holes.
    pub(crate) fn count_holes(&self) -> usize {
        self.holes.iter().map(|word| word.load(Relaxed).count_ones() as usize).sum()
    }

    /// Is this OS page of the page a hole?
    pub(crate) fn is_hole(&self, os_page: usize) -> bool {
        self.holes[os_page / 64].load(Relaxed) >> (os_page % 64) & 1 != 0
    }

    /// Makes an OS page a hole, or no hole.
    pub(crate) fn set_hole(&self, os_page: usize, hole: bool) {
        let word = &self.holes[os_page / 64];
        let bit = 1 << (os_page % 64);
        word.store(if hole { word.load(Relaxed) | bit } else { word.load(Relaxed) & !bit }, Relaxed);
    }

    /// Does the block with this index touch a hole?
    pub(crate) fn is_asleep(&self, index: usize, size: usize, os_page: usize) -> bool {
        if self.holes[0].load(Relaxed) | self.holes[1].load(Relaxed) == 0 {
            return false;
        }
        let (first, last) = (index * size / os_page, (index * size + size - 1) / os_page);
        (first..=last).any(|page| self.is_hole(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_blocks_are_those_with_an_odd_state_below_what_is_carved() {
        let states: Vec<AtomicU8> =
            (0..MOST_BLOCKS).map(|index| AtomicU8::new((index * index / 7 % 4) as u8)).collect();
        let page = PageMeta::empty();
        page.states.store(states.as_ptr().cast_mut(), Relaxed);
        for carved in [0, 1, 15, 16, 17, 63, 64, 65, 1000, MOST_BLOCKS - 1, MOST_BLOCKS] {
            let expected: Vec<usize> = (0..carved)
                .filter(|&index| matches!(states[index].load(Relaxed), state::LIVE | state::REMOTE))
                .collect();
            // SAFETY: [page-table] the table above is whole groups.
            let blocks = unsafe { page.busy_blocks(carved) };
            let mut found = Vec::new();
            while let Some(index) = blocks.next(found.last().map_or(0, |last| last + 1)) {
                found.push(index);
            }
            assert_eq!((found, blocks.count() as usize), (expected.clone(), expected.len()), "{carved}");
        }
    }
}
