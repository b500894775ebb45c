//! The engine of the Rust face.

brkmap_core::face!(
    concat!(
        "brkmap_rust_",
        env!("CARGO_PKG_VERSION_MAJOR"),
        "_",
        env!("CARGO_PKG_VERSION_MINOR"),
        "_",
        env!("CARGO_PKG_VERSION_PATCH"),
        "_heap"
    ),
    brkmap_wire::face::RUST,
    nothing
);

/// Rust's allocators report by the null pointer alone.
fn nothing() {}
