//! Rivals that crates carry: each is a member of the workspace `bench/rivals`, built when a column asks for it, as a library
//! to preload and as the Rust program of the set `rust`.
//!
//! A library has the names of the C library from the rival itself where it has them; else from a thin layer of ours over its
//! public functions. The version of a column says which.

mod cargo;

use anyhow::{Context, Result, anyhow, ensure};
use cargo::Artifacts;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A rival: how it is called, and where its code comes from.
pub(crate) struct Rival {
    /// Its name in `--with`.
    pub name: &'static str,
    /// The member of `bench/rivals` is `rival-MEMBER`.
    member: &'static str,
    /// The package of the lock file that carries its code.
    code: &'static str,
    /// The header with `MI_MALLOC_VERSION`, for a package that carries more than one version.
    header: Option<&'static str>,
    preload: Preload,
}

/// How the library to preload comes about.
enum Preload {
    /// The archive that the package's build script leaves behind, with the C names in it.
    Archive {
        /// Below the script's output directory.
        file: &'static str,
        /// What the script reads from the environment.
        environment: &'static [(&'static str, &'static str)],
    },
    /// By the package's CMake recipe for it.
    Cmake {
        /// The recipe's directory in the package.
        directory: &'static str,
        /// The target, which makes `libTARGET.so`.
        target: &'static str,
    },
    /// Rust code, and our layer on it.
    Layer,
}

/// Every rival, in the order of `--with all`.
pub(crate) const RIVALS: [Rival; 7] = [
    Rival {
        name: "mimalloc2",
        member: "mimalloc2",
        code: "libmimalloc-sys",
        header: Some("c_src/mimalloc/v2/include/mimalloc.h"),
        preload: Preload::Archive { file: "libmimalloc.a", environment: &[] },
    },
    Rival {
        name: "mimalloc3",
        member: "mimalloc3",
        code: "libmimalloc-sys",
        header: Some("c_src/mimalloc/v3/include/mimalloc.h"),
        preload: Preload::Archive { file: "libmimalloc.a", environment: &[] },
    },
    Rival {
        name: "jemalloc-crate",
        member: "jemalloc",
        code: "tikv-jemalloc-sys",
        header: None,
        preload: Preload::Archive { file: "lib/libjemalloc_pic.a", environment: &[] },
    },
    Rival {
        name: "snmalloc",
        member: "snmalloc",
        code: "snmalloc-sys",
        header: None,
        preload: Preload::Cmake { directory: "upstream", target: "snmallocshim" },
    },
    Rival {
        name: "rpmalloc",
        member: "rpmalloc",
        code: "rpmalloc-sys",
        header: None,
        // The crate's feature `preload` leaves out the part with the names, which rpmalloc calls an override.
        preload: Preload::Archive { file: "librpmalloc.a", environment: &[("CFLAGS", "-DENABLE_OVERRIDE=1")] },
    },
    Rival { name: "smmalloc", member: "smmalloc", code: "smmalloc", header: None, preload: Preload::Layer },
    Rival { name: "rusty_alloc", member: "rusty_alloc", code: "rusty_alloc", header: None, preload: Preload::Layer },
];

/// What the columns of a comparison need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Settings that preload a library.
    pub library: bool,
    /// Settings of the set `rust`.
    pub program: bool,
}

/// What was built of a rival.
pub(crate) struct Built {
    /// The library to preload.
    pub library: Option<PathBuf>,
    /// The Rust program.
    pub program: Option<PathBuf>,
    /// Package, version, and whose C names the library has.
    pub version: String,
}

impl Rival {
    /// Builds what is needed and is not there yet.
    pub(crate) fn build(&self, needs: Needs) -> Result<Built> {
        let mut version = format!("{} {}", self.code, self.locked_version()?);
        let mut built = Built { library: None, program: None, version: String::new() };
        let mut last = None;
        if needs.program {
            let (program, artifacts) = build_program(self.member)?;
            (built.program, last) = (Some(program), Some(artifacts));
        }
        if needs.library {
            let (library, artifacts) = self.build_library()?;
            (built.library, last) = (Some(library), Some(artifacts));
        }
        if let Some((header, artifacts)) = self.header.zip(last) {
            version += &format!(" ({})", mimalloc_version(&artifacts.source_of(self.code)?.join(header))?);
        }
        let whose = match self.preload {
            _ if built.library.is_none() => "global allocator",
            Preload::Archive { .. } | Preload::Cmake { .. } => "its own malloc",
            Preload::Layer => "our C layer over its public functions, initial-exec TLS",
        };
        built.version = format!("{version}, {whose}");
        Ok(built)
    }

    /// The version of the rival's code in `bench/rivals/Cargo.lock`.
    fn locked_version(&self) -> Result<String> {
        let path = cargo::workspace().join("Cargo.lock");
        let lock = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        version_in(&lock, self.code).ok_or_else(|| anyhow!("{} has no package {}", path.display(), self.code))
    }

    fn build_library(&self) -> Result<(PathBuf, Artifacts)> {
        let member = format!("rival-{}", self.member);
        let mut arguments = vec!["-p", &member, "--lib"];
        let mut environment: &[(&str, &str)] = &[];
        match self.preload {
            Preload::Archive { environment: wanted, .. } => {
                arguments.extend(["--features", "preload"]);
                environment = wanted;
            }
            Preload::Cmake { .. } => {}
            // As the C compiler does for the others. Without it a thread-local variable of a library costs a call.
            Preload::Layer => {
                environment = &[("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Ztls-model=initial-exec")];
            }
        }
        let artifacts = cargo::build(self.name, &arguments, environment)?;
        let made = match self.preload {
            Preload::Archive { file, .. } => link(self.name, &artifacts.output_of_script(self.code)?.join(file))?,
            Preload::Cmake { directory, target } => {
                let source = artifacts.source_of(self.code)?.join(directory);
                cargo::cmake(self.name, &source, target)?
            }
            Preload::Layer => artifacts.shared_library(&member)?,
        };
        let library = cargo::directory().join(format!("preload/lib{}.so", self.name));
        place(&made, &library)?;
        Ok((library, artifacts))
    }
}

/// The Rust program of a member: of a rival, or of `glibc` and `brkmap`.
pub(crate) fn program(member: &str) -> Result<PathBuf> {
    build_program(member).map(|(program, _)| program)
}

fn build_program(member: &str) -> Result<(PathBuf, Artifacts)> {
    let package = format!("rival-{member}");
    let artifacts = cargo::build(member, &["-p", &package, "--bin", &package], &[])?;
    Ok((artifacts.executable(&package)?, artifacts))
}

/// A library to preload of all that an archive has.
fn link(name: &str, archive: &Path) -> Result<PathBuf> {
    ensure!(archive.is_file(), "the build left no {}", archive.display());
    let made = cargo::directory().join(format!("lib{name}.linked.so"));
    let output = Command::new("cc")
        .args(["-shared", "-o"])
        .arg(&made)
        .arg("-Wl,--whole-archive")
        .arg(archive)
        .args(["-Wl,--no-whole-archive", "-pthread", "-ldl", "-lm"])
        .output()
        .context("the C compiler cc could not be run; install gcc")?;
    ensure!(output.status.success(), "cc did not link {}: {}", made.display(), String::from_utf8_lossy(&output.stderr));
    Ok(made)
}

/// Copies a library to where it is preloaded from, by a rename: a comparison that has the old one mapped keeps it.
fn place(made: &Path, library: &Path) -> Result<()> {
    let fresh = library.with_extension(format!("new-{}", std::process::id()));
    let done = fs::create_dir_all(library.parent().unwrap_or(Path::new(".")))
        .and_then(|()| fs::copy(made, &fresh))
        .and_then(|_| fs::rename(&fresh, library));
    done.with_context(|| format!("{} could not be written", library.display()))
}

/// The version of a package in a lock file.
fn version_in(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let line = lock.lines().skip_while(|line| *line != name).nth(1)?;
    let version = line.strip_prefix("version = \"")?.strip_suffix('"')?;
    // What follows the plus sign may be a whole commit; a few letters of it name it as well.
    let (number, build) = version.split_once('+').map_or((version, None), |(number, build)| (number, Some(build)));
    Some(build.map_or(number.to_owned(), |build| format!("{number}+{build:.15}")))
}

/// `MI_MALLOC_VERSION`, which is two digits for minor and patch each, in dots.
fn mimalloc_version(header: &Path) -> Result<String> {
    let text = fs::read_to_string(header).with_context(|| format!("{} cannot be read", header.display()))?;
    let number =
        text.lines().find_map(|line| line.strip_prefix("#define MI_MALLOC_VERSION")?.split_whitespace().next());
    let number: u32 = number.and_then(|number| number.parse().ok()).context("mimalloc.h has no MI_MALLOC_VERSION")?;
    Ok(format!("mimalloc {}.{}.{}", number / 10_000, number / 100 % 100, number % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rival_is_in_the_lock_file_and_has_a_member() {
        for rival in &RIVALS {
            assert!(!rival.locked_version().unwrap().is_empty());
            assert!(cargo::workspace().join(rival.member).join("Cargo.toml").is_file(), "{}", rival.member);
        }
    }

    #[test]
    fn a_version_is_of_the_package_of_that_very_name() {
        let lock = "[[package]]\nname = \"ab\"\nversion = \"1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0+0123456789abcdef0\"\n";
        assert_eq!(version_in(lock, "a").as_deref(), Some("2.0+0123456789abcde"));
        assert_eq!(version_in(lock, "ab").as_deref(), Some("1.0"));
        assert_eq!(version_in(lock, "b"), None);
    }
}
