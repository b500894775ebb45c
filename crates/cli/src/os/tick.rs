//! A timer that ends a system call of the thread that made it, again and again.
//!
//! `wait4` has no time limit. A signal that arrives just before the call would be missed; the next tick is not.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Ticks until it is dropped.
pub(crate) struct Tick {
    timer: libc::timer_t,
    /// How SIGALRM was handled, and whether it was blocked.
    action: libc::sigaction,
    mask: libc::sigset_t,
}

extern "C" fn ignore(_: i32) {}

impl Tick {
    /// Begins to tick in this thread: SIGALRM, which does nothing but end the call that it meets.
    pub(crate) fn start(pause: Duration) -> io::Result<Tick> {
        let mut timer = std::ptr::null_mut();
        // SAFETY: [plain-data] sigevent is integers and a pointer that is not used here.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        // SAFETY: [no-memory] only asks.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        // SAFETY: [valid-out-pointer] both live on this frame.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let (mut old, mut mask) = (super::action(libc::SIG_DFL), super::empty_set());
        // No SA_RESTART: the call shall end.
        let new = super::action(ignore as *const () as libc::sighandler_t);
        // SAFETY: [valid-out-pointer] all of them live on this frame.
        unsafe {
            libc::sigaction(libc::SIGALRM, &new, &mut old);
            libc::sigprocmask(libc::SIG_UNBLOCK, &super::set_of(&[libc::SIGALRM]), &mut mask);
        }
        let tick = Tick { timer, action: old, mask };
        tick.set(pause);
        Ok(tick)
    }

    /// Ticks after this time, and then once in as much.
    pub(crate) fn set(&self, pause: Duration) {
        let pause = pause.max(Duration::from_micros(100));
        let time = libc::timespec { tv_sec: pause.as_secs() as i64, tv_nsec: i64::from(pause.subsec_nanos()) };
        let time = libc::itimerspec { it_interval: time, it_value: time };
        // SAFETY: [valid-out-pointer] the time lives on this frame, the timer is ours.
        unsafe { libc::timer_settime(self.timer, 0, &time, std::ptr::null_mut()) };
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        // SAFETY: [valid-out-pointer] the timer is ours, action and mask came from the kernel.
        unsafe {
            libc::timer_delete(self.timer);
            libc::sigprocmask(libc::SIG_SETMASK, &self.mask, std::ptr::null_mut());
            libc::sigaction(libc::SIGALRM, &self.action, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_call_that_would_last_is_ended_again_and_again() {
        let begin = Instant::now();
        let tick = Tick::start(Duration::from_millis(5)).unwrap();
        for _ in 0..3 {
            // SAFETY: [no-memory] waits for a signal.
            assert_eq!(unsafe { libc::pause() }, -1);
        }
        assert!(begin.elapsed() >= Duration::from_millis(15));
        drop(tick);
        let mut old = super::super::action(libc::SIG_DFL);
        // SAFETY: [valid-out-pointer] only asks; `old` lives on this frame.
        unsafe { libc::sigaction(libc::SIGALRM, std::ptr::null(), &mut old) };
        assert_eq!(old.sa_sigaction, libc::SIG_DFL);
    }
}
