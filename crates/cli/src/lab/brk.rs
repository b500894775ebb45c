//! The program break: one end that moves.

use super::Family;
use super::calls::errno_name;
use super::launch::{Bench, Malloc};
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw::{self, Block, Map, Out, Refusal};
use brkmap_toolbox::calls::{program_break, raw_brk, sbrk};

pub(super) const FAMILY: Family = Family {
    name: "break",
    experiments: &[
        ("break-grow", grow),
        ("break-arithmetic", arithmetic),
        ("break-untouched", untouched),
        ("break-top-only", top_only),
        ("break-threads", threads),
        ("break-foreign", foreign),
        ("break-obstacle", obstacle),
        ("break-limit", limit),
        ("break-mixed", mixed),
    ],
    subjects: &[
        ("brk-grow", grow_subject),
        ("brk-arithmetic", arithmetic_subject),
        ("brk-untouched", untouched_subject),
        ("brk-top-only", top_only_subject),
        ("brk-threads", threads_subject),
        ("brk-foreign", foreign_subject),
        ("brk-obstacle", obstacle_subject),
        ("brk-limit", limit_subject),
        ("brk-mixed", mixed_subject),
    ],
};

/// Where the break is.
pub(super) fn end() -> u64 {
    program_break().addr() as u64
}

/// libc's `sbrk`; the previous end.
pub(super) fn shift(bytes: isize) -> Result<u64, Refusal> {
    // SAFETY: [break-of-a-subject] one thread, and what is given back was taken by the same subject.
    unsafe { sbrk(bytes) }.map(|at| at.addr().get() as u64).map_err(Refusal::from)
}

/// The bare call; where the break is afterwards.
fn bare(to: u64) -> u64 {
    // SAFETY: [break-of-a-subject] one thread; the subject shows what this does to libc's sbrk, or ends.
    unsafe { raw_brk(std::ptr::without_provenance_mut(to as usize)) }.addr() as u64
}

/// Writes a byte to each OS page that the break gained.
pub(super) fn touch(from: u64, pages: usize) {
    for page in 0..pages {
        let at = std::ptr::with_exposed_provenance_mut::<u8>(from as usize + page * raw::os_page());
        // SAFETY: [break-of-a-subject] between the break before and after, so mapped and the subject's own.
        unsafe { at.write_volatile(1) };
    }
}

/// Bytes that the break gained, as a slice.
fn gained<'a>(from: u64, bytes: usize) -> &'a mut [u8] {
    assert!(from + bytes as u64 <= end());
    // SAFETY: [break-of-a-subject] below the break and the subject's own; no two slices are alive at once.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut::<u8>(from as usize), bytes) }
}

/// Writes bytes that the break gained.
pub(super) fn fill(from: u64, bytes: usize, byte: u8) {
    gained(from, bytes).fill(byte);
}

/// Whether bytes that the break gained have this value.
pub(super) fn is(from: u64, bytes: usize, byte: u8) -> bool {
    gained(from, bytes).iter().all(|&is| is == byte)
}

fn heap_end() -> u64 {
    raw::line_named("[heap]").map_or(0, |line| line.end)
}

fn grow(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("asked where the break is, sbrk(8192), looked, sbrk(-8192), looked again");
    let ran = bench.subject("brk-grow").traced()?;
    let (before, returned, after, back) =
        (ran.get("before")?, ran.get("returned")?, ran.get("after")?, ran.get("back")?);
    notes.saw(format!("break before {before:#x}, after {after:#x}, at the end {back:#x}"));
    notes.saw(format!("before  {}", ran.text("line-before")?));
    notes.saw(format!("grown   {}", ran.text("line-grown")?));
    for call in ran.phase("grow").into_iter().chain(ran.phase("shrink")).flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.equals("bytes the break moved", after - before, 8192);
    notes.equals("bytes the end of [heap] moved", ran.get("heap-grown")? - ran.get("heap-before")?, 8192);
    notes.holds("sbrk returned the previous end", returned == before);
    notes.holds("the shrink put it back", back == before && ran.get("heap-back")? == ran.get("heap-before")?);
    Ok(Verdict::AsTold)
}

fn grow_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let (before, heap_before) = (end(), heap_end());
    out.line("line-before", before - 1);
    raw::mark("grow");
    let returned = shift(8192)?;
    raw::mark("grown");
    let (after, heap_grown) = (end(), heap_end());
    out.line("line-grown", after - 1);
    raw::mark("shrink");
    shift(-8192)?;
    raw::mark("shrunk");
    for (name, value) in [
        ("before", before),
        ("returned", returned),
        ("after", after),
        ("back", end()),
        ("heap-before", heap_before),
        ("heap-grown", heap_grown),
        ("heap-back", heap_end()),
    ] {
        out.put(name, value);
    }
    Ok(())
}

pub(super) fn arithmetic(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "asked the kernel to let this process's break begin at 0x10000000 (prctl PR_SET_MM), then brk(0x10002000)",
    );
    let ran = bench.subject("brk-arithmetic").run()?;
    let (start, reached) = (ran.get("start")?, ran.get("reached")?);
    if ran.get("invented")? == 1 {
        notes.saw(format!("the kernel moved the start of the break to {start:#x}"));
        notes.saw(ran.text("line")?);
        notes.equals("0x10000000 + 8192", format!("{reached:#x}"), "0x10002000".to_owned());
    } else {
        notes.saw(format!("the start may not be chosen here ({}): the real one", errno_name(ran.get("errno")? as i32)));
        notes.saw(format!("{start:#x} + 0x2000 = {reached:#x}"));
        notes.equals("0x10000000 + 8192", format!("{:#x}", 0x1000_0000 + (reached - start)), "0x10002000".to_owned());
    }
    notes.equals("bytes added", reached - start, 8192);
    Ok(Verdict::AsTold)
}

fn arithmetic_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const INVENTED: u64 = 0x1000_0000;
    let set = |what: libc::c_int, to: u64| {
        // SAFETY: [no-memory] moves two numbers of the kernel; memory that exists stays where it is.
        unsafe { libc::prctl(libc::PR_SET_MM, what, to, 0, 0) == 0 }
    };
    // The start may not lie above the break, so it goes first; from here on nothing allocates until the end.
    let invented = set(libc::PR_SET_MM_START_BRK, INVENTED) && set(libc::PR_SET_MM_BRK, INVENTED);
    let errno = raw::errno();
    let start = if invented { INVENTED } else { end() };
    let reached = bare(start + 8192);
    out.line("line", start);
    for (name, value) in
        [("invented", u64::from(invented)), ("errno", errno as u64), ("start", start), ("reached", reached)]
    {
        out.put(name, value);
    }
    Ok(())
}

fn untouched(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("sbrk(1 MiB), then wrote one byte into each of the first ten OS pages");
    let ran = bench.subject("brk-untouched").run()?;
    let (fresh, touched, faults) = (ran.get("fresh")?, ran.get("touched")?, ran.get("faults")?);
    notes.saw(format!("OS pages in memory: {fresh} after sbrk, {touched} after ten writes; {faults} page faults"));
    notes.saw(format!(
        "VmRSS grew by {} KiB with sbrk, VmData by {} KiB",
        ran.get("rss")? / 1024,
        ran.get("data")? / 1024
    ));
    notes.equals("OS pages in memory before a touch", fresh, 0);
    notes.equals("after ten touches", touched, 10);
    notes.within("page faults of ten touches", faults, 10..=12);
    notes.within("KiB that VmData grew by", ran.get("data")? / 1024, 1024..=1032);
    Ok(Verdict::AsTold)
}

fn untouched_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let (rss, data) = (raw::status("VmRSS"), raw::status("VmData"));
    // Only whole OS pages that were not there before count.
    let from = shift(1 << 20)?.next_multiple_of(raw::os_page() as u64);
    let (rss, data) = (raw::status("VmRSS").saturating_sub(rss), raw::status("VmData") - data);
    let bytes = 250 * raw::os_page();
    let fresh = raw::resident(from, bytes);
    let faults = raw::faults();
    touch(from, 10);
    let faults = raw::faults() - faults;
    for (name, value) in [
        ("fresh", fresh as u64),
        ("touched", raw::resident(from, bytes) as u64),
        ("faults", faults),
        ("rss", rss),
        ("data", data),
    ] {
        out.put(name, value);
    }
    Ok(())
}

fn top_only(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "grew the break by three OS pages and wrote to them; gave back the contents of the middle one by madvise;",
    );
    notes.did("then moved the break to where the middle one begins");
    let ran = bench.subject("brk-top-only").run()?;
    let (all, hole, cut) = (ran.get("all")?, ran.get("hole")?, ran.get("cut")?);
    notes.saw(format!("OS pages in memory: {all} of 3; after MADV_DONTNEED of the middle {hole} of 3"));
    notes.saw(format!("after brk(middle): {cut} of the lowest page; the middle and the top are no longer mapped"));
    notes.equals("in memory at first", all, 3);
    notes.equals("in memory with a hole", hole, 2);
    notes.equals("the top page went with the middle one", ran.get("top-mapped")?, 0);
    notes.equals("the lowest page stayed", cut, 1);
    Ok(Verdict::AsTold)
}

fn top_only_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let page = raw::os_page() as u64;
    let from = shift((page * 4) as isize)?.next_multiple_of(page);
    touch(from, 3);
    out.put("all", raw::resident(from, 3 * page as usize) as u64);
    let middle = std::ptr::with_exposed_provenance_mut::<libc::c_void>((from + page) as usize);
    // SAFETY: [break-of-a-subject] an OS page of our own part of the break, whose contents nobody needs.
    if unsafe { libc::madvise(middle, page as usize, libc::MADV_DONTNEED) } != 0 {
        return Err(raw::refused("madvise"));
    }
    out.put("hole", raw::resident(from, 3 * page as usize) as u64);
    let reached = bare(from + page);
    out.put("cut", raw::resident(from, (reached - from) as usize) as u64);
    out.put("top-mapped", u64::from(raw::resident(from + 2 * page, page as usize) >= 0));
    Ok(())
}

fn threads(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("two threads called sbrk(16) 100,000 times each");
    let ran = bench.subject("brk-threads").run()?;
    let (moved, asked) = (ran.get("moved")?, ran.get("asked")?);
    notes
        .saw(format!("asked for {asked} bytes in all, the break moved by {moved}: {} handed out twice", asked - moved));
    if moved == asked {
        return Err(Trouble::NotHere(
            "the threads never met: this libc locks, or one processor ran one after the other".into(),
        ));
    }
    notes.within("bytes that two callers were both given", asked - moved, 16..=asked);
    Ok(Verdict::AsTold)
}

fn threads_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const CALLS: u64 = 100_000;
    let race = std::sync::Barrier::new(2);
    let before = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for first in [true, false] {
            let (race, before) = (&race, &before);
            scope.spawn(move || {
                race.wait();
                if first {
                    before.store(end(), std::sync::atomic::Ordering::Relaxed);
                }
                race.wait();
                for _ in 0..CALLS {
                    // Wrong on purpose: sbrk is not for two threads. Nobody uses the bytes.
                    let _ = shift(16);
                }
                race.wait();
            });
        }
    });
    out.put("moved", end() - before.into_inner());
    out.put("asked", 2 * CALLS * 16);
    Ok(())
}

fn foreign(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("took blocks with malloc, 64 KiB with sbrk, filled them, took and freed 4 MiB more with malloc");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("brk-foreign").on(malloc).run()?;
        let (above, whole, last) = (ran.get("above")?, ran.get("whole")?, ran.get("last")?);
        notes.saw(format!("{:<7} {above} blocks above the foreign part at {:#x}", malloc.name(), ran.get("foreign")?));
        notes.equals(format!("{}: foreign bytes unchanged", malloc.name()), whole, 1);
        notes.within(format!("{}: blocks served afterwards", malloc.name()), last, 4096..=4096);
    }
    Ok(Verdict::AsTold)
}

fn foreign_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const FOREIGN: usize = 64 << 10;
    let blocks = raw::table(4096)?;
    let _first = Block::new(1000)?;
    let at = shift(FOREIGN as isize)?;
    fill(at, FOREIGN, 7);
    let (mut above, mut served) = (0, 0);
    for slot in blocks.iter_mut() {
        let mut block = Block::new(1000)?;
        block.fill(1);
        above += u64::from(block.at() > at && block.at() < end());
        served += 1;
        *slot = Some(block);
    }
    blocks.iter_mut().filter_map(Option::take).for_each(Block::free);
    raw::trim();
    out.put("foreign", at);
    out.put("above", above);
    out.put("last", served);
    out.put("whole", u64::from(is(at, FOREIGN, 7)));
    Ok(())
}

fn obstacle(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped one OS page right above the break, then sbrk(1 MiB), then malloc of 2,000 blocks of 1 KiB");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("brk-obstacle").on(malloc).run()?;
        let (errno, served, outside) = (ran.get("errno")?, ran.get("served")?, ran.get("outside")?);
        notes.saw(format!(
            "{:<7} sbrk: {}; {served} blocks served, {outside} of them outside the heap",
            malloc.name(),
            errno_name(errno as i32)
        ));
        notes.equals(format!("{}: errno of sbrk", malloc.name()), errno_name(errno as i32), "ENOMEM".into());
        notes.equals(format!("{}: blocks served", malloc.name()), served, 2000);
        notes.within(format!("{}: from mappings", malloc.name()), outside, 1000..=2000);
    }
    Ok(Verdict::AsTold)
}

fn obstacle_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let page = raw::os_page() as u64;
    let wall = Map::at(end().next_multiple_of(page), page as usize);
    let wall = wall.map_err(|errno| Refusal(format!("mmap above the break: {}", errno_name(errno))))?;
    let errno = match shift(1 << 20) {
        Ok(_) => 0,
        Err(_) => raw::errno(),
    };
    let (mut served, mut outside) = (0, 0);
    for _ in 0..2000 {
        let mut block = Block::new(1024)?;
        block.fill(3);
        served += 1;
        outside += u64::from(block.at() > wall.start());
    }
    out.put("errno", errno as u64);
    out.put("served", served);
    out.put("outside", outside);
    Ok(())
}

fn limit(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("under RLIMIT_DATA of 16 MiB: brk(now + 64 MiB) by the bare call, then sbrk(64 MiB) through libc");
    let ran = bench.subject("brk-limit").limit(libc::RLIMIT_DATA, 16 << 20).traced()?;
    let (before, answer, errno) = (ran.get("before")?, ran.get("answer")?, ran.get("errno")? as i32);
    notes.saw(format!(
        "bare brk answered {answer:#x}, where the break was ({before:#x}): the kernel has no error for it"
    ));
    notes.saw(format!("sbrk returned -1 and {}: libc compared what it asked for with what came", errno_name(errno)));
    for call in ran.phase("bare").into_iter().flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.holds("the bare call returned the old break", answer == before);
    notes.equals("errno of sbrk", errno_name(errno), "ENOMEM".into());
    Ok(Verdict::AsTold)
}

fn limit_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let before = end();
    raw::mark("bare");
    let answer = bare(before + (64 << 20));
    raw::mark("libc");
    let errno = match shift(64 << 20) {
        Ok(_) => 0,
        Err(_) => raw::errno(),
    };
    out.put("before", before);
    out.put("answer", answer);
    out.put("errno", errno as u64);
    Ok(())
}

fn mixed(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("moved the break up 1 MiB by the bare call, wrote there, then sbrk(4096) through libc");
    let ran = bench.subject("brk-mixed").run()?;
    let (start, bare, cut) = (ran.get("start")?, ran.get("bare")?, ran.get("cut")?);
    notes.saw(format!("break {start:#x} -> {bare:#x} by brk -> {cut:#x} by sbrk(4096)"));
    notes.saw(format!("the byte at {:#x} is {}", bare - 1, ["gone", "there"][ran.get("mapped")? as usize]));
    notes.equals("bytes added by brk", bare - start, 1 << 20);
    if ran.get("mapped")? == 1 {
        notes.equals("sbrk moved on from the kernel's place", cut - bare, 4096);
        return Ok(Verdict::Otherwise("this libc asks the kernel where the break is, so both may be used".into()));
    }
    notes.equals("the break after sbrk(4096), from the start", cut - start, 4096);
    Ok(Verdict::Otherwise(
        "libc remembers the break in a variable; after a bare brk its next sbrk cuts off what was added".into(),
    ))
}

fn mixed_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let start = shift(0)?;
    let there = bare(start + (1 << 20));
    touch(start.next_multiple_of(raw::os_page() as u64), 8);
    shift(4096)?;
    out.put("start", start);
    out.put("bare", there);
    out.put("cut", end());
    out.put("mapped", u64::from(raw::resident((there - 1) / 4096 * 4096, 4096) >= 0));
    Ok(())
}
