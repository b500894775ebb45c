//! A Rust program on its default allocator: a map that it uses all of, or a cache that was emptied.

use std::collections::BTreeMap;
use std::io::{Read, Write};

fn main() {
    let mut map: BTreeMap<u64, String> = BTreeMap::new();
    for key in 0..300_000u64 {
        map.insert(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), "x".repeat(100 + key as usize % 100));
    }
    println!("ready {}", std::process::id());
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0; 64]);
    println!("{}", map.len());
}
