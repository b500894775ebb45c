//! A lock between processes that notices when its owner died.
//!
//! The lock is a word: 0, or which process has it: its number and the low half of its start time (a number alone may be
//! another process by now). Who waits looks now and then whether that process still lives; if not, the lock is taken over,
//! and the `busy` word tells whether the dead one was in the middle of a change. Threads of one process exclude each other
//! by the same word; a thread that panics releases it.
//!
//! Processes must see each other's numbers: all in one PID namespace. Without `std` there is one process.

use super::header::{AT_BUSY, AT_LOCK};
use super::words::Words;
use crate::error::Error;
use crate::spin::pause;
use core::sync::atomic::{AtomicU64, Ordering};

/// The lock, held.
pub(super) struct Guard<'m> {
    word: &'m AtomicU64,
    busy: &'m AtomicU64,
    /// The owner before died in the middle of a change.
    pub(super) was_cut_off: bool,
}

/// Tries before the owner's life is looked at, and between two looks.
const PATIENCE: u32 = 1 << 12;

/// Waits for the lock.
pub(super) fn lock(words: Words<'_>) -> Result<Guard<'_>, Error> {
    let (word, busy) = (words.at(AT_LOCK)?, words.at(AT_BUSY)?);
    let me = owner::this_process();
    let mut tries = 0u32;
    loop {
        let owner = word.load(Ordering::Relaxed);
        let is_free = owner == 0 || tries.is_multiple_of(PATIENCE) && tries > 0 && owner::is_gone(owner);
        if is_free && word.compare_exchange(owner, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Ok(Guard { word, busy, was_cut_off: busy.load(Ordering::Relaxed) != 0 });
        }
        tries = tries.wrapping_add(1);
        pause(tries);
    }
}

impl Guard<'_> {
    /// A change begins that is wrong until it is complete.
    pub(super) fn begin(&self) {
        self.busy.store(1, Ordering::Release);
    }

    /// It is complete, or repaired.
    pub(super) fn end(&mut self) {
        self.busy.store(0, Ordering::Release);
        self.was_cut_off = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.word.store(0, Ordering::Release);
    }
}

#[cfg(feature = "std")]
mod owner {
    use core::sync::atomic::{AtomicU64, Ordering};
    use std::format;

    /// This process as an owner, never 0.
    pub(super) fn this_process() -> u64 {
        static ME: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id();
        let me = ME.load(Ordering::Relaxed);
        // A forked child finds its parent's number here and asks again.
        if me as u32 == pid {
            return me;
        }
        let me = start_time(pid).unwrap_or(0) << 32 | u64::from(pid);
        ME.store(me, Ordering::Relaxed);
        me
    }

    /// Whether an owner is a process that is no more. In doubt it lives.
    pub(super) fn is_gone(owner: u64) -> bool {
        let pid = owner as u32;
        let Ok(number) = i32::try_from(pid) else { return true };
        // SAFETY: [libc-call] signal 0 asks whether the process exists and sends nothing.
        let is_unknown = unsafe { libc::kill(number, 0) } != 0 && crate::calls::errno() == libc::ESRCH;
        is_unknown || start_time(pid).is_some_and(|start| owner >> 32 != 0 && start as u32 != (owner >> 32) as u32)
    }

    /// When a process started, in clock ticks since the boot; none for one that ended and was not waited for yet
    /// (which `kill` still finds) or where there is no `/proc`.
    fn start_time(pid: u32) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything; the state follows it.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let threads: u64 = fields.nth(16)?.parse().ok()?;
        match state {
            // A zombie does nothing any more: its start time is no living process's. But a process whose first thread alone
            // has ended looks the same, and its other threads go on.
            "Z" if threads <= 1 => Some(u64::MAX),
            "X" => Some(u64::MAX),
            _ => fields.nth(1)?.parse().ok(),
        }
    }
}

#[cfg(not(feature = "std"))]
mod owner {
    pub(super) fn this_process() -> u64 {
        1
    }

    pub(super) fn is_gone(_owner: u64) -> bool {
        false
    }
}
