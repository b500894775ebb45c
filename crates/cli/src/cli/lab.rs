//! Flags of `brkmap lab`.

use crate::view::style::Color;

/// Flags of `lab`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "NAME is a claim (break-grow), a family (break, map, layout, malloc, free, back, cost, tasks), 'all' or \
    'list'. Without a name: list.\n\n\
    Exit status: 0 if every experiment ended with a verdict or a reason, 1 if a figure did not come out as expected, \
    125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap lab break-grow\n  brkmap lab tradeoffs --explain\n  brkmap lab all\n  brkmap lab tasks --json"
)]
pub(crate) struct Arguments {
    /// What to try: claims, families, 'all' or 'list'
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Report as JSON: one document
    #[arg(long)]
    pub(crate) json: bool,
    /// Add the background of each claim and where it is told
    #[arg(long)]
    pub(crate) explain: bool,
    /// With 'all': each experiment in full in place of a line
    #[arg(long)]
    pub(crate) full: bool,
    /// With 'list': the page of the documentation, in Markdown
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// What a subject of the lab is told; nobody types this.
#[derive(clap::Args, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) numbers: Vec<u64>,
}
