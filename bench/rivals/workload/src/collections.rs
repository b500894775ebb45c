//! Collections that grow, shrink and are thrown away.

use crate::Outcome;
use crate::random::Random;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Vectors that grow by pushing, from nothing: many short ones, some long; a window of them is live.
pub(crate) fn vecs() -> Outcome {
    let mut random = Random(1);
    let mut live: VecDeque<Vec<u64>> = VecDeque::new();
    let mut sum = 0u64;
    for round in 0..300_000u32 {
        // Short ones are many.
        let most = 1 + random.below(800);
        let length = if round % 500 == 0 { 100_000 } else { 1 + random.below(most) };
        let mut numbers = Vec::new();
        for number in 0..length {
            numbers.push(u64::from(number ^ round));
        }
        if length % 3 == 0 {
            numbers.truncate(length as usize / 2);
            numbers.shrink_to_fit();
        }
        live.push_back(numbers);
        if live.len() > 2_000 {
            let oldest = live.pop_front().unwrap_or_default();
            sum = sum.wrapping_add(oldest.iter().sum::<u64>()).wrapping_add(oldest.len() as u64);
        }
    }
    Outcome::Sum(sum)
}

/// A map from words to lists: inserted, looked up, removed.
pub(crate) fn map() -> Outcome {
    let mut random = Random(2);
    // The standard map's own hasher is seeded differently in each process, which would vary the order of frees.
    let mut map: HashMap<String, Vec<u32>, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    let mut sum = 0u64;
    for round in 0..1_000_000u32 {
        let key = format!("key {} of the map", random.below(120_000));
        if random.below(4) == 0 {
            sum += map.remove(&key).map_or(1, |list| list.len() as u64);
        } else {
            map.entry(key).or_default().push(round);
        }
    }
    Outcome::Sum(sum + map.values().map(|list| list.len() as u64).sum::<u64>())
}
