//! The side that tries: what runs in the children of [`super::gather`].

use super::{ourselves, words};
use crate::model::health::Test;
use crate::os::{self, probe::Map};
use crate::proc::residency::{OS_PAGE, category};
use crate::proc::{pagemap, smaps};
use crate::trace;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};

/// Bytes that a reader has to find.
const MARK: [u8; 16] = *b"brkmap was here.";

/// What came of it: a value, or the reason in words.
type Tried = Result<u64, String>;

fn say(error: io::Error) -> String {
    words(&error)
}

/// Does what the words behind the hidden verb say.
pub(crate) fn run(arguments: &[OsString]) -> io::Result<()> {
    let arguments: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match arguments.as_slice() {
        ["try", keys @ ..] => {
            for test in keys.iter().filter_map(|key| Test::ALL.into_iter().find(|test| test.key() == *key)) {
                print(&attempt(test))?;
            }
            Ok(())
        }
        ["target", rest @ ..] => target(rest == ["open"]),
        ["read", pid, address] => print(&read(pid, address)),
        ["preloaded"] => {
            let maps = fs::read_to_string("/proc/self/maps")?;
            line(if maps.contains("libbrkmap.so") { "yes" } else { "no" })
        }
        _ => Err(io::Error::other("an unknown word")),
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn print(tried: &Tried) -> io::Result<()> {
    match tried {
        Ok(value) => line(&format!("works {value}")),
        Err(why) => line(&format!("refused {why}")),
    }
}

/// Stays until its standard input ends, to be read or traced.
fn target(is_open: bool) -> io::Result<()> {
    if is_open {
        const ANYBODY: i32 = -1;
        // Where no such rule is in force there is nothing to allow.
        let _ = os::probe::allow_reader(ANYBODY);
    }
    // Written, so that its OS page is resident.
    let mark = std::hint::black_box(Box::new(MARK));
    line(&(&raw const *mark as u64).to_string())?;
    io::stdin().lock().read_to_end(&mut Vec::new()).map(drop)
}

fn read(pid: &str, address: &str) -> Tried {
    let (pid, address) = pid.parse().ok().zip(address.parse().ok()).ok_or("no numbers")?;
    let mut bytes = [0; MARK.len()];
    os::read_process(pid, address, &mut bytes).map_err(say)?;
    compared(&bytes)
}

fn compared(bytes: &[u8]) -> Tried {
    if bytes == MARK { Ok(0) } else { Err("other bytes were read than written".to_owned()) }
}

/// A child to be read or traced.
struct Target {
    child: Child,
    mark: u64,
}

impl Target {
    fn start(words: &[&str]) -> Result<Target, String> {
        let spawned = ourselves(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| super::no_child(&error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(say)?;
        }
        let mark = line.trim().parse().map_err(|_| "a child did not answer".to_owned());
        let mut target = Target { child, mark: 0 };
        target.mark = mark?;
        Ok(target)
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn open(&self, file: &str) -> Result<File, String> {
        File::open(format!("/proc/{}/{file}", self.child.id())).map_err(say)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn attempt(test: Test) -> Tried {
    let target = || Target::start(&["target"]);
    match test {
        Test::ReadChild => target().and_then(|target| read(&target.pid().to_string(), &target.mark.to_string())),
        Test::ReadChildFile => {
            let target = target()?;
            let mut bytes = [0; MARK.len()];
            target.open("mem")?.read_exact_at(&mut bytes, target.mark).map_err(say)?;
            compared(&bytes)
        }
        Test::ReadOther => by_another(&target()?),
        Test::ReadAllowed => by_another(&Target::start(&["target", "open"])?),
        Test::Smaps => {
            let mut text = String::new();
            target()?.open("smaps")?.read_to_string(&mut text).map_err(say)?;
            let seen = smaps::parse(&text).iter().filter(|mapping| mapping.rss > 0).count();
            if seen > 0 { Ok(seen as u64) } else { Err("it has no sizes".to_owned()) }
        }
        Test::Pagemap => {
            let target = target()?;
            let mut entry = [0; pagemap::ENTRY as usize];
            let offset = pagemap::offset(target.mark, OS_PAGE);
            target.open("pagemap")?.read_exact_at(&mut entry, offset).map_err(say)?;
            let is_there = pagemap::entries(&entry).any(pagemap::is_resident);
            if is_there { Ok(0) } else { Err("it calls a resident OS page absent".to_owned()) }
        }
        Test::PagemapScan => {
            let target = target()?;
            let start = target.mark / OS_PAGE * OS_PAGE;
            let mut found = [[0; 3]; 4];
            let range = (start, start + OS_PAGE);
            let (count, _) =
                os::scan_pagemap(&target.open("pagemap")?, range, category::PRESENT, &mut found).map_err(say)?;
            if count == 1 { Ok(0) } else { Err("it calls a resident OS page absent".to_owned()) }
        }
        Test::Trace => trace::try_out(target()?.pid()).map(|()| 0).map_err(say),
        Test::Filter => os::probe::install_filter().map(|()| 0).map_err(say),
        Test::Tracepoint => tracepoint(target()?.pid()),
        Test::KernelProgram => trace::try_programs().map(|()| 0),
        Test::Break => move_break(),
        Test::Purge => purge(|map| map.advise(0, OS_PAGE as usize, libc::MADV_DONTNEED)),
        Test::PurgeMany => purge(|map| map.advise_as_process(0, OS_PAGE as usize, libc::MADV_DONTNEED)),
        Test::Mappings => mappings(),
        Test::Huge => huge(),
        Test::Reserve => Map::reserve(1 << 40).map(|_| 0).map_err(say),
        Test::Name => name(),
    }
}

/// Lets a sibling of the target read it: of the same user, and no ancestor.
fn by_another(target: &Target) -> Tried {
    let words = ["read", &target.pid().to_string(), &target.mark.to_string()];
    let output = ourselves(&words).stdin(Stdio::null()).output().map_err(say)?;
    match super::answer(String::from_utf8_lossy(&output.stdout).trim_end()) {
        crate::model::health::Outcome::Works(value) => Ok(value),
        crate::model::health::Outcome::Refused(why) => Err(why),
    }
}

fn tracepoint(pid: i32) -> Tried {
    const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let place = PLACES.into_iter().find(|place| fs::metadata(format!("{place}/README")).is_ok());
    let hidden = |place: &&str| fs::metadata(format!("{place}/README")).is_err_and(|e| e.raw_os_error() == Some(13));
    let Some(place) = place else {
        let is_hidden = PLACES.iter().any(hidden);
        return Err(if is_hidden { "tracefs: Permission denied" } else { "tracefs is not mounted" }.to_owned());
    };
    let id = fs::read_to_string(format!("{place}/events/syscalls/sys_enter_brk/id"));
    let id = id.map_err(|error| format!("no tracepoint of brk: {}", words(&error)))?;
    let id = id.trim().parse().map_err(|_| "a tracepoint without a number".to_owned())?;
    os::probe::open_tracepoint(id, pid).map(|_| 0).map_err(|error| format!("perf_event_open: {}", words(&error)))
}

fn move_break() -> Tried {
    os::probe::move_break().map_err(say)?;
    let maps = smaps::parse(&fs::read_to_string("/proc/self/smaps").map_err(say)?);
    Ok(maps.iter().find(|mapping| mapping.name == "[heap]").map_or(0, |heap| heap.start))
}

fn purge(way: impl Fn(&Map) -> io::Result<()>) -> Tried {
    let mut map = Map::new(4 * OS_PAGE as usize).map_err(say)?;
    map.write(0, 1);
    way(&map).map_err(say)?;
    if map.read(0) == 0 { Ok(0) } else { Err("it says done, and the contents stay".to_owned()) }
}

fn mappings() -> Tried {
    const COUNT: usize = 1000;
    let page = OS_PAGE as usize;
    let map = Map::new(COUNT * page).map_err(say)?;
    for at in (0..COUNT).step_by(2) {
        map.forbid(at * page, page).map_err(say)?;
    }
    Ok(COUNT as u64)
}

fn huge() -> Tried {
    const HUGE: usize = 2 << 20;
    let mut map = Map::new(2 * HUGE).map_err(say)?;
    let at = map.aligned(HUGE);
    map.advise(at, HUGE, libc::MADV_HUGEPAGE).map_err(say)?;
    map.write(at, 1);
    let address = map.address() + at as u64;
    let own = smaps::parse(&fs::read_to_string("/proc/self/smaps").map_err(say)?);
    Ok(own.iter().find(|own| own.start <= address && address < own.end).map_or(0, |own| own.huge))
}

fn name() -> Tried {
    let map = Map::new(OS_PAGE as usize).map_err(say)?;
    map.name(c"brkmap doctor").map_err(say)?;
    let maps = fs::read_to_string("/proc/self/maps").map_err(say)?;
    if maps.contains("[anon:brkmap doctor]") { Ok(0) } else { Err("it says done, and no name shows".to_owned()) }
}
