//! How long single calls take while two threads replace blocks of mixed sizes (`bench/c/latency.c`).

use crate::setting::{Kind, Program, Setting};

const fn latency(name: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting { program: Program::Latency, ..Setting::micro(name, Kind::Latency, "ns", arguments).free() }
}

/// The set `latency`.
pub(crate) const SETTINGS: &[Setting] = &[
    latency("malloc-p50", &["malloc", "50"]),
    latency("malloc-p99", &["malloc", "99"]),
    latency("malloc-p99.9", &["malloc", "99.9"]),
    latency("malloc-p99.99", &["malloc", "99.99"]),
    latency("free-p50", &["free", "50"]),
    latency("free-p99", &["free", "99"]),
    latency("free-p99.9", &["free", "99.9"]),
    latency("free-p99.99", &["free", "99.99"]),
];
