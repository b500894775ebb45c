//! Memory is short in the process's control group: nothing free is kept, and what is free goes back before more is used.
//!
//! ```text
//!   claim ── memory that was not touched yet ──► note_growth ─┐
//!   has_room ── a mapping, or more of one ─────► make_room ───┼─► weigh ──► read the group's files, if it is time
//!   look ── the helper, something waits ───────► look_around ─┤     │
//!   keep_mapping ── a large block was freed ───► may_stay ────┘     │
//!                                                                   └────► TIGHT: give back, call the helper
//! ```
//!
//! What is asked of the kernel's files, and when it is little, are the rules of `cgroup` and `head_room`. A process learns
//! of its group when it has 16 MiB; where there is no limit, or no file to read, that was all: `watch` is out of reach from
//! then on. With a limit, the files are read again each time the process has grown by half of what separates it from
//! "little", while something waits to go back, or where a freed mapping could be kept; never more often than every 50 ms,
//! and in between our own growth is counted against what was left, as is what was taken and is not touched yet.
//!
//! While memory is tight the budget of free memory is 0, so whatever is free goes back, and memory that was not touched
//! yet is only used once nothing else is free. Everything here happens under the store's lock. `fork` takes that lock, so
//! no child gets a descriptor that is just being read.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicUsize};

use brkmap_sys::{FileRead, Kernel};
use brkmap_wire::{Counter, Rule};

use crate::cgroup::{self, FILE, Group, LEVELS, Lines, Stall, Version};
use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::head_room::{self, Promise, Room, Supply};
use crate::kept::Which;
use crate::policy;
use crate::spans::Spans;

/// Longest line that is understood; a longer path of a group is not.
const LINE: usize = 440;
/// `watch`: nobody looks any more.
const NEVER: usize = usize::MAX;

/// What everybody may read without a lock. All zero: not started.
pub(crate) struct Gauge {
    /// Bytes in use, free or mapped from which on somebody has to look.
    pub(crate) watch: AtomicUsize,
    /// A [`Supply`]: 1 = tight.
    tight: AtomicU32,
}

impl Gauge {
    pub(crate) const fn new() -> Gauge {
        Gauge { watch: AtomicUsize::new(0), tight: AtomicU32::new(0) }
    }

    /// Nobody looks any more.
    pub(crate) fn switch_off(&self) {
        self.watch.store(NEVER, Relaxed);
        self.tight.store(0, Relaxed);
    }
}

/// What is known of the group; under the store's lock.
pub(crate) struct Outlook {
    /// Was it looked for?
    known: bool,
    group: Group,
    /// Bit of each level that has a limit.
    limits: u32,
    /// The lowest level that is there: the process's own group.
    own: usize,
    /// The last reading: when, in ms; what the process had then; what was left, as told and without what is still to be
    /// touched; the stalls in all.
    read_at: u64,
    had: usize,
    told: Option<Room>,
    room: Option<Room>,
    promise: Promise,
    stalled: u64,
}

impl Outlook {
    pub(crate) const fn new() -> Outlook {
        Outlook {
            known: false,
            group: Group::NONE,
            limits: 0,
            own: 0,
            read_at: 0,
            had: 0,
            told: None,
            room: None,
            promise: Promise::NONE,
            stalled: 0,
        }
    }

    /// Takes a reading down: the process has `has` bytes. What is left but for what will be touched.
    fn note(&mut self, has: usize, told: Option<Room>, ms: u64) -> Option<Room> {
        let shown = match (self.told, told) {
            (Some(before), Some(now)) if before.limit == now.limit => before.left as isize - now.left as isize,
            _ => 0,
        };
        let grown = if self.told.is_some() { has as isize - self.had as isize } else { 0 };
        let promised = self.promise.settle(grown, shown, ms);
        (self.had, self.told, self.room) = (has, told, told.map(|room| room.after(promised)));
        self.room
    }

    /// The process gave `bytes` back since.
    fn note_return(&mut self, bytes: usize) {
        self.had = self.had.saturating_sub(bytes);
        for room in [&mut self.told, &mut self.room].into_iter().flatten() {
            room.left = room.left.saturating_add(bytes).min(room.limit);
        }
    }

    /// In the child of a fork: it may be put into another group.
    pub(crate) fn forget(&mut self) {
        (self.known, self.read_at, self.stalled, self.told) = (false, 0, 0, None);
    }
}

/// What a file answers.
enum Answer {
    Amount(usize),
    /// It is not there, or says something else.
    Nothing,
}

/// Why nothing is known.
enum Blind {
    /// At this moment.
    Now,
    /// Refused, or there is nothing to know: no limit anywhere.
    ForGood,
}

impl<P: Platform> Engine<P> {
    /// Free bytes that may be kept while `used` bytes are in use.
    pub(crate) fn dirty_budget(&self, used: usize) -> usize {
        if self.is_tight() { 0 } else { policy::dirty_budget(used) }
    }

    /// Is memory short?
    pub(crate) fn is_tight(&self) -> bool {
        self.gauge.tight.load(Relaxed) != 0
    }

    /// Is memory short? Ample as long as nobody had a reason to look.
    pub fn supply(&self) -> Supply {
        if self.is_tight() { Supply::Tight } else { Supply::Ample }
    }

    /// Bytes that the process has of this engine, resident or soon to be; what was given back does not count.
    fn has(&self, spans: &Spans) -> usize {
        (spans.used + spans.dirty) * SLICE + spans.kept.bytes() + self.counter(Counter::DirectLiveBytes) as usize
    }

    /// `fresh` bytes of slices were taken that are not resident yet.
    #[inline]
    pub(crate) fn note_growth(&self, spans: &mut Spans, fresh: usize) {
        let has = self.has(spans);
        if has >= self.gauge.watch.load(Relaxed) {
            self.weigh(spans, has, fresh);
        }
    }

    /// `bytes` more are about to be mapped; outside all locks.
    #[inline]
    pub(crate) fn make_room(&self, bytes: usize) {
        let used = self.counter(Counter::UsedSliceBytes) + self.counter(Counter::DirectLiveBytes);
        let has = used as usize + self.dirty_hint.load(Relaxed) * SLICE;
        if has.saturating_add(bytes) >= self.gauge.watch.load(Relaxed) {
            self.with_spans(|spans| self.weigh(spans, self.has(spans).saturating_add(bytes), bytes));
        }
    }

    /// Something waits to go back, so this is a moment to look around.
    pub(crate) fn look_around(&self) {
        if self.gauge.watch.load(Relaxed) != NEVER {
            self.with_spans(|spans| {
                let has = self.has(spans);
                if has >= head_room::FIRST_LOOK {
                    self.weigh(spans, has, 0);
                }
            });
        }
    }

    /// The process has, or is about to have, `has` bytes, of which it will touch `fresh` only now: how scarce is memory?
    /// Where it is, what is free goes back first.
    #[cold]
    #[inline(never)]
    fn weigh(&self, spans: &mut Spans, has: usize, fresh: usize) {
        if self.gauge.watch.load(Relaxed) == NEVER {
            return;
        }
        let now = self.kernel().now_ms().max(1);
        if spans.outlook.read_at == 0 || now - spans.outlook.read_at.min(now) >= head_room::PAUSE_MS {
            self.read_group(spans, has, fresh, now);
        } else if spans.outlook.room.is_some_and(|room| room.after(has.saturating_sub(spans.outlook.had)).is_little()) {
            self.set_supply(Supply::Tight, has);
        } else if !self.is_tight() {
            // Too early to read again: a little further.
            self.gauge.watch.store(has.saturating_add(1 << 20), Relaxed);
        }
        if self.is_tight() {
            let kept = self.release_kept(spans, Which::All);
            let purged = if spans.dirty > 0 { self.purge_dirty(spans, 0, Rule::Pressure) } else { 0 };
            spans.outlook.note_return(kept + purged);
        }
    }

    /// May `bytes` that were a block until now be kept, or is memory short?
    pub(crate) fn may_stay(&self, spans: &mut Spans, bytes: usize) -> bool {
        let has = self.has(spans).saturating_add(bytes);
        if has >= head_room::FIRST_LOOK {
            self.weigh(spans, has, 0);
        }
        !self.is_tight()
    }

    fn set_supply(&self, supply: Supply, watch: usize) {
        let tight = supply == Supply::Tight;
        // While it is tight everybody who needs untouched memory comes by.
        self.gauge.watch.store(if tight { 0 } else { watch }, Relaxed);
        if self.gauge.tight.swap(tight as u32, Relaxed) == 0 && tight {
            self.call_helper();
        }
    }

    /// Reads the group's files and decides. Refused, or without a limit anywhere: never again.
    fn read_group(&self, spans: &mut Spans, has: usize, fresh: usize, now: u64) {
        let before = self.supply();
        let outlook = &mut spans.outlook;
        let asked = self.ask_group(outlook, now);
        let ms = now.saturating_sub(core::mem::replace(&mut outlook.read_at, now));
        match asked {
            Ok((told, stall)) => {
                let room = outlook.note(has - fresh, told, ms).map(|room| room.after(fresh));
                let step = room.map_or(head_room::FIRST_LOOK, Room::step);
                self.set_supply(head_room::supply(before, room, stall), has.saturating_add(step));
            }
            Err(Blind::Now) => self.set_supply(before, has.saturating_add(head_room::FIRST_LOOK)),
            Err(Blind::ForGood) => self.gauge.switch_off(),
        }
    }

    /// The least room of all levels, and the stalls of the own one.
    fn ask_group(&self, outlook: &mut Outlook, now: u64) -> Result<(Option<Room>, u32), Blind> {
        if !outlook.known {
            self.find_group(outlook)?;
        }
        let mut room = None;
        for level in (0..LEVELS).filter(|level| outlook.limits >> level & 1 != 0) {
            match self.room_at(&outlook.group, level)? {
                Level::Limited(found) => room = Room::tighter(room, Some(found)),
                Level::Unlimited => {}
                // The process was moved, and its old group is gone.
                Level::Absent => outlook.known = false,
            }
        }
        let Some(told) = self.stall_at(&outlook.group, outlook.own) else { return Ok((room, 0)) };
        let ms = now.saturating_sub(outlook.read_at);
        let stalled = core::mem::replace(&mut outlook.stalled, told.total);
        // The kernel's average is up to two seconds late; between two readings of ours one can do better.
        let between = if stalled != 0 && ms <= 10_000 { head_room::stall_between(stalled, told.total, ms) } else { 0 };
        Ok((room, told.recent.max(between)))
    }

    /// Finds the process's group, and which levels have a limit.
    fn find_group(&self, outlook: &mut Outlook) -> Result<(), Blind> {
        let mut found = None;
        let mut lines = Lines::<LINE>::new();
        let mut look = |line: &[u8]| {
            if let Some((version, path)) = cgroup::membership(line)
                // Where both have a line the first version has the memory: the second one's line is always there.
                && (version == Version::One || found != Some(Version::One))
            {
                found = outlook.group.set(version, path).then_some(version);
            }
            true
        };
        let read = self.kernel().read_file(c"/proc/self/cgroup", &mut |piece| lines.feed(piece, &mut look));
        lines.end(&mut look);
        match read {
            FileRead::Done if found.is_some() => {}
            FileRead::Later => return Err(Blind::Now),
            _ => return Err(Blind::ForGood),
        }
        outlook.limits = 0;
        outlook.own = LEVELS;
        for level in 0..LEVELS {
            match self.room_at(&outlook.group, level)? {
                Level::Limited(_) => outlook.limits |= 1 << level,
                Level::Unlimited => {}
                // In a container the path may be that of another name space: only the outermost level is here.
                Level::Absent => continue,
            }
            outlook.own = outlook.own.min(level);
        }
        outlook.known = outlook.limits != 0;
        if outlook.known { Ok(()) } else { Err(Blind::ForGood) }
    }

    /// How much room a level has.
    fn room_at(&self, group: &Group, level: usize) -> Result<Level, Blind> {
        let (limits, current): (&[&str], _) = match group.version() {
            Version::One => (&["memory.limit_in_bytes"], "memory.usage_in_bytes"),
            Version::Two => (&["memory.max", "memory.high"], "memory.current"),
        };
        let mut limit = None;
        for name in limits {
            if let Answer::Amount(amount) = self.ask_amount(group, level, name, None)? {
                limit = Some(amount.min(limit.unwrap_or(usize::MAX)));
            }
        }
        let Some(limit) = limit else { return Ok(Level::Absent) };
        if Room::below(limit, 0).is_none() {
            return Ok(Level::Unlimited);
        }
        let Answer::Amount(used) = self.ask_amount(group, level, current, None)? else { return Ok(Level::Absent) };
        Ok(match Room::below(limit, used) {
            Some(room) if room.is_little() => Level::Limited(self.without_cache(group, level, limit, used)),
            Some(room) => Level::Limited(room),
            None => Level::Unlimited,
        })
    }

    /// The same without what the kernel takes back first: a group that reads files is full of pages that nobody needs.
    fn without_cache(&self, group: &Group, level: usize, limit: usize, used: usize) -> Room {
        let name = match group.version() {
            Version::One => "total_inactive_file",
            Version::Two => "inactive_file",
        };
        let cache = match self.ask_amount(group, level, "memory.stat", Some(name)) {
            Ok(Answer::Amount(amount)) => amount,
            _ => 0,
        };
        Room { limit, left: limit.saturating_sub(used.saturating_sub(cache)) }
    }

    fn stall_at(&self, group: &Group, level: usize) -> Option<Stall> {
        let mut found = None;
        if group.version() == Version::Two {
            self.ask(group, level, "memory.pressure", &mut |line| {
                found = found.or_else(|| cgroup::stall(line));
                found.is_none()
            });
        }
        found
    }

    /// The amount that a file holds, or the one behind a name in it.
    fn ask_amount(&self, group: &Group, level: usize, file: &str, name: Option<&str>) -> Result<Answer, Blind> {
        let mut found = None;
        let read = self.ask(group, level, file, &mut |line| {
            found = found.or_else(|| match name {
                Some(name) => cgroup::amount_of(name.as_bytes(), line),
                None => cgroup::amount(line),
            });
            found.is_none()
        });
        match (read, found) {
            (FileRead::Done, Some(amount)) => Ok(Answer::Amount(amount)),
            (FileRead::Done | FileRead::Missing, _) => Ok(Answer::Nothing),
            (FileRead::Later, _) => Err(Blind::Now),
            (FileRead::Refused, _) => Err(Blind::ForGood),
        }
    }

    /// Reads a file of a level, line by line, while `each` wants more.
    fn ask(&self, group: &Group, level: usize, file: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
        let mut buffer = [0; FILE];
        let Some(path) = group.file(level, file, &mut buffer) else { return FileRead::Missing };
        let mut lines = Lines::<120>::new();
        let mut more = true;
        let read = self.kernel().read_file(path, &mut |piece| {
            more = lines.feed(piece, each);
            more
        });
        if more {
            lines.end(each);
        }
        read
    }
}

/// A level of the hierarchy.
enum Level {
    Limited(Room),
    Unlimited,
    /// Not there, or without a limit to read (the root of the second version).
    Absent,
}
