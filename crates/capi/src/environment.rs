//! The settings of this process: its environment and the string it may have compiled in, read without allocating by the
//! first call that needs them, which is before the first block is handed out.
//!
//! That may be very early: the loader's own allocations come here before libc's first constructor has set `environ`.
//! Then the environment is read where the kernel put it, behind the arguments on the first thread's stack.

use core::ffi::{CStr, c_char, c_ulong};
use core::ptr::{null, with_exposed_provenance};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use brkmap_core::config::{self, Key, Line, Settings};
use brkmap_sys::linux::Linux;
use brkmap_sys::{Kernel, weak_address};

use crate::errno;

/// Entry of the auxiliary vector: the process has more rights than its caller (set-user-ID and the like).
const AT_SECURE: c_ulong = 23;

type Text = *const c_char;

unsafe extern "C" {
    static environ: *const Text;
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// `show_stats` is on.
static SHOW_STATS: AtomicBool = AtomicBool::new(false);

/// Writes the statistics when the program ends by `exit`, if it was asked for.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = {
    extern "C" fn at_exit() {
        if SHOW_STATS.load(Relaxed) {
            Linux.write_error(Line::at_exit(Linux.process_id()).bytes());
            crate::report::to_stderr(0);
        }
    }
    at_exit
};

/// Reads the settings, and says what makes no sense in them.
#[cold]
pub(crate) fn settings() -> Settings {
    if errno::kept(|| getauxval(AT_SECURE)) != 0 {
        return Settings::NONE;
    }
    let environment = environment();
    let entries = (0..length(environment)).filter_map(move |index| entry(environment, index));
    let mut complained = false;
    let settings = config::read(entries, compiled(), &mut |complaint| {
        complained = true;
        Linux.write_error(complaint.line().bytes());
    });
    SHOW_STATS.store(settings.is_on(Key::ShowStats), Relaxed);
    if settings.is_on(Key::Verbose) {
        Linux.write_error(Line::of_settings(&settings).bytes());
    }
    if complained && settings.is_on(Key::AbortConf) {
        Linux.write_error(b"brkmap: fatal: an option makes no sense (see above), and abort_conf is on\n");
        Linux.abort();
    }
    settings
}

/// The environment as an array of strings that null ends.
fn environment() -> *const Text {
    // SAFETY: [libc-contract] a variable of libc, null until libc's first constructor ran; as with getenv, who changes it
    // while another thread makes the first allocation of the process has a race already.
    let known = unsafe { (&raw const environ).read() };
    if !known.is_null() {
        return known;
    }
    let stack = weak_address!("__libc_stack_end");
    if stack == 0 {
        return null();
    }
    // SAFETY: [weak-symbol] the loader's variable, which it sets before it loads anything; libc has no other way here, as
    // a static program sets `environ` before all else.
    let start = unsafe { with_exposed_provenance::<*const usize>(stack).read() };
    if start.is_null() {
        return null();
    }
    // SAFETY: [libc-contract] the process's stack begins with the number of arguments, the arguments, null, and the
    // environment (System V ABI, x86-64, 3.4.1).
    unsafe { start.add(1 + start.read() + 1).cast() }
}

fn length(environment: *const Text) -> usize {
    let mut length = 0;
    // SAFETY: [libc-contract] null, or an array that null ends.
    while !environment.is_null() && !unsafe { environment.add(length).read() }.is_null() {
        length += 1;
    }
    length
}

/// An entry that may matter.
fn entry<'e>(environment: *const Text, index: usize) -> Option<&'e [u8]> {
    // SAFETY: [libc-contract] below the length; entries are strings that a zero byte ends.
    unsafe {
        let text = environment.add(index).read();
        config::matters(text.cast::<u8>().read()).then(|| CStr::from_ptr(text).to_bytes())
    }
}

/// `const char *brkmap_conf`, if the program has it.
fn compiled<'e>() -> Option<&'e [u8]> {
    let variable = weak_address!("brkmap_conf");
    if variable == 0 {
        return None;
    }
    // SAFETY: [weak-symbol] the program's variable: null or a string (`docs/POLICY.md`).
    unsafe {
        let text = with_exposed_provenance::<Text>(variable).read();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_bytes())
    }
}
