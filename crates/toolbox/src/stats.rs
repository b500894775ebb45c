//! What an allocator has in hand.

use core::fmt;

/// What an allocator has in hand at this moment, computed when asked: the paths that allocate count nothing.
///
/// ```
/// let pool = brkmap_toolbox::Pool::<u64>::new().named("words");
/// let word = pool.alloc(1);
/// assert_eq!((pool.stats().live, pool.stats().live_bytes), (1, 8));
/// assert!(pool.stats().to_string().starts_with("words: 1 live (8 B)"));
/// # drop(word);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What it was named.
    pub name: Option<&'static str>,
    /// Objects or blocks that live. A bump allocator does not know them one by one: 0.
    pub live: usize,
    /// Their bytes, with the rounding of each.
    pub live_bytes: usize,
    /// Bytes that it has from its source, free ones and its own records included.
    pub held_bytes: usize,
    /// Chunks that these bytes come in.
    pub chunks: usize,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { name, live, live_bytes, held_bytes, chunks } = self;
        write!(f, "{}: {live} live ({live_bytes} B) of {held_bytes} B in {chunks} chunks", name.unwrap_or("unnamed"))
    }
}
