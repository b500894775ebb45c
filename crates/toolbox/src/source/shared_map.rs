//! Shared mappings as memory: across `fork`, and between processes that have nothing in common but a descriptor.
//!
//! **What.** OS pages that several processes see. [`SharedMap::anonymous`] is shared with the children that are forked
//! afterwards. [`SharedMap::create`] makes a *memfd*: a file without a name in any folder, whose descriptor is handed to
//! whoever should see it (inherited, sent over a Unix socket, or opened as `/proc/PID/fd/N`), and
//! [`SharedMap::from_fd`] maps it there.
//!
//! **When.** A pool or a free list that two processes share; data that a worker fills and its parent reads without a
//! copy through a pipe.
//!
//! **When not.** Data with pointers, destructors, references: addresses differ between processes. Data that should
//! outlive all of them: that is [`FileMap`](super::FileMap).
//!
//! | operation | cost |
//! |---|---|
//! | create | `memfd_create`, `ftruncate`, `fcntl`, `mmap`; a page fault per OS page at first touch |
//! | a look or a change | what it costs in private memory |
//! | drop | `munmap`, `close`; the memory goes when the last process lets go |
//!
//! ```text
//!   process A   |header|▓▓▓▓▓▓▓|·····|        process B   |header|▓▓▓▓▓▓▓|·····|
//!                 └───────────── the same OS pages ─────────────┘
//! ```
//!
//! **Why it is safe.** The one thing that nobody could check is somebody making the memory shorter: the next touch would
//! raise SIGBUS. So the memfd is *sealed* against that before it is used, and `from_fd` takes sealed descriptors only.
//! Nothing else that another process does to the bytes is dangerous, because [`shared`](crate::shared) reads them as
//! plain words and checks what it reads.
//!
//! **Limits.** The length is fixed. `/dev/shm` limits do not apply to memfds; the memory counts for the container.

use crate::calls::{self, Mapping, Visibility, refused};
use crate::error::{Error, ErrorKind};
use crate::shared::{Exclusive, Memory};
use core::ptr::NonNull;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// OS pages that several processes see.
#[derive(Debug)]
pub struct SharedMap {
    range: NonNull<[u8]>,
    file: Option<File>,
}

// SAFETY: [exclusive-owner] the range is reached by atomic accesses only.
unsafe impl Send for SharedMap {}
// SAFETY: [exclusive-owner] the same.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// At least `bytes`, zeroed, shared with the children that are forked from now on.
    ///
    /// # Errors
    ///
    /// The mapping was refused.
    pub fn anonymous(bytes: usize) -> Result<SharedMap, Error> {
        let range = calls::map(bytes, &Mapping::new().visibility(Visibility::Shared))?;
        Ok(SharedMap { range, file: None })
    }

    /// A sealed memfd of at least `bytes`, zeroed. The name appears as `/memfd:NAME` in `/proc/PID/maps`.
    ///
    /// # Errors
    ///
    /// One of the calls was refused; the name is longer than 249 bytes or holds a 0.
    pub fn create(name: &str, bytes: usize) -> Result<SharedMap, Error> {
        let remedy = "use a name of at most 249 bytes without a 0";
        let bad = Error::new(ErrorKind::BadRequest, "memfd_create", name.len(), remedy);
        let name = CString::new(name).map_err(|_| bad)?;
        let whole = calls::whole_pages("ftruncate", bytes)?;
        // SAFETY: [libc-call] the name is a C string that lives until the call returns.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(refused("memfd_create", bytes));
        }
        // SAFETY: [libc-call] the descriptor was made just now and is nobody else's.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(whole as u64).map_err(|_| refused("ftruncate", whole))?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: [libc-call] an integer argument.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } != 0 {
            return Err(refused("fcntl(F_ADD_SEALS)", whole));
        }
        SharedMap::over(file, whole)
    }

    /// The memory behind a descriptor that [`create`](SharedMap::create) made, perhaps in another process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSealed`] when the file could become shorter; a call was refused.
    pub fn from_fd(descriptor: OwnedFd) -> Result<SharedMap, Error> {
        let file = File::from(descriptor);
        // SAFETY: [libc-call] no argument beyond the descriptor.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        let bytes = file.metadata().map_err(|_| refused("fstat", 0))?.len();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
            let remedy = "seal the memfd with F_SEAL_SHRINK, as SharedMap::create does; for files use FileMap";
            return Err(Error::new(ErrorKind::NotSealed, "SharedMap::from_fd", bytes, remedy));
        }
        // A length that is no multiple of the OS page would make the last one reach behind the end: harmless, it is there.
        SharedMap::over(file, bytes)
    }

    fn over(file: File, bytes: usize) -> Result<SharedMap, Error> {
        let range = calls::map_file(file.as_fd(), 0, bytes, &Mapping::new().visibility(Visibility::Shared))?;
        Ok(SharedMap { range, file: Some(file) })
    }

    /// The descriptor to hand to another process; none for [`anonymous`](SharedMap::anonymous). It is closed on exec:
    /// duplicate it without that flag for a child to inherit.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(File::as_fd)
    }

    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.range.len()
    }

    /// The memory as a private source.
    ///
    /// # Safety
    ///
    /// As for [`Exclusive::new`].
    pub unsafe fn exclusive(self) -> Exclusive<SharedMap> {
        // SAFETY: [exclusive-owner] the caller's promise.
        unsafe { Exclusive::new(self) }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: [own-range] the mapping is this value's, and who borrowed it is gone.
        let _ = unsafe { calls::unmap(self.range.cast(), self.range.len()) };
    }
}

// SAFETY: [memory-contract] the mapping lives as long as the value, and the file cannot become shorter.
unsafe impl Memory for SharedMap {
    fn range(&self) -> NonNull<[u8]> {
        self.range
    }
}
