//! Lines of the source, from debug information.

use super::file::Elf;
use crate::chunked::Chunked;
use addr2line::Context;
use gimli::{EndianArcSlice, RunTimeEndian, SectionId};
use object::{Object, ObjectSection, ReadCache};
use std::fs::File;
use std::sync::Arc;

/// Debug sections of one file may have so many bytes together.
const LARGEST: u64 = 512 << 20;

/// See the module.
pub(super) struct Lines(Context<EndianArcSlice<RunTimeEndian>>);

impl Lines {
    /// Of a file that has debug information which is not compressed.
    pub(super) fn read(file: &File) -> Option<Lines> {
        let cache = ReadCache::new(Chunked::new(file));
        let elf = Elf::parse(&cache).ok()?;
        elf.section_by_name(".debug_line")?;
        let debug = elf.sections().filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")));
        if debug.map(|section| section.size()).sum::<u64>() > LARGEST {
            return None;
        }
        let load = |id: SectionId| -> Result<EndianArcSlice<RunTimeEndian>, gimli::Error> {
            let section = elf.section_by_name(id.name());
            // Compressed ones are an error here, and count as absent.
            let data = section.and_then(|section| section.uncompressed_data().ok()).unwrap_or_default();
            Ok(EndianArcSlice::new(Arc::from(&*data), RunTimeEndian::Little))
        };
        Context::from_dwarf(gimli::Dwarf::load(load).ok()?).ok().map(Lines)
    }

    /// `file.c:12`, with the last part of the path.
    pub(super) fn find(&self, address: u64) -> Option<String> {
        let location = self.0.find_location(address).ok()??;
        let file = location.file?;
        let file = file.rsplit('/').next().unwrap_or(file);
        Some(format!("{file}:{}", location.line?))
    }
}
