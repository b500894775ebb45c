//! What free does: lists, caches, merging, headers, and what it notices.

use super::Family;
use super::launch::{Bench, Malloc};
use super::note::{Judged, Notes, Trouble, Verdict};
use super::policy::words;
use super::raw::{self, Block, Out, Refusal};
use std::os::unix::process::ExitStatusExt;

pub(super) const FAMILY: Family = Family {
    name: "free",
    experiments: &[
        ("free-reuse", reuse),
        ("free-tcache", tcache),
        ("free-small-apart", small_apart),
        ("free-large-merge", large_merge),
        ("free-headers", headers),
        ("free-double", double),
    ],
    subjects: &[
        ("free-reuse", reuse_subject),
        ("free-tcache", tcache_subject),
        ("free-merge", merge_subject),
        ("free-pages", pages_subject),
        ("free-headers", headers_subject),
        ("free-double", double_subject),
    ],
};

fn reuse(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc(1000) and free, again and again, until the first address came back; calls traced");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("free-reuse").on(malloc).traced()?;
        let pairs = ran.get("pairs")?;
        let calls = words(ran.phase("reuse"));
        notes.saw(format!(
            "{:<7} {:#x} came back at malloc number {pairs}; {calls} in between",
            malloc.name(),
            ran.get("first")?
        ));
        // brkmap hands out the blocks of its list first; what was freed comes when that is used up.
        let most = if malloc == Malloc::System { 1 } else { 64 };
        notes.within(format!("{}: mallocs until it came back", malloc.name()), pairs, 1..=most);
        if let Some(calls) = ran.phase("reuse") {
            notes.equals(format!("{}: system calls", malloc.name()), calls.len(), 0);
        }
    }
    Ok(Verdict::AsTold)
}

fn reuse_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    Block::new(1000)?.free();
    let block = Block::new(1000)?;
    let first = block.at();
    raw::mark("reuse");
    block.free();
    let mut pairs = 0;
    for number in 1..=1000 {
        let block = Block::new(1000)?;
        if block.at() == first && pairs == 0 {
            pairs = number;
        }
        block.free();
    }
    raw::mark("reused");
    out.put("first", first);
    out.put("pairs", pairs);
    Ok(())
}

fn tcache(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("20,000 rounds of seven mallocs of 200 bytes and seven frees; least of five; alternating");
    let (mut on, mut off, mut ours) = (u64::MAX, u64::MAX, u64::MAX);
    for _ in 0..3 {
        on = on.min(bench.subject("free-tcache").run()?.get("ns")?);
        let without = bench.subject("free-tcache").variable("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
        off = off.min(without.run()?.get("ns")?);
        ours = ours.min(bench.subject("free-tcache").on(Malloc::Brkmap).run()?.get("ns")?);
    }
    let per = |ns: u64| ns as f64 / 140_000.0;
    notes.saw(format!("glibc, with its thread cache       {:.1} ns a pair", per(on)));
    notes.saw(format!("glibc, tcache_count=0              {:.1} ns a pair", per(off)));
    notes.saw(format!(
        "brkmap (no cache in front; a list per class and thread is how it works)  {:.1} ns a pair",
        per(ours)
    ));
    if off <= on {
        return Err(Trouble::NotHere(
            "the tunable made no difference (a libc without the cache, or too busy a machine)".into(),
        ));
    }
    notes.within("% of the time that a pair takes without the cache", off * 100 / on, 105..=u64::MAX);
    Ok(Verdict::AsTold)
}

fn tcache_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let ns = raw::least(5, || {
        for _ in 0..20_000 {
            let blocks = [(); 7].map(|()| Block::new(200));
            for block in blocks {
                block?.free();
            }
        }
        Ok(())
    })?;
    out.put("ns", ns);
    Ok(())
}

/// Frees `count` neighbours of one size and asks for a block that only their sum could hold.
fn merge_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let [size, large, count] = [numbers[0] as usize, numbers[1] as usize, 24];
    let blocks = raw::table(count)?;
    // Holes that are there already would be filled first.
    for _ in 0..200 {
        Block::new(size)?.keep();
    }
    for slot in blocks.iter_mut() {
        *slot = Some(Block::new(size)?);
    }
    let guard = Block::new(size)?;
    let (first, last) = (blocks[0].as_ref().map_or(0, Block::at), guard.at());
    blocks.iter_mut().filter_map(Option::take).for_each(Block::free);
    let merged = Block::new(large)?;
    out.put("first", first);
    out.put("last", last);
    out.put("merged", merged.at());
    out.put("inside", u64::from((first..last).contains(&merged.at())));
    Ok(())
}

fn small_apart(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("freed 24 neighbours of 64 bytes, then asked for 400 bytes; looked whether it lies where they were");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("free-merge").number(64).number(400).on(malloc).run()?;
        let place = ["elsewhere", "among them"][ran.get("inside")? as usize];
        notes.saw(format!("{:<7} they were at {:#x}; the new block is {place}", malloc.name(), ran.get("first")?));
        notes.equals(format!("{}: served from the freed ones", malloc.name()), ran.get("inside")?, 0);
    }
    notes.saw("brkmap never merges blocks: a page of blocks has one size, and goes back as a whole");
    Ok(Verdict::AsTold)
}

fn large_merge(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "freed 24 neighbours of 2,000 bytes, then asked for 30,000; on brkmap 3,000 of 64 bytes, then 100 of 2,000",
    );
    let ran = bench.subject("free-merge").number(2000).number(30_000).run()?;
    notes.saw(format!("glibc   they began at {:#x}; the new block is at {:#x}", ran.get("first")?, ran.get("merged")?));
    // Seven went to the thread cache; the neighbours behind them were merged.
    notes.equals("glibc: served from the merged ones", ran.get("inside")?, 1);
    let ran = bench.subject("free-pages").on(Malloc::Brkmap).run()?;
    notes.saw(format!("brkmap  {} of 100 blocks of another size lie in pages that became empty", ran.get("inside")?));
    notes.within("brkmap: blocks of another size in emptied pages", ran.get("inside")?, 1..=100);
    Ok(Verdict::AsTold)
}

fn pages_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let blocks = raw::table(3000)?;
    raw::fill(blocks, 64)?;
    let at = |block: &Option<Block>| block.as_ref().map_or(0, Block::at);
    let (low, high) = (blocks.iter().map(at).min().unwrap_or(0), blocks.iter().map(at).max().unwrap_or(0));
    blocks.iter_mut().filter_map(Option::take).for_each(Block::free);
    let mut inside = 0;
    for _ in 0..100 {
        let block = Block::new(2000)?;
        inside += u64::from((low..high).contains(&block.at()));
        block.keep();
    }
    out.put("inside", inside);
    Ok(())
}

fn headers(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "10,000 blocks of 1, 16, 24 and 64 bytes: the distance between neighbours, and what malloc says is usable",
    );
    notes.saw("bytes     glibc: distance, usable    brkmap: distance, usable");
    for (size, on_glibc, most) in [(1, 32, 16), (16, 32, 16), (24, 32, 32), (64, 80, 64)] {
        let runs = Malloc::BOTH.map(|malloc| bench.subject("free-headers").number(size).on(malloc).run());
        let [glibc, brkmap] = runs;
        let (glibc, brkmap) = (glibc?, brkmap?);
        notes.saw(format!(
            "{size:<9} {:<5} {:<20} {:<5} {}",
            glibc.get("distance")?,
            glibc.get("usable")?,
            brkmap.get("distance")?,
            brkmap.get("usable")?
        ));
        notes.equals(format!("glibc: bytes from one block of {size} to the next"), glibc.get("distance")?, on_glibc);
        notes.within(format!("brkmap: the same for {size}"), brkmap.get("distance")?, size..=most);
        if size == 64 {
            notes.saw(format!(
                "10,000 blocks of 64 bytes (625 KiB) take {} KiB of memory on glibc, {} KiB on brkmap",
                glibc.get("rss")? / 1024,
                brkmap.get("rss")? / 1024
            ));
            notes.within("glibc: KiB of memory for 10,000 of 64", glibc.get("rss")? / 1024, 640..=1000);
            notes.within("brkmap: KiB of memory for 10,000 of 64", brkmap.get("rss")? / 1024, 600..=760);
        }
    }
    Ok(Verdict::AsTold)
}

fn headers_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let size = numbers[0] as usize;
    let blocks = raw::table(10_000)?;
    // What start-up left free is used up first.
    for _ in 0..500 {
        Block::new(size)?.keep();
    }
    // The table itself is memory too.
    blocks.iter_mut().for_each(|slot| *slot = None);
    let rss = raw::status("VmRSS");
    for slot in blocks.iter_mut() {
        let mut block = Block::new(size)?;
        block.fill(1);
        *slot = Some(block);
    }
    let rss = raw::status("VmRSS").saturating_sub(rss);
    let at = |index: usize| blocks[index].as_ref().map_or(0, Block::at);
    // The commonest distance: neighbours may lie on either side of a page's edge.
    let mut distances = [0u32; 4096];
    for index in 1..blocks.len() {
        let distance = at(index).abs_diff(at(index - 1)) as usize;
        distances[distance.min(4095)] += 1;
    }
    let most = distances.iter().enumerate().max_by_key(|(_, count)| **count).map_or(0, |(distance, _)| distance);
    out.put("distance", most as u64);
    out.put("usable", blocks[0].as_ref().map_or(0, Block::usable));
    out.put("rss", rss);
    Ok(())
}

fn double(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("freed a block of 100 bytes twice");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("free-double").on(malloc).run()?;
        let line = ran.errors.lines().next().unwrap_or_default().to_owned();
        notes.saw(format!("{:<7} \"{line}\", ended by signal {}", malloc.name(), ran.status.signal().unwrap_or(0)));
        notes.equals(format!("{}: signal (SIGABRT)", malloc.name()), ran.status.signal().unwrap_or(0), libc::SIGABRT);
        notes.holds(format!("{}: it says 'double free'", malloc.name()), line.contains("double free"));
    }
    Ok(Verdict::AsTold)
}

fn double_subject(_: &[u64], _: &mut Out) -> Result<(), Refusal> {
    // A core file of it would help nobody.
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: [valid-out-pointer] the limit lives on this frame.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) };
    Block::new(100)?.free_twice();
    Err(Refusal("nobody noticed the second free".into()))
}
