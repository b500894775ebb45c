//! Measuring loops of `brkmap-micro` (its source is in `bench/c`).

use crate::setting::{Figure, Kind, Setting};

const fn hot(name: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting::micro(name, Kind::Path, "ns", arguments)
}

const fn pattern(name: &'static str, unit: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting::micro(name, Kind::Pattern, unit, arguments)
}

const fn block(name: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting { figure: Figure::Memory { unit: "B" }, ..pattern(name, "B", arguments) }
}

/// The set `micro`, but for the loops of several threads.
pub(crate) const SETTINGS: &[Setting] = &[
    hot("hot-16", &["hot", "16"]).short(),
    hot("hot-24", &["hot", "24"]),
    hot("hot-32", &["hot", "32"]),
    hot("hot-48", &["hot", "48"]),
    hot("hot-64", &["hot", "64"]).short(),
    hot("hot-100", &["hot", "100"]),
    hot("hot-128", &["hot", "128"]),
    hot("hot-256", &["hot", "256"]),
    hot("hot-512", &["hot", "512"]),
    hot("hot-1k", &["hot", "1024"]).short(),
    hot("hot-2k", &["hot", "2048"]),
    hot("hot-4k", &["hot", "4096"]),
    hot("hot-8k", &["hot", "8192"]).short(),
    hot("hot-16k", &["hot", "16384"]),
    hot("hot-32k", &["hot", "32768"]),
    hot("hot-40k", &["hot", "40960"]).short(),
    hot("sizes-32", &["sizes"]).short(),
    hot("calloc-64", &["calloc", "64"]),
    hot("calloc-4k", &["calloc", "4096"]),
    hot("calloc-64k", &["calloc", "65536"]),
    hot("aligned-64", &["aligned", "64"]),
    pattern("batch-lifo", "ns", &["lifo"]).short(),
    pattern("batch-fifo", "ns", &["fifo"]).short(),
    pattern("random-20k", "ns", &["random", "20000"]).short(),
    pattern("random-500k", "ns", &["random", "500000"]).short(),
    pattern("aligned-mixed", "ns", &["aligned-mixed"]).short(),
    pattern("small-1", "ns", &["small", "1"]).short(),
    pattern("ladder-1", "ns", &["ladder", "1"]).short(),
    pattern("phases-1", "ns", &["phases", "1"]).short(),
    pattern("vectors", "ns", &["vectors"]).short(),
    pattern("large-mixed", "us", &["large-mixed"]).short(),
    pattern("realloc-64m", "ms", &["realloc"]).short().apart(),
    pattern("large-1m", "us", &["large", "1048576"]).apart(),
    pattern("large-8m", "us", &["large", "8388608"]).short().apart(),
    pattern("large-64m", "us", &["large", "67108864"]).apart(),
    block("block-16", &["block", "16"]).short(),
    block("block-24", &["block", "24"]),
    block("block-40", &["block", "40"]).short(),
    block("block-64", &["block", "64"]),
    block("block-100", &["block", "100"]),
    block("block-200", &["block", "200"]).short(),
    block("block-1000", &["block", "1000"]),
];
