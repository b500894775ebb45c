//! Flags of `brkmap top`.

use crate::model::top::order::Column;
use crate::view::style::Color;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `top`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Keys are those of htop: arrows, F3 or / search, F4 filter, F5 tree, F6 or > sort, Space tag, + and - the \
    time between two refreshes, Enter the page of a process, F1 or h help, F10 or q quit.\n\n\
    Exit status: 0, 3 none of the processes exists, 4 the control group may not be read, 125 for failures of brkmap \
    itself.\n\n\
    Examples:\n  brkmap top\n  brkmap top redis-server --interval 5\n  brkmap top --cgroup /system.slice/nginx.service\n  \
    brkmap top --once --sort returnable | head -20\n  brkmap top --json 4711 4712 | jq '.processes[].verdict.class'"
)]
pub(crate) struct Arguments {
    /// Processes: numbers, or names to the letter, which stand for all processes of that name; none: all there are
    #[arg(value_name = "PID|NAME")]
    pub(crate) targets: Vec<String>,
    /// All processes in a control group and those below it: a folder, or the group's path
    #[arg(long, value_name = "PATH", conflicts_with = "targets")]
    pub(crate) cgroup: Option<PathBuf>,
    /// Seconds between two refreshes
    #[arg(short = 'd', long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Column to sort by
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t = Column::Rss)]
    pub(crate) sort: Column,
    /// One plain table; without a terminal this is what there is
    #[arg(long, visible_alias = "batch")]
    pub(crate) once: bool,
    /// One JSON document, sizes in bytes
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// A time between two refreshes.
fn interval(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err("expected 0.1 to 3600 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_neither_nothing_nor_for_ever() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "x", "0", "-1", "nan", "inf", "4000"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
