//! `brkmap inspect`.

use super::page::PageFile;
use super::{Failure, target};
use crate::cli::inspect::Arguments;
use crate::collect::Collector;
use crate::heap::occupancy::Detail;
use crate::look::{self, Look, Refusal};
use crate::machine;
use crate::model::growth::{Growth, Sample};
use crate::model::timeline::{Moment, Timeline};
use crate::model::xray::Xray;
use crate::view::html;
use crate::view::inspect::{Inspection, json, text};
use crate::view::style::{Style, locale_is_ascii, wants_color};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// A look that took less leaves time for one more in between.
const QUICK: Duration = Duration::from_millis(50);
/// One at a large process that took more is enough: the answer shall not take two seconds.
const SLOW: Duration = Duration::from_millis(450);
const LARGE: u64 = 256 << 20;
/// Looks that are remembered; beyond them every second one is dropped.
const REMEMBERED: usize = 512;

/// The looks at one process.
struct Series {
    pid: i32,
    collector: Collector,
    begin: Instant,
    samples: Vec<Sample>,
    timeline: Timeline,
    page: Option<PageFile>,
    /// Time that the last look took.
    took: Duration,
}

impl Series {
    fn new(pid: i32, page: Option<PageFile>) -> Series {
        let (begin, took, timeline) = (Instant::now(), Duration::ZERO, Timeline::default());
        // The page shows how full each OS page is; the other reports do with sums.
        let detail = if page.is_some() { Detail::OsPages } else { Detail::Sums };
        Series { pid, collector: Collector::with(detail), begin, samples: Vec::new(), timeline, page, took }
    }

    fn look(&mut self) -> Result<Inspection, Refusal> {
        let start = Instant::now();
        let look: Look = look::look(self.pid, &mut self.collector)?;
        self.took = start.elapsed();
        let xray = Xray::of(&look);
        let seconds = look.at.duration_since(self.begin).as_secs_f64();
        if self.samples.len() >= REMEMBERED {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.timeline.push(Moment {
            at_ms: (seconds * 1000.0) as u64,
            rss: xray.rss(),
            mapped: look.snapshot.status.data,
            live: xray.malloc_seen.then(|| xray.live()),
        });
        self.samples.push(Sample { seconds, xray: xray.clone() });
        Ok(Inspection::new(self.pid, look, xray, Growth::of(&self.samples), self.took))
    }

    /// Writes the page, if one is wanted.
    fn write_page(&mut self, inspection: &Inspection) -> Result<(), Failure> {
        let Some(page) = &mut self.page else { return Ok(()) };
        let (machine, data) = (machine::look(Some(self.pid)), json::document(inspection));
        page.write(&html::inspection(inspection, self.timeline.moments(), &machine, &data))
    }
}

/// Looks, judges, reports.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let pid = target::find(&arguments.target)?;
    let page = arguments.html.as_deref().map(|path| PageFile::open(path, arguments.force)).transpose()?;
    let mut series = Series::new(pid, page);
    match arguments.watch {
        Some(pause) => watch(arguments, &mut series, pause),
        None => {
            let inspection = once(&mut series, arguments.over).map_err(target::failure)?;
            series.write_page(&inspection)?;
            write(arguments, &inspection, Screen::Plain).map_err(|error| unwritten(&error))?;
            Ok(0)
        }
    }
}

/// Two looks, or three if they are quick, so that growth can be told from standing still.
fn once(series: &mut Series, over: Duration) -> Result<Inspection, Refusal> {
    let first = series.look()?;
    if over.is_zero() || (series.took > SLOW && first.xray.rss() > LARGE) {
        return Ok(first);
    }
    if series.took < QUICK {
        std::thread::sleep((over / 2).saturating_sub(series.begin.elapsed()));
        series.look()?;
    }
    std::thread::sleep(over.saturating_sub(series.begin.elapsed()));
    series.look()
}

/// Looks until the process ends, the reader goes away, or the number of looks is reached.
fn watch(arguments: &Arguments, series: &mut Series, pause: Duration) -> Result<u8, Failure> {
    let mut taken = 0;
    loop {
        let start = Instant::now();
        let inspection = match series.look() {
            Ok(inspection) => inspection,
            // That it ended is how a watch ends.
            Err(Refusal::Gone(why)) if taken > 0 => {
                super::complain(&why);
                return Ok(0);
            }
            Err(refusal) => return Err(target::failure(refusal)),
        };
        series.write_page(&inspection)?;
        let screen = if taken == 0 { Screen::Plain } else { Screen::Again };
        match write(arguments, &inspection, screen) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            result => result.map_err(|error| unwritten(&error))?,
        }
        taken += 1;
        if arguments.count.is_some_and(|count| taken >= count) {
            return Ok(0);
        }
        std::thread::sleep(pause.saturating_sub(start.elapsed()));
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::tool(format!("cannot write the report to standard output: {error}"))
}

/// Whether a report of an earlier look is on the screen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Screen {
    Plain,
    Again,
}

fn write(arguments: &Arguments, inspection: &Inspection, screen: Screen) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        let document = json::document(inspection);
        let text = if arguments.watch.is_some() {
            serde_json::to_string(&document)?
        } else {
            serde_json::to_string_pretty(&document)?
        };
        writeln!(out, "{text}")?;
        return out.flush();
    }
    let is_terminal = io::stdout().is_terminal();
    let variable = |name: &str| std::env::var(name).ok();
    let width = crate::os::terminal_width(io::stdout().as_raw_fd()).unwrap_or(100);
    let style = Style {
        color: wants_color(arguments.color, is_terminal, variable),
        ascii: arguments.ascii || locale_is_ascii(variable),
        width: width.clamp(60, 120),
    };
    match (screen, is_terminal) {
        (Screen::Again, true) => write!(out, "\x1b[H\x1b[J")?,
        (Screen::Again, false) => writeln!(out)?,
        (Screen::Plain, true) if arguments.watch.is_some() => write!(out, "\x1b[H\x1b[2J")?,
        _ => {}
    }
    out.write_all(text::render(inspection, style).as_bytes())?;
    out.flush()
}
