//! Mappings of our own.

use super::{Refusal, errno, os_page, refused, touch};
use brkmap_toolbox::calls::{self, Advice, Mapping, Protection, Visibility};
use std::ptr::{self, NonNull};

/// A mapping of our own.
#[derive(Debug)]
pub(in crate::lab) struct Map {
    at: NonNull<u8>,
    bytes: usize,
}

/// How to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum How {
    /// Private, zero.
    Private,
    /// Shared with forked children.
    Shared,
    /// Addresses only.
    Reserve,
    /// Private, all OS pages at once.
    Populate,
}

impl Map {
    /// A fresh mapping.
    pub(in crate::lab) fn new(bytes: usize, how: How) -> Result<Map, Refusal> {
        let how = match how {
            How::Private => Mapping::new(),
            How::Shared => Mapping::new().visibility(Visibility::Shared),
            How::Reserve => Mapping::new().protection(Protection::None).no_reserve(),
            How::Populate => Mapping::new().populate(),
        };
        let range = calls::map(bytes, &how)?;
        Ok(Map { at: range.cast(), bytes: range.len() })
    }

    /// A mapping at exactly this address, where nothing is.
    pub(in crate::lab) fn at(address: u64, bytes: usize) -> Result<Map, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let (address, rights) = (ptr::without_provenance_mut(address as usize), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: [fresh-range] without MAP_FIXED proper no mapping is replaced.
        Map::checked(unsafe { libc::mmap(address, bytes, rights, flags, -1, 0) }, bytes)
    }

    /// A mapping near a wished address.
    pub(in crate::lab) fn near(address: u64, bytes: usize) -> Result<Map, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let (address, rights) = (ptr::without_provenance_mut(address as usize), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: [fresh-range] a wish replaces nothing.
        Map::checked(unsafe { libc::mmap(address, bytes, rights, flags, -1, 0) }, bytes)
    }

    /// `mmap` of a descriptor with everything given, also what the kernel must refuse.
    pub(in crate::lab) fn of(fd: i32, bytes: usize, offset: i64, visible: Visibility, write: bool) -> Result<Map, i32> {
        let flags = if visible == Visibility::Shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let rights = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
        // SAFETY: [fresh-range] the kernel picks the place.
        Map::checked(unsafe { libc::mmap(ptr::null_mut(), bytes, rights, flags, fd, offset) }, bytes)
    }

    fn checked(at: *mut libc::c_void, bytes: usize) -> Result<Map, i32> {
        match NonNull::new(at.cast::<u8>()) {
            Some(at) if at.as_ptr().cast() != libc::MAP_FAILED => Ok(Map { at, bytes }),
            _ => Err(errno()),
        }
    }

    /// The same mapping with the length that the kernel gave it: whole OS pages.
    pub(in crate::lab) fn rounded(self, bytes: usize) -> Map {
        assert_eq!(self.bytes.next_multiple_of(os_page()), bytes);
        Map { at: self.at, bytes }
    }

    /// First address.
    pub(in crate::lab) fn start(&self) -> u64 {
        self.at.addr().get() as u64
    }

    /// Address behind the last byte.
    pub(in crate::lab) fn end(&self) -> u64 {
        self.start() + self.bytes as u64
    }

    /// Bytes of addresses.
    pub(in crate::lab) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes one byte of each OS page.
    pub(in crate::lab) fn touch(&mut self) {
        touch(self.at, self.bytes);
    }

    /// Writes a byte.
    pub(in crate::lab) fn set(&mut self, offset: usize, byte: u8) {
        assert!(offset < self.bytes);
        // SAFETY: [own-memory] inside the mapping, which may be written; if not, the fault is what is shown.
        unsafe { self.at.add(offset).write_volatile(byte) };
    }

    /// Reads a byte.
    pub(in crate::lab) fn get(&self, offset: usize) -> u8 {
        assert!(offset < self.bytes);
        // SAFETY: [own-memory] inside the mapping, which may be read; if not, the fault is what is shown.
        unsafe { self.at.add(offset).read_volatile() }
    }

    /// Writes a word.
    pub(in crate::lab) fn set_word(&mut self, offset: usize, word: u64) {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes);
        // SAFETY: [own-memory] inside the mapping and aligned.
        unsafe { self.at.add(offset).cast::<u64>().write_volatile(word) };
    }

    /// Follows a chain of offsets, each word the offset of the next.
    pub(in crate::lab) fn follow(&self, mut at: u64, steps: usize) -> u64 {
        for _ in 0..steps {
            debug_assert!(at as usize + 8 <= self.bytes);
            // SAFETY: [own-memory] the chain was written by `set_word` and stays inside.
            at = unsafe { self.at.add(at as usize).cast::<u64>().read_volatile() };
        }
        at
    }

    /// The bytes, to read.
    pub(in crate::lab) fn slice(&self) -> &[u8] {
        // SAFETY: [own-memory] a readable mapping that nobody else writes.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) }
    }

    /// Takes the rights of a part away, or gives them back.
    pub(in crate::lab) fn protect(&mut self, offset: usize, bytes: usize, rights: Protection) -> Result<(), Refusal> {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: [own-memory] a part of our mapping; a touch afterwards is what is shown.
        unsafe { calls::protect(self.at.add(offset), bytes, rights) }.map_err(Refusal::from)
    }

    /// Advises the kernel about a part.
    pub(in crate::lab) fn advise(&mut self, offset: usize, bytes: usize, advice: i32) -> Result<(), Refusal> {
        assert!(offset + bytes <= self.bytes);
        if advice == libc::MADV_DONTNEED {
            // SAFETY: [own-memory] a part of our mapping whose contents are not needed.
            return unsafe { calls::advise(self.at.add(offset), bytes, Advice::DontNeed) }.map_err(Refusal::from);
        }
        // SAFETY: [own-memory] as above; other advice throws nothing away that is needed.
        match unsafe { libc::madvise(self.at.add(offset).as_ptr().cast(), bytes, advice) } {
            0 => Ok(()),
            _ => Err(refused("madvise")),
        }
    }

    /// Cuts the mapping in two; whole OS pages.
    pub(in crate::lab) fn split(self, offset: usize) -> (Map, Map) {
        assert!(offset <= self.bytes && offset.is_multiple_of(os_page()));
        // SAFETY: [own-memory] the offset lies inside.
        let behind = unsafe { self.at.add(offset) };
        (Map { at: self.at, bytes: offset }, Map { at: behind, bytes: self.bytes - offset })
    }

    /// `munmap`.
    pub(in crate::lab) fn unmap(self) -> Result<(), Refusal> {
        // SAFETY: [own-memory] this value, its only name, ends here.
        unsafe { calls::unmap(self.at, self.bytes) }.map_err(Refusal::from)
    }
}

/// Reads a byte at any address; the fault is what is shown.
pub(in crate::lab) fn read_at(address: u64) -> u8 {
    let at = ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: [misuse] the address is no longer mapped; the process ends by it.
    unsafe { at.read_volatile() }
}
