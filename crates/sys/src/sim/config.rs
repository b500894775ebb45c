//! How a simulated kernel is built.

/// Where `map` puts a range for which the hint does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As Linux does: the highest free place that is large enough, so that new mappings lie below and against the old.
    TopDown,
    /// The same with a hole of some pages below some of the mappings.
    Holes,
    /// Anywhere.
    Scattered,
}

/// What `map` does with a hint whose range is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    /// Follows it, as Linux does.
    Followed,
    /// Follows it or not, by the seed.
    Sometimes,
    /// Ignores it.
    Ignored,
}

/// What `purge` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purging {
    /// The range reads as zero afterwards.
    Honest,
    /// Answers "done" and does nothing, as some emulators do.
    Lies,
    /// Refuses.
    Refused,
}

/// How a simulated kernel is built; what cannot change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every choice follows from it.
    pub seed: u64,
    /// Bytes of an OS page: 4, 16 or 64 KiB.
    pub page_size: usize,
    /// Bytes of the address space; a quarter of it is for the break.
    pub space: usize,
    /// Where mappings go.
    pub placement: Placement,
    /// What hints are worth.
    pub hints: Hints,
    /// Whether purging works.
    pub purging: Purging,
}

impl Default for Config {
    /// Linux as it usually is: 4 KiB, top-down, honest.
    fn default() -> Self {
        Config {
            seed: 0,
            page_size: 4096,
            space: 16 << 30,
            placement: Placement::TopDown,
            hints: Hints::Followed,
            purging: Purging::Honest,
        }
    }
}

impl Config {
    /// Ordinary Linux with this seed.
    pub fn linux(seed: u64) -> Self {
        Config { seed, ..Config::default() }
    }

    /// A kernel whose properties too are chosen by the seed; one in two is ordinary Linux.
    pub fn varied(seed: u64) -> Self {
        let mut random = super::faults::Random::new(seed ^ 0x7661_7279);
        if random.below(2) == 0 {
            return Config::linux(seed);
        }
        let pick = |random: &mut super::faults::Random| random.below(3) as usize;
        Config {
            seed,
            page_size: [4096, 16384, 65536][pick(&mut random)],
            placement: [Placement::TopDown, Placement::Holes, Placement::Scattered][pick(&mut random)],
            hints: [Hints::Followed, Hints::Sometimes, Hints::Ignored][pick(&mut random)],
            purging: [Purging::Honest, Purging::Lies, Purging::Refused][pick(&mut random)],
            ..Config::default()
        }
    }

    pub(super) fn check(&self) {
        let sizes = [4096, 16384, 65536];
        assert!(sizes.contains(&self.page_size), "page_size is {}, one of {sizes:?} is simulated", self.page_size);
        assert!(
            self.space >= 64 << 20 && self.space <= 1 << 40 && self.space.is_multiple_of(65536),
            "space is {}, simulated are multiples of 64 KiB from 64 MiB to 1 TiB",
            self.space
        );
    }
}
