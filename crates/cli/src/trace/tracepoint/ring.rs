//! The ring through which the kernel hands records over.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the kernel's and our position stand in the first OS page.
const HEAD_AT: usize = 1024;
const TAIL_AT: usize = 1032;
const OS_PAGE: usize = 4096;
/// A record's head: type, flags, size.
const HEADER: usize = 8;

/// See the module.
pub(super) struct Ring {
    start: *mut u8,
    /// A power of two.
    size: usize,
    copy: Vec<u8>,
}

impl Ring {
    /// Maps the ring of an event.
    pub(super) fn map(event: &OwnedFd, size: usize) -> io::Result<Ring> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: [fresh-mapping] a new mapping of the event's own memory; nothing else refers to it.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), OS_PAGE + size, protection, libc::MAP_SHARED, event.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Ring { start: start.cast(), size, copy: Vec::new() })
    }

    fn position(&self, at: usize) -> &AtomicU64 {
        // SAFETY: [perf-ring] both positions are 8-aligned words of the first OS page, which stays mapped.
        unsafe { AtomicU64::from_ptr(self.start.add(at).cast()) }
    }

    /// Hands out every record that is there, then gives the room back to the kernel.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8])) {
        let head = self.position(HEAD_AT).load(Ordering::Acquire);
        let tail = self.position(TAIL_AT).load(Ordering::Relaxed);
        let bytes = head.wrapping_sub(tail) as usize;
        if bytes == 0 || bytes > self.size {
            return;
        }
        self.copy.resize(bytes, 0);
        let from = tail as usize & (self.size - 1);
        let first = bytes.min(self.size - from);
        // SAFETY: [perf-ring] behind the first OS page lie `size` bytes; what is between tail and head the kernel has
        // written and leaves alone until the tail moves.
        unsafe {
            let data = self.start.add(OS_PAGE);
            std::ptr::copy_nonoverlapping(data.add(from), self.copy.as_mut_ptr(), first);
            std::ptr::copy_nonoverlapping(data, self.copy.as_mut_ptr().add(first), bytes - first);
        }
        self.position(TAIL_AT).store(head, Ordering::Release);
        let mut rest = self.copy.as_slice();
        while rest.len() >= HEADER {
            let size = usize::from(u16::from_le_bytes([rest[6], rest[7]]));
            if size < HEADER || size > rest.len() {
                break;
            }
            take(&rest[..size]);
            rest = &rest[size..];
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: [perf-ring] the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), OS_PAGE + self.size) };
    }
}
