//! Reading a file of the system, or an entry of one: opened, read and closed within one call.
//!
//! The descriptor exists for some microseconds. It is closed at `exec`, and whoever forks by handlers holds the lock that
//! the reader holds, so no child inherits it.

use core::ffi::CStr;

use super::syscall::{self, EINTR, EMFILE, ENFILE, ENOENT, ENOTDIR, number as nr, refused};
use crate::FileRead;

const AT_FDCWD: usize = -100isize as usize;
/// Read-only, closed at `exec`, never a terminal of ours, and no wait for a pipe that somebody put in the file's place.
const FLAGS: usize = 0o2_000_000 | 0o400 | 0o4000;
/// Bytes that are read at a time.
const PIECE: usize = 512;
/// Pieces of one file at most: what is longer, or never ends, is none of the files meant.
const PIECES: usize = 128;
/// Times that an interrupted call is made again.
const TRIES: usize = 4;

/// See [`Kernel::read_file`](crate::Kernel::read_file).
pub(super) fn read(path: &CStr, take: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
    let file = open(path);
    if refused(file) {
        let is = |error| syscall::is(file, error);
        return match () {
            () if is(ENOENT) || is(ENOTDIR) => FileRead::Missing,
            () if is(EMFILE) || is(ENFILE) || is(EINTR) => FileRead::Later,
            () => FileRead::Refused,
        };
    }
    let result = read_open(file, take);
    close(file);
    result
}

/// What the kernel tells of one OS page of this process, by its number: an entry of `/proc/self/pagemap`
/// (Documentation/admin-guide/mm/pagemap.rst).
pub(super) fn pagemap(page: usize) -> Option<u64> {
    let file = open(c"/proc/self/pagemap");
    if refused(file) {
        return None;
    }
    let mut entry = 0u64;
    let size = size_of::<u64>();
    // SAFETY: [out-argument] the kernel writes at most `size` bytes into `entry`
    let got = again(|| unsafe { syscall::call4(nr::PREAD64, file, &raw mut entry as usize, size, page * size) });
    close(file);
    (got == size).then_some(entry)
}

fn open(path: &CStr) -> usize {
    // SAFETY: [no-memory-effect] the call reads the path
    again(|| unsafe { syscall::call4(nr::OPENAT, AT_FDCWD, path.as_ptr() as usize, FLAGS, 0) })
}

fn close(file: usize) {
    // SAFETY: [own-descriptor] what `open` answered to the caller alone
    unsafe { syscall::call1(nr::CLOSE, file) };
}

fn read_open(file: usize, take: &mut dyn FnMut(&[u8]) -> bool) -> FileRead {
    let mut piece = [0u8; PIECE];
    for _ in 0..PIECES {
        // SAFETY: [out-argument] the kernel writes at most PIECE bytes into `piece`
        let got = again(|| unsafe { syscall::call3(nr::READ, file, piece.as_mut_ptr() as usize, PIECE) });
        if refused(got) {
            // The group of an open file may be gone.
            return if syscall::is(got, syscall::ENODEV) { FileRead::Missing } else { FileRead::Refused };
        }
        match piece.get(..got) {
            Some(text) if got > 0 && take(text) => {}
            _ => return FileRead::Done,
        }
    }
    FileRead::Refused
}

fn again(mut call: impl FnMut() -> usize) -> usize {
    let mut result = call();
    for _ in 1..TRIES {
        if !syscall::is(result, EINTR) {
            break;
        }
        result = call();
    }
    result
}
