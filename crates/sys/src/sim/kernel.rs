//! The contract, as the simulated kernel keeps it.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::brk::{Outcome, Owner};
use super::host::HOST_PAGE;
use super::{ABORTED, Call, Config, Hints, Purging, Sim, State};
use crate::linux::Linux;
use crate::{FileRead, Kernel, Move, Purged, Purpose, Range};

/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// Numbers for threads that were given none; far from those that tests use.
static NEXT_THREAD: AtomicU32 = AtomicU32::new(1_000_000);

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

impl Sim {
    /// Which thread the calling thread of the test is from now on, on all simulated kernels.
    pub fn set_thread(id: u32) {
        assert!(id > 0 && id < 1 << 30, "thread id {id}: 1 to 2^30 - 1 are valid");
        THREAD.set(id);
    }

    /// Counts the call and refuses it by plan.
    fn enter(&self, call: Call) -> Option<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.faults.strikes(call) {
            state.faults.note_refusal(call);
            return None;
        }
        Some(state)
    }

    fn range(&self, start: NonNull<u8>, len: usize, call: &str) -> (usize, usize) {
        let (start, page) = (start.as_ptr() as usize, self.config().page_size);
        assert!(
            len > 0 && len.is_multiple_of(page) && start.is_multiple_of(page),
            "{call} of {start:#x} + {len:#x}: not whole pages of {page}"
        );
        (start, start + len)
    }
}

impl State {
    /// Room for `len` bytes more, and for `areas` mappings more?
    fn has_room(&self, len: usize, areas: usize) -> bool {
        self.areas.bytes().saturating_add(len) <= self.byte_limit && self.areas.count() + areas <= self.area_limit
    }

    fn find_place(&mut self, config: &Config, hint: usize, len: usize) -> Option<usize> {
        let follow = match config.hints {
            Hints::Followed => true,
            Hints::Sometimes => self.choices.below(2) == 0,
            Hints::Ignored => false,
        };
        let free = hint.is_multiple_of(config.page_size)
            && hint.checked_add(len).is_some_and(|end| self.areas.is_free(hint, end));
        if hint != 0 && follow && free {
            return Some(hint);
        }
        self.areas.place(len, config.page_size, config.placement, &mut self.choices)
    }

    fn map(&mut self, config: &Config, hint: usize, len: usize, like: Option<usize>) -> Option<usize> {
        // As in Linux the count is looked at before merging is.
        if !self.has_room(len, 1) {
            return None;
        }
        let start = self.find_place(config, hint, len)?;
        self.areas.insert(start, start + len, like);
        self.memory.open(start, start + len);
        Some(start)
    }

    fn remap(&mut self, config: &Config, start: usize, old: usize, new: usize, may: Move) -> Option<usize> {
        let (old_end, new_end) = (start + old, start + new);
        if !self.areas.is_single(start, old_end) {
            return None;
        }
        if new <= old {
            if new < old {
                if !self.has_room(0, self.areas.splits(new_end, old_end).saturating_sub(1)) {
                    return None;
                }
                self.areas.remove(new_end, old_end);
                self.memory.close(new_end, old_end);
            }
            return Some(start);
        }
        if self.areas.is_free(old_end, new_end) && self.has_room(new - old, 0) {
            self.areas.insert(old_end, new_end, Some(start));
            self.memory.open(old_end, new_end);
            return Some(start);
        }
        if may == Move::Forbidden || !self.has_room(0, self.areas.splits(start, old_end)) {
            return None;
        }
        let target = self.map(config, 0, new, Some(start))?;
        self.memory.copy(start, target, old);
        self.areas.remove(start, old_end);
        self.memory.close(start, old_end);
        Some(target)
    }

    /// Opens or closes what a move of the break changes; a foreign user writes on its part.
    pub(super) fn follow_break(&mut self, old: usize, new: usize, owner: Owner) {
        let (before, after) = (self.brk.accessible(old).1, self.brk.accessible(new).1);
        let (start, _) = self.brk.range();
        let floor = self.brk.accessible(start).0;
        if new > old {
            // The page of an odd start is not open before the first growth.
            let from = if old == start { floor } else { before };
            self.memory.open(from, after);
            if owner == Owner::Foreign {
                // SAFETY: [simulated-space] the bytes old..new were just opened
                unsafe { (old as *mut u8).write_bytes(super::control::FOREIGN, new - old) };
            }
        } else if new < old {
            let to = if new == start { floor } else { after };
            self.memory.close(to, before);
        }
    }

    /// The other user of the break takes some, if it is its turn.
    fn let_foreign_move(&mut self) {
        let Some(foreign) = &self.foreign else { return };
        let (every, bytes) = (foreign.every, foreign.bytes);
        if self.faults.calls(Call::MoveBreak).is_multiple_of(every)
            && let Outcome::Moved { old, new } = self.brk.shift(bytes as isize, Owner::Foreign)
        {
            self.follow_break(old, new, Owner::Foreign);
        }
    }

    fn move_break(&mut self, delta: isize) -> Option<usize> {
        if delta > 0 {
            // Before a shrink too it could happen, and nobody who uses sbrk could help it.
            self.let_foreign_move();
        }
        if !self.brk.libc_knows() {
            return None;
        }
        match self.brk.shift(delta, Owner::Caller) {
            Outcome::Refused => None,
            Outcome::Moved { old, new } => {
                self.follow_break(old, new, Owner::Caller);
                Some(old)
            }
        }
    }
}

impl Kernel for Sim {
    fn page_size(&self) -> usize {
        self.config().page_size
    }

    fn map(&self, hint: usize, len: usize, _purpose: Purpose) -> Option<NonNull<u8>> {
        let page = self.config().page_size;
        assert!(len > 0 && len.is_multiple_of(page), "map of {len:#x} bytes: not whole pages of {page}");
        let mut state = self.enter(Call::Map)?;
        let start = state.map(self.config(), hint, len, None);
        if start.is_none() {
            state.faults.note_refusal(Call::Map);
        }
        NonNull::new(start? as *mut u8)
    }

    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool {
        let (start, end) = self.range(start, len, "unmap");
        let Some(mut state) = self.enter(Call::Unmap) else { return false };
        assert!(state.areas.covers(start, end), "unmap of {start:#x}..{end:#x}: not all of it is mapped");
        // Cutting out the middle of one makes two of it; cutting off an end makes none more.
        let single = state.areas.is_single(start, end);
        let more = if single { state.areas.splits(start, end).saturating_sub(1) } else { 0 };
        if more > 0 && !state.has_room(0, more) {
            state.faults.note_refusal(Call::Unmap);
            return false;
        }
        state.areas.remove(start, end);
        state.memory.close(start, end);
        true
    }

    unsafe fn remap(&self, start: NonNull<u8>, old: usize, new: usize, may: Move) -> Option<NonNull<u8>> {
        let (first, end) = self.range(start, old, "remap");
        self.range(start, new, "remap");
        let mut state = self.enter(Call::Remap)?;
        assert!(state.areas.covers(first, end), "remap of {first:#x}..{end:#x}: not all of it is mapped");
        let result = state.remap(self.config(), first, old, new, may);
        if result.is_none() {
            state.faults.note_refusal(Call::Remap);
        }
        NonNull::new(result? as *mut u8)
    }

    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool {
        let (start, end) = self.range(start, len, "purge");
        let Some(mut state) = self.enter(Call::Purge) else { return false };
        let known = state.areas.covers(start, end) || state.brk.covers(start, end);
        assert!(known, "purge of {start:#x}..{end:#x}: not all of it is mapped");
        match self.config().purging {
            Purging::Honest => {
                let foreign = state.brk.foreign();
                let hit = foreign.iter().find(|range| range.0 < end && start < range.1);
                assert!(hit.is_none(), "purge of {start:#x}..{end:#x} hits the foreign part {hit:x?} of the break");
                state.memory.zero(start, end);
                for page in start / HUGE_PAGE..end.div_ceil(HUGE_PAGE) {
                    let part = end.min((page + 1) * HUGE_PAGE) - start.max(page * HUGE_PAGE);
                    if part < HUGE_PAGE && !state.split.contains(&page) {
                        state.stuck += part;
                    }
                }
                state.purged += (end - start) as u64;
                true
            }
            Purging::Lies => true,
            Purging::Refused => {
                state.faults.note_refusal(Call::Purge);
                false
            }
        }
    }

    fn advise_huge(&self, start: NonNull<u8>, len: usize, wanted: bool) {
        let (start, end) = self.range(start, len, "advise_huge");
        let mut state = self.state();
        let known = state.areas.covers(start, end) || state.brk.covers(start, end);
        assert!(known, "advice for {start:#x}..{end:#x}: not all of it is mapped");
        let page = self.config().page_size;
        for at in (start..end).step_by(page) {
            let State { huge, never_huge, .. } = &mut *state;
            let (one, other) = if wanted { (huge, never_huge) } else { (never_huge, huge) };
            one.insert(at);
            other.remove(&at);
        }
    }

    fn split_huge(&self, ranges: &[Range]) {
        let mut state = self.state();
        for &Range { start, bytes } in ranges {
            let known = state.areas.covers(start, start + bytes) || state.brk.covers(start, start + bytes);
            assert!(known, "advice for {start:#x} and {bytes} bytes: not all of it is mapped");
            state.split.insert(start / HUGE_PAGE);
        }
    }

    /// Whether a range keeps its contents is decided by the seed.
    unsafe fn purge_lazily(&self, ranges: &[Range]) -> Purged {
        let mut purged = Purged::default();
        for &range in ranges {
            let stays = self.state().choices.below(2) == 0;
            // SAFETY: [caller-owns-range] the caller's promise
            if !stays && unsafe { self.purge_ranges(&[range]) }.ranges == 0 {
                break;
            }
            purged.ranges += 1;
            purged.calls += 1;
        }
        purged
    }

    fn purge_is_honest(&self) -> bool {
        self.config().purging == Purging::Honest
    }

    fn resident(&self, start: usize, pages: &mut [u8]) -> bool {
        let page = self.config().page_size;
        let end = start + pages.len() * page;
        let Some(state) = self.enter(Call::Resident) else { return false };
        if !(state.areas.covers(start, end) || state.brk.covers(start, end)) {
            return false;
        }
        let host = state.memory.residency(start, end);
        for (page, parts) in pages.iter_mut().zip(host.chunks(page / HOST_PAGE)) {
            *page = parts.iter().any(|part| part & 1 != 0) as u8;
        }
        true
    }

    fn name(&self, start: NonNull<u8>, len: usize, name: &'static CStr) {
        let (start, end) = self.range(start, len, "name");
        let mut state = self.state();
        if state.areas.covers(start, end) {
            if state.has_room(0, state.areas.splits(start, end)) {
                state.areas.rename(start, end, name);
            }
        } else {
            assert!(state.brk.covers(start, end), "name for {start:#x}..{end:#x}: not all of it is mapped");
        }
    }

    fn program_break(&self) -> Option<usize> {
        let mut state = self.enter(Call::ProgramBreak)?;
        let now = state.brk.now();
        if now.is_none() {
            state.faults.note_refusal(Call::ProgramBreak);
        }
        now
    }

    unsafe fn move_break(&self, _from: usize, delta: isize) -> Option<usize> {
        let mut state = self.state();
        if delta < 0 && state.faults.strikes(Call::ShrinkBreak) {
            state.faults.note_refusal(Call::ShrinkBreak);
            return None;
        }
        if state.faults.strikes(Call::MoveBreak) {
            if delta > 0 && state.choices.below(2) == 0 {
                // Partly done: the memory is there, and somebody else moved on before we could look.
                state.move_break(delta);
                if let Outcome::Moved { old, new } = state.brk.shift(4096, Owner::Foreign) {
                    state.follow_break(old, new, Owner::Foreign);
                }
            }
            state.faults.note_refusal(Call::MoveBreak);
            return None;
        }
        let old = state.move_break(delta);
        if old.is_none() {
            state.faults.note_refusal(Call::MoveBreak);
        }
        old
    }

    fn wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        Linux.wait(word, expected, timeout_ms.min(20));
        if word.load(Ordering::Relaxed) == expected {
            // Nobody came: here time passes by hand, so the limit is what has passed.
            self.advance_ms(u64::from(timeout_ms));
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) {
        Linux.wake(word, count);
    }

    /// A thread of the standard library; it has a stack of its own and leaves `memory` alone.
    unsafe fn spawn(
        &self,
        memory: NonNull<u8>,
        len: usize,
        _thread_bytes: usize,
        entry: extern "C" fn(),
        alive: &AtomicU32,
    ) -> bool {
        let (start, end) = self.range(memory, len, "spawn");
        let Some(state) = self.enter(Call::Spawn) else { return false };
        assert!(state.areas.covers(start, end), "spawn on {start:#x}..{end:#x}: not all of it is mapped");
        drop(state);
        alive.store(1, Ordering::Release);
        let word = alive.as_ptr() as usize;
        let sim = self.clone();
        sim.0.spawned.fetch_add(1, Ordering::AcqRel);
        std::thread::spawn(move || {
            entry();
            // SAFETY: [helper-memory] the caller keeps the word until it reads 0
            let alive = unsafe { AtomicU32::from_ptr(word as *mut u32) };
            alive.store(0, Ordering::Release);
            Linux.wake(alive, u32::MAX);
            // Last: whoever waits for this may drop the word.
            sim.0.spawned.fetch_sub(1, Ordering::AcqRel);
        });
        true
    }

    fn thread_id(&self) -> u32 {
        match THREAD.get() {
            0 => {
                let id = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
                THREAD.set(id);
                id
            }
            id => id,
        }
    }

    fn process_id(&self) -> u32 {
        self.state().process
    }

    fn thread_lives(&self, thread: u32) -> bool {
        !self.state().dead.contains(&thread)
    }

    fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    fn random(&self) -> u64 {
        self.state().keys.next()
    }

    /// What `set_file` put there, in pieces of any length.
    fn read_file(&self, path: &CStr, take: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
        let mut state = self.state();
        let Some(mut contents) = state.files.get(path).cloned() else {
            return if state.faults.strikes(Call::ReadFile) { FileRead::Refused } else { FileRead::Missing };
        };
        let fails = state.faults.strikes(Call::ReadFile);
        if fails {
            state.faults.note_refusal(Call::ReadFile);
            let part = state.choices.below(contents.len() as u64 + 1);
            contents.truncate(part as usize);
        }
        let mut rest = &contents[..];
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let len = 1 + state.choices.below(rest.len().min(100) as u64) as usize;
            pieces.push(&rest[..len]);
            rest = &rest[len..];
        }
        // What takes them may call this kernel.
        drop(state);
        let enough = !pieces.into_iter().all(take);
        if fails && !enough { FileRead::Refused } else { FileRead::Done }
    }

    fn is_shared(&self, _page: NonNull<u8>) -> bool {
        self.state().shared
    }

    fn write_error(&self, text: &[u8]) {
        self.state().errors.extend_from_slice(text);
    }

    fn abort(&self) -> ! {
        let said = String::from_utf8_lossy(&self.state().errors).into_owned();
        panic!("{ABORTED}{said}")
    }
}
