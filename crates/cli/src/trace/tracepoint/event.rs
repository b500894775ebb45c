//! Events of `perf_event_open`.

use super::record::REGISTERS;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Bytes of a stack in each record.
const STACK: u64 = 8 << 10;

const fn ioctl(number: u64) -> u64 {
    (b'$' as u64) << 8 | number
}

const ENABLE: u64 = ioctl(0);
const SET_OUTPUT: u64 = ioctl(5);
/// It takes the address of a string: `_IOW('$', 6, char *)`.
const SET_FILTER: u64 = 1 << 30 | 8 << 16 | ioctl(6);

/// Opens the tracepoint for a thread and all that it will start, on one processor.
pub(super) fn open(number: u64, tid: i32, processor: i32) -> io::Result<OwnedFd> {
    const TRACEPOINT: u64 = 2;
    const BYTES: usize = 112;
    /// TID, TIME, RAW, REGS_USER, STACK_USER.
    const SAMPLE: u64 = 1 << 1 | 1 << 2 | 1 << 10 | 1 << 12 | 1 << 13;
    /// disabled, inherit, comm, task, sample_id_all, comm_exec, use_clockid.
    const FLAGS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 24 | 1 << 25;
    const CLOEXEC: libc::c_ulong = 8;
    // struct perf_event_attr in words: type and size, config, period, sample type, read format, flags, wakeup, config1,
    // config2, branches, user registers, bytes of user stack and clock, interrupt registers, the rest.
    let mut attributes = [0u64; BYTES / 8];
    attributes[0] = TRACEPOINT | (BYTES as u64) << 32;
    attributes[1] = number;
    attributes[2] = 1;
    attributes[3] = SAMPLE;
    attributes[5] = FLAGS;
    attributes[10] = REGISTERS;
    attributes[11] = STACK | (libc::CLOCK_MONOTONIC as u64) << 32;
    // SAFETY: [valid-out-pointer] the kernel reads the bytes that the structure says it has.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_mut_ptr(), tid, processor, -1, CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [owned-fd] it was made just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn control(event: &OwnedFd, request: u64, argument: u64) -> io::Result<()> {
    // SAFETY: [valid-out-pointer] the argument is an integer, or the address of a string that the caller keeps alive.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets only records pass that fit an expression over the tracepoint's fields.
pub(super) fn filter(event: &OwnedFd, expression: &str) -> io::Result<()> {
    let text = CString::new(expression)?;
    control(event, SET_FILTER, text.as_ptr() as u64)
}

/// Sends an event's records to the ring of another one of the same processor.
pub(super) fn share(event: &OwnedFd, with: &OwnedFd) -> io::Result<()> {
    control(event, SET_OUTPUT, with.as_raw_fd() as u64)
}

/// Begins.
pub(super) fn enable(event: &OwnedFd) -> io::Result<()> {
    control(event, ENABLE, 0)
}
