//! The simulated kernel: does it keep the contract, fail as told, and notice a caller that breaks the contract?

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed},
};

use brkmap_sys::sim::{ABORTED, Call, Config, Fault, Hints, Placement, Purging, Sim};
use brkmap_sys::{Kernel, Move, Purged, Purpose, Range};

const PAGE: usize = 4096;

fn linux(seed: u64) -> Sim {
    Sim::new(Config::linux(seed))
}

fn map(sim: &Sim, len: usize) -> NonNull<u8> {
    sim.map(0, len, Purpose::Region).expect("a map without a fault")
}

fn at(start: NonNull<u8>, offset: usize) -> NonNull<u8> {
    NonNull::new((start.as_ptr() as usize + offset) as *mut u8).unwrap()
}

fn bytes(start: NonNull<u8>, len: usize) -> &'static mut [u8] {
    // SAFETY: the tests use ranges that are mapped and not otherwise borrowed
    unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) }
}

fn unmap(sim: &Sim, start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the tests do not use the range any more
    unsafe { sim.unmap(start, len) }
}

fn remap(sim: &Sim, start: NonNull<u8>, old: usize, new: usize, may: Move) -> Option<NonNull<u8>> {
    // SAFETY: the tests use the new address only
    unsafe { sim.remap(start, old, new, may) }
}

fn purge(sim: &Sim, start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the tests need nothing of the contents
    unsafe { sim.purge(start, len) }
}

fn shift(sim: &Sim, delta: isize) -> Option<usize> {
    // SAFETY: the simulated kernel checks whose memory a shrink drops
    unsafe { sim.move_break(0, delta) }
}

/// The message of the panic that `f` must end with.
fn panics(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("no panic");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Does touching the address raise SIGSEGV? Tried in a forked child.
fn faults(address: usize) -> bool {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
        fn signal(number: i32, handler: usize) -> usize;
    }
    // SAFETY: the child reads one byte and leaves, by the default action of the signal if need be
    unsafe {
        match fork() {
            0 => {
                signal(11, 0);
                (address as *const u8).read_volatile();
                _exit(0)
            }
            pid => {
                let mut status = 0;
                assert_eq!(waitpid(pid, &raw mut status, 0), pid);
                status & 0x7f == 11
            }
        }
    }
}

#[test]
fn mappings_are_zero_and_lie_against_each_other() {
    for page_size in [4096, 16384, 65536] {
        let sim = Sim::new(Config { page_size, ..Config::linux(1) });
        let first = map(&sim, 4 * page_size);
        let second = map(&sim, page_size);
        assert_eq!(second.as_ptr() as usize + page_size, first.as_ptr() as usize);
        assert_eq!(first.as_ptr() as usize % page_size, 0);
        assert_eq!(sim.mappings().len(), 1, "neighbours merge");
        assert!(bytes(first, 4 * page_size).iter().all(|&byte| byte == 0));
        bytes(first, 4 * page_size).fill(1);
        assert!(unmap(&sim, first, 4 * page_size));
        let again = map(&sim, 4 * page_size);
        assert_eq!(again, first, "the highest free place");
        assert!(bytes(again, 4 * page_size).iter().all(|&byte| byte == 0), "a reused place is zero");
        assert_eq!(sim.mapped_bytes(), 5 * page_size);
    }
}

#[test]
fn unmapped_memory_faults() {
    let sim = linux(2);
    let start = map(&sim, 3 * PAGE);
    assert!(unmap(&sim, at(start, PAGE), PAGE));
    assert!(!faults(start.as_ptr() as usize));
    assert!(faults(start.as_ptr() as usize + PAGE));
    assert!(!faults(start.as_ptr() as usize + 2 * PAGE));
    shift(&sim, 8192).unwrap();
    let (low, now) = sim.break_range();
    assert!(!faults(low) && !faults(now - 1) && faults(now.next_multiple_of(PAGE)));
}

#[test]
fn the_same_seed_gives_the_same_places() {
    let places = |seed| {
        let sim = Sim::new(Config { placement: Placement::Scattered, hints: Hints::Sometimes, ..Config::linux(seed) });
        let anchor = sim.break_range().0;
        let mut seen = vec![sim.random() as usize];
        for round in 0..50 {
            let start = map(&sim, (round % 7 + 1) * PAGE).as_ptr() as usize;
            seen.push(start - anchor);
            let hinted = sim.map(start + 64 * PAGE, PAGE, Purpose::Direct).unwrap().as_ptr() as usize;
            seen.push(hinted - anchor);
        }
        seen
    };
    assert_eq!(places(5), places(5));
    assert_ne!(places(5), places(6));
}

#[test]
fn a_hint_is_followed_where_it_is_free() {
    let sim = linux(3);
    let start = map(&sim, PAGE).as_ptr() as usize;
    let below = start - 100 * PAGE;
    assert_eq!(sim.map(below, 4 * PAGE, Purpose::Region).unwrap().as_ptr() as usize, below);
    assert_ne!(sim.map(below, 4 * PAGE, Purpose::Region).unwrap().as_ptr() as usize, below);
    assert!(sim.map(4096, PAGE, Purpose::Region).is_some(), "a hint outside is no error");
    let deaf = Sim::new(Config { hints: Hints::Ignored, ..Config::linux(3) });
    let start = map(&deaf, PAGE).as_ptr() as usize;
    assert_ne!(deaf.map(start - 100 * PAGE, PAGE, Purpose::Region).unwrap().as_ptr() as usize, start - 100 * PAGE);
}

#[test]
fn holes_and_scattering_keep_mappings_apart() {
    for placement in [Placement::Holes, Placement::Scattered] {
        let sim = Sim::new(Config { placement, ..Config::linux(4) });
        for _ in 0..100 {
            map(&sim, PAGE);
        }
        assert!(sim.mappings().len() > 10, "{placement:?}: {}", sim.mappings().len());
    }
}

#[test]
fn remap_grows_in_place_moves_and_shrinks() {
    let sim = linux(5);
    let low = map(&sim, 64 * PAGE);
    assert!(unmap(&sim, at(low, 4 * PAGE), 60 * PAGE));
    bytes(low, 4 * PAGE).fill(9);
    let grown = remap(&sim, low, 4 * PAGE, 8 * PAGE, Move::Forbidden).unwrap();
    assert_eq!(grown, low);
    assert!(bytes(low, 4 * PAGE).iter().all(|&byte| byte == 9));
    assert!(bytes(at(low, 4 * PAGE), 4 * PAGE).iter().all(|&byte| byte == 0));

    let blocker = sim.map(low.as_ptr() as usize + 8 * PAGE, PAGE, Purpose::Region).unwrap();
    assert_eq!(blocker, at(low, 8 * PAGE));
    assert_eq!(remap(&sim, low, 8 * PAGE, 16 * PAGE, Move::Forbidden), None);
    let moved = remap(&sim, low, 8 * PAGE, 16 * PAGE, Move::Allowed).unwrap();
    assert_ne!(moved, low);
    assert!(faults(low.as_ptr() as usize));
    assert!(bytes(moved, 4 * PAGE).iter().all(|&byte| byte == 9));
    assert!(bytes(at(moved, 4 * PAGE), 12 * PAGE).iter().all(|&byte| byte == 0));

    let shrunk = remap(&sim, moved, 16 * PAGE, PAGE, Move::Forbidden).unwrap();
    assert_eq!(shrunk, moved);
    assert!(faults(moved.as_ptr() as usize + PAGE));
    assert_eq!(sim.mapped_bytes(), 2 * PAGE);
}

#[test]
fn purging_is_honest_or_lies_or_is_refused() {
    for (purging, answer, left) in [(Purging::Honest, true, 0), (Purging::Lies, true, 7), (Purging::Refused, false, 7)]
    {
        let sim = Sim::new(Config { purging, ..Config::linux(6) });
        let start = map(&sim, 2 * PAGE);
        bytes(start, 2 * PAGE).fill(7);
        assert_eq!(purge(&sim, start, PAGE), answer, "{purging:?}");
        let resident = if left == 0 { PAGE } else { 2 * PAGE };
        assert_eq!(sim.resident_bytes(), resident, "{purging:?}");
        assert_eq!((bytes(start, PAGE)[100], bytes(at(start, PAGE), PAGE)[0]), (left, 7), "{purging:?}");
        assert_eq!(sim.purge_is_honest(), purging == Purging::Honest);
    }
}

#[test]
fn many_ranges_are_purged_up_to_the_refused_one() {
    let sim = Sim::new(Config::linux(6));
    let start = map(&sim, 8 * PAGE);
    bytes(start, 8 * PAGE).fill(7);
    sim.fail(Call::Purge, Fault::Nth(3));
    let ranges: Vec<Range> =
        (0..4).map(|index| Range { start: at(start, 2 * index * PAGE).as_ptr() as usize, bytes: PAGE }).collect();
    // SAFETY: our mapping
    let purged = unsafe { sim.purge_ranges(&ranges) };
    assert_eq!(purged, Purged { ranges: 2, calls: 3 });
    assert_eq!([0, 2, 4, 6].map(|page| bytes(at(start, page * PAGE), PAGE)[9]), [0, 0, 7, 7]);
}

#[test]
fn the_break_grows_shrinks_and_is_shared() {
    let sim = linux(7);
    let start = sim.program_break().unwrap();
    assert_eq!(shift(&sim, 10_000), Some(start));
    assert_eq!(sim.program_break(), Some(start + 10_000));
    // SAFETY: below the break
    unsafe { (start as *mut u8).write_bytes(1, 10_000) };
    assert_eq!(sim.foreign_sbrk(5000), Some(start + 10_000));
    assert_eq!(shift(&sim, 100), Some(start + 15_000), "growth goes on behind what is foreign");
    assert_eq!(sim.foreign_damage(), None);
    // SAFETY: below the break; the harm that a faulty caller would do
    unsafe { ((start + 12_000) as *mut u8).write(0) };
    assert_eq!(sim.foreign_damage(), Some(start + 12_000));
    assert_eq!(shift(&sim, -100), Some(start + 15_100));
    let message = panics(|| _ = shift(&sim, -100));
    assert!(message.contains("Foreign"), "{message}");
    assert_eq!(sim.foreign_sbrk(-5000), Some(start + 15_000));
    assert_eq!(shift(&sim, -10_000), Some(start + 10_000));
    assert_eq!(sim.program_break(), Some(start));
    assert!(panics(|| _ = sim.foreign_sbrk(8).and_then(|_| shift(&sim, -8))).contains("Foreign"));
}

#[test]
fn a_raw_move_and_a_closed_break_and_a_limit_refuse() {
    let sim = linux(8);
    shift(&sim, 4096).unwrap();
    sim.foreign_brk(4096).unwrap();
    assert_eq!(shift(&sim, 4096), None, "libc counts from elsewhere");

    let sim = linux(8);
    sim.limit_break(8192);
    assert!(shift(&sim, 8192).is_some());
    assert_eq!(shift(&sim, 1), None);
    assert!(sim.program_break().is_some());
    sim.close_break();
    assert_eq!((sim.program_break(), shift(&sim, -4096)), (None, None));
    assert_eq!((sim.refused(Call::ProgramBreak), sim.refused(Call::MoveBreak)), (1, 2));
}

#[test]
fn somebody_takes_of_the_break_in_between() {
    let sim = linux(9);
    sim.share_break(2, 64);
    let mut end = sim.program_break().unwrap();
    for round in 1..=10 {
        let old = shift(&sim, 4096).unwrap();
        assert_eq!(old - end, if round % 2 == 0 { 64 } else { 0 }, "round {round}");
        end = old + 4096;
    }
    assert_eq!(sim.foreign_damage(), None);
}

#[test]
fn faults_strike_as_planned_and_are_counted() {
    let pattern = |fault, rounds| -> Vec<bool> {
        let sim = linux(10);
        map(&sim, PAGE);
        sim.fail(Call::Map, fault);
        (0..rounds).map(|_| sim.map(0, PAGE, Purpose::Region).is_none()).collect()
    };
    assert_eq!(pattern(Fault::Nth(3), 5), [false, false, true, false, false]);
    assert_eq!(pattern(Fault::From(3), 5), [false, false, true, true, true]);
    assert_eq!(pattern(Fault::Every(2), 5), [false, true, false, true, false]);
    let random = pattern(Fault::PerMille(300), 1000).iter().filter(|&&failed| failed).count();
    assert!((200..400).contains(&random), "{random} of 1000 failed, 300 were asked for");

    let sim = linux(10);
    let start = map(&sim, 4 * PAGE);
    for call in [Call::Unmap, Call::Remap, Call::Purge, Call::ProgramBreak, Call::MoveBreak] {
        sim.fail(call, Fault::Nth(1));
    }
    bytes(start, PAGE).fill(5);
    assert!(!unmap(&sim, start, PAGE));
    assert_eq!(remap(&sim, start, 4 * PAGE, PAGE, Move::Allowed), None);
    assert!(!purge(&sim, start, PAGE));
    assert_eq!(bytes(start, PAGE)[9], 5, "what was refused changed nothing");
    assert_eq!((sim.program_break(), shift(&sim, 4096)), (None, None));
    for call in [Call::Unmap, Call::Remap, Call::Purge, Call::ProgramBreak, Call::MoveBreak] {
        assert_eq!((sim.calls(call), sim.refused(call)), (1, 1), "{call:?}");
    }
    sim.fail(Call::Unmap, Fault::From(1));
    sim.heal();
    assert!(unmap(&sim, start, PAGE));
}

#[test]
fn a_failing_move_of_the_break_may_be_done_in_part() {
    let mut seen = [0, 0];
    for seed in 0..40 {
        let sim = linux(seed);
        let before = sim.program_break();
        sim.fail(Call::MoveBreak, Fault::Nth(1));
        assert_eq!(shift(&sim, 4096), None);
        seen[usize::from(sim.program_break() != before)] += 1;
    }
    assert!(seen[0] > 5 && seen[1] > 5, "{seen:?}");
}

#[test]
fn limits_of_bytes_and_of_mappings_refuse() {
    let sim = linux(11);
    let start = map(&sim, 8 * PAGE);
    sim.limit_bytes(10 * PAGE);
    assert!(sim.map(0, 3 * PAGE, Purpose::Direct).is_none());
    assert_eq!(remap(&sim, start, 8 * PAGE, 11 * PAGE, Move::Allowed), None);
    sim.limit_bytes(usize::MAX);

    sim.limit_mappings(2);
    assert!(unmap(&sim, at(start, 2 * PAGE), PAGE), "one becomes two");
    assert!(!unmap(&sim, at(start, 5 * PAGE), PAGE), "two would become three");
    assert!(unmap(&sim, at(start, 7 * PAGE), PAGE), "an end makes none more");
    assert!(sim.map(0, PAGE, Purpose::Direct).is_none());
    assert_eq!(sim.refused(Call::Unmap), 1);
    assert!(sim.map(0, 1 << 50, Purpose::Direct).is_none(), "larger than the space");
}

#[test]
fn names_split_and_merge() {
    let sim = linux(12);
    let start = map(&sim, 4 * PAGE);
    sim.name(start, PAGE, c"a");
    sim.name(at(start, PAGE), PAGE, c"a");
    sim.name(at(start, 3 * PAGE), PAGE, c"b");
    let names: Vec<_> = sim.mappings().iter().map(|mapping| (mapping.end - mapping.start, mapping.name)).collect();
    assert_eq!(names, [(2 * PAGE, Some(c"a")), (PAGE, None), (PAGE, Some(c"b"))]);
    assert_eq!(remap(&sim, start, 4 * PAGE, PAGE, Move::Allowed), None, "the range is not one mapping");
}

#[test]
fn breaches_of_the_contract_panic() {
    let sim = linux(13);
    let start = map(&sim, 2 * PAGE);
    assert!(panics(|| _ = unmap(&sim, start, 100)).contains("not whole pages"));
    assert!(panics(|| _ = unmap(&sim, at(start, PAGE), 2 * PAGE)).contains("not all of it is mapped"));
    assert!(panics(|| _ = purge(&sim, at(start, 2 * PAGE), PAGE)).contains("not all of it is mapped"));
    assert!(panics(|| _ = remap(&sim, start, 3 * PAGE, PAGE, Move::Allowed)).contains("not all of it is mapped"));
    assert!(panics(|| _ = sim.map(0, 100, Purpose::Region)).contains("not whole pages"));
    shift(&sim, PAGE as isize).unwrap();
    sim.foreign_sbrk(3 * PAGE as isize).unwrap();
    let end = sim.break_range().1.next_multiple_of(PAGE);
    let page = NonNull::new((end - PAGE) as *mut u8).unwrap();
    assert!(panics(|| _ = purge(&sim, page, PAGE)).contains("foreign"));
    assert_eq!(sim.mapped_bytes(), 2 * PAGE, "the kernel is whole after all that");
}

#[test]
fn an_abort_panics_with_what_was_written() {
    let sim = linux(14);
    sim.write_error(b"brkmap: fatal: something\n");
    let message = panics(|| sim.abort());
    assert!(message.starts_with(ABORTED) && message.contains("something"), "{message}");
    assert_eq!(sim.take_errors(), "brkmap: fatal: something\n");
    assert_eq!(sim.take_errors(), "");
}

#[test]
fn threads_time_and_process_are_set_by_hand() {
    let sim = linux(15);
    Sim::set_thread(7);
    assert_eq!(sim.thread_id(), 7);
    let other = std::thread::spawn({
        let sim = sim.clone();
        move || (sim.thread_id(), sim.thread_id())
    });
    let (first, second) = other.join().unwrap();
    assert!(first == second && first != 7);
    assert!(sim.thread_lives(7));
    sim.kill_thread(7);
    assert!(!sim.thread_lives(7));
    sim.revive_thread(7);
    assert!(sim.thread_lives(7));
    let before = sim.now_ms();
    sim.advance_ms(50);
    assert_eq!(sim.now_ms(), before + 50);
    let word = AtomicU32::new(3);
    sim.wait(&word, 3, 1000);
    assert_eq!(sim.now_ms(), before + 1050, "nobody woke: the limit has passed");
    sim.wait(&word, 4, 1000);
    sim.set_process(77);
    assert_eq!(sim.process_id(), 77);
}

#[test]
fn a_spawned_thread_runs_and_leaves_its_memory() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static ALIVE: AtomicU32 = AtomicU32::new(0);
    extern "C" fn entry() {
        RUNS.fetch_add(1, Relaxed);
    }
    let sim = linux(16);
    let memory = map(&sim, 8 * PAGE);
    for round in 1..=2 {
        // SAFETY: the memory is nobody else's; `entry` only counts
        assert!(unsafe { sim.spawn(memory, 8 * PAGE, 64, entry, &ALIVE) });
        while ALIVE.load(Acquire) != 0 {
            std::thread::yield_now();
        }
        assert_eq!(RUNS.load(Relaxed), round);
    }
    sim.fail(Call::Spawn, Fault::Nth(1));
    // SAFETY: as above
    assert!(!unsafe { sim.spawn(memory, 8 * PAGE, 64, entry, &ALIVE) });
    assert_eq!((ALIVE.load(Relaxed), RUNS.load(Relaxed)), (0, 2));
}

/// Random calls against the simplest possible model: a page number per mapped page.
#[test]
fn a_random_walk_keeps_the_books() {
    for seed in 0..16 {
        let sim = Sim::new(Config { purging: Purging::Honest, ..Config::varied(seed) });
        let page = sim.page_size();
        let mut bits = seed;
        let mut random = move |end: usize| {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (bits >> 33) as usize % end
        };
        // Start of each block → its pages and the byte that they are filled with (0 = fresh).
        let mut blocks: BTreeMap<usize, (usize, u8)> = BTreeMap::new();
        for step in 0..200 {
            let victim = blocks.keys().nth(random(blocks.len().max(1))).copied();
            match (random(5), victim) {
                (0 | 1, _) | (_, None) => {
                    let pages = random(9) + 1;
                    let start = map(&sim, pages * page);
                    assert!(bytes(start, pages * page).iter().all(|&byte| byte == 0));
                    let mark = (step % 255) as u8;
                    bytes(start, pages * page).fill(mark);
                    assert_eq!(blocks.insert(start.as_ptr() as usize, (pages, mark)), None);
                }
                (2, Some(start)) => {
                    let (pages, _) = blocks.remove(&start).unwrap();
                    assert!(unmap(&sim, NonNull::new(start as *mut u8).unwrap(), pages * page));
                }
                (3, Some(start)) => {
                    let (old, mark) = blocks.remove(&start).unwrap();
                    let new = random(12) + 1;
                    let first = NonNull::new(start as *mut u8).unwrap();
                    let to = remap(&sim, first, old * page, new * page, Move::Allowed).unwrap();
                    let kept = old.min(new) * page;
                    assert!(bytes(to, kept).iter().all(|&byte| byte == mark));
                    assert!(bytes(at(to, kept), new * page - kept).iter().all(|&byte| byte == 0));
                    bytes(to, new * page).fill(mark);
                    blocks.insert(to.as_ptr() as usize, (new, mark));
                }
                (_, Some(start)) => {
                    let (pages, _) = blocks[&start];
                    let first = NonNull::new(start as *mut u8).unwrap();
                    assert!(purge(&sim, first, pages * page));
                    assert!(bytes(first, pages * page).iter().all(|&byte| byte == 0));
                    blocks.insert(start, (pages, 0));
                }
            }
            let expected: usize = blocks.values().map(|&(pages, _)| pages * page).sum();
            assert_eq!(sim.mapped_bytes(), expected, "seed {seed} step {step}");
        }
        for (&start, &(pages, mark)) in &blocks {
            let block = bytes(NonNull::new(start as *mut u8).unwrap(), pages * page);
            assert!(block.iter().all(|&byte| byte == mark), "seed {seed}: contents of {start:#x}");
        }
    }
}
