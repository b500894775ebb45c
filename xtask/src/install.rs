//! `cargo xtask install --prefix DIR [--destdir DIR]`: the library, its header, what pkg-config and CMake need, the command.
//!
//! ```text
//!   PREFIX/bin/brkmap
//!         /include/brkmap.h
//!         /lib/libbrkmap.so → libbrkmap.so.MAJOR → libbrkmap.so.VERSION
//!             /libbrkmap.a
//!             /pkgconfig/brkmap.pc
//!             /cmake/brkmap/brkmapConfig.cmake, brkmapConfigVersion.cmake
//!         /share/bash-completion/completions/brkmap, zsh/site-functions/_brkmap, fish/vendor_completions.d/brkmap.fish
//!         /share/man/man1/brkmap.1, brkmap-run.1, …: one for each verb
//!         /share/doc/brkmap/LICENSE-APACHE, LICENSE-MIT
//! ```
//!
//! No file names the prefix: the tree may be moved. Files are replaced by a rename, so that a program that has the old
//! library mapped keeps it.

use crate::context::new_scratch;
use crate::{archive, library};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const USAGE: &str = "usage: cargo xtask install --prefix DIR [--destdir DIR]";
/// Completions: what the command calls the shell, and where the shell looks.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/brkmap"),
    ("zsh", "share/zsh/site-functions/_brkmap"),
    ("fish", "share/fish/vendor_completions.d/brkmap.fish"),
];

/// Who may read and execute a file.
#[derive(Clone, Copy)]
enum Mode {
    Data = 0o644,
    Program = 0o755,
}

/// Runs the task.
pub(crate) fn task(args: &[String]) -> Result<bool, String> {
    let (mut prefix, mut destdir) = (None, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let place = match arg.as_str() {
            "--prefix" => &mut prefix,
            "--destdir" => &mut destdir,
            other => return Err(format!("unknown argument `{other}`\n{USAGE}")),
        };
        *place = Some(PathBuf::from(args.next().ok_or_else(|| format!("{arg} needs a DIR\n{USAGE}"))?));
    }
    let prefix = prefix.ok_or(USAGE)?;
    let prefix = std::path::absolute(&prefix).map_err(|e| format!("--prefix {}: {e}", prefix.display()))?;
    let target = match destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix.clone(),
    };
    install(&target)?;
    println!("installed brkmap {VERSION} in {}", target.display());
    if target != prefix {
        println!("to be used as {}", prefix.display());
    }
    Ok(true)
}

fn install(target: &Path) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent directory")?;
    let scratch = new_scratch("install")?;
    let done = build(root, &scratch).and_then(|built| place(root, &built, target));
    fs::remove_dir_all(&scratch).map_err(|e| format!("cannot remove {}: {e}", scratch.display()))?;
    done
}

/// What was built.
struct Built {
    command: PathBuf,
    shared: PathBuf,
    archive: PathBuf,
}

fn build(root: &Path, scratch: &Path) -> Result<Built, String> {
    let command = library::build_command(root)?;
    let carried = library::of_command(&command, Some(scratch))?;
    let shared = scratch.join("libbrkmap.so");
    // The line tables would name the folders of the machine that built it.
    output(Command::new("objcopy").arg("--strip-debug").arg(&carried).arg(&shared))?;
    Ok(Built { command, shared, archive: archive::build(root, scratch)? })
}

fn place(root: &Path, built: &Built, target: &Path) -> Result<(), String> {
    let put = |name: &str, contents: &[u8], mode| write(&target.join(name), contents, mode);
    put("bin/brkmap", &read(&built.command)?, Mode::Program)?;
    put("include/brkmap.h", &read(&root.join("crates/capi/include/brkmap.h"))?, Mode::Data)?;
    put(&format!("lib/libbrkmap.so.{VERSION}"), &read(&built.shared)?, Mode::Program)?;
    put("lib/libbrkmap.a", &read(&built.archive)?, Mode::Data)?;
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    link(&target.join(format!("lib/libbrkmap.so.{major}")), &format!("libbrkmap.so.{VERSION}"))?;
    link(&target.join("lib/libbrkmap.so"), &format!("libbrkmap.so.{major}"))?;

    let filled = |name: &str| {
        let text = String::from_utf8(read(&root.join("crates/capi/install").join(name))?)
            .map_err(|e| format!("{name}: {e}"))?;
        Ok::<_, String>(
            text.replace("@VERSION@", VERSION)
                .replace("@MAJOR@", major)
                .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
                .replace("@URL@", env!("CARGO_PKG_REPOSITORY")),
        )
    };
    put("lib/pkgconfig/brkmap.pc", filled("brkmap.pc.in")?.as_bytes(), Mode::Data)?;
    for name in ["brkmapConfig.cmake", "brkmapConfigVersion.cmake"] {
        put(&format!("lib/cmake/brkmap/{name}"), filled(&format!("{name}.in"))?.as_bytes(), Mode::Data)?;
    }
    for (shell, place) in COMPLETIONS {
        let script = output(Command::new(&built.command).args(["completions", shell]))?;
        put(place, &script, Mode::Data)?;
    }
    // The command knows its verbs: it writes a page for each.
    let pages = built.archive.with_file_name("man1");
    output(Command::new(&built.command).arg("man").arg(&pages))?;
    let entries = fs::read_dir(&pages).map_err(|e| format!("cannot read {}: {e}", pages.display()))?;
    for page in entries.map_while(Result::ok) {
        put(&format!("share/man/man1/{}", page.file_name().to_string_lossy()), &read(&page.path())?, Mode::Data)?;
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        put(&format!("share/doc/brkmap/{name}"), &read(&root.join(name))?, Mode::Data)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// A name beside `path` for what will be renamed to it; its directory exists afterwards.
fn beside(path: &Path) -> Result<PathBuf, String> {
    let (directory, name) =
        path.parent().zip(path.file_name()).ok_or_else(|| format!("{} is no file name", path.display()))?;
    fs::create_dir_all(directory).map_err(|e| format!("cannot create {}: {e}", directory.display()))?;
    Ok(directory.join(format!(".{}.new-{}", name.to_string_lossy(), std::process::id())))
}

fn write(path: &Path, contents: &[u8], mode: Mode) -> Result<(), String> {
    let fresh = beside(path)?;
    fs::write(&fresh, contents)
        .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(mode as u32)))
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn link(path: &Path, to: &str) -> Result<(), String> {
    let fresh = beside(path)?;
    symlink(to, &fresh)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("cannot start {name}: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
