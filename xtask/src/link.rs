//! The other ways brkmap comes into a program: the archive, the linked and the opened library, the Rust face in a program,
//! in a library for C and beside the C library.
//!
//! The scripts of `tests/link` build and check one way each. A script gets `LIBRARIES` (a directory with `libbrkmap.so`
//! and `libbrkmap.a`), `SOURCES` (`tests/link`), `RUST` (where the Rust packages of `tests/link/rust` were built), and
//! runs in an empty directory.

use crate::archive;
use crate::context::{Context, stem};
use crate::header::Header;
use crate::library;
use crate::process;
use crate::report::Outcome;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the archive may ask of others: libc, what the compiler's start files and the linker bring, and, weakly, the
/// program's own settings (`brkmap_conf`) and sanitizers.
const WANTED: &[&str] = &[
    "__asan_init",
    "__dso_handle",
    "__ehdr_start",
    "__errno_location",
    "__libc_stack_end",
    "__lsan_init",
    "__msan_init",
    "__tsan_init",
    "bcmp",
    "brkmap_conf",
    "environ",
    "fputs",
    "getauxval",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "pthread_atfork",
    "pthread_mutex_init",
    "pthread_mutex_lock",
    "pthread_mutexattr_init",
    "pthread_mutexattr_setrobust",
    "sbrk",
    "strlen",
    "syscall",
];

/// Runs every check.
pub(crate) fn run(context: &mut Context) {
    let scripts = match context.sources("tests/link", &["sh"]) {
        Ok(scripts) => scripts,
        Err(why) => return context.report.check("link", "sources", || Err(why)),
    };
    let scripts: Vec<PathBuf> = scripts.into_iter().filter(|s| context.selects("link", &stem(s))).collect();
    let archive_selected = context.selects("link", "archive-names");
    if scripts.is_empty() && !archive_selected {
        return;
    }
    context.report.section(&format!("tests/link ({} ways)", scripts.len()));
    let (libraries, rust) = match prepare(context) {
        Ok(built) => built,
        Err(why) => return context.report.check("link", "prepare", || Err(why)),
    };
    if archive_selected {
        context.report.check("link", "archive-names", || archive_names(&libraries));
    }
    for script in scripts {
        let name = stem(&script);
        let directory = context.scratch(&format!("link-{name}"));
        context.report.check("link", &name, || one(&script, &libraries, &rust, &directory?));
    }
}

/// Builds the archive beside the library under test, and the Rust packages.
fn prepare(context: &mut Context) -> Result<(PathBuf, PathBuf), String> {
    context.library()?;
    let libraries = context.scratch("lib")?;
    archive::build(&context.root, &libraries)?;
    Ok((libraries, rust_packages(context)?))
}

/// Builds the Rust packages of `tests/link/rust`; where they are.
pub(crate) fn rust_packages(context: &Context) -> Result<PathBuf, String> {
    let rust = library::target_directory(&context.root).join("link");
    let mut cargo = library::cargo(&context.root.join("tests/link/rust"));
    cargo.args(["build", "--release", "--locked", "--target-dir"]).arg(&rust);
    process::shown(&mut cargo)?;
    Ok(rust.join("release"))
}

/// The archive defines what the library exports and nothing else, in one object, and needs libc alone.
fn archive_names(libraries: &Path) -> Outcome {
    let archive = libraries.join("libbrkmap.a");
    let (public, defined) = (archive::exports(&libraries.join("libbrkmap.so"))?, archive::globals(&archive)?);
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let (missing, extra) = (list(public.difference(&defined).collect()), list(defined.difference(&public).collect()));
    if !(missing.is_empty() && extra.is_empty()) {
        return Err(format!("missing in the archive: {missing}\ntoo many: {extra}"));
    }
    let allowed: BTreeSet<String> = WANTED.iter().map(|name| (*name).to_owned()).collect();
    let wanted = archive::wants(&archive)?;
    let strange = list(wanted.difference(&allowed).collect());
    if !strange.is_empty() {
        return Err(format!("it asks for names that are not on the list of tests: {strange}"));
    }
    match archive::members(&archive)?.as_slice() {
        [_] => Ok(()),
        members => Err(format!("{} members instead of one: {}", members.len(), members.join(" "))),
    }
}

fn one(script: &Path, libraries: &Path, rust: &Path, directory: &Path) -> Outcome {
    let limit = Header::read(script)?.timeout()?;
    let sources = script.parent().ok_or("a script lies in no directory")?;
    let mut command = Command::new("bash");
    command.args(["-eux"]).arg(script).current_dir(directory).env_remove("LD_PRELOAD");
    command.env("LIBRARIES", libraries).env("SOURCES", sources).env("RUST", rust).env("LC_ALL", "C");
    process::run(&mut command, limit, directory)?.success()
}
