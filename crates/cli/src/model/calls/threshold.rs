//! glibc's rule for its mmap threshold, replayed from the calls.
//!
//! glibc gives blocks of the threshold and above a mapping of their own. Freeing such a block unmaps it, and if its chunk
//! is larger than the threshold and not above 32 MiB, the threshold becomes the chunk's size and the trim threshold twice
//! that ("Update in 2006" in glibc's malloc.c): blocks below come from the break from then on. Setting any of four options
//! ends this for the life of the process.

/// Where the threshold begins.
pub(crate) const START: u64 = 128 << 10;
/// It moves to values below this, `DEFAULT_MMAP_THRESHOLD_MAX` on 64-bit machines: glibc compares the size together with the
/// flag that marks a mapped chunk.
const HIGHEST: u64 = 32 << 20;
/// Bit of a chunk's size that says that it has a mapping of its own.
const IS_MAPPED: u64 = 2;
/// Options whose setting ends the moves: as variables, and as tunables.
const OPTIONS: [(&str, &str); 4] = [
    ("MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold"),
    ("MALLOC_TRIM_THRESHOLD_", "glibc.malloc.trim_threshold"),
    ("MALLOC_TOP_PAD_", "glibc.malloc.top_pad"),
    ("MALLOC_MMAP_MAX_", "glibc.malloc.mmap_max"),
];

/// The threshold of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    pub(crate) bytes: u64,
    pub(crate) is_dynamic: bool,
}

impl Default for Threshold {
    fn default() -> Threshold {
        Threshold { bytes: START, is_dynamic: true }
    }
}

impl Threshold {
    /// As the environment of a process sets it.
    pub(crate) fn of<'a>(environment: impl Iterator<Item = &'a str>) -> Threshold {
        let mut threshold = Threshold::default();
        for (name, value) in environment.filter_map(|variable| variable.split_once('=')) {
            let tunables = if name == "GLIBC_TUNABLES" { value } else { "" };
            let tunables = tunables.split(':').filter_map(|tunable| tunable.split_once('='));
            for (name, value) in tunables.chain([(name, value)]) {
                let Some(index) = OPTIONS.iter().position(|&(variable, tunable)| name == variable || name == tunable)
                else {
                    continue;
                };
                threshold.is_dynamic = false;
                if let (0, Some(bytes)) = (index, number(value)) {
                    threshold.bytes = bytes;
                }
            }
        }
        threshold
    }

    /// A chunk with a mapping of its own is freed; the result is from where to where the threshold moved.
    pub(crate) fn free(&mut self, chunk: u64) -> Option<(u64, u64)> {
        if !self.is_dynamic || chunk <= self.bytes || chunk >= HIGHEST {
            return None;
        }
        Some((std::mem::replace(&mut self.bytes, chunk), chunk))
    }
}

/// Whether the 16 bytes at the start of a mapping are the head of a chunk that is the whole mapping.
pub(crate) fn is_chunk(head: &[u8; 16], length: u64) -> bool {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at + index]));
    word(0) == 0 && word(8) == length | IS_MAPPED
}

/// As `strtoul` with base 0 reads it.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn frees_of_mapped_chunks_raise_it() {
        let mut threshold = Threshold::of(["HOME=/", "MALLOC_ARENA_MAX=1"].into_iter());
        assert_eq!(threshold.free(START), None, "as large as the threshold");
        assert_eq!(threshold.free(5 * MIB + 4096), Some((START, 5 * MIB + 4096)));
        assert_eq!(threshold.free(MIB), None);
        assert_eq!(threshold.free(HIGHEST + 4096), None, "too large to learn from");
        assert_eq!(threshold.free(HIGHEST), None);
        assert_eq!(threshold.free(HIGHEST - 4096), Some((5 * MIB + 4096, HIGHEST - 4096)));
    }

    #[test]
    fn a_setting_ends_the_moves() {
        for variable in [
            "MALLOC_MMAP_THRESHOLD_=65536",
            "MALLOC_TOP_PAD_=0",
            "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mmap_max=5",
        ] {
            let mut threshold = Threshold::of([variable].into_iter());
            assert_eq!(threshold.free(MIB), None, "{variable}");
        }
        let set = Threshold::of(["GLIBC_TUNABLES=glibc.malloc.mmap_threshold=0x10000"].into_iter());
        assert_eq!(set, Threshold { bytes: 0x10000, is_dynamic: false });
    }

    #[test]
    fn heads_of_chunks_are_told_from_other_bytes() {
        let head = |before: u64, size: u64| {
            let mut head = [0; 16];
            head[..8].copy_from_slice(&before.to_le_bytes());
            head[8..].copy_from_slice(&size.to_le_bytes());
            head
        };
        assert!(is_chunk(&head(0, MIB | 2), MIB));
        assert!(!is_chunk(&head(0, MIB), MIB) && !is_chunk(&head(0, 0), MIB) && !is_chunk(&head(16, MIB | 2), MIB));
    }
}
