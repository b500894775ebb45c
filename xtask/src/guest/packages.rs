//! The kernel and the shell of the guest: Debian packages, unpacked below the target directory and not installed.

use crate::process;
use crate::tools::{Install, apt_get};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Depends on the newest kernel for virtual machines: what the guest needs is built in, not in modules.
const NEWEST_KERNEL: &str = "linux-image-cloud-amd64";
const SHELL: &str = "busybox-static";

/// Files of the packages.
pub(super) struct Packages {
    pub(super) kernel: PathBuf,
    pub(super) busybox: PathBuf,
}

/// Finds them in `folder`; what is not there is fetched, if it may be.
pub(super) fn ensure(folder: &Path, install: Install) -> Result<Packages, String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    if let Some(found) = find(folder) {
        return Ok(found);
    }
    let remedy =
        format!("remedy: cargo xtask guest without --no-install unpacks the Debian packages into {}", folder.display());
    if install == Install::Never {
        return Err(format!("there is no kernel or no busybox for the guest\n{remedy}"));
    }
    let kernel = match fetch(folder) {
        Ok(kernel) => kernel,
        // There are no lists, or they are old and name packages that the mirror has no more.
        Err(_) => {
            process::shown(apt_get().args(["update", "-qq"]))?;
            fetch(folder)?
        }
    };
    for (package, _) in files(folder, ".deb")? {
        process::shown(Command::new("dpkg").arg("-x").arg(&package).arg(folder))?;
        std::fs::remove_file(&package).map_err(|e| format!("cannot remove {}: {e}", package.display()))?;
    }
    find(folder).ok_or_else(|| format!("{kernel} has no boot/vmlinuz-*, or {SHELL} no bin/busybox"))
}

/// Downloads both packages; tells the name of the kernel's.
fn fetch(folder: &Path) -> Result<String, String> {
    let kernel = newest_kernel()?;
    println!("  fetching {kernel} {SHELL}");
    process::shown(apt_get().args(["download", "-qq", &kernel, SHELL]).current_dir(folder))?;
    Ok(kernel)
}

fn find(folder: &Path) -> Option<Packages> {
    let kernels = files(&folder.join("boot"), "").ok()?;
    let kernel = kernels.into_iter().find(|(_, name)| name.starts_with("vmlinuz-"))?.0;
    let busybox = folder.join("bin/busybox");
    busybox.exists().then_some(Packages { kernel, busybox })
}

/// Paths and names of the files in a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Result<Vec<(PathBuf, String)>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let named = entries.flatten().map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()));
    Ok(named.filter(|(_, name)| name.ends_with(ending)).collect())
}

/// The package that the one without a version depends on.
fn newest_kernel() -> Result<String, String> {
    let output = Command::new("apt-cache").args(["depends", NEWEST_KERNEL]).output();
    let output = output.map_err(|e| format!("cannot start apt-cache: {e}; the guest's kernel is a Debian package"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(str::to_owned).ok_or_else(|| format!("apt-cache knows no package {NEWEST_KERNEL}"))
}
