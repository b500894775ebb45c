//! Two small programs in the kernel that tell of every call for memory, with the program's stack: nothing stops, and a call
//! costs a few microseconds where two stops cost a hundred.
//!
//! Needs the rights of root (CAP_BPF and CAP_PERFMON) and a kernel that describes its types; where one of them is missing, or
//! the kernel has other structures, the reason is the answer and the caller stops the program at its calls instead.

mod code;
mod machine;
mod program;
mod types;

use super::ptrace::Registers;
use machine::{Map, Ring, attach, kind, with_types};
use program::{Maps, Writer, chunks, record, registers};
use std::fs;
use std::os::fd::OwnedFd;

/// Room for what was not read yet: some 60 calls with deep stacks, or more on machines where more threads run at once. The
/// kernel clears all of it at the start.
const LEAST_ROOM: usize = 1 << 20;
/// Processes, and threads within a call, at once.
const MOST: u32 = 32 << 10;
/// The counters of so many processors are added up at each call.
const MOST_PROCESSORS: i32 = 128;
/// The kernel's description of its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
const OS_PAGE: u64 = 4096;

/// A finished call. Times are nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) pid: i32,
    pub(super) tid: i32,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Resident bytes before the call, where it might lower them, and after it.
    pub(super) rss: (Option<u64>, u64),
    /// What was unmapped began with this.
    pub(super) head: [u8; 16],
    pub(super) registers: Registers,
    pub(super) stack: &'a [u8],
}

/// Chunks of the heap on the break of a process that is about to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks<'a> {
    pub(super) pid: i32,
    /// Address of the first one.
    pub(super) start: u64,
    /// Their second words, little-endian; as many as are chunks.
    pub(super) words: &'a [u8],
}

impl Chunks<'_> {
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.words.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word))
    }
}

/// A record of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    Call(Told<'a>),
    Chunks(Chunks<'a>),
}

/// The programs, attached.
pub(super) struct Watch {
    processes: Map,
    lost: Map,
    ring: Ring,
    /// Closing them takes the programs away.
    _attached: [OwnedFd; 2],
    _maps: [Map; 3],
}

/// Possible processors: one more than the last of `0-3`.
fn processors(text: &str) -> Option<i32> {
    text.trim().rsplit([',', '-']).next()?.parse::<i32>().ok().map(|last| last + 1)
}

/// Room in which every processor may leave a call when half of it is full, which stops its thread, and another one after it.
fn room(processors: i32) -> usize {
    (processors as usize * 4 * record::BYTES as usize).next_power_of_two().max(LEAST_ROOM)
}

/// The namespaces in which the programs' numbers and times are ours too, by what the kernel calls the first of each.
const NAMESPACES: [(&str, &str); 2] = [("pid", "pid:[4026531836]"), ("time", "time:[4026531834]")];

/// Whether we are in the first namespace of a kind; a kernel that does not know the kind has no other.
fn is_first(file: &str, first: &str) -> bool {
    fs::read_link(format!("/proc/self/ns/{file}")).map_or(true, |link| link.as_os_str() == first)
}

impl Watch {
    /// Begins; no process is watched yet.
    pub(super) fn begin() -> Result<Watch, String> {
        // Before Linux 6.9 nothing can follow chunks, and heaps are read from outside.
        Watch::with(true).or_else(|_| Watch::with(false))
    }

    /// The same by a program that follows chunks, or by one that does not.
    fn with(follows: bool) -> Result<Watch, String> {
        let refused = |error: std::io::Error| format!("bpf: {error}");
        if !NAMESPACES.iter().all(|&(file, first)| is_first(file, first)) {
            return Err("the kernel's numbers of processes, or its time, are others than in this container".to_owned());
        }
        // First what fails at once for those who may not.
        let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
        let processors = processors(&possible).filter(|count| (1..=MOST_PROCESSORS).contains(count));
        let processors = processors.ok_or_else(|| format!("too many processors: {}", possible.trim()))?;
        let room = room(processors);
        let ring_map = Map::new(kind::RING, 0, room as u32, 0).map_err(refused)?;
        let places = with_types(TYPES, types::places).ok().flatten();
        let places = places.ok_or_else(|| format!("{TYPES} is missing or describes another kernel"))?;
        const NO_PREALLOCATION: u32 = 1;
        let processes = Map::new(kind::HASH, 8, MOST, NO_PREALLOCATION).map_err(refused)?;
        let open = Map::new(kind::HASH, program::OPEN as u32, MOST, NO_PREALLOCATION).map_err(refused)?;
        let lost = Map::new(kind::ARRAY, 8, 1, 0).map_err(refused)?;
        let each = Map::new(kind::ARRAY_OF_PROCESSORS, 8, 1, 0).map_err(refused)?;
        let ring = Ring::new(&ring_map, room).map_err(refused)?;
        let maps = Maps {
            processes: processes.descriptor(),
            open: open.descriptor(),
            ring: ring_map.descriptor(),
            lost: lost.descriptor(),
            each: each.descriptor(),
        };
        let writer = Writer { places, maps, processors, room: room as i32 };
        let too_long = || "a program became too long".to_owned();
        let enter = attach("sys_enter", &writer.enter(follows).ok_or_else(too_long)?)?;
        let exit = attach("sys_exit", &writer.exit().ok_or_else(too_long)?)?;
        Ok(Watch { processes, lost, ring, _attached: [enter, exit], _maps: [open, ring_map, each] })
    }

    /// Watches a process from now on; whether that was possible.
    pub(super) fn add(&self, pid: i32) -> bool {
        self.processes.put(pid as u32, 1).is_ok()
    }

    /// Leaves a process alone.
    pub(super) fn remove(&self, pid: i32) {
        // It may be unknown.
        let _ = self.processes.remove(pid as u32);
    }

    /// Hands out the next record: calls in the order of their ends, and chunks.
    pub(super) fn next<T>(&self, mut take: impl FnMut(Record) -> T) -> Option<T> {
        self.ring.next(|bytes| record(bytes).map(&mut take)).flatten()
    }

    /// Calls that found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.get(0).unwrap_or(0)
    }
}

fn word(bytes: &[u8], at: i16) -> Option<u64> {
    let eight = bytes.get(at as usize..at as usize + 8)?;
    Some(u64::from_le_bytes(eight.try_into().ok()?))
}

fn record(bytes: &[u8]) -> Option<Record<'_>> {
    if bytes.len() != chunks::BYTES as usize {
        return told(bytes).map(Record::Call);
    }
    let words = &bytes[chunks::WORDS as usize..];
    Some(Record::Chunks(Chunks { pid: word(bytes, chunks::PID)? as i32, start: word(bytes, chunks::START)?, words }))
}

fn told(bytes: &[u8]) -> Option<Told<'_>> {
    let word = |at: i16| word(bytes, at);
    let register = |at: i16| word(record::REGISTERS + at);
    let pid_tid = word(record::PID_TID)?;
    let before = word(record::OPEN + 8)?;
    let head = record::OPEN as usize + 16;
    let stack = bytes.get(record::STACK as usize..)?;
    let filled = word(record::STACK_BYTES)? as usize;
    Some(Told {
        pid: (pid_tid >> 32) as i32,
        tid: pid_tid as u32 as i32,
        begin: word(record::OPEN)?,
        end: word(record::END)?,
        rss: (
            (before != program::UNKNOWN).then(|| before.saturating_mul(OS_PAGE)),
            word(record::AFTER)?.saturating_mul(OS_PAGE),
        ),
        head: bytes.get(head..head + 16)?.try_into().ok()?,
        registers: Registers {
            call: register(registers::CALL)? as i64,
            arguments: [
                register(registers::DI)?,
                register(registers::SI)?,
                register(registers::DX)?,
                register(registers::R10)?,
                register(registers::R8)?,
                register(registers::R9)?,
            ],
            result: word(record::RESULT)? as i64,
            instruction: register(registers::INSTRUCTION)?,
            stack: register(registers::STACK)?,
            frame: register(registers::FRAME)?,
        },
        stack: stack.get(..filled).unwrap_or(stack),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_processors_are_counted() {
        assert_eq!((processors("0-3\n"), processors("0"), processors("0-1,4-7")), (Some(4), Some(1), Some(8)));
        assert_eq!(processors(""), None);
    }

    #[test]
    fn half_of_the_room_holds_a_call_of_every_processor() {
        for processors in 1..=MOST_PROCESSORS {
            let room = room(processors);
            assert!(room.is_power_of_two() && room / 2 >= processors as usize * record::BYTES as usize);
        }
        assert_eq!(room(2), LEAST_ROOM);
    }

    #[test]
    fn records_are_calls_whatever_their_bytes() {
        let mut bytes = vec![0; record::BYTES as usize];
        let mut put = |at: i16, word: u64| bytes[at as usize..at as usize + 8].copy_from_slice(&word.to_le_bytes());
        put(record::PID_TID, 7 << 32 | 8);
        put(record::OPEN, 1000);
        put(record::OPEN + 8, program::UNKNOWN);
        put(record::END, 1500);
        put(record::AFTER, 3);
        put(record::RESULT, -12i64 as u64);
        put(record::STACK_BYTES, 16);
        put(record::REGISTERS + registers::CALL, 9);
        put(record::REGISTERS + registers::SI, 4096);
        put(record::STACK, 55);
        let call = told(&bytes).unwrap();
        assert_eq!((call.pid, call.tid, call.begin, call.end, call.rss), (7, 8, 1000, 1500, (None, 3 * OS_PAGE)));
        assert_eq!((call.registers.call, call.registers.arguments[1], call.registers.result), (9, 4096, -12));
        assert_eq!((call.stack.len(), call.stack[0]), (16, 55));
        for end in 0..bytes.len().min(record::STACK as usize) {
            assert!(told(&bytes[..end]).is_none(), "{end}");
        }
        let Some(Record::Call(call)) = record(&bytes) else { panic!("a call") };
        assert_eq!(call.tid, 8);
        bytes.fill(255);
        assert_eq!(told(&bytes).unwrap().stack.len(), bytes.len() - record::STACK as usize);
    }

    /// With the rights to it both ways are taken; without them both are refused for the same reason.
    #[test]
    fn calls_are_told_where_chunks_cannot_be_followed() {
        let told = |watch: Result<Watch, String>| watch.map(|watch| watch.lost());
        assert_eq!(told(Watch::with(false)), told(Watch::begin()));
    }

    #[test]
    fn records_of_their_length_are_chunks() {
        let words = [9 << 32 | 7, 0x5000].into_iter().chain(0x21..).map(u64::to_le_bytes);
        let bytes: Vec<u8> = words.take(chunks::BYTES as usize / 8).flatten().collect();
        let Some(Record::Chunks(chunks)) = record(&bytes) else { panic!("chunks") };
        assert_eq!((chunks.pid, chunks.start), (7, 0x5000));
        assert_eq!(chunks.words().collect::<Vec<_>>(), (0x21..0x31).collect::<Vec<_>>());
        assert!(record(&bytes[..bytes.len() - 8]).is_none());
    }
}
