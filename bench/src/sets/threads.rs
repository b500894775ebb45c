//! Measuring loops of several threads (`bench/c/threads.c`, `pairs.c`, `ladder.c`, `phases.c`, `shared.c`). The number at the
//! end of a name is the number of threads, or of pairs of threads, or of those that free. The same amount of work is done
//! by any number of them.

use crate::setting::{Kind, Setting};

const fn threads(name: &'static str, unit: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting::micro(name, Kind::Threads, unit, arguments).free()
}

/// The set `threads`.
pub(crate) const SETTINGS: &[Setting] = &[
    threads("remote-64", "ns", &["remote", "1"]).short(),
    threads("remote-mixed", "ns", &["remote-mixed", "1"]).short(),
    threads("pairs-2", "ns", &["remote-mixed", "2"]).short(),
    threads("pairs-8", "ns", &["remote-mixed", "8"]).short(),
    threads("free-only-2", "ns", &["free-only", "2"]).short(),
    threads("free-only-8", "ns", &["free-only", "8"]).short(),
    threads("handover-2", "ns", &["handover", "2"]).short(),
    threads("handover-8", "ns", &["handover", "8"]).short(),
    threads("thread-churn", "us", &["churn"]).short(),
    threads("thread-churn-left", "us", &["churn-left"]).short(),
    threads("false-passive", "ns", &["false-passive", "2"]).short(),
    threads("false-active", "ns", &["false-active", "2"]).short(),
    threads("ladder-2", "ns", &["ladder", "2"]).short(),
    threads("ladder-8", "ns", &["ladder", "8"]).short(),
    threads("ladder-cross-2", "ns", &["ladder-cross", "2"]).short(),
    threads("ladder-cross-8", "ns", &["ladder-cross", "8"]).short(),
    threads("phases-2", "ns", &["phases", "2"]).short(),
    threads("phases-8", "ns", &["phases", "8"]).short(),
    threads("small-2", "ns", &["small", "2"]).short(),
    threads("small-8", "ns", &["small", "8"]).short(),
];
