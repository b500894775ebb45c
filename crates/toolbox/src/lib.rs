//! Purpose-built allocators (bump, pool, free list, arena) over every kind of memory.
//!
//! malloc serves any size, from any thread, in any order, and pays for that with headers, locks and fragmentation. When
//! all objects have one size, or die together, an allocator made for that is many times faster and leaves nothing behind.
//!
//! ```text
//!     Bump    Pool, BlockPool, Sync…Pool   FreeList    Arena, HandleArena, DropBump         hand out references
//!       │                 │                   │                 │
//!       └─────────────────┴─────────┬─────────┴─────────────────┘
//!                                 Source
//!      ┌─────────────┬──────────────┼─────────────┬──────────────┐
//!  ProgramBreak  AnonymousMap     Slice         Global       Exclusive                      private memory
//!                                                                │ (a promise)
//!                                                     SharedMap, FileMap                    memory that others see
//!                                                                │
//!     shared::Bump     shared::Pool      shared::FreeList      shared::Arena                hand out handles and copies
//! ```
//!
//! | what dies | take | instead of |
//! |---|---|---|
//! | everything at once, any types, no destructors | [`Bump`] | a malloc per node and a walk to free them |
//! | everything at once, one type | [`Arena`] | `Vec<Box<T>>` |
//! | everything at once, any types, with destructors | [`DropBump`] | |
//! | one by one, one type, looked up by a key that may be stale | [`HandleArena`] | `Vec<Option<T>>` and index bugs |
//! | one by one, one type or size | [`Pool`], [`BlockPool`]; [`SyncPool`], [`SyncBlockPool`] between threads | `Box<T>` |
//! | one by one, any sizes, inside memory of your own | [`FreeList`] | malloc |
//! | in memory that another process or the next run sees | the four in [`shared`] | |
//!
//! Each file opens with what its allocator is for, what it is not for, and what it costs. All of them have `try_` twins
//! where a call could panic for want of memory, [`Stats`], and names. The calls to the kernel are in [`calls`], for those
//! who want just them.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `std` | yes | `SharedMap`, `FileMap`, the lock between processes; turns on `os` and `alloc` |
//! | `os` | by `std` | `calls`, `ProgramBreak`, `AnonymousMap` (the crate `libc`) |
//! | `alloc` | by `std` | the source `Global` |
//! | `allocator-api2` | no | `Box`, `Vec` of that crate and `hashbrown`'s maps in `Bump`, `BlockPool`, `FreeList` |
//!
//! Without features: `no_std`, no dependency, the source is [`Slice`](source::Slice).
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "allocator-api2")]
pub mod adapt;
pub mod arena;
pub mod bump;
#[cfg(feature = "os")]
pub mod calls;
mod chunks;
mod error;
pub mod free_list;
mod name;
mod plain;
pub mod pool;
pub mod shared;
pub mod source;
mod spin;
mod stats;
mod sync;
mod tagged;

pub use arena::{Arena, DropBump, HandleArena, Key};
pub use bump::Bump;
pub use error::{Error, ErrorKind};
pub use free_list::FreeList;
pub use plain::Plain;
#[doc(hidden)]
pub use plain::tag as __tag;
pub use pool::{BlockPool, Pool, SyncBlockPool, SyncPool};
pub use stats::Stats;
