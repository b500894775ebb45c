//! Instructions of real programs under brkmap against glibc, counted by callgrind.
//!
//! Callgrind, unlike memcheck, leaves malloc alone, so the preloaded library is what runs. It refuses the program break
//! to a program after a while and serves mappings instead; both sides are counted under the same rule.

use crate::context::{Context, stem};
use crate::header::Header;
use crate::process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The bound of the ratio.
const BOUND: f64 = 1.02;

/// Counts every script of `tests/instructions` both ways, prints the table, fails above the bound.
pub(crate) fn run(context: &mut Context) -> Result<bool, String> {
    let preload = preload(context)?;
    println!("{:<12} {:>14} {:>14} {:>7}", "program", "glibc", "brkmap", "ratio");
    let mut within = true;
    let mut programs = 0;
    for script in context.sources("tests/instructions", &["sh"])? {
        let name = stem(&script);
        if !context.selects("instructions", &name) {
            continue;
        }
        programs += 1;
        let glibc = count(context, &script, &[])?;
        let brkmap = count(context, &script, &[&preload])?;
        let ratio = brkmap / glibc;
        within &= ratio <= BOUND;
        let mark = if ratio <= BOUND { "" } else { "  above the bound" };
        println!("{name:<12} {glibc:>14.0} {brkmap:>14.0} {ratio:>7.3}{mark}");
    }
    if programs == 0 {
        return Err("no script has a name with this FILTER in it".into());
    }
    println!("bound {BOUND:.2}; counted by `valgrind --tool=callgrind`");
    Ok(within)
}

/// The variable that puts the library under test into a program.
pub(crate) fn preload(context: &mut Context) -> Result<String, String> {
    Ok(format!("LD_PRELOAD={}", context.library()?.display()))
}

/// Runs a script whose `$COUNT` prefix puts the program to be counted under callgrind, with these variables in its environment;
/// the sum of all its processes.
pub(crate) fn count(context: &Context, script: &Path, variables: &[&str]) -> Result<f64, String> {
    let side = if variables.is_empty() { "glibc" } else { "brkmap" };
    let directory = context.scratch(&format!("{}-{side}", stem(script)))?;
    let header = Header::read(script)?;
    let prefix = format!(
        "{} env {} valgrind -q --tool=callgrind --callgrind-out-file={}/callgrind.%p",
        fixed_layout(&directory)?,
        variables.join(" "),
        directory.display()
    );
    let mut command = Command::new("bash");
    command.arg(script).current_dir(&directory).env_clear().env("PATH", crate::tools::SYSTEM_PATH);
    command.env("HOME", &directory).env("LC_ALL", "C").env("TZ", "UTC").env("COUNT", prefix);
    let limit = header.timeout()?.max(Duration::from_secs(60));
    process::run(&mut command, limit, &directory)?.success().map_err(|why| format!("{}: {why}", stem(script)))?;
    let mut sum = 0.0;
    for entry in std::fs::read_dir(&directory).map_err(|e| e.to_string())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("callgrind.") {
            sum += total(&entry.path())?;
        }
    }
    std::fs::remove_dir_all(&directory).map_err(|e| format!("cannot remove {}: {e}", directory.display()))?;
    if sum > 0.0 { Ok(sum) } else { Err(format!("{}: callgrind counted nothing", stem(script))) }
}

/// What starts a program with one layout of its address space, where the machine lets us: programs that hash addresses count
/// the same each time.
fn fixed_layout(directory: &Path) -> Result<&'static str, String> {
    Ok(if process::may_fix_layout(directory)? { "setarch -R" } else { "" })
}

/// The `summary:` or `totals:` line of a callgrind file.
fn total(path: &Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let line = text.lines().find_map(|l| l.strip_prefix("summary: ").or_else(|| l.strip_prefix("totals: ")));
    line.and_then(|n| n.trim().parse().ok()).ok_or_else(|| format!("{} has no total", path.display()))
}
