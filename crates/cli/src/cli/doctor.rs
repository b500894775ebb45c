//! Flags of `brkmap doctor`.

use crate::view::style::Color;

/// Flags of `doctor`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit status: 0 if nothing is refused (limits may be named), 1 if something is, 125 for failures of \
    brkmap itself.\n\nExamples:\n  brkmap doctor\n  brkmap doctor --json | jq '.checks[] | select(.state != \"ok\")'\n  \
    docker run --rm -v \"$PWD\":/b IMAGE /b/brkmap doctor"
)]
pub(crate) struct Arguments {
    /// Report as JSON: one document
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}
