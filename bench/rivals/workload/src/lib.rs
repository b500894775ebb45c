//! What the Rust program does. Each member of this workspace that is an allocator links it into a program of its own, under
//! its own `#[global_allocator]`, so that the allocator's inlined parts are measured as a Rust program has them.
//!
//! ```text
//! rival-ALLOCATOR NAME
//! ```
//!
//! It prints `allocator ALLOCATOR`, after libc's own figures have told that blocks come from where they should, and `value X`
//! where the figure is not the process's CPU time.

mod boxes;
mod collections;
mod random;
mod tasks;
mod trees;
mod words;

use std::hint::black_box;
use std::process::exit;

/// Where blocks must come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// libc's heap.
    InLibc,
    /// Anywhere else.
    Elsewhere,
}

/// What a piece of work returns: a checksum, the same under every allocator, or a figure of its own.
enum Outcome {
    Sum(u64),
    Nanoseconds(f64),
}

/// A name, what it does, and the checksum that shows that all of it was done (none for a figure).
type Work = (&'static str, fn() -> Outcome, Option<u64>);

const WORKS: [Work; 8] = [
    ("box-48", boxes::hot_pair, None),
    ("vecs", collections::vecs, Some(16_499_531_946_465)),
    ("map", collections::map, Some(836_230)),
    ("strings", words::strings, Some(2_414_232_833_967_304_146)),
    ("tree", trees::boxed, Some(146_611_763_200)),
    ("btree", trees::ordered, Some(2_841_976)),
    ("tasks", tasks::one_worker, Some(2_442_048_153)),
    ("tasks-2", tasks::two_workers, Some(2_442_048_153)),
];

/// The program, for an allocator of this name.
pub fn main(allocator: &str, blocks: Blocks) {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, work, sum)) = WORKS.iter().find(|(work, ..)| *work == name) else {
        let names = WORKS.map(|(name, ..)| name).join(", ");
        eprintln!("usage: rival-{allocator} NAME, which is one of {names}");
        exit(2);
    };
    let found = blocks_come_from();
    if found != blocks {
        eprintln!("blocks come from {found:?}, not {blocks:?}: {allocator} is not in force");
        exit(1);
    }
    println!("allocator {allocator}");
    match work() {
        Outcome::Nanoseconds(each) => println!("value {each:.4}"),
        Outcome::Sum(found) if Some(found) == *sum => {}
        Outcome::Sum(found) => {
            eprintln!("{name} came to {found}, not {sum:?}: the work was not done as meant");
            exit(1);
        }
    }
}

/// glibc's `struct mallinfo2`.
#[repr(C)]
struct Figures {
    before_used: [usize; 7],
    used: usize,
    after_used: [usize; 2],
}

unsafe extern "C" {
    safe fn mallinfo2() -> Figures;
}

/// Does a block of this program move libc's figures?
fn blocks_come_from() -> Blocks {
    const SIZE: usize = 100_000;
    let before = mallinfo2().used;
    let block = black_box(vec![1u8; SIZE]);
    let grown = mallinfo2().used.wrapping_sub(before);
    drop(black_box(block));
    if (SIZE..2 * SIZE).contains(&grown) { Blocks::InLibc } else { Blocks::Elsewhere }
}
