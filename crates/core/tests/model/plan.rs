//! How a seed's kernel misbehaves, and when.

use brkmap_sys::sim::{Call, Config, Fault, Sim};

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
