//! Finds the roots: without symbols, by their first bytes.

use super::Damage;
use super::reader::{Reader, word_at};
use brkmap_wire::{ABI, MAGIC, ROOT_ALIGN, Root, names};

/// Data of a program larger than this is not searched: no linker makes it, but a program may map such a file.
const LARGEST_DATA: u64 = 256 << 20;
/// So much is read at once.
const PART: u64 = 1 << 20;
/// More engines than this are no engines.
const MOST: usize = 64;

/// What the data of program and libraries holds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) roots: Vec<Root>,
    /// Addresses of what look like tables of named memory.
    pub(super) tables: Vec<u64>,
}

/// All roots and tables of names in the writable data of program and libraries. OS pages without contents are not touched: a root in use was
/// written, and looking at the others would make them resident.
pub(super) fn find(reader: &mut Reader<'_, '_>) -> (Found, Option<Damage>) {
    let (mut found, mut damage) = (Found::default(), None);
    for mapping in reader.mappings {
        let is_data = mapping.inode != 0 && mapping.writable && mapping.readable && mapping.private;
        if !is_data || mapping.size() > LARGEST_DATA {
            continue;
        }
        let mut at = mapping.start;
        while at < mapping.end && found.roots.len() < MOST {
            let result = part(reader, at, mapping.end).and_then(|end| {
                if end > at {
                    search(reader, at, end, &mut found)?;
                }
                Ok(end.max(at + reader.os_page))
            });
            match result {
                Ok(end) => at = end,
                Err(wrong) => {
                    damage = damage.or(Some(wrong));
                    break;
                }
            }
        }
    }
    (found, damage)
}

/// End of the stretch of OS pages with contents that begins at `start`; `start` itself if there is none.
fn part(reader: &mut Reader<'_, '_>, start: u64, limit: u64) -> Result<u64, Damage> {
    let mut end = start;
    while end < limit && end - start < PART && reader.has_contents(end)? {
        end += reader.os_page;
    }
    Ok(end.min(limit))
}

fn search(reader: &Reader<'_, '_>, start: u64, end: u64, found: &mut Found) -> Result<(), Damage> {
    let bytes = reader.bytes("program data", start, end - start)?;
    for offset in (0..bytes.len()).step_by(ROOT_ALIGN) {
        let address = start + offset as u64;
        if bytes[offset..].starts_with(&names::MAGIC) && found.tables.len() < MOST {
            found.tables.push(address);
        }
        if !bytes[offset..].starts_with(&MAGIC) {
            continue;
        }
        // A root of an older library is shorter, and what follows it may not be there.
        let most = (Root::BYTES as u64).min(reader.mapped_from(address)).max(Root::LEAST_BYTES as u64);
        let image = reader.bytes("brkmap's root", address, most)?;
        let abi = word_at(&image, MAGIC.len());
        let Some(root) = Root::decode(&image) else {
            return Err(Damage::new(format!(
                "the library in the process speaks layout {abi} and this command {ABI}; use a command and a library of \
                 the same version"
            )));
        };
        // A copy of a root (a file in memory, say) is not one.
        if root.abi == 0 || root.self_address == address {
            found.roots.push(root);
        }
    }
    Ok(())
}
