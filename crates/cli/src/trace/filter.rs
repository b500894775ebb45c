//! The seccomp filter that lets all system calls but a few run at full speed.
//!
//! It is installed in the child before its exec and stays in force in all its descendants. Linux remembers for each call
//! number whether a filter lets it pass, so the calls that are not named cost next to nothing.

use crate::model::calls::Kind;
use std::io;

/// AUDIT_ARCH_X86_64: the calls of 32-bit programs have other numbers and pass.
const ARCHITECTURE: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// Loading and comparing the architecture, loading the number, comparing it with each call, letting pass, tracing each.
const LENGTH: usize = 3 + Kind::ALL.len() + 1 + Kind::ALL.len();

/// The program for the kernel; made before the fork.
pub(crate) struct Filter([libc::sock_filter; LENGTH]);

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const fn jump(k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt, jf, k }
}

impl Filter {
    /// The filter that stops at the calls of [`Kind`], and says which it is as the message of the event.
    pub(crate) fn new() -> Filter {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let mut code = [statement(RETURN, libc::SECCOMP_RET_ALLOW); LENGTH];
        let kinds = Kind::ALL.len();
        code[0] = statement(LOAD, ARCHITECTURE_AT);
        // Jumps count from the next instruction.
        code[1] = jump(ARCHITECTURE, 0, (1 + kinds) as u8);
        code[2] = statement(LOAD, NUMBER_AT);
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            code[3 + index] = jump(kind.number() as u32, kinds as u8, 0);
            code[3 + kinds + 1 + index] = statement(RETURN, libc::SECCOMP_RET_TRACE | kind as u32);
        }
        Filter(code)
    }

    /// Puts the filter into force for the calling thread. Async-signal-safe: the forked child calls it before exec.
    pub(crate) fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: LENGTH as u16, filter: self.0.as_ptr().cast_mut() };
        // The superuser may do it as it is, and then programs that change user still can. Others have to promise that
        // no program gains rights, which under a tracer without privileges none does anyway.
        if seccomp(&program).is_ok() {
            return Ok(());
        }
        // SAFETY: [no-memory] takes integers.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        seccomp(&program)
    }
}

fn seccomp(program: &libc::sock_fprog) -> io::Result<()> {
    // SAFETY: [valid-out-pointer] the kernel copies the program, which is alive in the caller.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, program) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn answer(filter: &Filter, architecture: u32, number: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = filter.0[at];
            at += 1;
            match u32::from(step.code) & 7 {
                libc::BPF_LD => value = if step.k == ARCHITECTURE_AT { architecture } else { number },
                libc::BPF_JMP => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn the_named_calls_stop_and_all_others_pass() {
        let filter = Filter::new();
        for number in 0..600 {
            let named = Kind::of(i64::from(number));
            let expected = named.map_or(libc::SECCOMP_RET_ALLOW, |kind| libc::SECCOMP_RET_TRACE | kind as u32);
            assert_eq!(answer(&filter, ARCHITECTURE, number), expected, "{number}");
            assert_eq!(answer(&filter, 0x4000_0003, number), libc::SECCOMP_RET_ALLOW, "32-bit {number}");
        }
    }
}
