//! Misuse ends the program at the faulty call, with one line that names it.
//!
//! The test starts itself once for each case. Without a harness: a case must be alone in its process, and its end by
//! SIGABRT is what is looked for.

use std::alloc::{Layout, alloc, dealloc};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::{env, thread};

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

const SIGABRT: i32 = 6;

/// Name, what the line must say (either of two where the block's page may have gone meanwhile), the misuse.
type Case = (&'static str, &'static str, fn());

const CASES: &[Case] = &[
    ("smaller-layout", "size mismatch", || wrong_layout(100, 8, 40, 8)),
    ("larger-layout", "size mismatch", || wrong_layout(40, 8, 100, 8)),
    ("small-as-medium", "size mismatch", || wrong_layout(100, 8, 20_000, 8)),
    ("medium-as-small", "size mismatch", || wrong_layout(20_000, 8, 100, 8)),
    ("run-as-small", "size mismatch", || wrong_layout(100_000, 8, 100, 8)),
    ("mapping-as-small", "size mismatch", || wrong_layout(10_000_000, 8, 100, 8)),
    ("double-free", "double free", || double_free(48)),
    ("double-free-medium", "double free", || double_free(20_000)),
    ("double-free-run", "double free|invalid free", || double_free(100_000)),
    ("double-free-later", "double free|invalid free", double_free_later),
    ("double-free-other-thread", "double free", double_free_other_thread),
    ("interior", "invalid free", || shifted(1000, 16)),
    ("unaligned", "invalid free", || shifted(1000, 1)),
    ("stack", "invalid free", stack),
    ("data", "invalid free", data),
    ("wild", "invalid free", || give_back(0x1234_5678_9ab0, 48)),
    ("non-canonical", "invalid free", || give_back(0xdead_beef_0000_0010, 48)),
];

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a valid layout")
}

fn fresh(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the size is not 0
    let block = unsafe { alloc(layout(size, align)) };
    assert!(!block.is_null());
    block
}

fn give_back(address: usize, size: usize) {
    // SAFETY: none: this is the misuse that must end the program
    unsafe { dealloc(std::hint::black_box(address) as *mut u8, layout(size, 8)) };
}

fn wrong_layout(size: usize, align: usize, other: usize, other_align: usize) {
    let block = fresh(size, align);
    // SAFETY: none: this is the misuse that must end the program
    unsafe { dealloc(std::hint::black_box(block), layout(other, other_align)) };
}

fn double_free(size: usize) {
    let block = fresh(size, 8).expose_provenance();
    // A second block keeps the page, so that the first one's place stays known.
    let _neighbour = fresh(size, 8);
    give_back(block, size);
    give_back(block, size);
}

fn double_free_later() {
    let blocks: Vec<usize> = (0..5000).map(|_| fresh(48, 8).expose_provenance()).collect();
    for &block in &blocks {
        give_back(block, 48);
    }
    give_back(blocks[2500], 48);
}

fn double_free_other_thread() {
    static BLOCK: AtomicUsize = AtomicUsize::new(0);
    // The thread first: what its start allocates could get the block, which was freed last.
    let other = thread::spawn(|| {
        while BLOCK.load(Acquire) == 0 {
            thread::yield_now();
        }
        give_back(BLOCK.load(Acquire), 48);
    });
    let block = fresh(48, 8).expose_provenance();
    let _neighbour = fresh(48, 8);
    give_back(block, 48);
    BLOCK.store(block, Release);
    other.join().expect("the thread does not come back");
}

fn shifted(size: usize, by: usize) {
    give_back(fresh(size, 8).expose_provenance() + by, size);
}

fn stack() {
    let mut words = [0u64; 16];
    give_back((&raw mut words).expose_provenance(), 128);
}

fn data() {
    static WORDS: [u64; 16] = [1; 16];
    give_back((&raw const WORDS).expose_provenance(), 128);
}

fn check(words: &str, output: &Output) -> Result<(), String> {
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.signal() != Some(SIGABRT) {
        return Err(format!("expected SIGABRT and `{words}`, got {}: {text}", output.status));
    }
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("brkmap: fatal: ")).collect();
    let says = |line: &str| words.split('|').any(|word| line["brkmap: fatal: ".len()..].starts_with(word));
    match lines[..] {
        [line] if says(line) && line.contains(" ptr=0x") => Ok(()),
        _ => Err(format!("expected one line `brkmap: fatal: {words} ptr=0x…`, got: {text}")),
    }
}

fn main() -> ExitCode {
    let filter = env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if let Some(name) = env::var_os("BRKMAP_MISUSE_CASE") {
        if let Some((_, _, misuse)) = CASES.iter().find(|case| name == case.0) {
            misuse();
        }
        eprintln!("the program went on after {}", name.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    let me = env::current_exe().expect("the path of this program");
    let mut failed = 0;
    for (name, words, _) in CASES.iter().filter(|case| filter.as_ref().is_none_or(|f| case.0.contains(f.as_str()))) {
        let output = Command::new(&me).env("BRKMAP_MISUSE_CASE", name).output().expect("started once more");
        match check(words, &output) {
            Ok(()) => println!("misuse {name} ... ok"),
            Err(why) => {
                failed += 1;
                println!("misuse {name} ... FAILED\n{why}");
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
