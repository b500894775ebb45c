//! `brkmap maps`.

use super::{Failure, target};
use crate::cli::maps::Arguments;
use crate::collect::Collector;
use crate::heap::occupancy::Detail;
use crate::look::{self, Look};
use crate::model::heat::Heat;
use crate::model::picture::{Grain, Picture};
use crate::model::spans::spans;
use crate::view::style::{Style, locale_is_ascii, wants_color};
use crate::view::{maps, svg};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Lines of the heat map, unless everything is wanted.
const HEAT_ROWS: u64 = 24;
const MOST_HEAT_ROWS: u64 = 1024;

/// Looks once and draws.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let pid = target::find(&arguments.target)?;
    let detail = if arguments.occupancy { Detail::OsPages } else { Detail::Sums };
    let look = look::look(pid, &mut Collector::with(detail)).map_err(target::failure)?;
    let rows = if arguments.all { MOST_HEAT_ROWS } else { HEAT_ROWS };
    if let Some(file) = &arguments.svg {
        let picture = Picture::of(pid, &look, Grain { all: arguments.all, ..Grain::SVG });
        complain_if_missing(arguments, picture.heat.as_ref(), &look);
        return write(file, &svg::address_space(&picture));
    }
    let text = if arguments.json {
        let spans = spans(&look);
        let heat = Heat::of(&look, &spans, Grain::SVG.heat);
        format!("{:#}\n", maps::document(pid, &look, &spans, heat.as_ref()))
    } else {
        let variable = |name: &str| std::env::var(name).ok();
        let style = Style {
            color: wants_color(arguments.color, io::stdout().is_terminal(), variable),
            ascii: arguments.ascii || locale_is_ascii(variable),
            width: crate::os::terminal_width(io::stdout().as_raw_fd()).unwrap_or(100).clamp(80, 160),
        };
        let picture = Picture::of(pid, &look, maps::grain(arguments.all, rows));
        complain_if_missing(arguments, picture.heat.as_ref(), &look);
        maps::text(&picture, style)
    };
    write(Path::new("-"), &text)
}

/// Says why there is no occupancy.
fn complain_if_missing(arguments: &Arguments, heat: Option<&Heat>, look: &Look) {
    if arguments.occupancy && heat.is_none() {
        let why = look.glibc.as_ref().and_then(|glibc| glibc.problem.clone());
        let why = why.unwrap_or_else(|| "its malloc has served nothing yet, or is none that can be read".to_owned());
        super::complain(&format!("no occupancy: {why}; `brkmap inspect` says which malloc is in force"));
    }
}

fn write(file: &Path, text: &str) -> Result<u8, Failure> {
    if file != Path::new("-") {
        return match std::fs::write(file, text) {
            Ok(()) => Ok(0),
            Err(error) => Err(Failure::tool(format!("cannot write the picture to {}: {error}", file.display()))),
        };
    }
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write the report to standard output: {error}")))
        }
        _ => Ok(0),
    }
}
