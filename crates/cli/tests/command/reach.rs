//! What the command itself costs.

use super::brkmap;
use super::targets::Target;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished command took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: Duration,
    /// Time of a processor: on a busy machine the clock on the wall says more of others.
    cpu: Duration,
}

// wait4 below waits for it, and tells what it took.
#[allow(clippy::zombie_processes)]
fn cost(command: &mut Command) -> Cost {
    let begin = Instant::now();
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: [valid-out-pointer] both live on this frame; nobody else waits for this child.
    let pid = unsafe { libc::wait4(child.id() as i32, &mut status, 0, usage.as_mut_ptr()) };
    let wall = begin.elapsed();
    assert!(pid == child.id() as i32 && status == 0, "status {status:#x}");
    // SAFETY: [plain-data] zeroed above and filled by the kernel.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Cost { wall, cpu: time(usage.ru_utime) + time(usage.ru_stime) }
}

/// Time of a processor for reading all private writable memory of a process, and nothing else.
fn read_alone(pid: &str) -> Duration {
    let now = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: [valid-out-pointer] the time lives on this frame.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut piece = vec![0; 1 << 20];
    let begin = now();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (number(start), number(end));
        while at < end {
            let most = piece.len().min((end - at) as usize);
            let Ok(1..) = memory.read_at(&mut piece[..most], at) else { break };
            at += most as u64;
        }
    }
    now() - begin
}

#[test]
fn a_heap_of_600_mb_is_read_within_a_second_and_64_mib() {
    let target = Target::sick("big");
    let document = target.inspect(&["--over", "0"]);
    let rss = document["rss_bytes"].as_u64().unwrap();
    assert!(rss > 600_000_000, "{rss}");
    let pid = target.pid();
    // Address space, of which memory is a part: what is asked for beyond is refused.
    let look = || {
        let mut command = Command::new("prlimit");
        command.args(["--as=67108864", env!("CARGO_BIN_EXE_brkmap"), "inspect", &pid, "--over", "0"]);
        cost(&mut command)
    };
    // Where other programs, or other guests of the same host, have the caches and the way to memory, a look takes more time of a
    // processor, and so does reading alone, of which a look is some 4 times the cost.
    let mut seen: Vec<(Cost, Duration)> = Vec::new();
    while seen.iter().all(|(cost, reading)| cost.cpu > (6 * *reading).max(Duration::from_secs(1))) {
        assert!(seen.len() < 10, "looks, and what reading alone took: {seen:?}");
        let reading = read_alone(&pid);
        seen.push((look(), reading));
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("a heap of {} MiB: looks, and what reading alone took: {seen:?}", rss >> 20);
}

#[test]
fn the_command_starts_within_20_ms() {
    let start = || cost(&mut brkmap(&["--version"]));
    let mut costs: Vec<Cost> = (0..20).map(|_| start()).collect();
    let least = |costs: &[Cost]| costs.iter().map(|cost| cost.wall).min().unwrap();
    // Where others have the processors, one start may still find a free one.
    let end = Instant::now() + Duration::from_secs(30);
    while least(&costs) > Duration::from_millis(20) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        costs.push(start());
    }
    println!("start of the command: {:?}", least(&costs));
    assert!(least(&costs) <= Duration::from_millis(20), "{costs:?}");
}
