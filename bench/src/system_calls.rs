//! The system calls of a run, as `strace -f -c` counts them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The calls by which an allocator gets memory and gives it back.
const FOR_MEMORY: [&str; 6] = ["brk", "mmap", "munmap", "mremap", "madvise", "mprotect"];

/// How many calls one run made, its children's among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SystemCalls {
    /// All of them.
    pub all: u64,
    /// Those for memory: brk, mmap, munmap, mremap, madvise, mprotect. The loader's own are among them.
    pub for_memory: u64,
}

impl SystemCalls {
    /// Reads the table that strace wrote.
    pub(crate) fn read(path: &Path) -> Result<SystemCalls> {
        let text = std::fs::read_to_string(path).with_context(|| format!("strace wrote no {}", path.display()))?;
        SystemCalls::parse(&text).with_context(|| format!("strace's table has no rows: {:?}", text.trim()))
    }

    /// Rows are `% time, seconds, usecs/call, calls, [errors,] syscall`; the last one is the total.
    fn parse(table: &str) -> Option<SystemCalls> {
        let mut counted = SystemCalls { all: 0, for_memory: 0 };
        for line in table.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(name), Some(Ok(calls))) = (fields.last(), fields.get(3).map(|calls| calls.parse::<u64>())) else {
                continue;
            };
            if *name != "total" {
                counted.all += calls;
                counted.for_memory += if FOR_MEMORY.contains(name) { calls } else { 0 };
            }
        }
        (counted.all > 0).then_some(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_for_memory_are_a_part_and_the_total_is_no_call() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     60.00    0.000100          12         8           mmap\n \
                     40.00    0.000050          25         2         1 access\n  \
                     0.00    0.000000           0         3           brk\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000150          11        13         1 total\n";
        assert_eq!(SystemCalls::parse(table), Some(SystemCalls { all: 13, for_memory: 11 }));
        assert_eq!(SystemCalls::parse("strace: attach: Operation not permitted\n"), None);
    }
}
