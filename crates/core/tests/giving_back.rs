//! What goes back to the kernel, and what a kernel that refuses in the middle of it does to the heap.

#[path = "model/platform.rs"]
#[allow(dead_code)]
mod platform;

use brkmap_core::{Engine, Request};
use std::sync::atomic::Ordering::Relaxed;

use brkmap_sys::sim::{Call, Config, Fault, Purging, Sim};
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
            // The thread that stands in for the helper may be at its end only now.
            engine.stop_helper();
            platform::wait_for_helpers(&sim);
        };
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).expect("a thread");
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// As many blocks again as were freed here and there, too few on each page to make it known at once.
#[test]
fn free_blocks_of_pages_that_count_as_full_are_used_before_fresh_memory() {
    for bytes in [100, 1000, 5000, 20_000] {
        on(Config::linux(3), |engine, _| {
            let count = (24 << 20) / bytes;
            let mut blocks: Vec<*mut u8> = (0..count).map(|_| engine.allocate(bytes)).collect();
            let capacity = 65_536 * if bytes > 8192 { 8 } else { 1 } / bytes;
            // Just not enough for a page to be known again: less than an eighth of it.
            let gap = (capacity / 8).max(2) - 1;
            let freed: Vec<usize> = (0..count).filter(|index| index % capacity < gap).collect();
            for &index in &freed {
                // SAFETY: a live block
                unsafe { engine.free(blocks[index]) };
            }
            let before = engine.counter(Counter::UsedSliceBytes);
            for &index in &freed {
                blocks[index] = engine.allocate(bytes);
            }
            let fresh = engine.counter(Counter::UsedSliceBytes) - before;
            let wanted = (freed.len() * bytes) as u64;
            assert!(fresh <= wanted / 4 + (1 << 20), "{bytes}: {fresh} fresh bytes for {wanted}");
            engine.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
            // SAFETY: live blocks
            blocks.into_iter().for_each(|block| unsafe { engine.free(block) });
        });
    }
}

/// Regions lie the lower the newer they are, so the lowest free slices are those that were never touched.
#[test]
fn what_was_used_before_is_taken_before_fresh_memory() {
    on(Config::linux(4), |engine, sim| {
        // A thread whose memory comes from regions.
        engine.platform().play(1, platform::main_thread(sim) + 1);
        let fill = |bytes: usize, total: usize| {
            let take = || {
                let block = engine.allocate(bytes);
                // SAFETY: a block of that many bytes
                unsafe { block.write_bytes(1, bytes) };
                block
            };
            (0..total / bytes).map(|_| take()).collect::<Vec<_>>()
        };
        let (first, second) = (fill(1000, 14 << 20), fill(1000, 13 << 20));
        // SAFETY: live blocks
        first.into_iter().for_each(|block| unsafe { engine.free(block) });
        let before = sim.resident_bytes();
        let third = fill(3000, 12 << 20);
        let more = sim.resident_bytes() - before;
        assert!(more < 1 << 20, "{more} bytes more for what 14 MiB were free for");
        // SAFETY: live blocks
        second.into_iter().chain(third).for_each(|block| unsafe { engine.free(block) });
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

/// Lets time pass in which the helper, played by this thread, looks ten times, and a call asks for the clock.
fn idle(engine: &Engine<Stage>, sim: &Sim, ms: u64) {
    for _ in 0..10 {
        sim.advance_ms(ms / 10);
        engine.look_once();
    }
}

#[test]
fn what_a_forked_child_shares_stays_until_it_ends_or_30_s_have_passed() {
    on(Config::linux(6), |engine, sim| {
        let fork = || {
            engine.fork_prepare();
            engine.fork_parent();
            sim.set_shared(true);
        };
        let stays = |ms, why| {
            let before = sim.resident_bytes();
            idle(engine, sim, ms);
            assert!(sim.resident_bytes() > before - (1 << 20), "{why}: {before} became {}", sim.resident_bytes());
        };
        let goes = |ms, why| {
            let before = sim.resident_bytes();
            idle(engine, sim, ms);
            assert!(sim.resident_bytes() < before - (6 << 20), "{why}: {before} became {}", sim.resident_bytes());
        };
        let again = |mut kept: Vec<*mut u32>| {
            refill(engine, &kept);
            // SAFETY: live blocks
            kept.drain(..).for_each(|block| unsafe { engine.free(block.cast()) });
            sparse(engine)
        };
        engine.set_background(false);
        let full: Vec<_> = (0..16_384).map(|_| engine.allocate(1000)).collect();
        fork();
        // SAFETY: live blocks
        full.into_iter().for_each(|block| unsafe { engine.free(block) });
        let kept = sparse(engine);
        stays(20_000, "the child shares it");
        sim.set_shared(false);
        goes(3000, "the child has ended");
        check(engine, &kept);

        let kept = again(kept);
        fork();
        stays(29_000, "another child shares it");
        goes(3000, "long enough");
        let kept = again(kept);
        fork();
        goes(3000, "the child before shares it still");
        let kept = again(kept);
        sim.set_shared(false);
        fork();
        stays(1000, "all that were are gone");
        engine.fork_prepare();
        engine.fork_child();
        goes(3000, "a child has none itself");
        let kept = again(kept);
        sim.set_shared(false);
        fork();
        stays(1000, "it has one now");
        let before = sim.resident_bytes();
        engine.trim(0);
        assert!(sim.resident_bytes() < before - (6 << 20), "the program asks for it");
        check(engine, &kept);
    });
}

#[test]
fn where_the_kernel_does_not_tell_memory_goes_back_after_a_fork() {
    on(Config::linux(7), |engine, sim| {
        engine.set_background(false);
        let full: Vec<_> = (0..16_384).map(|_| engine.allocate(1000)).collect();
        // An answer that cannot be right: nobody forked yet.
        sim.set_shared(true);
        engine.fork_prepare();
        engine.fork_parent();
        let before = sim.resident_bytes();
        // SAFETY: live blocks
        full.into_iter().for_each(|block| unsafe { engine.free(block) });
        idle(engine, sim, 1000);
        assert!(sim.resident_bytes() < before - (8 << 20));
    });
}

const LARGE: usize = 40 << 20;

/// A large block comes and goes; how many mappings that made and ended.
fn large_round(engine: &Engine<Stage>, sim: &Sim) -> (u64, u64) {
    let before = (sim.calls(Call::Map), sim.calls(Call::Unmap));
    let block = engine.allocate(LARGE);
    assert!(!block.is_null());
    // SAFETY: a live block
    unsafe {
        block.write(1);
        block.add(LARGE - 1).write(2);
        engine.free(block);
    }
    engine.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
    (sim.calls(Call::Map) - before.0, sim.calls(Call::Unmap) - before.1)
}

fn with_helper(engine: &Engine<Stage>) {
    engine.platform().has_helper.store(true, Relaxed);
    // Everything that the first allocation maps is there.
    // SAFETY: a live block
    unsafe { engine.free(engine.allocate(LARGE + 4096)) };
}

#[test]
fn huge_pages_are_split_before_parts_of_them_go_back() {
    on(Config::linux(3), |engine, sim| {
        let kept = sparse(engine);
        (0..4).for_each(|_| {
            sim.advance_ms(1000);
            engine.look_once();
        });
        let idle = sim.purged_bytes();
        engine.trim(0);
        assert!(idle > 8 << 20 && sim.purged_bytes() >= idle, "{idle}");
        assert_eq!(sim.stuck_bytes(), 0);
        check(engine, &kept);
    });
}

#[test]
fn the_first_large_block_goes_back_at_once_and_later_ones_are_kept() {
    on(Config::linux(1), |engine, sim| {
        with_helper(engine);
        assert_eq!(large_round(engine, sim), (1, 1));
        // The helper's stack is mapped where the first one is kept.
        assert!(large_round(engine, sim).1 == 0 && engine.counter(Counter::KeptLiveBytes) == LARGE as u64);
        assert_eq!(large_round(engine, sim), (0, 0));
        assert_eq!(engine.counter(Counter::KeptReused), 1);
        assert_eq!(engine.stats().mapped, 0);
        engine.look_once();
        assert_eq!(engine.counter(Counter::KeptLiveBytes), LARGE as u64);
        engine.look_once();
        assert_eq!(engine.counter(Counter::KeptLiveBytes), 0);
        assert_eq!(large_round(engine, sim), (1, 0));
        assert!(engine.trim(0));
        assert_eq!(engine.counter(Counter::KeptLiveBytes), 0);
    });
}

#[test]
fn a_block_does_not_grow_beside_what_is_kept() {
    on(Config::linux(4), |engine, sim| {
        with_helper(engine);
        (0..2).for_each(|_| _ = large_round(engine, sim));
        assert_eq!(engine.counter(Counter::KeptLiveBytes), LARGE as u64);
        let mut block = engine.allocate(256 << 10);
        assert_eq!(engine.counter(Counter::KeptLiveBytes), LARGE as u64, "small beside it");
        for bytes in [512 << 10, 1 << 20] {
            // SAFETY: a live block, given up for the next one
            block = unsafe { engine.reallocate(block, Request::plain(bytes).unwrap()) };
            assert!(!block.is_null());
        }
        assert_eq!(engine.counter(Counter::KeptLiveBytes), 0, "it would be resident beside the growing one");
        engine.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
        // SAFETY: a live block
        unsafe { engine.free(block) };
    });
}

#[test]
fn nothing_is_kept_where_it_would_not_come_back_or_was_ruled_out() {
    type Case = (&'static str, fn(&Engine<Stage>), Purging);
    let always: [Case; 5] = [
        ("no helper", |engine| engine.platform().has_helper.store(false, Relaxed), Purging::Honest),
        ("background:off", |engine| engine.set_background(false), Purging::Honest),
        ("threshold set", |engine| engine.set_mmap_threshold(1 << 20), Purging::Honest),
        ("mmap_max set", |engine| engine.set_mmap_max(100), Purging::Honest),
        ("purging lies", |_| (), Purging::Lies),
    ];
    for (what, set, purging) in always {
        on(Config { purging, ..Config::linux(2) }, |engine, sim| {
            with_helper(engine);
            set(engine);
            for round in 0..4 {
                assert_eq!(large_round(engine, sim).1, 1, "{what}: round {round}");
                assert_eq!(engine.counter(Counter::KeptLiveBytes), 0, "{what}");
            }
        });
    }
}

#[test]
fn a_kept_mapping_is_no_block_and_never_serves_calloc() {
    on(Config::linux(3), |engine, sim| {
        with_helper(engine);
        (0..3).for_each(|_| _ = large_round(engine, sim));
        let block = engine.allocate_zeroed(1, LARGE);
        // SAFETY: a live block
        assert_eq!(unsafe { (block.read(), block.add(LARGE - 1).read()) }, (0, 0));
        // A block of another size makes room: nothing is held besides.
        // SAFETY: a live block
        unsafe { engine.free(block) };
        let other = engine.allocate(LARGE + (8 << 20));
        assert!(!other.is_null() && engine.counter(Counter::KeptLiveBytes) == 0);
        // A refused unmapping loses addresses, no memory.
        (0..2).for_each(|_| _ = large_round(engine, sim));
        let resident = sim.resident_bytes();
        sim.fail(Call::Unmap, Fault::From(1));
        engine.trim(0);
        assert!(sim.refused(Call::Unmap) > 0 && sim.resident_bytes() < resident);
        engine.check_all().unwrap_or_else(|violation| panic!("{violation:x?}"));
        sim.heal();
        (0..2).for_each(|_| _ = large_round(engine, sim));
        let block = engine.allocate(LARGE);
        let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: none, that is the point
            unsafe {
                engine.free(block);
                engine.free(block);
            }
        }));
        let said = twice.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.contains("brkmap: fatal: double free"), "{said}");
    });
}
