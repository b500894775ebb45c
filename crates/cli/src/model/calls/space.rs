//! What lies where in a traced address space, so that a call that returns memory is known to return *what*.

use super::{Answer, Change, Kind, Mechanism};
use crate::proc::smaps::Mapping;
use std::collections::BTreeMap;

/// Granule of the kernel.
const OS_PAGE: u64 = 4096;
/// glibc reserves twice the largest heap of a thread arena, to cut an aligned one out of it.
const ARENA: [u64; 2] = [64 << 20, 128 << 20];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    end: u64,
    mechanism: Mechanism,
    usable: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    /// By their start; they do not overlap.
    areas: BTreeMap<u64, Area>,
    /// The program break, once it is known.
    top: Option<u64>,
    /// What was unmapped by a call whose end is reported yet to come: the kernel has put something new there.
    owed: Vec<Owed>,
}

#[derive(Clone, Debug)]
struct Owed {
    start: u64,
    end: u64,
    mechanism: Mechanism,
    change: Change,
}

fn up(bytes: u64) -> u64 {
    bytes.saturating_add(OS_PAGE - 1) & !(OS_PAGE - 1)
}

fn has(word: u64, flag: i32) -> bool {
    word & flag as u64 != 0
}

impl Space {
    /// As a process has it now.
    pub(crate) fn of(mappings: &[Mapping]) -> Space {
        let mut space = Space::default();
        for mapping in mappings {
            let mechanism = match mapping.name.as_str() {
                "[heap]" => Mechanism::Break,
                name if name.starts_with("[stack") => Mechanism::Stack,
                _ if mapping.inode != 0 && mapping.private => Mechanism::File,
                _ if mapping.inode != 0 => Mechanism::SharedFile,
                _ if !mapping.private => Mechanism::Shared,
                _ => Mechanism::Other,
            };
            if mechanism == Mechanism::Break {
                space.top = Some(mapping.end);
            }
            let usable = mapping.readable || mapping.writable || mapping.executable;
            space.areas.insert(mapping.start, Area { end: mapping.end, mechanism, usable });
        }
        space
    }

    /// The program break, where it is known.
    pub(crate) fn top(&self) -> Option<u64> {
        self.top
    }

    /// Enters what a call did. `is_block` says that malloc made the call for one block.
    pub(crate) fn apply(
        &mut self,
        kind: Kind,
        arguments: &[u64; 6],
        answer: Answer,
        is_block: bool,
    ) -> (Mechanism, Change) {
        let Answer::Value(value) = answer else { return (self.met(kind, arguments), Change::default()) };
        let [first, length, third, ..] = *arguments;
        match kind {
            Kind::Brk => (Mechanism::Break, self.brk(value)),
            Kind::Mmap => self.mmap(arguments, value, is_block),
            Kind::Munmap => self.munmap(first, first.saturating_add(up(length))),
            Kind::Mremap => self.mremap(arguments, value),
            Kind::Madvise => {
                let mechanism = self.at(first, first.saturating_add(up(length)));
                let returned = if gives_back(third as i32) { up(length) } else { 0 };
                (mechanism, Change { returned, ..Change::default() })
            }
            Kind::Mprotect => self.mprotect(first, first.saturating_add(up(length)), third != 0),
            Kind::ProcessMadvise => {
                // The kernel answers with the bytes that it advised; where they lie stands in the program's memory.
                let returned = if gives_back(arguments[3] as i32) { value } else { 0 };
                (Mechanism::Private, Change { returned, ..Change::default() })
            }
        }
    }

    /// What a refused call was about.
    fn met(&self, kind: Kind, arguments: &[u64; 6]) -> Mechanism {
        match kind {
            Kind::Brk => Mechanism::Break,
            Kind::Mmap => made_by(arguments),
            Kind::ProcessMadvise => Mechanism::Private,
            _ => self.at(arguments[0], arguments[0].saturating_add(up(arguments[1]).max(1))),
        }
    }

    fn brk(&mut self, now: u64) -> Change {
        let before = self.top.replace(now);
        let Some(before) = before else { return Change::default() };
        if up(now) > up(before) {
            self.areas.insert(up(before), Area { end: up(now), mechanism: Mechanism::Break, usable: true });
            self.join(up(before));
        } else {
            self.remove(up(now), up(before));
        }
        Change { usable: now as i64 - before as i64, ..Change::default() }
    }

    fn munmap(&mut self, start: u64, end: u64) -> (Mechanism, Change) {
        let is_part = |owed: &mut Owed| start <= owed.start && owed.end <= end;
        let mut parts: Vec<Owed> = self.owed.extract_if(.., is_part).collect();
        parts.sort_by_key(|owed| owed.start);
        let (mut mechanism, mut change, mut from) = (Mechanism::Other, Change::default(), start);
        for owed in parts {
            if from < owed.start {
                change = sum(change, negative(self.remove(from, owed.start).1));
            }
            (mechanism, change, from) = (owed.mechanism, sum(change, owed.change), from.max(owed.end));
        }
        if from < end {
            let (rest, removed) = self.remove(from, end);
            change = sum(change, negative(removed));
            mechanism = if mechanism == Mechanism::Other { rest } else { mechanism };
        }
        (mechanism, change)
    }

    fn mmap(&mut self, arguments: &[u64; 6], start: u64, is_block: bool) -> (Mechanism, Change) {
        let [_, length, protection, flags, ..] = *arguments;
        let end = start.saturating_add(up(length));
        let mut mechanism = made_by(arguments);
        let (mut former, removed) = self.remove(start, end);
        let mut went = negative(removed);
        if !has(flags, libc::MAP_FIXED) && went != Change::default() {
            // Of itself the kernel chooses a free place: it was free, and only the report of that is late.
            self.owed.push(Owed { start, end, mechanism: former, change: went });
            (former, went) = (Mechanism::Other, Change::default());
        }
        let is_anonymous = has(flags, libc::MAP_ANONYMOUS);
        match former {
            // The part of a library that is in no file; a piece of a reserved range that is put to use.
            Mechanism::File | Mechanism::Arena | Mechanism::Reserved
                if is_anonymous && mechanism != Mechanism::Stack =>
            {
                mechanism = former;
            }
            _ if is_block && mechanism == Mechanism::Private => mechanism = Mechanism::Block,
            _ => {}
        }
        let usable = protection != 0;
        self.areas.insert(start, Area { end, mechanism, usable });
        (mechanism, sum(amount(usable, end - start), went))
    }

    fn mremap(&mut self, arguments: &[u64; 6], start: u64) -> (Mechanism, Change) {
        /// MREMAP_DONTUNMAP: the old range stays, empty.
        const DONT_UNMAP: u64 = 4;
        let [old, old_length, new_length, flags, ..] = *arguments;
        let old_end = old.saturating_add(up(old_length));
        let model = self.areas.range(..=old).next_back().map(|(_, area)| *area).filter(|area| area.end > old);
        let mechanism = self.at(old, old_end.max(old + 1));
        let usable = model.is_none_or(|area| area.usable);
        let stays = flags & DONT_UNMAP != 0 || old_length == 0;
        let removed = if stays { Change::default() } else { negative(self.remove(old, old_end).1) };
        let end = start.saturating_add(up(new_length));
        let covered = negative(self.remove(start, end).1);
        self.areas.insert(start, Area { end, mechanism, usable });
        (mechanism, sum(sum(removed, covered), amount(usable, end - start)))
    }

    fn mprotect(&mut self, start: u64, end: u64, usable: bool) -> (Mechanism, Change) {
        let mechanism = self.at(start, end);
        self.split(start);
        self.split(end);
        let mut changed = 0;
        let mut starts = Vec::new();
        for (&at, area) in self.areas.range_mut(start..end) {
            if area.usable != usable {
                changed += area.end - at;
                area.usable = usable;
            }
            starts.push(at);
        }
        starts.push(end);
        for at in starts {
            self.join(at);
        }
        let sign = if usable { 1 } else { -1 };
        (mechanism, Change { usable: sign * changed as i64, reserved: -sign * changed as i64, returned: 0 })
    }

    /// What most of a range is for.
    fn at(&self, start: u64, end: u64) -> Mechanism {
        let before = self.areas.range(..start).next_back();
        let mut most = (0, Mechanism::Other);
        for (&from, area) in before.into_iter().chain(self.areas.range(start..end)) {
            let bytes = area.end.min(end).saturating_sub(from.max(start));
            if bytes > most.0 {
                most = (bytes, area.mechanism);
            }
        }
        most.1
    }

    /// Takes a range out; returns what most of it was for, and its bytes.
    fn remove(&mut self, start: u64, end: u64) -> (Mechanism, Change) {
        let mechanism = self.at(start, end);
        self.split(start);
        self.split(end);
        let inside: Vec<u64> = self.areas.range(start..end).map(|(&at, _)| at).collect();
        let mut removed = Change::default();
        for at in inside {
            if let Some(area) = self.areas.remove(&at) {
                removed = sum(removed, amount(area.usable, area.end - at));
            }
        }
        (mechanism, removed)
    }

    /// Makes sure that no area reaches over an address.
    fn split(&mut self, at: u64) {
        let Some((_, area)) = self.areas.range_mut(..at).next_back() else { return };
        if area.end > at {
            let rest = *area;
            area.end = at;
            self.areas.insert(at, rest);
        }
    }

    /// Joins the area that starts at an address with an equal one in front of it.
    fn join(&mut self, at: u64) {
        let Some(area) = self.areas.get(&at).copied() else { return };
        let Some((_, before)) = self.areas.range_mut(..at).next_back() else { return };
        if (before.end, before.mechanism, before.usable) == (at, area.mechanism, area.usable) {
            before.end = area.end;
            self.areas.remove(&at);
        }
    }
}

fn amount(usable: bool, bytes: u64) -> Change {
    let bytes = bytes as i64;
    if usable { Change { usable: bytes, ..Change::default() } } else { Change { reserved: bytes, ..Change::default() } }
}

fn negative(change: Change) -> Change {
    Change { usable: -change.usable, reserved: -change.reserved, returned: 0 }
}

fn sum(one: Change, other: Change) -> Change {
    Change {
        usable: one.usable + other.usable,
        reserved: one.reserved + other.reserved,
        returned: one.returned + other.returned,
    }
}

/// What a call of `mmap` asks for, by its arguments alone.
fn made_by(arguments: &[u64; 6]) -> Mechanism {
    let [_, length, protection, flags, ..] = *arguments;
    let is_private = has(flags, libc::MAP_PRIVATE);
    match (has(flags, libc::MAP_ANONYMOUS), is_private) {
        _ if has(flags, libc::MAP_STACK) => Mechanism::Stack,
        (true, true) if protection == 0 && has(flags, libc::MAP_NORESERVE) && ARENA.contains(&length) => {
            Mechanism::Arena
        }
        (true, true) if protection == 0 => Mechanism::Reserved,
        (true, true) => Mechanism::Private,
        (true, false) => Mechanism::Shared,
        (false, true) => Mechanism::File,
        (false, false) => Mechanism::SharedFile,
    }
}

/// Whether an advice gives contents back.
fn gives_back(advice: i32) -> bool {
    const PAGEOUT: i32 = 21;
    const DONTNEED_LOCKED: i32 = 24;
    matches!(advice, libc::MADV_DONTNEED | libc::MADV_FREE | libc::MADV_REMOVE | PAGEOUT | DONTNEED_LOCKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ANONYMOUS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    const NO_FILE: u64 = u64::MAX;

    fn mmap(space: &mut Space, start: u64, length: u64, protection: u64, flags: u64) -> (Mechanism, Change) {
        space.apply(Kind::Mmap, &[0, length, protection, flags, NO_FILE, 0], Answer::Value(start), false)
    }

    fn plain(space: &mut Space, kind: Kind, arguments: [u64; 3]) -> (Mechanism, Change) {
        let [a, b, c] = arguments;
        space.apply(kind, &[a, b, c, 0, 0, 0], Answer::Value(0), false)
    }

    fn usable(bytes: i64) -> Change {
        Change { usable: bytes, ..Change::default() }
    }

    #[test]
    fn the_break_moves_both_ways() {
        let mut space = Space::default();
        let mut to = |at| space.apply(Kind::Brk, &[at; 6], Answer::Value(at), false).1;
        assert_eq!(to(0x10_0000), Change::default(), "a first answer says where it is");
        assert_eq!(to(0x12_1000), usable(0x2_1000));
        assert_eq!(to(0x11_0000), usable(-0x1_1000));
        assert_eq!(space.at(0x10_0000, 0x11_0000), Mechanism::Break);
        assert_eq!(space.at(0x11_0000, 0x12_0000), Mechanism::Other);
    }

    #[test]
    fn what_is_unmapped_is_known_by_how_it_came() {
        let mut space = Space::default();
        assert_eq!(mmap(&mut space, 8 * MIB, MIB - 5, 3, ANONYMOUS), (Mechanism::Private, usable(MIB as i64)));
        let stack = ANONYMOUS | libc::MAP_STACK as u64;
        assert_eq!(mmap(&mut space, 16 * MIB, 8 * MIB, 0, stack).1.reserved, 8 << 20);
        let opened = plain(&mut space, Kind::Mprotect, [16 * MIB + 4096, 8 * MIB - 4096, 3]);
        assert_eq!(opened.0, Mechanism::Stack);
        assert_eq!((opened.1.usable, opened.1.reserved), ((8 << 20) - 4096, 4096 - (8 << 20)));
        assert_eq!(plain(&mut space, Kind::Munmap, [16 * MIB, 8 * MIB, 0]).1.usable, 4096 - (8 << 20));
        assert_eq!(plain(&mut space, Kind::Munmap, [8 * MIB, MIB / 2, 0]), (Mechanism::Private, usable(-(1 << 19))));
        assert_eq!(plain(&mut space, Kind::Munmap, [8 * MIB, MIB, 0]).1, usable(-(1 << 19)), "half was gone");
        assert_eq!(plain(&mut space, Kind::Munmap, [8 * MIB, MIB, 0]), (Mechanism::Other, usable(0)));
        assert!(space.areas.is_empty());
    }

    #[test]
    fn an_unmapping_may_be_reported_after_what_took_its_place() {
        let mut space = Space::of(&[]);
        assert_eq!(mmap(&mut space, 8 * MIB, MIB, 3, ANONYMOUS).1, usable(MIB as i64));
        assert_eq!(mmap(&mut space, 8 * MIB, MIB, 3, ANONYMOUS).1, usable(MIB as i64), "it was free");
        let gone = (Mechanism::Private, usable(-(MIB as i64)));
        assert_eq!(plain(&mut space, Kind::Munmap, [8 * MIB, MIB, 0]), gone, "the late report");
        assert_eq!(plain(&mut space, Kind::Munmap, [8 * MIB, MIB, 0]), gone);
        assert!(space.areas.is_empty() && space.owed.is_empty());
    }

    #[test]
    fn a_thread_arena_is_reserved_cut_and_opened() {
        let mut space = Space::default();
        let flags = ANONYMOUS | libc::MAP_NORESERVE as u64;
        assert_eq!(mmap(&mut space, 100 * MIB, 128 * MIB, 0, flags).0, Mechanism::Arena);
        assert_eq!(plain(&mut space, Kind::Munmap, [100 * MIB, 28 * MIB, 0]).1.reserved, -(28 << 20));
        for piece in 0..100 {
            let opened = plain(&mut space, Kind::Mprotect, [128 * MIB + piece * 4096, 4096, 3]);
            assert_eq!(opened, (Mechanism::Arena, Change { usable: 4096, reserved: -4096, returned: 0 }));
        }
        assert_eq!(space.areas.len(), 2, "equal neighbours are one");
        let emptied = plain(&mut space, Kind::Madvise, [128 * MIB, 8192, libc::MADV_DONTNEED as u64]);
        assert_eq!(emptied, (Mechanism::Arena, Change { returned: 8192, ..Change::default() }));
        assert_eq!(
            plain(&mut space, Kind::Madvise, [128 * MIB, 8192, libc::MADV_HUGEPAGE as u64]).1,
            Change::default()
        );
    }

    #[test]
    fn a_library_is_one_thing_with_its_unfiled_part() {
        let mut space = Space::default();
        let (start, private) = (64 * MIB, libc::MAP_PRIVATE as u64);
        let mut map =
            |at, length, flags| space.apply(Kind::Mmap, &[at, length, 1, flags, 3, 0], Answer::Value(at), false);
        assert_eq!(map(start, MIB, private), (Mechanism::File, usable(1 << 20)));
        assert_eq!(map(start + 4096, 8192, private | libc::MAP_FIXED as u64).1, usable(0), "in place of a part");
        assert_eq!(map(start + MIB - 4096, 4096, ANONYMOUS | libc::MAP_FIXED as u64), (Mechanism::File, usable(0)));
    }

    #[test]
    fn blocks_grow_by_mremap_and_keep_their_kind() {
        let mut space = Space::default();
        let arguments = [0, MIB, 3, ANONYMOUS, NO_FILE, 0];
        assert_eq!(space.apply(Kind::Mmap, &arguments, Answer::Value(8 * MIB), true).0, Mechanism::Block);
        let moved = space.apply(Kind::Mremap, &[8 * MIB, MIB, 3 * MIB, 1, 0, 0], Answer::Value(32 * MIB), false);
        assert_eq!(moved, (Mechanism::Block, usable(2 << 20)));
        assert_eq!(space.at(8 * MIB, 9 * MIB), Mechanism::Other);
        assert_eq!(plain(&mut space, Kind::Munmap, [32 * MIB, 3 * MIB, 0]), (Mechanism::Block, usable(-(3 << 20))));
        let refused = space.apply(Kind::Mmap, &arguments, Answer::Refused(12), true);
        assert_eq!(refused, (Mechanism::Private, Change::default()));
    }
}
