//! `/proc/PID/pagemap`: one 64-bit word per OS page.

/// Bytes of an entry.
pub(crate) const ENTRY: u64 = 8;

/// Where the entry of an address stands in the file.
pub(crate) fn offset(address: u64, os_page: u64) -> u64 {
    address / os_page * ENTRY
}

/// Whether the OS page is in memory.
pub(crate) fn is_resident(entry: u64) -> bool {
    entry & (1 << 63) != 0
}

/// Whether the OS page is in swap.
pub(crate) fn is_swapped(entry: u64) -> bool {
    entry & (1 << 62) != 0
}

/// Splits the file's bytes into entries; a torn last entry is dropped.
pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_flags_read() {
        let mut bytes = (1u64 << 63).to_le_bytes().to_vec();
        bytes.extend((1u64 << 62 | 5).to_le_bytes());
        bytes.extend([0xff; 7]);
        let all: Vec<u64> = entries(&bytes).collect();
        assert_eq!(all.len(), 2);
        assert!(is_resident(all[0]) && !is_swapped(all[0]));
        assert!(!is_resident(all[1]) && is_swapped(all[1]));
        assert_eq!(offset(0x3000, 4096), 24);
    }
}
