//! Mappings that others see: files, shared memory, copies on write.

use super::Family;
use super::calls::errno_name;
use super::launch::Bench;
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw::{self, How, Map, Out, Refusal};
use brkmap_toolbox::calls::Visibility;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

pub(super) const FAMILY: Family = Family {
    name: "map",
    experiments: &[
        ("map-dev-zero", dev_zero),
        ("map-file-read", file_read),
        ("map-shared-write", shared_write),
        ("map-fork-shared", fork_shared),
        ("map-cow", cow),
    ],
    subjects: &[
        ("map-dev-zero", dev_zero_subject),
        ("map-file-read", file_read_subject),
        ("map-shared-write", shared_write_subject),
        ("map-fork-shared", fork_shared_subject),
        ("map-cow", cow_subject),
    ],
};

fn io(what: &'static str) -> impl Fn(std::io::Error) -> Refusal {
    move |error| Refusal(format!("{what}: {error}"))
}

fn no_map(errno: i32) -> Refusal {
    Refusal(format!("mmap of a file: {}", errno_name(errno)))
}

/// A file without a name in the folder for temporary files.
fn temporary(bytes: usize) -> Result<File, Refusal> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = std::env::temp_dir();
    let mut options = std::fs::OpenOptions::new();
    let mut file = match options.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(&folder) {
        Ok(file) => file,
        Err(_) => {
            // File systems without O_TMPFILE: a name for a moment.
            let path = folder.join(format!("brkmap-lab-{}", std::process::id()));
            let file =
                File::options().read(true).write(true).create_new(true).open(&path).map_err(io("a temporary file"))?;
            std::fs::remove_file(&path).map_err(io("a temporary file"))?;
            file
        }
    };
    let block = [b'a'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(block.len());
        file.write_all(&block[..part]).map_err(io("writing a temporary file"))?;
        left -= part;
    }
    file.rewind().map_err(io("a temporary file"))?;
    Ok(file)
}

fn dev_zero(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped 64 KiB of /dev/zero privately, and 64 KiB with MAP_ANONYMOUS; wrote to both");
    let ran = bench.subject("map-dev-zero").traced()?;
    for call in ran.phase("old").into_iter().chain(ran.phase("new")).flatten() {
        notes.saw(format!("call    {call}"));
    }
    notes.saw(format!("old way  {}", ran.text("line-old")?));
    notes.saw(format!("new way  {}", ran.text("line-new")?));
    notes.equals("bytes that were not zero at first", ran.get("dirty")?, 0);
    notes.holds("the old way shows the device's name", ran.text("line-old")?.ends_with("/dev/zero"));
    notes.equals("KiB of memory of the old way", ran.get("rss-old")? / 1024, 64);
    notes.equals("KiB of memory of the new way", ran.get("rss-new")? / 1024, 64);
    Ok(Verdict::AsTold)
}

fn dev_zero_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    const BYTES: usize = 64 << 10;
    let device = File::options().read(true).write(true).open("/dev/zero").map_err(io("/dev/zero"))?;
    raw::mark("old");
    let mut old = Map::of(device.as_raw_fd(), BYTES, 0, Visibility::Private, true).map_err(no_map)?;
    raw::mark("new");
    let mut new = Map::new(BYTES, How::Private)?;
    raw::mark("made");
    let dirty = old.slice().iter().chain(new.slice()).filter(|&&byte| byte != 0).count();
    old.touch();
    new.touch();
    out.put("dirty", dirty as u64);
    out.line("line-old", old.start());
    out.line("line-new", new.start());
    out.put("rss-old", raw::resident(old.start(), BYTES) as u64 * raw::os_page() as u64);
    out.put("rss-new", raw::resident(new.start(), BYTES) as u64 * raw::os_page() as u64);
    Ok(())
}

const SIZES: [(u64, &str); 3] = [(4 << 10, "4 KiB"), (1 << 20, "1 MiB"), (32 << 20, "32 MiB")];

fn file_read(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("looked for the one z at the end of a file of three sizes: read() into 64 KiB, or mapped; least time of several;");
    notes.did("cold: after posix_fadvise(DONTNEED), which asks the kernel to forget the file");
    notes.saw("size     read, warm  map, warm   read, cold  map, cold");
    let mut winners = Vec::new();
    for (bytes, name) in SIZES {
        let ran = bench.subject("map-file-read").number(bytes).run()?;
        let time = |key: &str| ran.get(key);
        let micro = |ns: u64| format!("{:.0} µs", ns as f64 / 1000.0);
        let (read, map) = (time("read-warm")?, time("map-warm")?);
        notes.saw(format!(
            "{name:<8} {:<11} {:<11} {:<11} {}",
            micro(read),
            micro(map),
            micro(time("read-cold")?),
            micro(time("map-cold")?)
        ));
        notes.equals(format!("{name}: found by read() at"), ran.get("sum-read")?, bytes - 1);
        notes.equals(format!("{name}: found in the mapping at"), ran.get("sum-map")?, bytes - 1);
        winners.push(map < read);
    }
    match winners.as_slice() {
        [true, true, true] => Ok(Verdict::AsTold),
        [false, ..] => Ok(Verdict::Otherwise(
            "a small file is read faster than mapped: a mapping costs two calls and a page fault per stretch, a copy of \
             a few KiB costs less; for large files the two are close"
                .into(),
        )),
        _ => Ok(Verdict::Otherwise("which is faster depends on the size; the two are close".into())),
    }
}

fn file_read_subject(numbers: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let bytes = numbers.first().copied().unwrap_or(4096) as usize;
    let mut file = temporary(bytes)?;
    let mut buffer = vec![0u8; 64 << 10];
    let (mut sum_read, mut sum_map) = (0, 0);
    file.write_all_at(b"z", bytes as u64 - 1).map_err(io("writing a temporary file"))?;
    file.sync_all().map_err(io("fsync"))?;
    let fd = file.as_raw_fd();
    let mut read = || -> Result<(), Refusal> {
        sum_read = 0;
        file.rewind().map_err(io("seek"))?;
        loop {
            match file.read(&mut buffer).map_err(io("read"))? {
                0 => return Ok(()),
                got => sum_read += raw::until(&buffer[..got], b'z'),
            }
        }
    };
    let mut map = || -> Result<(), Refusal> {
        let map = Map::of(fd, bytes, 0, Visibility::Private, false).map_err(no_map)?;
        sum_map = raw::until(map.slice(), b'z');
        map.unmap()
    };
    // SAFETY: [no-memory] takes numbers.
    let forget = || unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
    let rounds = if bytes > 1 << 20 { 1 } else { 5 };
    let (mut cold_read, mut cold_map) = (u64::MAX, u64::MAX);
    for _ in 0..rounds {
        forget();
        cold_read = cold_read.min(raw::least(1, &mut read)?);
        forget();
        cold_map = cold_map.min(raw::least(1, &mut map)?);
    }
    let (mut warm_read, mut warm_map) = (u64::MAX, u64::MAX);
    for _ in 0..rounds + 2 {
        warm_read = warm_read.min(raw::least(1, &mut read)?);
        warm_map = warm_map.min(raw::least(1, &mut map)?);
    }
    for (name, value) in [
        ("read-warm", warm_read),
        ("map-warm", warm_map),
        ("read-cold", cold_read),
        ("map-cold", cold_map),
        ("sum-read", sum_read),
        ("sum-map", sum_map),
    ] {
        out.put(name, value);
    }
    Ok(())
}

fn shared_write(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did(
        "mapped a file of 'a's twice, shared and private; wrote 'S' through the first, 'P' through the second; read()",
    );
    let ran = bench.subject("map-shared-write").run()?;
    notes.saw(format!("read() of byte 0: {}, of byte 5000: {}", ran.text("first")?, ran.text("second")?));
    notes.saw(format!("the private mapping itself shows {} at byte 5000", ran.text("private")?));
    notes.saw(format!("shared   {}", ran.text("line-shared")?));
    notes.saw(format!("private  {}", ran.text("line-private")?));
    notes.equals("what read() finds of the shared write", ran.text("first")?, "S");
    notes.equals("what read() finds of the private write", ran.text("second")?, "a");
    notes.equals("what the private mapping has", ran.text("private")?, "P");
    Ok(Verdict::AsTold)
}

fn shared_write_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let file = temporary(8192)?;
    let mut shared = Map::of(file.as_raw_fd(), 8192, 0, Visibility::Shared, true).map_err(no_map)?;
    let mut private = Map::of(file.as_raw_fd(), 8192, 0, Visibility::Private, true).map_err(no_map)?;
    shared.set(0, b'S');
    private.set(5000, b'P');
    let mut bytes = [0u8; 8192];
    file.read_exact_at(&mut bytes, 0).map_err(io("read"))?;
    out.text("first", format_args!("{}", bytes[0] as char));
    out.text("second", format_args!("{}", bytes[5000] as char));
    out.text("private", format_args!("{}", private.get(5000) as char));
    out.line("line-shared", shared.start());
    out.line("line-private", private.start());
    Ok(())
}

fn fork_shared(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("mapped one OS page shared and one private, both anonymous; forked; the child wrote 42 to both; the parent read");
    let ran = bench.subject("map-fork-shared").run()?;
    notes.saw(format!(
        "parent reads {} in the shared one, {} in the private one",
        ran.get("shared")?,
        ran.get("private")?
    ));
    notes.saw(format!("shared   {}", ran.text("line-shared")?));
    notes.saw(format!("private  {}", ran.text("line-private")?));
    notes.equals("shared", ran.get("shared")?, 42);
    notes.equals("private", ran.get("private")?, 0);
    notes.holds("a hidden file stands behind it", ran.text("line-shared")?.contains("/dev/zero (deleted)"));
    Ok(Verdict::AsTold)
}

/// Forks; the child runs `body` and ends; the parent waits for it. Its exit status.
fn in_child(body: impl FnOnce() -> u8) -> Result<i32, Refusal> {
    // SAFETY: [single-thread] a subject has one thread, so the child may use everything.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(raw::refused("fork"));
    }
    if pid == 0 {
        let status = body();
        // SAFETY: [no-memory] ends the child without running exit handlers.
        unsafe { libc::_exit(i32::from(status)) };
    }
    let mut status = 0;
    // SAFETY: [valid-out-pointer] the status lives on this frame.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    Ok(libc::WEXITSTATUS(status))
}

fn fork_shared_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let mut shared = Map::new(4096, How::Shared)?;
    let mut private = Map::new(4096, How::Private)?;
    in_child(|| {
        shared.set(0, 42);
        private.set(0, 42);
        0
    })?;
    out.put("shared", u64::from(shared.get(0)));
    out.put("private", u64::from(private.get(0)));
    out.line("line-shared", shared.start());
    out.line("line-private", private.start());
    Ok(())
}

fn cow(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("wrote 1,000 OS pages, forked; the child read all of them, then wrote to 100; counted its page faults");
    let ran = bench.subject("map-cow").run()?;
    let (read, write) = (ran.get("read")?, ran.get("write")?);
    notes.saw(format!("page faults of the child: {read} while reading 1,000 pages, {write} while writing 100"));
    notes.saw(format!("private memory of the child: +{} KiB", ran.get("dirty")? / 1024));
    notes.equals("what the parent reads afterwards", ran.get("parent")?, 1);
    if ran.get("reads-all")? != 1 {
        return Err(Trouble::Broken("the child did not read what the parent wrote".into()));
    }
    notes.within("faults of 1,000 reads", read, 0..=20);
    notes.within("faults of 100 writes", write, 100..=110);
    notes.within("KiB copied", ran.get("dirty")? / 1024, 400..=440);
    Ok(Verdict::AsTold)
}

fn cow_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let page = raw::os_page();
    let mut map = Map::new(1000 * page, How::Private)?;
    map.advise(0, 1000 * page, libc::MADV_NOHUGEPAGE)?;
    let mut figures = Map::new(4096, How::Shared)?;
    map.touch();
    let range = (map.start(), map.end());
    in_child(|| {
        let mut put = |index: usize, value: u64| {
            for (byte, part) in value.to_le_bytes().into_iter().enumerate() {
                figures.set(index * 8 + byte, part);
            }
        };
        let faults = raw::faults();
        let all = (0..1000).all(|index| map.get(index * page) == 1);
        put(0, raw::faults() - faults);
        let private = raw::smaps(range, "Private_Dirty");
        let faults = raw::faults();
        for index in 0..100 {
            map.set(index * 10 * page, 2);
        }
        put(1, raw::faults() - faults);
        put(2, raw::smaps(range, "Private_Dirty").saturating_sub(private));
        put(3, u64::from(all));
        0
    })?;
    let figure =
        |index: usize| u64::from_le_bytes(figures.slice()[index * 8..index * 8 + 8].try_into().unwrap_or_default());
    out.put("read", figure(0));
    out.put("write", figure(1));
    out.put("dirty", figure(2));
    out.put("reads-all", figure(3));
    out.put("parent", u64::from(map.get(0)));
    Ok(())
}
