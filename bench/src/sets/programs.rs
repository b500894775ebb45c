//! Programs that people run, on generated inputs, about a second each.

use crate::setting::{Program, Setting};

const fn named(name: &'static str, package: &'static str) -> Program {
    Program::Named { name, package }
}

/// The interpreter itself, because `python3` may be a shell script that picks one.
const PYTHON: Program = Program::Printed {
    name: "python3",
    by: &["python3", "-c", "import sys; print(sys.executable)"],
    package: "python3",
};

/// The compiler proper; the `gcc` command only starts it.
const CC1: Program = Program::Printed { name: "cc1", by: &["gcc", "-print-prog-name=cc1"], package: "gcc" };

/// Debian's own: the rustc that rustup installs has jemalloc linked into it under malloc's own name, and an executable's
/// symbols come before those of a preloaded library.
const RUSTC: Program = named("/usr/bin/rustc", "rustc");

/// The set `programs`.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        environment: &[("PYTHONMALLOC", "malloc")],
        ..Setting::program("python-malloc", PYTHON, &["objects.py"]).short()
    },
    Setting::program("python-default", PYTHON, &["objects.py"]).short(),
    Setting::program("lua", named("lua", "lua5.4"), &["objects.lua"]).short(),
    Setting::program("perl", named("perl", "perl"), &["objects.pl"]).short(),
    Setting::program("sqlite3", named("sqlite3", "sqlite3"), &[":memory:", ".read query.sql"]).short(),
    Setting::program(
        "git-gc",
        named("git", "git"),
        &["-C", "repository.git", "gc", "--aggressive", "--quiet", "--prune=now"],
    )
    .short(),
    Setting::program("git-fsck", named("git", "git"), &["-C", "repository.git", "fsck", "--full", "--no-progress"]),
    Setting::program("cc1", CC1, &["-quiet", "-O1", "-o", "large.s", "large.c"]).short(),
    Setting::program("xz-1", named("xz", "xz-utils"), &["-T1", "-2", "--keep", "--stdout", "text.txt"]),
    Setting::program(
        "xz-2",
        named("xz", "xz-utils"),
        &["-T2", "--block-size=1MiB", "-2", "--keep", "--stdout", "text.txt"],
    )
    .free(),
    Setting::program("g++", named("g++", "g++"), &["-S", "-O1", "-o", "templates.s", "templates.cc"]).short(),
    Setting::program("node", named("node", "nodejs"), &["objects.js"]).free(),
    Setting::program("ruby", named("ruby", "ruby"), &["objects.rb"]),
    Setting::program("openssl", named("openssl", "openssl"), &["storeutl", "-noout", "-text", "certificates.pem"])
        .short(),
    Setting::program(
        "ghostscript",
        named("gs", "ghostscript"),
        &["-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=ppmraw", "-r72", "-sOutputFile=/dev/null", "page.ps"],
    )
    .short(),
    Setting::program("z3", named("z3", "z3"), &["puzzle.smt2"]).short(),
    Setting::program("bash", named("bash", "bash"), &["loops.sh"]).short(),
    Setting::program(
        "db_bench",
        named("db_bench", "rocksdb-tools"),
        &[
            "--benchmarks=fillrandom,readrandom,readseq",
            "--num=80000",
            "--value_size=100",
            "--write_buffer_size=2097152",
            "--compression_type=none",
            "--disable_wal=1",
            "--seed=1",
            "--db=rocksdb",
        ],
    )
    .short(),
    Setting::program(
        "rustc",
        RUSTC,
        &[
            "--edition=2021",
            "--crate-type=lib",
            "--emit=obj",
            "-Ccodegen-units=1",
            "-Copt-level=0",
            "-o",
            "large.o",
            "large.rs",
        ],
    ),
    Setting {
        driver: Some("redis-client.sh"),
        own_malloc: true,
        ..Setting::program(
            "redis",
            named("redis-server", "redis-server"),
            &["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--loglevel", "warning"],
        )
    },
];
