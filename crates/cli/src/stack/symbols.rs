//! Names of functions from a file's symbol tables.

use super::file::{LARGEST, append_part};
use object::elf::{self, FileHeader64};
use object::read::elf::{SectionHeader, SectionTable, Sym};
use object::{Endianness, ReadRef};
use std::fs::File;

/// Functions of a file by address.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    all: Vec<Symbol>,
    /// Names, each ended by a zero: the tables of strings as they are in the file.
    names: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    start: u64,
    /// `start` where the table does not tell the size.
    end: u64,
    /// Where in `names` its name begins.
    name: usize,
}

impl Symbols {
    /// Reads both tables: stripped files still have what they offer to others. The names are read from the file itself, since
    /// `data` would keep them for itself.
    pub(super) fn read<'data, R: ReadRef<'data>>(
        sections: &SectionTable<'data, FileHeader64<Endianness>, R>,
        endian: Endianness,
        data: R,
        file: &File,
    ) -> Symbols {
        let mut symbols = Symbols::default();
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let Ok(table) = sections.symbols(endian, data, kind) else { continue };
            let strings = sections.section(table.string_section()).ok();
            let strings = strings.filter(|section| section.sh_size(endian) <= LARGEST);
            let Some((at, bytes)) = strings.and_then(|section| section.file_range(endian)) else { continue };
            let first = symbols.names.len();
            if append_part(file, at, bytes, &mut symbols.names).is_none() {
                continue;
            }
            // The last string may not be ended.
            symbols.names.push(0);
            let strings = &symbols.names[first..];
            let functions = table.iter().filter(|symbol| symbol.st_type() == elf::STT_FUNC);
            symbols.all.extend(functions.filter(|symbol| symbol.is_definition(endian)).filter_map(|symbol| {
                let name = symbol.st_name(endian) as usize;
                strings.get(name).filter(|&&byte| byte != 0)?;
                let start = symbol.st_value(endian);
                Some(Symbol { start, end: start.saturating_add(symbol.st_size(endian)), name: first + name })
            }));
        }
        symbols.sort();
        symbols
    }

    /// By address. Of several names for one address the plainest stays: `malloc` before `__libc_malloc`.
    fn sort(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        let plainness = |symbol: &Symbol| {
            let name = self.name(symbol);
            (name.starts_with(b"_"), name.contains(&b'@'), name.len())
        };
        all.sort_unstable_by_key(|symbol| symbol.start);
        all.dedup_by(|next, kept| {
            let is_same = next.start == kept.start;
            if is_same && plainness(next) < plainness(kept) {
                *kept = *next;
            }
            is_same
        });
        self.all = all;
    }

    fn name(&self, symbol: &Symbol) -> &[u8] {
        let rest = &self.names[symbol.name..];
        &rest[..rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len())]
    }

    /// The function that an address lies in. Between the functions of a stripped file lie others without names, so only
    /// a symbol of known size counts.
    pub(super) fn find(&self, address: u64) -> Option<&str> {
        let behind = self.all.partition_point(|symbol| symbol.start <= address);
        let symbol = self.all.get(behind.checked_sub(1)?).filter(|symbol| address < symbol.end)?;
        std::str::from_utf8(self.name(symbol)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_outside_of_functions_have_no_name() {
        let symbol = |start, end, name| Symbol { start, end, name };
        let all = vec![symbol(40, 50, 13), symbol(20, 20, 5), symbol(10, 20, 2), symbol(10, 20, 0)];
        let mut symbols = Symbols { all, names: b"_\0a\0\0nothing\0b\0".to_vec() };
        symbols.sort();
        let names: Vec<_> = [9, 10, 19, 20, 30, 49, 50].map(|at| symbols.find(at)).to_vec();
        assert_eq!(names, [None, Some("a"), Some("a"), None, None, Some("b"), None]);
        assert_eq!(Symbols::default().find(5), None);
    }
}
