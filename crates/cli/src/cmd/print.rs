//! Writing a report to standard output.

use super::Failure;
use crate::view::style::{Color, Style, locale_is_ascii, wants_color};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;

/// How reports on standard output look.
pub(super) fn style(color: Color, ascii: bool) -> Style {
    let variable = |name: &str| std::env::var(name).ok();
    Style {
        color: wants_color(color, io::stdout().is_terminal(), variable),
        ascii: ascii || locale_is_ascii(variable),
        width: crate::os::terminal_width(io::stdout().as_raw_fd()).unwrap_or(100).clamp(60, 120),
    }
}

/// Writes all of it. A reader that went away is no failure.
pub(super) fn out(text: &str) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(0),
    }
}
