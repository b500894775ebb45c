//! What a running brkmap shows to another process.
//!
//! The library keeps one [`Root`] per engine in its writable, file-backed data (never in `.bss`), 64-byte aligned and
//! starting with [`MAGIC`]. A reader finds it without symbols: it scans the writable mappings that have a file behind
//! them, 64 bytes at a time. One process may hold several roots (the C library, a Rust program with its own engine).
//!
//! The root tells where everything else is *and how it is laid out*: strides, field offsets and encodings are data, so
//! a tool and a library of different versions understand each other as long as [`ABI`] is the same. All numbers are
//! little-endian 64-bit words. Readers decode bytes; nobody casts a pointer.
//!
//! ```text
//!   Root ──► first leaf ──► next leaf …        one leaf = 256 MiB of address space, 4096 slices of 64 KiB
//!     │        ├─ page metas   [4096 × 64 B]   one per slice; the meta of a page's first slice describes the page
//!     │        └─ bitmaps      [4096 bits]     owned, free, dirty, on_break, direct
//!     ├──► first heap ──► next heap …          one per thread that allocated (reused when threads end)
//!     ├──► counters                            kernel calls and bytes, see [`Counter`]
//!     ├──► class sizes                         u32 per size class
//!     ├──► first metadata arena ──► next …     {next, bytes} at the start of each
//!     └──► rules and moves                     what the policy did, see [`Rule`] and [`Move`]
//! ```
//!
//! Fields are only ever appended, and the root says how many it has ([`Root::fields`]): a newer reader finds 0 in those
//! that an older library does not know, an older reader does not look at what it does not know.
//!
//! Who writes this: `brkmap-core` (which asserts its layout against the root it publishes). Who reads it: the command.
#![no_std]
#![forbid(unsafe_code)]

mod ledger;
pub mod names;

pub use ledger::{MOVE_SLOTS, MOVE_WORDS, Move, RULE_BYTES, RULES, Rule};

/// The first 16 bytes of every root.
pub const MAGIC: [u8; 16] = *b"\x7fbrkmap\x00root\x1a\x0d\x0a\x00";
/// Layout version of [`Root`]; a reader refuses another one.
pub const ABI: u64 = 3;
/// Alignment at which a reader looks for [`MAGIC`].
pub const ROOT_ALIGN: usize = 64;

macro_rules! root {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The published root. Shape: [`MAGIC`], then one `u64` per field in this order.
        #[repr(C, align(64))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Root {
            /// Always [`MAGIC`].
            pub magic: [u8; 16],
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Root {
            /// Number of 64-bit fields after the magic.
            pub const FIELDS: usize = [$(stringify!($name)),*].len();
            /// Bytes a reader has to fetch.
            pub const BYTES: usize = 16 + 8 * Self::FIELDS;
            /// A root of zeros behind the magic: published before the engine's first allocation.
            pub const EMPTY: Root = Root { magic: MAGIC, $($name: 0,)* };

            /// Decodes a root. `None` if the bytes are too few, the magic is absent or the ABI is another one.
            /// A root whose `abi` is 0 belongs to a library that is loaded and was never called: it decodes.
            /// Fields that the root does not have are 0.
            pub fn decode(bytes: &[u8]) -> Option<Root> {
                if bytes.len() < Self::LEAST_BYTES || bytes[..16] != MAGIC { return None; }
                let word = |index: usize| {
                    let word = bytes.get(16 + 8 * index..24 + 8 * index)?;
                    Some(u64::from_le_bytes(word.try_into().ok()?))
                };
                let fields = Self::fields(word(1)?);
                let mut next = 0..fields;
                let mut field = || next.next().and_then(word).unwrap_or(0);
                let root = Root { magic: MAGIC, $($name: field(),)* };
                (root.abi == ABI || root.abi == 0).then_some(root)
            }

            /// The inverse of [`Root::decode`], for tests and recorded images.
            pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
                let out = out.get_mut(..Self::BYTES)?;
                out[..16].copy_from_slice(&self.magic);
                let mut at = 16;
                for word in [$(self.$name),*] {
                    out[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    at += 8;
                }
                Some(at)
            }
        }
    };
}

/// Fields of the first roots, which did not say how many they had.
const FIRST_FIELDS: usize = 57;

impl Root {
    /// Bytes that every root has.
    pub const LEAST_BYTES: usize = 16 + 8 * FIRST_FIELDS;
    /// What a root says in `version` about the number of its fields.
    pub const FIELDS_MARK: u64 = (Self::FIELDS as u64) << 48;

    /// Number of fields that a root with this `version` has.
    fn fields(version: u64) -> usize {
        match (version >> 48) as usize {
            0 => FIRST_FIELDS,
            fields => fields,
        }
    }
}

root! {
    /// [`ABI`] once the engine has allocated; 0 before (all other fields are 0 then, too).
    abi,
    /// Version of the library as `major << 32 | minor << 16 | patch`, and above it the number of the root's fields.
    version,
    /// Which face owns the engine: see [`face`].
    face,
    /// The process that initialised the engine (a fork child keeps its parent's number).
    pid,
    /// Address of this root in the target.
    self_address,
    /// Bytes of an OS page.
    os_page,
    /// log2 of the slice, the granule of lookup (16 = 64 KiB).
    slice_shift,
    /// Slices per leaf (4096).
    leaf_slices,
    /// Address of a word that holds the address of the first leaf (0 = none). Leaves are never unmapped.
    leaf_head,
    /// Offset in a leaf of the next leaf's address (u64).
    leaf_next,
    /// Offset in a leaf of its first slice number (u64): address = number << slice_shift.
    leaf_first_slice,
    /// Bytes of one leaf.
    leaf_bytes,
    /// Offset in a leaf of the bitmap of slices that belong to the engine's spans (break or mapped regions).
    leaf_owned,
    /// Offset of the bitmap of owned slices that no page uses.
    leaf_free,
    /// Offset of the bitmap of free slices that may still be resident.
    leaf_dirty,
    /// Offset of the bitmap of owned slices that lie on the program break.
    leaf_on_break,
    /// Offset of the bitmap of slices in which a direct mapping starts (never owned).
    leaf_direct,
    /// Offset in a leaf of the page metas.
    leaf_metas,
    /// Bytes from one page meta to the next.
    meta_stride,
    /// Offset in a meta of the owner word (u64): see `owner_*`.
    meta_owner,
    /// Offset of the number of blocks in play (u16): those of the page that are live, on their way from the thread that freed
    /// them, or in the page's list.
    meta_in_play,
    /// Offset of the size class (u8).
    meta_class,
    /// Offset of the flags byte (u8): see `status_*`.
    meta_flags,
    /// Offset of the address of the page's state bytes (u64): one per block that fits the page, see `state_*`.
    meta_states,
    /// Offset of the address of the page, or of the block of a run or a direct mapping (u64; a mapping may start below it).
    meta_start,
    /// For runs and direct mappings: offset of the span's bytes (u64).
    meta_span_bytes,
    /// For runs and direct mappings: offset of the bytes that the program asked for (u64).
    meta_requested,
    /// Owner values that are no heap: slice inside a longer page (those inside a run have owner 0).
    owner_interior,
    /// Owner value of a run of slices that is one block.
    owner_run,
    /// Owner value of a direct mapping.
    owner_direct,
    /// Mask of the status in the flags byte.
    status_mask,
    /// Status: blocks are being handed out from this page; those in play that are not live are a thread's to take.
    status_current,
    /// Status: has free blocks.
    status_partial,
    /// Status: was full, or nearly, when last looked at.
    status_full,
    /// Flag in the flags byte: free blocks were found behind the owner's back, so the number in play may be wrong; the
    /// state bytes are right.
    flag_stale,
    /// State byte: block is free and was never handed out.
    state_never,
    /// State byte: block is live.
    state_live,
    /// State byte: block is free.
    state_freed,
    /// State byte: block is free, and the thread that freed it or the page's remote word names it to the owner.
    state_remote,
    /// Address of the class table: u32 block size per class.
    class_sizes,
    /// Number of classes.
    class_count,
    /// First class whose pages are 8 slices long; pages of the classes before it and from `class_fine` on are 1 slice.
    class_medium,
    /// First of the 8-byte-step classes that only Rust layouts use.
    class_fine,
    /// Slices of a medium page.
    medium_slices,
    /// Address of a word that holds the address of the first heap.
    heap_head,
    /// Offset in a heap of the next heap's address (u64).
    heap_next,
    /// Offset of the state word (u32): see `heap_*`.
    heap_state,
    /// Offset of the thread id of the owner (u32).
    heap_thread,
    /// Heap state: no thread has it.
    heap_idle,
    /// Heap state: a thread has it.
    heap_active,
    /// Offset in a heap of the request samples: class_count × {u32 requests seen, u32 sum of their bytes}. Only
    /// requests that took the slow path are seen; the mean request of a class estimates the rounding inside its blocks.
    heap_samples,
    /// Bytes of one heap.
    heap_bytes,
    /// Address of the counters, one u64 each, indexed by [`Counter`].
    counters,
    /// Number of counters.
    counter_count,
    /// Address of a word that holds the address of the newest metadata arena: {u64 next, u64 bytes} at its start.
    metadata_head,
    /// Present mmap threshold in bytes, as an address of a u64.
    mmap_threshold,
    /// Present trim threshold in bytes, as an address of a u64.
    trim_threshold,
    /// Address of the table of rules: {u64 calls, u64 bytes} each, see [`Rule`].
    rules,
    /// Number of rules.
    rule_count,
    /// Address of the records of threshold moves, see [`Move`].
    moves,
    /// Number of records.
    move_slots,
    /// Bytes from one record to the next.
    move_stride,
    /// Owner value of a direct mapping that was freed and is kept for the next block of its size; it has its bit in
    /// `leaf_direct`, and holds no block.
    owner_kept,
    /// State byte: block is free, freed by another thread than the page's owner, which has yet to find it. 0: the library has no
    /// such state.
    state_loose,
}

// Older readers and libraries know the fields up to here by their places.
const _: () = assert!(core::mem::offset_of!(Root, rules) == Root::LEAST_BYTES);

/// Values of `Root::face`.
pub mod face {
    /// `libbrkmap.so` or `libbrkmap.a`.
    pub const C: u64 = 1;
    /// A Rust `#[global_allocator]`.
    pub const RUST: u64 = 2;
}

/// Indices into the counters. Counts only grow; `*Live` fall again. New ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Successful moves of the break upwards.
    BreakGrow,
    /// Bytes of these moves.
    BreakGrowBytes,
    /// Successful moves of the break downwards.
    BreakShrink,
    /// Bytes of these moves.
    BreakShrinkBytes,
    /// Moves of the break that the kernel or libc refused.
    BreakRefused,
    /// Mappings made for spans (regions that many blocks share).
    MapRegion,
    /// Bytes of these mappings.
    MapRegionBytes,
    /// Mappings made for one block each (direct mappings).
    MapDirect,
    /// Bytes of these mappings.
    MapDirectBytes,
    /// Mappings made for metadata.
    MapMetadata,
    /// Bytes of these mappings.
    MapMetadataBytes,
    /// Mappings the kernel refused.
    MapRefused,
    /// Unmappings.
    Unmap,
    /// Bytes unmapped.
    UnmapBytes,
    /// `mremap` calls that succeeded.
    Remap,
    /// Bytes by which they grew or shrank mappings (sum of absolute values).
    RemapBytes,
    /// Give-back calls (`madvise`).
    Purge,
    /// Bytes they covered.
    PurgeBytes,
    /// Give-back calls that failed.
    PurgeRefused,
    /// Direct mappings that live now.
    DirectLive,
    /// Their bytes.
    DirectLiveBytes,
    /// Highest value of `DirectLive`.
    DirectPeak,
    /// Highest value of `DirectLiveBytes`.
    DirectPeakBytes,
    /// Bytes of owned slices (break and regions), free ones too.
    OwnedBytes,
    /// Bytes of slices that pages and runs use now.
    UsedSliceBytes,
    /// Bytes of runs that live now (blocks between the medium classes and the mmap threshold).
    RunLiveBytes,
    /// Heaps ever made.
    Heaps,
    /// Times a thread took over an idle heap.
    HeapsReused,
    /// Pages taken over from idle heaps.
    PagesAdopted,
    /// Batches of blocks handed to the heap of another thread.
    RemoteBatches,
    /// Requests that could not be served.
    OutOfMemory,
    /// Times the mmap threshold moved.
    ThresholdMoves,
    /// Bytes of freed direct mappings that are kept now.
    KeptLiveBytes,
    /// Times a kept mapping served a block.
    KeptReused,
}

/// Number of counters this version writes.
pub const COUNTERS: usize = Counter::KeptReused as usize + 1;

impl Counter {
    /// All counters, each at its own index.
    pub const ALL: [Counter; COUNTERS] = [
        Counter::BreakGrow,
        Counter::BreakGrowBytes,
        Counter::BreakShrink,
        Counter::BreakShrinkBytes,
        Counter::BreakRefused,
        Counter::MapRegion,
        Counter::MapRegionBytes,
        Counter::MapDirect,
        Counter::MapDirectBytes,
        Counter::MapMetadata,
        Counter::MapMetadataBytes,
        Counter::MapRefused,
        Counter::Unmap,
        Counter::UnmapBytes,
        Counter::Remap,
        Counter::RemapBytes,
        Counter::Purge,
        Counter::PurgeBytes,
        Counter::PurgeRefused,
        Counter::DirectLive,
        Counter::DirectLiveBytes,
        Counter::DirectPeak,
        Counter::DirectPeakBytes,
        Counter::OwnedBytes,
        Counter::UsedSliceBytes,
        Counter::RunLiveBytes,
        Counter::Heaps,
        Counter::HeapsReused,
        Counter::PagesAdopted,
        Counter::RemoteBatches,
        Counter::OutOfMemory,
        Counter::ThresholdMoves,
        Counter::KeptLiveBytes,
        Counter::KeptReused,
    ];

    /// Its name in reports and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Counter::BreakGrow => "break_grow",
            Counter::BreakGrowBytes => "break_grow_bytes",
            Counter::BreakShrink => "break_shrink",
            Counter::BreakShrinkBytes => "break_shrink_bytes",
            Counter::BreakRefused => "break_refused",
            Counter::MapRegion => "map_region",
            Counter::MapRegionBytes => "map_region_bytes",
            Counter::MapDirect => "map_direct",
            Counter::MapDirectBytes => "map_direct_bytes",
            Counter::MapMetadata => "map_metadata",
            Counter::MapMetadataBytes => "map_metadata_bytes",
            Counter::MapRefused => "map_refused",
            Counter::Unmap => "unmap",
            Counter::UnmapBytes => "unmap_bytes",
            Counter::Remap => "remap",
            Counter::RemapBytes => "remap_bytes",
            Counter::Purge => "purge",
            Counter::PurgeBytes => "purge_bytes",
            Counter::PurgeRefused => "purge_refused",
            Counter::DirectLive => "direct_live",
            Counter::DirectLiveBytes => "direct_live_bytes",
            Counter::DirectPeak => "direct_peak",
            Counter::DirectPeakBytes => "direct_peak_bytes",
            Counter::OwnedBytes => "owned_bytes",
            Counter::UsedSliceBytes => "used_slice_bytes",
            Counter::RunLiveBytes => "run_live_bytes",
            Counter::Heaps => "heaps",
            Counter::HeapsReused => "heaps_reused",
            Counter::PagesAdopted => "pages_adopted",
            Counter::RemoteBatches => "remote_batches",
            Counter::OutOfMemory => "out_of_memory",
            Counter::ThresholdMoves => "threshold_moves",
            Counter::KeptLiveBytes => "kept_live_bytes",
            Counter::KeptReused => "kept_reused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_survives_the_wire() {
        let mut root = Root::EMPTY;
        root.abi = ABI;
        root.trim_threshold = 0xfedc_ba98_7654_3210;
        let mut bytes = [0u8; Root::BYTES];
        assert_eq!(root.encode(&mut bytes), Some(Root::BYTES));
        assert_eq!(Root::decode(&bytes), Some(root));
        assert_eq!(size_of::<Root>(), Root::BYTES.next_multiple_of(ROOT_ALIGN));
    }

    #[test]
    fn roots_of_other_versions_decode() {
        let full = Root { abi: ABI, version: 7 << 32 | Root::FIELDS_MARK, trim_threshold: 5, rules: 6, ..Root::EMPTY };
        let mut bytes = [0xaa; Root::BYTES + 64];
        full.encode(&mut bytes).unwrap();
        assert_eq!(Root::decode(&bytes).unwrap(), full, "what follows is not looked at");
        let newer = Root { version: full.version + (3 << 48), ..full };
        newer.encode(&mut bytes).unwrap();
        assert_eq!(Root::decode(&bytes).unwrap(), newer, "nor are fields that a newer library has");
        // The first roots did not say how many fields they had; behind them lie other things.
        let older = Root { version: 7 << 32, ..full };
        older.encode(&mut bytes).unwrap();
        assert_eq!(Root::decode(&bytes).unwrap(), Root { rules: 0, ..older });
        assert_eq!(Root::decode(&bytes[..Root::LEAST_BYTES]).unwrap(), Root { rules: 0, ..older });
        assert_eq!(Root::decode(&bytes[..Root::LEAST_BYTES - 1]), None);
    }

    #[test]
    fn counters_stand_at_their_index() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
            assert!(Counter::ALL[..index].iter().all(|other| other.name() != counter.name()));
        }
    }

    #[test]
    fn what_is_not_a_root_is_refused() {
        let mut bytes = [0u8; Root::BYTES];
        assert_eq!(Root::decode(&bytes), None);
        let mut root = Root::EMPTY;
        root.abi = ABI + 1;
        root.encode(&mut bytes).unwrap();
        assert_eq!(Root::decode(&bytes), None);
        assert_eq!(Root::decode(&bytes[..40]), None);
        assert_eq!(Root::decode(&[]), None);
    }
}
