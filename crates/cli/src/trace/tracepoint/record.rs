//! Records of the ring as values. Whatever the bytes are, the answer is a record or none.

use super::super::ptrace::Registers;
use crate::stack::Sample;

/// Registers in each record, as bits of `perf_regs.h`: ax, dx, si, di, bp, sp, ip, r8, r9, r10.
pub(super) const REGISTERS: u64 = 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 16 | 1 << 17 | 1 << 18;
const REGISTER_COUNT: usize = REGISTERS.count_ones() as usize;

/// The end of a call.
#[derive(Debug)]
pub(in super::super) struct CallRecord {
    pub(in super::super) pid: i32,
    pub(in super::super) tid: i32,
    /// Nanoseconds on CLOCK_MONOTONIC.
    pub(in super::super) time: u64,
    pub(in super::super) registers: Registers,
    pub(in super::super) sample: Sample<'static>,
}

#[derive(Debug)]
pub(super) enum Record {
    Call(Box<CallRecord>),
    Exec {
        pid: i32,
        time: u64,
    },
    Fork {
        parent: i32,
        child: i32,
        time: u64,
    },
    /// A process ended, not a mere thread.
    Exit {
        pid: i32,
        time: u64,
    },
    /// So many records found no room.
    Lost(u64),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn word(&mut self) -> Option<u64> {
        self.bytes(8).map(|bytes| u64::from_le_bytes(std::array::from_fn(|index| bytes[index])))
    }

    fn half(&mut self) -> Option<u32> {
        self.bytes(4).map(|bytes| u32::from_le_bytes(std::array::from_fn(|index| bytes[index])))
    }

    fn pair(&mut self) -> Option<(i32, i32)> {
        Some((self.half()? as i32, self.half()? as i32))
    }
}

impl Record {
    /// Reads one record with its head.
    pub(super) fn parse(bytes: &[u8]) -> Option<Record> {
        const LOST: u32 = 2;
        const COMM: u32 = 3;
        const EXIT: u32 = 4;
        const FORK: u32 = 7;
        const SAMPLE: u32 = 9;
        const COMM_EXEC: u16 = 1 << 13;
        let mut reader = Reader(bytes);
        let kind = reader.half()?;
        let flags = (reader.half()? & 0xffff) as u16;
        // Records other than samples end with their thread and time.
        let time = |bytes: &[u8]| Reader(bytes.get(bytes.len().checked_sub(8)?..)?).word();
        match kind {
            SAMPLE => call(reader).map(Box::new).map(Record::Call),
            COMM if flags & COMM_EXEC != 0 => Some(Record::Exec { pid: reader.pair()?.0, time: time(bytes)? }),
            FORK => {
                let (child, parent) = reader.pair()?;
                // A new thread has its process' number.
                (child != parent).then_some(Record::Fork { parent, child, time: time(bytes)? })
            }
            EXIT => {
                let (pid, _) = reader.pair()?;
                let (tid, _) = reader.pair()?;
                (pid == tid).then_some(Record::Exit { pid, time: time(bytes)? })
            }
            LOST => {
                reader.word()?;
                reader.word().map(Record::Lost)
            }
            _ => None,
        }
    }

    /// When it was made.
    pub(super) fn time(&self) -> u64 {
        match self {
            Record::Call(call) => call.time,
            Record::Exec { time, .. } | Record::Fork { time, .. } | Record::Exit { time, .. } => *time,
            Record::Lost(_) => u64::MAX,
        }
    }
}

fn call(mut reader: Reader) -> Option<CallRecord> {
    /// PERF_SAMPLE_REGS_ABI_64.
    const ABI_64: u64 = 2;
    let (pid, tid) = reader.pair()?;
    let time = reader.word()?;
    let raw = reader.half()? as usize;
    // The tracepoint's own part: 8 bytes that all have, the call's number, its result.
    let mut fields = Reader(reader.bytes(raw)?);
    fields.bytes(8)?;
    let (number, result) = (fields.word()? as i64, fields.word()? as i64);
    if reader.word()? != ABI_64 {
        return None;
    }
    let mut values = [0; REGISTER_COUNT];
    for value in &mut values {
        *value = reader.word()?;
    }
    let [_, dx, si, di, bp, sp, ip, r8, r9, r10] = values;
    let room = reader.word()? as usize;
    let stack = reader.bytes(room)?;
    let filled = if room > 0 { reader.word()? as usize } else { 0 };
    let registers =
        Registers { call: number, arguments: [di, si, dx, r10, r8, r9], result, instruction: ip, stack: sp, frame: bp };
    let bytes = stack.get(..filled).unwrap_or(stack).to_vec();
    Some(CallRecord {
        pid,
        tid,
        time,
        registers,
        sample: Sample { instruction: ip, stack: sp, frame: bp, bytes: bytes.into() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let words = |bytes: &mut Vec<u8>, words: &[u64]| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        words(&mut bytes, &[9, 7 | 8 << 32, 1234]);
        bytes.extend(28u32.to_le_bytes());
        words(&mut bytes, &[0, 11, 0]);
        bytes.extend([0; 4]);
        words(&mut bytes, &[2, 0, 3, 2, 1, 60, 70, 80, 5, 6, 4, 16, 111, 222, 8]);
        bytes
    }

    #[test]
    fn a_sample_is_a_call_with_its_stack() {
        let Some(Record::Call(call)) = Record::parse(&sample()) else { panic!("no call") };
        assert_eq!((call.pid, call.tid, call.time), (7, 8, 1234));
        assert_eq!((call.registers.call, call.registers.result), (11, 0));
        assert_eq!(call.registers.arguments, [1, 2, 3, 4, 5, 6]);
        assert_eq!((call.sample.frame, call.sample.stack, call.sample.instruction), (60, 70, 80));
        assert_eq!(*call.sample.bytes, 111u64.to_le_bytes());
    }

    #[test]
    fn cut_or_bent_records_are_none_or_others() {
        let whole = sample();
        for end in 0..whole.len() - 8 {
            assert!(Record::parse(&whole[..end]).is_none_or(|record| matches!(record, Record::Call(_))));
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                let _ = Record::parse(&bent);
            }
        }
    }
}
