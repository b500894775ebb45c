//! The system calls by which a process gets, changes and returns memory, and what each of them did.
//!
//! ```text
//!   Raw (numbers at the end of a call) ──► Space (what lies where) ──► Call (mechanism, bytes and their sign)
//!                                     └──► Threshold (glibc's rule)    └──► Summary (by call, mechanism, site, time)
//! ```

pub(crate) mod space;
pub(crate) mod summary;
pub(crate) mod threshold;

use std::time::Duration;

/// The calls that matter for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Brk,
    Mmap,
    Munmap,
    Mremap,
    Madvise,
    Mprotect,
    ProcessMadvise,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Brk, Kind::Mmap, Kind::Munmap, Kind::Mremap, Kind::Madvise, Kind::Mprotect, Kind::ProcessMadvise];

    /// The kernel's number for it.
    pub(crate) fn number(self) -> i64 {
        match self {
            Kind::Brk => libc::SYS_brk,
            Kind::Mmap => libc::SYS_mmap,
            Kind::Munmap => libc::SYS_munmap,
            Kind::Mremap => libc::SYS_mremap,
            Kind::Madvise => libc::SYS_madvise,
            Kind::Mprotect => libc::SYS_mprotect,
            Kind::ProcessMadvise => libc::SYS_process_madvise,
        }
    }

    /// The call of a number.
    pub(crate) fn of(number: i64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its name, also in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Brk => "brk",
            Kind::Mmap => "mmap",
            Kind::Munmap => "munmap",
            Kind::Mremap => "mremap",
            Kind::Madvise => "madvise",
            Kind::Mprotect => "mprotect",
            Kind::ProcessMadvise => "process_madvise",
        }
    }

    /// Whether it may take resident memory away, so that RSS before it is of interest. `top` is the program break, where
    /// it is known: a call that raises it, or asks for it, takes nothing.
    pub(crate) fn may_return(self, arguments: &[u64; 6], top: Option<u64>) -> bool {
        match self {
            Kind::Mmap | Kind::Mprotect => false,
            Kind::Brk => arguments[0] != 0 && top.is_none_or(|top| arguments[0] < top),
            _ => true,
        }
    }
}

/// What memory is for, as far as the call that made it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mechanism {
    /// The program break.
    Break,
    /// A private anonymous mapping that malloc made for one block.
    Block,
    /// Another private anonymous mapping.
    Private,
    /// A range of the size of glibc's thread arenas, reserved without access and made usable piece by piece.
    Arena,
    /// Any other range that was reserved without access.
    Reserved,
    /// Stack of a thread.
    Stack,
    /// Private mapping of a file: programs, libraries.
    File,
    /// Shared mapping of a file.
    SharedFile,
    /// Shared memory without a file.
    Shared,
    /// The call was refused, or it met memory from before the tracing.
    Other,
}

impl Mechanism {
    pub(crate) const ALL: [Mechanism; 10] = [
        Mechanism::Break,
        Mechanism::Block,
        Mechanism::Private,
        Mechanism::Arena,
        Mechanism::Reserved,
        Mechanism::Stack,
        Mechanism::File,
        Mechanism::SharedFile,
        Mechanism::Shared,
        Mechanism::Other,
    ];

    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Mechanism::Break => "break",
            Mechanism::Block => "mapped_block",
            Mechanism::Private => "private",
            Mechanism::Arena => "thread_arena",
            Mechanism::Reserved => "reserved",
            Mechanism::Stack => "stack",
            Mechanism::File => "file",
            Mechanism::SharedFile => "shared_file",
            Mechanism::Shared => "shared",
            Mechanism::Other => "other",
        }
    }

    /// Name for people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Mechanism::Break => "break",
            Mechanism::Block => "mapped block",
            Mechanism::Private => "private mapping",
            Mechanism::Arena => "thread arena",
            Mechanism::Reserved => "reserved range",
            Mechanism::Stack => "thread stack",
            Mechanism::File => "program, libraries",
            Mechanism::SharedFile => "shared file",
            Mechanism::Shared => "shared memory",
            Mechanism::Other => "other",
        }
    }
}

/// What a call answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(u64),
    /// errno.
    Refused(i32),
}

impl Answer {
    /// From the register. `brk` has no error numbers: it answers with the break that is in force.
    pub(crate) fn of(kind: Kind, arguments: &[u64; 6], result: i64) -> Answer {
        match kind {
            Kind::Brk if arguments[0] != 0 && result as u64 != arguments[0] => Answer::Refused(libc::ENOMEM),
            _ if (-4095..0).contains(&result) => Answer::Refused(-result as i32),
            _ => Answer::Value(result as u64),
        }
    }

    /// Whether the kernel refused.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Answer::Refused(_))
    }
}

/// What a call did to the address space, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Usable memory that came or went: readable, writable or both.
    pub(crate) usable: i64,
    /// Address space without access that came or went.
    pub(crate) reserved: i64,
    /// Contents that were given back while the range stayed.
    pub(crate) returned: u64,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Time of its end since the beginning of the tracing.
    pub(crate) at: Duration,
    /// Between its two stops: with the tracer's own time. `None` where only its end was seen.
    pub(crate) took: Option<Duration>,
    pub(crate) pid: i32,
    pub(crate) tid: i32,
    pub(crate) kind: Kind,
    pub(crate) arguments: [u64; 6],
    pub(crate) answer: Answer,
    pub(crate) mechanism: Mechanism,
    pub(crate) change: Change,
    /// RSS before the call, where the call may return memory.
    pub(crate) rss_before: Option<u64>,
    /// RSS after it, where it was read.
    pub(crate) rss_after: Option<u64>,
    /// Number of its stack.
    pub(crate) stack: Option<u32>,
    /// It was a free that moved glibc's mmap threshold: from, to.
    pub(crate) moved: Option<(u64, u64)>,
}

impl Call {
    /// What the call did to RSS. Calls that only make room do nothing yet: memory is resident when it is touched.
    pub(crate) fn rss_effect(&self) -> Option<i64> {
        Some(self.rss_after? as i64 - self.rss_before? as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_the_kernels() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.number()), Some(kind));
        }
        assert_eq!(Kind::of(0), None);
        assert_eq!((Kind::Brk.number(), Kind::ProcessMadvise.number()), (12, 440));
    }

    #[test]
    fn refusals_have_their_error_number() {
        let none = [0; 6];
        assert_eq!(Answer::of(Kind::Mmap, &none, -12), Answer::Refused(12));
        assert_eq!(Answer::of(Kind::Mmap, &none, 0x7fff_0000_0000), Answer::Value(0x7fff_0000_0000));
        assert_eq!(Answer::of(Kind::Brk, &none, 0x5000), Answer::Value(0x5000), "a question");
        assert_eq!(Answer::of(Kind::Brk, &[0x6000, 0, 0, 0, 0, 0], 0x5000), Answer::Refused(libc::ENOMEM));
    }
}
