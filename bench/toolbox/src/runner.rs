//! Contestants in turn.

use std::time::Instant;

/// What one contestant did.
pub struct Row {
    pub name: &'static str,
    pub is_ours: bool,
    /// Nanoseconds per operation, one per round.
    pub times: Vec<f64>,
}

impl Row {
    pub fn least(&self) -> f64 {
        self.times.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// What is measured, and by whom.
pub struct Setting {
    pub name: &'static str,
    pub rows: Vec<Row>,
}

impl Setting {
    fn best(&self, ours: bool) -> Option<&Row> {
        let best = |a: &&Row, b: &&Row| a.least().total_cmp(&b.least());
        self.rows.iter().filter(|row| row.is_ours == ours && row.name != "malloc").min_by(best)
    }

    /// Our best and the best rival that is not malloc.
    pub fn winners(&self) -> Option<(&Row, &Row)> {
        Some((self.best(true)?, self.best(false)?))
    }

    pub fn malloc(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == "malloc")
    }
}

/// A contestant: a name and a batch of operations.
pub struct Contestant<'c> {
    name: &'static str,
    is_ours: bool,
    batch: Box<dyn FnMut() + 'c>,
}

pub fn ours<'c>(name: &'static str, batch: impl FnMut() + 'c) -> Contestant<'c> {
    Contestant { name, is_ours: true, batch: Box::new(batch) }
}

pub fn rival<'c>(name: &'static str, batch: impl FnMut() + 'c) -> Contestant<'c> {
    Contestant { name, is_ours: false, batch: Box::new(batch) }
}

pub struct Runner {
    rounds: usize,
    filter: String,
    settings: Vec<Setting>,
}

impl Runner {
    pub fn new(rounds: usize, filter: String) -> Runner {
        Runner { rounds, filter, settings: Vec::new() }
    }

    /// Runs a setting whose batches have `operations` each.
    pub fn setting(&mut self, name: &'static str, operations: usize, mut contestants: Vec<Contestant<'_>>) {
        if !name.contains(&self.filter) {
            return;
        }
        let row = |c: &Contestant<'_>| Row { name: c.name, is_ours: c.is_ours, times: Vec::new() };
        let mut rows: Vec<Row> = contestants.iter().map(row).collect();
        for round in 0..self.rounds + 3 {
            for turn in 0..contestants.len() {
                let at = (round + turn) % contestants.len();
                let start = Instant::now();
                (contestants[at].batch)();
                let time = start.elapsed().as_nanos() as f64 / operations as f64;
                // The first rounds get the memory.
                if round >= 3 {
                    rows[at].times.push(time);
                }
            }
        }
        eprintln!("{name}");
        self.settings.push(Setting { name, rows });
    }

    pub fn finish(self) -> Vec<Setting> {
        self.settings
    }
}

/// Tells the compiler that somebody looks at what a pointer leads to, and may change it. `black_box` says the same by way of
/// the stack, and for the fastest contestants that store is a third of what they do.
#[inline(always)]
pub fn used<T: ?Sized>(place: &mut T) {
    // SAFETY: no instruction: the pointer is only claimed to be read.
    unsafe { core::arch::asm!("/* {0} */", in(reg) &raw mut *place as *mut u8, options(nostack, preserves_flags)) }
}

/// A number of which the compiler knows nothing, in a register. An object that is made of it is built where it shall be. One
/// that goes through `black_box` is written to the stack in words and read back in vectors, which stalls a processor for
/// longer than a pool takes for all that it does.
#[inline(always)]
pub fn opaque(mut number: usize) -> usize {
    // SAFETY: no instruction: the number comes out as it went in.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags)) };
    number
}

/// Numbers that look random and are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}
