//! The side that falls ill: what runs in the child of `brkmap demo`.

use super::Demo;
use crate::os::blocks::{self, Crowd, option};
use crate::os::probe::{self, Map};
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// A state that was reached: what was done for it, and what cures it.
struct Illness {
    /// Behind a tab: what it cost.
    did: String,
    cure: Box<dyn FnOnce() -> io::Result<String>>,
}

const MIB: usize = 1 << 20;
const HUGE: usize = 2 * MIB;

/// Falls ill, says so, and does what each line on standard input says, until there is none.
pub(crate) fn run(demo: &Demo) -> io::Result<()> {
    let illness = match demo.name {
        "healthy" => healthy(),
        "cached" => cached(),
        "top-pinned" => top_pinned(),
        "arena-spread" => arena_spread(),
        "random-survivors" => random_survivors(),
        "leak" => leak(),
        "mapped-blocks" => mapped_blocks(),
        "huge-pages" => huge_pages(),
        other => Err(io::Error::other(format!("'{other}' is listed, and nothing does it"))),
    }?;
    if let Ok(name) = std::ffi::CString::new(format!("{}{}", super::PREFIX, demo.name)) {
        probe::set_name(&name);
    }
    say(&illness.did)?;
    let mut cure = Some(illness.cure);
    for line in io::stdin().lock().lines() {
        if let ("cure", Some(cure)) = (line?.as_str(), cure.take()) {
            say(&cure()?)?;
        }
    }
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.next() as usize % (most - least + 1)
    }
}

/// Blocks that stay for as long as the process lives, and its cure is a trim.
fn trimmed(did: &str, kept: impl Sized + 'static) -> io::Result<Illness> {
    let cure = move || {
        blocks::trim();
        // Held until now, and from now on by nobody: the process ends by itself.
        std::mem::forget(kept);
        Ok(String::new())
    };
    Ok(Illness { did: did.to_owned(), cure: Box::new(cure) })
}

fn healthy() -> io::Result<Illness> {
    let all = Crowd::new(65536, |_| 1000)?;
    trimmed("took 62.5 MiB in 65,536 blocks of 1,000 bytes, and holds them all", all)
}

fn cached() -> io::Result<Illness> {
    let mut random = Random(88172645463325252);
    let mut all = Crowd::new(60000, |_| random.between(16, 4000))?;
    all.free(|index| index % 50 != 0);
    trimmed("took 115 MiB in 60,000 blocks of 16 to 4,000 bytes, and freed all but every 50th", all)
}

fn top_pinned() -> io::Result<Illness> {
    let mut all = Crowd::new(50000, |_| 2048)?;
    let top = Crowd::new(1, |_| 1500)?;
    all.free(|_| true);
    trimmed("took 98 MiB in 50,000 blocks of 2 KiB, then one block more, and freed all but the last", (all, top))
}

fn arena_spread() -> io::Result<Illness> {
    const THREADS: usize = 4;
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    for number in 0..THREADS {
        let barrier = barrier.clone();
        std::thread::spawn(move || {
            let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number as u64);
            let all = Crowd::new(200_000, |_| random.between(16, 255)).map(|mut all| {
                all.free(|index| index % 1000 != 0);
                all
            });
            barrier.wait();
            // The survivors are in use as long as the process lives.
            std::mem::forget(all);
            loop {
                std::thread::park();
            }
        });
    }
    barrier.wait();
    trimmed("4 threads took 26 MiB each in blocks of 16 to 255 bytes, and freed all but every 1,000th", ())
}

fn random_survivors() -> io::Result<Illness> {
    let mut random = Random(88172645463325252);
    let mut all = Crowd::new(600_000, |_| random.between(64, 300))?;
    all.free(|_| !random.next().is_multiple_of(8));
    let cure = move || {
        let together = all.move_together()?;
        blocks::trim();
        std::mem::forget(together);
        Ok(String::new())
    };
    let did = "took 104 MiB in 600,000 blocks of 64 to 300 bytes, and freed 7 of 8, at random";
    Ok(Illness { did: did.to_owned(), cure: Box::new(cure) })
}

fn leak() -> io::Result<Illness> {
    let first = Crowd::new(16384, |_| 1000)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let leaking = std::thread::spawn(move || {
        let mut forgotten = Vec::new();
        while !flag.load(Ordering::Relaxed) {
            forgotten.push(Crowd::new(10, |_| 1000));
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(forgotten);
    });
    let cure = move || {
        stop.store(true, Ordering::Relaxed);
        // A thread that panicked has let its blocks go as well.
        let _ = leaking.join();
        drop(first);
        blocks::trim();
        Ok(String::new())
    };
    let did = "took 16 MiB in 16,384 blocks of 1,000 bytes, and takes 10 more every 10 ms, for ever";
    Ok(Illness { did: did.to_owned(), cure: Box::new(cure) })
}

/// Takes, touches and frees a block of 1 MiB so many times; what that cost, in words.
fn rounds(count: usize) -> io::Result<String> {
    let (faults, begin) = (blocks::faults(), Instant::now());
    for _ in 0..count {
        drop(Crowd::new(1, |_| MIB)?);
    }
    let (faults, seconds) = (blocks::faults() - faults, begin.elapsed().as_secs_f64());
    Ok(format!("{faults} page faults, {seconds:.2} s"))
}

fn mapped_blocks() -> io::Result<Illness> {
    const ROUNDS: usize = 1000;
    blocks::set_option(option::MMAP_THRESHOLD, 128 << 10);
    let kept = Crowd::new(40, |_| MIB)?;
    let cost = rounds(ROUNDS)?;
    let cure = move || {
        blocks::set_option(option::MMAP_THRESHOLD, 32 << 20);
        blocks::set_option(option::TRIM_THRESHOLD, 64 << 20);
        // The first one moves the break; that is no part of the comparison.
        drop(Crowd::new(1, |_| MIB)?);
        let cost = rounds(ROUNDS)?;
        std::mem::forget(kept);
        Ok(cost)
    };
    let did = format!("holds 40 blocks of 1 MiB; took and freed 1,000 more, one by one\t{cost}");
    Ok(Illness { did, cure: Box::new(cure) })
}

/// Touches one byte of each 2 MiB.
fn sparse(advice: i32) -> io::Result<Map> {
    const COUNT: usize = 50;
    let mut map = Map::new((COUNT + 1) * HUGE)?;
    let begin = map.aligned(HUGE);
    map.advise(begin, COUNT * HUGE, advice)?;
    for at in 0..COUNT {
        map.write(begin + at * HUGE, 1);
    }
    Ok(map)
}

fn huge_pages() -> io::Result<Illness> {
    let map = sparse(libc::MADV_HUGEPAGE)?;
    let cure = move || {
        drop(map);
        std::mem::forget(sparse(libc::MADV_NOHUGEPAGE)?);
        Ok(String::new())
    };
    let did = "reserved 100 MiB, asked for huge pages, and wrote one byte in every 2 MiB: 50 bytes";
    Ok(Illness { did: did.to_owned(), cure: Box::new(cure) })
}
