//! Executable files that are mapped into traced processes, each opened once.

use super::lines::Lines;
use super::symbols::Symbols;
use super::{Frame, Named, plumbing};
use crate::chunked::Chunked;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ReadCache};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sections that are larger are not read.
const LARGEST: u64 = 256 << 20;
/// Where debug files of stripped programs lie, by build id.
const DEBUG_FOLDER: &str = "/usr/lib/debug/.build-id";

/// A section: where the file wants it, and its bytes.
pub(super) type Section = Option<(std::ops::Range<u64>, Arc<[u8]>)>;

/// What unwinding needs of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct UnwindSections {
    pub(super) eh_frame: Section,
    pub(super) eh_frame_hdr: Section,
    pub(super) text: Option<std::ops::Range<u64>>,
    pub(super) got: Option<std::ops::Range<u64>>,
}

/// A part of a file that is loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) address: u64,
    pub(super) is_code: bool,
}

struct One {
    /// Last part of the path.
    name: String,
    file: File,
    is_plumbing: bool,
    sections: UnwindSections,
    segments: Vec<Segment>,
    debug: Option<PathBuf>,
    symbols: OnceCell<Symbols>,
    lines: OnceCell<Option<Lines>>,
}

/// All files, by number.
#[derive(Default)]
pub(crate) struct Files {
    all: Vec<One>,
    numbers: HashMap<(u64, u64), u32>,
}

pub(super) type Elf<'data, R> = ElfFile64<'data, Endianness, R>;

impl Files {
    /// Opens a file under one of several paths. What is no 64-bit ELF file is kept as one without contents.
    pub(super) fn open(&mut self, paths: &[PathBuf], name: &str) -> Option<u32> {
        let file = paths.iter().find_map(|path| File::open(path).ok())?;
        let facts = file.metadata().ok().filter(|facts| facts.is_file())?;
        let key = (facts.dev(), facts.ino());
        if let Some(&number) = self.numbers.get(&key) {
            return Some(number);
        }
        let name = name.strip_suffix(" (deleted)").unwrap_or(name);
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        let number = self.all.len() as u32;
        self.numbers.insert(key, number);
        self.all.push(One::read(name, file));
        Some(number)
    }

    pub(super) fn file_name(&self, number: u32) -> &str {
        &self.all[number as usize].name
    }

    pub(super) fn sections(&self, number: u32) -> &UnwindSections {
        &self.all[number as usize].sections
    }

    /// The part of a file that was mapped from an offset on.
    pub(super) fn segment(&self, number: u32, offset: u64) -> Option<Segment> {
        let fits = |segment: &&Segment| {
            (segment.offset & !0xfff..segment.offset.saturating_add(segment.size)).contains(&offset)
        };
        let segments = &self.all[number as usize].segments;
        let code = segments.iter().filter(fits).find(|segment| segment.is_code);
        code.or_else(|| segments.iter().find(fits)).copied()
    }

    /// A frame in words.
    pub(super) fn name(&self, frame: Frame) -> Named {
        let Some(number) = frame.file else {
            // Code that a program made at run time, or no code at all: the end of what could be unwound.
            return Named { function: "?".to_owned(), file: "no file".to_owned(), is_plumbing: true, entry: None };
        };
        let one = &self.all[number as usize];
        let raw = one.symbols.get_or_init(|| one.read_symbols()).find(frame.address);
        let function = match raw {
            Some(raw) => addr2line::demangle_auto(raw.split('@').next().unwrap_or(raw).into(), None).into_owned(),
            None => format!("+{:#x}", frame.address),
        };
        let entry = plumbing::entry(&function).filter(|_| one.is_plumbing);
        let is_plumbing = one.is_plumbing || plumbing::is_wrapper(&function);
        Named { function, file: one.name.clone(), is_plumbing, entry }
    }

    /// The line of the source that a frame is in, if the file or its debug file tells.
    pub(crate) fn line(&self, frame: Frame) -> Option<String> {
        let one = &self.all[frame.file? as usize];
        let lines = one.lines.get_or_init(|| {
            let debug = one.debug.as_ref().and_then(|path| File::open(path).ok());
            Lines::read(&one.file).or_else(|| debug.and_then(|file| Lines::read(&file)))
        });
        lines.as_ref()?.find(frame.address)
    }
}

impl One {
    fn read(name: String, file: File) -> One {
        let is_plumbing = plumbing::is_plumbing_file(&name);
        let mut one = One {
            name,
            is_plumbing,
            sections: UnwindSections::default(),
            segments: Vec::new(),
            debug: None,
            symbols: OnceCell::new(),
            lines: OnceCell::new(),
            file,
        };
        let cache = ReadCache::new(Chunked::new(&one.file));
        let Ok(elf) = Elf::parse(&cache) else { return one };
        let range = |name: &str| {
            let section = elf.section_by_name(name)?;
            Some(section.address()..section.address().saturating_add(section.size()))
        };
        let bytes = |name: &str| {
            let section = elf.section_by_name(name).filter(|section| section.size() <= LARGEST)?;
            let range = section.address()..section.address().saturating_add(section.size());
            section.data().ok().filter(|data| !data.is_empty()).map(|data| (range, Arc::from(data)))
        };
        let (eh_frame, eh_frame_hdr) = (bytes(".eh_frame"), bytes(".eh_frame_hdr"));
        one.sections = UnwindSections { eh_frame, eh_frame_hdr, text: range(".text"), got: range(".got") };
        let endian = elf.endian();
        let loaded = elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == object::elf::PT_LOAD);
        one.segments = loaded
            .map(|header| Segment {
                offset: header.p_offset(endian),
                size: header.p_filesz(endian),
                address: header.p_vaddr(endian),
                is_code: header.p_flags(endian) & object::elf::PF_X != 0,
            })
            .collect();
        one.debug = elf.build_id().ok().flatten().filter(|id| id.len() > 2).map(|id| {
            let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            Path::new(DEBUG_FOLDER).join(&text[..2]).join(format!("{}.debug", &text[2..]))
        });
        one
    }

    fn read_symbols(&self) -> Symbols {
        let cache = ReadCache::new(Chunked::new(&self.file));
        let Ok(elf) = Elf::parse(&cache) else { return Symbols::default() };
        // The debug file of a stripped program has the functions that the program itself names no more.
        let debug = self.debug.as_ref().filter(|_| elf.section_by_name(".symtab").is_none());
        if let Some(file) = debug.and_then(|path| File::open(path).ok()) {
            let cache = ReadCache::new(Chunked::new(&file));
            if let Ok(elf) = Elf::parse(&cache) {
                return Symbols::read(&elf);
            }
        }
        Symbols::read(&elf)
    }
}
