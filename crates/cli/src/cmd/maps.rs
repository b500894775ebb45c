//! `brkmap maps`.

use super::{Failure, target};
use crate::cli::maps::Arguments;
use crate::collect::Collector;
use crate::look;
use crate::model::spans::spans;
use crate::view::maps;
use crate::view::style::{Style, locale_is_ascii, wants_color};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;

/// Looks once and draws.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let pid = target::find(&arguments.target)?;
    let look = look::look(pid, &mut Collector::default()).map_err(target::failure)?;
    let spans = spans(&look);
    let variable = |name: &str| std::env::var(name).ok();
    let style = Style {
        color: wants_color(arguments.color, io::stdout().is_terminal(), variable),
        ascii: arguments.ascii || locale_is_ascii(variable),
        width: crate::os::terminal_width(io::stdout().as_raw_fd()).unwrap_or(100).clamp(80, 160),
    };
    let text = if arguments.json {
        format!("{:#}\n", maps::document(pid, &look, &spans))
    } else {
        maps::text(pid, &look, &spans, arguments.all, style)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write the report to standard output: {error}")))
        }
        _ => Ok(0),
    }
}
