//! Flags of `brkmap maps`.

use crate::view::style::Color;
use std::path::PathBuf;

/// Flags of `maps`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit status: 0 for a picture, 3 no such process, 4 permission denied, 5 unreadable, 6 several processes \
    of that name, 125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap maps 4711\n  brkmap maps 4711 --occupancy\n  brkmap maps redis-server --occupancy --svg space.svg"
)]
pub(crate) struct Arguments {
    /// Process: its number, or its name to the letter
    #[arg(value_name = "PID|NAME")]
    pub(crate) target: String,
    /// Live bytes on each OS page of malloc's heaps, and which sizes of block keep OS pages that are not full
    #[arg(long)]
    pub(crate) occupancy: bool,
    /// Write the picture as SVG to FILE, "-" for standard output; text and JSON are then left out
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) svg: Option<PathBuf>,
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
