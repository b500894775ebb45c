//! The memory that a program named: tables as `brkmap_wire::names` describes them.

use super::Damage;
use super::reader::Reader;
use crate::heap::NamedMemory;
use brkmap_wire::names;

/// A range whose length is more is nonsense.
const LONGEST: u64 = 1 << 46;
/// So many OS pages are looked at for all names; a range behind that counts as not resident.
const MOST_PAGES: u64 = 1 << 20;

/// Sums the ranges of all tables by name, the largest first. A table that cannot be read, or a range that is not mapped
/// (any more), is passed over: names explain nothing that the waterfall needs.
pub(super) fn read(reader: &mut Reader<'_, '_>, tables: &[u64]) -> Vec<NamedMemory> {
    let (mut found, mut pages): (Vec<NamedMemory>, u64) = (Vec::new(), MOST_PAGES);
    for &address in tables {
        let Ok(table) = reader.bytes("a table of names", address, names::BYTES as u64) else { continue };
        for range in names::decode(&table, address).into_iter().flatten() {
            if range.bytes > LONGEST || reader.check("named memory", range.start, range.bytes).is_err() {
                continue;
            }
            let Ok(resident) = resident(reader, range.start, range.bytes, &mut pages) else { continue };
            let name: String = String::from_utf8_lossy(range.name).chars().filter(|c| !c.is_control()).collect();
            let at = found.iter().position(|memory| memory.name == name).unwrap_or_else(|| {
                found.push(NamedMemory { name, ..NamedMemory::default() });
                found.len() - 1
            });
            let memory = &mut found[at];
            memory.ranges += 1;
            memory.bytes = memory.bytes.saturating_add(range.bytes);
            memory.resident = memory.resident.saturating_add(resident);
        }
    }
    found.sort_by(|a, b| (b.resident, &a.name).cmp(&(a.resident, &b.name)));
    found
}

/// Bytes of a range that lie on resident OS pages.
fn resident(reader: &mut Reader<'_, '_>, start: u64, bytes: u64, pages: &mut u64) -> Result<u64, Damage> {
    let (end, mut at, mut sum) = (start + bytes, start, 0);
    while at < end && *pages > 0 {
        let next = (at / reader.os_page + 1) * reader.os_page;
        let piece = next.min(end) - at;
        sum += if reader.is_resident(at)? { piece } else { 0 };
        *pages -= 1;
        at += piece;
    }
    Ok(sum)
}
