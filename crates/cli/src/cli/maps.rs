//! Flags of `brkmap maps`.

use crate::view::style::Color;

/// Flags of `maps`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit status: as for inspect: 0, 3 no such process, 4 permission denied, 5 unreadable, 6 several of \
    that name, 125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap maps 4711\n  brkmap maps redis-server --all\n  brkmap maps 4711 --json"
)]
pub(crate) struct Arguments {
    /// Process: its number, or its name to the letter
    #[arg(value_name = "PID|NAME")]
    pub(crate) target: String,
    /// One line for each range, however small
    #[arg(long)]
    pub(crate) all: bool,
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
