//! The tools that the checks use. What is missing is installed, or named; a missing tool never skips a check.

use crate::context::Context;
use crate::process;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to do about a missing tool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Install it with apt-get.
    Missing,
    /// Name it and fail.
    Never,
}

/// `(what must be there, the Debian package that brings it)`; a name that starts with `lib` is a shared library.
const NEEDED: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("readelf", "binutils"),
    ("setpriv", "util-linux"),
    ("prlimit", "util-linux"),
    ("setarch", "util-linux"),
    ("unshare", "util-linux"),
    ("valgrind", "valgrind"),
    ("strace", "strace"),
    ("script", "bsdutils"),
    ("tmux", "tmux"),
    ("cmake", "cmake"),
    ("make", "make"),
    ("pkg-config", "pkg-config"),
    ("git", "git"),
    ("bash", "bash"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("elvish", "elvish"),
    ("man", "man-db"),
    ("groff", "groff-base"),
    ("mandoc", "mandoc"),
    ("pgrep", "procps"),
    ("perl", "perl"),
    ("python3", "python3"),
    ("lua5.4", "lua5.4"),
    ("sqlite3", "sqlite3"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("node", "nodejs"),
    ("openssl", "openssl"),
    ("xz", "xz-utils"),
    ("chromium", "chromium"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("libjemalloc.so.2", "libjemalloc2"),
    ("libmimalloc.so.2", "libmimalloc2.0"),
    ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
];

/// The search path of every check: the system's own programs, whatever the caller's shell has in front of them.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const LIBRARY_PATH: &str = "/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/lib:/usr/local/lib";

/// Makes sure of every tool; each one that is missing at the end is a failed check.
pub(crate) fn ensure(context: &mut Context, install: Install) {
    context.report.section("tools");
    let mut packages: Vec<&str> = missing().into_iter().map(|(_, package)| package).collect();
    packages.dedup();
    if !packages.is_empty() && install == Install::Missing {
        if rustix::process::geteuid().is_root() {
            println!("  installing {}", packages.join(" "));
            if let Err(why) = apt(&packages) {
                println!("  {why}");
            }
        } else {
            println!("  not root, so nothing is installed");
        }
    }
    let missing = missing();
    context.report.check("tools", "present", || {
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        Err(format!("missing: {}\nremedy: apt-get install {}", names.join(", "), packages.join(" ")))
    });
}

fn apt(packages: &[&str]) -> Result<(), String> {
    process::shown(apt_get().args(["update", "-qq"]))?;
    process::shown(apt_get().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
}

/// apt-get that asks a mirror again, and waits while another one is at work.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn missing() -> Vec<(&'static str, &'static str)> {
    NEEDED.iter().copied().filter(|(name, _)| find(name).is_none()).collect()
}

/// The first file of this name in the system's program or library directories.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = if name.starts_with("lib") { LIBRARY_PATH } else { SYSTEM_PATH };
    path.split(':').map(|directory| Path::new(directory).join(name)).find(|file| file.exists())
}
