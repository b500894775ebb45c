//! Places in shared memory.

use crate::plain::{Plain, tag};
use core::fmt;
use core::marker::PhantomData;

/// A place in shared memory, and which life of that place is meant: 8 bytes that mean the same in every process and may
/// be stored in the memory itself. [`NULL`](Handle::NULL) is no place.
pub struct Handle<T: ?Sized> {
    bits: u64,
    type_of: PhantomData<fn() -> *const T>,
}

impl<T: ?Sized> Handle<T> {
    /// No place.
    pub const NULL: Handle<T> = Handle::from_bits(0);

    /// A handle from the number that [`to_bits`](Handle::to_bits) gave. Any number is a handle; one that was never given
    /// out is refused where it is used.
    pub const fn from_bits(bits: u64) -> Handle<T> {
        Handle { bits, type_of: PhantomData }
    }

    /// The handle as a number.
    pub const fn to_bits(self) -> u64 {
        self.bits
    }

    /// Whether this is [`NULL`](Handle::NULL).
    pub const fn is_null(self) -> bool {
        self.bits == 0
    }

    pub(crate) const fn new(place: u32, generation: u32) -> Handle<T> {
        Handle::from_bits((place as u64) << 32 | generation as u64)
    }

    pub(crate) const fn place(self) -> u32 {
        (self.bits >> 32) as u32
    }

    pub(crate) const fn generation(self) -> u32 {
        self.bits as u32
    }
}

impl<T: ?Sized> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        *self
    }
}

impl<T: ?Sized> Copy for Handle<T> {}

impl<T: ?Sized> PartialEq for Handle<T> {
    fn eq(&self, other: &Handle<T>) -> bool {
        self.bits == other.bits
    }
}

impl<T: ?Sized> Eq for Handle<T> {}

impl<T: ?Sized> core::hash::Hash for Handle<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({}.{})", self.place(), self.generation())
    }
}

// SAFETY: [plain-type] a handle is a number; what it names is checked at each use.
unsafe impl<T: ?Sized + 'static> Plain for Handle<T> {
    const TAG: u64 = tag("Handle");
}
