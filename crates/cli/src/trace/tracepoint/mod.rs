//! Records the calls of a process that runs already by the kernel's tracepoint at the end of every system call, filtered in
//! the kernel to the calls for memory: nothing stops, other calls cost a comparison.
//!
//! One event for each thread and processor, as only such events are handed on to new threads and children *and* can share a
//! ring of memory; one ring for each processor. Needs tracefs and the right to use it.

mod event;
mod record;
mod ring;

use super::Options;
use super::attach::Attached;
use super::calls::Recorder;
use crate::model::calls::Kind;
use crate::model::calls::threshold::Threshold;
use crate::os::{self, Signals, Woken};
pub(super) use record::CallRecord;
use record::Record;
use ring::Ring;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two looks at the rings.
const PAUSE: Duration = Duration::from_millis(10);
/// Memory for all rings together, and for one.
const ALL_RINGS: usize = 64 << 20;
const LARGEST_RING: usize = 4 << 20;
const SMALLEST_RING: usize = 512 << 10;
/// Where tracefs is, the present place first.
const FOLDERS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The rings and events of a process, in force.
pub(crate) struct Watch {
    rings: Vec<Ring>,
    /// Closing them ends the watch.
    _events: Vec<OwnedFd>,
    pid: i32,
    begin: Duration,
}

/// The kernel's number for the tracepoint.
fn number() -> Result<u64, String> {
    let mut why = "tracefs is not mounted (as root: mount -t tracefs nodev /sys/kernel/tracing)".to_owned();
    for folder in FOLDERS {
        let file = PathBuf::from(folder).join("events/raw_syscalls/sys_exit/id");
        match fs::read_to_string(&file) {
            Ok(text) => return text.trim().parse().map_err(|_| format!("{} holds no number", file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => why = format!("{} may not be read: {error} (run brkmap as root)", file.display()),
        }
    }
    Err(why)
}

/// Processors that are there: `0-3,8`.
fn processors(text: &str) -> Vec<i32> {
    let parts = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
    });
    parts.flatten().collect()
}

fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Begins to watch a process, or says why that cannot be.
pub(crate) fn watch(pid: i32) -> Result<Watch, String> {
    let number = number()?;
    let processors = processors(&fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default());
    if processors.is_empty() {
        return Err("the list of processors cannot be read".to_owned());
    }
    let calls: Vec<String> = Kind::ALL.iter().map(|kind| format!("id == {}", kind.number())).collect();
    let filter = calls.join(" || ");
    let size = (ALL_RINGS / processors.len()).clamp(SMALLEST_RING, LARGEST_RING);
    let size = if size.is_power_of_two() { size } else { size.next_power_of_two() / 2 };
    let refused = |error: io::Error| {
        let remedy = match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => " (run brkmap as root, or with CAP_PERFMON)",
            Some(libc::EMFILE) => " (raise the limit of open files: ulimit -n)",
            _ => "",
        };
        format!("perf_event_open: {error}{remedy}")
    };
    let begin = os::clock(libc::CLOCK_MONOTONIC).unwrap_or_default();
    let (mut events, mut rings) = (Vec::new(), Vec::new());
    for &processor in &processors {
        let mut ring: Option<Ring> = None;
        for tid in threads(pid) {
            let event = match event::open(number, tid, processor) {
                Ok(event) => event,
                // The thread has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => continue,
                Err(error) => return Err(refused(error)),
            };
            event::filter(&event, &filter).map_err(refused)?;
            match &ring {
                None => ring = Some(Ring::map(&event, size).map_err(refused)?),
                Some(_) => event::share(&event, &events[events.len() - 1]).map_err(refused)?,
            }
            event::enable(&event).map_err(refused)?;
            events.push(event);
        }
        rings.extend(ring);
    }
    if rings.is_empty() {
        Err("the process has ended".to_owned())
    } else {
        Ok(Watch { rings, _events: events, pid, begin })
    }
}

impl Watch {
    /// Records until the process ends, the time is over, or somebody interrupts brkmap.
    pub(crate) fn record(
        mut self,
        options: Options,
        threshold: Option<Threshold>,
        limit: Option<Duration>,
    ) -> io::Result<Attached> {
        let signals = Signals::take_over();
        let begin = Instant::now();
        let mut recorder = Recorder::new(options);
        recorder.enter(self.pid, threshold);
        loop {
            let is_over = limit.is_some_and(|limit| begin.elapsed() >= limit);
            let is_gone = !PathBuf::from(format!("/proc/{}", self.pid)).exists();
            self.drain(&mut recorder);
            if is_over || is_gone {
                break;
            }
            let rest = limit.map_or(PAUSE, |limit| limit.saturating_sub(begin.elapsed()).min(PAUSE));
            if let Woken::Forward(_) | Woken::Key = os::wait_for_signal(rest.max(Duration::from_millis(1))) {
                self.drain(&mut recorder);
                break;
            }
        }
        let wall = begin.elapsed();
        signals.drop_pending();
        signals.restore();
        Ok(Attached { recorded: recorder.finish(), outcome: None, wall })
    }

    fn drain(&mut self, recorder: &mut Recorder) {
        let mut records: Vec<Record> = Vec::new();
        for ring in &mut self.rings {
            ring.read(|bytes| records.extend(Record::parse(bytes)));
        }
        // Each ring has its own order.
        records.sort_by_key(Record::time);
        let last = records.iter().rposition(|record| matches!(record, Record::Call(_)));
        for (index, record) in records.into_iter().enumerate() {
            match record {
                Record::Call(call) => {
                    let at = Duration::from_nanos(call.time).saturating_sub(self.begin);
                    recorder.sampled(*call, at, Some(index) == last);
                }
                Record::Exec { pid, .. } => recorder.enter(pid, None),
                Record::Fork { parent, child, .. } => recorder.forked(parent, child, false),
                Record::Exit { pid, .. } => recorder.ended(pid),
                Record::Lost(calls) => recorder.lost(calls),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(processors("0"), [0]);
        assert_eq!(processors(""), [0; 0]);
    }
}
