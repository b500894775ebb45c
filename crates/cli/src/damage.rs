//! A million damaged inputs for whatever reads another process: texts of `/proc`, page tables, and the heaps of brkmap, of
//! glibc and of languages. What the readers must do is not to panic, not to hang, and not to share out more than there is.
//!
//! Every input has a seed of its own. A failure prints it, and this replays that one input:
//!
//! ```sh
//! BRKMAP_DAMAGE_SEED=4711 cargo test --profile proof -p brkmap-cli NAME_OF_THE_TEST
//! ```
//! `BRKMAP_DAMAGE_TIMES=100` does a hundred times as many inputs, with seeds that no run before had.

use std::time::{Duration, Instant};

/// Inputs that each campaign begins with; from then on each has the next number.
const FIRST_SEED: u64 = 1;
/// No input takes longer, not on a busy machine either.
const LONGEST: Duration = Duration::from_secs(10);

/// Numbers that depend on the seed alone (xorshift64* behind a mixed seed).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        // Neighbouring seeds must not begin alike.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random((mixed ^ (mixed >> 31)).max(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// Says how to replay the input under way when it panics.
struct Replay<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: replay this input with BRKMAP_DAMAGE_SEED={}", self.name, self.seed);
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Hands out `count` seeded inputs.
pub(crate) fn campaign(name: &str, count: u64, mut one: impl FnMut(&mut Random)) {
    let (first, count) = match (variable("BRKMAP_DAMAGE_SEED"), variable("BRKMAP_DAMAGE_TIMES")) {
        (Some(seed), _) => (seed, 1),
        (None, Some(times)) => (FIRST_SEED + count, count * times),
        (None, None) => (FIRST_SEED, count),
    };
    let begin = Instant::now();
    for seed in first..first + count {
        let replay = Replay { name, seed };
        let start = Instant::now();
        one(&mut Random::new(seed));
        let took = start.elapsed();
        assert!(took < LONGEST, "{took:?}");
        drop(replay);
    }
    println!("{name}: {count} damaged inputs from seed {first} on in {:.1} s", begin.elapsed().as_secs_f64());
}

/// Damages a text or a table: bits, bytes, parts, and numbers.
pub(crate) fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [&str; 10] = [
        "0",
        "18446744073709551615",
        "18446744073709551616",
        "ffffffffffffffff",
        "-1",
        "9007199254740993",
        "7fffffffffffffff",
        "",
        "4294967296",
        "18014398509481983",
    ];
    for _ in 0..1 + random.below(6) {
        if bytes.is_empty() {
            bytes.extend(random.next().to_le_bytes());
        }
        let at = random.below(bytes.len() as u64) as usize;
        let some = (1 + random.below(40) as usize).min(bytes.len() - at);
        match random.below(8) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.next() as u8,
            3 => drop(bytes.drain(at..at + some)),
            4 => {
                let copy = bytes[at..at + some].to_vec();
                let to = random.below(bytes.len() as u64) as usize;
                bytes.splice(to..to, copy);
            }
            5 => bytes.truncate(at),
            6 => {
                // A number in the place of the word that is there.
                let is_border = |byte: &u8| b" -:\t\n".contains(byte);
                let start = bytes[..at].iter().rposition(is_border).map_or(0, |before| before + 1);
                let end = bytes[at..].iter().position(is_border).map_or(bytes.len(), |after| at + after);
                let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
                bytes.splice(start..end, number.bytes());
            }
            _ => bytes[at..at + some].fill_with(|| random.next() as u8),
        }
    }
}

/// The same for a text; what is no UTF-8 afterwards is replaced, as when it is read.
pub(crate) fn damaged_text(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if random.below(50) == 0 {
        bytes.clear();
        bytes.resize_with(random.below(2000) as usize, || random.next() as u8);
    } else {
        damage(&mut bytes, random);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
