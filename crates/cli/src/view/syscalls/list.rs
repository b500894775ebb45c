//! One call as one line, as strace writes it, with what it did behind.

use crate::model::calls::{Answer, Call, Kind};
use crate::model::verdict::mib;

/// `(value, name)` of each bit.
type Bits = [(u64, &'static str)];

const PROTECTIONS: [(u64, &str); 5] = [
    (libc::PROT_READ as u64, "PROT_READ"),
    (libc::PROT_WRITE as u64, "PROT_WRITE"),
    (libc::PROT_EXEC as u64, "PROT_EXEC"),
    (libc::PROT_GROWSDOWN as u64, "PROT_GROWSDOWN"),
    (libc::PROT_GROWSUP as u64, "PROT_GROWSUP"),
];

const FLAGS: [(u64, &str); 11] = [
    (libc::MAP_FIXED as u64, "MAP_FIXED"),
    (libc::MAP_ANONYMOUS as u64, "MAP_ANONYMOUS"),
    (libc::MAP_GROWSDOWN as u64, "MAP_GROWSDOWN"),
    (libc::MAP_DENYWRITE as u64, "MAP_DENYWRITE"),
    (libc::MAP_LOCKED as u64, "MAP_LOCKED"),
    (libc::MAP_NORESERVE as u64, "MAP_NORESERVE"),
    (libc::MAP_POPULATE as u64, "MAP_POPULATE"),
    (libc::MAP_NONBLOCK as u64, "MAP_NONBLOCK"),
    (libc::MAP_STACK as u64, "MAP_STACK"),
    (libc::MAP_HUGETLB as u64, "MAP_HUGETLB"),
    (libc::MAP_FIXED_NOREPLACE as u64, "MAP_FIXED_NOREPLACE"),
];

const MOVES: [(u64, &str); 3] = [(1, "MREMAP_MAYMOVE"), (2, "MREMAP_FIXED"), (4, "MREMAP_DONTUNMAP")];

/// Names of advices by their number.
const ADVICES: [(u64, &str); 23] = [
    (0, "MADV_NORMAL"),
    (1, "MADV_RANDOM"),
    (2, "MADV_SEQUENTIAL"),
    (3, "MADV_WILLNEED"),
    (4, "MADV_DONTNEED"),
    (8, "MADV_FREE"),
    (9, "MADV_REMOVE"),
    (10, "MADV_DONTFORK"),
    (11, "MADV_DOFORK"),
    (12, "MADV_MERGEABLE"),
    (13, "MADV_UNMERGEABLE"),
    (14, "MADV_HUGEPAGE"),
    (15, "MADV_NOHUGEPAGE"),
    (16, "MADV_DONTDUMP"),
    (17, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
    (20, "MADV_COLD"),
    (21, "MADV_PAGEOUT"),
    (22, "MADV_POPULATE_READ"),
    (23, "MADV_POPULATE_WRITE"),
    (24, "MADV_DONTNEED_LOCKED"),
    (25, "MADV_COLLAPSE"),
];

/// Error numbers that these calls have.
const ERRORS: [(i32, &str); 9] = [
    (libc::EPERM, "EPERM"),
    (libc::EBADF, "EBADF"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EFAULT, "EFAULT"),
    (libc::EEXIST, "EEXIST"),
    (libc::EINVAL, "EINVAL"),
    (libc::ENOSYS, "ENOSYS"),
];

fn bits(value: u64, names: &Bits, none: &str) -> String {
    let mut rest = value;
    let mut parts: Vec<String> = Vec::new();
    for &(bit, name) in names {
        if rest & bit != 0 {
            parts.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        parts.push(format!("{rest:#x}"));
    }
    if parts.is_empty() { none.to_owned() } else { parts.join("|") }
}

fn flags(value: u64) -> String {
    let kind = match value & 3 {
        1 => "MAP_SHARED",
        2 => "MAP_PRIVATE",
        3 => "MAP_SHARED_VALIDATE",
        _ => "0",
    };
    match bits(value & !3, &FLAGS, "") {
        rest if rest.is_empty() => kind.to_owned(),
        rest => format!("{kind}|{rest}"),
    }
}

fn advice(value: u64) -> String {
    let name = ADVICES.iter().find(|(number, _)| *number == value & 0xffff_ffff).map(|(_, name)| *name);
    name.map_or_else(|| format!("{value:#x}"), str::to_owned)
}

fn address(value: u64) -> String {
    if value == 0 { "NULL".to_owned() } else { format!("{value:#x}") }
}

/// Name of an error number.
pub(super) fn error_name(number: i32) -> String {
    ERRORS.iter().find(|(known, _)| *known == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The call with its arguments and answer, as strace writes it.
pub(super) fn expression(call: &Call) -> String {
    let [a, b, c, d, e, f] = call.arguments;
    let protection = |value| bits(value, &PROTECTIONS, "PROT_NONE");
    let arguments = match call.kind {
        Kind::Brk => address(a),
        Kind::Mmap => {
            format!("{}, {b}, {}, {}, {}, {}", address(a), protection(c), flags(d), e as i32, offset(f))
        }
        Kind::Munmap => format!("{}, {b}", address(a)),
        Kind::Mremap if d & 2 != 0 => format!("{}, {b}, {c}, {}, {}", address(a), bits(d, &MOVES, "0"), address(e)),
        Kind::Mremap => format!("{}, {b}, {c}, {}", address(a), bits(d, &MOVES, "0")),
        Kind::Madvise => format!("{}, {b}, {}", address(a), advice(c)),
        Kind::Mprotect => format!("{}, {b}, {}", address(a), protection(c)),
        Kind::ProcessMadvise => format!("{}, {}, {c}, {}, {e:#x}", a as i32, address(b), advice(d)),
    };
    let answer = match (call.answer, call.kind) {
        (Answer::Refused(_), Kind::Brk) => "refused".to_owned(),
        (Answer::Refused(number), _) => format!("-1 {}", error_name(number)),
        (Answer::Value(value), Kind::Brk | Kind::Mmap | Kind::Mremap) => format!("{value:#x}"),
        (Answer::Value(value), _) => value.to_string(),
    };
    format!("{}({arguments}) = {answer}", call.kind.name())
}

fn offset(value: u64) -> String {
    if value == 0 { "0".to_owned() } else { format!("{value:#x}") }
}

/// The line of a call: time, thread, the call, its bytes with their sign, mechanism, RSS effect, place in the program.
pub(crate) fn line(call: &Call, place: Option<&str>) -> String {
    let mut notes = Vec::new();
    match call.change {
        change if change.usable != 0 => notes.push(signed(change.usable)),
        change if change.returned != 0 => notes.push(format!("gives back {}", amount(change.returned))),
        change if change.reserved != 0 => notes.push(format!("{} without access", signed(change.reserved))),
        _ => {}
    }
    notes.push(call.mechanism.label().to_owned());
    if let Some(effect) = call.rss_effect().filter(|effect| *effect != 0) {
        notes.push(format!("RSS {}", signed(effect)));
    }
    if let Some((from, to)) = call.moved {
        notes.push(format!("mmap threshold {} -> {}", amount(from), amount(to)));
    }
    notes.extend(place.map(|place| format!("by {place}")));
    format!("{:>11.6} {:>7} {}  ; {}", call.at.as_secs_f64(), call.tid, expression(call), notes.join("; "))
}

/// Bytes in words: in MiB, but what is below one, or very large.
pub(super) fn amount(bytes: u64) -> String {
    /// From here on in GiB.
    const LARGE: u64 = 100 << 30;
    /// And from here on in TiB.
    const HUGE: u64 = 100 << 40;
    match bytes {
        HUGE.. => format!("{:.1} TiB", bytes as f64 / (1u64 << 40) as f64),
        LARGE.. => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", (bytes + 512) / 1024),
        _ => mib(bytes),
    }
}

/// Bytes with their sign.
pub(super) fn signed(bytes: i64) -> String {
    format!("{}{}", if bytes < 0 { '-' } else { '+' }, amount(bytes.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calls::{Change, Mechanism};
    use std::time::Duration;

    fn call(kind: Kind, arguments: [u64; 6], answer: Answer) -> Call {
        Call {
            at: Duration::from_micros(1_234_567),
            took: None,
            pid: 7,
            tid: 8,
            kind,
            arguments,
            answer,
            mechanism: Mechanism::Private,
            change: Change::default(),
            rss_before: None,
            rss_after: None,
            stack: None,
            moved: None,
        }
    }

    #[test]
    fn calls_read_as_strace_writes_them() {
        let text = |kind, arguments, answer| expression(&call(kind, arguments, answer));
        let minus_one = u64::from(u32::MAX);
        assert_eq!(
            text(Kind::Mmap, [0, 8192, 3, 0x22, minus_one, 0], Answer::Value(0x7f00_0000_0000)),
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
        );
        assert_eq!(
            text(Kind::Mmap, [0x1000, 5, 0, 0x4022, minus_one, 0x2000], Answer::Refused(libc::ENOMEM)),
            "mmap(0x1000, 5, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0x2000) = -1 ENOMEM"
        );
        assert_eq!(text(Kind::Brk, [0; 6], Answer::Value(0x5000)), "brk(NULL) = 0x5000");
        assert_eq!(text(Kind::Brk, [0x9000, 0, 0, 0, 0, 0], Answer::Refused(12)), "brk(0x9000) = refused");
        assert_eq!(text(Kind::Munmap, [0x1000, 4096, 0, 0, 0, 0], Answer::Value(0)), "munmap(0x1000, 4096) = 0");
        assert_eq!(
            text(Kind::Mremap, [0x1000, 4096, 8192, 1, 0, 0], Answer::Value(0x3000)),
            "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = 0x3000"
        );
        assert_eq!(
            text(Kind::Madvise, [0x1000, 4096, 4, 0, 0, 0], Answer::Refused(999)),
            "madvise(0x1000, 4096, MADV_DONTNEED) = -1 999"
        );
        assert_eq!(
            text(Kind::Mprotect, [0x1000, 4096, 0x41, 0, 0, 0], Answer::Value(0)),
            "mprotect(0x1000, 4096, PROT_READ|0x40) = 0"
        );
    }

    #[test]
    fn what_a_call_did_stands_behind_it() {
        let mut call = call(Kind::Munmap, [0x1000, 5 << 20, 0, 0, 0, 0], Answer::Value(0));
        call.change.usable = -(5 << 20);
        (call.rss_before, call.rss_after) = (Some(9 << 20), Some(8 << 20));
        call.moved = Some((128 << 10, 5 << 20));
        let line = line(&call, Some("main (app)"));
        let expected = "   1.234567       8 munmap(0x1000, 5242880) = 0  ; -5.0 MiB; private mapping; RSS -1.0 MiB; \
                        mmap threshold 128 KiB -> 5.0 MiB; by main (app)";
        assert_eq!(line, expected);
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!([0, 1023, 1024, 135_168, 1 << 20].map(amount), ["0 B", "1023 B", "1 KiB", "132 KiB", "1.0 MiB"]);
        assert_eq!([99 << 30, 100 << 30, 100 << 40].map(amount), ["101376.0 MiB", "100.0 GiB", "100.0 TiB"]);
        assert_eq!([-4096, 0, 4096].map(signed), ["-4 KiB", "+0 B", "+4 KiB"]);
    }
}
