//! Mappings: ranges that come and go on their own.

use super::Family;
use super::calls::errno_name;
use super::launch::Bench;
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw::{self, How, Map, Out, Refusal};
use brkmap_toolbox::calls::{Protection, Visibility};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const FAMILY: Family = Family {
    name: "map",
    experiments: &[
        ("map-rounding", rounding),
        ("map-merge", merge),
        ("map-unmap", unmap),
        ("map-hint", hint),
        ("map-failed", failed),
        ("map-guard", guard),
        ("map-reserve", reserve),
        ("map-forget", forget),
    ],
    subjects: &[
        ("map-rounding", rounding_subject),
        ("map-merge", merge_subject),
        ("map-unmap", unmap_subject),
        ("map-hint", hint_subject),
        ("map-failed", failed_subject),
        ("map-failed-limit", failed_limit_subject),
        ("map-guard", guard_subject),
        ("map-reserve", reserve_subject),
        ("map-forget", forget_subject),
    ],
};

pub(super) fn rounding(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mmap(NULL, 5000, …), between two reserved ranges so that nothing merges with it");
    let ran = bench.subject("map-rounding").traced()?;
    for call in ran.phase("map").into_iter().flatten().filter(|call| call.arguments[1] == 5000) {
        notes.saw(format!("call    {call}"));
    }
    notes.saw(format!("maps    {}", ran.text("line")?));
    notes.saw(format!("byte 5000 reads as {}, byte 8191 as {}", ran.get("byte-5000")?, ran.get("byte-8191")?));
    notes.equals("bytes in /proc/self/maps", ran.get("bytes")?, 8192);
    notes.equals("bytes behind the 5000th that are not zero", ran.get("byte-5000")? + ran.get("byte-8191")?, 0);
    Ok(Verdict::AsTold)
}

fn rounding_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let wide = Map::new(64 << 10, How::Reserve)?;
    let (low, rest) = wide.split(16 << 10);
    let (middle, _high) = rest.split(16 << 10);
    let address = middle.start();
    middle.unmap()?;
    let _low = low;
    raw::mark("map");
    let map = Map::at(address, 5000).map_err(|errno| Refusal(format!("mmap: {}", errno_name(errno))))?;
    raw::mark("mapped");
    let line = raw::line_of(map.start()).ok_or(Refusal("the mapping is not in /proc/self/maps".into()))?;
    out.put("bytes", line.end - line.start);
    out.line("line", map.start());
    let whole = map.rounded(8192);
    out.put("byte-5000", u64::from(whole.get(5000)));
    out.put("byte-8191", u64::from(whole.get(8191)));
    Ok(())
}

fn merge(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped three ranges of 64 KiB side by side, looked, took the middle one away, looked");
    let ran = bench.subject("map-merge").run()?;
    let (lines, after) = (ran.get("lines")?, ran.get("after")?);
    notes.saw(format!("three calls  {}", ran.text("one")?));
    notes.saw(format!("then         {}", ran.text("low")?));
    notes.saw(format!("             {}", ran.text("high")?));
    notes.equals("lines for three neighbours of one kind", lines, 1);
    notes.equals("lines without the middle one", after, 2);
    notes.equals("another right beside it is a line of its own", ran.get("readonly")?, 2);
    notes.holds("the outer two are still there, contents whole", ran.get("whole")? == 1);
    Ok(Verdict::AsTold)
}

fn merge_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const PART: usize = 64 << 10;
    let wide = Map::new(5 * PART, How::Reserve)?;
    let start = wide.start();
    let (low, rest) = wide.split(PART);
    let (free, _high) = rest.split(3 * PART);
    let _low = low;
    free.unmap()?;
    let place = |index: u64| {
        Map::at(start + (1 + index) * PART as u64, PART)
            .map_err(|errno| Refusal(format!("mmap: {}", errno_name(errno))))
    };
    let (mut first, middle, mut last) = (place(0)?, place(1)?, place(2)?);
    first.set(0, 1);
    last.set(PART - 1, 3);
    let lines = |from: u64, to: u64| {
        let (mut at, mut lines) = (from, 0);
        while let Some(line) = raw::line_of(at).filter(|line| line.start < to) {
            lines += 1;
            at = line.end;
        }
        lines
    };
    out.put("lines", lines(first.start(), last.end()));
    out.line("one", first.start());
    let end = last.end();
    middle.unmap()?;
    out.put("after", lines(first.start(), first.end()) + lines(last.start(), last.end()));
    out.line("low", first.start());
    out.line("high", last.start());
    last.protect(PART / 2, 4096, Protection::Read)?;
    // The half that may be written, the OS page that may not, the rest: three lines, two of them new.
    out.put("readonly", lines(last.start(), end) - 1);
    out.put("whole", u64::from(first.get(0) == 1 && last.get(PART - 1) == 3));
    Ok(())
}

/// Where a fault happened that a subject expects.
static FAULT: AtomicU64 = AtomicU64::new(0);
/// The line that the handler writes: it may not format through locks.
static REPORT: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: [kernel-siginfo] the kernel passes a valid record to a handler with SA_SIGINFO.
    let (address, code) = unsafe { ((*info).si_addr() as u64, (*info).si_code) };
    FAULT.store(address, Ordering::Relaxed);
    let out = REPORT.load(Ordering::Relaxed) as *mut Out;
    // SAFETY: [handler-owns-out] the fault is the subject's last act; nobody else uses its report.
    if let Some(out) = unsafe { out.as_mut() } {
        out.put("fault", address);
        out.put("signal", signal as u64);
        out.put("code", code as u64);
        out.flush();
    }
    // SAFETY: [no-memory] ends the process without running anything.
    unsafe { libc::_exit(0) };
}

/// The next SIGSEGV writes the report and ends the process.
fn expect_fault(out: &mut Out) {
    REPORT.store(std::ptr::from_mut(out).expose_provenance() as u64, Ordering::Relaxed);
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: [plain-data] zero is a value of every field; the handler has the type that SA_SIGINFO wants.
    unsafe {
        (*action.as_mut_ptr()).sa_sigaction = on_fault as *const () as libc::sighandler_t;
        (*action.as_mut_ptr()).sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSEGV, action.as_ptr(), std::ptr::null_mut());
    }
}

fn unmap(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped and wrote 16 MiB, munmap, read VmRSS, then read an address of it");
    let ran = bench.subject("map-unmap").run()?;
    let (grown, left) = (ran.get("grown")? / 1024, ran.get("left")? / 1024);
    notes.saw(format!("VmRSS: +{grown} KiB when written, +{left} KiB right after munmap"));
    notes.saw(format!("reading {:#x} afterwards: signal {} at that address", ran.get("address")?, ran.get("signal")?));
    notes.within("KiB gained", grown, 16000..=17600);
    notes.within("KiB left", left, 0..=1024);
    notes.holds("the address is no longer there", ran.get("fault")? == ran.get("address")?);
    notes.equals("signal (SIGSEGV)", ran.get("signal")?, libc::SIGSEGV as u64);
    Ok(Verdict::AsTold)
}

fn unmap_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let before = raw::status("VmRSS");
    let mut map = Map::new(16 << 20, How::Private)?;
    map.touch();
    let address = map.start() + 4096;
    out.put("grown", raw::status("VmRSS").saturating_sub(before));
    map.unmap()?;
    out.put("left", raw::status("VmRSS").saturating_sub(before));
    out.put("address", address);
    expect_fault(out);
    raw::read_at(address);
    Err(Refusal("the address could still be read".into()))
}

fn hint(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("asked for a free address, then for the same one again, then for one that is no multiple of an OS page");
    let ran = bench.subject("map-hint").run()?;
    let (wish, first, second, odd) = (ran.get("wish")?, ran.get("first")?, ran.get("second")?, ran.get("odd")?);
    notes.saw(format!("wish {wish:#x}, free:  got {first:#x}"));
    notes.saw(format!("wish {wish:#x}, taken: got {second:#x}"));
    notes.saw(format!("wish {:#x}, odd:   got {odd:#x}", ran.get("odd-wish")?));
    notes.holds("a free hint is taken", first == wish);
    notes.holds("a hint in use is refused without an error", second != wish && second != 0);
    notes.equals("the odd one, modulo the OS page", odd % 4096, 0);
    Ok(Verdict::AsTold)
}

fn hint_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let wide = Map::new(1 << 20, How::Reserve)?;
    let wish = wide.start() + (256 << 10);
    wide.unmap()?;
    let failed = |errno| Refusal(format!("mmap: {}", errno_name(errno)));
    let first = Map::near(wish, 64 << 10).map_err(failed)?;
    let second = Map::near(wish, 64 << 10).map_err(failed)?;
    let odd_wish = wish + (128 << 10) + 123;
    let odd = Map::near(odd_wish, 4096).map_err(failed)?;
    for (name, value) in [
        ("wish", wish),
        ("first", first.start()),
        ("second", second.start()),
        ("odd-wish", odd_wish),
        ("odd", odd.start()),
    ] {
        out.put(name, value);
    }
    Ok(())
}

fn failed(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("asked for what cannot be, and read errno");
    let ran = bench.subject("map-failed").run()?;
    let limited = bench.subject("map-failed-limit").limit(libc::RLIMIT_AS, 512 << 20).run()?;
    for (what, key, expected) in [
        ("length 0", "length-0", libc::EINVAL),
        ("a descriptor that is not open", "bad-fd", libc::EBADF),
        ("an offset that is no multiple of an OS page", "offset", libc::EINVAL),
        ("MAP_FIXED_NOREPLACE over a mapping", "taken", libc::EEXIST),
        ("writing a file opened for reading, shared", "read-only", libc::EACCES),
    ] {
        let errno = errno_name(ran.get(key)? as i32);
        notes.saw(format!("{what}: MAP_FAILED, {errno}"));
        notes.equals(key, errno, errno_name(expected));
    }
    let errno = errno_name(limited.get("errno")? as i32);
    notes.saw(format!("1 GiB under RLIMIT_AS of 512 MiB: MAP_FAILED, {errno}"));
    notes.equals("limit", errno, "ENOMEM".into());
    Ok(Verdict::AsTold)
}

fn failed_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    use std::os::fd::AsRawFd;
    let errno = |result: Result<Map, i32>| result.err().unwrap_or(0) as u64;
    let there = Map::new(8192, How::Private)?;
    let file = std::fs::File::open("/proc/self/exe").map_err(|error| Refusal(error.to_string()))?;
    let fd = file.as_raw_fd();
    out.put("length-0", errno(Map::near(0, 0)));
    out.put("bad-fd", errno(Map::of(-1, 4096, 0, Visibility::Private, false)));
    out.put("offset", errno(Map::of(fd, 4096, 100, Visibility::Private, false)));
    out.put("taken", errno(Map::at(there.start(), 4096)));
    out.put("read-only", errno(Map::of(fd, 4096, 0, Visibility::Shared, true)));
    Ok(())
}

fn failed_limit_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    out.put("errno", Map::near(0, 1 << 30).err().unwrap_or(0) as u64);
    Ok(())
}

fn guard(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped three OS pages, took all rights from the last, wrote up to its edge, then one byte further");
    let ran = bench.subject("map-guard").run()?;
    let (guard, fault) = (ran.get("guard")?, ran.get("fault")?);
    notes.saw(format!("maps    {}", ran.text("line")?));
    notes.saw(format!("guard   {}", ran.text("line-guard")?));
    notes.saw(format!("the write at {fault:#x} raised signal {}, code {}", ran.get("signal")?, ran.get("code")?));
    notes.equals("distance of the fault from the guard page's start", fault.wrapping_sub(guard), 0);
    notes.equals("signal (SIGSEGV)", ran.get("signal")?, libc::SIGSEGV as u64);
    notes.equals("code (2: the address is mapped, the access not allowed)", ran.get("code")?, 2);
    Ok(Verdict::AsTold)
}

fn guard_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let page = raw::os_page();
    let mut map = Map::new(3 * page, How::Private)?;
    map.protect(2 * page, page, Protection::None)?;
    let guard = map.start() + 2 * page as u64;
    out.put("guard", guard);
    out.line("line", map.start());
    out.line("line-guard", guard);
    for offset in 0..2 * page {
        map.set(offset, 1);
    }
    expect_fault(out);
    map.set(2 * page, 1);
    Err(Refusal("the guard page could be written".into()))
}

fn reserve(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "reserved 1 TiB of addresses (PROT_NONE, MAP_NORESERVE), looked, made 1 MiB of it writable and wrote there",
    );
    let ran = bench.subject("map-reserve").run()?;
    let ram = ran.get("ram")?;
    notes.saw(format!("this machine has {} GiB of memory", ram >> 30));
    notes.saw(format!(
        "VmSize grew by {} GiB, VmRSS by {} KiB, page faults {}",
        ran.get("size")? >> 30,
        ran.get("rss")? / 1024,
        ran.get("faults")?
    ));
    notes.saw(format!("after writing 1 MiB in the middle: VmRSS +{} KiB", ran.get("written")? / 1024));
    notes.equals("GiB that VmSize grew by", ran.get("size")? >> 30, 1024);
    notes.within("KiB that VmRSS grew by", ran.get("rss")? / 1024, 0..=1024);
    notes.within("page faults of the reservation", ran.get("faults")?, 0..=4);
    notes.within("KiB after 1 MiB was written", ran.get("written")? / 1024, 1024..=2200);
    if ram >= 1 << 40 {
        return Err(Trouble::NotHere("this machine has more memory than was reserved".into()));
    }
    Ok(Verdict::AsTold)
}

fn reserve_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let (size, rss) = (raw::status("VmSize"), raw::status("VmRSS"));
    let faults = raw::faults();
    let mut map = Map::new(1 << 40, How::Reserve)?;
    let faults = raw::faults() - faults;
    out.put("size", raw::status("VmSize") - size);
    out.put("rss", raw::status("VmRSS").saturating_sub(rss));
    out.put("faults", faults);
    map.protect(512 << 30, 1 << 20, Protection::ReadWrite)?;
    for page in 0..256 {
        map.set((512 << 30) + page * 4096, 1);
    }
    out.put("written", raw::status("VmRSS").saturating_sub(rss));
    out.put("ram", raw::ram());
    Ok(())
}

fn forget(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped and wrote 64 KiB, 256 times, and never called munmap");
    let ran = bench.subject("map-forget").run()?;
    let (rss, size, lines) = (ran.get("rss")? / 1024, ran.get("size")? / 1024, ran.get("lines")?);
    notes.saw(format!(
        "VmSize +{size} KiB, VmRSS +{rss} KiB, in {lines} more lines of /proc/self/maps (neighbours merge)"
    ));
    notes.saw(format!(
        "malloc's own figures moved by {} bytes: it does not know of mappings made past it",
        ran.get("malloc")?
    ));
    notes.within("KiB of VmRSS that nobody can give back any more", rss, 16300..=17600);
    notes.within("KiB of VmSize", size, 16300..=17600);
    notes.equals("bytes that mallinfo2 counts of it", ran.get("malloc")?, 0);
    Ok(Verdict::AsTold)
}

fn forget_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let (rss, size, lines) = (raw::status("VmRSS"), raw::status("VmSize"), raw::mappings());
    let (used, free, mapped) = raw::mallinfo();
    for _ in 0..256 {
        Map::new(64 << 10, How::Private)?.touch();
    }
    let after = raw::mallinfo();
    out.put("rss", raw::status("VmRSS").saturating_sub(rss));
    out.put("size", raw::status("VmSize") - size);
    out.put("lines", raw::mappings() - lines);
    out.put("malloc", used.abs_diff(after.0) + free.abs_diff(after.1) + mapped.abs_diff(after.2));
    Ok(())
}
