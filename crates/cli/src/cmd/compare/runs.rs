//! The runs of a comparison, one after the other.

use super::progress::Progress;
use crate::cli::compare::Arguments;
use crate::cmd::Failure;
use crate::cmd::run::not_started;
use crate::collect::{self, Collector};
use crate::model::compare::plan::{Cell, order};
use crate::model::compare::result::{CellResult, Preview, Printed, Run};
use crate::model::in_force::{InForce, Reason, Wanted, brings_malloc};
use crate::os::{self, Signals, Woken};
use crate::proc::smaps;
use crate::trace::Program;
use crate::trace::count::{self, Leftovers, count};
use crate::trace::measure::{self, EndedBy, Measured, measure};
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counting of system calls ends after this time.
const COUNT_FOR: Duration = Duration::from_secs(60);
/// A run that was stopped for a while is taken again, so often at most.
const AGAIN: usize = 3;
/// Bytes of standard error in which the last words are looked for.
const LAST_WORDS: u64 = 4096;

/// What all runs have in common.
pub(super) struct Runs<'a> {
    arguments: &'a Arguments,
    signals: Signals,
    collector: Collector,
    leftovers: Leftovers,
    /// Our environment without what every cell sets itself.
    environment: Vec<(OsString, OsString)>,
    /// What is preloaded behind a cell's library.
    preloaded: Vec<OsString>,
    /// Whether the program may be traced.
    traced: bool,
    pub(super) left_out: Vec<String>,
    pub(super) last_words: Option<String>,
    pub(super) interrupted: bool,
}

/// What is seen of the process at its end.
struct Seen {
    rss: u64,
    peak_rss: u64,
    has_library: bool,
}

impl<'a> Runs<'a> {
    /// From here on to [`Runs::finish`] signals are the program's.
    pub(super) fn new(arguments: &'a Arguments, traced: bool) -> Runs<'a> {
        let value = std::env::var_os("LD_PRELOAD").unwrap_or_default();
        let bytes = value.as_encoded_bytes();
        let words = bytes.split(|byte| b" :".contains(byte)).filter(|word| !word.is_empty());
        let (left_out, preloaded): (Vec<_>, Vec<_>) = words.map(word).partition(|word| {
            let word = word.to_string_lossy();
            brings_malloc(word.rsplit('/').next().unwrap_or_default())
        });
        Runs {
            arguments,
            signals: Signals::take_over(),
            collector: Collector::default(),
            leftovers: Leftovers::default(),
            environment: std::env::vars_os().filter(|(name, _)| name != "LD_PRELOAD").collect(),
            preloaded,
            traced,
            left_out: left_out.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            last_words: None,
            interrupted: false,
        }
    }

    /// Gives the signals back.
    pub(super) fn finish(&self) {
        self.signals.drop_pending();
        self.signals.restore();
    }

    /// One run of each cell that is not measured: it warms the caches, counts, and sees which malloc there is.
    pub(super) fn warm_up(&mut self, cells: Vec<Cell>, progress: &mut Progress) -> Result<Vec<CellResult>, Failure> {
        let all = cells.len();
        let mut results = Vec::new();
        for cell in cells {
            self.look_for_interrupt();
            let preview = if self.interrupted {
                Preview::default()
            } else {
                progress.warming_up(results.len() + 1, all, &cell.title());
                self.preview(&cell)?
            };
            results.push(CellResult { cell, preview, runs: Vec::new(), lost: 0 });
        }
        Ok(results)
    }

    /// The measured runs. `cells` get them as they come, so that an interrupt leaves what there is.
    pub(super) fn measure(&mut self, cells: &mut [CellResult], progress: &mut Progress) -> Result<(), Failure> {
        let rounds = usize::from(self.arguments.runs);
        // A cell on another malloc than its name says would be measured for nothing.
        let wanted: Vec<usize> = (0..cells.len()).filter(|&index| cells[index].not_in_force().is_none()).collect();
        for round in 0..rounds {
            for place in order(wanted.len(), round) {
                self.look_for_interrupt();
                if self.interrupted {
                    return Ok(());
                }
                let cell = &mut cells[wanted[place]];
                progress.measuring(&cell.cell.title());
                self.take(cell)?;
                progress.measured();
            }
            progress.round(round + 1, rounds);
        }
        Ok(())
    }

    /// Signals wait while no program runs.
    fn look_for_interrupt(&mut self) {
        loop {
            match os::wait_for_signal(Duration::ZERO) {
                Woken::Timeout => return,
                Woken::Child | Woken::Forward(libc::SIGUSR1 | libc::SIGUSR2) => {}
                Woken::Key | Woken::Forward(_) => self.interrupted = true,
            }
        }
    }

    fn preview(&mut self, cell: &Cell) -> Result<Preview, Failure> {
        let (program, _out, mut errors) = self.program(cell)?;
        let count_for = if self.arguments.no_calls { Duration::ZERO } else { COUNT_FOR };
        let way = count::Way { traced: self.traced, count_for, end_after: self.arguments.end_after };
        let (wanted, leftovers) = (&cell.malloc.wanted, &mut self.leftovers);
        let counted = count(&program, &self.signals, wanted, &mut self.collector, leftovers, way).map_err(failed)?;
        if let Some(error) = &counted.not_started {
            return Err(not_started(&self.arguments.command[0], error));
        }
        self.interrupted |= counted.ended_by == EndedBy::Interrupt;
        if counted.outcome.status() != 0 && counted.ended_by == EndedBy::Itself {
            self.note_last_words(&mut errors);
        }
        let mut preview = counted.preview;
        if !self.traced && cell.malloc.preload.is_some() && preview.in_force.is_none() {
            // It may not be traced because it changes user, and then the loader preloads nothing.
            preview.in_force = Some(InForce::no("unknown", Reason::Privileged));
        }
        Ok(preview)
    }

    fn take(&mut self, cell: &mut CellResult) -> Result<(), Failure> {
        for _ in 0..AGAIN {
            let (program, out, mut errors) = self.program(&cell.cell)?;
            let way = measure::Way { traced: self.traced, end_after: self.arguments.end_after };
            let own_peak = collect::status(std::process::id() as i32).map_or(0, |status| status.peak_rss);
            let wanted = &cell.cell.malloc.wanted;
            let measured = measure(&program, &self.signals, way, |pid| see(pid, wanted)).map_err(failed)?;
            if let Some(error) = &measured.not_started {
                return Err(not_started(&self.arguments.command[0], error));
            }
            if measured.ended_by == EndedBy::Interrupt {
                self.interrupted = true;
                return Ok(());
            }
            if measured.was_stopped {
                continue;
            }
            if measured.outcome.status() != 0 && measured.ended_by == EndedBy::Itself {
                self.note_last_words(&mut errors);
            }
            let has_library = measured.last.as_ref().is_none_or(|(seen, _)| seen.has_library);
            cell.lost += u64::from(!has_library);
            cell.runs.push(run(measured, printed(out).map_err(failed)?, own_peak));
            return Ok(());
        }
        Ok(())
    }

    /// The program of a cell, with the files in which its output arrives.
    fn program(&self, cell: &Cell) -> Result<(Program, File, File), Failure> {
        let mut environment = self.environment.clone();
        for (variable, value) in &cell.settings {
            environment.retain(|(name, _)| name.to_str() != Some(variable));
            if !value.is_empty() {
                environment.push((variable.into(), value.into()));
            }
        }
        let preload: Vec<OsString> = cell
            .malloc
            .preload
            .iter()
            .map(|path| path.clone().into_os_string())
            .chain(self.preloaded.clone())
            .collect();
        if !preload.is_empty() {
            environment.push(("LD_PRELOAD".into(), preload.join(":".as_ref())));
        }
        let mut program = Program::new(&self.arguments.command, environment).map_err(failed)?;
        let input = match &self.arguments.input {
            Some(path) => File::open(path)
                .map_err(|error| Failure::tool(format!("cannot read --input {}: {error}", path.display())))?,
            None => File::open("/dev/null").map_err(failed)?,
        };
        let (out, errors) = (nameless_file().map_err(failed)?, nameless_file().map_err(failed)?);
        program.redirect(input, 0);
        program.redirect(out.try_clone().map_err(failed)?, 1);
        program.redirect(errors.try_clone().map_err(failed)?, 2);
        Ok((program, out, errors))
    }

    fn note_last_words(&mut self, errors: &mut File) {
        if self.last_words.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        let length = errors.metadata().map_or(0, |file| file.len());
        let from = SeekFrom::Start(length.saturating_sub(LAST_WORDS));
        let read = errors.seek(from).and_then(|_| errors.take(LAST_WORDS).read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        self.last_words = read.ok().and(last).map(|line| line.trim().escape_debug().to_string());
    }
}

fn word(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

fn failed(error: io::Error) -> Failure {
    Failure::tool(format!("cannot run the program: {error}"))
}

/// A file that is gone with its descriptor.
fn nameless_file() -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("brkmap-compare-{}-{number}", std::process::id()));
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn printed(mut out: File) -> io::Result<Printed> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    out.seek(SeekFrom::Start(0))?;
    loop {
        let count = out.read(&mut buffer)?;
        if count == 0 {
            return Ok(Printed { bytes, hash: hasher.finish() });
        }
        bytes += count as u64;
        hasher.write(&buffer[..count]);
    }
}

/// What a process has at its end.
fn see(pid: i32, wanted: &Wanted) -> Option<Seen> {
    let status = collect::status(pid).ok().filter(|status| status.has_memory)?;
    let rollup = collect::text(pid, "smaps_rollup").ok().map(|text| smaps::parse(&text));
    let rss = rollup.and_then(|rollup| rollup.first().map(|all| all.rss)).unwrap_or(status.rss);
    Some(Seen { rss, peak_rss: status.peak_rss.max(rss), has_library: has_library(pid, wanted) })
}

fn has_library(pid: i32, wanted: &Wanted) -> bool {
    let library = match wanted {
        Wanted::System => return true,
        Wanted::Brkmap => "libbrkmap.so",
        Wanted::Library(name) => name,
    };
    let Ok(maps) = collect::text(pid, "maps") else { return true };
    let is_it = |name: &str| name == library || name.strip_prefix("memfd:") == Some(library);
    smaps::parse(&maps).iter().any(|mapping| mapping.inode != 0 && is_it(mapping.file_name()))
}

fn run(measured: Measured<Seen>, printed: Printed, own_peak: u64) -> Run {
    let usage = measured.usage;
    let seen_at_end =
        measured.last.as_ref().is_some_and(|(_, at_exit)| *at_exit) || measured.ended_by == EndedBy::Limit;
    let seen = measured.last.map(|(seen, _)| seen);
    // The kernel's figure of an ended process is the highest of all programs that it ran, beginning with the fork of
    // brkmap itself, and of its children. So it says something new only where it is above brkmap's own.
    let of_children = Some(usage.peak_rss).filter(|peak| *peak > own_peak);
    Run {
        time: measured.wall,
        cpu: usage.user + usage.system,
        peak_rss: seen.as_ref().map(|seen| seen.peak_rss).into_iter().chain(of_children).max(),
        settled_rss: seen.map(|seen| seen.rss),
        faults: usage.minor_faults + usage.major_faults,
        outcome: measured.outcome,
        printed,
        seen_at_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn output_is_told_apart_by_its_contents() {
        let print = |text: &[u8]| {
            let mut file = nameless_file().unwrap();
            file.write_all(text).unwrap();
            printed(file).unwrap()
        };
        assert_eq!(print(b"abc"), print(b"abc"));
        assert_ne!(print(b"abc"), print(b"abd"));
        assert_eq!(print(&vec![7; 200_000]).bytes, 200_000);
    }

    #[test]
    fn this_process_is_seen_with_its_memory() {
        let seen = see(std::process::id() as i32, &Wanted::System).unwrap();
        assert!(seen.rss > 0 && seen.peak_rss >= seen.rss && seen.has_library);
        assert!(!see(std::process::id() as i32, &Wanted::Library("libnowhere.so".into())).unwrap().has_library);
        assert!(see(i32::MAX, &Wanted::System).is_none());
    }
}
