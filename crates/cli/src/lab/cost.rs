//! What each way costs. Times are the least of several rounds, alternating; only what is far apart is asserted.

use super::Family;
use super::launch::{Bench, Malloc};
use super::note::{Judged, Notes, Verdict};
use super::policy::words;
use super::raw::{self, Block, How, Map, Out, Refusal};

pub(super) const FAMILY: Family = Family {
    name: "cost",
    experiments: &[
        ("cost-call", call),
        ("cost-mechanism", mechanism),
        ("cost-first-touch", first_touch),
        ("cost-tlb", tlb),
        ("cost-realloc", realloc),
    ],
    subjects: &[
        ("cost-call", call_subject),
        ("cost-mechanism", mechanism_subject),
        ("cost-first-touch", first_touch_subject),
        ("cost-tlb", tlb_subject),
        ("cost-realloc", realloc_subject),
    ],
};

/// Nanoseconds with one decimal.
fn ns(total: u64, count: u64) -> String {
    format!("{:.1} ns", total as f64 / count as f64)
}

/// Microseconds.
pub(super) fn us(ns: u64) -> String {
    format!("{:.1} µs", ns as f64 / 1000.0)
}

fn call(bench: &Bench, notes: &mut Notes) -> Judged {
    const COUNT: u64 = 20_000;
    notes.did(
        "20,000 times each: malloc(64) and free; a system call that does nothing; mmap and munmap of 4 KiB, touched",
    );
    let ran = bench.subject("cost-call").number(COUNT).run()?;
    let ours = bench.subject("cost-call").number(COUNT).on(Malloc::Brkmap).run()?;
    let (pair, nothing, map) = (ran.get("pair")?, ran.get("call")?, ran.get("map")?);
    notes.saw(format!("malloc + free, glibc     {}", ns(pair, COUNT)));
    notes.saw(format!("malloc + free, brkmap    {}", ns(ours.get("pair")?, COUNT)));
    notes.saw(format!("an empty system call     {}", ns(nothing, COUNT)));
    notes.saw(format!("mmap, touch, munmap      {}", ns(map, COUNT)));
    notes.within("% that mmap, touch, munmap takes of malloc and free", map * 100 / pair.max(1), 300..=u64::MAX);
    notes.within("% of an empty call", map * 100 / nothing.max(1), 200..=u64::MAX);
    Ok(Verdict::AsTold)
}

fn call_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let count = numbers[0];
    let (mut pair, mut nothing, mut map) = (u64::MAX, u64::MAX, u64::MAX);
    for _ in 0..5 {
        pair = pair.min(raw::least(1, || {
            for _ in 0..count {
                Block::new(64)?.free();
            }
            Ok(())
        })?);
        nothing = nothing.min(raw::least(1, || {
            (0..count).for_each(|_| raw::nothing_call());
            Ok(())
        })?);
        map = map.min(raw::least(1, || {
            for _ in 0..count / 10 {
                let mut map = Map::new(4096, How::Private)?;
                map.set(0, 1);
                map.unmap()?;
            }
            Ok(())
        })?);
    }
    out.put("pair", pair);
    out.put("call", nothing);
    out.put("map", map * 10);
    Ok(())
}

const SIZES: [(u64, &str); 3] = [(4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

fn mechanism(bench: &Bench, notes: &mut Notes) -> Judged {
    notes
        .did("took and gave back each size by sbrk and by mmap, untouched and with each OS page written; least of 100");
    notes.saw("size     sbrk      mmap      sbrk, written  mmap, written");
    let mut ratios = Vec::new();
    for (bytes, name) in SIZES {
        let ran = bench.subject("cost-mechanism").number(bytes).run()?;
        let (b, m) = (ran.get("brk")?, ran.get("map")?);
        let (bt, mt) = (ran.get("brk-touched")?, ran.get("map-touched")?);
        notes.saw(format!("{name:<8} {:<9} {:<9} {:<14} {}", us(b), us(m), us(bt), us(mt)));
        if bytes > 4 << 10 {
            notes.within(
                format!("{name}: % that touching costs of the calls alone"),
                bt * 100 / b.max(1),
                150..=u64::MAX,
            );
        }
        ratios.push(m as f64 / b.max(1) as f64);
    }
    let middle = ratios[1];
    notes.within("% that mmap takes of sbrk at 64 KiB", (middle * 100.0) as u64, 25..=400);
    match middle {
        2.0.. => Ok(Verdict::AsTold),
        _ => Ok(Verdict::Otherwise(
            "the two calls cost about the same here; what costs is the page fault of each first touch, and that is the \
             same for both"
                .into(),
        )),
    }
}

fn mechanism_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let bytes = numbers[0] as usize;
    let by_break = |touched: bool| {
        let at = super::brk::shift(bytes as isize)?;
        if touched {
            super::brk::touch(at, bytes / raw::os_page());
        }
        super::brk::shift(-(bytes as isize)).map(|_| ())
    };
    let by_map = |touched: bool| {
        let mut map = Map::new(bytes, How::Private)?;
        if touched {
            map.touch();
        }
        map.unmap()
    };
    let mut least = [u64::MAX; 4];
    for _ in 0..20 {
        let round = [
            raw::least(5, || by_break(false))?,
            raw::least(5, || by_map(false))?,
            raw::least(5, || by_break(true))?,
            raw::least(5, || by_map(true))?,
        ];
        for (best, time) in least.iter_mut().zip(round) {
            *best = (*best).min(time);
        }
    }
    for (name, value) in ["brk", "map", "brk-touched", "map-touched"].into_iter().zip(least) {
        out.put(name, value);
    }
    Ok(())
}

fn first_touch(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("4 MiB: wrote one byte of each OS page, four ways; wrote them a second time; least of five");
    let ran = bench.subject("cost-first-touch").run()?;
    let (faults, again) = (ran.get("touch")?, ran.get("again")?);
    notes.saw(format!(
        "first touch of a mapping              {:>9}  {} page faults",
        us(faults),
        ran.get("touch-faults")?
    ));
    notes.saw(format!("second touch                          {:>9}", us(again)));
    for (key, name) in [
        ("populate", "MAP_POPULATE, then touch              "),
        ("write", "madvise(MADV_POPULATE_WRITE), touch   "),
        ("huge", "madvise(MADV_HUGEPAGE), then touch    "),
    ] {
        match ran.get(&format!("{key}-refused"))? {
            0 => {
                notes.saw(format!("{name}{:>9}  {} page faults", us(ran.get(key)?), ran.get(&format!("{key}-faults"))?))
            }
            error => notes.saw(format!("{name}not here: {}", super::calls::errno_name(error as i32))),
        }
    }
    notes.within("page faults of 1,024 first touches", ran.get("touch-faults")?, 1000..=1100);
    notes.within("% that the first touch takes of the second", faults * 100 / again.max(1), 300..=u64::MAX);
    if ran.get("write-refused")? == 0 {
        notes.within("page faults after MADV_POPULATE_WRITE", ran.get("write-faults")?, 0..=40);
    }
    Ok(Verdict::AsTold)
}

fn first_touch_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const BYTES: usize = 4 << 20;
    const POPULATE_WRITE: i32 = 23;
    // The least time, its faults, and why not.
    let measure = |how: How, advice: Option<i32>, again: bool| -> Result<(u64, u64, u64), Refusal> {
        let (mut best, mut faults, mut refused) = (u64::MAX, 0, 0);
        for _ in 0..5 {
            // Aligned to a huge page, so that one fits.
            let wide = Map::new(BYTES + (2 << 20), How::Reserve)?;
            let at = wide.start().next_multiple_of(2 << 20);
            wide.unmap()?;
            let (start, before) = (raw::now(), raw::faults());
            let mut map = match how {
                How::Populate => Map::new(BYTES, How::Populate)?,
                _ => Map::at(at, BYTES).map_err(|_| Refusal("mmap refused".into()))?,
            };
            if advice != Some(libc::MADV_HUGEPAGE) {
                // The setting "always" would hide what is shown.
                let _ = map.advise(0, BYTES, libc::MADV_NOHUGEPAGE);
            }
            if let Some(advice) = advice
                && map.advise(0, BYTES, advice).is_err()
            {
                refused = raw::errno() as u64;
            }
            // What is populated counts as faults too, in one call: those of the touches are what is counted then.
            let populated = how == How::Populate || advice == Some(POPULATE_WRITE);
            let (mut start, mut before) = (start, if populated { raw::faults() } else { before });
            if again {
                map.touch();
                (start, before) = (raw::now(), raw::faults());
            }
            map.touch();
            let time = raw::now() - start;
            if time < best {
                (best, faults) = (time, raw::faults() - before);
            }
            map.unmap()?;
        }
        Ok((best, faults, refused))
    };
    for (name, how, advice, again) in [
        (["touch", "touch-faults", "touch-refused"], How::Private, None, false),
        (["again", "again-faults", "again-refused"], How::Private, None, true),
        (["populate", "populate-faults", "populate-refused"], How::Populate, None, false),
        (["write", "write-faults", "write-refused"], How::Private, Some(POPULATE_WRITE), false),
        (["huge", "huge-faults", "huge-refused"], How::Private, Some(libc::MADV_HUGEPAGE), false),
    ] {
        let (time, faults, refused) = measure(how, advice, again)?;
        for (name, value) in name.into_iter().zip([time, faults, refused]) {
            out.put(name, value);
        }
    }
    Ok(())
}

fn tlb(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("followed a chain of pointers in random order, one on each OS page of 4 MiB and 64 MiB, with small and huge pages");
    let ran = bench.subject("cost-tlb").run()?;
    let time = |key: &str| ran.get(key);
    let (few, many, huge) = (time("few")?, time("many")?, time("huge")?);
    let step = |ps: u64| format!("{:.1} ns a step", ps as f64 / 1000.0);
    notes.saw(format!("1,024 OS pages (within reach of the TLB)   {}", step(few)));
    notes.saw(format!("16,384 OS pages, small pages               {}", step(many)));
    if ran.get("huge-bytes")? > 0 {
        notes.saw(format!("the same addresses on huge pages           {}", step(huge)));
    } else {
        notes.saw("huge pages: none given here (transparent_hugepage is never, or memory is fragmented)");
    }
    match ran.get("counter")? {
        0 => notes.saw("dTLB misses cannot be counted here (no performance counter): judged by time"),
        _ => notes.saw(format!(
            "dTLB load misses: {} with small pages, {} with huge ones",
            ran.get("many-misses")?,
            ran.get("huge-misses")?
        )),
    }
    notes.within("% that a step over 16,384 OS pages takes of one over 1,024", many * 100 / few.max(1), 110..=u64::MAX);
    Ok(Verdict::AsTold)
}

/// Opens a counter of data-TLB load misses of this process.
fn counter() -> Option<std::fs::File> {
    use std::os::fd::FromRawFd;
    // perf_event_attr, version 0 (64 bytes): type 3 (cache), size, config: dTLB (3), read (0), miss (1); exclude kernel.
    let mut attributes = [0u64; 8];
    attributes[0] = 3 | 64 << 32;
    attributes[1] = 3 | 1 << 16;
    attributes[5] = 1 << 5 | 1 << 6;
    // SAFETY: [valid-out-pointer] the attributes live on this frame and say how long they are.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) } as i32;
    // SAFETY: [owned-fd] made just now.
    (fd >= 0).then(|| unsafe { std::fs::File::from_raw_fd(fd) })
}

fn tlb_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    use std::io::Read;
    const MANY: usize = 16_384;
    let counter = counter();
    let misses = || {
        let mut word = [0u8; 8];
        counter.as_ref().and_then(|mut file| file.read_exact(&mut word).ok()).map_or(0, |()| u64::from_le_bytes(word))
    };
    let mut order: Vec<u32> = (0..MANY as u32).collect();
    let mut chase = |pages: usize, huge: bool| -> Result<(u64, u64, u64), Refusal> {
        let bytes = pages * 4096;
        let wide = Map::new(bytes + (2 << 20), How::Reserve)?;
        let at = wide.start().next_multiple_of(2 << 20);
        wide.unmap()?;
        let mut map = Map::at(at, bytes).map_err(|_| Refusal("mmap refused".into()))?;
        map.advise(0, bytes, if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE })
            .or(Ok::<(), Refusal>(()))?;
        map.touch();
        // One cycle through all pages in random order; the cache line differs from page to page.
        let order = &mut order[..pages];
        order.iter_mut().enumerate().for_each(|(index, page)| *page = index as u32);
        let mut random = 99u64;
        for index in (1..pages).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(index, (random >> 33) as usize % (index + 1));
        }
        let place = |page: u32| page as usize * 4096 + (page as usize % 61) * 64;
        for index in 0..pages {
            map.set_word(place(order[index]), place(order[(index + 1) % pages]) as u64);
        }
        let got = raw::smaps((map.start(), map.end()), "AnonHugePages");
        let (steps, mut at, mut best) = (MANY * 4, place(order[0]) as u64, u64::MAX);
        let before = misses();
        for _ in 0..5 {
            best = best.min(raw::least(1, || {
                at = map.follow(at, steps);
                Ok(())
            })?);
        }
        let missed = misses() - before;
        map.unmap()?;
        Ok((best * 1000 / steps as u64, missed, got))
    };
    let few = chase(1024, false)?;
    let many = chase(MANY, false)?;
    let huge = chase(MANY, true)?;
    for (name, value) in [
        ("few", few.0),
        ("many", many.0),
        ("huge", huge.0),
        ("many-misses", many.1),
        ("huge-misses", huge.1),
        ("huge-bytes", huge.2),
        ("counter", u64::from(counter.is_some())),
    ] {
        out.put(name, value);
    }
    Ok(())
}

fn realloc(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "a block of 64 MiB, written; realloc to 128 MiB, calls traced; beside it malloc, memcpy and free of as much, \
         the least of 3 runs each",
    );
    for malloc in Malloc::BOTH {
        let ran = bench.subject("cost-realloc").on(malloc).traced()?;
        let (mut moved, mut copied) = (u64::MAX, u64::MAX);
        for _ in 0..3 {
            let timed = bench.subject("cost-realloc").on(malloc).run()?;
            (moved, copied) = (moved.min(timed.get("realloc")?), copied.min(timed.get("copy")?));
        }
        notes.saw(format!(
            "{:<7} realloc {}, copy {}; {}",
            malloc.name(),
            us(moved),
            us(copied),
            words(ran.phase("grow"))
        ));
        notes.equals(format!("{}: contents whole", malloc.name()), ran.get("whole")?, 1);
        if let Some(calls) = ran.phase("grow") {
            for call in calls.iter().filter(|call| call.name == "mremap").take(1) {
                notes.saw(format!("        {call}"));
            }
            notes.holds(format!("{}: by mremap", malloc.name()), calls.iter().any(|call| call.name == "mremap"));
        }
        notes.within(
            format!("{}: % that copying takes of mremap", malloc.name()),
            copied * 100 / moved.max(1),
            300..=u64::MAX,
        );
    }
    Ok(Verdict::AsTold)
}

fn realloc_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const BYTES: usize = 64 << 20;
    if raw::ram() < 1 << 30 {
        return Err(Refusal("this machine has less than 1 GiB of memory".into()));
    }
    let mut block = Block::new(BYTES)?;
    block.fill(7);
    raw::mark("grow");
    let start = raw::now();
    let block = block.resize(2 * BYTES)?;
    let time = raw::now() - start;
    raw::mark("grown");
    let whole = block.starts_with(7, BYTES);
    let start = raw::now();
    let mut copy = Block::new(2 * BYTES)?;
    copy.copy_from(&block, BYTES);
    block.free();
    out.put("copy", raw::now() - start);
    out.put("realloc", time);
    out.put("whole", u64::from(whole));
    Ok(())
}
