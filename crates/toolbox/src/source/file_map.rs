//! A file as memory.
//!
//! **What.** The bytes of a file, mapped: a store into them is a write to the file, without a call. The file grows in
//! place, is flushed on demand, and is there after the program ended, or was killed. A *private* view sees the file and
//! keeps what it writes to itself (copy on write).
//!
//! **When.** Data that should be there at the next start without being read in and parsed; data larger than memory.
//!
//! **When not.** Data that must survive a power failure transaction by transaction: that is a database's work. Files on
//! network file systems, which may lose the server under the mapping.
//!
//! | operation | cost |
//! |---|---|
//! | open | `open`, `flock`, `fstat`, `mmap`; a page fault per OS page, with a read from the device where it is not cached |
//! | grow | `posix_fallocate` |
//! | flush | `msync`: as long as the device takes |
//! | drop | `munmap`, `close`; the kernel writes back when it likes |
//!
//! ```text
//!   addresses  |▓▓▓▓▓▓ the file ▓▓▓▓▓▓|· · · reserved for its growth · · ·|
//!   file       |▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓|──► grows
//! ```
//!
//! **Why opening is unsafe.** The touch of an OS page behind the file's end raises SIGBUS, and any process with the right
//! to write may cut the file at any time. A lock (`flock`) is taken against other users of this crate; against all others
//! there is only the caller's promise. Blocks are allocated as the file grows (`posix_fallocate`), so a full device is an
//! error here and not a SIGBUS later.
//!
//! **Killed, crashed.** What a killed process wrote is in the file: the kernel has it. After a crash of the *machine* only
//! what was flushed is certain; a header that does not fit its file is refused, contents in between are not checked.
//!
//! **Limits.** The addresses for growth are reserved at the start ([`FileOptions::reserve`], 1 GiB); beyond that the file
//! must be opened anew.

use crate::calls::{self, Mapping, Visibility, refused, refused_with};
use crate::error::{Error, ErrorKind};
use crate::shared::{Exclusive, Memory};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    reserve: usize,
    sharing: Sharing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// One process, with a lock.
    Alone,
    /// Several, each with a shared lock.
    Shared,
    /// A copy-on-write view, with a shared lock.
    Private,
}

impl Default for FileOptions {
    fn default() -> FileOptions {
        FileOptions::new()
    }
}

impl FileOptions {
    /// One process at a time; room to grow to 1 GiB.
    pub const fn new() -> FileOptions {
        FileOptions { reserve: 1 << 30, sharing: Sharing::Alone }
    }

    /// Addresses to reserve: how long the file may become while it is open. They are no memory.
    pub const fn reserve(mut self, bytes: usize) -> FileOptions {
        self.reserve = bytes;
        self
    }

    /// Several processes may have the file open at once; it does not grow then.
    pub const fn shared(mut self) -> FileOptions {
        self.sharing = Sharing::Shared;
        self
    }

    /// A private view: what is written stays in this process, the file is as it was.
    pub const fn private(mut self) -> FileOptions {
        self.sharing = Sharing::Private;
        self
    }

    /// Makes a file of `bytes` zeros, which must not exist yet, and opens it.
    ///
    /// # Errors
    ///
    /// The file exists, or a call was refused.
    ///
    /// # Safety
    ///
    /// As long as the value lives, nobody makes the file shorter.
    pub unsafe fn create(self, path: impl AsRef<Path>, bytes: usize) -> Result<FileMap, Error> {
        let file = open("open(O_CREAT)", bytes, OpenOptions::new().create_new(true), path.as_ref())?;
        self.map(file, bytes.max(1))
    }

    /// Opens a file that exists.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] when somebody else has it open, [`ErrorKind::Truncated`] when it is empty, or a call was
    /// refused.
    ///
    /// # Safety
    ///
    /// As long as the value lives, nobody makes the file shorter.
    pub unsafe fn open(self, path: impl AsRef<Path>) -> Result<FileMap, Error> {
        let file = open("open", 0, &mut OpenOptions::new(), path.as_ref())?;
        self.map(file, 0)
    }

    /// Locks the file, makes it at least `bytes` long and maps it.
    fn map(self, file: File, bytes: usize) -> Result<FileMap, Error> {
        let locked = if self.sharing == Sharing::Alone { file.try_lock() } else { file.try_lock_shared() };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let remedy = "close it there, or open it with FileOptions::shared on both sides";
                return Err(Error::new(ErrorKind::Locked, "flock", bytes, remedy));
            }
            Err(TryLockError::Error(error)) => return Err(of_io("flock", bytes, &error)),
        }
        let there = file.metadata().map_err(|error| of_io("fstat", bytes, &error))?.len();
        let there = usize::try_from(there).unwrap_or(usize::MAX);
        if bytes > there {
            allocate(&file, bytes)?;
        }
        let bytes = bytes.max(there);
        if bytes == 0 {
            let remedy = "the file is empty: remove it and create it anew";
            return Err(Error::new(ErrorKind::Truncated, "FileOptions::open", 0, remedy));
        }
        let visibility = if self.sharing == Sharing::Private { Visibility::Private } else { Visibility::Shared };
        let reserve = if self.sharing == Sharing::Alone { self.reserve.max(bytes) } else { bytes };
        let how = Mapping::new().visibility(visibility).no_reserve();
        let range = calls::map_file(file.as_fd(), 0, reserve, &how)?;
        Ok(FileMap { range, bytes: AtomicUsize::new(bytes), file, sharing: self.sharing })
    }
}

fn open(call: &'static str, bytes: usize, how: &mut OpenOptions, path: &Path) -> Result<File, Error> {
    how.read(true).write(true).open(path).map_err(|error| of_io(call, bytes, &error))
}

/// Gives the file blocks up to `bytes`.
fn allocate(file: &File, bytes: usize) -> Result<(), Error> {
    let too_large = Error::new(ErrorKind::BadRequest, "posix_fallocate", bytes, "ask for less");
    let length = i64::try_from(bytes).map_err(|_| too_large)?;
    // SAFETY: [libc-call] integers only; the file becomes longer, never shorter.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        errno => Err(refused_with("posix_fallocate", bytes, errno)),
    }
}

fn of_io(call: &'static str, bytes: usize, error: &std::io::Error) -> Error {
    error.raw_os_error().map_or_else(|| refused(call, bytes), |errno| refused_with(call, bytes, errno))
}

/// A file as memory.
///
/// ```
/// use brkmap_toolbox::{shared::Arena, source::FileOptions};
/// # let path = std::env::temp_dir().join(format!("toolbox-doc-{}", std::process::id()));
/// // SAFETY: the file is this program's alone.
/// let file = unsafe { FileOptions::new().create(&path, 4096) }.unwrap();
/// let lines = Arena::<u64, _>::create(file).unwrap();
/// let handle = lines.push(42).unwrap();
/// drop(lines);
///
/// // SAFETY: as above.
/// let file = unsafe { FileOptions::new().open(&path) }.unwrap();
/// let lines = Arena::<u64, _>::open(file).unwrap();
/// assert_eq!(lines.get(handle), Ok(42));
/// # std::fs::remove_file(&path).unwrap();
/// ```
#[derive(Debug)]
pub struct FileMap {
    /// The file and the addresses for its growth.
    range: NonNull<[u8]>,
    /// Bytes of the file.
    bytes: AtomicUsize,
    file: File,
    sharing: Sharing,
}

// SAFETY: [exclusive-owner] the range is reached by atomic accesses only.
unsafe impl Send for FileMap {}
// SAFETY: [exclusive-owner] the same.
unsafe impl Sync for FileMap {}

impl FileMap {
    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until all that was written is on the device.
    ///
    /// # Errors
    ///
    /// The device failed.
    pub fn flush(&self) -> Result<(), Error> {
        calls::flush(self.range.cast(), self.bytes())?;
        self.file.sync_all().map_err(|error| of_io("fsync", self.bytes(), &error))
    }

    /// The memory as a private source.
    ///
    /// # Safety
    ///
    /// As for [`Exclusive::new`].
    pub unsafe fn exclusive(self) -> Exclusive<FileMap> {
        // SAFETY: [exclusive-owner] the caller's promise.
        unsafe { Exclusive::new(self) }
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        // SAFETY: [own-range] the mapping is this value's, and who borrowed it is gone.
        let _ = unsafe { calls::unmap(self.range.cast(), self.range.len()) };
    }
}

// SAFETY: [memory-contract] the mapping lives as long as the value, covers the whole file, and the opener promised that
// nobody makes it shorter.
unsafe impl Memory for FileMap {
    fn range(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.range.cast(), self.bytes())
    }

    fn grow(&self, bytes: usize) -> Result<(), Error> {
        let whole = calls::whole_pages("FileMap::grow", bytes)?;
        let no = |kind, remedy| Err(Error::new(kind, "FileMap::grow", bytes, remedy));
        if self.sharing != Sharing::Alone {
            return no(ErrorKind::Unsupported, "open the file alone to let it grow");
        }
        if whole > self.range.len() {
            return no(ErrorKind::Exhausted, "open the file with a larger FileOptions::reserve");
        }
        if whole > self.bytes() {
            allocate(&self.file, whole)?;
            self.bytes.fetch_max(whole, Ordering::AcqRel);
        }
        Ok(())
    }

    fn is_alone(&self) -> bool {
        self.sharing != Sharing::Shared
    }
}
