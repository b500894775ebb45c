//! Counts of system calls.

/// The calls by which a program gets memory from the kernel and gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryCall {
    Brk,
    Mmap,
    Munmap,
    Mremap,
    Madvise,
    Mprotect,
}

impl MemoryCall {
    /// All of them in order.
    pub(crate) const ALL: [MemoryCall; 6] = [
        MemoryCall::Brk,
        MemoryCall::Mmap,
        MemoryCall::Munmap,
        MemoryCall::Mremap,
        MemoryCall::Madvise,
        MemoryCall::Mprotect,
    ];

    /// The call of a number, if it is one of them.
    pub(crate) fn of(number: i64) -> Option<MemoryCall> {
        Some(match number {
            libc::SYS_brk => MemoryCall::Brk,
            libc::SYS_mmap => MemoryCall::Mmap,
            libc::SYS_munmap => MemoryCall::Munmap,
            libc::SYS_mremap => MemoryCall::Mremap,
            libc::SYS_madvise | libc::SYS_process_madvise => MemoryCall::Madvise,
            libc::SYS_mprotect => MemoryCall::Mprotect,
            _ => return None,
        })
    }

    /// Its name.
    pub(crate) fn key(self) -> &'static str {
        match self {
            MemoryCall::Brk => "brk",
            MemoryCall::Mmap => "mmap",
            MemoryCall::Munmap => "munmap",
            MemoryCall::Mremap => "mremap",
            MemoryCall::Madvise => "madvise",
            MemoryCall::Mprotect => "mprotect",
        }
    }
}

/// System calls of one run, of all its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// All calls.
    pub(crate) all: u64,
    memory: [u64; MemoryCall::ALL.len()],
    /// Counted to the end.
    pub(crate) complete: bool,
}

impl Calls {
    /// Counts a call.
    pub(crate) fn add(&mut self, call: Option<MemoryCall>) {
        self.all += 1;
        if let Some(call) = call {
            self.memory[call as usize] += 1;
        }
    }

    /// How often a call was made.
    pub(crate) fn get(&self, call: MemoryCall) -> u64 {
        self.memory[call as usize]
    }

    /// Calls for memory.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_for_memory_are_counted_by_name() {
        let mut calls = Calls::default();
        for number in [libc::SYS_brk, libc::SYS_read, libc::SYS_process_madvise, libc::SYS_brk] {
            calls.add(MemoryCall::of(number));
        }
        assert_eq!((calls.all, calls.memory()), (4, 3));
        assert_eq!((calls.get(MemoryCall::Brk), calls.get(MemoryCall::Madvise)), (2, 1));
        for (index, call) in MemoryCall::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, index);
        }
    }
}
