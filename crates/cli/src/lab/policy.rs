//! malloc's policy: which call serves which size.

use super::Family;
use super::calls::Call;
use super::launch::{Bench, Malloc, Ran};
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw::{self, Block, Out, Refusal};

pub(super) const FAMILY: Family = Family {
    name: "malloc",
    experiments: &[
        ("malloc-which", which),
        ("malloc-chunk", chunk),
        ("malloc-batch", batch),
        ("malloc-dynamic", dynamic),
        ("malloc-ceiling", ceiling),
        ("malloc-mallopt", mallopt),
        ("malloc-environment", environment),
        ("malloc-thread", thread),
        ("malloc-musl", super::elsewhere::musl),
        ("malloc-go", super::elsewhere::go),
    ],
    subjects: &[
        ("malloc-which", which_subject),
        ("malloc-batch", batch_subject),
        ("malloc-dynamic", dynamic_subject),
        ("malloc-fixed", fixed_subject),
        ("malloc-thread", thread_subject),
    ],
};

/// Where a block is.
pub(super) fn place(address: u64) -> &'static str {
    match raw::line_of(address) {
        Some(line) if line.text().ends_with("[heap]") => "heap",
        Some(_) => "mapping",
        None => "nowhere",
    }
}

/// The memory calls of a phase in few words.
pub(super) fn words(calls: Option<&[Call]>) -> String {
    let Some(calls) = calls else { return "?".to_owned() };
    let moved = |call: &&Call| call.moves_break() && call.succeeded();
    let count = |name: &str| calls.iter().filter(|call| call.name == name).count();
    let (moves, maps, unmaps) = (calls.iter().filter(moved).count(), count("mmap"), count("munmap"));
    let advice = count("madvise") + count("process_madvise");
    let parts = [(moves, "brk"), (maps, "mmap"), (unmaps, "munmap"), (count("mremap"), "mremap"), (advice, "madvise")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| if number == 1 { name.to_owned() } else { format!("{number} {name}") })
        .collect();
    if parts.is_empty() { "no call".to_owned() } else { parts.join(", ") }
}

/// The sizes of the tour, with what serves each: on glibc, on brkmap.
const SIZES: [(u64, &str, &str); 9] = [
    (64, "heap", "heap"),
    (1024, "heap", "heap"),
    (131_048, "heap", "heap"),
    (131_049, "mapping", "heap"),
    (131_071, "mapping", "heap"),
    (131_072, "mapping", "mapping"),
    (131_073, "mapping", "mapping"),
    (200_000, "mapping", "mapping"),
    (262_144, "mapping", "mapping"),
];

fn which(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("after a first block: malloc of each size, with the calls traced and the address looked up in the map");
    let runs = Malloc::BOTH.map(|malloc| bench.subject("malloc-which").on(malloc).traced());
    let [glibc, brkmap] = runs;
    let (glibc, brkmap) = (glibc?, brkmap?);
    notes.saw("size     glibc                  brkmap");
    for (size, on_glibc, on_brkmap) in SIZES {
        let key = size.to_string();
        let cell = |ran: &Ran| Ok(format!("{:<8} {}", ran.text(&key)?, words(ran.phase(&key))));
        let (left, right) = (cell(&glibc)?, cell(&brkmap)?);
        notes.saw(format!("{size:<8} {left:<22} {right}"));
        notes.equals(format!("{size} on glibc"), glibc.text(&key)?, on_glibc);
        notes.equals(format!("{size} on brkmap"), brkmap.text(&key)?, on_brkmap);
        // Where a block is the first in its 256 MiB of addresses, brkmap maps a table for them too, which is larger than these.
        let is_for_block = |call: &&Call| call.name == "mmap" && call.arguments[1] < size + 8192;
        for (ran, expected) in [(&glibc, on_glibc), (&brkmap, on_brkmap)] {
            if let Some(calls) = ran.phase(&key).filter(|_| expected == "mapping") {
                notes.holds(format!("{size}: one mmap"), calls.iter().filter(is_for_block).count() == 1);
            }
        }
    }
    Ok(Verdict::AsTold)
}

fn which_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    Block::new(1)?.free();
    // What the start of the process left free on the heap would serve all sizes: used up, and what the last move of the break
    // added made too small for them.
    let end = super::brk::end();
    while super::brk::end() == end {
        Block::new(100_000)?;
    }
    Block::new(60_000)?;
    // The one that fits below the edge comes last: the pad that glibc adds for it would serve those above the edge.
    let sizes = [64, 1024, 131_049, 131_071, 131_072, 131_073, 200_000, 262_144, 131_048];
    let names = ["64", "1024", "131049", "131071", "131072", "131073", "200000", "262144", "131048"];
    for (name, size) in names.into_iter().zip(sizes) {
        raw::mark(name);
        let block = Block::new(size)?;
        raw::mark("look");
        out.text(name, format_args!("{}", place(block.at())));
    }
    Ok(())
}

fn chunk(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc of 131,048, 131,049, 131,071 and 131,072 bytes");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("malloc-which").on(malloc).run()?;
        let places = ["131048", "131049", "131071", "131072"].map(|size| ran.text(size).map(str::to_owned));
        let [a, b, c, d] = places;
        let (a, b, c, d) = (a?, b?, c?, d?);
        notes.saw(format!("{:<7} 131,048: {a}; 131,049: {b}; 131,071: {c}; 131,072: {d}", malloc.name()));
        notes.equals(format!("{}: 131,072 bytes", malloc.name()), d, "mapping".to_owned());
        let expected = if malloc == Malloc::System { "mapping" } else { "heap" };
        notes.equals(format!("{}: 131,071 bytes", malloc.name()), c, expected.to_owned());
        notes.equals(format!("{}: 131,049 bytes", malloc.name()), b, expected.to_owned());
        notes.equals(format!("{}: 131,048 bytes", malloc.name()), a, "heap".to_owned());
    }
    Ok(Verdict::Otherwise(
        "glibc compares the size of its chunk (request and 8 bytes, rounded up to 16), so it maps from 131,049 bytes on; \
         brkmap compares the request"
            .into(),
    ))
}

fn batch(bench: &Bench, notes: &mut Notes) -> Judged {
    const BLOCKS: u64 = 10_000;
    notes.did("10,000 mallocs of 64 bytes, calls traced");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("malloc-batch").on(malloc).traced()?;
        let grown = ran.get("grown")?;
        let Some(calls) = ran.phase("take") else {
            notes.saw(format!("{:<7} the break moved by {} KiB in all", malloc.name(), grown / 1024));
            notes.within(format!("{}: KiB the break moved by", malloc.name()), grown / 1024, 256..=2048);
            continue;
        };
        let moves = calls.iter().filter(|call| call.moves_break() && call.succeeded()).count() as u64;
        let asks = calls.iter().filter(|call| call.name == "brk" && !call.moves_break()).count();
        notes.saw(format!(
            "{:<7} {moves} moves of the break by {} KiB in all ({asks} questions where it is), one for {} blocks",
            malloc.name(),
            grown / 1024,
            BLOCKS / moves.max(1)
        ));
        notes.within(format!("{}: moves for 10,000 blocks", malloc.name()), moves, 1..=12);
    }
    Ok(Verdict::AsTold)
}

fn batch_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    Block::new(1)?.free();
    let before = super::brk::end();
    raw::mark("take");
    for _ in 0..10_000 {
        Block::new(64)?.keep();
    }
    raw::mark("taken");
    out.put("grown", super::brk::end() - before);
    Ok(())
}

/// Whether memory went back: the break moved down, or so much was unmapped. (brkmap may start its helper at any free, which
/// maps and unmaps a stack.)
fn gives_back(calls: &[Call], bytes: u64) -> bool {
    calls.iter().any(|call| call.moves_break() || call.name == "munmap" && call.arguments[1] >= bytes)
}

fn dynamic(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc and free of 256 KiB, then the same again; then 1 MiB twice; calls traced");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("malloc-dynamic").number(256 << 10).number(1 << 20).on(malloc).traced()?;
        let mut line = format!("{:<7}", malloc.name());
        for (index, name, bytes) in [(0, "256 KiB", 256 << 10), (1, "1 MiB", 1 << 20)] {
            let (first, second) = (ran.text(&format!("first-{index}"))?, ran.text(&format!("second-{index}"))?);
            line += &format!(" {name}: {first}, then {second};");
            notes.equals(format!("{}: first {name}", malloc.name()), first, "mapping");
            notes.equals(format!("{}: second {name}", malloc.name()), second, "heap");
            if let (Some(free), Some(again)) =
                (ran.phase(&format!("free-{index}")), ran.phase(&format!("again-{index}")))
            {
                notes.holds(format!("{}: munmap at the first free", malloc.name()), gives_back(free, bytes));
                // The heap block is larger than the old trim threshold: that has moved to twice the size.
                notes
                    .holds(format!("{}: the second free gives nothing back", malloc.name()), !gives_back(again, bytes));
                let second =
                    if gives_back(again, bytes) { words(Some(again)) } else { "nothing given back".to_owned() };
                line += &format!(" frees: {}, {second};", words(Some(free)));
            }
        }
        notes.saw(line);
    }
    Ok(Verdict::AsTold)
}

fn ceiling(bench: &Bench, notes: &mut Notes) -> Judged {
    // glibc compares the size word with its flag for mapped chunks, so a chunk of 32 MiB itself is above the end.
    const BELOW: u64 = (32 << 20) - 8192;
    notes.did("malloc and free of 32 MiB less 8 KiB, then the same again; then 33 MiB twice");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("malloc-dynamic").number(BELOW).number(33 << 20).on(malloc).run()?;
        let place = |key: &str| ran.text(key);
        notes.saw(format!(
            "{:<7} below 32 MiB: {}, then {}; 33 MiB: {}, then {}",
            malloc.name(),
            place("first-0")?,
            place("second-0")?,
            place("first-1")?,
            place("second-1")?
        ));
        for (key, expected) in
            [("first-0", "mapping"), ("second-0", "heap"), ("first-1", "mapping"), ("second-1", "mapping")]
        {
            notes.equals(format!("{}: {key}", malloc.name()), place(key)?, expected);
        }
    }
    Ok(Verdict::AsTold)
}

fn dynamic_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const NAMES: [[&str; 5]; 2] = [
        ["first-0", "second-0", "free-0", "again-0", "take-0"],
        ["first-1", "second-1", "free-1", "again-1", "take-1"],
    ];
    Block::new(1)?.free();
    for ([first, second, free, again, take], &bytes) in NAMES.into_iter().zip(numbers) {
        let block = Block::new(bytes as usize)?;
        out.text(first, format_args!("{}", place(block.at())));
        raw::mark(free);
        block.free();
        raw::mark(take);
        let mut block = Block::new(bytes as usize)?;
        block.touch();
        out.text(second, format_args!("{}", place(block.at())));
        raw::mark(again);
        block.free();
        raw::mark("freed");
    }
    Ok(())
}

const FIXED: [(&str, u64); 4] = [("60000", 60_000), ("150000", 150_000), ("262144", 262_144), ("600000", 600_000)];

/// Runs the subject and expects the sizes from `threshold` on in mappings, before and after a free.
fn expect_fixed(notes: &mut Notes, what: &str, malloc: Malloc, threshold: u64, ran: &Ran) -> Result<(), Trouble> {
    let mut line = format!("{what:<26} {:<7}", malloc.name());
    for (name, size) in FIXED {
        let expected = if size >= threshold { "mapping" } else { "heap" };
        let (seen, again) = (ran.text(name)?, ran.text(&format!("again-{name}"))?);
        line += &format!(" {size}: {seen}");
        notes.equals(format!("{what}, {}: {size}", malloc.name()), seen, expected);
        notes.equals(format!("{what}, {}: {size} after a free", malloc.name()), again, expected);
    }
    notes.saw(line);
    Ok(())
}

fn mallopt(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mallopt(M_MMAP_THRESHOLD, …), then malloc of four sizes, free, and malloc again");
    for (threshold, name) in [(64 << 10, "mallopt 64 KiB"), (512 << 10, "mallopt 512 KiB")] {
        for malloc in Malloc::BOTH {
            let ran = bench.subject("malloc-fixed").number(threshold).on(malloc).run()?;
            expect_fixed(notes, name, malloc, threshold, &ran)?;
        }
    }
    Ok(Verdict::AsTold)
}

fn environment(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("the same by MALLOC_MMAP_THRESHOLD_ and by GLIBC_TUNABLES, the program unchanged");
    for (threshold, name) in [(64 << 10, "variable 64 KiB"), (512 << 10, "variable 512 KiB")] {
        for malloc in Malloc::BOTH {
            let subject = bench.subject("malloc-fixed").on(malloc);
            let ran = subject.variable("MALLOC_MMAP_THRESHOLD_", threshold.to_string()).run()?;
            expect_fixed(notes, name, malloc, threshold, &ran)?;
        }
    }
    for malloc in Malloc::BOTH {
        let subject = bench.subject("malloc-fixed").on(malloc);
        let ran = subject.variable("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=524288").run()?;
        expect_fixed(notes, "tunable 512 KiB", malloc, 512 << 10, &ran)?;
    }
    Ok(Verdict::AsTold)
}

fn fixed_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    if let Some(&threshold) = numbers.first() {
        raw::tune(libc::M_MMAP_THRESHOLD, threshold as i32)?;
    }
    let again = ["again-60000", "again-150000", "again-262144", "again-600000"];
    for ((name, size), again) in FIXED.into_iter().zip(again) {
        let block = Block::new(size as usize)?;
        out.text(name, format_args!("{}", place(block.at())));
        block.free();
        let block = Block::new(size as usize)?;
        out.text(again, format_args!("{}", place(block.at())));
        block.keep();
    }
    Ok(())
}

fn thread(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("malloc(1000) in the main thread, then in a second thread; both addresses looked up in the map");
    for malloc in Malloc::BOTH {
        let ran = bench.subject("malloc-thread").on(malloc).traced()?;
        let (main, other) = (ran.text("main")?, ran.text("other")?);
        notes.saw(format!("{:<7} main thread: {main}; second thread: {other}", malloc.name()));
        notes.saw(format!("        {}", ran.text("line")?));
        notes.equals(format!("{}: main thread", malloc.name()), main, "heap");
        notes.equals(format!("{}: second thread", malloc.name()), other, "mapping");
        if malloc == Malloc::System {
            // An arena's heap is a part of 64 MiB of addresses, aligned to as much.
            notes.equals("glibc: the arena's start modulo 64 MiB", ran.get("start")? % (64 << 20), 0);
        }
    }
    Ok(Verdict::AsTold)
}

fn thread_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let main = Block::new(1000)?;
    out.text("main", format_args!("{}", place(main.at())));
    raw::mark("thread");
    let other = std::thread::spawn(|| Block::new(1000).map(|block| block.at()).unwrap_or(0));
    let other = other.join().map_err(|_| Refusal("the thread ended badly".into()))?;
    raw::mark("joined");
    out.text("other", format_args!("{}", place(other)));
    out.line("line", other);
    out.put("start", raw::line_of(other).map_or(0, |line| line.start));
    Ok(())
}
