//! What goes back to the kernel, and what a kernel that refuses in the middle of it does to the heap.

#[path = "model/platform.rs"]
#[allow(dead_code)]
mod platform;

use brkmap_core::Engine;
use brkmap_sys::sim::{Call, Config, Fault, Sim};
use brkmap_wire::Counter;
use platform::Stage;

/// Runs a test with an engine of its own. An engine is built on the stack before it moves to its box.
fn on(config: Config, test: impl FnOnce(&Engine<Stage>, &Sim) + Send) {
    std::thread::scope(|scope| {
        let run = move || {
            let sim = Sim::new(config);
            let engine = Stage::engine(sim.clone());
            engine.platform().play(0, platform::main_thread(&sim));
            test(&engine, &sim);
        };
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).expect("a thread");
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// 16 MiB of blocks of 1000 bytes, of which one in ten lives on; each holds its number.
fn sparse(engine: &Engine<Stage>) -> Vec<*mut u32> {
    let blocks: Vec<*mut u32> = (0..16_384).map(|_| engine.allocate(1000).cast()).collect();
    let mut kept = Vec::new();
    for (number, &block) in blocks.iter().enumerate() {
        // SAFETY: a live block of 1000 bytes
        unsafe {
            block.cast::<u8>().write_bytes(1, 1000);
            block.write(number as u32);
            if number % 10 == 0 { kept.push(block) } else { engine.free(block.cast()) }
        }
    }
    kept
}

fn check(engine: &Engine<Stage>, kept: &[*mut u32]) {
    engine.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
    for (index, &block) in kept.iter().enumerate() {
        // SAFETY: a live block of 1000 bytes
        assert_eq!(unsafe { (block.read(), block.cast::<u8>().add(999).read()) }, (index as u32 * 10, 1));
    }
}

/// All that was freed is handed out again, whole and, for `calloc`, zero.
fn refill(engine: &Engine<Stage>, kept: &[*mut u32]) {
    for _ in 0..16_384 {
        let block = engine.allocate_zeroed(1, 1000);
        // SAFETY: a live block of 1000 bytes
        unsafe {
            assert!((0..1000).all(|at| block.add(at).read() == 0));
            block.write_bytes(2, 1000);
        }
    }
    check(engine, kept);
}

#[test]
fn holes_go_back_wherever_the_kernel_stops() {
    for nth in [1, 2, 63, 64, 65, 200, 1500] {
        on(Config::linux(nth), |engine, sim| {
            let kept = sparse(engine);
            let full = sim.resident_bytes();
            sim.fail(Call::Purge, Fault::Nth(nth));
            engine.trim(0);
            check(engine, &kept);
            assert_eq!(sim.refused(Call::Purge), 1, "nth {nth}");
            assert_eq!(engine.counter(Counter::PurgeRefused), 1);
            let partly = sim.resident_bytes();
            assert!(partly < full - (4 << 20), "nth {nth}: {partly} of {full} stay");
            engine.trim(0);
            assert!(sim.resident_bytes() <= partly);
            assert_eq!(engine.counter(Counter::PurgeBytes), sim.purged_bytes());
            refill(engine, &kept);
        });
    }
}

#[test]
fn what_is_always_refused_stays_whole() {
    for fault in [Fault::From(1), Fault::Every(2), Fault::PerMille(500)] {
        on(Config::linux(5), |engine, sim| {
            sim.fail(Call::Purge, fault);
            let kept = sparse(engine);
            for _ in 0..3 {
                engine.trim(0);
                check(engine, &kept);
            }
            refill(engine, &kept);
        });
    }
}
