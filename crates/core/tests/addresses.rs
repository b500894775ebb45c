//! The page map and the checks of `free` over any 64-bit value: an answer or the fatal line, never a fault.

#[path = "model/platform.rs"]
#[allow(dead_code)]
mod platform;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use brkmap_core::{Engine, Request};
use brkmap_sys::sim::{ABORTED, Config, Sim};
use platform::Stage;

/// Some memory that is not the engine's.
static FOREIGN: u8 = 0;

/// Calls `f`; what the fatal line said, if it came to that.
fn fatal<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let said = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.starts_with(ABORTED) && said.contains("brkmap: fatal: "), "a panic, not an abort: {said}");
        said
    })
}

/// Blocks of every kind, with their usable sizes; some freed again.
fn populate(engine: &Engine<Stage>) -> HashMap<usize, usize> {
    let mut blocks = HashMap::new();
    for round in 0..3 {
        for bytes in [
            0,
            1,
            8,
            16,
            24,
            100,
            128,
            1000,
            4096,
            8192,
            8193,
            20_000,
            65_536,
            65_537,
            100_000,
            131_072,
            1 << 20,
            5 << 20,
        ] {
            for align in [16, 64, 4096, 65_536, 1 << 20] {
                let block = engine.allocate_aligned(Request::aligned(align, bytes + round).unwrap());
                blocks.insert(block.addr(), engine.usable_size(block));
            }
        }
    }
    let mut freed: Vec<usize> = blocks.keys().copied().collect();
    freed.sort();
    for &start in freed.iter().step_by(3) {
        blocks.remove(&start);
        // SAFETY: a live block
        unsafe { engine.free(start as *mut u8) };
    }
    blocks
}

/// The value is no live block: every entry that takes a pointer says so.
fn is_refused(engine: &Engine<Stage>, sim: &Sim, value: usize) {
    let pointer = value as *mut u8;
    // SAFETY: none; the engine must notice
    unsafe {
        assert!(fatal(|| engine.usable_size(pointer)).is_err(), "usable size of {value:#x}");
        assert!(fatal(|| engine.free(pointer)).is_err(), "free of {value:#x}");
        assert!(fatal(|| engine.free_checked(pointer, 16, 16)).is_err(), "sized free of {value:#x}");
        let request = Request::plain(100).unwrap();
        assert!(fatal(|| engine.reallocate(pointer, request)).is_err(), "realloc of {value:#x}");
    }
    let said = sim.take_errors();
    assert_eq!(said.lines().count(), 4);
    assert!(said.lines().all(|line| line.contains(&format!("ptr={value:#x} "))), "{said}");
}

fn on_large_stack(test: impl FnOnce() + Send + 'static) {
    // Thousands of aborts are meant; a message for each would hide the one that is not.
    std::panic::set_hook(Box::new(|info| {
        if !info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with(ABORTED)) {
            eprintln!("{info}");
        }
    }));
    std::thread::Builder::new().stack_size(64 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn every_single_flipped_bit_of_a_live_address_is_answered() {
    on_large_stack(|| {
        for page_size in [4096, 65_536] {
            let sim = Sim::new(Config { page_size, ..Config::linux(3) });
            let engine = Stage::engine(sim.clone());
            engine.platform().play(0, 4242);
            let blocks = populate(&engine);
            let (mut hits, mut refused) = (0, 0);
            for &start in blocks.keys() {
                for bit in 0..64 {
                    let value = start ^ 1 << bit;
                    match blocks.get(&value) {
                        Some(&usable) => {
                            assert_eq!(engine.usable_size(value as *mut u8), usable);
                            hits += 1;
                        }
                        None => {
                            is_refused(&engine, &sim, value);
                            refused += 1;
                        }
                    }
                }
            }
            assert!(hits > 0 && refused > 10_000, "{hits} hits, {refused} refused");
            engine.check_all().unwrap();
            for &start in blocks.keys() {
                // SAFETY: a live block: all that was refused changed nothing
                unsafe { engine.free(start as *mut u8) };
            }
            engine.check_all().unwrap();
            let stats = engine.stats();
            assert_eq!((stats.live, stats.mappings), (0, 0));
        }
    });
}

#[test]
fn wild_values_are_refused_by_an_engine_that_is_new_and_by_one_in_use() {
    on_large_stack(|| {
        let sim = Sim::new(Config::linux(4));
        let engine = Stage::engine(sim.clone());
        engine.platform().play(0, 4242);
        let edges = [0, 1 << 28, 1 << 46, 1 << 47, 1 << 48, 1 << 63, usize::MAX, (&raw const FOREIGN) as usize];
        let single = (0..64).map(|bit| 1usize << bit);
        let around =
            edges.into_iter().flat_map(|edge: usize| (0..40).map(move |d| edge.wrapping_add(d).wrapping_sub(20)));
        let values: Vec<usize> = single.chain(around).filter(|&value| value != 0).collect();
        for &value in &values {
            is_refused(&engine, &sim, value);
        }
        populate(&engine);
        for &value in &values {
            is_refused(&engine, &sim, value);
        }
        engine.check_all().unwrap();
    });
}
