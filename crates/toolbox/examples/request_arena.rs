//! 10,000 requests, each served from one arena that is reset, against malloc and free.
//!
//! A request makes some 200 objects of 16 to 2,000 bytes that die with it, and now and then one that stays: an entry of a
//! cache. With malloc the entries lie among the objects of their request; when these are freed, the entries keep parts of
//! the heap from going back. With the arena they lie by themselves.
//!
//! Each way runs in a process of its own. `cargo run --release -p brkmap-toolbox --example request_arena`

use brkmap_toolbox::Bump;
use brkmap_toolbox::source::AnonymousMap;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

const REQUESTS: u64 = 10_000;
const OBJECTS: u64 = 200;

/// Sizes that look random and are the same in every run.
fn size(request: u64, object: u64) -> usize {
    let mixed = (request * OBJECTS + object).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let most = [64, 64, 64, 256, 256, 2000][(mixed % 6) as usize];
    16 + (mixed >> 8) as usize % (most - 15)
}

/// What outlives its request.
fn cached(request: u64) -> Option<Box<[u8]>> {
    request.is_multiple_of(4).then(|| vec![request as u8; 100].into_boxed_slice())
}

fn with_malloc(cache: &mut Vec<Box<[u8]>>) {
    // Several requests are under way at once, as in a server: they end in another order than they began.
    let mut running: Vec<Vec<Box<[u8]>>> = Vec::new();
    for request in 0..REQUESTS {
        let mut objects = Vec::new();
        for object in 0..OBJECTS {
            objects.push(vec![object as u8; size(request, object)].into_boxed_slice());
            if object == OBJECTS / 2 {
                cache.extend(cached(request));
            }
        }
        running.push(black_box(objects));
        if running.len() == 32 {
            running.swap_remove((request * 7 % 32) as usize);
        }
    }
}

fn with_arena(cache: &mut Vec<Box<[u8]>>) {
    let mut idle: Vec<Bump<AnonymousMap>> = (0..32).map(|_| Bump::over(AnonymousMap::new()).named("request")).collect();
    for request in 0..REQUESTS {
        let arena = &mut idle[(request * 7 % 32) as usize];
        for object in 0..OBJECTS {
            let bytes = size(request, object);
            black_box(arena.alloc_slice_fill_with(bytes, |_| object as u8));
            if object == OBJECTS / 2 {
                cache.extend(cached(request));
            }
        }
        arena.reset_keep();
    }
}

/// Resident bytes of this process.
fn rss() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    statm.split(' ').nth(1).expect("the second field").parse::<usize>().expect("a number") * 4096
}

/// Bytes that malloc has from the kernel and nobody uses.
fn free_in_malloc() -> usize {
    // SAFETY: the call takes nothing and returns numbers.
    unsafe { libc::mallinfo2() }.fordblks
}

fn one_way(name: &str, serve: fn(&mut Vec<Box<[u8]>>)) {
    let mut cache = Vec::with_capacity(REQUESTS as usize);
    let (before, start) = (rss(), Instant::now());
    serve(&mut cache);
    let time = start.elapsed();
    let live: usize = cache.iter().map(|entry| entry.len()).sum();
    println!("{name} {} {} {} {}", time.as_micros(), rss() - before, free_in_malloc(), live);
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("malloc") => return one_way("malloc", with_malloc),
        Some("arena") => return one_way("arena", with_arena),
        _ => {}
    }
    println!("{REQUESTS} requests of {OBJECTS} objects; {} entries of 100 bytes stay\n", REQUESTS / 4);
    println!("{:<10}{:>12}{:>16}{:>22}", "", "time", "RSS afterwards", "free, kept by malloc");
    let mut rows = Vec::new();
    for way in ["malloc", "arena"] {
        let this = std::env::current_exe().expect("this program has a path");
        let output = Command::new(this).arg(way).output().expect("this program can start itself");
        let text = String::from_utf8(output.stdout).expect("numbers");
        let row: Vec<f64> = text.split_whitespace().skip(1).map(|word| word.parse().expect("a number")).collect();
        println!("{way:<10}{:>9.1} ms{:>12.2} MiB{:>18.2} MiB", row[0] / 1e3, row[1] / 1048576.0, row[2] / 1048576.0);
        rows.push(row);
    }
    println!(
        "\nthe arena takes {:.2} of malloc's time and {:.2} of its memory",
        rows[1][0] / rows[0][0],
        rows[1][1] / rows[0][1]
    );
    assert!(rows[1][1] < rows[0][1], "requests leave nothing behind in an arena");
    assert!(rows[1][2] < rows[0][2], "nor in malloc's heap");
}
