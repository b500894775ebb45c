//! Blocks of 64 to 256 KiB, where malloc's threshold lies: what does each mechanism cost?
//!
//! A block is allocated, every OS page of it is touched, and it is freed, over and over. On the break the memory stays and
//! is used again; a mapping is made and unmapped each time, so the kernel zeroes its pages each time. malloc does the one
//! below its threshold and the other above, until it has seen a block freed there and moves the threshold.

use brkmap_toolbox::calls::{self, Mapping};
use brkmap_toolbox::source::{AnonymousMap, ProgramBreak};
use brkmap_toolbox::{BlockPool, Bump, FreeList};
use std::alloc::Layout;
use std::cell::RefCell;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 400;

/// Page faults of this process so far.
fn faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure consists of integers, and the call fills it.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init().ru_minflt
    }
}

/// The time and the page faults of one allocate, touch, free.
fn measure(
    bytes: usize,
    mut allocate: impl FnMut() -> NonNull<u8>,
    mut free: impl FnMut(NonNull<u8>),
) -> (Duration, f64) {
    let (start, before) = (Instant::now(), faults());
    for _ in 0..ROUNDS {
        let block = allocate();
        for page in (0..bytes).step_by(4096) {
            // SAFETY: the block is live and `bytes` long.
            unsafe { block.add(page).write_volatile(1) };
        }
        free(black_box(block));
    }
    (start.elapsed() / ROUNDS, (faults() - before) as f64 / f64::from(ROUNDS))
}

fn main() {
    // SAFETY: this program has one thread.
    let on_break = FreeList::over(unsafe { ProgramBreak::new() });
    println!("allocate, touch each OS page, free; time and page faults of one round\n");
    println!(
        "{:>7}  {:>18}  {:>18}  {:>18}  {:>18}  {:>18}",
        "KiB", "break, free list", "a mapping each", "malloc", "pool", "bump"
    );
    for kib in [64, 96, 127, 128, 160, 192, 256] {
        let bytes = kib << 10;
        let layout = Layout::from_size_align(bytes, 16).expect("a valid layout");
        let (pool, mut bump) = (BlockPool::over(AnonymousMap::new(), layout), Bump::over(AnonymousMap::new()));
        let list_free = |block| {
            // SAFETY: each block is freed once, by what made it; here and below.
            unsafe { on_break.deallocate(block) }
        };
        let unmap = |block| {
            // SAFETY: as above.
            unsafe { calls::unmap(block, bytes) }.expect("a whole mapping");
        };
        let malloc = || {
            // SAFETY: the size is not 0.
            NonNull::new(unsafe { std::alloc::alloc(layout) }).expect("memory is to be had")
        };
        let free = |block: NonNull<u8>| {
            // SAFETY: as above.
            unsafe { std::alloc::dealloc(block.as_ptr(), layout) }
        };
        let pool_free = |block| {
            // SAFETY: as above.
            unsafe { pool.deallocate(block) }
        };
        let bump = RefCell::new(&mut bump);
        let rows = [
            measure(bytes, || on_break.allocate(layout).expect("memory is to be had").cast(), list_free),
            measure(bytes, || calls::map(bytes, &Mapping::new()).expect("memory is to be had").cast(), unmap),
            measure(bytes, malloc, free),
            measure(bytes, || pool.allocate().expect("memory is to be had"), pool_free),
            measure(
                bytes,
                || bump.borrow().allocate(layout).expect("memory is to be had"),
                |_| bump.borrow_mut().reset_keep(),
            ),
        ];
        print!("{kib:>7}");
        for (time, faults) in rows {
            print!("  {:>8.1} us {faults:>6.1}", time.as_secs_f64() * 1e6);
        }
        println!();
        assert!(rows[1].1 >= (bytes / 4096) as f64 * 0.9 || rows[1].1 > 0.0, "a fresh mapping faults");
        assert!(rows[0].1 < 2.0 && rows[3].1 < 2.0, "memory that is reused does not");
    }
}
