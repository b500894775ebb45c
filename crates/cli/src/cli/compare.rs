//! Flags of `brkmap compare`.

use crate::model::compare::metric::Metric;
use crate::model::compare::plan::{PACKAGED, Setting};
use crate::view::style::Color;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `compare`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit status: 0 for a report, 125 if nothing could be compared, 126 or 127 if the program does not \
    start, 130 if interrupted (what there is is reported).\n\n\
    Examples:\n  brkmap compare -- python3 app.py\n  \
    brkmap compare --with glibc,jemalloc --set MALLOC_ARENA_MAX=,1,2 -- ./server --once\n  \
    brkmap compare --for 30 -- redis-server"
)]
pub(crate) struct Arguments {
    /// Mallocs to run on; the others are held against the first
    #[arg(
        long,
        value_name = "NAME|FILE.so",
        value_delimiter = ',',
        default_value = "glibc,brkmap,jemalloc,mimalloc,tcmalloc",
        value_parser = Choice::parse
    )]
    pub(crate) with: Vec<Choice>,
    /// A variable and the values to try; may be repeated. An empty value leaves it unset, `\,` is a comma
    #[arg(long, value_name = "VAR=a,b", value_parser = setting)]
    pub(crate) set: Vec<Setting>,
    /// Measured runs for each; six or more for intervals of 95 %
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// Figures that decide [default: time,peak-rss; with --for cpu,settled-rss]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) metric: Vec<Metric>,
    /// For programs that do not end: look after SECONDS, then end it with SIGTERM
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) end_after: Option<Duration>,
    /// Standard input of each run; nothing if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Do not count system calls in the warm-up run
    #[arg(long)]
    pub(crate) no_calls: bool,
    /// Report as JSON: one document with all runs
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Let --output replace an existing file
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// One name of `--with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Glibc,
    Brkmap,
    /// Place in [`PACKAGED`].
    Packaged(usize),
    Library(PathBuf),
}

impl Choice {
    fn parse(text: &str) -> Result<Choice, String> {
        match text {
            "glibc" | "system" => Ok(Choice::Glibc),
            "brkmap" => Ok(Choice::Brkmap),
            path if path.contains('/') || path.contains(".so") => Ok(Choice::Library(PathBuf::from(path))),
            name => PACKAGED.iter().position(|packaged| packaged.name == name).map(Choice::Packaged).ok_or_else(|| {
                let names: Vec<&str> = PACKAGED.iter().map(|packaged| packaged.name).collect();
                format!("expected glibc, brkmap, {} or the path of a shared library", names.join(", "))
            }),
        }
    }
}

/// `VAR=a,b`.
fn setting(text: &str) -> Result<Setting, String> {
    let Some((variable, values)) = text.split_once('=') else {
        return Err("expected VAR=VALUE,VALUE".to_owned());
    };
    if variable.is_empty() || variable.contains(char::is_whitespace) {
        return Err("expected the name of a variable before '='".to_owned());
    }
    if variable == "LD_PRELOAD" {
        return Err("LD_PRELOAD is how mallocs are chosen; name libraries by --with".to_owned());
    }
    let mut all = vec![String::new()];
    let mut characters = values.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, all.last_mut()) {
            (',', _) => all.push(String::new()),
            ('\\', Some(last)) if characters.peek() == Some(&',') => last.extend(characters.next()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    Ok(Setting { variable: variable.to_owned(), values: all })
}

/// A time in seconds, up to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.1..=86400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err("expected 0.1 to 86400 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mallocs_are_names_or_files() {
        assert_eq!(Choice::parse("glibc"), Ok(Choice::Glibc));
        assert_eq!(Choice::parse("tcmalloc"), Ok(Choice::Packaged(2)));
        assert_eq!(Choice::parse("./x.so"), Ok(Choice::Library("./x.so".into())));
        assert!(Choice::parse("jmalloc").unwrap_err().contains("jemalloc, mimalloc"));
    }

    #[test]
    fn values_are_between_commas_unless_those_are_escaped() {
        let values = |text| setting(text).unwrap().values;
        assert_eq!(values("A=1,2"), ["1", "2"]);
        assert_eq!(values("A=,1"), ["", "1"]);
        assert_eq!(values("A="), [""]);
        assert_eq!(values(r"MALLOC_CONF=a:1\,b:2,c=3"), ["a:1,b:2", "c=3"]);
        assert_eq!(values(r"A=\x\"), [r"\x\"]);
        for bad in ["A", "=1", "A B=1", "LD_PRELOAD=x"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_positive() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(["0", "-1", "x", "nan", "1e9"].iter().all(|text| seconds(text).is_err()));
    }
}
