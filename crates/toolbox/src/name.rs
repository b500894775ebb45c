//! Names of memory: in `/proc/PID/maps`, where the kernel can, and in a table that another process finds and reads.

use brkmap_wire::names::{ABI, BUSY, ENTRIES, MAGIC, NAME};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// The table as `brkmap_wire::names` describes it. It is written without a lock: an entry belongs to who exchanged its
/// start from 0.
#[repr(C, align(64))]
struct Table {
    magic: [u8; 16],
    abi: u64,
    own_address: AtomicU64,
    entries: u64,
    unused: [u64; 3],
    ranges: [Entry; ENTRIES],
}

#[repr(C)]
struct Entry {
    start: AtomicU64,
    bytes: AtomicU64,
    name: [AtomicU64; NAME / 8],
}

const _: () = assert!(size_of::<Table>() == brkmap_wire::names::BYTES);

static TABLE: Table = Table {
    magic: MAGIC,
    abi: ABI,
    own_address: AtomicU64::new(0),
    entries: ENTRIES as u64,
    unused: [0; 3],
    ranges: [const {
        Entry { start: AtomicU64::new(0), bytes: AtomicU64::new(0), name: [const { AtomicU64::new(0) }; NAME / 8] }
    }; ENTRIES],
};

/// What an allocator was named; its ranges are listed as long as this lives.
pub(crate) struct Name {
    text: &'static str,
}

impl Name {
    pub(crate) fn new(text: &'static str) -> Name {
        TABLE.own_address.store((&raw const TABLE).addr() as u64, Ordering::Relaxed);
        Name { text }
    }

    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// A range of memory gets this name. A full table does not list it.
    pub(crate) fn add(&self, range: NonNull<[u8]>) {
        let claim =
            |entry: &&Entry| entry.start.compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let Some(entry) = TABLE.ranges.iter().find(claim) else { return };
        entry.bytes.store(range.len() as u64, Ordering::Relaxed);
        let mut pieces = self.text.as_bytes().chunks(8);
        for word in &entry.name {
            let mut bytes = [0; 8];
            let piece = pieces.next().unwrap_or_default();
            bytes[..piece.len()].copy_from_slice(piece);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        entry.start.store(range.cast::<u8>().addr().get() as u64, Ordering::Release);
    }

    /// The range that starts there is gone.
    pub(crate) fn remove(&self, start: usize) {
        // A range has one owner, so nobody else takes this entry out.
        if let Some(entry) = TABLE.ranges.iter().find(|entry| entry.start.load(Ordering::Relaxed) == start as u64) {
            entry.start.store(0, Ordering::Release);
        }
    }
}

/// Names a mapping (`prctl(PR_SET_VMA_ANON_NAME)`): `[anon:toolbox NAME]`. Kernels without names refuse; nothing depends
/// on it.
#[cfg(feature = "os")]
pub(crate) fn name_mapping(range: NonNull<[u8]>, name: &str) {
    /// What the kernel takes, with the 0 at the end.
    const LONGEST: usize = 80;
    const PREFIX: &[u8] = b"toolbox ";
    let mut text = [0u8; LONGEST];
    text[..PREFIX.len()].copy_from_slice(PREFIX);
    for (to, from) in text[PREFIX.len()..LONGEST - 1].iter_mut().zip(name.bytes()) {
        // The kernel refuses these, and everything that does not print.
        *to = if from.is_ascii_graphic() && !br"\`$[]".contains(&from) || from == b' ' { from } else { b'?' };
    }
    let start = range.cast::<u8>().as_ptr();
    // SAFETY: [no-effect] the kernel copies the text; no memory changes.
    unsafe { libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, start, range.len(), text.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use brkmap_wire::names::{BYTES, decode};

    extern crate std;

    /// The table as another process would read it.
    fn listed(name: &str) -> std::vec::Vec<(u64, u64)> {
        // SAFETY: [exclusive-owner] plain words of a static, read while other tests may change them: each is atomic, and
        // a mixture is what another process may see too.
        let words = unsafe { core::slice::from_raw_parts((&raw const TABLE).cast::<AtomicU64>(), BYTES / 8) };
        let bytes: std::vec::Vec<u8> =
            words.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()).collect();
        let address = (&raw const TABLE).addr() as u64;
        let all = decode(&bytes, address).expect("a table at its own address");
        all.filter(|range| range.name == name.as_bytes()).map(|range| (range.start, range.bytes)).collect()
    }

    #[test]
    fn a_named_allocator_is_listed_with_its_chunks_as_long_as_it_lives() {
        let bump = crate::Bump::new().named("listed");
        assert!(listed("listed").is_empty(), "no chunk yet");
        let object = bump.alloc([0u8; 10_000]).as_ptr() as u64;
        let [(start, bytes)] = listed("listed")[..] else { panic!("one chunk: {:?}", listed("listed")) };
        assert_eq!(bytes as usize, bump.stats().held_bytes);
        assert!((start..start + bytes).contains(&object));
        bump.alloc([0u8; 100_000]);
        assert_eq!(listed("listed").len(), 2);
        drop(bump);
        assert!(listed("listed").is_empty());
    }

    #[test]
    fn a_second_name_replaces_the_first() {
        let bump = crate::Bump::new().named("listed first");
        bump.alloc(1);
        let bump = bump.named("listed second");
        assert_eq!((listed("listed first").len(), listed("listed second").len()), (0, 1));
        drop(bump);
        assert!(listed("listed first").is_empty() && listed("listed second").is_empty());
    }
}
