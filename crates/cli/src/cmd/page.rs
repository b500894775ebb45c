//! The file that `--html` names.

use super::Failure;
use super::run::create;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// A page on its way to its file, which is opened before the work begins: that it cannot be written is known at once.
pub(super) struct PageFile {
    path: PathBuf,
    file: File,
}

impl PageFile {
    /// Opens the file.
    pub(super) fn open(path: &Path, force: bool) -> Result<PageFile, Failure> {
        Ok(PageFile { path: path.to_owned(), file: create(path, force)? })
    }

    /// Writes the page, in the place of an earlier one.
    pub(super) fn write(&mut self, page: &str) -> Result<(), Failure> {
        self.replace(page)
            .map_err(|error| Failure::tool(format!("cannot write the page to {}: {error}", self.path.display())))
    }

    fn replace(&mut self, page: &str) -> io::Result<()> {
        // A pipe or terminal has neither a beginning nor a length.
        let is_file = self.file.metadata()?.is_file();
        if is_file {
            self.file.rewind()?;
        }
        self.file.write_all(page.as_bytes())?;
        if is_file { self.file.set_len(page.len() as u64) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_page_leaves_nothing_of_the_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let mut page = PageFile::open(&path, false).unwrap();
        page.write("a long page").unwrap();
        page.write("short").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
        let refusal = PageFile::open(&path, false).err().unwrap();
        assert!(refusal.message.contains("use --force"), "{}", refusal.message);
        assert!(PageFile::open(&path, true).is_ok());
    }
}
