//! The Linux kernel behind the contract: each primitive is used for real and its effect looked at.

use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use brkmap_sys::linux::{Linux, at_fork, thread_word};
use brkmap_sys::{FileRead, Kernel, Move, Purged, Purpose, Range, SystemCall, ThreadMark};

unsafe extern "C" {
    safe fn __errno_location() -> *mut i32;
    fn sbrk(delta: isize) -> *mut u8;
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
    fn signal(number: i32, handler: usize) -> usize;
    fn pipe(ends: *mut i32) -> i32;
    fn prctl(what: i32, kind: usize, start: usize, len: usize, name: *const std::ffi::c_char) -> i32;
    fn dup2(from: i32, to: i32) -> i32;
    fn sigprocmask(how: i32, set: *const u64, old: *mut u64) -> i32;
}

fn map(len: usize) -> NonNull<u8> {
    Linux.map(0, len, Purpose::Region).expect("the kernel maps a few pages")
}

/// Held by whoever forks: a child of another test shares the pages of all of them.
static FORKS: Mutex<()> = Mutex::new(());

fn is_zero(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the tests pass ranges that they have mapped
    unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }.iter().all(|&byte| byte == 0)
}

/// The line of this process's maps that holds the address.
fn maps_line(address: usize) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    text.lines()
        .find(|line| {
            let range = line.split(' ').next().unwrap();
            let (from, to) = range.split_once('-').unwrap();
            (usize::from_str_radix(from, 16).unwrap()..usize::from_str_radix(to, 16).unwrap()).contains(&address)
        })
        .map(str::to_owned)
}

#[test]
fn the_page_size_is_the_kernels() {
    let told = Command::new("getconf").arg("PAGESIZE").output().unwrap();
    let told: usize = String::from_utf8(told.stdout).unwrap().trim().parse().unwrap();
    assert_eq!(Linux.page_size(), told);
    assert_eq!(Linux.page_size(), told, "the same when asked again");
}

/// What a file says, and what became of the reading.
fn read_file(path: &str) -> (Vec<u8>, FileRead) {
    let path = std::ffi::CString::new(path).unwrap();
    let mut text = Vec::new();
    let result = Linux.read_file(&path, &mut |piece| {
        text.extend_from_slice(piece);
        true
    });
    (text, result)
}

#[test]
fn files_are_read_whole_and_closed() {
    let folder = std::env::temp_dir().join(format!("brkmap-read-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for len in [0, 1, 511, 512, 513, 5000, 65_000] {
        let text: Vec<u8> = (0..len).map(|n| n as u8).collect();
        std::fs::write(at("file"), &text).unwrap();
        assert_eq!(read_file(&at("file")), (text, FileRead::Done));
    }
    let mut pieces = 0;
    let path = std::ffi::CString::new("/dev/zero").unwrap();
    let enough = Linux.read_file(&path, &mut |_| {
        pieces += 1;
        pieces < 3
    });
    assert_eq!((enough, pieces), (FileRead::Done, 3));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    // SAFETY: this thread's errno.
    unsafe { __errno_location().write(4711) };
    for _ in 0..3 {
        assert_eq!(read_file(&at("none")).1, FileRead::Missing);
        assert_eq!(read_file(&at("file/below")).1, FileRead::Missing);
        assert_eq!(read_file(folder.to_str().unwrap()).1, FileRead::Refused, "a folder");
        assert_eq!(read_file("/dev/zero").1, FileRead::Refused, "it does not end");
        assert_eq!(read_file("/proc/self/cgroup").1, FileRead::Done);
    }
    // SAFETY: as above.
    assert_eq!(unsafe { __errno_location().read() }, 4711);
    // Other tests of this process open and close files meanwhile: a leak of twelve shows all the same, and stays.
    let limit = Instant::now() + Duration::from_secs(10);
    while descriptors() >= before + 12 {
        assert!(Instant::now() < limit, "{} descriptors, {before} before", descriptors());
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_forked_child_shares_is_told_until_it_ends_or_this_process_writes() {
    let size = Linux.page_size();
    let pages = map(2 * size);
    // SAFETY: the two pages of this test
    let [first, second] = [0, size].map(|offset| unsafe { pages.add(offset) });
    let shared = || [first, second].map(|page| Linux.is_shared(page));
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(shared(), [false; 2], "not in memory");
    // SAFETY: as above
    unsafe {
        first.write_volatile(1);
        second.write_volatile(1);
    }
    assert_eq!(shared(), [false; 2]);
    let mut ends = [0; 2];
    // SAFETY: the child waits until the pipe has no other end, and ends
    let child = unsafe {
        assert_eq!(pipe(ends.as_mut_ptr()), 0);
        match fork() {
            0 => {
                drop(std::fs::File::from_raw_fd(ends[1]));
                let _ = std::fs::File::from_raw_fd(ends[0]).read(&mut [0]);
                _exit(0)
            }
            child => child,
        }
    };
    assert!(child > 0);
    assert_eq!(shared(), [true; 2]);
    // SAFETY: the second page of this test
    unsafe { second.write_volatile(2) };
    assert_eq!(shared(), [true, false]);
    let mut status = 0;
    // SAFETY: both ends are this process's own
    unsafe {
        drop(std::fs::File::from_raw_fd(ends[1]));
        drop(std::fs::File::from_raw_fd(ends[0]));
        assert_eq!(waitpid(child, &raw mut status, 0), child);
    }
    assert_eq!((shared(), status), ([false; 2], 0));
    // SAFETY: mapped above
    assert!(unsafe { Linux.unmap(pages, 2 * size) });
}

#[test]
fn what_is_in_memory_is_told_by_os_page() {
    let page = Linux.page_size();
    let start = map(6 * page);
    // A huge page would be in memory as a whole.
    Linux.advise_huge(start, 6 * page, false);
    let told = || {
        let mut pages = [0xee; 6];
        assert!(Linux.resident(start.as_ptr() as usize, &mut pages));
        pages.map(|page| page & 1 != 0)
    };
    assert_eq!(told(), [false; 6]);
    // SAFETY: our mapping; purged parts are not needed
    unsafe {
        start.add(page).write_bytes(1, 2 * page);
        start.add(5 * page).write(1);
        assert_eq!(told(), [false, true, true, false, false, true]);
        assert!(Linux.purge(start.add(page), page));
        assert_eq!(told(), [false, false, true, false, false, true]);
    }
    // In a process whose other threads might map something at that place, it would be in memory again.
    let gone = in_child(|| {
        // SAFETY: our mapping, this process's copy of it
        unsafe { Linux.unmap(start, 6 * page) && !Linux.resident(start.as_ptr() as usize, &mut [0; 6]) }
    });
    assert!(gone, "not mapped any more");
    // SAFETY: our mapping
    assert!(unsafe { Linux.unmap(start, 6 * page) });
}

#[test]
fn calls_are_counted_and_refusals_with_them() {
    let count = |call| Linux.calls(call);
    let before = count(SystemCall::Munmap);
    let start = map(Linux.page_size());
    // SAFETY: our mapping; the second range is no page's start, which the kernel refuses
    unsafe {
        assert!(!Linux.unmap(start.add(1), Linux.page_size()));
        assert!(Linux.unmap(start, Linux.page_size()));
    }
    // Other tests run beside this one.
    let after = count(SystemCall::Munmap);
    assert!(after.made >= before.made + 2 && after.refused > before.refused, "{before:?} {after:?}");
    assert!(count(SystemCall::Mmap).made > 0);
    for (index, call) in SystemCall::ALL.into_iter().enumerate() {
        assert_eq!(call as usize, index);
    }
}

#[test]
fn a_mapping_is_zero_writable_and_gone_after_unmap() {
    let len = 8 * Linux.page_size();
    let start = map(len);
    assert_eq!(start.as_ptr() as usize % Linux.page_size(), 0);
    assert!(is_zero(start, len));
    // SAFETY: our mapping, not used after the unmap
    unsafe {
        start.as_ptr().write_bytes(7, len);
        assert!(maps_line(start.as_ptr() as usize).unwrap().contains("rw-p"));
        assert!(Linux.unmap(start, len));
    }
}

#[test]
fn a_free_hint_is_honoured_and_a_taken_one_harmless() {
    let len = 4 * Linux.page_size();
    let hole = 16 << 20;
    let start = map(hole);
    // SAFETY: our mapping
    assert!(unsafe { Linux.unmap(start, hole) });
    let hint = start.as_ptr() as usize + (8 << 20);
    let first = Linux.map(hint, len, Purpose::Region).unwrap();
    let second = Linux.map(hint, len, Purpose::Region).unwrap();
    assert_ne!(first, second, "the second found the place taken");
    // SAFETY: our mappings
    unsafe {
        assert!(Linux.unmap(first, len));
        assert!(Linux.unmap(second, len));
    }
}

#[test]
fn a_hint_beyond_47_bits_gives_no_such_address() {
    let len = Linux.page_size();
    if let Some(start) = Linux.map(1 << 50, len, Purpose::Direct) {
        assert!((start.as_ptr() as usize) < 1 << 47);
        // SAFETY: our mapping
        assert!(unsafe { Linux.unmap(start, len) });
    }
}

#[test]
fn an_impossible_map_is_refused_and_leaves_errno_alone() {
    let errno = __errno_location();
    // SAFETY: this thread's errno
    unsafe { errno.write(77) };
    assert_eq!(Linux.map(0, 1 << 60, Purpose::Direct), None);
    let now = Linux.program_break().unwrap();
    // SAFETY: break moved by nothing sensible: refused before any effect
    assert_eq!(unsafe { Linux.move_break(now, isize::MAX) }, None);
    // SAFETY: this thread's errno
    assert_eq!(unsafe { errno.read() }, 77);
}

#[test]
fn remap_keeps_contents_and_zeroes_the_rest() {
    let page = Linux.page_size();
    let start = map(2 * page);
    // SAFETY: our mapping; old addresses are not used after a move
    unsafe {
        start.as_ptr().write_bytes(9, 2 * page);
        let grown = Linux.remap(start, 2 * page, 600 * page, Move::Allowed).unwrap();
        assert_eq!(*grown.as_ptr().add(2 * page - 1), 9);
        assert!(is_zero(grown.add(2 * page), 598 * page));
        let shrunk = Linux.remap(grown, 600 * page, page, Move::Forbidden).unwrap();
        assert_eq!(shrunk, grown);
        assert_eq!(*shrunk.as_ptr(), 9);
        assert!(Linux.unmap(shrunk, page));
    }
}

#[test]
fn remap_in_place_is_refused_where_the_neighbour_is_taken() {
    let page = Linux.page_size();
    let start = map(2 * page);
    // SAFETY: our mapping; the first page alone is the mapping that is asked to grow over the second
    unsafe {
        assert_eq!(Linux.remap(start, page, 2 * page, Move::Forbidden), None);
        assert!(Linux.unmap(start, 2 * page));
    }
}

#[test]
fn a_purged_page_reads_zero_on_this_kernel() {
    let len = 4 * Linux.page_size();
    let start = map(len);
    // SAFETY: our mapping
    unsafe {
        start.as_ptr().write_bytes(3, len);
        assert!(Linux.purge(start, len));
        assert_eq!(is_zero(start, len), Linux.purge_is_honest());
        assert!(!Linux.purge(start.add(1), 1), "an address that is not aligned is refused");
        assert!(Linux.unmap(start, len));
    }
    assert_eq!(Linux.purge_is_honest(), Linux.purge_is_honest());
}

#[test]
fn many_ranges_are_purged_in_order_up_to_the_first_that_is_refused() {
    let page = Linux.page_size();
    let start = map(64 * page);
    let range = |index: usize, bytes| Range { start: start.as_ptr() as usize + index * page, bytes };
    // SAFETY: our mapping
    unsafe {
        start.as_ptr().write_bytes(3, 64 * page);
        let odd: Vec<Range> = (1..64).step_by(2).map(|index| range(index, page)).collect();
        let purged = Linux.purge_ranges(&odd);
        assert_eq!(purged.ranges, odd.len());
        assert!(purged.calls == 1 || purged.calls >= odd.len(), "{purged:?}");
        for index in 0..64 {
            assert_eq!(is_zero(start.add(index * page), page), index % 2 == 1, "page {index}");
        }
        // One that is not mapped: those in front of it are done, those behind it are not. Other threads of this process might
        // map something there.
        assert!(in_child(|| {
            let with_hole = [range(0, page), range(2, page), range(4, page), range(6, page)];
            Linux.unmap(start.add(4 * page), page)
                && Linux.purge_ranges(&with_hole).ranges == 2
                && is_zero(start, page)
                && is_zero(start.add(2 * page), page)
                && !is_zero(start.add(6 * page), page)
        }));
        assert_eq!(Linux.purge_ranges(&[]), Purged::default());
        assert!(Linux.unmap(start, 64 * page));
    }
}

#[test]
fn a_name_shows_in_maps_where_the_kernel_has_names() {
    let len = Linux.page_size();
    let start = map(len);
    // SAFETY: a label on our own mapping
    let has_names = unsafe { prctl(0x5356_4d41, 0, start.as_ptr() as usize, len, c"probe".as_ptr()) } == 0;
    Linux.name(start, len, c"brkmap test");
    let line = maps_line(start.as_ptr() as usize).unwrap();
    assert_eq!(line.contains("[anon:brkmap test]"), has_names, "{line}");
    // SAFETY: our mapping
    assert!(unsafe { Linux.unmap(start, len) });
}

/// Runs `f` in a forked child; true if it returned true. The break and the addresses without a mapping belong to the whole
/// process, where the other tests and the harness's own malloc take of them too.
fn in_child(f: impl FnOnce() -> bool) -> bool {
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the child runs `f`, which makes system calls only, and leaves by _exit
    unsafe {
        match fork() {
            0 => _exit(if f() { 0 } else { 1 }),
            pid => {
                let mut status = -1;
                assert_eq!(waitpid(pid, &raw mut status, 0), pid);
                status == 0
            }
        }
    }
}

#[test]
fn the_break_moves_and_libc_knows_it() {
    // SAFETY: the child is alone, so the break is its own
    let worked = in_child(|| unsafe {
        let before = Linux.program_break().unwrap();
        let old = Linux.move_break(before, 65536).unwrap();
        (old as *mut u8).add(65535).write(1);
        let same = old == before
            && Linux.program_break() == Some(old + 65536)
            && sbrk(0) as usize == old + 65536
            && Linux.move_break(old + 65536, -65536) == Some(old + 65536);
        same && sbrk(0) as usize == old
    });
    assert!(worked);
}

#[test]
fn the_break_is_given_up_when_somebody_moved_it_by_a_raw_call() {
    // SAFETY: the child is alone, so the break is its own
    let worked = in_child(|| unsafe {
        let before = Linux.program_break().unwrap();
        sbrk(0);
        let moved: usize;
        std::arch::asm!("syscall", inlateout("rax") 12usize => moved, in("rdi") before + 8192, out("rcx") _, out("r11") _);
        moved == before + 8192 && Linux.move_break(moved, 4096).is_none() && Linux.program_break() == Some(moved)
    });
    assert!(worked);
}

#[test]
fn a_break_above_the_limit_is_refused_and_stays() {
    // SAFETY: the child is alone, so the break is its own
    let worked = in_child(|| unsafe {
        let before = Linux.program_break().unwrap();
        Linux.move_break(before, 1 << 46).is_none()
            && Linux.program_break() == Some(before)
            && Linux.move_break(before, 4096) == Some(before)
    });
    assert!(worked);
}

#[test]
fn a_sleeper_is_woken_and_a_changed_word_does_not_sleep() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let sleeper = std::thread::spawn(|| {
        while WORD.load(Ordering::Acquire) == 0 {
            Linux.wait(&WORD, 0, 60_000);
        }
    });
    std::thread::sleep(Duration::from_millis(20));
    WORD.store(1, Ordering::Release);
    Linux.wake(&WORD, u32::MAX);
    sleeper.join().unwrap();

    let start = Instant::now();
    Linux.wait(&WORD, 0, 60_000);
    Linux.wait(&WORD, 1, 30);
    let slept = start.elapsed();
    assert!(slept >= Duration::from_millis(29) && slept < Duration::from_secs(30), "{slept:?}");
}

#[test]
fn thread_ids_are_the_kernels_and_a_joined_thread_is_dead() {
    assert_eq!(Linux.thread_id(), Linux.thread_id());
    assert_eq!(Linux.process_id(), std::process::id());
    assert!(Linux.thread_lives(Linux.thread_id()));
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || send.send(Linux.thread_id()).unwrap());
    let id = receive.recv().unwrap();
    assert_ne!(id, Linux.thread_id());
    thread.join().unwrap();
    // pthread_join waits for the kernel to clear the id, a moment before the thread has left.
    let limit = Instant::now() + Duration::from_secs(10);
    while Linux.thread_lives(id) {
        assert!(Instant::now() < limit, "thread {id} still lives after join");
        std::thread::yield_now();
    }
    assert_ne!(thread_word::thread_pointer(), 0);
}

#[test]
fn the_clock_runs_and_random_bits_differ() {
    let before = Linux.now_ms();
    std::thread::sleep(Duration::from_millis(30));
    let passed = Linux.now_ms() - before;
    assert!((15..60_000).contains(&passed), "{passed} ms");
    assert_ne!(Linux.random(), Linux.random());
}

#[test]
fn an_error_line_goes_to_fd_2_in_one_piece() {
    let mut ends = [0i32; 2];
    // SAFETY: a pipe whose writing end becomes the child's fd 2
    unsafe { assert_eq!(pipe(ends.as_mut_ptr()), 0) };
    assert!(in_child(|| {
        // SAFETY: in the child, which has no other use for fd 2
        unsafe { dup2(ends[1], 2) };
        Linux.write_error(b"one line\n");
        true
    }));
    // SAFETY: the reading end is ours
    let mut reader = unsafe { std::fs::File::from_raw_fd(ends[0]) };
    let mut text = [0u8; 64];
    let length = reader.read(&mut text).unwrap();
    assert_eq!(&text[..length], b"one line\n");
}

extern "C" fn say_and_return(_signal: i32) {
    Linux.write_error(b"handler ran\n");
}

#[test]
fn the_process_ends_by_sigabrt_whatever_it_has_set() {
    const SIGABRT: i32 = 6;
    const SIG_IGN: usize = 1;
    // glibc's set has 128 bytes, of which the first word has the 64 signals.
    let blocked = [1u64 << (SIGABRT - 1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    for scene in ["plain", "ignored", "blocked", "handler"] {
        let mut ends = [0i32; 2];
        // SAFETY: the child prepares the scene by system calls only, and dies; the parent reads what it said
        let (status, said) = unsafe {
            assert_eq!(pipe(ends.as_mut_ptr()), 0);
            let pid = fork();
            if pid == 0 {
                dup2(ends[1], 2);
                match scene {
                    "ignored" => _ = signal(SIGABRT, SIG_IGN),
                    "blocked" => _ = sigprocmask(0, blocked.as_ptr(), std::ptr::null_mut()),
                    "handler" => _ = signal(SIGABRT, say_and_return as *const () as usize),
                    _ => {}
                }
                Linux.abort();
            }
            let mut status = 0;
            assert_eq!(waitpid(pid, &raw mut status, 0), pid);
            drop(std::fs::File::from_raw_fd(ends[1]));
            (status, std::io::read_to_string(std::fs::File::from_raw_fd(ends[0])).unwrap())
        };
        assert_eq!(ExitStatus::from_raw(status).signal(), Some(SIGABRT), "{scene}");
        assert_eq!(said, if scene == "handler" { "handler ran\n" } else { "" }, "{scene}");
    }
}

#[test]
fn a_marked_thread_is_known_to_be_gone() {
    static MARK: ThreadMark = ThreadMark::new();
    assert!(!Linux.thread_ended(&MARK), "nobody set it");
    for round in 0..100 {
        let id = std::thread::spawn(|| {
            let id = Linux.mark_thread(&MARK);
            assert!(!Linux.thread_ended(&MARK), "its thread asks");
            assert_eq!(id, Linux.thread_id());
            id
        })
        .join()
        .unwrap();
        assert!(id != 0 && Linux.thread_ended(&MARK), "known at the join, round {round}");
    }
    assert_eq!(Linux.mark_thread(&MARK), Linux.thread_id());
    assert!(!Linux.thread_ended(&MARK), "the next one lives");
    assert!(in_child(|| !Linux.thread_ended(&MARK)), "a copy of the mark says nothing about the other process");
}

#[test]
fn a_marked_thread_that_does_not_return_is_known_to_be_gone() {
    use std::ffi::c_void;
    unsafe extern "C" {
        fn pthread_create(
            thread: *mut usize,
            attributes: *const c_void,
            start: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
            argument: *mut c_void,
        ) -> i32;
        fn pthread_join(thread: usize, value: *mut *mut c_void) -> i32;
    }
    static MARK: ThreadMark = ThreadMark::new();
    unsafe extern "C" fn mark_and_leave(_: *mut c_void) -> *mut c_void {
        Linux.mark_thread(&MARK);
        // SAFETY: the thread ends by the bare system call, as if it were killed: no libc function runs for it
        unsafe { std::arch::asm!("syscall", in("rax") 60, in("rdi") 0, options(noreturn)) }
    }
    let mut thread = 0;
    // SAFETY: the function takes nothing; the kernel tells joiners of the end
    unsafe {
        assert_eq!(pthread_create(&raw mut thread, std::ptr::null(), mark_and_leave, std::ptr::null_mut()), 0);
        assert_eq!(pthread_join(thread, std::ptr::null_mut()), 0);
    }
    assert!(Linux.thread_ended(&MARK));
}

#[test]
fn a_fork_marks_itself_again_and_its_end_is_not_the_parents() {
    static MARK: ThreadMark = ThreadMark::new();
    Linux.mark_thread(&MARK);
    assert!(in_child(|| {
        let id = Linux.mark_thread(&MARK);
        id == Linux.thread_id() && !Linux.thread_ended(&MARK)
    }));
    assert!(!Linux.thread_ended(&MARK));
}

#[test]
fn fork_calls_the_handlers_on_both_sides() {
    static PREPARED: AtomicU32 = AtomicU32::new(0);
    static IN_PARENT: AtomicU32 = AtomicU32::new(0);
    static IN_CHILD: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn prepare() {
        PREPARED.fetch_add(1, Ordering::SeqCst);
    }
    unsafe extern "C" fn parent() {
        IN_PARENT.fetch_add(1, Ordering::SeqCst);
    }
    unsafe extern "C" fn child() {
        IN_CHILD.fetch_add(1, Ordering::SeqCst);
    }
    // SAFETY: the handlers only count
    assert!(unsafe { at_fork::register(prepare, parent, child) });
    let parents_before = IN_PARENT.load(Ordering::SeqCst);
    assert!(in_child(|| PREPARED.load(Ordering::SeqCst) > 0 && IN_CHILD.load(Ordering::SeqCst) == 1));
    assert!(IN_PARENT.load(Ordering::SeqCst) > parents_before);
    assert_eq!(IN_CHILD.load(Ordering::SeqCst), 0);
}

#[test]
fn sixteen_bytes_are_told_apart_by_their_lowest_bit() {
    for seed in 0..1000_u32 {
        let bytes: [AtomicU8; 16] =
            std::array::from_fn(|at| AtomicU8::new((seed.wrapping_mul(2_654_435_761) >> at) as u8 ^ (at as u8) << 3));
        let plain = (0..16).filter(|&at| bytes[at].load(Ordering::Relaxed) % 2 == 1).fold(0, |mask, at| mask | 1 << at);
        assert_eq!(brkmap_sys::odd_bytes(&bytes), plain, "{bytes:?}");
    }
}
