//! Memory of processes that do not exist, for tests: mappings with contents, and ways to damage them and to undo that.

use super::Memory;
use crate::proc::smaps::Mapping;
use std::io;

/// Mappings and what is in them. All are private, readable and writable.
#[derive(Default)]
pub(crate) struct Space {
    pub(crate) mappings: Vec<Mapping>,
    segments: Vec<Vec<u8>>,
    /// What was overwritten since damage is being noted: segment, place, bytes before.
    noted: Option<Vec<(usize, usize, Vec<u8>)>>,
}

impl Memory for Space {
    fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        let end = address.checked_add(out.len() as u64).ok_or(io::ErrorKind::NotFound)?;
        for (mapping, segment) in self.mappings.iter().zip(&self.segments) {
            if address >= mapping.start && end <= mapping.end {
                let at = (address - mapping.start) as usize;
                out.copy_from_slice(&segment[at..at + out.len()]);
                return Ok(());
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Space {
    /// Adds a mapping full of zeros.
    pub(crate) fn map(&mut self, start: u64, end: u64, inode: u64, name: &str) {
        let mapping = Mapping {
            start,
            end,
            readable: true,
            writable: true,
            private: true,
            inode,
            name: name.to_owned(),
            ..Mapping::default()
        };
        self.mappings.push(mapping);
        self.segments.push(vec![0; (end - start) as usize]);
    }

    /// Index of the mapping that holds an address.
    pub(crate) fn index(&self, address: u64) -> usize {
        self.mappings.iter().position(|mapping| (mapping.start..mapping.end).contains(&address)).unwrap()
    }

    /// Writes memory.
    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        let index = self.index(address);
        let at = (address - self.mappings[index].start) as usize;
        self.overwrite(index, at, bytes);
    }

    /// Writes words.
    pub(crate) fn words(&mut self, address: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            self.put(address + index as u64 * 8, &word.to_le_bytes());
        }
    }

    /// Reads a word.
    pub(crate) fn word(&self, address: u64) -> u64 {
        let mut word = [0; 8];
        self.read(address, &mut word).unwrap();
        u64::from_le_bytes(word)
    }

    /// Flips one bit of a segment.
    pub(crate) fn flip(&mut self, segment: usize, at: u64, bit: u32) {
        let at = at as usize % self.segments[segment].len();
        let byte = self.segments[segment][at] ^ 1 << bit;
        self.overwrite(segment, at, &[byte]);
    }

    /// Flips one bit at an address.
    pub(crate) fn flip_at(&mut self, address: u64, bit: u32) {
        let segment = self.index(address);
        self.flip(segment, address - self.mappings[segment].start, bit);
    }

    fn overwrite(&mut self, segment: usize, at: usize, bytes: &[u8]) {
        let place = &mut self.segments[segment][at..at + bytes.len()];
        if let Some(noted) = &mut self.noted {
            noted.push((segment, at, place.to_vec()));
        }
        place.copy_from_slice(bytes);
    }

    /// Notes what is overwritten from now on.
    pub(crate) fn note(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// Undoes what was overwritten since.
    pub(crate) fn undo(&mut self) {
        for (segment, at, bytes) in self.noted.take().unwrap_or_default().into_iter().rev() {
            self.segments[segment][at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// Does one of the things that damage, an attacker, or a moment in the middle of a change do to memory: mostly near
    /// `places`, where structures are.
    pub(crate) fn damage(&mut self, random: &mut crate::damage::Random, places: &[(u64, u64)]) {
        let (start, end) = match places.get(random.below(places.len() as u64 + 1) as usize) {
            Some(&place) => place,
            None => {
                let mapping = &self.mappings[random.below(self.mappings.len() as u64) as usize];
                (mapping.start, mapping.end)
            }
        };
        let address = start + random.below((end - start).max(8));
        let segment = self.index(address.min(end - 1));
        let base = self.mappings[segment].start;
        let offset = (address - base).min(self.segments[segment].len() as u64 - 8);
        let word = (offset & !7) as usize;
        match random.below(5) {
            0 | 1 => self.flip(segment, offset, random.below(8) as u32),
            2 => {
                let value = self.telling_value(random);
                self.overwrite(segment, word, &value.to_le_bytes());
            }
            3 => {
                let from = &self.segments[random.below(self.segments.len() as u64) as usize];
                let at = random.below(from.len() as u64 / 8) as usize * 8;
                let copy: [u8; 8] = from[at..at + 8].try_into().unwrap();
                self.overwrite(segment, word, &copy);
            }
            _ => {
                let before = u64::from_le_bytes(self.segments[segment][word..word + 8].try_into().unwrap());
                let value = before.wrapping_add(random.below(64).wrapping_sub(32).wrapping_mul(8));
                self.overwrite(segment, word, &value.to_le_bytes());
            }
        }
    }

    /// A number that is worth trying: a border, an address, or anything.
    fn telling_value(&self, random: &mut crate::damage::Random) -> u64 {
        let mapping = &self.mappings[random.below(self.mappings.len() as u64) as usize];
        match random.below(8) {
            0 => 0,
            1 => u64::MAX - random.below(64),
            2 => 1 << random.below(64),
            3 => (1u64 << random.below(64)).wrapping_sub(1 + random.below(16)),
            4 => mapping.start + random.below(mapping.end - mapping.start),
            5 => mapping.start + random.below((mapping.end - mapping.start) / 16) * 16,
            6 => mapping.end.wrapping_sub(random.below(64)).wrapping_add(32),
            _ => random.next(),
        }
    }
}
