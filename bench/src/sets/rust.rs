//! A Rust program (`bench/rivals/workload`) whose global allocator is the column's: linked in, with all of its inlined parts.

use crate::setting::{Figure, Kind, Program, Setting};

const fn rust(name: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting { kind: Kind::Rust, ..Setting::program(name, Program::Rust, arguments) }
}

/// The set `rust`.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting { figure: Figure::Time { unit: "ns" }, ..rust("rust-box-48", &["box-48"]) },
    rust("rust-vecs", &["vecs"]),
    rust("rust-map", &["map"]),
    rust("rust-strings", &["strings"]),
    rust("rust-tree", &["tree"]),
    rust("rust-btree", &["btree"]),
    rust("rust-tasks", &["tasks"]),
    rust("rust-tasks-2", &["tasks-2"]).free(),
];
