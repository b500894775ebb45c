//! What an executable file says about itself: the facts that decide whether a library can be preloaded into it.

use crate::chunked::Chunked;
use crate::model::snapshot::Executable;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadCache, ReadRef};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

type Header32 = elf::FileHeader32<object::Endianness>;
type Header64 = elf::FileHeader64<object::Endianness>;

/// Reads the facts of an open executable. A file that is no ELF yields the facts of an empty one.
pub(crate) fn inspect(mut file: File) -> io::Result<Executable> {
    let metadata = file.metadata()?;
    let mut identification = [0; 16];
    let got = file.read(&mut identification)?;
    let mut facts = Executable {
        size: metadata.len(),
        is_privileged: metadata.mode() & 0o6000 != 0 || has_capabilities(&file),
        is_32_bit: got >= 5 && identification.starts_with(b"\x7fELF") && identification[4] == elf::ELFCLASS32,
        ..Executable::default()
    };
    // Reads only the tables, not the whole file: browsers have executables of 200 MB.
    let data = ReadCache::new(Chunked::new(&file));
    match facts.is_32_bit {
        true => read_tables::<Header32, _>(&data, &mut facts),
        false => read_tables::<Header64, _>(&data, &mut facts),
    }
    Ok(facts)
}

fn has_capabilities(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    crate::os::has_attribute(file.as_raw_fd(), c"security.capability")
}

/// Whether a segment holds the note that Go's linker writes: it is there without section headers too.
fn has_go_note<'data, S: ProgramHeader, R: ReadRef<'data>>(segment: &S, endian: S::Endian, data: R) -> bool {
    let Ok(Some(mut notes)) = segment.notes(endian, data) else { return false };
    std::iter::from_fn(|| notes.next().ok().flatten()).any(|note| note.name() == b"Go")
}

fn read_tables<'data, H, R>(data: R, facts: &mut Executable)
where
    H: FileHeader<Endian = object::Endianness>,
    R: ReadRef<'data>,
{
    let Ok(header) = H::parse(data) else { return };
    let Ok(endian) = header.endian() else { return };
    let Ok(segments) = header.program_headers(endian, data) else { return };
    let interpreter = segments.iter().find_map(|segment| segment.interpreter(endian, data).ok().flatten());
    match interpreter {
        Some(path) => facts.interpreter = String::from_utf8_lossy(path).trim_end_matches('\0').to_owned(),
        None => facts.is_static = true,
    }
    facts.is_go = segments.iter().any(|segment| has_go_note(segment, endian, data));
    let Ok(sections) = header.sections(endian, data) else { return };
    facts.is_go |= sections.section_by_name(endian, b".go.buildinfo").is_some();
    let Ok(symbols) = sections.symbols(endian, data, elf::SHT_DYNSYM) else { return };
    // All names in one piece: `object` would read, and keep, each by itself.
    let names = sections.section(symbols.string_section()).and_then(|section| section.data(endian, data));
    let Ok(names) = names else { return };
    for symbol in symbols.iter() {
        let name = names.get(symbol.st_name(endian) as usize..).unwrap_or_default();
        if name.starts_with(b"malloc\0") {
            facts.exports_malloc |= symbol.is_definition(endian) && !symbol.is_local();
        } else if name.starts_with(b"ptrace\0") {
            facts.imports_ptrace |= symbol.is_undefined(endian);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn facts(bytes: &[u8]) -> Executable {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        inspect(file).unwrap()
    }

    #[test]
    fn this_test_is_a_dynamic_64_bit_program() {
        let own = inspect(File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(!own.is_32_bit && !own.is_static && !own.is_go && !own.exports_malloc && !own.is_privileged);
        assert!(own.interpreter.contains("ld-linux"), "{}", own.interpreter);
    }

    #[test]
    fn damaged_files_are_no_error() {
        assert_eq!(facts(b""), Executable::default());
        assert_eq!(facts(b"#!/bin/sh\n"), Executable { size: 10, ..Executable::default() });
        assert!(facts(b"\x7fELF\x01\x01\x01").is_32_bit);
        let mut image = std::fs::read("/proc/self/exe").unwrap();
        image.truncate(5000);
        for at in 16..200 {
            let mut bent = image.clone();
            bent[at] ^= 0xff;
            facts(&bent);
        }
    }

    #[test]
    fn a_privileged_file_is_seen() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(inspect(File::open(file.path()).unwrap()).unwrap().is_privileged);
    }
}
