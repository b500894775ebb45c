//! From the names of `--with` to files.

use crate::cli::compare::Choice;
use crate::cmd::Failure;
use crate::embed::{self, Library};
use crate::model::compare::plan::{Family, Malloc, PACKAGED, Packaged};
use crate::model::compare::result::Skipped;
use crate::model::in_force::Wanted;
use std::path::{Path, PathBuf};

/// Where packages put libraries. `TRIPLET` is the folder for the machine's kind.
const FOLDERS: [&str; 6] =
    ["/usr/local/lib", "/usr/lib/TRIPLET-linux-gnu", "/lib/TRIPLET-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];

/// What was found.
pub(super) struct Found {
    pub(super) mallocs: Vec<Malloc>,
    pub(super) skipped: Vec<Skipped>,
    /// Holds the embedded library open where it is a file in memory.
    _own: Option<Library>,
}

/// Finds all libraries. One that a package would bring is skipped if it is not there; one given by its path must be.
pub(super) fn find(choices: &[Choice]) -> Result<Found, Failure> {
    let mut found = Found { mallocs: Vec::new(), skipped: Vec::new(), _own: None };
    for choice in choices {
        let malloc = match choice {
            Choice::Glibc => Malloc {
                name: "glibc".to_owned(),
                family: Family::Glibc,
                preload: None,
                wanted: Wanted::System,
                soname: None,
                package: None,
            },
            Choice::Brkmap => {
                let library = embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)?;
                let preload = Some(library.path());
                found._own = Some(library);
                Malloc {
                    name: "brkmap".to_owned(),
                    family: Family::Brkmap,
                    preload,
                    wanted: Wanted::Brkmap,
                    soname: None,
                    package: None,
                }
            }
            Choice::Packaged(index) => match packaged(&PACKAGED[*index], &folders()) {
                Ok(malloc) => malloc,
                Err(skipped) => {
                    found.skipped.push(skipped);
                    continue;
                }
            },
            Choice::Library(path) => given(path)?,
        };
        if found.mallocs.iter().any(|other| other.preload == malloc.preload) {
            return Err(Failure::tool(format!("--with names {} twice", malloc.name)));
        }
        found.mallocs.push(malloc);
    }
    if found.mallocs.is_empty() {
        let missing: Vec<String> = found.skipped.iter().map(missing).collect();
        return Err(Failure::tool(missing.join("; ")));
    }
    Ok(found)
}

/// What is missing, with the remedy.
pub(super) fn missing(skipped: &Skipped) -> String {
    format!(
        "{} is left out: {} is not installed; apt-get install {} brings it",
        skipped.name, skipped.library, skipped.package
    )
}

fn folders() -> Vec<PathBuf> {
    let usual = FOLDERS.iter().map(|folder| PathBuf::from(folder.replace("TRIPLET", std::env::consts::ARCH)));
    let extra = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::split_paths(&extra).filter(|path| path.is_absolute()).chain(usual).collect()
}

fn packaged(known: &'static Packaged, folders: &[PathBuf]) -> Result<Malloc, Skipped> {
    let places =
        known.sonames.iter().flat_map(|soname| folders.iter().map(move |folder| (soname, folder.join(soname))));
    let there = places.filter_map(|(soname, path)| path.canonicalize().ok().map(|path| (*soname, path))).next();
    let (soname, path) = there.ok_or_else(|| Skipped {
        name: known.name.to_owned(),
        library: known.packaged,
        package: known.package,
    })?;
    Ok(Malloc {
        name: known.name.to_owned(),
        family: known.family,
        wanted: Wanted::Library(file_name(&path)),
        preload: Some(path),
        soname: Some(soname),
        package: Some(known.package),
    })
}

fn given(path: &Path) -> Result<Malloc, Failure> {
    let failure = |cause: String| Failure::tool(format!("cannot preload {}: {cause}", path.display()));
    let full = path.canonicalize().map_err(|error| failure(error.to_string()))?;
    if full.as_os_str().as_encoded_bytes().iter().any(|byte| b" :".contains(byte)) {
        return Err(failure("its path contains a space or a colon, which LD_PRELOAD cannot hold".to_owned()));
    }
    let name = file_name(path);
    let short = name.split(".so").next().unwrap_or_default().trim_start_matches("lib").to_owned();
    Ok(Malloc {
        name: if short.is_empty() { name } else { short },
        family: Family::Unknown,
        wanted: Wanted::Library(file_name(&full)),
        preload: Some(full),
        soname: None,
        package: None,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_its_soname_and_preloaded_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libmimalloc.so.2.0");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("libmimalloc.so.2")).unwrap();
        let malloc = packaged(&PACKAGED[1], &[PathBuf::from("/nowhere"), folder.path().to_owned()]).unwrap();
        assert_eq!(malloc.soname, Some("libmimalloc.so.2"));
        assert_eq!(malloc.wanted, Wanted::Library("libmimalloc.so.2.0".to_owned()), "the name in /proc/PID/maps");
        assert_eq!(malloc.preload, Some(file.canonicalize().unwrap()));
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let skipped = packaged(&PACKAGED[2], &[PathBuf::from("/nowhere")]).unwrap_err();
        let text = missing(&skipped);
        assert!(
            text.contains("libtcmalloc_minimal.so.4") && text.contains("apt-get install libtcmalloc-minimal4"),
            "{text}"
        );
        let skipped = packaged(&PACKAGED[1], &[]).unwrap_err();
        assert_eq!(skipped.library, "libmimalloc.so.2");
        assert_eq!(packaged(&PACKAGED[0], &[]).unwrap_err().library, "libjemalloc.so.2");
    }

    #[test]
    fn a_library_given_by_its_path_must_be_there_and_nothing_twice() {
        let failure = find(&[Choice::Library("/nowhere/x.so".into())]).err().unwrap();
        assert!(failure.message.contains("/nowhere/x.so"), "{}", failure.message);
        let failure = find(&[Choice::Glibc, Choice::Glibc]).err().unwrap();
        assert!(failure.message.contains("twice"));
    }
}
