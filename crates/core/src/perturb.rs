//! `M_PERTURB`: fresh blocks hold one byte everywhere, freed ones another, to show who reads what he should not.
//!
//! The fast paths have no room for a test, and need none: while blocks are perturbed, the thread word holds a *stand-in*
//! of the thread's heap, one without lists and pages. So every malloc and every free takes the slow path, finds the real
//! heap there, and fills the block on its way. A thread changes over, and back, at its next slow path.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::engine::{Engine, Platform};
use crate::heap::Heap;

impl<P: Platform> Engine<P> {
    /// Fills fresh blocks with the complement of `byte` and freed ones with `byte`; 0 ends it.
    pub fn set_perturb(&self, byte: u8) {
        self.perturb.store(byte as u32, Relaxed);
        let _ = self.heap_or_attach();
    }

    /// The calling thread's heap, if the thread word holds its stand-in too.
    #[inline]
    pub(crate) fn own_heap(&self) -> &'static Heap {
        let word = self.platform.heap();
        // SAFETY: [heap-stays] null or a heap.
        unsafe { word.stands_for.load(Relaxed).as_ref() }.unwrap_or(word)
    }

    /// Puts the heap or its stand-in into the thread word, as the option wants it. On slow paths.
    pub(crate) fn show_heap(&self, heap: &'static Heap) {
        let perturbs = self.perturb.load(Relaxed) != 0;
        let shown = self.platform.heap();
        if perturbs != shown.stands_for.load(Relaxed).is_null() {
            return;
        }
        // Without memory for a stand-in the blocks are not perturbed.
        self.platform.set_heap(if perturbs { self.stand_in(heap).unwrap_or(heap) } else { heap });
    }

    fn stand_in(&self, heap: &'static Heap) -> Option<&'static Heap> {
        // SAFETY: [heap-stays] null or a heap.
        if let Some(known) = unsafe { heap.stand_in.load(Acquire).as_ref() } {
            return Some(known);
        }
        let memory =
            self.with_spans(|spans| self.bump_metadata(spans, size_of::<Heap>(), align_of::<Heap>()))?.cast::<Heap>();
        // SAFETY: fresh memory of the right size and alignment, never unmapped ([heap-stays]).
        let fresh: &'static Heap = unsafe {
            memory.write(Heap::new());
            memory.as_ref()
        };
        fresh.stands_for.store((&raw const *heap).cast_mut(), Relaxed);
        heap.stand_in.store(memory.as_ptr(), Release);
        Some(fresh)
    }

    /// Fills a fresh block, if blocks are perturbed; returns it.
    #[inline]
    pub(crate) fn perturb_fresh(&self, block: *mut u8, bytes: usize) -> *mut u8 {
        self.perturb_with(block, bytes, |byte| !byte);
        block
    }

    /// Fills a block that is about to be freed, if blocks are perturbed.
    #[inline]
    pub(crate) fn perturb_freed(&self, block: *mut u8, bytes: usize) {
        self.perturb_with(block, bytes, |byte| byte);
    }

    fn perturb_with(&self, block: *mut u8, bytes: usize, with: impl Fn(u8) -> u8) {
        let byte = self.perturb.load(Relaxed) as u8;
        if byte != 0 && !block.is_null() {
            // SAFETY: the block is ours at this moment, and holds `bytes`.
            unsafe { block.write_bytes(with(byte), bytes) };
        }
    }
}
