//! What a fork costs the heap: the parent goes on while the child does something slow with what it found, as redis-server that
//! saves in a child, and each OS page that one of the two writes to exists twice from then on.

use super::programs::PYTHON;
use crate::setting::{Figure, Kind, Pinning, Program, Setting};

const MEMORY: Figure = Figure::Memory { unit: "MiB" };

const fn cow(name: &'static str, environment: &'static [(&'static str, &'static str)]) -> Setting {
    Setting {
        figure: MEMORY,
        pinning: Pinning::Free,
        own_malloc: true,
        driver: Some("redis-cow.sh"),
        environment,
        program: Program::Named { name: "redis-server", package: "redis-server" },
        ..Setting::micro(
            name,
            Kind::Fork,
            "MiB",
            &["--port", "0", "--unixsocket", "redis-cow.sock", "--save", "", "--loglevel", "warning"],
        )
    }
}

/// The set `fork`.
pub(crate) const SETTINGS: &[Setting] = &[
    cow("redis-cow", &[("COW_KEYS", "300000"), ("COW_HASHES", "5000"), ("COW_LISTS", "2000")]),
    cow("redis-cow-hot", &[("COW_KEYS", "30000"), ("COW_HASHES", "500"), ("COW_LISTS", "200")]),
    cow("redis-cow-mixed", &[("COW_KEYS", "30000"), ("COW_HASHES", "5000"), ("COW_LISTS", "2000")]),
    Setting { figure: MEMORY, ..Setting::micro("fork-random", Kind::Fork, "MiB", &["forked", "400000"]).free() },
    Setting {
        figure: MEMORY,
        environment: &[("PYTHONMALLOC", "malloc")],
        program: PYTHON,
        ..Setting::micro("fork-dicts", Kind::Fork, "MiB", &["dicts.py"]).free()
    },
];
