//! Builds the C library and hands it to the command, so that one `cargo build` makes one self-contained program.
//!
//! The library is not a dependency in Cargo's sense: it brings its own panic handler, is always built for release, and
//! must not inherit what was meant for the command (coverage flags, `clippy` as compiler, another profile or target).
//! So a second cargo builds it, in a folder of its own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders whose contents make the library. The build fails if it used a source outside of them: a change there would
/// go unnoticed and an old library would be tested.
const SOURCES: [&str; 4] = ["crates/capi", "crates/core", "crates/sys", "crates/wire"];
/// `CARGO_*` variables that say where packages come from. All others describe the outer build.
const KEPT: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];
/// The library interposes glibc's malloc, also when the command itself is built for another libc.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = own.join("../..").canonicalize().expect("the command lies two folders below the workspace");
    for path in SOURCES.iter().chain(&["Cargo.toml", "Cargo.lock", "crates/cli/build.rs"]) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let library = build(&root, &out);
    let bytes = std::fs::read(&library).unwrap_or_else(|error| panic!("cannot read {}: {error}", library.display()));
    println!("cargo::rustc-env=BRKMAP_LIBRARY={}", library.display());
    println!("cargo::rustc-env=BRKMAP_LIBRARY_HASH={:016x}", fnv1a(&bytes));
}

/// Runs the second cargo; returns the library.
fn build(root: &Path, out: &Path) -> PathBuf {
    let folder = out.join("lib");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept)) {
            cargo.env_remove(&*name);
        }
    }
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_BOOTSTRAP", "RUSTFLAGS", "RUSTDOCFLAGS"] {
        cargo.env_remove(name);
    }
    // Set and empty, it also outranks flags from configuration files.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    cargo.args(["build", "--release", "--locked", "--package", "brkmap-capi", "--target", TARGET]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(&folder);
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot start cargo for the C library: {error}"));
    assert!(status.success(), "the C library did not build ({status}); its messages are above");
    let built = folder.join(TARGET).join("release");
    check_sources(root, &built.join("libbrkmap_c.d"));
    built.join("libbrkmap_c.so")
}

/// Compares what the compiler read with what is watched.
fn check_sources(root: &Path, dep_info: &Path) {
    let text =
        std::fs::read_to_string(dep_info).unwrap_or_else(|error| panic!("cannot read {}: {error}", dep_info.display()));
    let list = text.split_once(": ").map_or("", |(_, list)| list).replace("\\ ", "\u{0}");
    for file in list.split_whitespace().map(|file| file.replace('\u{0}', " ")) {
        let watched = SOURCES.iter().any(|folder| Path::new(&file).starts_with(root.join(folder)));
        assert!(watched, "the C library uses {file}, which is in none of the folders that crates/cli/build.rs watches");
    }
}

/// FNV-1a: a name for the contents, not a proof of them (the command compares the bytes).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
