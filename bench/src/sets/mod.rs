//! The sets: one file each, every one a list of settings.

mod fork;
mod giveback;
mod micro;
mod programs;
mod startup;
mod threads;

use crate::setting::Setting;
use clap::ValueEnum;

/// A named list of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// The part of every set that ends in a few minutes
    Short,
    /// Measuring loops: paths, patterns, threads
    Micro,
    /// Of the measuring loops, those of several threads
    Threads,
    /// Programs that people run
    Programs,
    /// The fixed cost of a process
    Startup,
    /// What stays of freed memory while the program does nothing
    Giveback,
    /// What is copied when a forked child saves while its parent writes
    Fork,
    /// All of them
    All,
}

/// The settings of a set, in the order of the tables.
pub(crate) fn settings(set: Set) -> Vec<Setting> {
    let all =
        [micro::SETTINGS, threads::SETTINGS, programs::SETTINGS, startup::SETTINGS, giveback::SETTINGS, fork::SETTINGS]
            .concat()
            .into_iter();
    match set {
        Set::Short => all.filter(|setting| setting.short).collect(),
        Set::Micro => [micro::SETTINGS, threads::SETTINGS].concat(),
        Set::Threads => threads::SETTINGS.to_vec(),
        Set::Programs => programs::SETTINGS.to_vec(),
        Set::Startup => startup::SETTINGS.to_vec(),
        Set::Giveback => giveback::SETTINGS.to_vec(),
        Set::Fork => fork::SETTINGS.to_vec(),
        Set::All => all.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{Kind, Program};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_the_short_set_is_a_part() {
        let all = settings(Set::All);
        let names: BTreeSet<_> = all.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), all.len());
        let short = settings(Set::Short);
        assert!(!short.is_empty() && short.len() < all.len());
        assert!(short.iter().all(|setting| names.contains(setting.name)));
    }

    #[test]
    fn every_measuring_loop_is_one_that_the_program_knows() {
        let known = include_str!("../../c/micro.c");
        let loops = settings(Set::All).into_iter().filter(|setting| matches!(setting.program, Program::Micro));
        for setting in loops {
            let name = setting.arguments[0];
            assert!(known.contains(&format!("!strcmp(name, \"{name}\")")), "{}: {name}", setting.name);
        }
    }

    #[test]
    fn the_means_are_over_at_least_forty_settings_of_every_kind() {
        for set in [Set::All, Set::Short] {
            let counted: Vec<_> = settings(set).into_iter().filter(|setting| setting.is_counted()).collect();
            let of = |kind| counted.iter().filter(|setting| setting.kind == kind).count();
            let numbers = [of(Kind::Pattern), of(Kind::Threads), of(Kind::Program)];
            assert!(
                counted.len() >= 40 && numbers >= [10, 0, 0] && numbers[1] >= 19 && numbers[2] >= 11,
                "{numbers:?}"
            );
        }
    }
}
