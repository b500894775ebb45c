//! What several tests need: pseudo-random numbers, sources that count and fail, a folder that vanishes.
#![allow(dead_code, reason = "each test uses a part of this")]

use brkmap_toolbox::source::Source;
use brkmap_toolbox::{Error, ErrorKind};
use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// SplitMix64: a seed gives the same numbers for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A size: mostly small, sometimes large.
    pub(crate) fn size(&mut self, largest: usize) -> usize {
        let bits = self.below(largest.ilog2() as usize + 1);
        1 + self.below(1 << bits)
    }
}

/// Passes on what it is asked, watches that ranges are as the contract of [`Source`] says, and refuses when told to.
pub(crate) struct Watched<S> {
    inner: S,
    out: RefCell<BTreeMap<usize, Layout>>,
    /// Calls that still succeed.
    left: Cell<usize>,
}

impl<S: Source> Watched<S> {
    pub(crate) fn new(inner: S) -> Watched<S> {
        Watched { inner, out: RefCell::default(), left: Cell::new(usize::MAX) }
    }

    /// From now on, so many calls succeed and all others are refused.
    pub(crate) fn allow(&self, calls: usize) {
        self.left.set(calls);
    }

    pub(crate) fn chunks(&self) -> usize {
        self.out.borrow().len()
    }

    fn pass(&self, bytes: usize) -> Result<(), Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::Exhausted, "Watched", bytes, "allow more calls")),
        }
    }
}

// SAFETY: every range is the inner source's.
unsafe impl<S: Source> Source for Watched<S> {
    fn acquire(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        self.pass(layout.size())?;
        let range = self.inner.acquire(layout)?;
        let start = range.cast::<u8>().addr().get();
        assert!(range.len() >= layout.size() && start.is_multiple_of(layout.align()), "{range:?} for {layout:?}");
        let mut out = self.out.borrow_mut();
        if let Some((before, its)) = out.range(..=start).next_back() {
            assert!(before + its.size() <= start, "a range was handed out twice");
        }
        if let Some((after, _)) = out.range(start..).next() {
            assert!(start + range.len() <= *after, "a range was handed out twice");
        }
        out.insert(start, Layout::from_size_align(range.len(), layout.align()).unwrap());
        Ok(range)
    }

    unsafe fn release(&self, start: NonNull<u8>, layout: Layout) {
        let known = self.out.borrow_mut().remove(&start.addr().get());
        assert_eq!(known, Some(layout), "released as it was acquired");
        // SAFETY: passed on.
        unsafe { self.inner.release(start, layout) }
    }

    unsafe fn extend(&self, start: NonNull<u8>, layout: Layout, bytes: usize) -> Result<NonNull<[u8]>, Error> {
        assert_eq!(self.out.borrow().get(&start.addr().get()), Some(&layout), "extended as it is");
        self.pass(bytes)?;
        // SAFETY: passed on.
        let range = unsafe { self.inner.extend(start, layout, bytes)? };
        assert!(range.cast() == start && range.len() >= bytes);
        let longer = Layout::from_size_align(range.len(), layout.align()).unwrap();
        self.out.borrow_mut().insert(start.addr().get(), longer);
        Ok(range)
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.out.get_mut().is_empty(), "chunks that never went back: {:?}", self.out.get_mut());
        }
    }
}

/// A folder of this process that vanishes with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("brkmap-toolbox-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test can be made");
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
