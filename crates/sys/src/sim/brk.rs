//! The program break of a simulated process and who owns which part below it. Numbers only.

use super::faults::Random;

/// Whose sbrk it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Caller,
    Foreign,
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Refused,
    Moved { old: usize, new: usize },
}

pub(super) struct Break {
    start: usize,
    now: usize,
    /// Where the caller's libc believes it is.
    believed: usize,
    limit: usize,
    page: usize,
    closed: bool,
    /// Pieces from `start` up to `now`, without gaps: where each ends and whose it is.
    pieces: Vec<(usize, Owner)>,
}

impl Break {
    /// One process in four starts with a break that is not page aligned, as after an odd `.bss` without randomisation.
    pub(super) fn new(low: usize, high: usize, page: usize, random: &mut Random) -> Self {
        let odd = if random.below(4) == 0 { random.below(page as u64 / 16) as usize * 16 } else { 0 };
        // Anywhere in the lowest eighth, as randomisation does it.
        let places = (high - low) / 8 / page;
        let start = low + random.below(places as u64) as usize * page + odd;
        Break { start, now: start, believed: start, limit: high, page, closed: false, pieces: Vec::new() }
    }

    pub(super) fn now(&self) -> Option<usize> {
        (!self.closed).then_some(self.now)
    }

    pub(super) fn range(&self) -> (usize, usize) {
        (self.start, self.now)
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// From now on at most this many bytes.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.limit = self.limit.min(self.start + bytes);
    }

    /// Does libc know where the break is?
    pub(super) fn libc_knows(&self) -> bool {
        self.believed == self.now
    }

    /// Moves it through libc.
    ///
    /// # Panics
    /// If `owner` would drop memory of the other.
    pub(super) fn shift(&mut self, delta: isize, owner: Owner) -> Outcome {
        let outcome = self.shift_raw(delta, owner);
        if let Outcome::Moved { new, .. } = outcome {
            self.believed = new;
        }
        outcome
    }

    /// Moves it behind libc's back.
    pub(super) fn shift_raw(&mut self, delta: isize, owner: Owner) -> Outcome {
        let old = self.now;
        let Some(new) = old.checked_add_signed(delta) else { return Outcome::Refused };
        if self.closed || new < self.start || new > self.limit {
            return Outcome::Refused;
        }
        if new >= old {
            self.push(new, owner);
        } else {
            self.drop_down_to(new, owner);
        }
        self.now = new;
        Outcome::Moved { old, new }
    }

    fn push(&mut self, end: usize, owner: Owner) {
        match self.pieces.last_mut() {
            Some(last) if last.1 == owner => last.0 = end,
            _ if end > self.now => self.pieces.push((end, owner)),
            _ => {}
        }
    }

    fn drop_down_to(&mut self, new: usize, owner: Owner) {
        while let Some(&(end, whose)) = self.pieces.last() {
            let from = self.pieces.iter().nth_back(1).map_or(self.start, |piece| piece.0);
            assert!(
                whose == owner,
                "a shrink of the break to {new:#x} by {owner:?} drops {from:#x}..{end:#x} of {whose:?}"
            );
            self.pieces.pop();
            if from < new {
                self.pieces.push((new, whose));
            }
            if from <= new {
                return;
            }
        }
    }

    /// The ranges that the foreign user of the break owns.
    pub(super) fn foreign(&self) -> Vec<(usize, usize)> {
        let mut from = self.start;
        let mut ranges = Vec::new();
        for &(end, owner) in &self.pieces {
            if owner == Owner::Foreign {
                ranges.push((from, end));
            }
            from = end;
        }
        ranges
    }

    /// The whole OS pages that must be accessible for a break at this address.
    pub(super) fn accessible(&self, at: usize) -> (usize, usize) {
        (self.start & !(self.page - 1), at.next_multiple_of(self.page))
    }

    /// Are all bytes of the range on OS pages below the break?
    pub(super) fn covers(&self, start: usize, end: usize) -> bool {
        let (low, high) = self.accessible(self.now);
        self.now > self.start && low <= start && end <= high
    }
}
