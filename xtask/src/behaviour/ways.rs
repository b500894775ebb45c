//! The ways brkmap comes into a behaviour program.

use crate::header::Header;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How brkmap comes into the program; the two with glibc in their name are the runs without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Plain.
    Glibc,
    /// The test's main is called by a thread, in a process that has others.
    GlibcThread,
    /// Preloaded.
    Preload,
    /// Preloaded, with main in a thread.
    PreloadThread,
    /// Preloaded behind the test's companions.
    Behind,
    /// Linked with `-lbrkmap`.
    Linked,
    /// Opened by the program itself.
    Loaded,
}

impl Way {
    /// As the output shows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Glibc => "glibc",
            Way::GlibcThread => "glibc, thread",
            Way::Preload => "preload",
            Way::PreloadThread => "preload, thread",
            Way::Behind => "preload behind",
            Way::Linked => "linked",
            Way::Loaded => "loaded",
        }
    }

    /// Whether brkmap is not there.
    pub(crate) fn is_glibc(self) -> bool {
        matches!(self, Way::Glibc | Way::GlibcThread)
    }

    /// The ways that a header asks for, glibc first.
    pub(crate) fn parse(header: &Header) -> Result<Vec<Self>, String> {
        let mut ways = vec![Way::Glibc];
        for word in header.get("ways").unwrap_or("preload").split_whitespace() {
            match word {
                "preload" => ways.push(Way::Preload),
                "thread" => ways.extend([Way::GlibcThread, Way::PreloadThread]),
                "behind" => ways.push(Way::Behind),
                "linked" => ways.push(Way::Linked),
                "loaded" => ways.push(Way::Loaded),
                other => return Err(format!("ways: `{other}` is none of preload, thread, behind, linked, loaded")),
            }
        }
        Ok(ways)
    }

    /// Sets what the program sees: the preloaded libraries, and which object has to answer for malloc.
    pub(crate) fn environment(self, command: &mut Command, header: &Header, libraries: &Path, library: &Path) {
        let companions = header.words("preload").into_iter().map(|lib| libraries.join(format!("{lib}.so")));
        let mut preload: Vec<PathBuf> = companions.collect();
        match self {
            Way::Preload | Way::PreloadThread => preload.insert(0, library.to_owned()),
            Way::Behind => preload.push(library.to_owned()),
            _ => {}
        }
        command.env_remove("LD_PRELOAD");
        if !preload.is_empty() {
            let names: Vec<String> = preload.iter().map(|path| path.display().to_string()).collect();
            command.env("LD_PRELOAD", names.join(":"));
        }
        let glibc = self.is_glibc() || self == Way::Loaded;
        command.env("MALLOC_IN_FORCE", if glibc { "libc.so.6" } else { "libbrkmap.so" });
        command.env("BRKMAP_LIBRARY", if self.is_glibc() { Path::new("libc.so.6") } else { library });
        command.env("TEST_LIBRARIES", libraries);
    }
}
