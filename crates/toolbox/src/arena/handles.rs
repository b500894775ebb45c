//! The arena with keys.

use crate::chunks::{Chunk, Chunks};
use crate::error::{Error, ErrorKind, give_up};
#[cfg(feature = "alloc")]
use crate::source::Global;
use crate::source::Source;
use crate::stats::Stats;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut};
use core::ptr::NonNull;

/// Names an object of a [`HandleArena`], also after it is gone: then nothing is found. 8 bytes; `Option<Key>` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    /// Odd: the count of the slot when the object came.
    generation: NonZeroU32,
}

impl Key {
    /// The key as a number.
    pub const fn to_bits(self) -> u64 {
        (self.index as u64) << 32 | self.generation.get() as u64
    }

    /// The key of a number that [`to_bits`](Key::to_bits) gave.
    pub const fn from_bits(bits: u64) -> Option<Key> {
        match NonZeroU32::new(bits as u32) {
            // An even count is that of a free slot: no key ever had it, and it would find one.
            Some(generation) if generation.get() % 2 == 1 => Some(Key { index: (bits >> 32) as u32, generation }),
            _ => None,
        }
    }
}

union Content<T> {
    value: ManuallyDrop<T>,
    /// Number of the next free slot.
    next: u32,
}

struct Slot<T> {
    content: Content<T>,
    /// Odd while an object is there; goes up by one when it comes and when it goes. A slot whose count has gone round is
    /// not used again, so a stale key never finds a stranger.
    generation: u32,
}

impl<T> Slot<T> {
    fn is_live(&self) -> bool {
        self.generation % 2 == 1
    }
}

/// No slot.
const NONE: u32 = u32::MAX;

/// Objects of one type that are reached by keys and freed one by one. A key that outlived its object finds nothing.
///
/// Slots lie in one piece of memory, so a lookup is a compare and a load. When it is full it grows: in place where the
/// source can, else it moves; keys stay what they are.
///
/// ```
/// use brkmap_toolbox::HandleArena;
/// let mut players = HandleArena::new();
/// let anna = players.insert("Anna");
/// let bert = players.insert("Bert");
/// assert_eq!(players.remove(anna), Some("Anna"));
/// let carl = players.insert("Carl"); // in Anna's slot
/// assert_eq!((players.get(anna), players[bert], players[carl]), (None, "Bert", "Carl"));
/// ```
pub struct HandleArena<T, #[cfg(feature = "alloc")] S: Source = Global, #[cfg(not(feature = "alloc"))] S: Source> {
    /// Invariant `[slot-front]`: slots below `used` are initialised; those that are live hold a value, the others the
    /// link of the list that begins at `free` (or are retired).
    slots: NonNull<Slot<T>>,
    used: u32,
    capacity: u32,
    free: u32,
    live: u32,
    chunks: Chunks<S>,
    values: PhantomData<T>,
}

// SAFETY: [exclusive-owner] the chunk and the objects belong to this value alone.
unsafe impl<T: Send, S: Source + Send> Send for HandleArena<T, S> {}
// SAFETY: [exclusive-owner] nothing changes through `&self`, and only `&T`s are had.
unsafe impl<T: Sync, S: Source + Sync> Sync for HandleArena<T, S> {}

#[cfg(feature = "alloc")]
impl<T> HandleArena<T> {
    /// An empty one over the registered allocator.
    pub const fn new() -> HandleArena<T> {
        HandleArena::over(Global::new())
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for HandleArena<T> {
    fn default() -> HandleArena<T> {
        HandleArena::new()
    }
}

impl<T, S: Source> HandleArena<T, S> {
    /// An empty one over a source.
    pub const fn over(source: S) -> HandleArena<T, S> {
        HandleArena {
            slots: NonNull::dangling(),
            used: 0,
            capacity: 0,
            free: NONE,
            live: 0,
            chunks: Chunks::new(source),
            values: PhantomData,
        }
    }

    /// Gives it a name for [`stats`](HandleArena::stats) and reports.
    pub fn named(mut self, name: &'static str) -> HandleArena<T, S> {
        self.chunks.set_name(name);
        self
    }

    /// Says that about so many objects will come: the next growth has room for them.
    pub fn expect(&mut self, objects: usize) {
        self.chunks.expect(objects.saturating_mul(size_of::<Slot<T>>()));
    }

    /// Moves a value in.
    ///
    /// # Panics
    ///
    /// When the source has no more memory.
    #[inline]
    pub fn insert(&mut self, value: T) -> Key {
        self.try_insert(value).unwrap_or_else(|error| give_up(error))
    }

    /// [`insert`](HandleArena::insert) that does not panic.
    ///
    /// # Errors
    ///
    /// The source has no more memory, or there were 2^32 objects; the value is dropped.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key, Error> {
        let index = self.free;
        if index != NONE {
            // SAFETY: [slot-front] a slot in the list is below `used`, not live, and holds a link.
            let slot = unsafe { &mut *self.slots.as_ptr().add(index as usize) };
            // SAFETY: [slot-front] the same.
            self.free = unsafe { slot.content.next };
            slot.content.value = ManuallyDrop::new(value);
            slot.generation += 1;
            self.live += 1;
            return Ok(key(index, slot.generation));
        }
        self.insert_fresh(value)
    }

    #[inline(never)]
    fn insert_fresh(&mut self, value: T) -> Result<Key, Error> {
        if self.used == self.capacity {
            self.grow()?;
        }
        let index = self.used;
        let slot = Slot { content: Content { value: ManuallyDrop::new(value) }, generation: 1 };
        // SAFETY: [slot-front] below the capacity; initialised by this write.
        unsafe { self.slots.add(index as usize).write(slot) };
        self.used += 1;
        self.live += 1;
        Ok(key(index, 1))
    }

    /// Room for one more at least.
    #[cold]
    fn grow(&mut self) -> Result<(), Error> {
        let one = size_of::<Slot<T>>();
        let chunk = match self.chunks.newest() {
            Some(newest) if self.chunks.extend(newest, one).is_ok() => newest,
            Some(old) => {
                let chunk = self.chunks.acquire((self.used as usize + 1) * one, align_of::<Slot<T>>(), None)?;
                // SAFETY: [slot-front] the new chunk has room for all slots; they move there, and the old ones are left.
                unsafe {
                    self.slots.copy_to_nonoverlapping(chunk.start().cast(), self.used as usize);
                    self.chunks.release(old);
                }
                chunk
            }
            None => self.chunks.acquire(one, align_of::<Slot<T>>(), None)?,
        };
        self.settle(chunk)
    }

    fn settle(&mut self, chunk: Chunk) -> Result<(), Error> {
        self.slots = chunk.start().cast();
        self.capacity = u32::try_from(chunk.bytes() / size_of::<Slot<T>>()).unwrap_or(NONE).min(NONE - 1);
        let full = Error::new(
            ErrorKind::Exhausted,
            "HandleArena::insert",
            self.used as usize,
            "4 billion objects are the most",
        );
        if self.capacity > self.used { Ok(()) } else { Err(full) }
    }

    #[inline]
    fn slot(&self, key: Key) -> Option<&Slot<T>> {
        if key.index >= self.used {
            return None;
        }
        // SAFETY: [slot-front] below `used`.
        let slot = unsafe { &*self.slots.as_ptr().add(key.index as usize) };
        // Keys are odd, so an equal count also says that an object is there.
        (slot.generation == key.generation.get()).then_some(slot)
    }

    #[inline]
    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slot(key)?;
        // SAFETY: [slot-front] `slot` found it.
        Some(unsafe { &mut *self.slots.as_ptr().add(key.index as usize) })
    }

    /// The object, if it is still there.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        // SAFETY: [slot-front] a live slot holds a value.
        self.slot(key).map(|slot| unsafe { &*slot.content.value })
    }

    /// The object, if it is still there.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        // SAFETY: [slot-front] a live slot holds a value.
        self.slot_mut(key).map(|slot| unsafe { &mut *slot.content.value })
    }

    /// Whether the object is still there.
    pub fn contains(&self, key: Key) -> bool {
        self.slot(key).is_some()
    }

    /// Takes the object out, if it is still there.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let free = self.free;
        let slot = self.slot_mut(key)?;
        // SAFETY: [slot-front] a live slot holds a value; it leaves now.
        let value = unsafe { ManuallyDrop::take(&mut slot.content.value) };
        slot.generation = slot.generation.wrapping_add(1);
        if slot.generation != 0 {
            slot.content.next = free;
            self.free = key.index;
        }
        self.live -= 1;
        Some(value)
    }

    /// Number of objects.
    pub const fn len(&self) -> usize {
        self.live as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All objects with their keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.used).filter_map(|index| {
            // SAFETY: [slot-front] below `used`.
            let slot = unsafe { &*self.slots.as_ptr().add(index as usize) };
            // SAFETY: [slot-front] a live slot holds a value.
            slot.is_live().then(|| (key(index, slot.generation), unsafe { &*slot.content.value }))
        })
    }

    /// All objects with their keys, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        let slots = self.slots;
        (0..self.used).filter_map(move |index| {
            // SAFETY: [slot-front] below `used`; each slot is visited once, and `self` is borrowed mutably.
            let slot = unsafe { &mut *slots.as_ptr().add(index as usize) };
            // SAFETY: [slot-front] a live slot holds a value.
            slot.is_live().then(|| (key(index, slot.generation), unsafe { &mut *slot.content.value }))
        })
    }

    /// Drops all objects; the memory and the counts stay, so that old keys find nothing.
    pub fn clear(&mut self) {
        for index in 0..self.used {
            // SAFETY: [slot-front] below `used`.
            let generation = unsafe { (*self.slots.as_ptr().add(index as usize)).generation };
            if generation % 2 == 1 {
                drop(self.remove(key(index, generation)));
            }
        }
    }

    /// What it has in hand.
    pub fn stats(&self) -> Stats {
        let (chunks, held_bytes) = self.chunks.census();
        let live = self.len();
        Stats { name: self.chunks.name(), live, live_bytes: live * size_of::<Slot<T>>(), held_bytes, chunks }
    }
}

#[inline(always)]
fn key(index: u32, generation: u32) -> Key {
    // SAFETY: [slot-front] the count of a live slot is odd.
    Key { index, generation: unsafe { NonZeroU32::new_unchecked(generation) } }
}

impl<T, S: Source> Drop for HandleArena<T, S> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

impl<T, S: Source> Index<Key> for HandleArena<T, S> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn index(&self, key: Key) -> &T {
        self.get(key).expect("the object of this key is gone")
    }
}

impl<T, S: Source> IndexMut<Key> for HandleArena<T, S> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, key: Key) -> &mut T {
        self.get_mut(key).expect("the object of this key is gone")
    }
}

impl<T, S: Source> fmt::Debug for HandleArena<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandleArena({})", self.stats())
    }
}
