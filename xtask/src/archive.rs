//! `libbrkmap.a`: one object whose only global names are the public ones.
//!
//! A Rust `staticlib` as it comes is no good neighbour: it carries the names of a second Rust standard library and the
//! inside of the engine. So its one optimised object, with whatever members of the compiler's own library it asks for, is
//! joined into one relocatable object, and every global name that `libbrkmap.so` does not export becomes local.

use crate::library;
use crate::process;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `cargo xtask archive [--out DIR]`.
pub(crate) fn task(args: &[String]) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent directory")?;
    let out = match args {
        [] => library::target_directory(root).join("archive"),
        [flag, directory] if flag == "--out" => PathBuf::from(directory),
        _ => return Err("usage: cargo xtask archive [--out DIR]".into()),
    };
    println!("{}", build(root, &out)?.display());
    Ok(true)
}

/// Builds the library and writes `libbrkmap.a` into `out`; returns its path.
pub(crate) fn build(root: &Path, out: &Path) -> Result<PathBuf, String> {
    process::shown(library::cargo(root).args(["build", "--release", "--locked", "-p", "brkmap-capi"]))?;
    let built = library::target_directory(root).join("release");
    let (static_library, shared_library) = (built.join("libbrkmap_c.a"), built.join("libbrkmap_c.so"));
    let public = exports(&shared_library)?;

    std::fs::create_dir_all(out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
    let scratch = out.join("archive.parts");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("cannot create {}: {e}", scratch.display()))?;
    let archive = join(&static_library, &public, &scratch, out);
    std::fs::remove_dir_all(&scratch).map_err(|e| format!("cannot remove {}: {e}", scratch.display()))?;
    archive
}

fn join(static_library: &Path, public: &BTreeSet<String>, scratch: &Path, out: &Path) -> Result<PathBuf, String> {
    let (joined, object, list) = (scratch.join("joined.o"), scratch.join("brkmap.o"), scratch.join("public"));
    let names: Vec<&str> = public.iter().map(String::as_str).collect();
    std::fs::write(&list, names.join("\n") + "\n").map_err(|e| format!("cannot write {}: {e}", list.display()))?;

    // `-u malloc` takes the engine's object out of the static library, and the linker takes what that one asks for.
    run("ld", |ld| ld.args(["-r", "-u", "malloc", "-o"]).arg(&joined).arg(static_library))?;
    // The line tables would name the folders of the machine that built it. The compiler's intermediate code, which the standard
    // library's objects carry, makes a linker with LLVM's plugin take the object for its own, and find no names in it.
    run("objcopy", |copy| {
        copy.args(["--strip-debug", "--remove-section", ".llvmbc", "--remove-section", ".llvmcmd"])
            .arg("--keep-global-symbols")
            .args([&list, &joined, &object])
    })?;
    let archive = out.join("libbrkmap.a");
    if archive.exists() {
        std::fs::remove_file(&archive).map_err(|e| format!("cannot remove {}: {e}", archive.display()))?;
    }
    // D: no times or owners, so that the same sources make the same file.
    run("ar", |ar| ar.arg("rcsD").arg(&archive).arg(&object))?;
    Ok(archive)
}

/// The names that a shared library exports.
pub(crate) fn exports(library: &Path) -> Result<BTreeSet<String>, String> {
    names(library, &["-D", "--defined-only", "--format=posix"])
}

/// The global names that an archive defines.
pub(crate) fn globals(archive: &Path) -> Result<BTreeSet<String>, String> {
    names(archive, &["-g", "--defined-only", "--format=posix"])
}

/// The names that an archive asks others for.
pub(crate) fn wants(archive: &Path) -> Result<BTreeSet<String>, String> {
    names(archive, &["-u", "--format=posix"])
}

/// The objects in an archive.
pub(crate) fn members(archive: &Path) -> Result<Vec<String>, String> {
    Ok(run("ar", |ar| ar.arg("t").arg(archive))?.lines().map(str::to_owned).collect())
}

/// The first words of nm's lines; a line of one word is the title of an archive member.
fn names(file: &Path, flags: &[&str]) -> Result<BTreeSet<String>, String> {
    let text = run("nm", |nm| nm.args(flags).arg(file))?;
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let names: BTreeSet<String> = rows.filter(|row| row.len() > 1).map(|row| row[0].to_owned()).collect();
    if names.is_empty() { Err(format!("nm {}: no names; is it the right file?", file.display())) } else { Ok(names) }
}

/// Runs a tool of binutils; its standard output.
fn run(tool: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<String, String> {
    let mut command = Command::new(tool);
    let output =
        arguments(&mut command).output().map_err(|e| format!("cannot start {tool}: {e}; it is part of binutils"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{tool} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
