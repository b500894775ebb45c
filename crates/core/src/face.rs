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

            fn thread_bytes(&self) -> usize {
                ::brkmap_sys::linux::helper::reach_below(current::distance())
            }

            fn helper_entry(&self) -> Option<extern "C" fn()> {
                extern "C" fn help() {
                    ENGINE.help();
                }
                Some(help)
            }

            fn started(&self) {
                register_fork_handlers();
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

        /// Registers the fork handlers, once: at the first allocation or when the program or library is loaded, whichever
        /// comes first. Who registers first is asked last before a fork, when the program's own handlers hold their locks.
        fn register_fork_handlers() {
            static REGISTERED: ::core::sync::atomic::AtomicBool = ::core::sync::atomic::AtomicBool::new(false);
            unsafe extern "C" fn prepare() {
                ENGINE.fork_prepare();
            }
            unsafe extern "C" fn parent() {
                ENGINE.fork_parent();
            }
            unsafe extern "C" fn child() {
                ENGINE.fork_child();
            }
            if !REGISTERED.swap(true, ::core::sync::atomic::Ordering::Relaxed) {
                // SAFETY: [fork-hooks] the handlers may run at any fork; glibc has room for the entry without malloc.
                unsafe { ::brkmap_sys::linux::at_fork::register(prepare, parent, child) };
            }
        }

        /// A library that is closed takes the helper's code with it.
        #[used]
        #[unsafe(link_section = ".fini_array")]
        static AT_UNLOAD: unsafe extern "C" fn() = {
            unsafe extern "C" fn at_unload() {
                ENGINE.stop_helper();
            }
            at_unload
        };

        #[used]
        #[unsafe(link_section = ".init_array")]
        static AT_LOAD: unsafe extern "C" fn() = {
            unsafe extern "C" fn at_load() {
                register_fork_handlers();
            }
            at_load
        };
    };
}
