//! The columns: which malloc, from which file, in which version.

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One malloc to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allocator {
    /// Its column's name.
    pub name: String,
    /// The library that is preloaded; `None` is the malloc that the program has anyway.
    pub preload: Option<PathBuf>,
    /// What it is: package and version, or the size of the file.
    pub version: String,
}

/// A rival that packages provide.
struct Rival {
    name: &'static str,
    sonames: &'static [&'static str],
    package: &'static str,
}

const RIVALS: [Rival; 3] = [
    Rival { name: "jemalloc", sonames: &["libjemalloc.so.2"], package: "libjemalloc2" },
    Rival {
        name: "mimalloc",
        sonames: &["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"],
        package: "libmimalloc2.0",
    },
    Rival { name: "tcmalloc", sonames: &["libtcmalloc_minimal.so.4"], package: "libtcmalloc-minimal4" },
];

const DIRECTORIES: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/local/lib", "/usr/lib"];

/// Finds the allocator that `--with` names: `glibc`, `brkmap`, a rival's name, or the path of a library.
pub(crate) fn find(name: &str, brkmap_library: Option<&Path>) -> Result<Allocator> {
    if name == "glibc" {
        return Ok(Allocator { name: name.into(), preload: None, version: version_of(&libc_path()?) });
    }
    let path = if name == "brkmap" {
        find_brkmap(brkmap_library)?
    } else if let Some(rival) = RIVALS.iter().find(|rival| rival.name == name) {
        find_rival(rival)?
    } else if name.contains('/') || name.ends_with(".so") {
        PathBuf::from(name)
    } else {
        bail!(
            "--with {name}: no such allocator; it takes glibc, brkmap, jemalloc, mimalloc, tcmalloc or the path of a \
             library (./{name} for one in this directory)"
        );
    };
    // ld.so and /proc show the path with its links followed.
    let path = fs::canonicalize(&path).with_context(|| {
        format!("--with {name}: {} cannot be preloaded; build it or correct the path", path.display())
    })?;
    Ok(Allocator { name: column_name(name), version: version_of(&path), preload: Some(path) })
}

/// The C library that a program without preloads has, for programs linked with another malloc.
pub(crate) fn libc_path() -> Result<PathBuf> {
    find_file(&["libc.so.6"])
        .ok_or_else(|| anyhow!("libc.so.6 is in none of {}; glibc is needed", DIRECTORIES.join(", ")))
}

fn column_name(name: &str) -> String {
    let file = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
    file.trim_start_matches("lib").split(".so").next().unwrap_or(name).to_string()
}

fn find_brkmap(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.into());
    }
    let release = release_directory();
    let command = release.join("brkmap");
    if command.exists() {
        let output = Command::new(&command)
            .arg("lib-path")
            .output()
            .with_context(|| format!("{} lib-path could not be run", command.display()))?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_string();
        if output.status.success() && !path.is_empty() {
            return Ok(path.into());
        }
    }
    let library = release.join("libbrkmap_c.so");
    if library.exists() {
        return Ok(library);
    }
    bail!(
        "brkmap's library is neither what {} lib-path prints nor {}; build it with `cargo build --release`, or name it \
         with --lib PATH",
        command.display(),
        library.display()
    )
}

fn release_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    target.unwrap_or_else(|| root.join("target")).join("release")
}

fn find_rival(rival: &Rival) -> Result<PathBuf> {
    find_file(rival.sonames).ok_or_else(|| {
        anyhow!(
            "--with {}: {} is neither in the linker's cache nor in {}; install it with `apt-get install {}`, or leave \
             {} out of --with",
            rival.name,
            rival.sonames.join(" or "),
            DIRECTORIES.join(", "),
            rival.package,
            rival.name
        )
    })
}

fn find_file(names: &[&str]) -> Option<PathBuf> {
    let cache = Command::new("ldconfig")
        .arg("-p")
        .output()
        .or_else(|_| Command::new("/sbin/ldconfig").arg("-p").output())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    names.iter().find_map(|name| {
        let cached = cache_entry(&cache, name).map(PathBuf::from);
        let usual = DIRECTORIES.iter().map(|directory| Path::new(directory).join(name));
        cached.into_iter().chain(usual).find(|path| path.exists())
    })
}

/// The path of a 64-bit library in the output of `ldconfig -p`.
fn cache_entry<'a>(cache: &'a str, soname: &str) -> Option<&'a str> {
    cache.lines().find_map(|line| {
        let (name, rest) = line.trim().split_once(' ')?;
        let (flags, path) = rest.split_once("=> ")?;
        (name == soname && flags.contains("x86-64")).then_some(path.trim())
    })
}

/// The package and version that own a file; for a file of no package, its size.
fn version_of(path: &Path) -> String {
    packaged_version(path).unwrap_or_else(|| match fs::metadata(path) {
        Ok(facts) => format!("of no package, {} bytes", facts.len()),
        Err(error) => format!("unknown: {error}"),
    })
}

fn packaged_version(path: &Path) -> Option<String> {
    // dpkg knows a file by the name that its package gave it, which may lie below /lib rather than /usr/lib.
    let name = path.to_string_lossy().into_owned();
    let mut names = vec![name.clone()];
    names.extend(name.strip_prefix("/usr").map(String::from));
    let owner = names.iter().find_map(|name| output_of("dpkg", &["-S", name]))?;
    let package = owner.split(": ").next()?.to_string();
    let status = output_of("dpkg", &["-s", &package])?;
    let version = status.lines().find_map(|line| line.strip_prefix("Version: "))?;
    Some(format!("{} {version}", package.split(':').next()?))
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_cache_is_read_by_soname_and_word_size() {
        let cache = "\tlibx.so.2 (libc6) => /lib32/libx.so.2\n\tlibx.so.2 (libc6,x86-64) => /lib/libx.so.2\n\
                     \tlibx.so.20 (libc6,x86-64) => /lib/libx.so.20\n";
        assert_eq!(cache_entry(cache, "libx.so.2"), Some("/lib/libx.so.2"));
        assert_eq!(cache_entry(cache, "libx.so"), None);
    }

    #[test]
    fn a_column_is_named_after_the_library() {
        assert_eq!(column_name("mimalloc"), "mimalloc");
        assert_eq!(column_name("/opt/a/libsnmallocshim.so"), "snmallocshim");
        assert_eq!(column_name("./librpmalloc.so.2"), "rpmalloc");
    }

    #[test]
    fn an_unknown_name_is_refused_with_what_is_accepted() {
        let error = find("hoard", None).unwrap_err().to_string();
        assert!(error.contains("hoard") && error.contains("jemalloc"), "{error}");
    }
}
