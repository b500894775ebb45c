//! What a thread has of its own: per class the list it allocates from and the page that list belongs to.
//!
//! A heap outlives its thread: it becomes idle with its pages and the next thread takes it. Pages name their heap as
//! owner, never a thread, so taking over a heap touches no page.

use core::cell::Cell;
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering::Relaxed};

use brkmap_sys::ThreadMark;

use crate::classes::{self, CLASSES, DIRECT_MAX};
use crate::lifecycle::{IDLE, Lifecycle};
use crate::lock::Lock;
use crate::page::{Block, PART, PageMeta};
use crate::remote::PageQueue;
use crate::reopen::Search;

/// Blocks of one foreign page that this thread freed and whose owner has not heard of it yet. *[open-parcel]*
pub(crate) struct Parcel {
    /// Null: closed.
    pub(crate) page: Cell<*const PageMeta>,
    /// How the page's offsets become state bytes: copies, because its owner writes to the line that has them all the time.
    pub(crate) states: Cell<*const AtomicU8>,
    pub(crate) magic: Cell<u32>,
    /// The block freed first; it is REMOTE, the others are LOOSE.
    pub(crate) first: Cell<*mut Block>,
    /// Blocks that still go in.
    pub(crate) room: Cell<u32>,
    /// Blocks that go in beyond them if the heap grants it.
    pub(crate) beyond: Cell<u32>,
    /// Bytes that were granted.
    pub(crate) granted: Cell<u32>,
    /// The parts of the page that the others lie in, a bit each.
    pub(crate) parts: Cell<u16>,
}

impl Parcel {
    /// Notes a block that became LOOSE, by its offset in the page, and the room that is left. By its thread.
    #[inline(always)]
    pub(crate) fn note(&self, offset: usize, room: u32) {
        self.parts.set(self.parts.get() | 1 << (offset / PART));
        self.room.set(room);
    }
}

/// Parcels that a thread fills at a time; found by the page's address.
pub(crate) const PARCELS: usize = 64;
/// Blocks after which a parcel is handed over.
pub(crate) const PARCEL_BLOCKS: u32 = 64;
/// Bytes after which a parcel is handed over.
pub(crate) const PARCEL_BYTES: usize = 8 << 10;
// Of a medium page a parcel has one block, so that only small pages have LOOSE ones.
const _: () = assert!(PARCEL_BYTES < 2 * classes::SMALL_MAX);
/// The part of that which is granted at a time.
pub(crate) const PARCEL_STEPS: u32 = 4;
/// Bytes that all open parcels of a thread may hold.
pub(crate) const PARCELS_BYTES: usize = 128 << 10;

/// Requests that took the slow path, per class: the sample behind "rounding inside blocks".
#[repr(C)]
pub(crate) struct Sample {
    pub(crate) count: AtomicU32,
    pub(crate) bytes: AtomicU32,
}

/// Where a heap's pages come from first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program break.
    Break,
    /// Mapped regions.
    Region,
}

/// See the head of this file. Private fields: [heap-owner].
#[repr(C, align(128))]
pub struct Heap {
    /// The CURRENT page by sixteenths of the request, rounded up. *[current-page]*
    pub(crate) direct: [AtomicPtr<PageMeta>; DIRECT_MAX / 16 + 1],
    /// Per class: the CURRENT page, from whose list `malloc` takes. Never null: [`EMPTY_PAGE`] stands for none.
    /// *[current-page]*
    pub(crate) current: [AtomicPtr<PageMeta>; CLASSES],
    /// First PARTIAL page per class, as a slice number.
    pub(crate) ring: [AtomicU32; CLASSES],
    pub(crate) parcels: [Parcel; PARCELS],
    /// Bytes that the open parcels may hold.
    pub(crate) granted: Cell<usize>,
    /// Pages of this heap.
    pub(crate) pages: Cell<u32>,
    /// Pages that became loose or empty since the last refill.
    pub(crate) loosened: Cell<u32>,
    /// The search for free blocks on pages that count as full.
    pub(crate) search: Search,
    pub(crate) samples: [Sample; CLASSES],
    /// Pages with blocks that other threads freed.
    pub(crate) queue: PageQueue,
    pub(crate) lifecycle: Lifecycle,
    /// Held while the private fields are between two states; taken by fork.
    pub(crate) gate: Lock,
    /// The owner's thread id; 0 while idle.
    pub(crate) thread: AtomicU32,
    /// Tells when that thread is gone.
    pub(crate) mark: ThreadMark,
    /// See [`Origin`].
    pub(crate) origin: AtomicU8,
    /// A stand-in for this heap while blocks are perturbed: see `perturb`. Null: none yet.
    pub(crate) stand_in: AtomicPtr<Heap>,
    /// Of a stand-in: the heap it stands for.
    pub(crate) stands_for: AtomicPtr<Heap>,
    /// The next heap of the engine.
    pub(crate) next: AtomicPtr<Heap>,
}

// SAFETY: [heap-owner] the cells are touched by the owner alone; the rest are atomics.
unsafe impl Sync for Heap {}
// SAFETY: a heap has no tie to the thread that made it.
unsafe impl Send for Heap {}

/// The page that stands for none: it has nothing to give. Never written.
pub(crate) static EMPTY_PAGE: PageMeta = PageMeta::empty();

/// The heap of a thread whose end began and that has given its heap back: as [`EMPTY_HEAP`], but what it still frees does
/// not get it another one.
pub(crate) static ENDED_HEAP: Heap = Heap::new();

/// The heap of a thread that has none: every path through it ends in the slow one. Never written.
pub static EMPTY_HEAP: Heap = Heap::new();

impl Heap {
    /// A heap without pages.
    pub(crate) const fn new() -> Heap {
        Heap {
            direct: [const { AtomicPtr::new((&raw const EMPTY_PAGE).cast_mut()) }; DIRECT_MAX / 16 + 1],
            current: [const { AtomicPtr::new((&raw const EMPTY_PAGE).cast_mut()) }; CLASSES],
            ring: [const { AtomicU32::new(0) }; CLASSES],
            parcels: [const {
                Parcel {
                    page: Cell::new(core::ptr::null()),
                    states: Cell::new(core::ptr::null()),
                    magic: Cell::new(0),
                    first: Cell::new(null_mut()),
                    room: Cell::new(0),
                    beyond: Cell::new(0),
                    granted: Cell::new(0),
                    parts: Cell::new(0),
                }
            }; PARCELS],
            granted: Cell::new(0),
            pages: Cell::new(0),
            loosened: Cell::new(0),
            search: Search::new(),
            samples: [const { Sample { count: AtomicU32::new(0), bytes: AtomicU32::new(0) } }; CLASSES],
            queue: PageQueue::new(),
            lifecycle: Lifecycle::new(IDLE),
            gate: Lock::new(),
            thread: AtomicU32::new(0),
            mark: ThreadMark::new(),
            origin: AtomicU8::new(0),
            stand_in: AtomicPtr::new(null_mut()),
            stands_for: AtomicPtr::new(null_mut()),
            next: AtomicPtr::new(null_mut()),
        }
    }

    /// Is this the heap of a thread that has none?
    #[inline]
    pub(crate) fn is_empty_heap(&self) -> bool {
        core::ptr::eq(self, &EMPTY_HEAP) || self.is_ended_heap()
    }

    /// Is this the heap of a thread whose end began?
    #[inline]
    pub(crate) fn is_ended_heap(&self) -> bool {
        core::ptr::eq(self, &ENDED_HEAP)
    }

    /// The owner word that this heap's pages carry.
    #[inline(always)]
    pub(crate) fn owner_word(&self) -> usize {
        (&raw const *self).addr()
    }

    pub(crate) fn origin(&self) -> Origin {
        if self.origin.load(Relaxed) == 0 { Origin::Break } else { Origin::Region }
    }

    pub(crate) fn set_origin(&self, origin: Origin) {
        self.origin.store(origin as u8, Relaxed);
    }

    /// The parcel for the blocks of a page; it may be another page's at present.
    #[inline(always)]
    pub(crate) fn parcel_for(&self, page: &PageMeta) -> &Parcel {
        let key = (&raw const *page).addr() / size_of::<PageMeta>();
        &self.parcels[(key ^ key >> 6) % PARCELS]
    }

    /// Makes a page the CURRENT one of its class.
    pub(crate) fn set_current(&self, class: usize, page: &PageMeta) {
        let page = (&raw const *page).cast_mut();
        self.current[class].store(page, Relaxed);
        self.direct[classes::sixteenths(class)].iter().for_each(|named| named.store(page, Relaxed));
    }

    /// Ends the use of the CURRENT page of a class; the list is empty.
    pub(crate) fn set_no_current(&self, class: usize) {
        self.set_current(class, &EMPTY_PAGE);
    }

    /// Notes the size of a request that took the slow path. The pair is halved before it would overflow.
    pub(crate) fn sample(&self, class: usize, bytes: usize) {
        let sample = &self.samples[class];
        let (count, sum) = (sample.count.load(Relaxed), sample.bytes.load(Relaxed));
        let (count, sum) = if sum > u32::MAX / 2 { (count / 2, sum / 2) } else { (count, sum) };
        sample.count.store(count + 1, Relaxed);
        sample.bytes.store(sum + bytes as u32, Relaxed);
    }

    /// A heap from the owner word of a page.
    ///
    /// # Safety
    /// *[heap-stays]* The word was read from a page of the engine that has live blocks and is no `owner::*` tag: it is
    /// the address of a heap, and heaps are never unmapped.
    pub(crate) unsafe fn from_owner<'a>(word: usize) -> &'a Heap {
        // SAFETY: [heap-stays] promised by the caller. Heaps come from exposed metadata mappings.
        unsafe { &*core::ptr::with_exposed_provenance::<Heap>(word) }
    }
}

const _: () = assert!(size_of::<Heap>() <= 7 << 10);

/// A null block pointer of the right type.
pub(crate) const fn no_block() -> *mut Block {
    without_provenance_mut(0)
}
