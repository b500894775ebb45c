//! What every check shares: where the sources are, where to work, what was selected, what came out so far.

use crate::report::Report;
use crate::tools::Install;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The state of one `cargo xtask` call.
pub(crate) struct Context {
    /// Root of the repository.
    pub(crate) root: PathBuf,
    /// Scratch directory of this call. It is readable by every user, because some checks run as `nobody`.
    pub(crate) work: PathBuf,
    /// `cargo xtask extended`: only the programs that have an `extended:` key, at their full size.
    pub(crate) extended: bool,
    /// What to do about what is missing.
    pub(crate) install: Install,
    /// Results so far.
    pub(crate) report: Report,
    filter: Option<String>,
    library: Option<Result<PathBuf, String>>,
}

impl Context {
    pub(crate) fn new(filter: Option<String>, install: Install) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent directory")?.to_owned();
        let work = new_scratch("test")?;
        allow_everyone(&work)?;
        Ok(Self { root, work, extended: false, install, report: Report::default(), filter, library: None })
    }

    /// Whether the check `group/name` was asked for.
    pub(crate) fn selects(&self, group: &str, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|wanted| format!("{group}/{name}").contains(wanted.as_str()))
    }

    /// The library under test, built at the first call.
    pub(crate) fn library(&mut self) -> Result<PathBuf, String> {
        if self.library.is_none() {
            self.library = Some(crate::library::build(self));
        }
        self.library.clone().unwrap_or_else(|| Err("the library was not built".into()))
    }

    /// Takes an existing library as the one under test.
    pub(crate) fn use_library(&mut self, path: &Path) -> Result<(), String> {
        self.library = Some(Ok(crate::library::copy(self, path)?));
        Ok(())
    }

    /// Files of `directory` (relative to the root) with one of these extensions, by name.
    pub(crate) fn sources(&self, directory: &str, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
        let path = self.root.join(directory);
        let entries = std::fs::read_dir(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|p| p.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.contains(&e)))
            .collect();
        files.sort();
        Ok(files)
    }

    /// A fresh directory below [`Context::work`], open to every user.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.work.join(name);
        std::fs::create_dir_all(&path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        allow_everyone(&path)?;
        Ok(path)
    }

    /// Removes the scratch directory.
    pub(crate) fn clean(&self) {
        if let Err(e) = std::fs::remove_dir_all(&self.work) {
            eprintln!("xtask: cannot remove {}: {e}", self.work.display());
        }
    }
}

/// A new directory `brkmap-KIND-PID` for temporary files. One of that name may be left of a run that was killed and had the
/// same id; then the name gets a number.
pub(crate) fn new_scratch(kind: &str) -> Result<PathBuf, String> {
    let first = std::env::temp_dir().join(format!("brkmap-{kind}-{}", std::process::id()));
    let (mut path, mut number) = (first.clone(), 0);
    loop {
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(e) => return Err(format!("cannot create {}: {e}; set TMPDIR", path.display())),
        }
        path = PathBuf::from(format!("{}-{number}", first.display()));
    }
}

fn allow_everyone(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o1777))
        .map_err(|e| format!("cannot set the mode of {}: {e}", path.display()))
}

/// The part of a path that names the check.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}
