//! How a seed's kernel misbehaves, and when.

use brkmap_sys::sim::{Call, Config, Fault, Purging, Sim};

use crate::random::Random;

/// What goes wrong in a run; chosen by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Mappings are refused now and then.
    Maps,
    /// Every call is refused now and then.
    Everything,
    /// From some call on all mappings are refused, for a while.
    Drought,
    /// No more mappings or bytes than there are, for a while.
    Limits,
    /// The break is refused from some moment on, or from the start.
    NoBreak,
    /// Somebody else uses the break, by `sbrk` and once by a raw call.
    SharedBreak,
}

/// A call that gives memory back and never works, from the first moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// `madvise` is refused.
    Purge,
    /// `madvise` answers "done" and does nothing.
    PurgeLies,
    /// `munmap` is refused.
    Unmap,
    /// The break does not shrink.
    Break,
    /// `mremap` is refused.
    Remap,
    /// None of them works.
    All,
}

impl Keeps {
    pub(crate) const EACH: [Keeps; 6] =
        [Keeps::Purge, Keeps::PurgeLies, Keeps::Unmap, Keeps::Break, Keeps::Remap, Keeps::All];

    /// A kernel on which it never works, and the calls that are refused there.
    pub(crate) fn kernel(self, seed: u64) -> (Sim, &'static [Call]) {
        let purging = match self {
            Keeps::Purge | Keeps::All => Purging::Refused,
            Keeps::PurgeLies => Purging::Lies,
            _ => Purging::Honest,
        };
        let refused: &[Call] = match self {
            Keeps::Purge | Keeps::PurgeLies => &[],
            Keeps::Unmap => &[Call::Unmap],
            Keeps::Break => &[Call::ShrinkBreak],
            Keeps::Remap => &[Call::Remap],
            Keeps::All => &[Call::Unmap, Call::ShrinkBreak, Call::Remap],
        };
        let sim = Sim::new(Config { purging, ..Config::linux(seed) });
        refused.iter().for_each(|&call| sim.fail(call, Fault::From(1)));
        (sim, refused)
    }
}

const ALL: [Trouble; 10] = [
    Trouble::None,
    Trouble::Maps,
    Trouble::None,
    Trouble::Everything,
    Trouble::Drought,
    Trouble::None,
    Trouble::Limits,
    Trouble::NoBreak,
    Trouble::SharedBreak,
    Trouble::SharedBreak,
];

/// The kernel of a seed and what goes wrong with it.
pub(crate) struct Plan {
    pub(crate) trouble: Trouble,
    /// Requests may be refused at present.
    pub(crate) may_refuse: bool,
}

impl Plan {
    /// Nothing goes wrong but what the kernel does by itself.
    pub(crate) fn calm() -> Plan {
        Plan { trouble: Trouble::None, may_refuse: false }
    }

    pub(crate) fn new(seed: u64) -> (Plan, Sim) {
        let trouble = ALL[(seed % ALL.len() as u64) as usize];
        let sim = Sim::new(Config::varied(seed));
        (Plan { trouble, may_refuse: false }, sim)
    }

    /// Begins the trouble, or ends it; called now and then.
    pub(crate) fn turn(&mut self, sim: &Sim, random: &mut Random) {
        if self.may_refuse {
            sim.heal();
            sim.limit_bytes(usize::MAX);
            sim.limit_mappings(65_530);
            self.may_refuse = false;
            return;
        }
        match self.trouble {
            Trouble::None => {}
            Trouble::Maps => {
                sim.fail(Call::Map, Fault::PerMille(200));
                sim.fail(Call::Remap, Fault::PerMille(500));
            }
            Trouble::Everything => {
                for call in [Call::Map, Call::Unmap, Call::Remap, Call::Purge] {
                    sim.fail(call, Fault::PerMille(100));
                }
                // A break that failed once stays closed: keep it open in most runs.
                if random.below(4) == 0 {
                    sim.fail(Call::MoveBreak, Fault::PerMille(50));
                    sim.fail(Call::ProgramBreak, Fault::PerMille(50));
                }
            }
            Trouble::Drought => {
                sim.fail(Call::Remap, Fault::Every(2));
                sim.fail(Call::Map, Fault::From(random.below(5) + 1));
                if random.below(2) == 0 {
                    sim.fail(Call::MoveBreak, Fault::From(random.below(3) + 1));
                }
            }
            Trouble::Limits => {
                let more = random.below(8 << 20) as usize;
                sim.limit_bytes(sim.mapped_bytes() + more);
                sim.limit_mappings(sim.mappings().len() + random.below(4) as usize);
                sim.limit_break(random.below(64 << 20) as usize);
            }
            Trouble::NoBreak => {
                if random.below(3) == 0 {
                    sim.close_break();
                }
                return;
            }
            Trouble::SharedBreak => {
                sim.share_break(random.below(5) + 1, random.below(20_000) as usize);
                let delta = random.below(100_000) as isize;
                match random.below(6) {
                    0 => _ = sim.foreign_brk(delta),
                    _ => _ = sim.foreign_sbrk(delta),
                }
                return;
            }
        }
        self.may_refuse = self.trouble != Trouble::None;
    }
}
