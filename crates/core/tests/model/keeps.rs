//! Kernels that keep what they are given back: the program notices nothing.

use brkmap_sys::sim::Purging;
use brkmap_wire::Counter;

use crate::driver::Driver;
use crate::plan::{Keeps, Plan};
use crate::{RUN, number, on_large_stack, quiet_about_misuse, run_seed};

/// Each call that gives memory back, failing always: a million operations each (`BRKMAP_MODEL_KEEPS_OPS`), with all the
/// comparisons of the model: blocks are whole, `calloc` is zero, nothing is refused, the counters agree with the records.
#[test]
fn a_kernel_that_takes_nothing_back_is_not_noticed() {
    let operations = number("BRKMAP_MODEL_KEEPS_OPS", if cfg!(debug_assertions) { 40_000 } else { 1_000_000 });
    on_large_stack(move || {
        quiet_about_misuse();
        for keeps in Keeps::EACH {
            let mut refused = 0;
            for seed in 1..=operations.div_ceil(RUN) {
                let (sim, calls) = keeps.kernel(seed);
                println!("{keeps:?}, seed {seed}");
                let driver = run_seed(seed, Driver::on(seed, Plan::calm(), sim));
                refused += calls.iter().map(|&call| driver.sim.refused(call)).sum::<u64>();
                if driver.sim.config().purging != Purging::Honest {
                    // Found out by trying: the engine does not go on asking, and counts nothing as given back.
                    assert_eq!(driver.engine.counter(Counter::PurgeBytes), 0);
                    refused += 1;
                }
                assert_eq!(driver.tally.refused, 0, "{keeps:?} led to a refusal");
            }
            assert!(refused > 0, "{keeps:?} was never asked for");
        }
    });
}
