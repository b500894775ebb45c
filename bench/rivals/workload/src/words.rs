//! Text: made, cut, joined, changed, sorted.

use crate::Outcome;
use crate::random::Random;

/// Lines of words, each cut into its words, which are changed, sorted and joined again.
pub(crate) fn strings() -> Outcome {
    let mut random = Random(3);
    let mut sum = 0u64;
    let mut kept: Vec<String> = Vec::new();
    for round in 0..120_000u32 {
        let mut line = String::new();
        for _ in 0..2 + random.below(24) {
            line.push_str(&format!("{:x}-{} ", random.next() >> random.below(28), round % 97));
        }
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        for word in &mut words {
            if word.len() % 2 == 0 {
                *word = word.to_uppercase();
            } else {
                word.insert_str(1, "::");
            }
        }
        words.sort();
        let joined = words.join(", ");
        sum = sum.wrapping_mul(31).wrapping_add(joined.bytes().map(u64::from).sum::<u64>());
        if kept.len() < 20_000 {
            kept.push(joined);
        } else {
            let at = random.below(20_000) as usize;
            kept[at] = joined;
        }
    }
    Outcome::Sum(sum.wrapping_add(kept.iter().map(|line| line.len() as u64).sum::<u64>()))
}
