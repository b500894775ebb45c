//! Named memory: what the toolbox's allocators were called, and where their memory is.
//!
//! A program that names an allocator has one table of this shape in its writable, file-backed data, 64-byte aligned and
//! starting with [`MAGIC`]; a reader finds it as it finds a root. All of it is one piece:
//!
//! ```text
//!   magic 16 │ abi │ own address │ entries │ 0 …      64 bytes
//!   entry 0: start │ bytes │ name, 48 bytes, filled with 0      64 bytes each; start 0: empty, 1: being written
//!   entry 1 …
//! ```
//!
//! Who writes it: `brkmap-toolbox`. Who reads it: the command.

/// The first 16 bytes of a table.
pub const MAGIC: [u8; 16] = *b"\x7fbrkmap\x00name\x1a\x0d\x0a\x00";
/// Layout version; a reader refuses another one.
pub const ABI: u64 = 1;
/// Entries of a table. What does not fit is not listed.
pub const ENTRIES: usize = 64;
/// Bytes of the header and of each entry.
pub const UNIT: usize = 64;
/// Bytes of a name; longer ones are cut.
pub const NAME: usize = 48;
/// Bytes of a table.
pub const BYTES: usize = UNIT * (1 + ENTRIES);
/// `start` of an entry that is being written.
pub const BUSY: u64 = 1;

/// One range of memory with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Address of its first byte.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
    /// What it was called; valid UTF-8 up to where it was cut.
    pub name: &'a [u8],
}

/// The ranges in a table that lies at `address`; `None` if it is no table, a copy of one, or of another version.
pub fn decode(table: &[u8], address: u64) -> Option<impl Iterator<Item = Named<'_>>> {
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if table.len() < BYTES || table[..16] != MAGIC || word(table, 16) != Some(ABI) || word(table, 24) != Some(address) {
        return None;
    }
    let entries = table[UNIT..BYTES].chunks_exact(UNIT);
    Some(entries.filter_map(move |entry| {
        let (start, bytes, name) = (word(entry, 0)?, word(entry, 8)?, &entry[16..]);
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        (start > BUSY).then_some(Named { start, bytes, name: &name[..length] })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_where_it_lies_and_nowhere_else() {
        let mut table = [0; BYTES];
        assert!(decode(&table, 64).is_none());
        table[..16].copy_from_slice(&MAGIC);
        table[16] = ABI as u8;
        table[24] = 64;
        table[UNIT * 3..UNIT * 3 + 2].copy_from_slice(&[0, 0x10]);
        table[UNIT * 3 + 8] = 9;
        table[UNIT * 3 + 16..UNIT * 3 + 22].copy_from_slice(b"parser");
        table[UNIT * 4] = BUSY as u8;
        let named = Named { start: 0x1000, bytes: 9, name: b"parser" };
        assert!(decode(&table, 64).unwrap().eq([named]));
        assert!(decode(&table, 128).is_none(), "a copy");
        assert!(decode(&table[..BYTES - 1], 64).is_none());
        table[16] = 9;
        assert!(decode(&table, 64).is_none(), "another version");
    }
}
