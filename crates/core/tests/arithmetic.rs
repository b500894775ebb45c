//! The arithmetic of sizes and alignments, tried out in full.

#[path = "model/platform.rs"]
#[allow(dead_code)]
mod platform;

use brkmap_core::classes::{self, FIRST_FINE, FIRST_MEDIUM, MEDIUM_MAX, SIZES, SMALL_MAX};
use brkmap_core::geometry::{REQUEST_MAX, SLICE};
use brkmap_core::policy::{self, Mechanism};
use brkmap_core::{Refusal, Request};
use brkmap_sys::sim::{Config, Sim};
use platform::Stage;

/// Largest size that is tried one by one.
const SIZE_MAX: usize = 4 << 20;
/// Largest alignment.
const ALIGN_SHIFT_MAX: u32 = 20;

/// The smallest class (of those that C blocks use) that holds `bytes` in blocks that are all aligned: looked for, not
/// computed.
fn tightest(bytes: usize, align: usize) -> Option<usize> {
    let fits = |&class: &usize| SIZES[class] as usize >= bytes && (SIZES[class] as usize).is_multiple_of(align);
    (0..FIRST_FINE).find(fits)
}

#[test]
fn every_size_and_alignment_has_the_tightest_class() {
    for shift in 0..=ALIGN_SHIFT_MAX {
        let align = 1usize << shift;
        let mut expected = tightest(1, align);
        for bytes in 0..=SIZE_MAX {
            let request = Request::aligned(align, bytes).expect("a request that can be served");
            assert_eq!(request, Request { bytes, align });
            if bytes > MEDIUM_MAX {
                continue;
            }
            if expected.is_some_and(|class| (SIZES[class] as usize) < bytes) {
                expected = tightest(bytes, align);
            }
            if align <= MEDIUM_MAX {
                assert_eq!(classes::of_aligned(bytes, align), expected, "{bytes} bytes aligned to {align}");
            }
            if align <= 16 {
                assert_eq!(Some(classes::of(bytes)), expected, "{bytes} bytes");
            }
            if align <= 8 && bytes <= SMALL_MAX {
                let fine = SIZES[classes::of_fine(bytes)] as usize;
                assert!(
                    fine >= bytes && fine.is_multiple_of(align) && fine <= SIZES[classes::of(bytes)] as usize,
                    "{bytes}"
                );
            }
        }
    }
}

#[test]
fn rounding_wastes_at_most_an_eighth_or_a_quarter() {
    for bytes in 1..=MEDIUM_MAX {
        let class = classes::of(bytes);
        let (size, lost) = (SIZES[class] as usize, SIZES[class] as usize - bytes);
        let bound = if class < FIRST_MEDIUM { (size / 8).max(15) } else { size / 4 };
        assert!(lost <= bound, "{bytes} bytes in {size}");
    }
}

#[test]
fn classes_are_whole_multiples_within_their_pages() {
    for (class, &size) in SIZES.iter().enumerate() {
        let size = size as usize;
        let page = classes::slices(class) * SLICE;
        let capacity = classes::CAPACITY[class] as usize;
        assert_eq!(capacity, page / size, "class {class}");
        assert!(capacity >= 8, "class {class}: a page of {capacity} blocks");
        assert_eq!(size % if class < FIRST_FINE { 16 } else { 8 }, 0);
    }
}

#[test]
fn thresholds_decide_at_every_size() {
    for threshold in [0, 1, 4096, 131_072, 131_073, SIZE_MAX] {
        for bytes in 0..=SIZE_MAX {
            let expected = if bytes >= threshold { Mechanism::Mapping } else { Mechanism::Run };
            assert_eq!(policy::mechanism(bytes, threshold, 3, 4), expected);
        }
        assert_eq!(policy::mechanism(SIZE_MAX, threshold, 4, 4), Mechanism::Run);
    }
}

#[test]
fn requests_at_the_end_of_the_number_line_are_refused_not_wrapped() {
    let near = |centre: usize| (0..=4200).flat_map(move |d| [centre.wrapping_sub(d), centre.wrapping_add(d)]);
    for bytes in near(usize::MAX).chain(near(REQUEST_MAX)).chain(near(1 << 62)) {
        let plain = Request::plain(bytes);
        assert_eq!(plain.is_ok(), bytes <= REQUEST_MAX, "{bytes:#x}");
        for shift in 0..64 {
            let align = 1usize << shift;
            let fits = bytes as u128 + align as u128 <= REQUEST_MAX as u128;
            let expected = if fits { Ok(Request { bytes, align }) } else { Err(Refusal::NoMemory) };
            assert_eq!(Request::aligned(align, bytes), expected, "{bytes:#x} aligned to {align:#x}");
        }
        for other in [1, 2, 3, 16, 1 << 31, 1 << 32, usize::MAX] {
            let product = bytes as u128 * other as u128;
            let expected =
                if product <= REQUEST_MAX as u128 { Request::plain(product as usize) } else { Err(Refusal::NoMemory) };
            assert_eq!(Request::array(bytes, other), expected, "{bytes:#x} * {other:#x}");
        }
    }
}

/// Runs with a stack on which an engine can be built.
fn on_large_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn the_engine_answers_as_the_arithmetic_says() {
    on_large_stack(|| {
        let sim = Sim::new(Config::linux(1));
        let engine = Stage::engine(sim.clone());
        engine.platform().play(0, 4242);
        for shift in 0..=ALIGN_SHIFT_MAX {
            let align = 1usize << shift;
            let small = (0..=MEDIUM_MAX).step_by(if shift < 6 { 1 } else { 13 });
            let borders = (1..=SIZE_MAX / SLICE).flat_map(|n| (0..5).map(move |d| n * SLICE + d - 2));
            let between = (MEDIUM_MAX..=SIZE_MAX).step_by(4999);
            for bytes in small.chain(borders).chain(between) {
                let block = engine.allocate_aligned(Request::aligned(align, bytes).unwrap());
                assert!(!block.is_null() && block.addr().is_multiple_of(align), "{bytes} bytes aligned to {align}");
                let usable = engine.usable_size(block);
                match tightest(bytes, align.max(16)).filter(|_| bytes <= MEDIUM_MAX && align <= MEDIUM_MAX) {
                    Some(class) => assert_eq!(usable, SIZES[class] as usize, "{bytes} aligned to {align}"),
                    None => assert!(
                        usable >= bytes && usable - bytes < 2 * SLICE,
                        "{usable} for {bytes} aligned to {align}"
                    ),
                }
                // SAFETY: a live block: its first and last byte are ours
                unsafe {
                    if usable > 0 {
                        block.write(1);
                        block.add(usable - 1).write(1);
                    }
                    engine.free_checked(block, bytes, align);
                }
            }
        }
        engine.check_all().unwrap();
        let stats = engine.stats();
        assert_eq!(stats.live, 0);
    });
}
