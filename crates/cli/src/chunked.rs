//! A file read in large pieces that are kept, for parsers that ask for a name here and a number there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bytes of a piece.
const PIECE: u64 = 16 << 10;

/// See the module.
pub(crate) struct Chunked<'a> {
    file: &'a File,
    position: u64,
    pieces: HashMap<u64, Vec<u8>>,
}

impl<'a> Chunked<'a> {
    pub(crate) fn new(file: &'a File) -> Chunked<'a> {
        Chunked { file, position: 0, pieces: HashMap::new() }
    }

    fn piece(&mut self, number: u64) -> io::Result<&[u8]> {
        use std::collections::hash_map::Entry;
        match self.pieces.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let (mut bytes, mut filled) = (vec![0; PIECE as usize], 0);
                while filled < bytes.len() {
                    match self.file.read_at(&mut bytes[filled..], number * PIECE + filled as u64)? {
                        0 => break,
                        got => filled += got,
                    }
                }
                bytes.truncate(filled);
                Ok(entry.insert(bytes))
            }
        }
    }
}

impl Read for Chunked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Whole sections pass by: they are kept by who asks.
        if out.len() as u64 >= PIECE {
            let got = self.file.read_at(out, self.position)?;
            self.position += got as u64;
            return Ok(got);
        }
        let from = (self.position % PIECE) as usize;
        let piece = self.piece(self.position / PIECE)?;
        let bytes = piece.get(from..).unwrap_or_default();
        let got = bytes.len().min(out.len());
        out[..got].copy_from_slice(&bytes[..got]);
        self.position += got as u64;
        Ok(got)
    }
}

impl Seek for Chunked<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.file.metadata()?.len().checked_add_signed(distance),
        };
        // What lies beyond all files ends here, before it is multiplied.
        let position = position.filter(|position| *position < 1 << 62);
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn it_reads_what_the_file_holds() {
        let content: Vec<u8> = (0..200_000u32).map(|at| (at * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let mut chunked = Chunked::new(&file);
        for (at, length) in [(0, 10), (65_530, 20), (65_536, 1), (131_000, 70_000), (199_999, 1)] {
            let mut out = vec![0; length];
            chunked.seek(SeekFrom::Start(at as u64)).unwrap();
            let fits = at + length <= content.len();
            assert_eq!(chunked.read_exact(&mut out).is_ok(), fits);
            assert!(!fits || out == content[at..at + length], "{at}");
        }
        assert_eq!(chunked.seek(SeekFrom::End(0)).unwrap(), 200_000);
        assert_eq!(chunked.read(&mut [0; 4]).unwrap(), 0);
        assert!(chunked.seek(SeekFrom::Start(u64::MAX)).is_err());
        assert!(chunked.seek(SeekFrom::Current(-300_000)).is_err());
    }
}
