//! What both faces need and each must have of its own: the engine, the thread word, the root, the hooks.

/// Defines a face's `Face` platform and its `ENGINE`.
///
/// `$symbol` names the thread word, `$face` is one of [`brkmap_wire::face`], `$no_memory` runs before a request is answered
/// with null, `$settings` (if given) says what the environment asks for. The crate must depend on `brkmap-sys` and `brkmap-wire`.
#[macro_export]
macro_rules! face {
    ($symbol:expr, $face:expr, $no_memory:path $(, $settings:path)?) => {
        ::brkmap_sys::thread_word! {
            /// This thread's heap.
            mod current: $crate::Heap, $symbol, $crate::EMPTY_HEAP
        }

        /// This face's platform.
        pub(crate) struct Face;

        /// Where inspectors find the engine: in `.data`, because its first bytes are not zero.
        static ROOT: $crate::RootCell = $crate::RootCell::new();

        /// The engine. All zero, so it costs no relocation and works before any constructor.
        pub(crate) static ENGINE: $crate::Engine<Face> = $crate::Engine::new(Face);

        impl $crate::Platform for Face {
            type Kernel = ::brkmap_sys::linux::Linux;

            #[inline(always)]
            fn kernel(&self) -> &Self::Kernel {
                &::brkmap_sys::linux::Linux
            }

            #[inline(always)]
            fn heap(&self) -> &'static $crate::Heap {
                // SAFETY: [thread-word] EMPTY_HEAP or what `set_heap` stored; heaps are never unmapped.
                unsafe { &*current::get() }
            }

            fn set_heap(&self, heap: &'static $crate::Heap) {
                current::set((&raw const *heap).cast_mut());
            }

            fn at_thread_exit(&self) -> bool {
                unsafe extern "C" fn thread_exit(_: *mut ::core::ffi::c_void) {
                    ENGINE.thread_exit();
                }
                // SAFETY: [thread-exit] the function works on this thread's heap alone and its code stays loaded.
                unsafe { ::brkmap_sys::linux::at_thread_exit::register(thread_exit, ::core::ptr::null_mut()) }
            }

            fn thread_bytes(&self) -> usize {
                ::brkmap_sys::linux::helper::reach_below(current::distance())
            }

            fn helper_entry(&self) -> Option<extern "C" fn()> {
                extern "C" fn help() {
                    ENGINE.help();
                }
                Some(help)
            }

            fn no_memory(&self) {
                $no_memory()
            }

            fn root(&self) -> Option<(&'static $crate::RootCell, u64)> {
                Some((&ROOT, $face))
            }

            $(fn settings(&self) -> $crate::config::Settings {
                $settings()
            })?
        }

        /// Registers the fork handlers when the program or library is loaded: early, so that they run last before a fork
        /// and first after it.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static AT_LOAD: unsafe extern "C" fn() = {
            unsafe extern "C" fn prepare() {
                ENGINE.fork_prepare();
            }
            unsafe extern "C" fn parent() {
                ENGINE.fork_parent();
            }
            unsafe extern "C" fn child() {
                ENGINE.fork_child();
            }
            unsafe extern "C" fn at_load() {
                // SAFETY: [fork-hooks] the handlers may run at any fork. Without memory for them, a child takes the locks
                // of threads that vanished over by itself.
                unsafe { ::brkmap_sys::linux::at_fork::register(prepare, parent, child) };
            }
            at_load
        };
    };
}
