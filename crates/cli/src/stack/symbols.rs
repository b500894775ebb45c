//! Names of functions from a file's symbol tables.

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol, ReadRef, SymbolKind};

/// Functions of a file by address; `end` is 0 where the table does not tell the size.
#[derive(Debug, Default)]
pub(super) struct Symbols(Vec<Symbol>);

#[derive(Debug)]
struct Symbol {
    start: u64,
    end: u64,
    name: Box<str>,
}

impl Symbols {
    /// Reads both tables: stripped files still have what they offer to others.
    pub(super) fn read<'data, R: ReadRef<'data>>(file: &ElfFile64<'data, Endianness, R>) -> Symbols {
        let mut all: Vec<Symbol> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                let start = symbol.address();
                Some(Symbol { start, end: start.saturating_add(symbol.size()), name: name.into() })
            })
            .collect();
        // Of several names for one address the plainest is last to be dropped: `malloc` before `__libc_malloc`.
        let plainness = |name: &str| (name.starts_with('_'), name.contains('@'), name.len());
        all.sort_by_cached_key(|symbol| (symbol.start, plainness(&symbol.name)));
        all.dedup_by_key(|symbol| symbol.start);
        Symbols(all)
    }

    /// The function that an address lies in. Between the functions of a stripped file lie others without names, so only
    /// a symbol of known size counts.
    pub(super) fn find(&self, address: u64) -> Option<&str> {
        let behind = self.0.partition_point(|symbol| symbol.start <= address);
        let symbol = self.0.get(behind.checked_sub(1)?)?;
        (address < symbol.end).then_some(&*symbol.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_outside_of_functions_have_no_name() {
        let symbol = |start, end, name: &str| Symbol { start, end, name: name.into() };
        let symbols = Symbols(vec![symbol(10, 20, "a"), symbol(20, 20, "nothing"), symbol(40, 50, "b")]);
        let names: Vec<_> = [9, 10, 19, 20, 30, 49, 50].map(|at| symbols.find(at)).to_vec();
        assert_eq!(names, [None, Some("a"), Some("a"), None, None, Some("b"), None]);
        assert_eq!(Symbols::default().find(5), None);
    }
}
