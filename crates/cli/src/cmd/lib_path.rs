//! `brkmap lib-path`.

use super::Failure;
use crate::embed::{self, Library};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// Prints where the library is.
pub(crate) fn run() -> Result<u8, Failure> {
    match embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)? {
        Library::File(path) => {
            let mut line = path.as_os_str().as_bytes().to_vec();
            line.push(b'\n');
            io::stdout()
                .write_all(&line)
                .map(|()| 0)
                .map_err(|error| Failure::tool(format!("cannot write to standard output: {error}")))
        }
        Library::Memory(_) => Err(Failure::tool(
            "no cache folder can hold the library, so it has no lasting path; set XDG_CACHE_HOME to a folder of your \
             own whose path has no space or colon",
        )),
    }
}
