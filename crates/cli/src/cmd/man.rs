//! `brkmap man`.

use super::{Failure, print};
use crate::cli::ManArguments;
use crate::view::man::pages;
use std::fs;

/// Writes all pages to a folder, or the command's own to standard output.
pub(crate) fn run(arguments: &ManArguments) -> Result<u8, Failure> {
    let pages = pages(crate::cli::command())
        .map_err(|error| Failure::tool(format!("cannot write the manual pages: {error}")))?;
    let Some(folder) = &arguments.folder else {
        let text = pages.first().map(|page| String::from_utf8_lossy(&page.text).into_owned());
        return print::out(&text.unwrap_or_default());
    };
    fs::create_dir_all(folder)
        .map_err(|error| Failure::tool(format!("cannot create the folder {}: {error}", folder.display())))?;
    for page in &pages {
        let path = folder.join(&page.file);
        fs::write(&path, &page.text)
            .map_err(|error| Failure::tool(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(0)
}
