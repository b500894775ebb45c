//! What the command itself costs.

use super::brkmap;
use super::targets::Target;
use std::mem::MaybeUninit;
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

/// Programs that want each processor, beyond one.
fn load_per_processor() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = text.split(' ').next().unwrap().parse().unwrap();
    let processors = std::thread::available_parallelism().unwrap().get() as f64;
    (load / processors - 1.0).max(0.0)
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
    // Beside others, caches and page tables are cold: with ten programs for each processor a look was seen to take 2.5 times
    // the processor time.
    let mut limit = Duration::ZERO;
    let mut costs: Vec<Cost> = Vec::new();
    while costs.iter().all(|cost| cost.cpu > limit) {
        assert!(costs.len() < 10, "{costs:?}, limit {limit:?}");
        costs.push(look());
        // Others that came meanwhile show in this number later.
        limit = limit.max(Duration::from_secs(1).mul_f64(1.0 + load_per_processor() / 4.0));
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("a heap of {} MiB: {costs:?}", rss >> 20);
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
