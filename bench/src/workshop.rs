//! The directory that a comparison works in: the C programs built from `bench/c`, and the inputs.

use crate::inputs;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SOURCES: [(&str, &str); 14] = [
    ("launch.c", include_str!("../c/launch.c")),
    ("which.c", include_str!("../c/which.c")),
    ("trivial.c", include_str!("../c/trivial.c")),
    ("micro.h", include_str!("../c/micro.h")),
    ("micro.c", include_str!("../c/micro.c")),
    ("single.c", include_str!("../c/single.c")),
    ("threads.c", include_str!("../c/threads.c")),
    ("pairs.c", include_str!("../c/pairs.c")),
    ("ladder.c", include_str!("../c/ladder.c")),
    ("phases.c", include_str!("../c/phases.c")),
    ("shared.c", include_str!("../c/shared.c")),
    ("forked.c", include_str!("../c/forked.c")),
    ("giveback.c", include_str!("../c/giveback.c")),
    ("latency.c", include_str!("../c/latency.c")),
];

/// Everything that runs need, in a temporary directory that ends with this value.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    /// Builds the C programs and generates the inputs.
    pub(crate) fn set_up() -> Result<Workshop> {
        let directory = tempfile::Builder::new()
            .prefix("brkmap-bench-")
            .tempdir()
            .context("no temporary directory could be made; set TMPDIR to a directory that can be written")?;
        let workshop = Workshop { directory };
        fs::create_dir(workshop.inputs())?;
        for (name, text) in SOURCES {
            fs::write(workshop.path(name), text)?;
        }
        // malloc must stay a call: no builtin knowledge of it in what is measured.
        workshop.compile("launch", &["-static"], &["launch.c"])?;
        workshop.compile("which.so", &["-shared", "-fPIC"], &["which.c"])?;
        workshop.compile("trivial", &["-fno-builtin"], &["trivial.c"])?;
        let loops = ["micro.c", "single.c", "threads.c", "pairs.c", "ladder.c", "phases.c", "shared.c", "forked.c"];
        workshop.compile("brkmap-micro", &["-fno-builtin", "-pthread"], &loops)?;
        workshop.compile("giveback", &["-fno-builtin", "-pthread"], &["giveback.c"])?;
        workshop.compile("latency", &["-fno-builtin", "-pthread"], &["latency.c"])?;
        inputs::generate(&workshop.inputs())?;
        Ok(workshop)
    }

    /// A file of the workshop.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory of the inputs, where the measured programs run.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.path("inputs")
    }

    fn compile(&self, output: &str, flags: &[&str], sources: &[&str]) -> Result<()> {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let done = Command::new(&compiler)
            .current_dir(self.directory.path())
            .args(["-O2", "-Wall", "-Wextra", "-o", output])
            .args(flags)
            .args(sources)
            .arg("-ldl")
            .output()
            .with_context(|| format!("the C compiler {compiler} could not be run; install gcc or set CC"))?;
        ensure!(
            done.status.success(),
            "{compiler} did not build {output} from {}: {}",
            sources.join(" "),
            String::from_utf8_lossy(&done.stderr).trim()
        );
        Ok(())
    }
}

/// The CPU that single-threaded settings are pinned to: the last that this process may use.
pub(crate) fn last_allowed_cpu() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status could not be read")?;
    last_cpu_of(&status).context("/proc/self/status has no Cpus_allowed_list line; name a CPU with --cpu")
}

fn last_cpu_of(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}

/// Whether a path names an object of this file name, links followed or not.
pub(crate) fn same_file(left: &Path, right: &Path) -> bool {
    left == right || matches!((fs::canonicalize(left), fs::canonicalize(right)), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cpu_of_any_list() {
        assert_eq!(last_cpu_of("Cpus_allowed_list:\t0-1\n"), Some(1));
        assert_eq!(last_cpu_of("Cpus_allowed_list:\t0,2-3,7\n"), Some(7));
        assert_eq!(last_cpu_of("Cpus_allowed_list:\t5\n"), Some(5));
        assert_eq!(last_cpu_of("Name: x\n"), None);
    }
}
