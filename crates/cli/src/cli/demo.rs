//! Flags of `brkmap demo`.

use super::suggested::Suggested;
use crate::demo;
use crate::view::style::Color;
use std::time::Duration;

/// Which malloc a demonstration runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Alloc {
    /// This machine's own: glibc's.
    System,
    /// The library of this command.
    Brkmap,
}

fn names() -> Vec<&'static str> {
    demo::ALL.iter().map(|demo| demo.name).chain(["list"]).collect()
}

/// Flags of `demo`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit status: 0 for a report, 125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap demo\n  brkmap demo top-pinned\n  brkmap demo arena-spread --alloc brkmap\n  \
    brkmap demo leak --hold 60     and meanwhile: brkmap inspect demo-leak --watch")]
pub(crate) struct Arguments {
    /// Demonstration; without it, or with 'list', all are listed
    #[arg(value_name = "NAME", hide_possible_values = true, value_parser = Suggested(names))]
    pub(crate) name: Option<String>,
    /// Which malloc it runs on
    #[arg(long, value_enum, default_value_t = Alloc::System)]
    pub(crate) alloc: Alloc,
    /// Keep the ill state for so long before the cure, to be looked at by other commands
    #[arg(long, value_name = "SECONDS", value_parser = super::inspect::seconds)]
    pub(crate) hold: Option<Duration>,
    /// Report as JSON: one document, sizes in bytes
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}
