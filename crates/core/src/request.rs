//! The one place that decides size, overflow, alignment and errno for every entry point.
//!
//! glibc's rules (2.36; `aligned_alloc` by 2.38), POSIX `posix_memalign`, C23 `free_sized`. Nothing is allocated here;
//! a [`Request`] that exists can be served if there is memory.

use crate::geometry::{REQUEST_MAX, round_up};

/// Alignment that every C block has.
pub const MIN_ALIGN: usize = 16;

/// A request that makes sense: `bytes` and, after rounding, no arithmetic on them overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes asked for; at most `PTRDIFF_MAX`.
    pub bytes: usize,
    /// Alignment: a power of two.
    pub align: usize,
}

/// Why a request is refused, as errno has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ENOMEM`: too large, or a product or rounding overflows.
    NoMemory,
    /// `EINVAL`: the alignment is none.
    Invalid,
}

impl Request {
    /// `malloc`, `realloc`: any size up to `PTRDIFF_MAX`.
    #[inline]
    pub fn plain(bytes: usize) -> Result<Request, Refusal> {
        if bytes > REQUEST_MAX { Err(Refusal::NoMemory) } else { Ok(Request { bytes, align: MIN_ALIGN }) }
    }

    /// `calloc`, `reallocarray`: the product must not overflow.
    #[inline]
    pub fn array(count: usize, bytes: usize) -> Result<Request, Refusal> {
        count.checked_mul(bytes).ok_or(Refusal::NoMemory).and_then(Request::plain)
    }

    /// `memalign`: an alignment that is no power of two is rounded up to one; above the largest power of two: `EINVAL`.
    pub fn memalign(align: usize, bytes: usize) -> Result<Request, Refusal> {
        let align = align.max(MIN_ALIGN).checked_next_power_of_two().ok_or(Refusal::Invalid)?;
        Request::aligned(align, bytes)
    }

    /// `posix_memalign`: a power of two and a multiple of the pointer size.
    pub fn posix_memalign(align: usize, bytes: usize) -> Result<Request, Refusal> {
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
            return Err(Refusal::Invalid);
        }
        Request::aligned(align, bytes)
    }

    /// `aligned_alloc`: a power of two (glibc 2.38); the size need not be a multiple.
    pub fn aligned_alloc(align: usize, bytes: usize) -> Result<Request, Refusal> {
        if !align.is_power_of_two() {
            return Err(Refusal::Invalid);
        }
        Request::aligned(align, bytes)
    }

    /// `valloc`: aligned to the OS page.
    pub fn valloc(bytes: usize, os_page: usize) -> Result<Request, Refusal> {
        Request::aligned(os_page, bytes)
    }

    /// `pvalloc`: aligned to the OS page and rounded up to whole ones.
    pub fn pvalloc(bytes: usize, os_page: usize) -> Result<Request, Refusal> {
        Request::aligned(os_page, round_up(bytes, os_page).ok_or(Refusal::NoMemory)?)
    }

    /// A Rust `Layout`, or anything with a valid alignment: bytes plus alignment stay below `PTRDIFF_MAX`.
    #[inline]
    pub fn aligned(align: usize, bytes: usize) -> Result<Request, Refusal> {
        debug_assert!(align.is_power_of_two());
        match bytes.checked_add(align) {
            Some(sum) if sum <= REQUEST_MAX => Ok(Request { bytes, align }),
            _ => Err(Refusal::NoMemory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Refusal::{Invalid, NoMemory};

    #[test]
    fn hostile_sizes_and_alignments() {
        let max = REQUEST_MAX;
        assert_eq!(Request::plain(max + 1), Err(NoMemory));
        assert_eq!(Request::array(usize::MAX, 2), Err(NoMemory));
        assert_eq!(Request::array(0, usize::MAX).unwrap().bytes, 0);
        assert_eq!(Request::memalign(usize::MAX, 1), Err(Invalid));
        assert_eq!(Request::memalign(1 << 63, 1), Err(NoMemory));
        assert_eq!(Request::memalign(0, 1).unwrap().align, 16);
        assert_eq!(Request::memalign(3, 1).unwrap().align, 16);
        assert_eq!(Request::memalign(33, 1).unwrap().align, 64);
        for bad in [0, 1, 2, 3, 4, 12, 24, 0x300, usize::MAX] {
            assert_eq!(Request::posix_memalign(bad, 8), Err(Invalid), "{bad}");
        }
        assert_eq!(Request::posix_memalign(8, max), Err(NoMemory));
        assert_eq!(Request::aligned_alloc(0, 8), Err(Invalid));
        assert_eq!(Request::aligned_alloc(24, 8), Err(Invalid));
        assert!(Request::aligned_alloc(1, 8).is_ok());
        for wrap in 0..8192 {
            assert_eq!(Request::pvalloc(usize::MAX - wrap, 4096), Err(NoMemory));
            assert_eq!(Request::valloc(usize::MAX - wrap, 4096), Err(NoMemory));
        }
        assert_eq!(Request::pvalloc(0, 4096).unwrap().bytes, 0);
        assert_eq!(Request::pvalloc(5, 4096).unwrap().bytes, 4096);
    }
}
