//! Flags of `brkmap explain`.

use super::suggested::Suggested;
use crate::model::terms;
use crate::view::style::Color;

/// Flags of `explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit status: 0 if the term is known, 125 if not.\n\n\
    Examples:\n  brkmap explain\n  brkmap explain arena\n  brkmap explain mmap threshold\n  brkmap explain RSS --json | jq -r .terms[].see")]
pub(crate) struct Arguments {
    /// Word of a report, of malloc or of the kernel; without it, all are listed
    #[arg(value_name = "TERM", hide_possible_values = true,
          value_parser = Suggested(|| terms::all().iter().map(|term| term.slug.as_str()).collect()))]
    pub(crate) term: Vec<String>,
    /// Answer as JSON: one document
    #[arg(long)]
    pub(crate) json: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}
