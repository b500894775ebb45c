//! What stays resident after most of the blocks were freed and the program does nothing (`bench/c/giveback.c`).

use crate::setting::{Figure, Kind, Pinning, Program, Setting};

const fn giveback(name: &'static str, arguments: &'static [&'static str]) -> Setting {
    Setting {
        figure: Figure::Memory { unit: "MiB" },
        program: Program::GiveBack,
        pinning: Pinning::Free,
        ..Setting::micro(name, Kind::GiveBack, "MiB", arguments)
    }
}

/// The set `giveback`.
pub(crate) const SETTINGS: &[Setting] = &[
    giveback("back-random", &["random"]),
    giveback("back-single", &["single"]),
    giveback("back-threads", &["threads"]),
    giveback("back-handed", &["handed"]),
];
