//! Records the system calls for memory of traced processes, from the stops at their two ends.
//!
//! While a thread is stopped, only what would be gone afterwards is read: registers, the top of its stack, RSS, the head of
//! a chunk that is unmapped. Unwinding, names and sums come when it runs again.

use super::kernel::Told;
use super::ptrace::{self, Registers};
use super::tracepoint::CallRecord;
use crate::collect;
use crate::model::calls::space::Space;
use crate::model::calls::summary::Summary;
use crate::model::calls::threshold::{Threshold, is_chunk};
use crate::model::calls::{Answer, Call, Kind, Mechanism};
use crate::os;
use crate::proc::smaps;
use crate::stack::{COPIED, Entry, Modules, Sample, Stacks};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// RSS after a call that cannot lower it is read at most so often, for the timeline.
const RSS_PAUSE: Duration = Duration::from_millis(4);
/// `/proc/PID/maps` is read again for code that is not known at most so often.
const MAPS_PAUSE: Duration = Duration::from_millis(200);

/// What to record.
pub(crate) struct Options {
    /// So many calls are kept one by one; the sums cover all.
    pub(crate) keep: usize,
    /// Whether to unwind stacks.
    pub(crate) stacks: bool,
    /// Is told of each call.
    pub(crate) listener: Option<Listener>,
    /// Whether programs in the kernel may tell of the calls, where that is allowed: then the command is not stopped.
    pub(crate) by_kernel: bool,
}

/// Sees each call as it happens.
pub(crate) type Listener = Box<dyn FnMut(&Call, &Stacks)>;

/// What was recorded.
pub(crate) struct Recorded {
    pub(crate) summary: Summary,
    pub(crate) calls: Vec<Call>,
    /// Calls beyond the number that is kept.
    pub(crate) not_kept: u64,
    pub(crate) stacks: Stacks,
    /// Calls that were lost because brkmap was too slow to read them.
    pub(crate) lost: u64,
    /// Programs in the tree that trace others and could not.
    pub(crate) tracers: Vec<String>,
    /// Programs in the kernel told of them; the command was not stopped.
    pub(crate) by_kernel: bool,
}

/// One address space.
#[derive(Clone)]
struct Memory {
    space: Space,
    modules: Modules,
    threshold: Threshold,
    statm: Option<Rc<File>>,
    rss_read: Option<Instant>,
    maps_read: Instant,
    /// Code was mapped that could not be entered at once.
    has_new_code: bool,
}

struct Pending {
    kind: Kind,
    begin: Instant,
    rss: Option<u64>,
    /// What is unmapped is one chunk of glibc's malloc.
    is_chunk: bool,
}

/// A finished call before it is worked on.
pub(super) struct Raw {
    pid: i32,
    tid: i32,
    kind: Kind,
    at: Duration,
    took: Option<Duration>,
    arguments: [u64; 6],
    result: i64,
    rss: (Option<u64>, Option<u64>),
    is_chunk: bool,
    /// Seen by a tracepoint: what was unmapped could not be read before.
    is_late: bool,
    /// The sample in [`Recorder::sample`] is of this call.
    has_sample: bool,
}

/// See the module.
pub(crate) struct Recorder {
    begin: Instant,
    /// The same on CLOCK_MONOTONIC.
    begin_on_clock: Duration,
    options: Options,
    memories: HashMap<i32, Rc<RefCell<Memory>>>,
    /// Processes that run a program of their own: the news of their birth may be late.
    has_exec: HashSet<i32>,
    pending: HashMap<i32, Pending>,
    sample: Sample<'static>,
    recorded: Recorded,
    os_page: u64,
}

impl Recorder {
    pub(crate) fn new(options: Options) -> Recorder {
        Recorder {
            begin: Instant::now(),
            begin_on_clock: os::clock(libc::CLOCK_MONOTONIC).unwrap_or_default(),
            options,
            memories: HashMap::new(),
            has_exec: HashSet::new(),
            pending: HashMap::new(),
            sample: Sample::default(),
            recorded: Recorded {
                summary: Summary::default(),
                calls: Vec::new(),
                not_kept: 0,
                stacks: Stacks::default(),
                lost: 0,
                tracers: Vec::new(),
                by_kernel: false,
            },
            os_page: 4096,
        }
    }

    /// A process begins to be recorded as it is now: after its exec, or in the middle of its life. `threshold` is glibc's
    /// mmap threshold where it is known.
    pub(super) fn enter(&mut self, pid: i32, threshold: Option<Threshold>) {
        let mappings = smaps::parse(&collect::text(pid, "maps").unwrap_or_default());
        let environment = collect::text(pid, "environ").unwrap_or_default();
        let memory = Memory {
            space: Space::of(&mappings),
            modules: Modules::of(pid, &mappings, &mut self.recorded.stacks.files),
            threshold: threshold.unwrap_or_else(|| Threshold::of(environment.split('\0'))),
            statm: File::open(format!("/proc/{pid}/statm")).ok().map(Rc::new),
            rss_read: None,
            maps_read: Instant::now(),
            has_new_code: false,
        };
        self.memories.insert(pid, Rc::new(RefCell::new(memory)));
        self.has_exec.insert(pid);
    }

    /// A new process has its parent's memory: its own copy of it, or, until its exec, the same.
    pub(super) fn forked(&mut self, parent: i32, child: i32, shares_memory: bool) {
        // What was entered when it was seen has its own history by now, unless it is the parent's memory after all.
        if self.has_exec.contains(&child) || (self.memories.contains_key(&child) && !shares_memory) {
            return;
        }
        let Some(memory) = self.memories.get(&parent) else { return };
        let memory = if shares_memory {
            Rc::clone(memory)
        } else {
            let statm = File::open(format!("/proc/{child}/statm")).ok().map(Rc::new);
            Rc::new(RefCell::new(Memory { statm, rss_read: None, ..memory.borrow().clone() }))
        };
        self.memories.insert(child, memory);
    }

    /// A process is seen whose birth was not reported yet.
    pub(super) fn seen(&mut self, pid: i32) {
        if self.memories.contains_key(&pid) {
            return;
        }
        if let Ok(status) = collect::status(pid) {
            self.forked(status.ppid, pid, false);
        }
    }

    /// A thread is gone; if it was the last, its process is.
    pub(super) fn ended(&mut self, tid: i32) {
        self.pending.remove(&tid);
        self.memories.remove(&tid);
        self.has_exec.remove(&tid);
    }

    /// Whether a thread is between the two ends of a call.
    pub(super) fn is_inside(&self, tid: i32) -> bool {
        self.pending.contains_key(&tid)
    }

    /// A program that traces others stays traced by us.
    pub(super) fn met_tracer(&mut self, name: String) {
        self.recorded.tracers.push(name);
    }

    /// A thread is at the beginning of a call.
    pub(super) fn entry(&mut self, pid: i32, tid: i32, kind: Kind, arguments: &[u64; 6]) {
        let Some(memory) = self.memories.get(&pid) else { return };
        let memory = memory.borrow();
        let rss = if kind.may_return(arguments, memory.space.top()) { rss(&memory, self.os_page) } else { None };
        let [address, length, ..] = *arguments;
        let is_chunk = kind == Kind::Munmap
            && memory.threshold.is_dynamic
            && length > memory.threshold.bytes
            && is_chunk(&head(tid, address), length);
        self.pending.insert(tid, Pending { kind, begin: Instant::now(), rss, is_chunk });
    }

    /// A thread is at the end of a call. The result is to be [`Recorder::account`]ed for when it runs again.
    pub(super) fn exit(&mut self, pid: i32, tid: i32) -> Option<Raw> {
        let Pending { kind, begin, rss: before, is_chunk } = self.pending.remove(&tid)?;
        let took = begin.elapsed();
        let memory = self.memories.get(&pid)?;
        let registers = ptrace::registers(tid).ok().filter(|registers| registers.call == kind.number())?;
        let mut memory = memory.borrow_mut();
        let is_due = before.is_some() || memory.rss_read.is_none_or(|last| last.elapsed() >= RSS_PAUSE);
        let after = if is_due { rss(&memory, self.os_page) } else { None };
        if is_due {
            memory.rss_read = Some(Instant::now());
        }
        let Registers { arguments, result, .. } = registers;
        self.recorded.map_code(&mut memory, pid, kind, &registers, self.options.stacks);
        drop(memory);
        let has_sample = self.options.stacks && self.copy_stack(tid, &registers);
        let at = self.begin.elapsed();
        Some(Raw {
            pid,
            tid,
            kind,
            at,
            took: Some(took),
            arguments,
            result,
            rss: (before, after),
            is_chunk,
            is_late: false,
            has_sample,
        })
    }

    fn copy_stack(&mut self, tid: i32, registers: &Registers) -> bool {
        let sample = &mut self.sample;
        (sample.instruction, sample.stack, sample.frame) = (registers.instruction, registers.stack, registers.frame);
        let bytes = sample.bytes.to_mut();
        bytes.resize(COPIED, 0);
        let got = os::read_process(tid, registers.stack, bytes).unwrap_or(0);
        bytes.truncate(got);
        got > 0
    }

    /// Adds a call up.
    pub(super) fn account(&mut self, raw: Raw) {
        let sample = std::mem::take(&mut self.sample);
        self.account_at(raw, &sample);
        self.sample = sample;
    }

    /// The same; the call was made there.
    fn account_at(&mut self, raw: Raw, sample: &Sample) {
        let Some(memory) = self.memories.get(&raw.pid).map(Rc::clone) else { return };
        let mut memory = memory.borrow_mut();
        let Raw { pid, tid, kind, at, took, arguments, result, .. } = raw;
        let stacks = &mut self.recorded.stacks;
        let is_unknown = !memory.modules.knows(sample.instruction) && memory.maps_read.elapsed() > MAPS_PAUSE;
        if raw.has_sample && (is_unknown || memory.has_new_code) {
            let mappings = smaps::parse(&collect::text(pid, "maps").unwrap_or_default());
            memory.modules = Modules::of(pid, &mappings, &mut stacks.files);
            memory.maps_read = Instant::now();
            memory.has_new_code = false;
        }
        let stack = if raw.has_sample { stacks.unwind(&memory.modules, sample) } else { None };
        let entry = stack.and_then(|stack| stacks.entry(stack));
        let answer = Answer::of(kind, &arguments, result);
        let is_glibc = |memory: &Memory, stacks: &Stacks| memory.modules.is_on_glibc(&stacks.files);
        let is_block = kind == Kind::Mmap
            && matches!(entry, Some(Entry::Allocate | Entry::Reallocate))
            && is_glibc(&memory, stacks);
        let (mechanism, change) = memory.space.apply(kind, &arguments, answer, is_block);
        // `realloc` unmaps as well, and learns nothing from it.
        let is_chunk = raw.is_chunk || (raw.is_late && kind == Kind::Munmap && entry == Some(Entry::Free));
        let is_free = is_chunk && !answer.is_refused() && entry != Some(Entry::Reallocate);
        let mut mechanism = mechanism;
        let mut moved = None;
        if is_free && (!self.options.stacks || is_glibc(&memory, stacks)) {
            moved = memory.threshold.free(arguments[1]);
            mechanism = Mechanism::Block;
        }
        let (rss_before, rss_after) = raw.rss;
        let call = Call {
            at,
            took,
            pid,
            tid,
            kind,
            arguments,
            answer,
            mechanism,
            change,
            rss_before,
            rss_after,
            stack,
            moved,
        };
        self.recorded.summary.add(&call, stack.map(|stack| stacks.site_of(stack)));
        if let Some(listener) = &mut self.options.listener {
            listener(&call, stacks);
        }
        if self.recorded.calls.len() < self.options.keep {
            self.recorded.calls.push(call);
        } else {
            self.recorded.not_kept += 1;
        }
    }

    /// A call that a tracepoint reported at its end. RSS is of now, which is near the last one of a batch alone.
    pub(super) fn sampled(&mut self, record: CallRecord, at: Duration, is_last: bool) {
        let CallRecord { pid, tid, registers, sample, .. } = record;
        let Some(kind) = Kind::of(registers.call) else { return };
        self.seen(pid);
        let Some(memory) = self.memories.get(&pid) else { return };
        let after = if is_last { rss(&memory.borrow(), self.os_page) } else { None };
        self.sample = sample;
        let Registers { arguments, result, .. } = registers;
        let is_code = kind == Kind::Mmap && arguments[2] & libc::PROT_EXEC as u64 != 0;
        memory.borrow_mut().has_new_code |= is_code;
        let has_sample = self.options.stacks && !self.sample.bytes.is_empty();
        let (rss, took, is_chunk, is_late) = ((None, after), None, false, true);
        self.account(Raw { pid, tid, kind, at, took, arguments, result, rss, is_chunk, is_late, has_sample });
    }

    /// A call that the kernel told of when it was over.
    pub(super) fn told(&mut self, told: Told) {
        let Told { pid, tid, begin, end, rss: (before, after), head, registers, stack } = told;
        let Some(kind) = Kind::of(registers.call) else { return };
        let Some(memory) = self.memories.get(&pid) else { return };
        let mut memory = memory.borrow_mut();
        let Registers { arguments, result, instruction, stack: top, frame, .. } = registers;
        let at = Duration::from_nanos(end).saturating_sub(self.begin_on_clock);
        self.recorded.map_code(&mut memory, pid, kind, &registers, self.options.stacks);
        let is_chunk = kind == Kind::Munmap
            && memory.threshold.is_dynamic
            && arguments[1] > memory.threshold.bytes
            && is_chunk(&head, arguments[1]);
        drop(memory);
        // Of a stack in the ring the unwinder reads a few words: to copy it would take longer than all the rest.
        let sample = Sample { instruction, stack: top, frame, bytes: stack.into() };
        let has_sample = self.options.stacks && !stack.is_empty();
        let (took, rss) = (Some(Duration::from_nanos(end.saturating_sub(begin))), (before, Some(after)));
        let raw = Raw { pid, tid, kind, at, took, arguments, result, rss, is_chunk, is_late: false, has_sample };
        self.account_at(raw, &sample);
    }

    /// The programs in the kernel told of the calls.
    pub(super) fn is_by_kernel(&mut self) {
        self.recorded.by_kernel = true;
    }

    /// So many calls could not be reported.
    pub(super) fn lost(&mut self, calls: u64) {
        self.recorded.lost += calls;
    }

    /// Closes the books.
    pub(crate) fn finish(self) -> Recorded {
        self.recorded
    }
}

impl Recorded {
    /// Enters code that a call has mapped from a file, while the descriptor is open: the thread stands still.
    fn map_code(&mut self, memory: &mut Memory, pid: i32, kind: Kind, registers: &Registers, is_wanted: bool) {
        let Registers { arguments: [_, length, protection, _, descriptor, offset], result, .. } = *registers;
        let is_code = kind == Kind::Mmap && protection & libc::PROT_EXEC as u64 != 0 && descriptor as i32 >= 0;
        if is_code && !(-4095..0).contains(&result) && is_wanted {
            let files = &mut self.stacks.files;
            memory.modules.map(files, pid, descriptor as i32, result as u64, length, offset);
        }
    }
}

/// Resident bytes, as the kernel counts them now.
fn rss(memory: &Memory, os_page: u64) -> Option<u64> {
    let mut text = [0; 96];
    let got = memory.statm.as_ref()?.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..got]).ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok()?.checked_mul(os_page)
}

fn head(tid: i32, address: u64) -> [u8; 16] {
    let mut head = [0; 16];
    // What cannot be read is no chunk.
    match os::read_process(tid, address, &mut head) {
        Ok(16) => head,
        _ => [0; 16],
    }
}
