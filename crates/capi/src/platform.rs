//! The engine of the C library, and how it meets threads and forks.

use core::ffi::c_void;

use brkmap_core::{EMPTY_HEAP, Engine, Heap, Platform, RootCell};
use brkmap_sys::linux::{Linux, at_fork, at_thread_exit};

brkmap_sys::thread_word! {
    /// This thread's heap.
    mod current: Heap, concat!("brkmap_c_", env!("CARGO_PKG_VERSION_MAJOR"), "_", env!("CARGO_PKG_VERSION_MINOR"), "_", env!("CARGO_PKG_VERSION_PATCH"), "_heap"), EMPTY_HEAP
}

/// The C library's platform.
pub(crate) struct CPlatform;

/// Where inspectors find this library's engine: in `.data`, because its first bytes are not zero.
static ROOT: RootCell = RootCell::new();

/// The engine. All zero, so it costs no relocation and works before any constructor.
pub(crate) static ENGINE: Engine<CPlatform> = Engine::new(CPlatform);

impl Platform for CPlatform {
    type Kernel = Linux;

    #[inline(always)]
    fn kernel(&self) -> &Linux {
        &Linux
    }

    #[inline(always)]
    fn heap(&self) -> &'static Heap {
        // SAFETY: [thread-word] EMPTY_HEAP or what `set_heap` stored; heaps are never unmapped.
        unsafe { &*current::get() }
    }

    fn set_heap(&self, heap: &'static Heap) {
        current::set((&raw const *heap).cast_mut());
    }

    fn at_thread_exit(&self) -> bool {
        // SAFETY: the function only works on this thread's heap; the library is never unloaded (NODELETE).
        unsafe { at_thread_exit::register(thread_exit, core::ptr::null_mut()) }
    }

    fn no_memory(&self) {
        crate::errno::set(crate::errno::ENOMEM);
    }

    fn root(&self) -> Option<(&'static RootCell, u64)> {
        Some((&ROOT, brkmap_wire::face::C))
    }
}

unsafe extern "C" fn thread_exit(_: *mut c_void) {
    ENGINE.thread_exit();
}

unsafe extern "C" fn fork_prepare() {
    ENGINE.fork_prepare();
}

unsafe extern "C" fn fork_parent() {
    ENGINE.fork_parent();
}

unsafe extern "C" fn fork_child() {
    ENGINE.fork_child();
}

/// Registers the fork handlers when the library is loaded: early, so that they run last before a fork and first after.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: unsafe extern "C" fn() = at_load;

unsafe extern "C" fn at_load() {
    // SAFETY: the handlers may run at any fork. If there is no memory for them, a child of a threaded process takes locks
    // of vanished threads over by itself.
    unsafe { at_fork::register(fork_prepare, fork_parent, fork_child) };
}
