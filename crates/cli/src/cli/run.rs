//! Flags of `brkmap run`.

use crate::view::style::Color;
use std::ffi::OsString;
use std::path::PathBuf;

/// Flags of `run`.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("files").multiple(true))]
pub(crate) struct Arguments {
    /// Which malloc the program gets: brkmap, system (its own), or a library to preload
    #[arg(long, value_name = "brkmap|system|FILE.so", default_value = "brkmap", value_parser = Alloc::parse)]
    pub(crate) alloc: Alloc,
    /// Report as JSON: one document, sizes in bytes
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report to a file instead of standard error
    #[arg(short, long, value_name = "FILE", group = "files")]
    pub(crate) output: Option<PathBuf>,
    /// Write the report as a page for a browser too: one file that needs no other
    #[arg(long, value_name = "FILE", group = "files")]
    pub(crate) html: Option<PathBuf>,
    /// Let --output and --html replace an existing file
    #[arg(long, requires = "files")]
    pub(crate) force: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Look at the program from time to time instead of tracing it; children are not followed
    #[arg(long)]
    pub(crate) no_trace: bool,
    /// Report its system calls for memory as well: how much by which, and from where in the program
    #[arg(long, conflicts_with = "no_trace")]
    pub(crate) syscalls: bool,
    /// Program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// The `--alloc` choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alloc {
    Brkmap,
    System,
    Library(PathBuf),
}

impl Alloc {
    pub(super) fn parse(text: &str) -> Result<Alloc, String> {
        match text {
            "brkmap" => Ok(Alloc::Brkmap),
            "system" => Ok(Alloc::System),
            path if path.contains('/') || path.contains(".so") => Ok(Alloc::Library(PathBuf::from(path))),
            _ => Err("expected 'brkmap', 'system' or the path of a shared library".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        assert_eq!(Alloc::parse("system"), Ok(Alloc::System));
        assert_eq!(Alloc::parse("./x"), Ok(Alloc::Library(PathBuf::from("./x"))));
        assert_eq!(Alloc::parse("libx.so.2"), Ok(Alloc::Library(PathBuf::from("libx.so.2"))));
        assert!(Alloc::parse("jemalloc").unwrap_err().contains("'system'"));
    }
}
