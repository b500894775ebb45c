//! The Rust side: formatting, lints, unit tests, models; and the two tasks that only pass arguments on.

use crate::context::Context;
use crate::library::cargo;
use crate::process;
use std::path::Path;

/// `(name, arguments of cargo)`. The C library is no test target: it has no standard library and brings its own panic
/// handler, which cannot be in one build with the test-only features of its dependencies; so it is checked on its own.
const CHECKS: &[(&str, &[&str])] = &[
    ("fmt", &["fmt", "--all", "--check"]),
    (
        "clippy",
        &["clippy", "--locked", "--workspace", "--all-targets", "--exclude", "brkmap-capi", "--", "-D", "warnings"],
    ),
    ("toolbox-bare", &["check", "--locked", "-p", "brkmap-toolbox", "--no-default-features"]),
    // A workspace of its own, so that nobody else builds its rivals: checked here, or it would rot.
    ("fmt-bench-toolbox", &["fmt", "--manifest-path", "bench/toolbox/Cargo.toml", "--check"]),
    (
        "clippy-bench-toolbox",
        &["clippy", "--locked", "--manifest-path", "bench/toolbox/Cargo.toml", "--", "-D", "warnings"],
    ),
    ("fmt-bench-rivals", &["fmt", "--all", "--manifest-path", "bench/rivals/Cargo.toml", "--check"]),
    // Those of its members that need no C code to be built.
    (
        "clippy-bench-rivals",
        &[
            "clippy",
            "--locked",
            "--manifest-path",
            "bench/rivals/Cargo.toml",
            "--target-dir",
            "target/rivals",
            "--all-targets",
            "-p",
            "rival-workload",
            "-p",
            "rival-layer",
            "-p",
            "rival-glibc",
            "-p",
            "rival-brkmap",
            "-p",
            "rival-rusty_alloc",
            "-p",
            "rival-smmalloc",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("clippy-capi", &["clippy", "--locked", "--release", "-p", "brkmap-capi", "--", "-D", "warnings"]),
    (
        "unit",
        &[
            "test",
            "--locked",
            "--workspace",
            "--exclude",
            "brkmap-capi",
            "--exclude",
            "brkmap-models",
            "--exclude",
            "brkmap-core",
            "--exclude",
            "brkmap-cli",
        ],
    ),
    ("command", &["test", "--locked", "--profile", "proof", "-p", "brkmap-cli"]),
    ("core", &["test", "--locked", "--profile", "proof", "-p", "brkmap-core"]),
    ("models", &["test", "--locked", "--profile", "proof", "-p", "brkmap-models"]),
];

/// Runs them all.
pub(crate) fn run(context: &mut Context) {
    if CHECKS.iter().any(|(name, _)| context.selects("rust", name)) {
        context.report.section("rust");
    }
    for (name, args) in CHECKS {
        if context.selects("rust", name) {
            let root = context.root.clone();
            context.report.check("rust", name, || process::shown(cargo(&root).args(*args)));
        }
    }
}

/// The model test at length: `[OPERATIONS [FIRST_SEED]]`, else what the environment says, else 10^9 from seed 1 on.
pub(crate) fn soak(args: &[String]) -> Result<bool, String> {
    let mut cargo = cargo(root()?);
    cargo.args(["test", "--locked", "--profile", "proof", "-p", "brkmap-core", "--test", "model", "--", "--nocapture"]);
    cargo.args(["--exact", "the_heap_is_what_the_model_says"]);
    if args.len() > 2 {
        return Err("usage: cargo xtask soak [OPERATIONS [FIRST_SEED]]".into());
    }
    for (name, value) in ["BRKMAP_MODEL_OPS", "BRKMAP_MODEL_SEED"].into_iter().zip(args) {
        cargo.env(name, value);
    }
    if args.is_empty() && std::env::var_os("BRKMAP_MODEL_OPS").is_none() {
        cargo.env("BRKMAP_MODEL_OPS", "1000000000");
    }
    process::shown(&mut cargo).map(|()| true)
}

/// The benchmark runner, with the caller's arguments.
pub(crate) fn bench(args: &[String]) -> Result<bool, String> {
    let mut cargo = cargo(root()?);
    cargo.args(["run", "--locked", "--release", "-p", "brkmap-bench", "--"]).args(args);
    process::shown(&mut cargo).map(|()| true)
}

fn root() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| "xtask has no parent directory".into())
}
