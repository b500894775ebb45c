//! The four allocators over memory that others see: other processes, or the next run of this program.
//!
//! A reference promises that nobody else writes what it points to. In shared memory nobody can promise that, and in a
//! file an address means nothing after a restart. So here
//!
//! * what is handed out is a [`Handle`]: a place in the memory and a generation, 8 bytes that may themselves be stored
//!   there;
//! * values go in and out as copies, and their types are [`Plain`]: any bytes are a value;
//! * every access is an atomic load or store of an aligned 8-byte word, and everything that is *read* there (a length, a
//!   link, a size) is checked before it is believed. A hostile or broken neighbour makes us see wrong values or
//!   [`Corrupt`](crate::ErrorKind::Corrupt), never undefined behaviour.
//!
//! | allocator | unit | between processes | killed in the middle |
//! |---|---|---|---|
//! | [`Bump`] | bytes | a lock that notices its owner's death | consistent: one word publishes a record |
//! | [`Pool`] | one `T` | lock-free | consistent: at most the slot in hand is lost until [`Pool::recover`] |
//! | [`FreeList`] | bytes | the lock | repaired from the boundary tags, or refused |
//! | [`Arena`] | many `T` | the lock | consistent: one word publishes a value |
//!
//! They work over every [`Memory`]: [`SharedMap`](crate::source::SharedMap), [`FileMap`](crate::source::FileMap), and one
//! [`Block`] of any private source (then between threads).
//!
//! ```
//! use brkmap_toolbox::{shared::Pool, source::SharedMap};
//!
//! let memory = SharedMap::create("numbers", 1 << 16).unwrap();
//! let pool = Pool::<u64, _>::create(memory).unwrap();
//! let handle = pool.insert(7).unwrap();
//! assert_eq!(pool.get(handle), Ok(7));
//! assert_eq!(pool.remove(handle), Ok(7));
//! assert!(pool.get(handle).is_err(), "a stale handle is an error, not another's value");
//! ```

mod arena;
mod block;
mod bump;
mod exclusive;
mod face;
mod free_list;
mod free_space;
mod handle;
mod header;
mod lock;
mod pool;
mod words;

pub use arena::Arena;
pub use block::Block;
pub use bump::Bump;
pub use exclusive::Exclusive;
pub use free_list::FreeList;
pub use handle::Handle;
pub use pool::Pool;

use crate::error::{Error, ErrorKind};
use core::ptr::NonNull;
use face::face;

/// One range of memory that others may see and write.
///
/// # Safety
///
/// Who implements this promises: the range starts at a multiple of 16, is readable and writable through atomic accesses
/// and stays where it is as long as the value lives; it never becomes shorter; nobody in this process accesses it other
/// than by relaxed or stronger atomic accesses of aligned 8-byte words.
pub unsafe trait Memory {
    /// The range as it is now.
    fn range(&self) -> NonNull<[u8]>;

    /// Makes the range at least `bytes` long, in place. Fresh bytes are zero.
    ///
    /// # Errors
    ///
    /// It cannot grow; nothing has changed.
    fn grow(&self, bytes: usize) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Exhausted, "Memory::grow", bytes, "make the memory larger from the start"))
    }

    /// Whether nobody else can be using the memory: neither another process (a lock says so, or it is this process's alone)
    /// nor another value here.
    fn is_alone(&self) -> bool {
        false
    }
}

// SAFETY: [memory-contract] range and growth are those of `M`.
unsafe impl<M: Memory + ?Sized> Memory for &M {
    fn range(&self) -> NonNull<[u8]> {
        (**self).range()
    }

    fn grow(&self, bytes: usize) -> Result<(), Error> {
        (**self).grow(bytes)
    }

    /// Another borrow may be in use beside this one.
    fn is_alone(&self) -> bool {
        false
    }
}
