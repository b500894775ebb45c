//! Blocks of the malloc in force, and what malloc says of itself.

use super::{Refusal, facts, refused, touch};
use brkmap_toolbox::calls::{self, Mapping};
use std::ptr::NonNull;

/// A block of the malloc in force.
#[derive(Debug)]
pub(in crate::lab) struct Block {
    at: NonNull<u8>,
    bytes: usize,
}

impl Block {
    /// `malloc(bytes)`.
    pub(in crate::lab) fn new(bytes: usize) -> Result<Block, Refusal> {
        // SAFETY: [libc-malloc] any size may be asked for.
        let at = std::hint::black_box(unsafe { libc::malloc(bytes) }).cast::<u8>();
        match NonNull::new(at) {
            Some(at) => Ok(Block { at, bytes }),
            None => Err(Refusal(format!("malloc of {bytes} bytes: {}", std::io::Error::last_os_error()))),
        }
    }

    /// Where it is.
    pub(in crate::lab) fn at(&self) -> u64 {
        self.at.addr().get() as u64
    }

    /// Writes every byte.
    pub(in crate::lab) fn fill(&mut self, byte: u8) {
        // SAFETY: [libc-malloc] the block has that many bytes and is ours.
        unsafe { self.at.as_ptr().write_bytes(byte, self.bytes) };
    }

    /// Writes one byte of each OS page.
    pub(in crate::lab) fn touch(&mut self) {
        touch(self.at, self.bytes);
    }

    /// Whether every byte has this value.
    pub(in crate::lab) fn is(&self, byte: u8) -> bool {
        // SAFETY: [libc-malloc] the block was filled with that many bytes.
        let slice = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) };
        slice.iter().all(|&is| is == byte)
    }

    /// Whether the first bytes have this value.
    pub(in crate::lab) fn starts_with(&self, byte: u8, bytes: usize) -> bool {
        assert!(bytes <= self.bytes);
        // SAFETY: [libc-malloc] the caller filled that many bytes of the block.
        let slice = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), bytes) };
        // A byte repeated is the same as itself shifted by one: one comparison at the speed of memcmp.
        slice.first() == Some(&byte) && slice[1..] == slice[..bytes - 1]
    }

    /// Copies the first bytes of another block.
    pub(in crate::lab) fn copy_from(&mut self, other: &Block, bytes: usize) {
        assert!(bytes <= self.bytes && bytes <= other.bytes);
        // SAFETY: [libc-malloc] two live blocks of at least that many bytes.
        unsafe { self.at.as_ptr().copy_from_nonoverlapping(other.at.as_ptr(), bytes) };
    }

    /// Bytes that may be used.
    pub(in crate::lab) fn usable(&self) -> u64 {
        // SAFETY: [libc-malloc] the block is live.
        unsafe { libc::malloc_usable_size(self.at.as_ptr().cast()) as u64 }
    }

    /// `realloc`.
    pub(in crate::lab) fn resize(self, bytes: usize) -> Result<Block, Refusal> {
        // SAFETY: [libc-malloc] the block is live, and this value, its only name, ends here.
        let at = unsafe { libc::realloc(self.at.as_ptr().cast(), bytes) }.cast::<u8>();
        NonNull::new(at).map(|at| Block { at, bytes }).ok_or_else(|| refused("realloc"))
    }

    /// `free`.
    pub(in crate::lab) fn free(self) {
        // SAFETY: [libc-malloc] the block is live, and this value, its only name, ends here.
        unsafe { libc::free(self.at.as_ptr().cast()) };
    }

    /// Leaves it live until the process ends: it fills a hole, or stays in the way.
    pub(in crate::lab) fn keep(self) {}

    /// Two frees of one block: what no program may do. The malloc in force is expected to end the process.
    pub(in crate::lab) fn free_twice(self) {
        let at = std::hint::black_box(self.at.as_ptr());
        // SAFETY: [misuse] the second call breaks malloc's contract on purpose; this process does nothing but show it.
        unsafe {
            libc::free(at.cast());
            libc::free(at.cast());
        }
    }
}

/// A table of blocks in a mapping of its own, so that keeping them allocates nothing. It is never given back.
pub(in crate::lab) fn table(count: usize) -> Result<&'static mut [Option<Block>], Refusal> {
    let range = calls::map((count * size_of::<Option<Block>>()).max(1), &Mapping::new())?;
    let first = range.cast::<Option<Block>>();
    for index in 0..count {
        // SAFETY: [own-memory] the mapping has room for `count` entries and is aligned to an OS page.
        unsafe { first.add(index).write(None) };
    }
    // SAFETY: [own-memory] all entries were written just now; nobody else knows the mapping, which stays.
    Ok(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), count) })
}

/// Takes blocks of one size until the table is full; each OS page of them is written.
pub(in crate::lab) fn fill(table: &mut [Option<Block>], bytes: usize) -> Result<(), Refusal> {
    for slot in table {
        let mut block = Block::new(bytes)?;
        block.touch();
        *slot = Some(block);
    }
    Ok(())
}

/// `malloc_trim(0)`.
pub(in crate::lab) fn trim() -> bool {
    // SAFETY: [libc-malloc] may be called at any time.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// `mallopt`.
pub(in crate::lab) fn tune(parameter: i32, value: i32) -> Result<(), Refusal> {
    // SAFETY: [libc-malloc] may be called at any time.
    if unsafe { libc::mallopt(parameter, value) } == 1 { Ok(()) } else { Err(Refusal("mallopt refused".into())) }
}

/// What malloc says of itself: bytes in blocks, free bytes, bytes in mappings of their own.
pub(in crate::lab) fn mallinfo() -> (u64, u64, u64) {
    // SAFETY: [libc-malloc] returns a structure of numbers.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks as u64, info.fordblks as u64, info.hblkhd as u64)
}

/// Writes malloc_stats and malloc_info to standard error, behind a line that names the stage.
pub(in crate::lab) fn statistics(stage: u32) {
    unsafe extern "C" {
        fn malloc_stats();
        fn malloc_info(options: libc::c_int, file: *mut libc::FILE) -> libc::c_int;
    }
    eprintln!("== stage {stage}");
    // SAFETY: [libc-malloc] both read malloc's own records; the stream is ours and closed here with its own descriptor.
    unsafe {
        malloc_stats();
        let file = libc::fdopen(libc::dup(2), c"w".as_ptr());
        if !file.is_null() {
            malloc_info(0, file);
            libc::fclose(file);
        }
    }
}

/// Whether brkmap is the malloc of this process.
pub(in crate::lab) fn is_brkmap() -> bool {
    facts::find(|_, _, rest| rest.ends_with("/libbrkmap.so")).is_some()
}
