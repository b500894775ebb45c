//! `brkmap use`: becomes the program. No report, no tracing, nothing left behind.

use super::Failure;
use super::run::{environment, not_started};
use crate::cli::UseArguments;
use crate::embed::{self, Library};
use crate::trace::Program;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Returns only if the program cannot be started.
pub(crate) fn run(arguments: &UseArguments) -> Result<u8, Failure> {
    let library = embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)?;
    let path = match &library {
        Library::File(path) => path.clone(),
        // brkmap's own number stays, as the program's: the descriptor has to stay as well.
        Library::Memory(file) => {
            let fd = file.as_raw_fd();
            crate::os::keep_across_exec(fd)
                .map_err(|error| Failure::tool(format!("cannot hand the library over: {error}")))?;
            PathBuf::from(format!("/proc/self/fd/{fd}"))
        }
    };
    let program = Program::new(&arguments.command, environment(Some(&path)))
        .map_err(|error| Failure::tool(format!("cannot start the program: {error}")))?;
    Err(not_started(&arguments.command[0], &program.exec()))
}
