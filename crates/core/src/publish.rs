//! Shows the engine's layout to inspectors, once, at the first allocation (`brkmap-wire` says how it is read).

use core::mem::offset_of;

use brkmap_sys::Kernel;
use brkmap_wire::{ABI, COUNTERS, MAGIC, MOVE_SLOTS, RULES, Root};

use crate::classes::{CLASSES, FIRST_FINE, FIRST_MEDIUM, MEDIUM_SLICES, SIZES};
use crate::engine::{Engine, Platform};
use crate::geometry::{LEAF_SLICES, SLICE_SHIFT};
use crate::heap::Heap;
use crate::ledger::MOVE_STRIDE;
use crate::lifecycle;
use crate::page::{PageMeta, STALE, STATUS_MASK, Status, owner, state};
use crate::page_map::Leaf;

/// The version in the root: `major << 32 | minor << 16 | patch`.
const VERSION: u64 = {
    const fn number(text: &str) -> u64 {
        let (bytes, mut value, mut at) = (text.as_bytes(), 0, 0);
        while at < bytes.len() {
            value = value * 10 + (bytes[at] - b'0') as u64;
            at += 1;
        }
        value
    }
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 32
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 16
        | number(env!("CARGO_PKG_VERSION_PATCH"))
};

/// The address of something static or pinned, as the root has it.
fn address<T: ?Sized>(of: &T) -> u64 {
    (&raw const *of).cast::<u8>().expose_provenance() as u64
}

impl<P: Platform> Engine<P> {
    /// Writes the root. Under the first initialisation.
    pub(crate) fn publish(&self) {
        let Some((cell, face)) = self.platform.root() else { return };
        let root = Root { face, self_address: cell.0.get().expose_provenance() as u64, ..self.describe() };
        // SAFETY: [root-once] this runs once; in this process nobody reads the cell.
        unsafe { cell.0.get().write_volatile(root) };
    }

    /// The layout and the addresses of this engine.
    pub fn describe(&self) -> Root {
        // SAFETY: [store-lock] only the address of the field is taken, nothing is read.
        let metadata_head = unsafe { &raw const (*self.spans.get()).metadata.head };
        Root {
            magic: MAGIC,
            abi: ABI,
            version: VERSION | Root::FIELDS_MARK,
            face: 0,
            pid: self.kernel().process_id() as u64,
            self_address: 0,
            os_page: self.kernel().page_size() as u64,
            slice_shift: SLICE_SHIFT as u64,
            leaf_slices: LEAF_SLICES as u64,
            leaf_head: self.map.head_address() as u64,
            leaf_next: offset_of!(Leaf, next) as u64,
            leaf_first_slice: offset_of!(Leaf, first_slice) as u64,
            leaf_bytes: size_of::<Leaf>() as u64,
            leaf_owned: offset_of!(Leaf, owned) as u64,
            leaf_free: offset_of!(Leaf, free) as u64,
            leaf_dirty: offset_of!(Leaf, dirty) as u64,
            leaf_on_break: offset_of!(Leaf, on_break) as u64,
            leaf_direct: offset_of!(Leaf, direct) as u64,
            leaf_metas: offset_of!(Leaf, metas) as u64,
            meta_stride: size_of::<PageMeta>() as u64,
            meta_owner: offset_of!(PageMeta, owner) as u64,
            meta_in_play: offset_of!(PageMeta, in_play) as u64,
            meta_class: offset_of!(PageMeta, class) as u64,
            meta_flags: offset_of!(PageMeta, flags) as u64,
            meta_states: offset_of!(PageMeta, states) as u64,
            meta_start: offset_of!(PageMeta, start) as u64,
            meta_span_bytes: offset_of!(PageMeta, local) as u64,
            meta_requested: offset_of!(PageMeta, states) as u64,
            owner_interior: owner::INTERIOR as u64,
            owner_run: owner::RUN as u64,
            owner_direct: owner::DIRECT as u64,
            status_mask: STATUS_MASK as u64,
            status_current: Status::Current as u64,
            status_partial: Status::Partial as u64,
            status_full: Status::Full as u64,
            flag_stale: STALE as u64,
            state_remote: state::REMOTE as u64,
            state_never: state::NEVER as u64,
            state_live: state::LIVE as u64,
            state_freed: state::FREED as u64,
            class_sizes: address(&SIZES),
            class_count: CLASSES as u64,
            class_medium: FIRST_MEDIUM as u64,
            class_fine: FIRST_FINE as u64,
            medium_slices: MEDIUM_SLICES as u64,
            heap_head: address(&self.heaps),
            heap_next: offset_of!(Heap, next) as u64,
            heap_state: offset_of!(Heap, lifecycle) as u64,
            heap_thread: offset_of!(Heap, thread) as u64,
            heap_idle: lifecycle::IDLE as u64,
            heap_active: lifecycle::ACTIVE as u64,
            heap_samples: offset_of!(Heap, samples) as u64,
            heap_bytes: size_of::<Heap>() as u64,
            counters: address(&self.counters),
            counter_count: COUNTERS as u64,
            metadata_head: metadata_head.expose_provenance() as u64,
            mmap_threshold: address(&self.tunables.mmap_threshold),
            trim_threshold: address(&self.tunables.trim_threshold),
            rules: address(&self.ledger.rules),
            rule_count: RULES as u64,
            moves: address(&self.ledger.moves),
            move_slots: MOVE_SLOTS as u64,
            move_stride: MOVE_STRIDE as u64,
            owner_kept: owner::KEPT as u64,
            state_loose: state::LOOSE as u64,
        }
    }
}

// What the wire promises about the layout.
const _: () = {
    assert!(offset_of!(Leaf, owned) % 8 == 0 && offset_of!(Leaf, direct) % 8 == 0);
};
