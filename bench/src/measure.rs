//! One run of one setting on one allocator: what it cost, and the proof of whose malloc it was.

use crate::allocator::Allocator;
use crate::curve::Curve;
use crate::setting::{Figure, Pinning, Program, Setting};
use crate::system_calls::SystemCalls;
use crate::workshop::{Workshop, same_file};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What one run cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The setting's figure, in its unit.
    pub value: f64,
    /// User and system time, of waited-for children too, in seconds.
    pub cpu_seconds: f64,
    /// Wall time in seconds.
    pub wall_seconds: f64,
    /// `ru_maxrss`: the largest of the process and its waited-for children, in bytes.
    pub peak_rss_bytes: u64,
    /// Minor faults.
    pub minor_faults: u64,
    /// Resident size over time, where the program printed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// The object whose malloc served the process.
    pub malloc: PathBuf,
}

/// A setting made ready for this machine.
pub(crate) struct Bound {
    /// The setting.
    pub setting: Setting,
    program: PathBuf,
    arguments: Vec<String>,
}

/// Finds the program of a setting. The error says what to install.
pub(crate) fn bind(setting: Setting, workshop: &Workshop) -> Result<Bound> {
    let program = match setting.program {
        Program::Micro => workshop.path("brkmap-micro"),
        Program::Trivial => workshop.path("trivial"),
        Program::GiveBack => workshop.path("giveback"),
        Program::Named { name, package } => on_path(name).ok_or_else(|| missing(&setting, name, package))?,
        Program::Printed { name, by, package } => {
            let output = Command::new(by[0]).args(&by[1..]).output().map_err(|_| missing(&setting, name, package))?;
            let printed = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            ensure!(printed.is_file(), missing(&setting, name, package));
            printed
        }
    };
    if let Some(driver) = setting.driver {
        ensure!(on_path("sh").is_some(), "{}: sh is not on PATH, and {driver} needs it", setting.name);
    }
    let trivial = workshop.path("trivial").display().to_string();
    let arguments = setting.arguments.iter().map(|argument| argument.replace("{trivial}", &trivial)).collect();
    Ok(Bound { setting, program, arguments })
}

fn missing(setting: &Setting, name: &str, package: &str) -> anyhow::Error {
    anyhow!("{}: {name} is not installed; install it with `apt-get install {package}`", setting.name)
}

/// The first program of this name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// How runs are made.
pub(crate) struct Runner<'a> {
    /// The tools and inputs.
    pub workshop: &'a Workshop,
    /// The CPU for pinned settings.
    pub cpu: usize,
    /// A run longer than this is ended and counts as failed.
    pub timeout_seconds: u32,
    /// Every library that is a column, to tell that none of them is in force when glibc should be.
    pub others: &'a [PathBuf],
    /// The C library.
    pub libc: &'a Path,
}

/// What a run is for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// To be measured.
    Measure,
    /// Every process tells in this file whose malloc it was given.
    AskWhose(&'a Path),
    /// strace counts the system calls and writes them to this file.
    CountCalls(&'a Path),
}

/// The launcher's report, parsed.
struct Report {
    numbers: Vec<(String, f64)>,
    mapped: Vec<PathBuf>,
}

impl Report {
    fn parse(text: &str) -> Report {
        let mut report = Report { numbers: Vec::new(), mapped: Vec::new() };
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match value.parse() {
                Ok(number) if key != "map" => report.numbers.push((key.into(), number)),
                _ => report.mapped.push(value.into()),
            }
        }
        report
    }

    fn number(&self, key: &str) -> Result<f64> {
        let found = self.numbers.iter().find(|(name, _)| name == key);
        found.map(|(_, number)| *number).ok_or_else(|| anyhow!("the launcher's report has no {key} line"))
    }
}

impl Runner<'_> {
    /// The warm-up run, with the library that lets every process tell whose malloc it was given. Returns the object.
    pub(crate) fn warm_up(&self, bound: &Bound, allocator: &Allocator) -> Result<()> {
        let answers = self.workshop.path("which.answers");
        _ = fs::remove_file(&answers);
        self.launch(bound, allocator, Purpose::AskWhose(&answers))?;
        let told = fs::read_to_string(&answers).unwrap_or_default();
        ensure!(
            !told.is_empty(),
            "no process of {} told whose malloc it was given (a static program?), so it cannot be compared",
            bound.setting.name
        );
        let expected = self.expected(allocator);
        for (object, program) in told.lines().filter_map(|line| line.split_once('\t')) {
            ensure!(
                same_file(Path::new(object), &expected),
                "malloc of {program} was {object}, not {}, so the run does not measure {}",
                expected.display(),
                allocator.name
            );
        }
        Ok(())
    }

    /// A measured run.
    pub(crate) fn run(&self, bound: &Bound, allocator: &Allocator) -> Result<Run> {
        let (report, output) = self.launch(bound, allocator, Purpose::Measure)?;
        let cpu_seconds = (report.number("user_us")? + report.number("system_us")?) / 1e6;
        let value = match bound.setting.figure {
            Figure::Cpu => cpu_seconds,
            _ => printed(&output, "value").and_then(|text| text.parse().ok()).with_context(|| {
                format!("{} printed no line `value NUMBER` but {:?}", bound.program.display(), output.trim())
            })?,
        };
        Ok(Run {
            value,
            cpu_seconds,
            wall_seconds: report.number("wall_us")? / 1e6,
            peak_rss_bytes: report.number("peak_rss_kib")? as u64 * 1024,
            minor_faults: report.number("minor_faults")? as u64,
            curve: Curve::parse(&output),
            malloc: self.malloc_in_force(bound, allocator, &report, &output)?,
        })
    }

    /// A run under strace, which is not measured.
    pub(crate) fn count_calls(&self, bound: &Bound, allocator: &Allocator) -> Result<SystemCalls> {
        let table = self.workshop.path("strace.table");
        _ = fs::remove_file(&table);
        self.launch(bound, allocator, Purpose::CountCalls(&table))?;
        SystemCalls::read(&table)
    }

    fn expected(&self, allocator: &Allocator) -> PathBuf {
        allocator.preload.clone().unwrap_or_else(|| self.libc.to_path_buf())
    }

    /// Judges a measured run: by what the program says of itself, else by what it had mapped.
    fn malloc_in_force(&self, bound: &Bound, allocator: &Allocator, report: &Report, output: &str) -> Result<PathBuf> {
        let expected = self.expected(allocator);
        if let Some(object) = printed(output, "malloc").filter(|_| bound.setting.figure.is_reported()) {
            ensure!(
                same_file(Path::new(object), &expected),
                "the malloc in force was {object}, not {}",
                expected.display()
            );
            return Ok(expected);
        }
        ensure!(
            !report.mapped.is_empty(),
            "the process ended before it could be seen whose malloc it had; run it again"
        );
        let has = |library: &Path| report.mapped.iter().any(|mapped| same_file(mapped, library));
        ensure!(has(&expected), "{} was not mapped in the process, so another malloc was in force", expected.display());
        if allocator.preload.is_none()
            && !bound.setting.own_malloc
            && let Some(other) = self.others.iter().find(|other| has(other))
        {
            bail!("{} was mapped in a run that should have glibc's malloc", other.display());
        }
        Ok(expected)
    }

    fn launch(&self, bound: &Bound, allocator: &Allocator, purpose: Purpose) -> Result<(Report, String)> {
        let setting = &bound.setting;
        let report_path = self.workshop.path("launch.report");
        let mut command = Command::new(self.workshop.path("launch"));
        command.arg("-o").arg(&report_path).args(["-t", &self.timeout_seconds.to_string()]);
        if setting.pinning == Pinning::OneCpu {
            command.args(["-c", &self.cpu.to_string()]);
        }
        let mut preload: Vec<String> = allocator.preload.iter().map(|path| path.display().to_string()).collect();
        if preload.is_empty() && setting.own_malloc {
            preload.push(self.libc.display().to_string());
        }
        if let Purpose::AskWhose(answers) = purpose {
            preload.push(self.workshop.path("which.so").display().to_string());
            command.env("ALLOCATOR_WHICH", answers);
        }
        let preload = preload.join(" ");
        if let Purpose::CountCalls(table) = purpose {
            command.args(["--", "strace", "-f", "-c", "-o"]).arg(table);
            if !preload.is_empty() {
                // For what is traced alone, not for strace itself.
                command.args(["-E", &format!("LD_PRELOAD={preload}")]);
            }
        } else {
            if !preload.is_empty() {
                command.args(["-p", &preload]);
            }
            command.arg("--");
        }
        command.arg(&bound.program).args(&bound.arguments);
        self.set_environment(&mut command, setting);
        let driver = setting.driver.map(|script| self.start_driver(script, setting)).transpose()?;
        let output = command.output().context("the launcher could not be run")?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(driver) = driver {
            // What it prints is a line or two, so the pipe never fills up.
            let driver = driver.wait_with_output()?;
            ensure!(driver.status.success(), "the script that drives {} failed: {}", setting.name, driver.status);
            said.push_str(&String::from_utf8_lossy(&driver.stdout));
        }
        let text = fs::read_to_string(&report_path).unwrap_or_default();
        let report = Report::parse(&text);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the launcher failed: {}", complaint.trim());
        ensure!(report.number("timeout")? == 0.0, "it was ended after {} s (see --timeout)", self.timeout_seconds);
        let status = report.number("status")?;
        let last_line = complaint.trim().lines().last().unwrap_or("nothing on stderr");
        ensure!(status == 0.0, "it ended with status {status}: {last_line}");
        Ok((report, said))
    }

    fn set_environment(&self, command: &mut Command, setting: &Setting) {
        command.current_dir(self.workshop.inputs()).stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(if setting.figure.is_reported() { Stdio::piped() } else { Stdio::null() });
        // Settings of the user's own must not reach only some of the columns.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let tunes = ["MALLOC_", "BRKMAP_", "MIMALLOC_", "TCMALLOC_"].iter().any(|prefix| text.starts_with(prefix));
            if tunes || text == "GLIBC_TUNABLES" || text == "LD_PRELOAD" {
                command.env_remove(&name);
            }
        }
        command.env("HOME", self.workshop.inputs()).env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1");
        command.envs(setting.environment.iter().copied());
    }

    fn start_driver(&self, script: &str, setting: &Setting) -> Result<Child> {
        Command::new("sh")
            .arg(script)
            .current_dir(self.workshop.inputs())
            .env_remove("LD_PRELOAD")
            .envs(setting.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(if setting.figure.is_reported() { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("{script} could not be started with sh"))
    }
}

/// The rest of the line that begins with a key.
fn printed<'a>(output: &'a str, key: &str) -> Option<&'a str> {
    output.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_numbers_and_mappings_apart() {
        let report = Report::parse("status 0\nuser_us 1500\nmap /lib/libc.so.6\nmap 12\n");
        assert_eq!(report.number("user_us").unwrap(), 1500.0);
        assert_eq!(report.mapped, [Path::new("/lib/libc.so.6"), Path::new("12")]);
        assert!(report.number("wall_us").unwrap_err().to_string().contains("wall_us"));
    }

    #[test]
    fn a_printed_line_is_found_by_its_whole_key() {
        assert_eq!(printed("values 1\nvalue 2.5\n", "value"), Some("2.5"));
        assert_eq!(printed("values 1\n", "value"), None);
    }
}
