//! Killed in the middle: a process works on a file and is killed with signal 9 at a random moment, again and again; what
//! the next one finds is consistent, holds all that was complete, or is refused with a clear error.
//!
//! `TOOLBOX_KILLS=N` sets how often each allocator's process is killed.

#[path = "support/mod.rs"]
mod support;

use brkmap_toolbox::shared::{Arena, Bump, FreeList, Handle, Pool};
use brkmap_toolbox::source::{FileMap, FileOptions};
use brkmap_toolbox::{Error, ErrorKind};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Folder, Random};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, what, path, seed] = &args[..]
        && role == "victim"
    {
        return victim(what, Path::new(path), seed.parse().unwrap());
    }
    let kills = std::env::var("TOOLBOX_KILLS").map_or(25, |kills| kills.parse().expect("TOOLBOX_KILLS is a number"));
    let folder = Folder::new("crash");
    for what in ["bump", "arena", "pool", "list"] {
        let path = folder.file(what);
        create(what, &path).unwrap();
        for seed in 0..kills {
            kill_one(what, &path, seed);
            inspect(what, &path).unwrap_or_else(|error| panic!("{what} after kill {seed}: {error}"));
        }
    }
    cut_off_creation(&folder);
    println!("{} passed, 0 failed (kills)", 4 * kills + 1);
}

/// The file, alone.
fn open(path: &Path) -> Result<FileMap, Error> {
    // SAFETY: the file is this test's alone.
    unsafe { FileOptions::new().reserve(256 << 20).open(path) }
}

fn create(what: &str, path: &Path) -> Result<(), Error> {
    // SAFETY: the file is this test's alone.
    let file = unsafe { FileOptions::new().create(path, 1 << 20)? };
    match what {
        "bump" => Bump::create(file).map(drop),
        "arena" => Arena::<[u64; 4], _>::create(file).map(drop),
        "pool" => Pool::<[u64; 4], _>::create(file).map(drop),
        _ => FreeList::create(file).map(drop),
    }
}

/// Starts a victim, lets it work for a moment and kills it.
fn kill_one(what: &str, path: &Path, seed: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", what, path.to_str().unwrap(), &seed.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "working\n", "the victim could open what the one before it left");
    std::thread::sleep(Duration::from_micros(200 + Random(seed).below(6000) as u64));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "killed in the middle: {status}");
}

/// A value that shows whether it is whole.
fn value(number: u64) -> [u64; 4] {
    [number, !number, number.rotate_left(17), number ^ 0x5555]
}

fn is_whole(value: [u64; 4]) -> bool {
    value == self::value(value[0])
}

fn victim(what: &str, path: &Path, seed: u64) {
    let mut random = Random(seed);
    let file = open(path).unwrap();
    let working = || println!("working");
    match what {
        "bump" => {
            let log = Bump::open(file).unwrap();
            working();
            loop {
                if log.used() > 8 << 20 {
                    log.reset().unwrap();
                }
                log.put(&record(random.next(), random.below(300))).unwrap();
            }
        }
        "arena" => {
            let arena = Arena::open(file).unwrap();
            working();
            loop {
                if arena.len() > 200_000 {
                    arena.reset().unwrap();
                }
                arena.push(value(random.next())).unwrap();
            }
        }
        "pool" => {
            let pool = Pool::open(file).unwrap();
            let mut mine: Vec<_> = pool.handles().collect();
            working();
            loop {
                if mine.len() < 500 || mine.len() < 3000 && random.below(2) == 0 {
                    mine.push(pool.insert(value(random.next())).unwrap());
                } else {
                    assert!(is_whole(pool.remove(mine.swap_remove(random.below(mine.len()))).unwrap()));
                }
            }
        }
        _ => {
            let list = FreeList::open(file).unwrap();
            let mut mine = list.handles();
            working();
            loop {
                if mine.len() < 50 || mine.len() < 400 && random.below(2) == 0 {
                    mine.push(list.allocate(random.size(1500)).unwrap());
                } else {
                    list.free(mine.swap_remove(random.below(mine.len()))).unwrap();
                }
            }
        }
    }
}

/// Bytes that show whether they are whole.
fn record(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..length).map(|at| (number as usize ^ at) as u8));
    bytes
}

/// What the killed process left.
fn inspect(what: &str, path: &Path) -> Result<(), Error> {
    let file = open(path)?;
    match what {
        "bump" => {
            let log = Bump::open(file)?;
            let (mut records, mut bytes) = (0, 0);
            for handle in log.records() {
                let found = log.get_vec(handle)?;
                let number = u64::from_le_bytes(found[..8].try_into().unwrap());
                assert_eq!(found, record(number, found.len() - 8), "a published record is whole");
                (records, bytes) = (records + 1, bytes + 8 + found.len().next_multiple_of(8));
            }
            assert_eq!(bytes, log.used(), "{records} records are all there is");
        }
        "arena" => {
            let arena = Arena::open(file)?;
            for handle in arena.handles() {
                assert!(is_whole(arena.get(handle)?), "a published value is whole");
            }
        }
        "pool" => {
            let pool = Pool::open(file)?;
            for handle in pool.handles() {
                assert!(is_whole(pool.get(handle)?), "a live value is whole");
            }
            // Every slot that is not live can be had: none was lost.
            let live = pool.len();
            let free = pool.capacity() as usize - live;
            let more: Vec<Handle<[u64; 4]>> = (0..free).map(|_| pool.insert(value(1)).unwrap()).collect();
            assert_eq!(pool.capacity() as usize, pool.len());
            more.into_iter().for_each(|handle| assert!(pool.remove(handle).is_ok()));
            assert_eq!(pool.len(), live);
        }
        _ => {
            let list = FreeList::open(file)?;
            list.check()?;
            let live = list.handles();
            assert_eq!(live.len(), list.census()?.0, "every live block has a handle");
        }
    }
    Ok(())
}

/// A creation that was cut off before its last store is refused.
fn cut_off_creation(folder: &Folder) {
    let path = folder.file("half");
    create("pool", &path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[32..40].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let error = Pool::<[u64; 4], _>::open(open(&path).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("create it anew"), "{error}");
}
