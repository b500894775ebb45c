//! The library inside the command, and how it becomes a file that the loader can open.
//!
//! It goes to `CACHE/brkmap/HASH/libbrkmap.so`: the hash keeps versions apart, the plain name shows in `/proc/PID/maps`.
//! The folder belongs to the user alone, and the contents are compared before each use, so nobody else can slip a
//! library into the user's programs. Where no folder will do, the library is a file in memory that brkmap holds open.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

static LIBRARY: &[u8] = include_bytes!(env!("BRKMAP_LIBRARY"));
const HASH: &str = env!("BRKMAP_LIBRARY_HASH");
const NAME: &str = "libbrkmap.so";

/// The unpacked library.
#[derive(Debug)]
pub(crate) enum Library {
    /// A file in a cache folder.
    File(PathBuf),
    /// A file in memory; it is gone when nobody holds it.
    Memory(File),
}

impl Library {
    /// Path for processes that live while brkmap holds the library.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Library::File(path) => path.clone(),
            Library::Memory(file) => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())),
        }
    }
}

/// Unpacks the library, or finds it unpacked. The error lists what was tried.
pub(crate) fn unpack(variable: impl Fn(&str) -> Option<OsString>) -> Result<Library, String> {
    let mut refusals = Vec::new();
    for folder in candidates(variable) {
        match unpack_into(&folder) {
            Ok(path) => return Ok(Library::File(path)),
            Err(error) => refusals.push(format!("{}: {error}", folder.display())),
        }
    }
    crate::os::sealed_memory_file(c"libbrkmap.so", LIBRARY).map(Library::Memory).map_err(|error| {
        refusals.push(format!("memory: {error}"));
        format!("no place for the library ({}); set XDG_CACHE_HOME to a folder of your own", refusals.join("; "))
    })
}

/// Folders to try, best first.
fn candidates(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let temporary = absolute("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
    let private = temporary.join(format!("brkmap-{}", crate::os::effective_user()));
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("brkmap")).into_iter().chain([private]).collect()
}

fn refuse<T>(why: &str) -> io::Result<T> {
    Err(io::Error::other(why))
}

fn unpack_into(folder: &Path) -> io::Result<PathBuf> {
    if folder.as_os_str().as_encoded_bytes().iter().any(|byte| b" :".contains(byte)) {
        return refuse("LD_PRELOAD cannot hold a path with a space or a colon");
    }
    let own = folder.join(HASH);
    for folder in [folder, &own] {
        create_private(folder)?;
    }
    if crate::os::is_mounted_noexec(&own)? {
        return refuse("mounted noexec");
    }
    let path = own.join(NAME);
    if !is_ours(&path)? {
        let temporary = own.join(format!(".{}", std::process::id()));
        let written = write(&temporary).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // What is left of it is in nobody's way; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        if !is_ours(&path)? {
            return refuse("the library changed while it was written");
        }
    }
    Ok(path)
}

/// Makes a folder for the user alone. One that others may write to is refused.
fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    match () {
        () if !metadata.is_dir() => refuse("not a folder"),
        () if metadata.uid() != crate::os::effective_user() => refuse("belongs to another user"),
        () if metadata.mode() & 0o022 != 0 => refuse("others may write to it"),
        () => Ok(()),
    }
}

fn write(path: &Path) -> io::Result<()> {
    // A leftover of a process with the same number.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(path)?;
    file.write_all(LIBRARY)
}

/// Whether the file is there, the user's own, closed to others, and has the right contents.
fn is_ours(path: &Path) -> io::Result<bool> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let owned = metadata.uid() == crate::os::effective_user() && metadata.mode() & 0o022 == 0;
    if !metadata.is_file() || !owned || metadata.len() != LIBRARY.len() as u64 {
        return Ok(false);
    }
    let mut bytes = Vec::with_capacity(LIBRARY.len());
    file.read_to_end(&mut bytes)?;
    Ok(bytes == LIBRARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn within(folder: &Path) -> Library {
        let folder = folder.as_os_str().to_owned();
        unpack(|name| (name == "XDG_CACHE_HOME" || name == "TMPDIR").then(|| folder.clone())).unwrap()
    }

    #[test]
    fn it_is_unpacked_once_and_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let path = within(folder.path()).path();
        assert_eq!(path.file_name().unwrap(), NAME);
        assert_eq!(fs::read(&path).unwrap(), LIBRARY);
        let mode = fs::metadata(folder.path().join("brkmap")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let inode = fs::metadata(&path).unwrap().ino();
        within(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "used as it is");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        fs::write(&path, b"something else").unwrap();
        within(folder.path());
        assert_eq!(fs::read(&path).unwrap(), LIBRARY, "replaced");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(unpack_into(&folder.path().join("brkmap")).is_err(), "a link is not followed");
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no temporary file is left");
    }

    #[test]
    fn an_open_folder_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("brkmap");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
        let Library::File(path) = within(folder.path()) else { panic!("the second folder would do") };
        assert!(!path.starts_with(&open), "{}", path.display());
        assert_eq!(create_private(&open).unwrap_err().to_string(), "others may write to it");
    }

    #[test]
    fn without_a_folder_it_lives_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("a b");
        let library = unpack(|_| Some(blocked.clone().into_os_string())).unwrap();
        assert!(matches!(library, Library::Memory(_)));
        assert_eq!(fs::read(library.path()).unwrap(), LIBRARY);
        assert!(OpenOptions::new().write(true).open(library.path()).and_then(|mut f| f.write_all(b"x")).is_err());
    }
}
