//! Stacks of another process: unwound from outside, each kept once, with names.
//!
//! ```text
//!   registers and the top of the stack ──► Modules (which file lies where; call frame information, else frame pointers)
//!                                             └──► Stacks (each stack once) ──► File (names of functions, lines)
//! ```
//! A thread is stopped only while its registers and some KiB of its stack are copied; the rest happens while it runs.

mod file;
mod lines;
mod modules;
mod plumbing;
mod repeats;
mod symbols;

pub(crate) use file::Files;
pub(crate) use modules::Modules;
use repeats::{Repeat, Repeats};

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// So much of a stack is copied.
pub(crate) const COPIED: usize = 16 << 10;
/// So many frames of a stack are kept, from the innermost on.
const DEPTH: usize = 64;

/// So many callers are looked at for a name.
const NAMELESS: usize = 4;

/// A stopped thread's registers that unwinding needs, and the top of its stack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample<'a> {
    pub(crate) instruction: u64,
    pub(crate) stack: u64,
    pub(crate) frame: u64,
    /// Where the kernel wrote them, or a copy.
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl Sample<'_> {
    fn word(&self, address: u64) -> Result<u64, ()> {
        let at = address.checked_sub(self.stack).and_then(|at| usize::try_from(at).ok()).ok_or(())?;
        let bytes = self.bytes.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| ())?))
    }
}

/// One frame: a place in a file, or a bare address outside of all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Number of the file in [`Files`].
    file: Option<u32>,
    /// Address as the file states it, to look up: for callers, one byte before the return address.
    address: u64,
}

/// A frame in words.
#[derive(Debug)]
pub(crate) struct Named {
    /// The function, demangled; an offset in the file where it has no name.
    pub(crate) function: String,
    /// Last part of the file's name.
    pub(crate) file: String,
    /// It belongs to malloc, the C library or the loader, and is not what a programmer looks for.
    pub(crate) is_plumbing: bool,
    /// An entry of malloc's own interface.
    pub(crate) entry: Option<plumbing::Entry>,
}

/// The place that frames belong to, the innermost first: the first of them outside of the plumbing. One of a stripped
/// program that has no name is told by the next caller that has.
fn place<'a>(frames: impl DoubleEndedIterator<Item = &'a Rc<Named>> + Clone) -> Option<Rc<Named>> {
    let mut outside = frames.clone().skip_while(|name| name.is_plumbing);
    let Some(first) = outside.next() else {
        return frames.clone().next_back().map(|name| Rc::new(name.as_place()));
    };
    let is_nameless = |name: &Named| name.function.starts_with('+');
    let mut callers = outside.take(NAMELESS).take_while(|name| name.file == first.file);
    match callers.find(|name| !is_nameless(name)).filter(|_| is_nameless(first)) {
        Some(caller) => {
            let function = format!("{} > {}", caller.function, first.function);
            Some(Rc::new(Named { function, file: first.file.clone(), is_plumbing: false, entry: None }))
        }
        None => Some(Rc::clone(first)),
    }
}

impl Named {
    /// The outermost frame of a stack that has nothing but plumbing, as a place.
    fn as_place(&self) -> Named {
        let function = match plumbing::is_loader(&self.file) {
            true => "start of the program".to_owned(),
            false => self.function.clone(),
        };
        Named { function, file: self.file.clone(), ..*self }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What comes from files may hold anything; nothing of it shall steer a terminal.
        let plain = |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
        write!(f, "{} ({})", plain(&self.function), plain(&self.file))
    }
}

/// What is known of a stack.
#[derive(Debug)]
struct Known {
    frames: Box<[u32]>,
    site: u32,
    entry: Option<plumbing::Entry>,
}

/// All stacks and frames that were met.
#[derive(Default)]
pub(crate) struct Stacks {
    pub(crate) files: Files,
    frames: Vec<Frame>,
    frame_numbers: HashMap<Frame, u32>,
    names: Vec<Rc<Named>>,
    stacks: Vec<Known>,
    stack_numbers: HashMap<Box<[u32]>, u32>,
    sites: Vec<Rc<Named>>,
    site_numbers: HashMap<(String, String), u32>,
    addresses: Vec<u64>,
    unwinder_cache: modules::Cache,
    repeats: Repeats,
}

impl Stacks {
    /// Unwinds a sample; returns the number of its stack.
    pub(crate) fn unwind(&mut self, modules: &Modules, sample: &Sample) -> Option<u32> {
        if let Some(stack) = self.repeats.find(modules, sample) {
            return Some(stack);
        }
        let mut addresses = std::mem::take(&mut self.addresses);
        let words = modules.unwind(sample, &mut self.unwinder_cache, DEPTH, &mut addresses);
        let stack = self.enter(modules, &addresses);
        if let Some(stack) = stack {
            let known = Repeat::of(modules, sample, &mut self.unwinder_cache, (&addresses, words), stack);
            self.repeats.add(modules, sample, known);
        }
        self.addresses = addresses;
        stack
    }

    /// The number of the stack with these frames.
    fn enter(&mut self, modules: &Modules, addresses: &[u64]) -> Option<u32> {
        let mut frames: Vec<u32> = addresses.iter().map(|&address| self.frame(modules.frame(address))).collect();
        frames.dedup_by(|after, before| after == before && self.frames[*after as usize].file.is_none());
        if frames.is_empty() {
            return None;
        }
        if let Some(&number) = self.stack_numbers.get(frames.as_slice()) {
            return Some(number);
        }
        let number = self.stacks.len() as u32;
        let frames = frames.into_boxed_slice();
        let names = || frames.iter().map(|&frame| &self.names[frame as usize]);
        let place = place(names())?;
        // The outermost entry: `calloc` calls what `malloc` calls.
        let entry = names().take_while(|name| name.is_plumbing).filter_map(|name| name.entry).last();
        let site = self.site(place);
        self.stack_numbers.insert(frames.clone(), number);
        self.stacks.push(Known { frames, site, entry });
        Some(number)
    }

    fn frame(&mut self, frame: Frame) -> u32 {
        if let Some(&number) = self.frame_numbers.get(&frame) {
            return number;
        }
        let number = self.frames.len() as u32;
        self.frame_numbers.insert(frame, number);
        self.frames.push(frame);
        self.names.push(Rc::new(self.files.name(frame)));
        number
    }

    fn site(&mut self, place: Rc<Named>) -> u32 {
        let key = (place.file.clone(), place.function.clone());
        *self.site_numbers.entry(key).or_insert_with(|| {
            self.sites.push(place);
            self.sites.len() as u32 - 1
        })
    }

    /// Number of the place that a stack belongs to: its first frame outside of malloc, the C library and the loader.
    pub(crate) fn site_of(&self, stack: u32) -> u32 {
        self.stacks[stack as usize].site
    }

    /// A place in words.
    pub(crate) fn site_name(&self, site: u32) -> &Named {
        &self.sites[site as usize]
    }

    /// The function of malloc's interface that the program had called.
    pub(crate) fn entry(&self, stack: u32) -> Option<plumbing::Entry> {
        self.stacks[stack as usize].entry
    }

    /// The frames of a stack in words, the innermost first.
    pub(crate) fn describe(&self, stack: u32) -> impl Iterator<Item = &Named> {
        self.stacks[stack as usize].frames.iter().map(|&frame| &*self.names[frame as usize])
    }

    /// The line of the source at which a stack leaves its place for malloc or the kernel, where it is known.
    pub(crate) fn line(&self, stack: u32) -> Option<String> {
        let frames = &self.stacks[stack as usize].frames;
        let place = frames.iter().find(|&&frame| !self.names[frame as usize].is_plumbing)?;
        self.files.line(self.frames[*place as usize])
    }

    /// Number of different stacks.
    pub(crate) fn len(&self) -> usize {
        self.stacks.len()
    }
}

pub(crate) use plumbing::Entry;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Rc<Named> {
        let (function, file) = text.split_once(' ').unwrap();
        let is_plumbing = plumbing::is_plumbing_file(file) || plumbing::is_wrapper(function);
        Rc::new(Named { function: function.to_owned(), file: file.to_owned(), is_plumbing, entry: None })
    }

    fn place_of(frames: &[&str]) -> String {
        let frames: Vec<_> = frames.iter().map(|text| named(text)).collect();
        place(frames.iter()).unwrap().to_string()
    }

    #[test]
    fn the_place_is_the_first_frame_outside_of_the_plumbing() {
        assert_eq!(
            place_of(&["mmap libc.so.6", "malloc libc.so.6", "xmalloc app", "load app", "main app"]),
            "load (app)"
        );
        assert_eq!(
            place_of(&["mmap ld-linux-x86-64.so.2", "+0x1 ld-linux-x86-64.so.2"]),
            "start of the program (ld-linux-x86-64.so.2)"
        );
        assert_eq!(place_of(&["brk libc.so.6", "free libc.so.6"]), "free (libc.so.6)");
        assert_eq!(place_of(&["malloc libc.so.6", "+0x5 app", "+0x9 app", "run app"]), "run > +0x5 (app)");
        assert_eq!(place_of(&["malloc libc.so.6", "+0x5 app", "g_main libglib"]), "+0x5 (app)");
    }

    #[test]
    fn words_outside_of_the_copied_stack_are_none() {
        let sample = Sample { stack: 0x1000, bytes: vec![1, 0, 0, 0, 0, 0, 0, 0, 2].into(), ..Sample::default() };
        assert_eq!((sample.word(0x1000), sample.word(0x1001), sample.word(0xfff)), (Ok(1), Ok(2 << 56), Err(())));
        assert_eq!((sample.word(0x1002), sample.word(u64::MAX)), (Err(()), Err(())));
    }
}
