//! Trees: one block for each node, and the standard library's map with many entries in a node.

use crate::Outcome;
use crate::random::Random;
use std::collections::BTreeMap;

struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
    value: u32,
}

fn grow(depth: u32, value: u32) -> Box<Node> {
    let child = |bit| (depth > 0).then(|| grow(depth - 1, value * 2 + bit));
    Box::new(Node { left: child(0), right: child(1), value })
}

fn total(node: &Node) -> u64 {
    let of = |child: &Option<Box<Node>>| child.as_deref().map_or(0, total);
    u64::from(node.value) + of(&node.left) + of(&node.right)
}

/// Full trees, grown and dropped, beside one that stays; then a branch of that one is replaced at a time.
pub(crate) fn boxed() -> Outcome {
    let mut random = Random(4);
    let mut standing = grow(17, 1);
    let mut sum = 0;
    for depth in (4..=16).step_by(4) {
        for _ in 0..1 << (20 - depth) {
            sum += total(&grow(depth, 1));
        }
    }
    for _ in 0..100_000 {
        let mut place = &mut standing;
        for _ in 0..12 {
            let next = if random.below(2) == 0 { &mut place.left } else { &mut place.right };
            place = next.get_or_insert_with(|| grow(0, 1));
        }
        *place = grow(5, 1);
    }
    Outcome::Sum(sum + total(&standing))
}

/// A map in order: entries inserted and removed at random, ranges cut off and put back.
pub(crate) fn ordered() -> Outcome {
    let mut random = Random(5);
    let mut map: BTreeMap<u32, Box<[u32]>> = BTreeMap::new();
    let mut sum = 0u64;
    for round in 0..900_000u32 {
        let key = random.below(200_000);
        if random.below(5) < 2 {
            sum += map.remove(&key).map_or(1, |list| list.len() as u64);
        } else {
            map.insert(key, vec![round; 1 + random.below(12) as usize].into_boxed_slice());
        }
        if round % 50_000 == 0 {
            let mut upper = map.split_off(&100_000);
            sum += upper.len() as u64;
            map.append(&mut upper);
        }
    }
    Outcome::Sum(sum + map.values().map(|list| list.len() as u64).sum::<u64>())
}
