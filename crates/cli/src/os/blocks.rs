//! Blocks of the malloc that this process runs on, taken and freed one by one: what the demonstrations are made of.
//!
//! Rust's own collections use the same malloc, but say nothing of where and when; and a large table among the blocks
//! would move glibc's thresholds when it is freed. So the table of blocks lies in a mapping of its own.

use super::probe::Map;
use std::io;

/// Options of `mallopt`.
pub(crate) mod option {
    pub(crate) const TRIM_THRESHOLD: i32 = libc::M_TRIM_THRESHOLD;
    pub(crate) const MMAP_THRESHOLD: i32 = libc::M_MMAP_THRESHOLD;
}

/// Blocks with contents, in the order in which they were taken. What is left of them is freed at the end.
pub(crate) struct Crowd {
    table: Map,
    count: usize,
}

// SAFETY: [own-blocks] the blocks are reached through this value alone; malloc lets any thread free them.
unsafe impl Send for Crowd {}

impl Crowd {
    /// Takes so many blocks of these sizes, and writes to every byte of them.
    pub(crate) fn new(count: usize, mut size: impl FnMut(usize) -> usize) -> io::Result<Crowd> {
        let mut crowd = Crowd { table: Map::new((count * size_of::<usize>()).max(1))?, count: 0 };
        for index in 0..count {
            let bytes = size(index);
            // SAFETY: [own-blocks] a fresh block of that size, written to its end.
            let block = unsafe {
                let block = libc::malloc(bytes);
                if block.is_null() {
                    return Err(io::Error::from_raw_os_error(libc::ENOMEM));
                }
                std::ptr::write_bytes(block.cast::<u8>(), 0x5a, bytes);
                block
            };
            crowd.set(index, block as usize);
            crowd.count += 1;
        }
        Ok(crowd)
    }

    fn set(&mut self, index: usize, address: usize) {
        for (offset, byte) in address.to_ne_bytes().into_iter().enumerate() {
            self.table.write(index * size_of::<usize>() + offset, byte);
        }
    }

    /// Address of a block; 0 if it was freed.
    fn get(&self, index: usize) -> usize {
        usize::from_ne_bytes(std::array::from_fn(|offset| self.table.read(index * size_of::<usize>() + offset)))
    }

    /// Frees those for which this holds; the others move up in the order.
    pub(crate) fn free(&mut self, mut which: impl FnMut(usize) -> bool) {
        for index in 0..self.count {
            let address = self.get(index);
            if address != 0 && which(index) {
                self.set(index, 0);
                // SAFETY: [own-blocks] it is live, and the table has just forgotten it.
                unsafe { libc::free(address as *mut libc::c_void) };
            }
        }
        self.shrink();
    }

    /// Makes the table as small as what is left, so that it is no part of what is shown.
    fn shrink(&mut self) {
        let live: Vec<usize> = self.live().collect();
        let Ok(table) = Map::new((live.len() * size_of::<usize>()).max(1)) else { return };
        (self.table, self.count) = (table, live.len());
        for (index, address) in live.into_iter().enumerate() {
            self.set(index, address);
        }
    }

    fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.count).map(|index| self.get(index)).filter(|&address| address != 0)
    }

    /// Copies the contents of what is left into one block, one behind the other, and frees what is left.
    pub(crate) fn move_together(&mut self) -> io::Result<Crowd> {
        let live: Vec<usize> = self.live().collect();
        // SAFETY: [own-blocks] each of them is live.
        let size = |&address: &usize| unsafe { libc::malloc_usable_size(address as *mut libc::c_void) };
        let together = Crowd::new(1, |_| live.iter().map(size).sum())?;
        let mut to = together.get(0);
        for address in &live {
            let bytes = size(address);
            // SAFETY: [own-blocks] the copy has room for the sum of all sizes; source and target are different blocks.
            unsafe { std::ptr::copy_nonoverlapping(*address as *const u8, to as *mut u8, bytes) };
            to += bytes;
        }
        self.free(|_| true);
        Ok(together)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.free(|_| true);
    }
}

/// Asks malloc to give back what it can.
pub(crate) fn trim() {
    // SAFETY: [no-memory] changes free memory of malloc's alone.
    unsafe { libc::malloc_trim(0) };
}

/// Sets an option of malloc; whether it knew it.
pub(crate) fn set_option(option: i32, value: i32) -> bool {
    // SAFETY: [no-memory] integers only.
    unsafe { libc::mallopt(option, value) == 1 }
}

/// Page faults of this process so far that needed no disk.
pub(crate) fn faults() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: [valid-out-pointer] getrusage fills one rusage.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: [plain-data] zeroed above and filled by the kernel.
    unsafe { usage.assume_init() }.ru_minflt as u64
}
