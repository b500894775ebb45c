//! Executable files that are mapped into traced processes, each opened once.

use super::lines::Lines;
use super::symbols::Symbols;
use super::{Frame, Named, plumbing};
use crate::chunked::Chunked;
use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::{Endianness, ReadCache, ReadRef};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sections that are larger are not read.
pub(super) const LARGEST: u64 = 256 << 20;
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
        one.read_headers();
        one
    }

    fn read_headers(&mut self) {
        let cache = ReadCache::new(Chunked::new(&self.file));
        let Some(elf) = Headers::of(&cache) else { return };
        let endian = elf.endian;
        let section = |name: &str| elf.sections.section_by_name(endian, name.as_bytes()).map(|(_, section)| section);
        let range = |name: &str| {
            let section = section(name)?;
            Some(section.sh_addr(endian)..section.sh_addr(endian).saturating_add(section.sh_size(endian)))
        };
        let bytes = |name: &str| {
            let (offset, size) = section(name)?.file_range(endian).filter(|range| range.1 <= LARGEST)?;
            range(name).zip(read_part(&self.file, offset, size))
        };
        let (eh_frame, eh_frame_hdr) = (bytes(".eh_frame"), bytes(".eh_frame_hdr"));
        let sections = UnwindSections { eh_frame, eh_frame_hdr, text: range(".text"), got: range(".got") };
        let headers = elf.header.program_headers(endian, &cache).unwrap_or_default();
        let loaded = headers.iter().filter(|header| header.p_type(endian) == object::elf::PT_LOAD);
        let segments = loaded
            .map(|header| Segment {
                offset: header.p_offset(endian),
                size: header.p_filesz(endian),
                address: header.p_vaddr(endian),
                is_code: header.p_flags(endian) & object::elf::PF_X != 0,
            })
            .collect();
        let debug = elf.build_id(&cache).filter(|id| id.len() > 2).map(|id| {
            let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            Path::new(DEBUG_FOLDER).join(&text[..2]).join(format!("{}.debug", &text[2..]))
        });
        (self.sections, self.segments, self.debug) = (sections, segments, debug);
    }

    fn read_symbols(&self) -> Symbols {
        let cache = ReadCache::new(Chunked::new(&self.file));
        let Some(elf) = Headers::of(&cache) else { return Symbols::default() };
        // The debug file of a stripped program has the functions that the program itself names no more.
        let debug = self.debug.as_ref().filter(|_| elf.sections.section_by_name(elf.endian, b".symtab").is_none());
        if let Some(file) = debug.and_then(|path| File::open(path).ok()) {
            let cache = ReadCache::new(Chunked::new(&file));
            if let Some(elf) = Headers::of(&cache) {
                return Symbols::read(&elf.sections, elf.endian, &cache, &file);
            }
        }
        Symbols::read(&elf.sections, elf.endian, &cache, &self.file)
    }
}

/// The headers of a file. What `object` calls a file would have the tables of symbols read as well.
struct Headers<'data, R: ReadRef<'data>> {
    header: &'data FileHeader64<Endianness>,
    endian: Endianness,
    sections: SectionTable<'data, FileHeader64<Endianness>, R>,
}

impl<'data, R: ReadRef<'data>> Headers<'data, R> {
    fn of(data: R) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        Some(Headers { header, endian, sections: header.sections(endian, data).ok()? })
    }

    fn build_id(&self, data: R) -> Option<&'data [u8]> {
        let notes = self.sections.iter().filter_map(|section| section.notes(self.endian, data).ok().flatten());
        notes.filter_map(|mut notes| notes.next().ok().flatten()).find_map(|note| {
            let is_id =
                note.name() == object::elf::ELF_NOTE_GNU && note.n_type(self.endian) == object::elf::NT_GNU_BUILD_ID;
            is_id.then(|| note.desc())
        })
    }
}

/// A part of a file, read to where it stays.
fn read_part(file: &File, offset: u64, bytes: u64) -> Option<Arc<[u8]>> {
    let mut part = Vec::new();
    append_part(file, offset, bytes, &mut part)?;
    Some(part.into())
}

/// Reads a part of a file behind what is there; nothing is added where not all of it can be read.
pub(super) fn append_part(mut file: &File, offset: u64, bytes: u64, out: &mut Vec<u8>) -> Option<()> {
    // Nothing is set aside for what a damaged file only claims to have.
    let is_there = bytes > 0 && offset.checked_add(bytes)? <= file.metadata().ok()?.len();
    out.try_reserve(usize::try_from(bytes).ok().filter(|_| is_there)?).ok()?;
    let before = out.len();
    file.seek(SeekFrom::Start(offset)).ok()?;
    let got = file.take(bytes).read_to_end(out);
    if got.ok() != Some(bytes as usize) {
        out.truncate(before);
        return None;
    }
    Some(())
}
