//! The one library under test: the command is built, and the command says where its library is.

use crate::context::Context;
use crate::process;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the command in release mode and copies the library it carries.
///
/// The copy is called `libbrkmap.so`, as it is when installed; it is the same file byte for byte.
pub(crate) fn build(context: &Context) -> Result<PathBuf, String> {
    let command = build_command(&context.root)?;
    copy(context, &of_command(&command, None)?)
}

/// Builds the command in release mode; its path.
pub(crate) fn build_command(root: &Path) -> Result<PathBuf, String> {
    process::shown(cargo(root).args(["build", "--release", "--locked", "-p", "brkmap-cli"]))?;
    Ok(target_directory(root).join("release/brkmap"))
}

/// The library that a command carries, unpacked into `cache`, or where the command puts it by itself.
pub(crate) fn of_command(command: &Path, cache: Option<&Path>) -> Result<PathBuf, String> {
    let mut asking = Command::new(command);
    if let Some(cache) = cache {
        asking.env("XDG_CACHE_HOME", cache);
    }
    let output = asking.arg("lib-path").output().map_err(|e| format!("cannot start {}: {e}", command.display()))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || path.is_empty() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{} lib-path` failed ({}): {}", command.display(), output.status, why.trim()));
    }
    Ok(path.into())
}

/// Copies a library to where every user may read it.
pub(crate) fn copy(context: &Context, path: &Path) -> Result<PathBuf, String> {
    let copy = context.scratch("lib")?.join("libbrkmap.so");
    std::fs::copy(path, &copy).map_err(|e| format!("cannot copy {} to {}: {e}", path.display(), copy.display()))?;
    allow_read(&copy)?;
    // Programs linked with it ask for it by the name in its dynamic section.
    let named = copy.with_file_name("libbrkmap.so.0");
    std::os::unix::fs::symlink("libbrkmap.so", &named)
        .map_err(|e| format!("cannot create {}: {e}", named.display()))?;
    Ok(copy)
}

fn allow_read(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("cannot set the mode of {}: {e}", path.display()))
}

/// The cargo that started this task, at the root of the repository.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}
