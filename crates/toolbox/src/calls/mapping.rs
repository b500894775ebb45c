//! Mappings: ranges of OS pages that come and go on their own.

use super::refused;
use crate::error::{Error, ErrorKind};
use core::ffi::c_int;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "std")]
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes of an OS page, asked once.
pub fn os_page() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    match PAGE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: [libc-call] a question without side effects.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            PAGE.store(page, Ordering::Relaxed);
            page
        }
        page => page,
    }
}

/// `bytes` rounded up to whole OS pages.
pub(crate) fn whole_pages(call: &'static str, bytes: usize) -> Result<usize, Error> {
    match bytes.checked_next_multiple_of(os_page()) {
        Some(whole) if whole > 0 && whole <= isize::MAX as usize => Ok(whole),
        _ => Err(Error::new(ErrorKind::BadRequest, call, bytes, "ask for 1 to isize::MAX bytes")),
    }
}

/// What may be done with a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: reserved addresses, guard pages. Touching it raises SIGSEGV.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    #[default]
    ReadWrite,
}

impl Protection {
    pub(crate) fn bits(self) -> c_int {
        match self {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Who sees what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// This process; a forked child gets a copy, a file stays as it was.
    #[default]
    Private,
    /// Everybody who has the same memory: forked children, other mappings of the descriptor.
    Shared,
}

/// How a mapping is made: private, readable and writable unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    protection: Protection,
    visibility: Visibility,
    no_reserve: bool,
    populate: bool,
    huge: bool,
}

impl Mapping {
    /// Private, readable, writable.
    pub const fn new() -> Mapping {
        Mapping {
            protection: Protection::ReadWrite,
            visibility: Visibility::Private,
            no_reserve: false,
            populate: false,
            huge: false,
        }
    }

    /// Sets what may be done with the range.
    pub const fn protection(mut self, protection: Protection) -> Mapping {
        self.protection = protection;
        self
    }

    /// Sets who sees what is written.
    pub const fn visibility(mut self, visibility: Visibility) -> Mapping {
        self.visibility = visibility;
        self
    }

    /// The kernel counts the range not at once but as it is touched (MAP_NORESERVE).
    pub const fn no_reserve(mut self) -> Mapping {
        self.no_reserve = true;
        self
    }

    /// All OS pages are there at once (MAP_POPULATE): a slow call, no page faults later.
    pub const fn populate(mut self) -> Mapping {
        self.populate = true;
        self
    }

    /// From the pool of reserved huge pages (MAP_HUGETLB). The length must be a multiple of the huge page; the kernel
    /// refuses where no pool was set up (`vm.nr_hugepages`).
    pub const fn huge_pool(mut self) -> Mapping {
        self.huge = true;
        self
    }

    fn flags(&self) -> c_int {
        let mut flags = match self.visibility {
            Visibility::Private => libc::MAP_PRIVATE,
            Visibility::Shared => libc::MAP_SHARED,
        };
        for (wanted, flag) in [
            (self.no_reserve, libc::MAP_NORESERVE),
            (self.populate, libc::MAP_POPULATE),
            (self.huge, libc::MAP_HUGETLB),
        ] {
            flags |= if wanted { flag } else { 0 };
        }
        flags
    }
}

/// A fresh anonymous mapping of at least `bytes`, zeroed, somewhere. It is the caller's until [`unmap`].
///
/// Safe, because the range was free: nothing that exists changes. The result is as long as the mapping, whole OS pages.
///
/// # Errors
///
/// [`ErrorKind::Refused`] with ENOMEM at a limit (address space, overcommit, 65,530 mappings), [`ErrorKind::BadRequest`]
/// for 0 bytes or more than `isize::MAX`.
pub fn map(bytes: usize, how: &Mapping) -> Result<NonNull<[u8]>, Error> {
    let whole = whole_pages("mmap", bytes)?;
    // SAFETY: [fresh-range] without MAP_FIXED the kernel picks a range where nothing was.
    let at =
        unsafe { libc::mmap(ptr::null_mut(), whole, how.protection.bits(), how.flags() | libc::MAP_ANONYMOUS, -1, 0) };
    mapped("mmap", at, whole)
}

/// A mapping of `bytes` of a file or memfd, from `offset` (a multiple of the OS page) on.
///
/// Safe to make; what is read through it needs care, because others may write the file or cut it (SIGBUS at the touch of
/// an OS page that lies behind its end). [`SharedMap`](crate::source::SharedMap) and
/// [`FileMap`](crate::source::FileMap) take that care.
///
/// # Errors
///
/// [`ErrorKind::Refused`] with EACCES when the descriptor is not open for what is asked, ENODEV for file systems that
/// cannot map, ENOMEM at a limit.
#[cfg(feature = "std")]
pub fn map_file(file: BorrowedFd<'_>, offset: u64, bytes: usize, how: &Mapping) -> Result<NonNull<[u8]>, Error> {
    let whole = whole_pages("mmap of a file", bytes)?;
    let bad = Error::new(ErrorKind::BadRequest, "mmap of a file", bytes, "the offset must be whole OS pages");
    let from = i64::try_from(offset).ok().filter(|from| (*from as usize).is_multiple_of(os_page())).ok_or(bad)?;
    // SAFETY: [fresh-range] without MAP_FIXED the kernel picks a range where nothing was.
    let at = unsafe { libc::mmap(ptr::null_mut(), whole, how.protection.bits(), how.flags(), file.as_raw_fd(), from) };
    mapped("mmap of a file", at, whole)
}

fn mapped(call: &'static str, at: *mut core::ffi::c_void, bytes: usize) -> Result<NonNull<[u8]>, Error> {
    if at == libc::MAP_FAILED {
        return Err(refused(call, bytes));
    }
    let start = NonNull::new(at.cast::<u8>()).ok_or(refused(call, bytes))?;
    Ok(NonNull::slice_from_raw_parts(start, bytes))
}

/// Takes a range out of the address space.
///
/// # Errors
///
/// [`ErrorKind::Refused`] with EINVAL for a start that is no multiple of the OS page, ENOMEM when cutting a mapping in
/// two would exceed the limit of mappings. Nothing has changed then.
///
/// # Safety
///
/// The range is the caller's, made by [`map`], [`map_file`] or [`remap`], and nobody uses it any more.
pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> Result<(), Error> {
    // SAFETY: [own-range] the caller's promise.
    match unsafe { libc::munmap(start.as_ptr().cast(), bytes) } {
        0 => Ok(()),
        _ => Err(refused("munmap", bytes)),
    }
}

/// Changes the length of a mapping; with `may_move` to another place, without copying.
///
/// The contents up to the shorter length stay; fresh OS pages are zero.
///
/// # Errors
///
/// [`ErrorKind::Refused`] with ENOMEM when there is no room (behind the mapping, if it may not move). It is unchanged
/// then.
///
/// # Safety
///
/// The range is one whole mapping of the caller's. If the result lies elsewhere, or is shorter, nobody uses what was.
pub unsafe fn remap(start: NonNull<u8>, old: usize, new: usize, may_move: bool) -> Result<NonNull<[u8]>, Error> {
    let whole = whole_pages("mremap", new)?;
    let flags = if may_move { libc::MREMAP_MAYMOVE } else { 0 };
    // SAFETY: [own-range] the caller's promise; the kernel picks a free range if it moves.
    let at = unsafe { libc::mremap(start.as_ptr().cast(), old, whole, flags) };
    mapped("mremap", at, whole)
}

/// What the kernel is told about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The contents are not needed: private memory reads as zero afterwards, shared memory as what the file holds.
    DontNeed,
    /// It will be needed soon: read it in.
    WillNeed,
    /// Use transparent huge pages here.
    HugePage,
    /// Use none.
    NoHugePage,
    /// Leave it out of a forked child.
    DontFork,
    /// Leave it out of core dumps.
    DontDump,
}

/// Advises the kernel about a range (whole OS pages).
///
/// # Errors
///
/// [`ErrorKind::Refused`] with EINVAL where the kernel does not know the advice, or the start is no OS page.
///
/// # Safety
///
/// The range is the caller's. For [`Advice::DontNeed`] nobody relies on its contents; for [`Advice::DontFork`] no child
/// touches it.
pub unsafe fn advise(start: NonNull<u8>, bytes: usize, advice: Advice) -> Result<(), Error> {
    let number = match advice {
        Advice::DontNeed => libc::MADV_DONTNEED,
        Advice::WillNeed => libc::MADV_WILLNEED,
        Advice::HugePage => libc::MADV_HUGEPAGE,
        Advice::NoHugePage => libc::MADV_NOHUGEPAGE,
        Advice::DontFork => libc::MADV_DONTFORK,
        Advice::DontDump => libc::MADV_DONTDUMP,
    };
    // SAFETY: [own-range] the caller's promise.
    match unsafe { libc::madvise(start.as_ptr().cast(), bytes, number) } {
        0 => Ok(()),
        _ => Err(refused("madvise", bytes)),
    }
}

/// Sets what may be done with a range (whole OS pages).
///
/// # Errors
///
/// [`ErrorKind::Refused`] with ENOMEM when cutting a mapping in two would exceed the limit, EACCES when a shared file
/// was not opened for writing.
///
/// # Safety
///
/// The range is the caller's, and nobody does afterwards what is no longer allowed.
pub unsafe fn protect(start: NonNull<u8>, bytes: usize, protection: Protection) -> Result<(), Error> {
    // SAFETY: [own-range] the caller's promise.
    match unsafe { libc::mprotect(start.as_ptr().cast(), bytes, protection.bits()) } {
        0 => Ok(()),
        _ => Err(refused("mprotect", bytes)),
    }
}

/// Writes what was changed in a shared mapping of a file back to it, and waits until that is done.
///
/// # Errors
///
/// [`ErrorKind::Refused`] with EIO when the device failed, ENOMEM when the range is not mapped.
pub fn flush(start: NonNull<u8>, bytes: usize) -> Result<(), Error> {
    // SAFETY: [no-effect] memory is read by the kernel, or an error returned where nothing is mapped.
    match unsafe { libc::msync(start.as_ptr().cast(), bytes, libc::MS_SYNC) } {
        0 => Ok(()),
        _ => Err(refused("msync", bytes)),
    }
}
