//! Two processes over one memory: a memfd that a child opens by its descriptor, a map that a fork shares, a file.
//!
//! The test starts itself as the second process. Both work at the same time on the same pool, list, log and arena; what
//! each finds in the end is compared with what the other says.

#[path = "support/mod.rs"]
mod support;

use brkmap_toolbox::shared::{Arena, Bump, FreeList, Handle, Memory, Pool};
use brkmap_toolbox::source::{AnonymousMap, FileOptions, SharedMap, Source};
use std::alloc::Layout;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use support::{Folder, Random};

const BYTES: usize = 4 << 20;
const ROUNDS: u64 = 20_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, what, place] = &args[..]
        && role == "second"
    {
        return second(what, place);
    }
    pool_between_processes();
    list_between_processes();
    log_and_arena_between_processes();
    map_across_fork();
    a_dead_owner_is_noticed();
    an_owner_without_its_first_thread_is_alive();
    a_guard_page_ends_an_overrun();
    println!("6 passed, 0 failed (two processes)");
}

/// This test again, as the second process.
fn start(what: &str, place: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap()).args(["second", what, place]).spawn().unwrap()
}

fn ended_well(status: ExitStatus) {
    assert!(status.success(), "the second process: {status}");
}

/// A descriptor that a child inherits.
fn inheritable(map: &SharedMap) -> OwnedFd {
    // SAFETY: dup of a descriptor that is open; the copy is ours and not closed on exec.
    unsafe {
        let copy = libc::dup(map.descriptor().unwrap().as_raw_fd());
        assert!(copy >= 0);
        OwnedFd::from_raw_fd(copy)
    }
}

fn map_of(place: &str) -> SharedMap {
    // SAFETY: the first process left this descriptor for us.
    SharedMap::from_fd(unsafe { OwnedFd::from_raw_fd(place.parse().unwrap()) }).unwrap()
}

/// What one process does with the pool: inserts, checks and removes its own values, which say whose they are.
fn work_on_pool<M: Memory>(pool: &Pool<[u64; 3], M>, who: u64) -> Vec<Handle<[u64; 3]>> {
    let mut random = Random(who);
    let mut mine: Vec<(Handle<[u64; 3]>, u64)> = Vec::new();
    for round in 0..ROUNDS {
        if mine.len() < 50 || random.below(2) == 0 && mine.len() < 1000 {
            mine.push((pool.insert([who, round, who ^ round]).unwrap(), round));
        } else {
            let (handle, number) = mine.swap_remove(random.below(mine.len()));
            assert_eq!(pool.remove(handle), Ok([who, number, who ^ number]), "nobody else touched it");
            assert!(pool.get(handle).is_err());
        }
    }
    mine.into_iter().map(|(handle, _)| handle).collect()
}

fn work_on_list<M: Memory>(list: &FreeList<M>, who: u64) -> usize {
    let mut random = Random(who);
    let mut mine: Vec<(Handle<[u8]>, usize)> = Vec::new();
    for _ in 0..ROUNDS {
        if mine.len() < 20 || random.below(2) == 0 && mine.len() < 200 {
            let length = random.size(2000);
            let block = list.allocate(length).unwrap();
            list.write(block, 0, &vec![who as u8; length]).unwrap();
            mine.push((block, length));
        } else {
            let (block, length) = mine.swap_remove(random.below(mine.len()));
            let mut copy = vec![0; length];
            list.read(block, 0, &mut copy).unwrap();
            assert!(copy.iter().all(|byte| *byte == who as u8), "nobody else touched it");
            list.free(block).unwrap();
        }
    }
    mine.len()
}

fn second(what: &str, place: &str) {
    match what {
        "pool" => {
            let pool = Pool::open(map_of(place)).unwrap();
            let mine = work_on_pool(&pool, 2);
            // What the first one put under the root: taken over, and one of ours left there.
            pool.set_root(mine[0].to_bits()).unwrap();
        }
        "list" => {
            work_on_list(&FreeList::open(map_of(place)).unwrap(), 2);
        }
        "log" => {
            // SAFETY: nobody cuts the file.
            let log = Bump::open(unsafe { FileOptions::new().shared().open(format!("{place}/log")) }.unwrap()).unwrap();
            // SAFETY: as above.
            let file = unsafe { FileOptions::new().shared().open(format!("{place}/arena")) }.unwrap();
            let arena = Arena::<u64, _>::open(file).unwrap();
            append(&log, &arena, 2);
        }
        "lock" => {
            let map = map_of(place);
            let word = map.range().cast::<u64>();
            // SAFETY: the lock's word, which says now that this process has it, and the busy one.
            unsafe {
                let lock = &*word.as_ptr().add(6).cast::<std::sync::atomic::AtomicU64>();
                lock.store(u64::from(std::process::id()), std::sync::atomic::Ordering::SeqCst);
                let busy = &*word.as_ptr().add(7).cast::<std::sync::atomic::AtomicU64>();
                busy.store(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        other => panic!("no such role: {other}"),
    }
}

fn pool_between_processes() {
    let map = SharedMap::create("two", BYTES).unwrap();
    let fd = inheritable(&map);
    let pool = Pool::<[u64; 3], _>::create(map).unwrap();
    let mut child = start("pool", &fd.as_raw_fd().to_string());
    let mine = work_on_pool(&pool, 1);
    ended_well(child.wait().unwrap());
    let theirs = pool.handles().filter(|handle| pool.get(*handle).unwrap()[0] == 2).count();
    assert_eq!(pool.len(), mine.len() + theirs);
    assert_eq!(pool.get(Handle::from_bits(pool.root())).unwrap()[0], 2, "a value of the other process, by its handle");
    for handle in pool.handles().collect::<Vec<_>>() {
        let [who, number, check] = pool.remove(handle).unwrap();
        assert_eq!(who ^ number, check);
    }
    assert!(pool.is_empty());
    let all = (0..pool.capacity()).take_while(|_| pool.insert([0; 3]).is_ok()).count();
    assert_eq!(all as u32, pool.capacity(), "no slot was lost");
}

fn list_between_processes() {
    let map = SharedMap::create("two", BYTES).unwrap();
    let fd = inheritable(&map);
    let list = FreeList::create(map).unwrap();
    let mut child = start("list", &fd.as_raw_fd().to_string());
    let mine = work_on_list(&list, 1);
    ended_well(child.wait().unwrap());
    list.check().unwrap();
    assert!(list.census().unwrap().0 > mine);
    list.handles().into_iter().for_each(|block| list.free(block).unwrap());
    assert_eq!(list.census().unwrap(), (0, 0));
    list.check().unwrap();
}

fn append<M: Memory>(log: &Bump<M>, arena: &Arena<u64, M>, who: u64) {
    for round in 0..ROUNDS / 4 {
        log.put(format!("{who} {round}").as_bytes()).unwrap();
        arena.push(who << 32 | round).unwrap();
    }
}

fn log_and_arena_between_processes() {
    let folder = Folder::new("two");
    for name in ["log", "arena"] {
        // SAFETY: the file is this test's alone.
        drop(unsafe { FileOptions::new().create(folder.file(name), BYTES) }.unwrap());
    }
    // SAFETY: as above.
    let open = |name: &str| unsafe { FileOptions::new().shared().open(folder.file(name)) }.unwrap();
    let (log, arena) = (Bump::create(open("log")).unwrap(), Arena::create(open("arena")).unwrap());
    let mut child = start("log", folder.path().to_str().unwrap());
    append(&log, &arena, 1);
    ended_well(child.wait().unwrap());
    for who in [1, 2] {
        let records = log.records().map(|record| String::from_utf8(log.get_vec(record).unwrap()).unwrap());
        let theirs: Vec<_> = records.filter(|text| text.starts_with(&who.to_string())).collect();
        assert_eq!(theirs, (0..ROUNDS / 4).map(|round| format!("{who} {round}")).collect::<Vec<_>>(), "all, in order");
        let values = arena.handles().map(|handle| arena.get(handle).unwrap()).filter(|value| value >> 32 == who);
        assert!(values.eq((0..ROUNDS / 4).map(|round| who << 32 | round)));
    }
}

fn map_across_fork() {
    let pool = Pool::<u64, _>::create(SharedMap::anonymous(1 << 16).unwrap()).unwrap();
    let before = pool.insert(1).unwrap();
    // SAFETY: this process has one thread; the child does a few loads and stores and leaves.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let done =
            pool.set(before, 2).is_ok() && pool.insert(3).is_ok_and(|handle| pool.set_root(handle.to_bits()).is_ok());
        // SAFETY: the child leaves without running what is the parent's.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    let mut status = 0;
    // SAFETY: the child just made; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!((status, pool.get(before)), (0, Ok(2)));
    assert_eq!(pool.get(Handle::from_bits(pool.root())), Ok(3));
}

/// The byte behind a guarded chunk, and the one before it: SIGSEGV, in a child.
fn a_guard_page_ends_an_overrun() {
    let source = AnonymousMap::new().guard_pages();
    let range = source.acquire(Layout::new::<[u8; 5000]>()).unwrap();
    for offset in [range.len() as isize, -1] {
        // SAFETY: this process has one thread; the child does one store and leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: outside of the chunk on purpose; the guard page is ours.
            unsafe {
                range.cast::<u8>().as_ptr().offset(offset).write_volatile(1);
                libc::_exit(0);
            }
        }
        let mut status = 0;
        // SAFETY: the child just made; the status is a local.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{offset}: {status:#x}");
    }
    let last = range.len() as isize - 1;
    // SAFETY: the chunk's own last byte; then it is given back.
    unsafe {
        range.cast::<u8>().as_ptr().offset(last).write_volatile(1);
        source.release(range.cast(), Layout::from_size_align(range.len(), 1).unwrap());
    }
}

/// A process whose first thread has ended looks dead in `/proc`, but its other threads may hold the lock.
fn an_owner_without_its_first_thread_is_alive() {
    let list = FreeList::create(SharedMap::create("leader", 1 << 16).unwrap()).unwrap();
    let lock = list.memory().range().cast::<u64>().as_ptr().wrapping_add(6).cast::<std::sync::atomic::AtomicU64>();
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // The time runs from when the lock is said to be the child's.
        // SAFETY: the lock's word, in memory that both processes have.
        let word = unsafe { &*lock };
        let thread = std::thread::spawn(|| {
            for _ in 0..60_000 {
                if word.load(std::sync::atomic::Ordering::SeqCst) != 0 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(700));
            // SAFETY: the child leaves without running what is the parent's.
            unsafe { libc::_exit(0) }
        });
        std::mem::forget(thread);
        // SAFETY: ends this thread alone; the other one goes on.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let stat = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    let field =
        |number: usize| stat().rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(number - 3).unwrap().to_owned();
    while field(3) != "Z" {
        std::thread::sleep(Duration::from_millis(1));
    }
    let owner = field(22).parse::<u64>().unwrap() << 32 | child as u64;
    let start = std::time::Instant::now();
    // SAFETY: the lock's word, which says now that the child has it.
    unsafe { &*lock }.store(owner, std::sync::atomic::Ordering::SeqCst);
    assert!(list.allocate(100).is_ok(), "the lock was taken over when the child was gone");
    assert!(start.elapsed() > Duration::from_millis(300), "the lock was taken from a living process");
    let mut status = 0;
    // SAFETY: the child just made; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// A process that ends while it has the lock in the middle of a change: the next one takes over and repairs.
fn a_dead_owner_is_noticed() {
    let map = SharedMap::create("dead", 1 << 16).unwrap();
    let fd = inheritable(&map);
    let list = FreeList::create(map).unwrap();
    let block = list.allocate(100).unwrap();
    ended_well(start("lock", &fd.as_raw_fd().to_string()).wait().unwrap());
    assert!(list.allocate(100).is_ok(), "the lock was taken over");
    list.check().unwrap();
    list.free(block).unwrap();
}
