//! The nine tasks of a classic exercise sheet, each answered and proven.

use super::Family;
use super::cost::us;
use super::launch::Bench;
use super::note::{Judged, Notes, Verdict};
use super::policy::words;
use super::raw::{self, Block, How, Map, Out, Refusal};

pub(super) const FAMILY: Family = Family {
    name: "tasks",
    experiments: &[
        ("task-1", why_mmap),
        ("task-2", only_sbrk),
        ("task-3", threads_and_pools),
        ("task-4", new_break),
        ("task-5", mapped_size),
        ("task-6", which_call),
        ("task-7", bump_on_sbrk),
        ("task-8", large_on_mmap),
        ("task-9", small_and_large),
    ],
    subjects: &[
        ("task-large", large_subject),
        ("task-pools", pools_subject),
        ("task-call", call_subject),
        ("task-bump", bump_subject),
        ("task-mmap", mmap_subject),
        ("task-sizes", sizes_subject),
    ],
};

fn why_mmap(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc(256 KiB), written, a small block behind it, free of the large one; with mappings and without (M_MMAP_MAX 0)");
    let mut left = Vec::new();
    for (name, maps) in [("mapped", None), ("on the break", Some("0"))] {
        let mut subject = bench.subject("task-large").number(1).number(256 << 10);
        if let Some(maps) = maps {
            subject = subject.variable("MALLOC_MMAP_MAX_", maps);
        }
        let ran = subject.traced()?;
        left.push(ran.get("left")? / 1024);
        notes.saw(format!(
            "{name:<13} free: {}; {} KiB of it still resident",
            words(ran.phase("free")),
            left[left.len() - 1]
        ));
    }
    notes.within("KiB left of a mapped block", left[0], 0..=0);
    notes.within("KiB left of a block on the break", left[1], 252..=260);
    notes.saw("answer: it goes back the moment it is freed, whatever lies above it; a small block could not pay for the calls");
    Ok(Verdict::AsTold)
}

fn only_sbrk(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "40 blocks of 1 MiB, each with a small block behind it; all large ones freed; on the break alone, and as usual",
    );
    let mut left = Vec::new();
    for (name, maps) in [("only sbrk", Some("0")), ("both", None)] {
        let mut subject = bench.subject("task-large").number(40).number(1 << 20).number(1);
        if let Some(maps) = maps {
            subject = subject.variable("MALLOC_MMAP_MAX_", maps);
        }
        let ran = subject.run()?;
        left.push(ran.get("left")? >> 20);
        notes.saw(format!("{name:<10} {} of 40 MiB still resident after the frees", left[left.len() - 1]));
    }
    notes.within("MiB left with only sbrk", left[0], 39..=42);
    notes.within("MiB left with both", left[1], 0..=0);
    notes.saw("answer: holes below a live block never go back, the heap is as large as its worst moment, and one obstacle ends it");
    Ok(Verdict::AsTold)
}

/// Numbers: how many, how large, whether the threshold stays where it is.
fn large_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let (count, bytes) = ((numbers[0] as usize).min(40), numbers[1] as usize);
    if numbers.len() > 2 {
        raw::tune(libc::M_TRIM_THRESHOLD, 128 << 10)?;
    }
    const PIN: usize = 1500;
    let (blocks, pins) = (raw::table(count)?, raw::table(count)?);
    // Holes that start-up left would take the pins; they shall lie behind the large blocks.
    for _ in 0..60 {
        Block::new(PIN)?.keep();
    }
    let mut addresses = [0; 40];
    for ((slot, pin), address) in blocks.iter_mut().zip(pins.iter_mut()).zip(&mut addresses) {
        let mut block = Block::new(bytes)?;
        block.touch();
        *address = block.at() / 4096 * 4096;
        *slot = Some(block);
        *pin = Some(Block::new(PIN)?);
    }
    raw::mark("free");
    blocks.iter_mut().filter_map(Option::take).for_each(Block::free);
    raw::mark("freed");
    // A range that is no longer mapped counts as -1.
    let left = addresses[..count].iter().map(|at| raw::resident(*at, bytes).max(0) as u64).sum::<u64>();
    out.put("left", left * raw::os_page() as u64);
    Ok(())
}

fn threads_and_pools(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "four threads, each with a mapping of 4 MiB as its pool: 1,000 objects carved from it, then one munmap each",
    );
    let ran = bench.subject("task-pools").run()?;
    notes.saw(format!(
        "VmRSS +{} MiB while the pools are full, +{} KiB when they are gone",
        ran.get("full")? >> 20,
        ran.get("left")? / 1024
    ));
    notes.saw(format!(
        "the break moved by {} bytes; objects that were whole: {}",
        ran.get("moved")?,
        ran.get("whole")?
    ));
    notes.equals("objects whole", ran.get("whole")?, 4000);
    notes.within("MiB while full", ran.get("full")? >> 20, 16..=18);
    notes.within("KiB afterwards", ran.get("left")? / 1024, 0..=2048);
    notes.equals("bytes that the break moved by", ran.get("moved")?, 0);
    notes.saw(
        "answer: a mapping has no end to fight over: no lock, no neighbour, and a pool goes back whole in one call",
    );
    Ok(Verdict::AsTold)
}

fn pools_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const POOL: usize = 4 << 20;
    let full = std::sync::Barrier::new(5);
    let gone = std::sync::Barrier::new(5);
    let (before, start) = (super::brk::end(), raw::status("VmRSS"));
    let mut seen = 0;
    let whole = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u8)
            .map(|number| {
                let (full, gone) = (&full, &gone);
                scope.spawn(move || -> Result<u64, Refusal> {
                    let map = Map::new(POOL, How::Private);
                    if let Ok(mut map) = map {
                        map.touch();
                        for object in 0..1000 {
                            map.set(object * 4000, number + 1);
                        }
                        full.wait();
                        gone.wait();
                        let whole = (0..1000).filter(|object| map.get(object * 4000) == number + 1).count();
                        map.unmap()?;
                        return Ok(whole as u64);
                    }
                    full.wait();
                    gone.wait();
                    Err(Refusal("a pool could not be mapped".into()))
                })
            })
            .collect();
        full.wait();
        seen = raw::status("VmRSS").saturating_sub(start);
        gone.wait();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<Result<u64, Refusal>>()
    })?;
    out.put("full", seen);
    out.put("left", raw::status("VmRSS").saturating_sub(start));
    out.put("moved", super::brk::end().abs_diff(before));
    out.put("whole", whole);
    Ok(())
}

fn new_break(bench: &Bench, notes: &mut Notes) -> Judged {
    super::brk::arithmetic(bench, notes)
}

fn mapped_size(bench: &Bench, notes: &mut Notes) -> Judged {
    super::map::rounding(bench, notes)?;
    notes.saw("answer: 5000 bytes are more than one OS page of 4096 and less than two, so two are mapped: 8192");
    Ok(Verdict::AsTold)
}

fn which_call(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc(200000) and its free, calls traced");
    let ran = bench.subject("task-call").traced()?;
    for call in ran.phase("malloc").into_iter().chain(ran.phase("free")).flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.saw(format!("maps    {}", ran.text("line")?));
    notes.equals("the block lies in", ran.text("place")?, "mapping");
    if let (Some(taken), Some(freed)) = (ran.phase("malloc"), ran.phase("free")) {
        notes.equals("calls of malloc", words(Some(taken)), "mmap".to_owned());
        notes.equals("calls of free", words(Some(freed)), "munmap".to_owned());
        notes.equals("bytes mapped", taken.first().map_or(0, |call| call.arguments[1]), 200_704);
    }
    notes.saw("answer: mmap, because 200,000 is above 128 KiB; 49 OS pages hold it with its header");
    Ok(Verdict::AsTold)
}

fn call_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    Block::new(1)?.free();
    raw::mark("malloc");
    let block = Block::new(200_000)?;
    raw::mark("look");
    out.text("place", format_args!("{}", super::policy::place(block.at())));
    out.line("line", block.at());
    raw::mark("free");
    block.free();
    raw::mark("freed");
    Ok(())
}

fn bump_on_sbrk(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("a pointer and an end: sbrk(4096) when they meet; 1,000 objects of 40 bytes, written and read back");
    let ran = bench.subject("task-bump").traced()?;
    let (moved, apart) = (ran.get("moved")?, ran.get("apart")?);
    notes.saw(format!("the break moved by {moved} bytes; neighbours lie {apart} bytes apart"));
    if let Some(calls) = ran.phase("bump") {
        let moves = calls.iter().filter(|call| call.moves_break() && call.succeeded());
        notes.saw(format!("{} moves of the break for 1,000 objects", moves.clone().count()));
        notes.equals("moves of 4096 bytes", moves.count(), 10);
    }
    notes.equals("objects whole", ran.get("whole")?, 1000);
    notes.equals("bytes from one object to the next", apart, 40);
    notes.equals("bytes the break moved by", moved, 40_960);
    notes.saw("the toolbox has it with chunks that grow, marks and resets: Bump over ProgramBreak");
    Ok(Verdict::AsTold)
}

/// What is left between the pointer and the break.
struct SbrkBump {
    pointer: u64,
    end: u64,
}

impl SbrkBump {
    const STEP: u64 = 4096;

    /// The address of `bytes` fresh bytes.
    fn allocate(&mut self, bytes: u64) -> Result<u64, Refusal> {
        let bytes = bytes.next_multiple_of(8);
        while self.end - self.pointer < bytes {
            let fresh = super::brk::shift(SbrkBump::STEP as isize)?;
            if fresh != self.end {
                // Somebody else moved the break in between: begin behind that.
                self.pointer = fresh;
            }
            self.end = fresh + SbrkBump::STEP;
        }
        let block = self.pointer;
        self.pointer += bytes;
        Ok(block)
    }
}

fn bump_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let before = super::brk::end();
    let mut bump = SbrkBump { pointer: before, end: before };
    let (mut last, mut apart, mut whole) = (0, 0, 0);
    raw::mark("bump");
    for number in 0..1000u64 {
        let at = bump.allocate(40)?;
        super::brk::fill(at, 40, number as u8);
        apart = if apart == 0 && last != 0 { at - last } else { apart };
        last = at;
    }
    raw::mark("made");
    for number in 0..1000u64 {
        whole += u64::from(super::brk::is(before + number * 40, 40, number as u8));
    }
    out.put("moved", super::brk::end() - before);
    out.put("apart", apart);
    out.put("whole", whole);
    Ok(())
}

fn large_on_mmap(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("an allocator in ten lines: a mapping per block, its length in a word in front; 1 MiB and 10 MiB, written, freed");
    let ran = bench.subject("task-mmap").traced()?;
    for call in ran.phase("take").into_iter().chain(ran.phase("give")).flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.saw(format!("VmRSS +{} MiB in use, +{} KiB when freed", ran.get("full")? >> 20, ran.get("left")? / 1024));
    notes.within("MiB in use", ran.get("full")? >> 20, 11..=13);
    notes.within("KiB when freed", ran.get("left")? / 1024, 0..=1300);
    notes.equals("blocks whole", ran.get("whole")?, 2);
    if let Some(calls) = ran.phase("give") {
        notes.equals("calls of the frees", words(Some(calls)), "2 munmap".to_owned());
    }
    Ok(Verdict::AsTold)
}

/// A block with its length in front, so that a free needs nothing but the block.
struct Large(Map);

impl Large {
    const HEADER: usize = 16;

    fn new(bytes: usize) -> Result<Large, Refusal> {
        let mut map = Map::new(bytes + Large::HEADER, How::Private)?;
        let length = map.bytes() as u64;
        map.set_word(0, length);
        Ok(Large(map))
    }

    fn free(self) -> Result<(), Refusal> {
        let length = self.0.follow(0, 1);
        assert_eq!(length as usize, self.0.bytes(), "the word in front says how much to unmap");
        self.0.unmap()
    }
}

fn mmap_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let start = raw::status("VmRSS");
    raw::mark("take");
    let mut blocks = [Large::new(1 << 20)?, Large::new(10 << 20)?];
    raw::mark("use");
    let mut whole = 0;
    for block in &mut blocks {
        for offset in (Large::HEADER..block.0.bytes()).step_by(4096) {
            block.0.set(offset, 5);
        }
        whole += u64::from((Large::HEADER..block.0.bytes()).step_by(4096).all(|offset| block.0.get(offset) == 5));
    }
    out.put("full", raw::status("VmRSS").saturating_sub(start));
    raw::mark("give");
    for block in blocks {
        block.free()?;
    }
    raw::mark("given");
    out.put("left", raw::status("VmRSS").saturating_sub(start));
    out.put("whole", whole);
    Ok(())
}

fn small_and_large(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("1,000 pairs of malloc and free of 64 bytes and of 256 KiB (threshold fixed), each OS page written; four of each, kept");
    let ran = bench.subject("task-sizes").run()?;
    let (small, large) = (ran.get("small")? / 1000, ran.get("large")? / 1000);
    notes.saw(format!("a pair: 64 bytes {small} ns, 256 KiB {}", us(large)));
    notes.saw(format!(
        "64 bytes: {} and {} bytes apart, in {}",
        ran.get("small-apart")?,
        ran.get("small-apart-2")?,
        ran.text("small-place")?
    ));
    notes.saw(format!("256 KiB:  {} KiB apart, in {}", ran.get("large-apart")? / 1024, ran.text("large-place")?));
    notes.within("times as long for 256 KiB", large / small.max(1), 20..=u64::MAX);
    notes.equals("64 bytes lie in", ran.text("small-place")?, "heap");
    notes.equals("256 KiB lie in", ran.text("large-place")?, "mapping");
    notes.equals("bytes between small neighbours", ran.get("small-apart")?, 80);
    notes.equals("bytes between large neighbours, modulo the OS page", ran.get("large-apart")? % 4096, 0);
    Ok(Verdict::AsTold)
}

fn sizes_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    raw::tune(libc::M_MMAP_THRESHOLD, 128 << 10)?;
    let time = |bytes: usize| {
        raw::least(3, || {
            for _ in 0..1000 {
                let mut block = Block::new(bytes)?;
                block.touch();
                block.free();
            }
            Ok(())
        })
    };
    out.put("small", time(64)?);
    out.put("large", time(256 << 10)?);
    // What start-up left free would break the row.
    for _ in 0..200 {
        Block::new(64)?.keep();
    }
    let small = [Block::new(64)?, Block::new(64)?, Block::new(64)?, Block::new(64)?];
    let large = [Block::new(256 << 10)?, Block::new(256 << 10)?];
    out.put("small-apart", small[1].at().abs_diff(small[0].at()));
    out.put("small-apart-2", small[3].at().abs_diff(small[2].at()));
    out.put("large-apart", large[1].at().abs_diff(large[0].at()));
    out.text("small-place", format_args!("{}", super::policy::place(small[0].at())));
    out.text("large-place", format_args!("{}", super::policy::place(large[0].at())));
    Ok(())
}
