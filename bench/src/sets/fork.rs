//! What a fork costs the heap: redis-server saves in a child while it goes on serving, and each OS page that one of the two
//! writes to exists twice from then on.

use crate::setting::{Figure, Kind, Pinning, Program, Setting};

const fn cow(name: &'static str, environment: &'static [(&'static str, &'static str)]) -> Setting {
    Setting {
        figure: Figure::Memory { unit: "MiB" },
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
];
