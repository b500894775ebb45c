//! A process that does not exist: mappings, memory and page table of a small heap, for tests.

use crate::heap::Memory;
use crate::heap::image::Space;
use brkmap_wire::{ABI, COUNTERS, Counter, Move, RULES, Root, Rule, face};
use std::collections::BTreeSet;
use std::io;

pub(super) const OS_PAGE: u64 = 4096;
pub(super) const SLICE: u64 = 1 << 16;
pub(super) const ROOT: u64 = 0x1_0040;
const WORDS: u64 = 0x1_0800;
const COUNTER_TABLE: u64 = 0x1_0900;
const CLASSES: u64 = 0x1_0c00;
const RULE_TABLE: u64 = 0x1_0d00;
pub(super) const MOVES: u64 = 0x1_0e00;
pub(super) const ARENA: u64 = 0x10_0000;
const HEAP: u64 = ARENA + 0x100;
pub(super) const STATES: u64 = ARENA + 0x1000;
pub(super) const LEAF: u64 = 0x40_0000;
const LEAF_SLICES: u64 = 1024;
const OWNED: u64 = LEAF_SLICES * 64 + 64;
pub(super) const REGION: u64 = 0x100_0000;
pub(super) const DIRECT: u64 = 0x200_0000;

/// Memory in segments; see the constants for what lies where.
pub(super) struct Image {
    pub(super) space: Space,
    /// OS pages that are in memory.
    pub(super) resident: BTreeSet<u64>,
}

impl std::ops::Deref for Image {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.space
    }
}

impl std::ops::DerefMut for Image {
    fn deref_mut(&mut self) -> &mut Space {
        &mut self.space
    }
}

impl Memory for Image {
    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        self.space.read(address, out)
    }
}

impl Image {
    /// A root, a heap, a leaf and an arena; a region of four slices and a direct mapping, all empty.
    pub(super) fn new() -> Image {
        let mut image = Image { space: Space::default(), resident: BTreeSet::new() };
        image.map(0x1_0000, 0x1_1000, 7, "/cache/libbrkmap.so");
        image.map(ARENA, ARENA + 0x4000, 0, "[anon:brkmap metadata]");
        image.map(LEAF, LEAF + 0x2_0000, 0, "[anon:brkmap metadata]");
        image.map(REGION, REGION + 4 * SLICE, 0, "[anon:brkmap region]");
        image.map(DIRECT, DIRECT + 2 * SLICE, 0, "[anon:brkmap block]");
        image.set_resident(0x1_0000, OS_PAGE);
        image.set_root(&Image::root());
        for (index, value) in [LEAF, HEAP, ARENA, 128 << 10].into_iter().enumerate() {
            image.put(WORDS + index as u64 * 8, &value.to_le_bytes());
        }
        for (class, size) in [1024u32, 3000].into_iter().enumerate() {
            image.put(CLASSES + class as u64 * 4, &size.to_le_bytes());
        }
        image.put(COUNTER_TABLE + Counter::BreakGrow as u64 * 8, &5u64.to_le_bytes());
        for (rule, calls, bytes) in [(Rule::Holes, 7u64, 7 * OS_PAGE), (Rule::Trim, 1, SLICE)] {
            image.put(RULE_TABLE + rule as u64 * 16, &[calls.to_le_bytes(), bytes.to_le_bytes()].concat());
        }
        let (start, end) = (128 << 10, 132 << 10);
        image.put_move(
            0,
            Move { number: 1, freed: start, from: start, to: end, when_ms: 40, address: DIRECT, thread: 5 },
        );
        image.put_move(1, Move { number: 2, freed: 1 << 20, from: end, to: 2 << 20, when_ms: 90, ..Move::default() });
        image.put(ARENA + 8, &0x4000u64.to_le_bytes());
        // The heap: active, four requests of 768 bytes seen in class 0.
        image.put(HEAP + 8, &1u32.to_le_bytes());
        image.put(HEAP + 16, &[4u32.to_le_bytes(), 3072u32.to_le_bytes()].concat());
        image.put(LEAF + LEAF_SLICES * 64 + 8, &(REGION / SLICE).to_le_bytes());
        image
    }

    fn root() -> Root {
        Root {
            abi: ABI,
            version: Root::FIELDS_MARK | 1 << 32 | 2 << 16 | 3,
            face: face::C,
            self_address: ROOT,
            os_page: OS_PAGE,
            slice_shift: 16,
            leaf_slices: LEAF_SLICES,
            leaf_head: WORDS,
            leaf_next: LEAF_SLICES * 64,
            leaf_first_slice: LEAF_SLICES * 64 + 8,
            leaf_bytes: 0x2_0000,
            leaf_owned: OWNED,
            leaf_free: OWNED + 128,
            leaf_dirty: OWNED + 256,
            leaf_on_break: OWNED + 384,
            leaf_direct: OWNED + 512,
            meta_stride: 64,
            meta_span_bytes: 8,
            meta_start: 16,
            meta_in_play: 28,
            meta_class: 30,
            meta_flags: 31,
            meta_states: 32,
            meta_requested: 32,
            owner_interior: 1,
            owner_run: 2,
            owner_direct: 3,
            owner_kept: 4,
            status_mask: 3,
            status_current: 1,
            status_partial: 2,
            status_full: 3,
            flag_stale: 8,
            state_live: 1,
            state_freed: 2,
            state_remote: 3,
            state_loose: 4,
            class_sizes: CLASSES,
            class_count: 2,
            class_medium: 2,
            class_fine: 2,
            medium_slices: 8,
            heap_head: WORDS + 8,
            heap_state: 8,
            heap_active: 1,
            heap_samples: 16,
            heap_bytes: 64,
            counters: COUNTER_TABLE,
            counter_count: COUNTERS as u64,
            metadata_head: WORDS + 16,
            mmap_threshold: WORDS + 24,
            rules: RULE_TABLE,
            rule_count: RULES as u64,
            moves: MOVES,
            move_slots: 4,
            move_stride: 64,
            ..Root::EMPTY
        }
    }

    /// Writes the root.
    pub(super) fn set_root(&mut self, root: &Root) {
        let mut bytes = [0; Root::BYTES];
        root.encode(&mut bytes);
        self.put(ROOT, &bytes);
    }

    /// The root as it stands.
    pub(super) fn present_root(&self) -> Root {
        let mut bytes = [0; Root::BYTES];
        self.read(ROOT, &mut bytes).unwrap();
        Root::decode(&bytes).unwrap()
    }

    /// Writes a record of a threshold move.
    pub(super) fn put_move(&mut self, slot: u64, made: Move) {
        self.put(MOVES + slot * 64, &made.words().map(u64::to_le_bytes).concat());
    }

    /// Makes OS pages resident, and the mapping's RSS with them.
    pub(super) fn set_resident(&mut self, start: u64, bytes: u64) {
        let index = self.index(start);
        for address in (start..start + bytes).step_by(OS_PAGE as usize) {
            self.resident.insert(address / OS_PAGE);
            self.mappings[index].rss += OS_PAGE;
        }
    }

    /// Sets the bit of a slice of the region or the direct mapping in a bitmap.
    pub(super) fn set_bit(&mut self, bitmap: u64, address: u64) {
        let slice = (address - REGION) / SLICE;
        let at = LEAF + bitmap + slice / 8;
        let mut byte = [0];
        self.read(at, &mut byte).unwrap();
        self.put(at, &[byte[0] | 1 << (slice % 8)]);
    }

    /// Writes fields of the meta of a slice: offset and bytes.
    pub(super) fn set_meta(&mut self, address: u64, fields: &[(u64, &[u8])]) {
        let meta = LEAF + (address - REGION) / SLICE * 64;
        for (offset, bytes) in fields {
            self.put(meta + offset, bytes);
        }
    }

    /// Entries of the page table, as `/proc/PID/pagemap` has them.
    pub(super) fn table(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (first, count) = (offset / 8, out.len() as u64 / 8);
        out.fill(0);
        for page in self.resident.range(first..first.saturating_add(count)) {
            let at = (page - first) as usize * 8;
            out[at..at + 8].copy_from_slice(&(1u64 << 63).to_le_bytes());
        }
        Ok(())
    }
}
