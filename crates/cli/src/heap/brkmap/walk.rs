//! From one root over all leaves to the figures of a heap.

use super::Damage;
use super::layout::{Layout, Meta};
use super::ledger;
use super::pages::{Shares, share_blocks, share_one};
use super::reader::{Reader, word_at};
use crate::heap::occupancy::{Holder, Occupancy};
use crate::heap::{Heap, Pin};
use crate::proc::residency::OS_PAGE;
use brkmap_wire::{Root, face};
use std::collections::{BTreeMap, HashSet};

/// Slices looked at in all; 1 TiB of heap.
const MOST_SLICES: u64 = 1 << 24;

struct Walk<'r, 'a, 'b> {
    reader: &'r mut Reader<'a, 'b>,
    layout: Layout,
    heap: Heap,
    /// By block size.
    pins: BTreeMap<u64, Pin>,
    slices: u64,
    /// End of the last page or run: slices before it have no meta of their own.
    covered: u64,
    /// The first piece that made no sense. The walk goes on: a running process frees mappings under our eyes.
    damage: Option<Damage>,
    /// Filled if somebody wants to know.
    occupancy: Option<Occupancy>,
}

/// Reads one engine as far as it can be read.
pub(super) fn walk(reader: &mut Reader<'_, '_>, root: &Root) -> (Heap, Option<Damage>) {
    let version = (root.version >> 32) as u16;
    let heap = Heap {
        version: (version, (root.version >> 16) as u16, root.version as u16),
        face: root.face,
        in_use: root.abi != 0,
        explained: vec![0; reader.mappings.len()],
        ..Heap::default()
    };
    if root.abi == 0 {
        return (heap, None);
    }
    let layout = match Layout::read(reader, root) {
        Ok(layout) => layout,
        Err(damage) => return (heap, Some(damage)),
    };
    reader.os_page = root.os_page;
    // Its tiles are of the only OS page there is on this architecture.
    let occupancy = reader.detail.record().filter(|_| root.os_page == OS_PAGE);
    let mut walk = Walk { reader, layout, heap, pins: BTreeMap::new(), slices: 0, covered: 0, damage: None, occupancy };
    walk.heap.counters.clone_from(&walk.layout.counters);
    walk.heap.heaps = walk.layout.heaps;
    walk.heap.mmap_threshold = walk.layout.mmap_threshold;
    walk.ledger();
    walk.library();
    let end = walk.leaves().and_then(|leaves| walk.metadata(&leaves)).err();
    walk.heap.pins = walk.pins.into_values().collect();
    walk.heap.occupancy = walk.occupancy;
    (walk.heap, walk.damage.or(end))
}

impl Walk<'_, '_, '_> {
    /// Residency of a range, whose resident bytes are entered as explained.
    fn residency(&mut self, start: u64, bytes: u64) -> Result<Vec<bool>, Damage> {
        let os_page = self.layout.root.os_page;
        let mut resident = Vec::with_capacity((bytes / os_page) as usize);
        for index in 0..bytes.div_ceil(os_page) {
            let address = start + index * os_page;
            let is_resident = self.reader.is_resident(address)?;
            resident.push(is_resident);
            if let (true, Some(mapping)) = (is_resident, self.reader.mapping_at(address)) {
                self.heap.explained[mapping] += os_page;
                if let Some(occupancy) = &mut self.occupancy {
                    occupancy.claim(address, address + os_page);
                }
            }
        }
        Ok(resident)
    }

    /// What the policy did. Bytes do not depend on it, so the walk goes on without.
    fn ledger(&mut self) {
        match ledger::rules(self.reader, &self.layout.root) {
            Ok(rules) => self.heap.rules = rules,
            Err(damage) => self.note(Err(damage)),
        }
        match ledger::moves(self.reader, &self.layout.root) {
            Ok(moves) => self.heap.moves = moves,
            Err(damage) => self.note(Err(damage)),
        }
    }

    /// The library's own writable data is metadata: the root, the page map's top, the first heap.
    fn library(&mut self) {
        let root = &self.layout.root;
        let mappings = self.reader.mappings;
        let Some(own) = self.reader.mapping_at(root.self_address).filter(|_| root.face == face::C) else { return };
        let is_same_file = |index: usize| mappings[index].inode == mappings[own].inode && mappings[own].inode != 0;
        let mut last = None;
        for index in (0..mappings.len()).filter(|&index| is_same_file(index) && mappings[index].writable) {
            self.explain_whole(index);
            last = Some(index);
        }
        // The zeroed data begins where the file's ends.
        let zeroed = last.map_or(0, |last| last + 1);
        let is_next = |mapping: &crate::proc::smaps::Mapping| {
            mapping.inode == 0
                && mapping.name.is_empty()
                && mapping.writable
                && mapping.start == mappings[zeroed - 1].end
        };
        if zeroed > 0 && mappings.get(zeroed).is_some_and(is_next) {
            self.explain_whole(zeroed);
        }
    }

    fn explain_whole(&mut self, index: usize) {
        let rss = self.reader.mappings[index].rss;
        self.heap.explained[index] += rss;
        self.heap.metadata += rss;
    }

    /// Visits all leaves; returns their addresses.
    fn leaves(&mut self) -> Result<HashSet<u64>, Damage> {
        let root = self.layout.root;
        let (mut seen, mut covered) = (HashSet::new(), HashSet::new());
        let mut next = self.reader.word("the list of leaves", root.leaf_head)?;
        while next != 0 {
            if !seen.insert(next) {
                return Err(Damage::new("the list of leaves has no end"));
            }
            self.reader.check("a leaf", next, root.leaf_bytes)?;
            let first = self.reader.word("a leaf", next + root.leaf_first_slice)?;
            if first >= 1 << (57 - root.slice_shift) || !covered.insert(first) {
                return Err(Damage::new(format!("a leaf claims to begin at slice {first}")));
            }
            self.leaf(next, first)?;
            next = self.reader.word("a leaf", next + root.leaf_next)?;
        }
        Ok(seen)
    }

    fn leaf(&mut self, leaf: u64, first: u64) -> Result<(), Damage> {
        let root = self.layout.root;
        self.covered = 0;
        let bitmap = |walk: &Self, offset| walk.reader.bytes("a leaf's bitmap", leaf + offset, root.leaf_slices / 8);
        let (owned, free) = (bitmap(self, root.leaf_owned)?, bitmap(self, root.leaf_free)?);
        let direct = bitmap(self, root.leaf_direct)?;
        let is_set = |bits: &[u8], index: u64| bits[(index / 8) as usize] >> (index % 8) & 1 == 1;
        for word in (0..root.leaf_slices).step_by(64) {
            if word_at(&owned, word as usize / 8) | word_at(&direct, word as usize / 8) == 0 {
                continue;
            }
            let row = leaf + root.leaf_metas + word * root.meta_stride;
            let metas = self.reader.bytes("page metas", row, 64 * root.meta_stride)?;
            for index in word..word + 64 {
                self.slices += 1;
                let meta = Meta::decode(&root, &metas, ((index - word) * root.meta_stride) as usize);
                let address = (first + index) << root.slice_shift;
                if is_set(&direct, index) && meta.owner == root.owner_direct {
                    let result = self.direct(&meta);
                    self.note(result);
                } else if is_set(&direct, index) && meta.owner == root.owner_kept {
                    let result = self.kept(&meta);
                    self.note(result);
                }
                let result = match (is_set(&owned, index), is_set(&free, index)) {
                    (false, _) => Ok(()),
                    _ if address < self.covered => Ok(()),
                    (true, true) => self.free_slice(address),
                    (true, false) => self.page(&meta, address),
                };
                self.note(result);
            }
            if self.slices > MOST_SLICES {
                return Err(Damage::new("the heap claims more than 1 TiB"));
            }
        }
        Ok(())
    }

    fn note(&mut self, result: Result<(), Damage>) {
        self.damage = self.damage.take().or(result.err());
    }

    fn add(&mut self, shares: &Shares, rounding: u64) {
        let heap = &mut self.heap;
        heap.live += shares.live - rounding.min(shares.live);
        heap.rounding += rounding.min(shares.live);
        heap.caches += shares.caches;
        heap.pinned += shares.pinned;
        heap.returnable += shares.returnable;
        heap.live_blocks += shares.live_blocks;
    }

    /// Resident bytes of a range that is of one kind.
    fn resident(&mut self, start: u64, bytes: u64) -> Result<u64, Damage> {
        let resident = self.residency(start, bytes)?;
        Ok(resident.iter().filter(|resident| **resident).count() as u64 * self.layout.root.os_page)
    }

    fn free_slice(&mut self, address: u64) -> Result<(), Damage> {
        self.heap.returnable += self.resident(address, self.layout.slice)?;
        Ok(())
    }

    /// Enters equal blocks into the record of OS pages, if there is one.
    fn record(&mut self, start: u64, size: u64, is_live: &[bool], resident: &[bool]) {
        if let Some(occupancy) = &mut self.occupancy {
            occupancy.add_blocks(start, size, is_live, resident);
        }
    }

    fn unclear(&mut self, address: u64, bytes: u64) -> Result<(), Damage> {
        self.heap.unclear += self.resident(address, bytes)?;
        Ok(())
    }

    fn direct(&mut self, meta: &Meta) -> Result<(), Damage> {
        self.reader.check("a direct mapping", meta.start, meta.span_bytes)?;
        let resident = self.residency(meta.start, meta.span_bytes)?;
        self.record(meta.start, meta.span_bytes, &[true], &resident);
        let shares = share_one(meta.requested, &resident, self.layout.root.os_page);
        self.add(&shares, shares.rounding);
        Ok(())
    }

    /// A direct mapping that was freed: it goes back unless a block of its size is asked for soon.
    fn kept(&mut self, meta: &Meta) -> Result<(), Damage> {
        self.reader.check("a kept mapping", meta.start, meta.span_bytes)?;
        self.heap.returnable += self.resident(meta.start, meta.span_bytes)?;
        Ok(())
    }

    fn page(&mut self, meta: &Meta, address: u64) -> Result<(), Damage> {
        let root = self.layout.root;
        match meta.owner {
            owner if owner == 0 || owner == root.owner_interior || owner == root.owner_direct => {
                self.unclear(address, self.layout.slice)
            }
            owner if owner == root.owner_run => {
                self.reader.check("a run", address, meta.span_bytes)?;
                self.covered = address + meta.span_bytes;
                let resident = self.residency(address, meta.span_bytes)?;
                self.record(address, meta.span_bytes, &[true], &resident);
                let shares = share_one(meta.requested, &resident, root.os_page);
                self.add(&shares, shares.rounding);
                Ok(())
            }
            _ => self.blocks(meta, address),
        }
    }

    fn blocks(&mut self, meta: &Meta, address: u64) -> Result<(), Damage> {
        let root = self.layout.root;
        let Some(&size) = self.layout.sizes.get(meta.class as usize) else {
            return Err(Damage::new(format!("the page at {address:#x} claims class {}", meta.class)));
        };
        let bytes = self.layout.slices(meta.class) << root.slice_shift;
        self.reader.check("a page", address, bytes)?;
        self.covered = address + bytes;
        let capacity = bytes / size;
        let states = self.reader.bytes("a page's state bytes", meta.states, capacity)?;
        let Some(cached) = meta.cached(&root, &states) else { return self.unclear(address, bytes) };
        let is_live: Vec<bool> = states.iter().map(|&state| u64::from(state) == root.state_live).collect();
        let resident = self.residency(address, bytes)?;
        self.record(address, size, &is_live, &resident);
        let shares = share_blocks(&is_live, size, cached, &resident, root.os_page);
        self.add(&shares, self.layout.rounding(meta.class as usize, shares.live));
        if shares.pinned > 0 {
            self.pins.entry(size).or_default().add(&Pin {
                block_bytes: size,
                live_blocks: shares.pinning_blocks,
                os_pages: shares.pinned_os_pages,
                free_bytes: shares.pinned,
            });
        }
        if let Some(occupancy) = &mut self.occupancy
            && shares.pinned_os_pages > 0
        {
            let (live_blocks, os_pages) = (shares.pinning_blocks, shares.pinned_os_pages);
            // All blocks of a page have one size.
            occupancy.hold(&Holder { from: size, to: size, live_blocks, os_pages, alone: os_pages });
        }
        Ok(())
    }

    /// Arenas and leaves. A leaf may lie inside an arena; then it is counted there.
    fn metadata(&mut self, leaves: &HashSet<u64>) -> Result<(), Damage> {
        let root = self.layout.root;
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let mut seen = HashSet::new();
        let mut next = self.reader.word("the list of arenas", root.metadata_head)?;
        while next != 0 {
            if !seen.insert(next) {
                return Err(Damage::new("the list of arenas has no end"));
            }
            let bytes = self.reader.word("a metadata arena", next.wrapping_add(8))?;
            self.reader.check("a metadata arena", next, bytes)?;
            ranges.push((next, bytes));
            next = self.reader.word("a metadata arena", next)?;
        }
        let is_inside = |leaf: u64| ranges.iter().any(|&(start, bytes)| leaf >= start && leaf - start < bytes);
        let apart: Vec<_> = leaves.iter().filter(|&&leaf| !is_inside(leaf)).map(|&l| (l, root.leaf_bytes)).collect();
        for (start, bytes) in ranges.into_iter().chain(apart) {
            self.heap.metadata += self.resident(start, bytes)?;
            if let Some(occupancy) = &mut self.occupancy {
                occupancy.own(start, start + bytes);
            }
        }
        Ok(())
    }
}
