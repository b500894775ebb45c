//! Memory that goes back, or does not.

use super::Family;
use super::launch::{Bench, Malloc, Ran};
use super::note::{Judged, Notes, Trouble, Verdict};
use super::policy::words;
use super::raw::{self, Block, How, Map, Out, Refusal};

pub(super) const FAMILY: Family = Family {
    name: "back",
    experiments: &[
        ("back-hole", hole),
        ("back-pinned", pinned),
        ("back-ninety", ninety),
        ("back-trim-threshold", trim_threshold),
        ("back-malloc-trim", malloc_trim),
        ("back-large", large),
        ("back-dontneed", dontneed),
        ("back-lazy", lazy),
    ],
    subjects: &[
        ("back-free", free_subject),
        ("back-top", top_subject),
        ("back-large", large_subject),
        ("back-dontneed", dontneed_subject),
        ("back-lazy", lazy_subject),
    ],
};

/// Which blocks are freed.
const MIDDLE_HALF: u64 = 0;
const ALL_BUT_TOP: u64 = 1;
const NINETY: u64 = 2;

const BLOCKS: u64 = 40_000;
const BYTES: u64 = 1024;

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Runs the subject on both mallocs and shows its figures; returns them.
fn frees(bench: &Bench, notes: &mut Notes, which: u64) -> Result<[Ran; 2], Trouble> {
    notes.saw("VmRSS in MiB  full    freed   waited  malloc_trim");
    let mut one = |malloc: Malloc| {
        let ran = bench.subject("back-free").number(which).on(malloc).run()?;
        notes.saw(format!(
            "{:<13} {:<7} {:<7} {:<7} {}",
            malloc.name(),
            mib(ran.get("full")?),
            mib(ran.get("freed")?),
            mib(ran.get("waited")?),
            mib(ran.get("trimmed")?)
        ));
        Ok(ran)
    };
    Ok([one(Malloc::System)?, one(Malloc::Brkmap)?])
}

/// What glibc keeps and brkmap returns, in MiB.
fn expect(notes: &mut Notes, [glibc, brkmap]: &[Ran; 2], kept: u64, left: u64) -> Result<(), Trouble> {
    let grown = |ran: &Ran, key: &str| Ok::<u64, Trouble>((ran.get(key)?.saturating_sub(ran.get("start")?)) >> 20);
    notes.within("glibc: MiB when full", grown(glibc, "full")?, 38..=44);
    notes.within("glibc: MiB after the frees", grown(glibc, "waited")?, kept..=44);
    notes.within("brkmap: MiB a moment later", grown(brkmap, "waited")?, 0..=left);
    notes.within("glibc: MiB after malloc_trim", grown(glibc, "trimmed")?, 0..=left + 3);
    Ok(())
}

fn free_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let which = numbers[0];
    let blocks = raw::table(BLOCKS as usize)?;
    let start = raw::status("VmRSS");
    for slot in blocks.iter_mut() {
        let mut block = Block::new(BYTES as usize)?;
        block.fill(1);
        *slot = Some(block);
    }
    let full = raw::status("VmRSS");
    let mut random = 12345u64;
    for (index, slot) in blocks.iter_mut().enumerate() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let freed = match which {
            MIDDLE_HALF => (BLOCKS / 4..BLOCKS * 3 / 4).contains(&(index as u64)),
            ALL_BUT_TOP => index as u64 != BLOCKS - 1,
            _ => !(random >> 33).is_multiple_of(10),
        };
        if freed && let Some(block) = slot.take() {
            block.free();
        }
    }
    let freed = raw::status("VmRSS");
    let waited = raw::settle();
    raw::mark("trim");
    raw::trim();
    raw::mark("trimmed");
    let whole = blocks.iter().flatten().all(|block| block.is(1));
    for (name, value) in [
        ("start", start),
        ("full", full),
        ("freed", freed),
        ("waited", waited),
        ("trimmed", raw::status("VmRSS")),
        ("whole", u64::from(whole)),
    ] {
        out.put(name, value);
    }
    Ok(())
}

fn hole(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("40,000 blocks of 1 KiB, filled; freed the middle half; waited a moment; malloc_trim");
    let runs = frees(bench, notes, MIDDLE_HALF)?;
    expect(notes, &runs, 38, 22)?;
    notes.equals("blocks that are left are whole", runs[1].get("whole")?, 1);
    Ok(Verdict::AsTold)
}

fn pinned(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("40,000 blocks of 1 KiB, filled; freed all but the last, which lies at the top; waited; malloc_trim");
    let runs = frees(bench, notes, ALL_BUT_TOP)?;
    expect(notes, &runs, 38, 4)?;
    Ok(Verdict::AsTold)
}

fn ninety(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("40,000 blocks of 1 KiB, filled; freed nine of ten at random; waited; malloc_trim");
    let runs = frees(bench, notes, NINETY)?;
    // A tenth of the blocks, four to an OS page: a third of the OS pages has one.
    expect(notes, &runs, 38, 16)?;
    Ok(Verdict::AsTold)
}

fn trim_threshold(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "2,000 blocks of 2,000 bytes; freed from the top down, calls traced; then the same with a threshold of 1 GiB",
    );
    let mut seen = Vec::new();
    for (name, value) in [("default", None), ("MALLOC_TRIM_THRESHOLD_=1 GiB", Some("1073741824"))] {
        let mut subject = bench.subject("back-top");
        if let Some(value) = value {
            subject = subject.variable("MALLOC_TRIM_THRESHOLD_", value);
        }
        let ran = subject.traced()?;
        let (before, after) = (ran.get("before")?, ran.get("after")?);
        let calls = words(ran.phase("free"));
        notes.saw(format!("{name:<30} {calls}; the break went down by {} KiB", (before - after) / 1024));
        seen.push((before - after) / 1024);
    }
    notes.within("KiB given back by default", seen[0], 3500..=4200);
    notes.equals("KiB given back with 1 GiB", seen[1], 0);
    let ran = bench.subject("back-top").on(Malloc::Brkmap).run()?;
    let rss = ran.get("full")?.saturating_sub(ran.get("rss")?);
    notes.saw(format!("brkmap gives it back when it has been idle, here {} KiB of memory", rss / 1024));
    Ok(Verdict::AsTold)
}

fn top_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let blocks = raw::table(2000)?;
    // Too large for the thread cache, which would hold the first few that are freed, those at the top.
    raw::fill(blocks, 2000)?;
    let (before, full) = (super::brk::end(), raw::status("VmRSS"));
    raw::mark("free");
    blocks.iter_mut().rev().filter_map(Option::take).for_each(Block::free);
    raw::mark("freed");
    out.put("before", before);
    out.put("after", super::brk::end());
    out.put("full", full);
    out.put("rss", raw::settle());
    Ok(())
}

fn malloc_trim(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("40,000 blocks of 1 KiB, all but the top one freed; malloc_trim(0), calls traced");
    let ran = bench.subject("back-free").number(ALL_BUT_TOP).traced()?;
    let (waited, trimmed) = (ran.get("waited")? >> 20, ran.get("trimmed")? >> 20);
    notes.saw(format!("glibc: VmRSS {waited} MiB before, {trimmed} MiB after: {}", words(ran.phase("trim"))));
    for call in ran.phase("trim").into_iter().flatten().take(3) {
        notes.saw(format!("call    {call}"));
    }
    notes.within("MiB that went back from below a live block at the top", waited - trimmed, 0..=44);
    if waited - trimmed < 8 {
        return Ok(Verdict::AsTold);
    }
    notes.equals("the block at the top is whole", ran.get("whole")?, 1);
    if let Some(calls) = ran.phase("trim") {
        notes.within(
            "calls of madvise",
            calls.iter().filter(|call| call.name == "madvise").count() as u64,
            1..=u64::MAX,
        );
    }
    Ok(Verdict::Otherwise(
        "since glibc 2.8 it returns whole OS pages in the middle too, of all arenas, by madvise(MADV_DONTNEED)".into(),
    ))
}

fn large(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "40 blocks of 1 MiB, filled, with the threshold fixed at 128 KiB; freed one by one, VmRSS read after each",
    );
    for malloc in Malloc::BOTH {
        let ran = bench.subject("back-large").on(malloc).run()?;
        let (full, empty, steps) = (ran.get("full")?, ran.get("empty")?, ran.get("steps")?);
        let name = malloc.name();
        notes.saw(format!(
            "{name:<7} {} MiB full, {} MiB at the end; {steps} of 40 frees lowered it",
            mib(full),
            mib(empty)
        ));
        // The kernel sums VmRSS up lazily, so a step may show one free late.
        notes.within(format!("{name}: frees after which VmRSS was lower"), steps, 38..=40);
        notes.within(format!("{name}: MiB given back"), (full - empty) >> 20, 38..=41);
    }
    Ok(Verdict::AsTold)
}

fn large_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    raw::tune(libc::M_MMAP_THRESHOLD, 128 << 10)?;
    let blocks = raw::table(40)?;
    raw::fill(blocks, 1 << 20)?;
    let full = raw::status("VmRSS");
    let (mut steps, mut last) = (0, full);
    for slot in blocks.iter_mut() {
        if let Some(block) = slot.take() {
            block.free();
        }
        let now = raw::status("VmRSS");
        steps += u64::from(last.saturating_sub(now) >= 900 << 10);
        last = now;
    }
    out.put("full", full);
    out.put("empty", last);
    out.put("steps", steps);
    Ok(())
}

fn dontneed(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("wrote 16 MiB, madvise(MADV_DONTNEED), read it again");
    let ran = bench.subject("back-dontneed").traced()?;
    let (full, after) = (ran.get("full")?, ran.get("after")?);
    notes.saw(format!("VmRSS +{} MiB, after the call +{} MiB; the mapping is still there", mib(full), mib(after)));
    for call in ran.phase("advise").into_iter().flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.saw(format!("first byte afterwards: {} (it was 1)", ran.get("byte")?));
    notes.within("MiB at first", full >> 20, 16..=17);
    notes.within("KiB afterwards", after >> 10, 0..=1024);
    notes.equals("what is read afterwards", ran.get("byte")?, 0);
    Ok(Verdict::AsTold)
}

fn dontneed_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let start = raw::status("VmRSS");
    let mut map = Map::new(16 << 20, How::Private)?;
    map.touch();
    out.put("full", raw::status("VmRSS").saturating_sub(start));
    raw::mark("advise");
    map.advise(0, 16 << 20, libc::MADV_DONTNEED)?;
    raw::mark("advised");
    out.put("after", raw::status("VmRSS").saturating_sub(start));
    out.put("byte", u64::from(map.get(0)));
    Ok(())
}

fn lazy(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("wrote 16 MiB, madvise(MADV_FREE), looked; wrote to the first 4 MiB again, looked");
    let ran = bench.subject("back-lazy").run()?;
    let (full, after, marked, again) = (ran.get("full")?, ran.get("after")?, ran.get("lazy")?, ran.get("again")?);
    notes.saw(format!("VmRSS +{} MiB, after the call still +{} MiB", mib(full), mib(after)));
    notes.saw(format!("LazyFree in smaps: {} MiB, after the writes {} MiB", mib(marked), mib(again)));
    notes.saw(format!("a byte that was not written again: {} (1, or 0 once the kernel took it)", ran.get("byte")?));
    if marked == 0 {
        return Err(Trouble::NotHere(
            "the kernel took the memory at once (no LazyFree in smaps): it is short, or before 4.12".into(),
        ));
    }
    notes.within("MiB still resident", after >> 20, 15..=17);
    notes.within("MiB marked", marked >> 20, 15..=16);
    notes.within("MiB marked after 4 MiB were written", again >> 20, 11..=12);
    Ok(Verdict::AsTold)
}

fn lazy_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let start = raw::status("VmRSS");
    let mut map = Map::new(16 << 20, How::Private)?;
    map.touch();
    out.put("full", raw::status("VmRSS").saturating_sub(start));
    map.advise(0, 16 << 20, libc::MADV_FREE)?;
    let range = (map.start(), map.end());
    out.put("after", raw::status("VmRSS").saturating_sub(start));
    out.put("lazy", raw::smaps(range, "LazyFree"));
    for page in 0..1024 {
        map.set(page * 4096, 2);
    }
    out.put("again", raw::smaps(range, "LazyFree"));
    out.put("byte", u64::from(map.get(12 << 20)));
    Ok(())
}
