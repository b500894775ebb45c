//! Heaps that are not malloc's: of languages, and of other allocators. What their memory looks like is checked piece by
//! piece where that is possible; the rest of the anonymous memory is named after whoever must have mapped it.

pub(crate) mod kind;
mod python;
mod v8;

use crate::heap::Memory;
use crate::proc::residency::{OS_PAGE, Residency};
use crate::proc::smaps::Mapping;
use kind::Runtime;

/// Heads of pieces that are read together.
const BATCH: usize = 512;

/// Resident bytes of such a heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) runtime: Runtime,
    /// Bytes in use, where that is known.
    pub(crate) live: Option<u64>,
    pub(crate) resident: u64,
    /// Resident bytes explained, per mapping.
    pub(crate) explained: Vec<u64>,
}

/// A piece that was recognised.
struct Piece {
    bytes: u64,
    /// Live bytes in it, if its head tells.
    live: Option<u64>,
}

/// Parts of the anonymous private memory that nobody claimed, with the index of their mapping. `claims` is sorted.
fn unclaimed(mappings: &[Mapping], claims: &[(u64, u64)]) -> Vec<(usize, u64, u64)> {
    let mut parts = Vec::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let is_anonymous = mapping.inode == 0 && (mapping.name.is_empty() || mapping.name.starts_with("[anon:"));
        if !is_anonymous || !mapping.private || mapping.rss == 0 {
            continue;
        }
        let mut at = mapping.start;
        let first = claims.partition_point(|claim| claim.1 <= mapping.start);
        for claim in claims[first..].iter().take_while(|claim| claim.0 < mapping.end) {
            if claim.0 > at {
                parts.push((index, at, claim.0));
            }
            at = at.max(claim.1.next_multiple_of(OS_PAGE));
        }
        if at < mapping.end {
            parts.push((index, at, mapping.end));
        }
    }
    parts
}

/// Looks for the heaps of the runtimes that a process has. `claims` are malloc's ranges, sorted.
pub(crate) fn read(
    memory: &dyn Memory,
    mappings: &[Mapping],
    residency: &Residency,
    claims: &[(u64, u64)],
    runtimes: &[Runtime],
) -> Vec<Foreign> {
    let parts = unclaimed(mappings, claims);
    let scan = Scan { memory, residency, mappings: mappings.len(), parts: &parts };
    let look = |&runtime: &Runtime| match runtime {
        Runtime::CPython => python::read(&scan),
        Runtime::V8 => v8::read(&scan),
        _ => None,
    };
    runtimes.iter().filter_map(look).collect()
}

/// A search for pieces in what nobody claimed.
struct Scan<'a> {
    memory: &'a dyn Memory,
    residency: &'a Residency,
    mappings: usize,
    parts: &'a [(usize, u64, u64)],
}

impl Scan<'_> {
    /// Looks at every resident multiple of `step`: `judge` gets its address, the first 64 bytes and the end of the part.
    fn pieces(&self, runtime: Runtime, step: u64, judge: impl Fn(u64, &[u8], u64) -> Option<Piece>) -> Option<Foreign> {
        let mut found = Foreign { runtime, live: None, resident: 0, explained: vec![0; self.mappings] };
        for &(index, start, end) in self.parts {
            let mut at = start.next_multiple_of(step);
            while at < end {
                let places: Vec<u64> = self.places(at, end, step).take(BATCH).collect();
                let Some(&last) = places.last() else { break };
                let heads = self.heads(&places);
                at = last + step;
                let mut covered = 0;
                for (&place, head) in places.iter().zip(heads.chunks_exact(64)) {
                    let Some(piece) = (place >= covered).then(|| judge(place, head, end)).flatten() else { continue };
                    let resident = self.residency.resident(place, place + piece.bytes);
                    covered = place + piece.bytes;
                    found.resident += resident;
                    found.explained[index] += resident;
                    if let Some(live) = piece.live {
                        *found.live.get_or_insert(0) += live.min(resident);
                    }
                }
                at = at.max(covered.next_multiple_of(step));
            }
        }
        (found.resident > 0).then_some(found)
    }

    fn places(&self, start: u64, end: u64, step: u64) -> impl Iterator<Item = u64> + '_ {
        let stretches = self.residency.within(start, end);
        stretches.flat_map(move |s| (s.start.next_multiple_of(step)..s.end).step_by(step as usize))
    }

    fn heads(&self, places: &[u64]) -> Vec<u8> {
        let ranges: Vec<(u64, usize)> = places.iter().map(|&place| (place, 64)).collect();
        let mut bytes = vec![0; places.len() * 64];
        if self.memory.read_ranges(&ranges, &mut bytes).is_err() {
            for (&place, head) in places.iter().zip(bytes.chunks_exact_mut(64)) {
                if self.memory.read(place, head).is_err() {
                    head.fill(0);
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::campaign;
    use crate::heap::image::Space;
    use crate::proc::residency::{Stretch, category};
    use crate::proc::smaps;
    use std::io;

    /// Memory from 0 on.
    struct Flat(Vec<u8>);

    impl Memory for Flat {
        fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
            let place = self.0.get(address as usize..address as usize + out.len());
            out.copy_from_slice(place.ok_or(io::ErrorKind::NotFound)?);
            Ok(())
        }
    }

    fn put(memory: &mut Flat, at: usize, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            memory.0[at + index * 8..at + index * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    fn all_resident(bytes: u64) -> Residency {
        let mut residency = Residency::default();
        residency.push(Stretch { start: 0, end: bytes, categories: category::PRESENT });
        residency
    }

    fn found(memory: &Flat, claims: &[(u64, u64)], runtime: Runtime) -> Option<Foreign> {
        let end = memory.0.len() as u64;
        let mappings = smaps::parse(&format!("0-{end:x} rw-p 0 0:0 0\nRss: {} kB\n", end / 1024));
        read(memory, &mappings, &all_resident(end), claims, &[runtime]).pop()
    }

    /// Damaged heaps of languages; see [`crate::damage`].
    #[test]
    fn nothing_that_is_read_is_believed() {
        const END: u64 = 3 << 18;
        let mut image = Space::default();
        image.map(0x1000, END, 0, "");
        image.mappings[0].rss = END - 0x1000;
        for pool in (0x4000..1 << 18).step_by(16384) {
            image.words(pool, &[10, pool + 48, 0, 0, 3 << 32, (16384 - 64) << 32 | 688]);
        }
        image.words(1 << 18, &[1 << 18, 4, 0x1000, (1 << 18) + 0x1148, 2 << 18]);
        let residency = all_resident(END);
        let structures = [(0x4000, 0x4040), (0x8000, 0x8040), (1 << 18, (1 << 18) + 64), (2 << 18, (2 << 18) + 64)];
        campaign("heaps of languages", 100_000, |random| {
            image.note();
            for _ in 0..1 + random.below(12) {
                image.damage(random, &structures);
            }
            let claims = [(random.below(END), random.below(END)), (random.below(END), END)];
            let claims: Vec<_> = claims.into_iter().filter(|claim| claim.0 < claim.1).take(1).collect();
            for runtime in [Runtime::CPython, Runtime::V8] {
                for heap in read(&image, &image.mappings, &residency, &claims, &[runtime]) {
                    assert!(heap.resident <= END && heap.live.is_none_or(|live| live <= heap.resident), "{heap:?}");
                    assert_eq!(heap.explained, [heap.resident]);
                }
            }
            image.undo();
        });
    }

    #[test]
    fn pools_of_both_sizes_are_told_from_other_memory() {
        for (pool, expected) in [(16384u64, 3u64), (4096, 3)] {
            let mut memory = Flat(vec![0; 64 * 16384]);
            // Blocks of 64 bytes, 10 of them live; then one pool whose numbers do not fit.
            let numbers = |size: u64, next: u64, most: u64| [0, (size / 16 - 1) << 32, most << 32 | next];
            for index in 0..4u64 {
                let most = if index == 3 { pool } else { pool - 64 };
                let [_, class, offsets] = numbers(64, 48 + 640, most);
                let words = [10, index * pool + 48, 0, 0, class, offsets];
                put(&mut memory, (index * pool) as usize, &words);
            }
            let heap = found(&memory, &[], Runtime::CPython).unwrap();
            assert_eq!((heap.live, heap.resident), (Some(expected * 640), expected * pool), "pool {pool}");
            let claimed = found(&memory, &[(0, 2 * pool)], Runtime::CPython).unwrap();
            assert_eq!(claimed.resident, pool, "what malloc claims is not looked at");
        }
        assert_eq!(found(&Flat(vec![0; 16384]), &[], Runtime::CPython), None);
        assert_eq!(found(&Flat(vec![0xff; 16384]), &[], Runtime::CPython), None);
    }

    #[test]
    fn pages_of_v8_are_known_by_their_borders() {
        let mut memory = Flat(vec![0; 4 << 18]);
        let base = 1u64 << 18;
        put(&mut memory, base as usize, &[1 << 18, 4, 0x1000, base + 0x1148, 2 * base]);
        put(&mut memory, 2 << 18, &[1 << 18, 4, 0x1000, base + 0x1148, 2 * base]);
        let heap = found(&memory, &[], Runtime::V8).unwrap();
        assert_eq!((heap.live, heap.resident), (None, 1 << 18), "the second one's borders are not its own");
    }
}
