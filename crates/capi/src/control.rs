//! `brkmap_ctl`: every figure, option and action by its name. One table: the calls look names up in it, and the name
//! `names` lists it.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use brkmap_core::classes::CLASSES;
use brkmap_core::config::{Background, Mechanisms};
use brkmap_core::{ClassRow, HEAP_BATCH, HeapRow};
use brkmap_sys::{Calls, SystemCall};
use brkmap_wire::Counter;

use crate::errno::{EINVAL, ENOENT, EPERM};
use crate::platform::ENGINE;
use crate::statistics::{FIGURES, figure};

/// What a name stands for, and how it is read and set. In the names `<i>` is a number from 0, `<figure>`, `<call>` and
/// `<counter>` are names of their own, which the list spells out.
enum Entry {
    /// A figure of `brkmap_stats`.
    Figure,
    /// Of a size class.
    Class(fn(&ClassRow) -> u64),
    /// Of a heap.
    Heap(fn(&HeapRow) -> u64),
    /// Of a system call.
    Call(fn(Calls) -> u64),
    /// A counter of the engine.
    Counter,
    /// A number.
    Number(fn() -> u64),
    /// A number that can be set. `false`: it cannot have this value.
    Option(fn() -> u64, fn(u64) -> bool),
    /// On or off.
    Switch(fn() -> bool),
    /// A word.
    Word(fn() -> &'static CStr),
    /// A word that can be set. `false`: it is none of the words.
    Choice(fn() -> &'static CStr, fn(&[u8]) -> bool),
    /// Gives back what can go; read: whether something went, set: bytes at the top of the break that stay.
    Trim,
    /// The list of all names.
    Names,
}

static TABLE: &[(&str, Entry)] = &[
    ("version", Entry::Word(version)),
    ("names", Entry::Names),
    ("epoch", Entry::Option(epoch, next_epoch)),
    ("trim", Entry::Trim),
    (
        "opt.mmap_threshold",
        Entry::Option(|| ENGINE.mmap_threshold() as u64, |n| set(n, |n| ENGINE.set_mmap_threshold(n))),
    ),
    (
        "opt.trim_threshold",
        Entry::Option(|| ENGINE.trim_threshold() as u64, |n| set(n, |n| ENGINE.set_trim_threshold(n))),
    ),
    ("opt.top_pad", Entry::Option(|| ENGINE.top_pad() as u64, |n| set(n, |n| ENGINE.set_top_pad(n)))),
    ("opt.mmap_max", Entry::Option(|| ENGINE.mmap_max() as u64, |n| set(n, |n| ENGINE.set_mmap_max(n)))),
    ("opt.arena_max", Entry::Option(|| bound(ENGINE.arena_max()), |n| n != 0 && set(n, |n| ENGINE.set_arena_max(n)))),
    ("opt.limit", Entry::Option(|| bound(ENGINE.limit()), |n| set(n, |n| ENGINE.set_limit(n)))),
    ("opt.perturb", Entry::Option(|| ENGINE.perturb_byte().into(), set_perturb)),
    ("opt.purge_delay_ms", Entry::Option(|| bound(ENGINE.purge_delay()), set_purge_delay)),
    ("opt.background", Entry::Choice(background, set_background)),
    ("opt.use", Entry::Word(mechanisms)),
    ("stats.<figure>", Entry::Figure),
    ("stats.is_estimated", Entry::Switch(|| ENGINE.figures().is_estimated)),
    ("stats.classes", Entry::Number(|| CLASSES as u64)),
    ("stats.class.<i>.size", Entry::Class(|row| row.size)),
    ("stats.class.<i>.pages", Entry::Class(|row| row.pages)),
    ("stats.class.<i>.blocks", Entry::Class(|row| row.blocks)),
    ("stats.class.<i>.live", Entry::Class(|row| row.live)),
    ("stats.class.<i>.free", Entry::Class(|row| row.free)),
    ("stats.class.<i>.thread_cache", Entry::Class(|row| row.thread_cache)),
    ("stats.heap.<i>.thread", Entry::Heap(|row| row.thread)),
    ("stats.heap.<i>.pages", Entry::Heap(|row| row.pages)),
    ("stats.heap.<i>.blocks", Entry::Heap(|row| row.blocks)),
    ("stats.heap.<i>.live", Entry::Heap(|row| row.live)),
    ("stats.heap.<i>.thread_cache", Entry::Heap(|row| row.thread_cache)),
    ("stats.calls.<call>", Entry::Call(|calls| calls.made)),
    ("stats.refused.<call>", Entry::Call(|calls| calls.refused)),
    ("stats.counters.<counter>", Entry::Counter),
];

/// Reads the value behind a name into `*old` and sets it to `*new_value`; either may be left out.
///
/// # Safety
/// `name` is null or a string. `old` is null or has `*old_len` bytes, `new_value` null or `new_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brkmap_ctl(
    name: *const c_char,
    old: *mut c_void,
    old_len: *mut usize,
    new_value: *const c_void,
    new_len: usize,
) -> c_int {
    if name.is_null() || (old_len.is_null() && !old.is_null()) || (new_value.is_null() && new_len != 0) {
        return EINVAL;
    }
    // SAFETY: [caller-memory] a string.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let Some((entry, part)) = TABLE.iter().find_map(|row| part_of(name, row.0).map(|part| (&row.1, part))) else {
        return ENOENT;
    };
    let mut call = Call { old: old.cast(), old_len, new: new_value.cast(), new_len };
    match call.run(entry, part) {
        Ok(()) => 0,
        Err(error) => error,
    }
}

/// What stands in a name where the pattern has its `<…>`; nothing where it has none. `None`: the pattern does not fit.
fn part_of<'n>(name: &'n [u8], pattern: &str) -> Option<&'n [u8]> {
    match pattern.split_once('<').and_then(|(head, rest)| Some((head, rest.split_once('>')?))) {
        None => (name == pattern.as_bytes()).then_some(&[]),
        Some((head, (what, tail))) => {
            let part = name.strip_prefix(head.as_bytes())?.strip_suffix(tail.as_bytes())?;
            let fits = match what {
                "i" => !part.is_empty() && part.iter().all(u8::is_ascii_digit),
                _ => names_of(what).any(|name| name.as_bytes() == part),
            };
            fits.then_some(part)
        }
    }
}

/// The names that may stand for `<what>`.
fn names_of(what: &str) -> impl Iterator<Item = &'static str> {
    let only = |wanted: &'static str| what == wanted;
    let figures = FIGURES.iter().map(|row| row.0).filter({
        let fits = only("figure");
        move |_| fits
    });
    let calls = SystemCall::ALL.into_iter().map(SystemCall::name).filter({
        let fits = only("call");
        move |_| fits
    });
    let counters = Counter::ALL.into_iter().map(Counter::name).filter({
        let fits = only("counter");
        move |_| fits
    });
    figures.chain(calls).chain(counters)
}

/// One call: where the present value goes, and where the new one is.
struct Call {
    old: *mut u8,
    old_len: *mut usize,
    new: *const u8,
    new_len: usize,
}

impl Call {
    fn run(&mut self, entry: &Entry, part: &[u8]) -> Result<(), c_int> {
        let text = core::str::from_utf8(part).unwrap_or_default();
        match entry {
            Entry::Option(get, set) => {
                let new = self.new_number()?;
                self.read(get)?;
                new.map_or(Ok(()), |value| if set(value) { Ok(()) } else { Err(EINVAL) })
            }
            Entry::Choice(get, set) => {
                let new = self.new_word()?;
                self.read(|| get().as_ptr())?;
                new.map_or(Ok(()), |word| if set(word.to_bytes()) { Ok(()) } else { Err(EINVAL) })
            }
            Entry::Trim => {
                let pad = self.new_number()?.unwrap_or(0);
                // Before the memory is given back: a call with wrong arguments does nothing.
                self.fits(size_of::<u64>())?;
                let went = ENGINE.trim(usize::try_from(pad).unwrap_or(usize::MAX));
                self.read(|| u64::from(went))
            }
            Entry::Class(_) if index(text).is_none_or(|class| class >= CLASSES) => Err(ENOENT),
            Entry::Heap(_) if index(text).is_none_or(|heap| heap >= ENGINE.heap_count()) => Err(ENOENT),
            // All others cannot be set.
            _ if !self.new.is_null() => Err(EPERM),
            Entry::Figure => self.read(|| figure(&ENGINE.figures(), text).unwrap_or_default()),
            Entry::Class(of) => {
                let class = index(text).ok_or(ENOENT)?;
                self.read(|| {
                    let mut rows = [ClassRow::default(); CLASSES];
                    ENGINE.class_rows(&mut rows);
                    of(&rows[class])
                })
            }
            Entry::Heap(of) => {
                let heap = index(text).ok_or(ENOENT)?;
                self.read(|| {
                    let mut rows = [HeapRow::default(); HEAP_BATCH];
                    ENGINE.heap_rows(heap, &mut rows);
                    of(&rows[0])
                })
            }
            Entry::Call(of) => {
                let call = SystemCall::ALL.into_iter().find(|call| call.name() == text).ok_or(ENOENT)?;
                self.read(|| of(ENGINE.calls(call)))
            }
            Entry::Counter => {
                let counter = Counter::ALL.into_iter().find(|counter| counter.name() == text).ok_or(ENOENT)?;
                self.read(|| ENGINE.counter(counter))
            }
            Entry::Number(get) => self.read(get),
            Entry::Switch(get) => self.read(get),
            Entry::Word(get) => self.read(|| get().as_ptr()),
            Entry::Names => self.read_names(),
        }
    }

    /// Is there no room for the present value, or exactly enough? Where not, the caller learns how much it takes.
    fn fits(&mut self, bytes: usize) -> Result<(), c_int> {
        if self.old_len.is_null() {
            return Ok(());
        }
        // SAFETY: [caller-memory] not null.
        let given = unsafe { self.old_len.replace(bytes) };
        if self.old.is_null() || given == bytes { Ok(()) } else { Err(EINVAL) }
    }

    /// Hands the present value over, if it is wanted.
    fn read<T>(&mut self, get: impl FnOnce() -> T) -> Result<(), c_int> {
        self.fits(size_of::<T>())?;
        if !self.old.is_null() {
            // SAFETY: [caller-memory] as many bytes as the value has.
            unsafe { self.old.cast::<T>().write_unaligned(get()) };
        }
        Ok(())
    }

    /// The list of names, one on each line, ended by a zero byte; whole or not at all.
    fn read_names(&mut self) -> Result<(), c_int> {
        let mut list = List { start: core::ptr::null_mut(), room: 0, length: 0 };
        let _ = list.all();
        let needed = list.length + 1;
        if self.old_len.is_null() {
            return Ok(());
        }
        // SAFETY: [caller-memory] not null.
        let given = unsafe { self.old_len.replace(needed) };
        if self.old.is_null() {
            return Ok(());
        }
        if given < needed {
            return Err(EINVAL);
        }
        let mut list = List { start: self.old, room: given, length: 0 };
        let _ = list.all();
        // SAFETY: [caller-memory] there is room for the list and a byte more.
        unsafe { self.old.add(needed - 1).write(0) };
        Ok(())
    }

    fn new_number(&self) -> Result<Option<u64>, c_int> {
        match (self.new.is_null(), self.new_len == size_of::<u64>()) {
            (true, _) => Ok(None),
            (false, false) => Err(EINVAL),
            // SAFETY: [caller-memory] as many bytes as a number has.
            (false, true) => Ok(Some(unsafe { self.new.cast::<u64>().read_unaligned() })),
        }
    }

    fn new_word<'a>(&self) -> Result<Option<&'a CStr>, c_int> {
        match (self.new.is_null(), self.new_len == size_of::<*const c_char>()) {
            (true, _) => Ok(None),
            (false, false) => Err(EINVAL),
            (false, true) => {
                // SAFETY: [caller-memory] as many bytes as an address has.
                let word = unsafe { self.new.cast::<*const c_char>().read_unaligned() };
                // SAFETY: [caller-memory] a string.
                if word.is_null() { Err(EINVAL) } else { Ok(Some(unsafe { CStr::from_ptr(word) })) }
            }
        }
    }
}

/// The list of names on its way to the caller; counted only where there is no room.
struct List {
    start: *mut u8,
    room: usize,
    length: usize,
}

impl List {
    fn all(&mut self) -> fmt::Result {
        for (pattern, _) in TABLE {
            let what = pattern.split_once('<').and_then(|(head, rest)| Some((head, rest.split_once('>')?.0)));
            match what {
                Some((head, what)) if what != "i" => {
                    names_of(what).try_for_each(|name| writeln!(self, "{head}{name}"))?;
                }
                _ => writeln!(self, "{pattern}")?,
            }
        }
        Ok(())
    }
}

impl Write for List {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.length + text.len() <= self.room {
            // SAFETY: [caller-memory] inside the room that the caller gave.
            unsafe { self.start.add(self.length).copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        }
        self.length += text.len();
        Ok(())
    }
}

fn index(text: &str) -> Option<usize> {
    text.parse().ok()
}

fn version() -> &'static CStr {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    CStr::from_bytes_until_nul(TEXT.as_bytes()).unwrap_or_default()
}

/// Figures are always taken afresh. The name is there for programs that were written for allocators that keep them.
static EPOCH: AtomicU64 = AtomicU64::new(1);

fn epoch() -> u64 {
    EPOCH.load(Relaxed)
}

fn next_epoch(_: u64) -> bool {
    EPOCH.fetch_add(1, Relaxed);
    true
}

/// A bound as a number: the largest one where there is none.
fn bound(bound: Option<usize>) -> u64 {
    bound.map_or(u64::MAX, |bound| bound as u64)
}

fn set(value: u64, set: impl FnOnce(usize)) -> bool {
    usize::try_from(value).map(set).is_ok()
}

fn set_perturb(value: u64) -> bool {
    u8::try_from(value).map(|byte| ENGINE.set_perturb(byte)).is_ok()
}

/// An hour at most, as in the environment.
fn set_purge_delay(ms: u64) -> bool {
    const MOST: u64 = 3_600_000;
    ms <= MOST && set(ms, |ms| ENGINE.set_purge_delay(ms))
}

fn background() -> &'static CStr {
    match ENGINE.background() {
        Background::Auto => c"auto",
        Background::On => c"on",
        Background::Off => c"off",
    }
}

fn set_background(word: &[u8]) -> bool {
    let chosen = match word {
        b"auto" => Background::Auto,
        b"on" => Background::On,
        b"off" => Background::Off,
        _ => return false,
    };
    ENGINE.choose_background(chosen);
    true
}

fn mechanisms() -> &'static CStr {
    match ENGINE.chosen_mechanisms() {
        Mechanisms::Both => c"brk+mmap",
        Mechanisms::Break => c"brk",
        Mechanisms::Mappings => c"mmap",
    }
}
