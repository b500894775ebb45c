//! `brkmap metrics`.

mod http;
mod rounds;
mod serve;

use super::Failure;
use crate::cli::metrics::{Arguments, Mode};
use crate::view::metrics::render;
use rounds::{Mood, Rounds};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Looks once and writes, or serves.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    if let Some(Mode::Serve(serve)) = &arguments.mode {
        return serve::run(serve);
    }
    let scrape = Rounds::new(arguments.targets.clone()).look(Mood::Strict)?;
    let text = render(&scrape, arguments.format);
    match &arguments.output {
        Some(path) => replace(path, text.as_bytes()).map_err(|error| {
            Failure::tool(format!("cannot write {}: {error}; its folder must be there and writable", path.display()))
        })?,
        None => match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::tool(format!("cannot write to standard output: {error}")));
            }
            _ => {}
        },
    }
    Ok(0)
}

/// Puts a file in the place of another in one step: whoever reads it sees the old one or the new one, whole. The file
/// beside it does not end in `.prom`, so that no collector reads that.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.prom");
        replace(&path, b"one").unwrap();
        let old = File::open(&path).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(io::read_to_string(old).unwrap(), "one", "who had it open reads the old one to its end");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("none/x.prom"), b"").is_err());
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(replace(&folder.path().join("folder"), b"").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
