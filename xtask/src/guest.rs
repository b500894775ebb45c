//! A small Linux of its own, with control groups of the second version and stalls (PSI) of the kernel's, in which the scripts
//! of `tests/guest` check what the library does where memory is short.
//!
//! ```text
//!   packages     a kernel and busybox: Debian packages, unpacked, not installed
//!   cpio         the first file system: busybox, tests/guest/inside, the scripts, library, command, what ldd says they need
//!   qemu         runs them by software emulation, so no privilege and no KVM is needed
//!   second line  "begin NAME", "| said", "end NAME STATUS MILLISECONDS", "over": one check for each script
//! ```
//!
//! A script is read by busybox's sh, and checks for itself; `inside/init.sh` is the first process and starts them.

mod cpio;
mod packages;

use crate::context::{Context, stem};
use crate::header::Header;
use crate::library;
use crate::process;
use crate::report::Outcome;
use crate::tools;
use packages::Packages;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const QEMU: &str = "qemu-system-x86_64";
/// Bytes of the disk, which is all zero: `stalls.sh` reads it.
const DISK: u64 = 400 << 20;
/// What start and end of the guest take at most, on a machine with other work.
const AROUND: Duration = Duration::from_secs(180);

/// A script and its time.
struct Script {
    path: PathBuf,
    name: String,
    limit: Duration,
    /// It runs the command (`programs: brkmap`).
    runs_command: bool,
}

/// `cargo xtask guest`: this alone.
pub(crate) fn task(context: &mut Context) -> Result<bool, String> {
    run(context);
    context.report.finish()
}

/// Runs every selected script in one guest.
pub(crate) fn run(context: &mut Context) {
    let scripts = match selected(context) {
        Ok(scripts) if scripts.is_empty() => return,
        Ok(scripts) => scripts,
        Err(why) => return context.report.check("guest", "sources", || Err(why)),
    };
    context.report.section(&format!("tests/guest ({} scripts in a Linux of their own)", scripts.len()));
    let said = match boot(context, &scripts) {
        Ok(said) => said,
        Err(why) => return context.report.check("guest", "boot", || Err(why)),
    };
    for script in &scripts {
        let (outcome, took) = verdict(&said, &script.name);
        context.report.record("guest", &script.name, outcome, took);
        for line in lines_of(&said.results, &script.name) {
            println!("        {line}");
        }
    }
}

fn selected(context: &Context) -> Result<Vec<Script>, String> {
    let mut scripts = Vec::new();
    for path in context.sources("tests/guest", &["sh"])? {
        let name = stem(&path);
        if context.selects("guest", &name) {
            let header = Header::read(&path)?;
            let (limit, runs_command) = (header.timeout()?, header.words("programs").contains(&"brkmap"));
            scripts.push(Script { path, name, limit, runs_command });
        }
    }
    Ok(scripts)
}

/// What came out of the guest.
struct Said {
    results: String,
    /// How qemu ended, and the last that the kernel said.
    end: String,
}

fn boot(context: &mut Context, scripts: &[Script]) -> Result<Said, String> {
    let qemu = tools::find(QEMU).ok_or_else(|| format!("no {QEMU}\nremedy: apt-get install qemu-system-x86"))?;
    let packages = packages::ensure(&library::target_directory(&context.root).join("guest"), context.install)?;
    let library = context.library()?;
    let runs_command = scripts.iter().any(|script| script.runs_command);
    let command = runs_command.then(|| library::build_command(&context.root)).transpose()?;
    let work = context.scratch("guest")?;
    let system = first_file_system(context, scripts, &packages, &library, command.as_deref(), &work)?;
    let place = |name: &str| work.join(name).display().to_string();
    std::fs::write(place("initramfs"), system).map_err(|e| format!("cannot write {}: {e}", place("initramfs")))?;
    let disk = std::fs::File::create(place("disk")).and_then(|file| file.set_len(DISK));
    disk.map_err(|e| format!("cannot create {}: {e}", place("disk")))?;
    let mut machine = Command::new(qemu);
    machine.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"]);
    machine.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    machine.args(["-serial", &format!("file:{}", place("console")), "-serial", &format!("file:{}", place("results"))]);
    machine.args(["-drive", &format!("file={},if=none,id=disk,format=raw,readonly=on", place("disk"))]);
    machine.args(["-device", "nvme,drive=disk,serial=guest"]);
    machine.arg("-kernel").arg(&packages.kernel).args(["-initrd", &place("initramfs")]);
    machine.args(["-append", "console=ttyS0 quiet psi=1 panic=-1 oops=panic"]);
    let limit = AROUND + scripts.iter().map(|script| script.limit).sum::<Duration>();
    let run = process::run(&mut machine, limit, &work)?;
    let text = |name: &str| std::fs::read(work.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let console = text("console").unwrap_or_default();
    let last: Vec<&str> = console.lines().rev().take(12).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Ok(Said { results: text("results").unwrap_or_default(), end: format!("{}\n{}", run.describe(), last.join("\n")) })
}

fn first_file_system(
    context: &Context,
    scripts: &[Script],
    packages: &Packages,
    library: &Path,
    command: Option<&Path>,
    work: &Path,
) -> Result<Vec<u8>, String> {
    let inside = context.root.join("tests/guest/inside");
    let tenant = work.join("tenant");
    let flags = ["-O1", "-Wall", "-Werror", "-fno-builtin", "-D_GNU_SOURCE"];
    process::shown(Command::new("gcc").args(flags).arg(inside.join("tenant.c")).arg("-o").arg(&tenant))?;
    let mut archive = cpio::Archive::new();
    let mut needed = BTreeSet::new();
    let mut built = vec![(library, "lib/libbrkmap.so"), (&tenant, "bin/tenant")];
    built.extend(command.map(|path| (path, "bin/brkmap")));
    for (path, name) in built {
        needed.extend(needed_by(path)?);
        archive.file(name, &stripped(path, work)?);
    }
    archive.file("bin/busybox", &read(&packages.busybox)?);
    archive.file("init", &read(&inside.join("init.sh"))?);
    archive.file("tests/common.sh", &read(&inside.join("common.sh"))?);
    for path in needed {
        archive.file(path.trim_start_matches('/'), &read(Path::new(&path))?);
    }
    let mut list = String::new();
    for script in scripts {
        archive.file(&format!("tests/{}.sh", script.name), &read(&script.path)?);
        list += &format!("{} {}\n", script.name, script.limit.as_secs());
    }
    archive.file("tests/list", list.as_bytes());
    archive.directory("root");
    Ok(archive.finish())
}

/// The shared libraries of a program, and the loader, by their paths.
fn needed_by(path: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("ldd").arg(path).output().map_err(|e| format!("cannot start ldd: {e}"))?;
    if !output.status.success() {
        return Err(format!("ldd {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}

/// A file without what only debuggers read.
fn stripped(path: &Path, work: &Path) -> Result<Vec<u8>, String> {
    let to = work.join("stripped");
    process::shown(Command::new("objcopy").arg("--strip-debug").arg(path).arg(&to))?;
    read(&to)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// What a script said.
fn lines_of<'a>(results: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("begin {name}");
    let lines = results.lines().map(|line| line.trim_end_matches('\r')).skip_while(move |line| *line != begin);
    lines.skip(1).map_while(|line| line.strip_prefix("| ").or(line.strip_prefix('|')))
}

fn verdict(said: &Said, name: &str) -> (Outcome, Duration) {
    let end = format!("end {name} ");
    let mut words =
        said.results.lines().find_map(|line| line.strip_prefix(&end)).unwrap_or_default().split_whitespace();
    let (status, ms) = (words.next(), words.next().and_then(|ms| ms.parse().ok()));
    let outcome = match status {
        Some("0") => Ok(()),
        Some("137") => Err("no end within its time, or killed".to_owned()),
        Some(status) => Err(format!("exit status {status}")),
        None => Err(format!("the guest ended before it did: {}", said.end)),
    };
    (outcome, Duration::from_millis(ms.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(results: &str) -> Said {
        Said { results: results.to_owned(), end: "killed by signal 9".to_owned() }
    }

    #[test]
    fn a_script_passes_only_if_it_ended_well() {
        let said = said("begin a\n| x 1\n| \nend a 0 1500\nbegin b\n| y\nend b 1 20\nbegin ab\n| z\n");
        assert_eq!(verdict(&said, "a"), (Ok(()), Duration::from_millis(1500)));
        assert_eq!(verdict(&said, "b").0, Err("exit status 1".to_owned()));
        assert!(verdict(&said, "ab").0.unwrap_err().contains("killed by signal 9"));
        assert!(verdict(&said, "never").0.is_err());
        assert_eq!(lines_of(&said.results, "a").collect::<Vec<_>>(), ["x 1", ""]);
        assert_eq!(lines_of(&said.results, "ab").collect::<Vec<_>>(), ["z"]);
    }
}
