//! The engine of the C library.

brkmap_core::face!(
    concat!(
        "brkmap_c_",
        env!("CARGO_PKG_VERSION_MAJOR"),
        "_",
        env!("CARGO_PKG_VERSION_MINOR"),
        "_",
        env!("CARGO_PKG_VERSION_PATCH"),
        "_heap"
    ),
    brkmap_wire::face::C,
    crate::errno::no_memory,
    crate::environment::settings
);
