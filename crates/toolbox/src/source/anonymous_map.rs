//! Private anonymous mappings as a source.
//!
//! **What.** Each chunk is a mapping of its own (`mmap`), zeroed by the kernel, given back by `munmap` at the moment of
//! its release. With a *reserve* a chunk is a range of addresses of which only the front is usable; it grows in place, so
//! what it holds never moves and never splits.
//!
//! **When.** Large chunks; memory that must be gone when it is released; one growing region with stable addresses
//! ([`reserve`](AnonymousMap::reserve)); chunks whose overrun should end the program ([`guard_pages`](AnonymousMap::guard_pages)).
//!
//! **When not.** Thousands of small chunks: each is at least an OS page, a system call at each end, and one of 65,530
//! mappings.
//!
//! | operation | cost |
//! |---|---|
//! | acquire | `mmap`, about 0.5 µs, and a page fault with zeroing per OS page at first touch, about 0.25 µs |
//! | extend | `mprotect` inside the reserve; without one `mremap` in place, which works where nothing lies behind |
//! | release | `munmap` |
//!
//! ```text
//!   plain      |usable|
//!   reserve    |usable ──► grows|· · · · reserved addresses, no memory · · · ·|
//!   guarded    |#guard#|usable|#guard#|
//! ```
//!
//! **Rounding and alignment.** Chunks are whole OS pages. Alignments above the OS page are had by mapping more and
//! returning both ends.
//!
//! **Limits.** `vm.max_map_count`, `ulimit -v` (a reserve counts there), overcommit. Huge pages are a wish
//! ([`HugePages::Transparent`]) or an order that may be refused ([`HugePages::Pool`]).

use super::Source;
use crate::calls::{self, Advice, Mapping, Protection, os_page};
use crate::error::{Error, ErrorKind};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Which OS pages a chunk is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// As the system is set up.
    #[default]
    Default,
    /// Transparent huge pages are asked for: chunks are aligned to and rounded up to 2 MiB. The kernel may ignore it.
    Transparent,
    /// From the pool of reserved huge pages; refused where there are none (`vm.nr_hugepages`).
    Pool,
}

const HUGE: usize = 2 << 20;

/// Private OS pages.
///
/// ```
/// use brkmap_toolbox::{Bump, source::AnonymousMap};
/// let bump = Bump::over(AnonymousMap::new().reserve(1 << 30).guard_pages());
/// let first = bump.alloc_slice_copy(&[1u8; 100_000]);
/// let second = bump.alloc_slice_copy(&[2u8; 100_000]); // the chunk grew where it was
/// assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), 100_000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AnonymousMap {
    reserve: usize,
    guarded: bool,
    huge: HugePages,
}

/// A chunk with all that belongs to it.
struct Whole {
    /// Bytes before the chunk.
    front: usize,
    /// Bytes from the start of the chunk that are mapped, usable or not.
    body: usize,
    /// Bytes behind that.
    back: usize,
    align: usize,
}

impl AnonymousMap {
    /// Plain mappings, each as long as asked.
    pub const fn new() -> AnonymousMap {
        AnonymousMap { reserve: 0, guarded: false, huge: HugePages::Default }
    }

    /// Each chunk reserves this many bytes of addresses and grows into them. Addresses are not memory: a reserve of
    /// gigabytes costs a few kilobytes of page tables as it is used.
    pub const fn reserve(mut self, bytes: usize) -> AnonymousMap {
        self.reserve = bytes;
        self
    }

    /// An OS page without rights before and behind each chunk: running out of it raises SIGSEGV.
    pub const fn guard_pages(mut self) -> AnonymousMap {
        self.guarded = true;
        self
    }

    /// Which OS pages to use.
    pub const fn huge_pages(mut self, huge: HugePages) -> AnonymousMap {
        self.huge = huge;
        self
    }

    fn granule(&self) -> usize {
        if self.huge == HugePages::Default { os_page() } else { HUGE }
    }

    fn rounded(&self, bytes: usize) -> Result<usize, Error> {
        let too_large = Error::new(ErrorKind::BadRequest, "mmap", bytes, "ask for 1 to isize::MAX bytes");
        let whole = bytes.checked_next_multiple_of(self.granule()).filter(|whole| *whole <= isize::MAX as usize / 2);
        whole.filter(|whole| *whole > 0).ok_or(too_large)
    }

    /// What a chunk of `usable` bytes consists of; the same at `acquire` and, as it never outgrows its reserve, later.
    fn whole(&self, usable: usize, align: usize) -> Result<Whole, Error> {
        let guard = if self.guarded { self.granule() } else { 0 };
        let body = usable.max(if self.reserve == 0 { 0 } else { self.rounded(self.reserve)? });
        // A chunk at a large alignment has its guard in front of the aligned start.
        Ok(Whole { front: guard, body, back: guard, align: align.max(self.granule()) })
    }

    /// Maps `whole`, without rights where not all of it is usable.
    fn map_whole(&self, whole: &Whole, usable: usize) -> Result<NonNull<u8>, Error> {
        let lazily = whole.body > usable || self.guarded;
        let mut how = Mapping::new();
        if lazily {
            how = how.protection(Protection::None).no_reserve();
        }
        if self.huge == HugePages::Pool {
            how = how.huge_pool();
        }
        let slack = if whole.align > os_page() { whole.align } else { 0 };
        let bytes = whole.front + whole.body + whole.back + slack;
        let no_pool = |error: Error| match self.huge {
            HugePages::Pool => {
                Error::new(error.kind(), "mmap of huge pages", bytes, "set vm.nr_hugepages, or use Transparent")
            }
            _ => error,
        };
        let range = calls::map(bytes, &how).map_err(no_pool)?;
        let (at, mapped) = (range.cast::<u8>(), range.len());
        let lead = (at.addr().get() + whole.front).wrapping_neg() & (whole.align - 1);
        let kept = whole.front + whole.body + whole.back;
        // A refusal to return the ends (the limit of mappings) leaves addresses mapped, nothing more.
        // SAFETY: [own-range] both ends are parts of the fresh mapping outside of what is kept; lead is at most slack.
        let start = unsafe {
            if lead > 0 {
                let _ = calls::unmap(at, lead);
            }
            if mapped - lead > kept {
                let _ = calls::unmap(at.add(lead + kept), mapped - lead - kept);
            }
            at.add(lead + whole.front)
        };
        if lazily {
            // SAFETY: [own-range] the front of the fresh mapping.
            if let Err(error) = unsafe { calls::protect(start, usable, Protection::ReadWrite) } {
                // SAFETY: [own-range] all that is left of it; nobody has seen it.
                let _ = unsafe { calls::unmap(start.sub(whole.front), kept) };
                return Err(error);
            }
        }
        Ok(start)
    }
}

// SAFETY: [source-contract] a fresh private mapping is exclusive and stays until it is unmapped.
unsafe impl Source for AnonymousMap {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let usable = self.rounded(layout.size())?;
        let whole = self.whole(usable, layout.align())?;
        let start = self.map_whole(&whole, usable)?;
        if self.huge == HugePages::Transparent {
            // SAFETY: [own-range] the fresh mapping; this advice changes no contents. A refusal is the default.
            let _ = unsafe { calls::advise(start, whole.body, Advice::HugePage) };
        }
        Ok(NonNull::slice_from_raw_parts(start, usable))
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        let Ok(whole) = self.whole(layout.size(), layout.align()) else { return };
        // SAFETY: [own-range] the chunk with what belongs to it, as `map_whole` kept it; the caller is done with it.
        let _ = unsafe { calls::unmap(start.sub(whole.front), whole.front + whole.body + whole.back) };
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        let usable = self.rounded(bytes.max(layout.size()))?;
        let whole = self.whole(layout.size(), layout.align())?;
        if usable > whole.body && (self.reserve > 0 || self.guarded) {
            let remedy = "reserve more addresses, or acquire another range";
            return Err(Error::new(ErrorKind::Exhausted, "AnonymousMap::extend", bytes, remedy));
        }
        if self.reserve > 0 {
            // SAFETY: [own-range] inside the reserve of the caller's chunk; rights are added.
            unsafe { calls::protect(start, usable, Protection::ReadWrite)? };
            return Ok(NonNull::slice_from_raw_parts(start, usable));
        }
        // SAFETY: [own-range] the chunk is one mapping of the caller's, and may not move.
        unsafe { calls::remap(start, layout.size(), usable, false) }
    }

    fn name(&self, range: NonNull<[u8]>, name: &'static str) {
        crate::name::name_mapping(range, name);
    }
}
