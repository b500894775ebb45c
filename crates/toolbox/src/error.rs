//! What can go wrong, in a form that says which call, how many bytes, and what to do about it.

use core::fmt;

/// The reason of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel refused a call; the number is its errno.
    Refused(i32),
    /// The source has no more room: a slice that is full, a mapping at its reserved end, an allocator that returned null.
    Exhausted,
    /// A size or an alignment that nothing could ever serve.
    BadRequest,
    /// The source cannot do this at all, for example grow in place.
    Unsupported,
    /// The program break was moved by somebody else, or libc and the kernel disagree about it.
    BreakNotOurs,
    /// A handle, mark or block that belongs elsewhere, was given back before, or is older than the last reset.
    Stale,
    /// A file or a shared memory that holds something else than what is being opened.
    WrongLayout,
    /// A file or a shared memory that is shorter than its header says.
    Truncated,
    /// Contents that contradict themselves, or a process that died in the middle of a change.
    Corrupt,
    /// Somebody else holds the lock.
    Locked,
    /// A descriptor that could shrink under us: it is not sealed.
    NotSealed,
}

/// An error of the toolbox: the call, the bytes it was about, the reason. Its text ends with the remedy.
///
/// ```
/// use brkmap_toolbox::{Bump, source::Slice};
/// let mut room = [core::mem::MaybeUninit::uninit(); 256];
/// let bump = Bump::over(Slice::new(&mut room));
/// let error = bump.try_alloc([0u8; 1000]).unwrap_err();
/// assert!(error.to_string().starts_with("Slice::acquire of 10"));
/// assert!(error.to_string().ends_with("use a larger slice"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    call: &'static str,
    bytes: usize,
    kind: ErrorKind,
    remedy: &'static str,
}

impl Error {
    /// An error of a source outside this crate.
    pub const fn new(kind: ErrorKind, call: &'static str, bytes: usize, remedy: &'static str) -> Error {
        Error { call, bytes, kind, remedy }
    }

    /// The call that failed.
    pub const fn call(&self) -> &'static str {
        self.call
    }

    /// The bytes that it was about: asked for, or where they lie.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Why.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        self.remedy
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes: ", self.call, self.bytes)?;
        match self.kind {
            ErrorKind::Refused(errno) => write!(f, "{} (errno {errno})", errno_text(errno))?,
            kind => f.write_str(text(kind))?,
        }
        write!(f, "; {}", self.remedy)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl core::error::Error for Error {}

const fn text(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Refused(_) => "refused",
        ErrorKind::Exhausted => "no more room",
        ErrorKind::BadRequest => "no memory could ever serve this",
        ErrorKind::Unsupported => "this source cannot do that",
        ErrorKind::BreakNotOurs => "the program break is not where we left it",
        ErrorKind::Stale => "given back before, or from elsewhere",
        ErrorKind::WrongLayout => "the memory holds something else",
        ErrorKind::Truncated => "the memory is shorter than its header says",
        ErrorKind::Corrupt => "the contents contradict themselves",
        ErrorKind::Locked => "somebody else holds it",
        ErrorKind::NotSealed => "the descriptor is not sealed against shrinking",
    }
}

/// The words of errno(3) for the numbers that memory calls return.
const fn errno_text(errno: i32) -> &'static str {
    match errno {
        1 => "operation not permitted",
        2 => "no such file",
        4 => "interrupted",
        5 => "input/output error",
        9 => "bad file descriptor",
        11 => "try again",
        12 => "cannot allocate memory",
        13 => "permission denied",
        14 => "bad address",
        16 => "busy",
        17 => "file exists",
        19 => "the file cannot be mapped",
        21 => "is a directory",
        22 => "invalid argument",
        24 => "too many open files",
        27 => "file too large",
        28 => "no space left on device",
        30 => "read-only file system",
        38 => "the kernel has no such call",
        95 => "not supported",
        _ => "refused by the kernel",
    }
}

/// Ends a call without a `try_` in its name: its contract is to succeed or panic.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn give_up(error: Error) -> ! {
    panic!("{error}")
}
