//! When memory is short: how near a control group is to its limit, or how long its tasks wait for memory, and what follows.
//!
//! Pure: numbers in, decisions out. Two things make memory *tight*:
//!
//! * **little head-room**: less is left below the limit than an eighth of it (512 MiB at most). The budget of free memory
//!   that we keep is an eighth of what is in use, so from there on it could be more than all that is left for everybody.
//! * **stalls**: some task of the group waited for memory for a tenth of the time (PSI, "some"). The kernel reclaims by
//!   then, and what it takes from others to let us keep free memory costs more than our page faults.
//!
//! It is over when half as much again is left and the stalls are below half of that. Without the difference each giving
//! back would end the state and each free would bring it back.

/// Bytes that a process has before somebody looks for a control group: below, what we could give back matters little, and
/// the look, some 80 microseconds, is small beside the time it takes to touch them.
pub const FIRST_LOOK: usize = 16 << 20;
/// Time between two readings, in ms, at least. A reading takes some tens of microseconds.
pub const PAUSE_MS: u64 = 50;
/// How long memory that was taken is expected to be touched, in ms: what was not by then is left out little by little.
const PROMISE_MS: u64 = 2000;
/// Stalls from which on memory is tight, in hundredths of a per cent of the time.
pub const STALL: u32 = 1000;

/// A limit from here on is none: the first version's control groups say "none" by the largest number of whole OS pages.
const NO_LIMIT: usize = 1 << 60;

/// Is there memory enough?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Supply {
    /// Free memory may stay within the budget.
    #[default]
    Ample,
    /// No free memory is kept.
    Tight,
}

/// A limit, and what is left below it; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The limit.
    pub limit: usize,
    /// What may be added before it is reached.
    pub left: usize,
}

impl Room {
    /// The room below a limit, if it is one.
    pub fn below(limit: usize, current: usize) -> Option<Room> {
        (limit < NO_LIMIT).then_some(Room { limit, left: limit.saturating_sub(current) })
    }

    /// The room with less left; no limit leaves most.
    pub fn tighter(one: Option<Room>, other: Option<Room>) -> Option<Room> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.left < one.left { other } else { one }),
            (one, other) => one.or(other),
        }
    }

    /// The same after `bytes` more.
    pub fn after(self, bytes: usize) -> Room {
        Room { left: self.left.saturating_sub(bytes), ..self }
    }

    /// Is that little?
    pub fn is_little(self) -> bool {
        self.left < little(self.limit)
    }

    /// Bytes that the process may grow before one looks again: half of what separates it from "little".
    pub fn step(self) -> usize {
        (self.left.saturating_sub(little(self.limit)) / 2).clamp(1 << 20, 256 << 20)
    }
}

/// Memory that the process took and did not touch yet: the group's account does not show it, but it will. Without it a large
/// block would look like room until it is written, and what is free then would be kept beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    bytes: usize,
}

impl Promise {
    /// Nothing was taken.
    pub const NONE: Promise = Promise { bytes: 0 };

    /// What is left of it at a reading, `ms` after the last one, between which the process grew by `grown` bytes and the
    /// account by `shown`. What others of the group give back is no sign of anything here.
    pub fn settle(&mut self, grown: isize, shown: isize, ms: u64) -> usize {
        let before = isize::try_from(self.bytes).unwrap_or(isize::MAX);
        let open = before.saturating_add(grown).saturating_sub(shown.max(grown.min(0))).max(0) as u128;
        self.bytes = (open * u128::from(PROMISE_MS - ms.min(PROMISE_MS)) / u128::from(PROMISE_MS)) as usize;
        self.bytes
    }
}

fn little(limit: usize) -> usize {
    (limit / 8).min(512 << 20)
}

/// Is memory tight? `before`: what it was. `stall`: in hundredths of a per cent.
pub fn supply(before: Supply, room: Option<Room>, stall: u32) -> Supply {
    let stays = before == Supply::Tight;
    let short = |room: Room| {
        let bound = little(room.limit);
        room.left < if stays { bound + bound / 2 } else { bound }
    };
    let stalled = stall >= if stays { STALL / 2 } else { STALL };
    if stalled || room.is_some_and(short) { Supply::Tight } else { Supply::Ample }
}

/// Stalls between two readings of a total in microseconds, in hundredths of a per cent of the time between them.
pub fn stall_between(total_before: u64, total: u64, ms: u64) -> u32 {
    let stalled = total.saturating_sub(total_before);
    (stalled.saturating_mul(10) / ms.max(1)).min(10_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use Supply::{Ample, Tight};

    const MIB: usize = 1 << 20;

    fn room(limit: usize, left: usize) -> Option<Room> {
        Room::below(limit, limit - left)
    }

    #[test]
    fn little_is_an_eighth_and_never_more_than_512_mib() {
        assert_eq!(supply(Ample, room(800 * MIB, 101 * MIB), 0), Ample);
        assert_eq!(supply(Ample, room(800 * MIB, 100 * MIB), 0), Ample);
        assert_eq!(supply(Ample, room(800 * MIB, 100 * MIB - 1), 0), Tight);
        assert_eq!(supply(Ample, room(64 << 30, 513 * MIB), 0), Ample);
        assert_eq!(supply(Ample, room(64 << 30, 511 * MIB), 0), Tight);
        assert_eq!(supply(Ample, Room::below(0, 0), 0), Ample, "a limit of nothing has no eighth");
        assert_eq!(supply(Ample, Room::below(8, 9), 0), Tight, "over the limit");
        assert_eq!(supply(Ample, None, 0), Ample);
    }

    #[test]
    fn it_ends_later_than_it_began() {
        assert_eq!(supply(Tight, room(800 * MIB, 120 * MIB), 0), Tight);
        assert_eq!(supply(Tight, room(800 * MIB, 150 * MIB), 0), Ample);
        assert_eq!(supply(Ample, room(800 * MIB, 120 * MIB), 0), Ample);
        assert_eq!(supply(Ample, None, STALL), Tight);
        assert_eq!(supply(Ample, None, STALL - 1), Ample);
        assert_eq!(supply(Tight, None, STALL / 2), Tight);
        assert_eq!(supply(Tight, None, STALL / 2 - 1), Ample);
        // No value ends the state and begins it at once.
        for left in (0..300).map(|n| n * MIB) {
            for stall in [0, 400, 600, 999, 1000, 10_000] {
                let next = supply(Tight, room(800 * MIB, left), stall);
                assert_eq!(supply(next, room(800 * MIB, left), stall), next);
            }
        }
    }

    #[test]
    fn what_is_no_limit_is_none() {
        assert_eq!(Room::below(usize::MAX, 5), None);
        assert_eq!(Room::below(0x7FFF_FFFF_FFFF_F000, 5), None);
        assert_eq!(Room::below(100, 30), Some(Room { limit: 100, left: 70 }));
        let (near, far) = (room(100, 10), room(50, 20));
        assert_eq!(Room::tighter(near, far), near);
        assert_eq!(Room::tighter(far, near), near);
        assert_eq!(Room::tighter(None, far), far);
        assert_eq!(Room::tighter(far, None), far);
    }

    #[test]
    fn the_nearer_the_limit_the_sooner_the_next_look() {
        let step = |left| Room { limit: 800 * MIB, left }.step();
        assert_eq!(step(800 * MIB), 256 * MIB);
        assert_eq!(step(300 * MIB), 100 * MIB);
        assert_eq!(step(110 * MIB), 5 * MIB);
        assert_eq!(step(0), MIB);
        assert!(Room { limit: 800 * MIB, left: 120 * MIB }.after(30 * MIB).is_little());
        assert_eq!(Room { limit: 1, left: 1 }.after(usize::MAX).left, 0);
    }

    #[test]
    fn what_was_taken_counts_until_it_is_touched() {
        let mut promise = Promise::NONE;
        assert_eq!(promise.settle(60, 0, 0), 60);
        assert_eq!(promise.settle(0, 25, 0), 35, "a part was touched");
        assert_eq!(promise.settle(-10, -10, 0), 35, "something else went back");
        assert_eq!(promise.settle(-10, 0, 0), 25, "untouched, and free again");
        assert_eq!(promise.settle(0, -500, 0), 25, "others gave back");
        assert_eq!(promise.settle(5, 500, 0), 0, "others took");
        // Memory that is never touched fades.
        assert_eq!(promise.settle(1000, 0, PROMISE_MS / 4), 750);
        assert_eq!(promise.settle(0, 0, 10 * PROMISE_MS), 0);
        assert_eq!(promise.settle(isize::MAX, isize::MIN, 0), isize::MAX as usize);
        assert_eq!(promise.settle(isize::MAX, isize::MIN, 0), isize::MAX as usize);
        assert_eq!(promise.settle(isize::MIN, isize::MAX, 1), 0);
    }

    #[test]
    fn stalls_are_a_share_of_the_time() {
        assert_eq!(stall_between(0, 0, 0), 0);
        assert_eq!(stall_between(1_000_000, 1_100_000, 1000), 1000);
        assert_eq!(stall_between(0, u64::MAX, 1), 10_000);
        assert_eq!(stall_between(7, 3, 10), 0);
    }
}
