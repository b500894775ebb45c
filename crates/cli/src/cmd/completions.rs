//! `brkmap completions SHELL`.

use super::Failure;
use std::io::{self, Write};

/// Prints the script.
pub(crate) fn run(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "brkmap", &mut script);
    match io::stdout().write_all(&script) {
        // `brkmap completions bash | head` is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write the script to standard output: {error}")))
        }
        _ => Ok(0),
    }
}
