//! The brkmap allocation engine.
//!
//! One [`Engine`] value is a whole allocator. The two faces (the C library and the Rust global allocator) keep theirs in
//! a `static`; tests keep many, each on its own simulated kernel. An engine of zeros is a valid, empty engine, so a
//! static one costs no relocation and needs no constructor.
//!
//! Modules use only what stands above them in this list; `docs/ARCHITECTURE.md` draws the picture.
#![cfg_attr(not(test), no_std)]
#![allow(clippy::missing_safety_doc)]

// Pure: numbers in, numbers out.
pub mod cgroup;
pub mod classes;
pub mod config;
pub mod geometry;
pub mod head_room;
pub mod patience;
pub mod policy;
pub mod request;
mod shared;
mod shares;

// Protocols between threads, each with a model.
mod lifecycle;
mod lock;
mod once;
mod remote;
mod sync;

// Records.
mod heap;
mod page;
mod page_map;

// The engine, bottom-up.
mod alloc;
mod batch;
mod check;
mod control;
mod direct;
mod engine;
mod face;
mod fatal;
mod figures;
mod fork;
mod free;
mod give_back;
mod handover;
mod helper;
mod huge;
mod idle;
mod kept;
mod ledger;
mod pages;
mod perturb;
mod pieces;
mod pressure;
mod publish;
mod realloc;
mod refill;
mod reopen;
mod residency;
mod rows;
mod sources;
mod spans;
mod stats;
mod threads;
mod tuning;

pub use check::Violation;
pub use engine::{Engine, Platform, RootCell};
pub use figures::Figures;
pub use heap::{EMPTY_HEAP, Heap};
pub use request::{Refusal, Request};
pub use rows::{ClassRow, HEAP_BATCH, HeapRow};
pub use stats::{FreeBlocks, FreeRuns, Pool, Stats};
