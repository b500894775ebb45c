//! Flags of `brkmap inspect`.

use crate::view::style::Color;
use std::path::PathBuf;
use std::time::Duration;

/// Exit statuses of commands that look at a running process, beside those of all commands.
pub(crate) mod status {
    /// No process has this number or name, or it ended during the look.
    pub(crate) const GONE: u8 = 3;
    /// The process may not be read.
    pub(crate) const DENIED: u8 = 4;
    /// The process is there, and its memory cannot be read.
    pub(crate) const UNREADABLE: u8 = 5;
    /// Several processes have this name.
    pub(crate) const AMBIGUOUS: u8 = 6;
}

/// Flags of `inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit status: 0 for a report, 3 no such process, 4 permission denied, 5 unreadable, 6 several \
    processes of that name, 125 for failures of brkmap itself.\n\n\
    Examples:\n  brkmap inspect 4711\n  brkmap inspect redis-server --watch 5\n  brkmap inspect 4711 --json | jq .verdict\n  \
    brkmap inspect 4711 --watch 2 --count 30 --html report.html")]
pub(crate) struct Arguments {
    /// Process: its number, or its name to the letter
    #[arg(value_name = "PID|NAME")]
    pub(crate) target: String,
    /// Report as JSON: one document, sizes in bytes; with --watch one line for each look
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again every SECONDS (2 if not given) until it ends or you stop; growth is judged over all looks
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    pub(crate) watch: Option<Duration>,
    /// Looks to take with --watch
    #[arg(long, value_name = "N", requires = "watch")]
    pub(crate) count: Option<u64>,
    /// Time between the first look and the last without --watch; 0 for one look and no word on growth
    #[arg(long, value_name = "SECONDS", default_value = "0.3", value_parser = seconds)]
    pub(crate) over: Duration,
    /// Write the report as a page for a browser too: one file that needs no other; with --watch anew at each look
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Let --html replace an existing file
    #[arg(long, requires = "html")]
    pub(crate) force: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// A time in seconds, up to a day.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.0..=86400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err("expected 0 to 86400 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_within_a_day() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "x", "-1", "nan", "inf", "100000"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
