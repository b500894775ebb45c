//! What a process costs before it has done anything.

use crate::setting::{Figure, Kind, Program, Setting};

/// The set `startup`.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting::micro("start-time", Kind::Start, "us", &["start", "{trivial}"]).short(),
    Setting {
        figure: Figure::Memory { unit: "KiB" },
        program: Program::Trivial,
        ..Setting::micro("start-anon", Kind::Start, "KiB", &["tell"]).short()
    },
];
