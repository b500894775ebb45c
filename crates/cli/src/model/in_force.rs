//! Which malloc a process really used, and if it was not the wanted one: why.

use super::snapshot::{Executable, Snapshot};
use crate::proc::smaps::Mapping;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Brkmap,
    System,
    /// File name of a foreign library.
    Library(String),
}

/// Why the wanted malloc was not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Is32Bit,
    Privileged,
    Go,
    Static,
    OwnMalloc,
    Scrubbed,
    OtherLoader,
    NotLoaded,
    Unreadable,
}

impl Reason {
    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Reason::Is32Bit => "32_bit",
            Reason::Privileged => "privileged",
            Reason::Go => "go",
            Reason::Static => "static",
            Reason::OwnMalloc => "own_malloc",
            Reason::Scrubbed => "environment_scrubbed",
            Reason::OtherLoader => "other_loader",
            Reason::NotLoaded => "not_loaded",
            Reason::Unreadable => "unreadable",
        }
    }

    /// The cause in words, to stand after "because".
    pub(crate) fn text(self) -> &'static str {
        match self {
            Reason::Is32Bit => "it is a 32-bit program and the library is 64-bit",
            Reason::Privileged => "it changes user or has capabilities, so the loader ignores LD_PRELOAD",
            Reason::Go => "it is a Go program, and Go has its own heap",
            Reason::Static => "it is statically linked: no loader, no LD_PRELOAD",
            Reason::OwnMalloc => "it is linked into the program",
            Reason::Scrubbed => "it was started without LD_PRELOAD: its parent cleaned the environment",
            Reason::OtherLoader => "its loader is not glibc's",
            Reason::NotLoaded => "the loader did not load the library",
            Reason::Unreadable => "its memory may not be read",
        }
    }
}

/// The finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    /// Name for people: `brkmap 0.1.0`, `glibc`, `jemalloc`…
    pub(crate) malloc: String,
    /// Why it is not the wanted one; `None` if it is.
    pub(crate) reason: Option<Reason>,
    /// brkmap is loaded and had nothing to do.
    pub(crate) never_called: bool,
}

impl InForce {
    /// The wanted malloc.
    pub(crate) fn yes(malloc: impl Into<String>) -> InForce {
        InForce { malloc: malloc.into(), reason: None, never_called: false }
    }

    /// The name as it stands in a sentence.
    pub(crate) fn phrase(&self) -> &str {
        match self.malloc.as_str() {
            UNKNOWN => "an unknown malloc",
            LINKED_IN => "a linked-in malloc",
            name => name,
        }
    }

    /// Whether the name is known.
    pub(crate) fn is_known(&self) -> bool {
        self.malloc != UNKNOWN
    }

    /// Another malloc than the wanted one.
    pub(crate) fn no(malloc: impl Into<String>, reason: Reason) -> InForce {
        InForce { reason: Some(reason), ..InForce::yes(malloc) }
    }
}

/// Name of a malloc of which nothing is known.
const UNKNOWN: &str = "unknown";
/// Name of what a static program brings along.
const LINKED_IN: &str = "linked in";
/// Name of what Go programs allocate from.
const GO_HEAP: &str = "Go's heap";

/// Libraries that bring a malloc, by the beginning of their file name.
const KNOWN: [(&str, &str); 12] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("librpmalloc", "rpmalloc"),
    ("libscudo", "scudo"),
    ("libhardened_malloc", "hardened_malloc"),
    ("libhoard", "hoard"),
    ("libtbbmalloc_proxy", "tbbmalloc"),
    ("libasan.", "AddressSanitizer"),
    ("libtsan.", "ThreadSanitizer"),
    ("liblsan.", "LeakSanitizer"),
];

/// Whether a library of this file name brings a malloc.
pub(crate) fn brings_malloc(file: &str) -> bool {
    file.starts_with("libbrkmap") || KNOWN.iter().any(|(prefix, _)| file.starts_with(prefix))
}

/// The malloc that a shared library of this name brings, if it is known for that.
pub(crate) fn known_library(file: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(prefix, _)| file.starts_with(prefix)).map(|(_, name)| *name)
}

fn maps(mappings: &[Mapping], wanted: impl Fn(&str) -> bool) -> bool {
    mappings.iter().any(|mapping| mapping.inode != 0 && wanted(mapping.file_name()))
}

fn is_glibc(name: &str) -> bool {
    name == "libc.so.6" || name.starts_with("libc-2.")
}

fn is_musl(name: &str) -> bool {
    name.starts_with("ld-musl-") || name.starts_with("libc.musl-")
}

/// The malloc that is there when brkmap is not.
fn other_malloc(snapshot: &Snapshot) -> String {
    let executable = snapshot.executable.clone().unwrap_or_default();
    if executable.exports_malloc {
        return "its own malloc".to_owned();
    }
    for (prefix, name) in KNOWN {
        if maps(&snapshot.mappings, |file| file.starts_with(prefix)) {
            return name.to_owned();
        }
    }
    let name = match () {
        () if maps(&snapshot.mappings, is_glibc) => "glibc",
        () if maps(&snapshot.mappings, is_musl) => "musl",
        () if executable.is_go => GO_HEAP,
        () if executable.is_static => LINKED_IN,
        () => UNKNOWN,
    };
    name.to_owned()
}

/// Whether a value of `LD_PRELOAD` still asks for the library, by name or as a file without one.
fn names_library(value: &str, library: &str) -> bool {
    value.contains(library) || (value.contains("/proc/") && value.contains("/fd/"))
}

/// Why a preloaded library is absent.
fn why_not_loaded(snapshot: &Snapshot, library: &str) -> Reason {
    let Some(executable) = &snapshot.executable else { return Reason::NotLoaded };
    let Executable { is_32_bit, is_static, is_go, is_privileged, interpreter, .. } = executable;
    let (real, effective) = snapshot.status.users;
    match () {
        () if *is_32_bit => Reason::Is32Bit,
        () if *is_static && *is_go => Reason::Go,
        () if *is_static => Reason::Static,
        () if *is_privileged || real != effective => Reason::Privileged,
        () if snapshot.preload.as_ref().is_none_or(|value| !names_library(value, library)) => Reason::Scrubbed,
        () if !interpreter.contains("ld-linux") => Reason::OtherLoader,
        () => Reason::NotLoaded,
    }
}

/// What can be said of a process whose memory and executable may not be read.
fn unreadable(snapshot: &Snapshot, wanted: &Wanted) -> InForce {
    let (real, effective) = snapshot.status.users;
    match wanted {
        Wanted::System => InForce::yes(UNKNOWN),
        _ if real != effective || snapshot.status.has_capabilities => InForce::no(UNKNOWN, Reason::Privileged),
        _ => InForce::no(UNKNOWN, Reason::Unreadable),
    }
}

/// Decides for one process.
pub(crate) fn decide(snapshot: &Snapshot, wanted: &Wanted) -> InForce {
    let is_go = snapshot.executable.as_ref().is_some_and(|executable| executable.is_go);
    if let Some(heap) = snapshot.heaps.iter().find(|heap| heap.has_served()) {
        let (major, minor, patch) = heap.version;
        // A Go program with C inside calls malloc for the C part alone.
        let beside = if is_go { format!(", beside {GO_HEAP}") } else { String::new() };
        return InForce::yes(format!("brkmap {major}.{minor}.{patch}{beside}"));
    }
    if snapshot.unreadable {
        return unreadable(snapshot, wanted);
    }
    let exports_malloc = snapshot.executable.as_ref().is_some_and(|executable| executable.exports_malloc);
    let library = match wanted {
        Wanted::System => return InForce::yes(other_malloc(snapshot)),
        Wanted::Brkmap => "libbrkmap.so",
        Wanted::Library(name) => name,
    };
    if !maps(&snapshot.mappings, |file| file == library || file == format!("memfd:{library}")) {
        return InForce::no(other_malloc(snapshot), why_not_loaded(snapshot, library));
    }
    match wanted {
        _ if exports_malloc => InForce::no("its own malloc", Reason::OwnMalloc),
        _ if is_go => InForce::no(GO_HEAP, Reason::Go),
        Wanted::Library(name) => InForce::yes(name),
        _ if snapshot.heap_error.is_some() => InForce::no("brkmap", Reason::Unreadable),
        // Loaded, the root is there, and no request ever came.
        _ => InForce { never_called: true, ..InForce::yes("brkmap") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Heap;
    use crate::proc::smaps::parse;

    const WITH_LIBRARY: &str = "10-20 r-xp 0 0:0 5 /c/abc/libbrkmap.so\n20-30 r-xp 0 0:0 6 /lib/libc.so.6\n";
    const WITHOUT: &str = "20-30 r-xp 0 0:0 6 /lib/libc.so.6\n";

    fn process(maps: &str, executable: Executable) -> Snapshot {
        let executable = Executable { interpreter: "/lib64/ld-linux-x86-64.so.2".to_owned(), ..executable };
        Snapshot {
            mappings: parse(maps),
            executable: Some(executable),
            preload: Some("/c/abc/libbrkmap.so".to_owned()),
            ..Snapshot::default()
        }
    }

    fn reason(snapshot: &Snapshot) -> Option<Reason> {
        decide(snapshot, &Wanted::Brkmap).reason
    }

    #[test]
    fn a_used_root_is_proof() {
        let mut snapshot = process(WITH_LIBRARY, Executable::default());
        assert_eq!(
            decide(&snapshot, &Wanted::Brkmap),
            InForce { malloc: "brkmap".to_owned(), reason: None, never_called: true }
        );
        snapshot.heaps = vec![Heap { in_use: true, version: (0, 1, 2), ..Heap::default() }];
        assert_eq!(decide(&snapshot, &Wanted::Brkmap), InForce::yes("brkmap 0.1.2"));
    }

    #[test]
    fn an_engine_that_served_nothing_is_no_proof() {
        let mut snapshot = process(WITH_LIBRARY, Executable { exports_malloc: true, ..Executable::default() });
        let idle = Heap { in_use: true, counters: vec![0; brkmap_wire::COUNTERS], ..Heap::default() };
        snapshot.heaps = vec![idle.clone()];
        assert_eq!(reason(&snapshot), Some(Reason::OwnMalloc));
        snapshot.executable = None;
        assert!(decide(&snapshot, &Wanted::Brkmap).never_called);
        let mut counters = idle.counters;
        counters[brkmap_wire::Counter::MapDirect as usize] = 1;
        snapshot.heaps = vec![Heap { in_use: true, counters, ..Heap::default() }];
        assert_eq!(reason(&snapshot), None);
    }

    #[test]
    fn each_obstacle_is_named() {
        let case = |executable| reason(&process(WITHOUT, executable));
        let plain = Executable::default;
        assert_eq!(case(Executable { is_32_bit: true, ..plain() }), Some(Reason::Is32Bit));
        assert_eq!(case(Executable { is_static: true, ..plain() }), Some(Reason::Static));
        assert_eq!(case(Executable { is_static: true, is_go: true, ..plain() }), Some(Reason::Go));
        assert_eq!(case(Executable { is_privileged: true, ..plain() }), Some(Reason::Privileged));
        assert_eq!(case(plain()), Some(Reason::NotLoaded));
        let mut scrubbed = process(WITHOUT, plain());
        scrubbed.preload = None;
        assert_eq!(reason(&scrubbed), Some(Reason::Scrubbed));
        let mut other_user = process(WITHOUT, plain());
        other_user.status.users = (1000, 0);
        assert_eq!(reason(&other_user), Some(Reason::Privileged));
        let mut musl = process(WITHOUT, plain());
        musl.executable.as_mut().unwrap().interpreter = "/lib/ld-musl-x86_64.so.1".to_owned();
        assert_eq!(reason(&musl), Some(Reason::OtherLoader));
    }

    #[test]
    fn an_own_malloc_wins_over_a_loaded_library() {
        let snapshot = process(WITH_LIBRARY, Executable { exports_malloc: true, ..Executable::default() });
        assert_eq!(reason(&snapshot), Some(Reason::OwnMalloc));
    }

    #[test]
    fn what_may_not_be_read_is_said() {
        let hidden = |users, has_capabilities| {
            let mut snapshot = Snapshot { unreadable: true, ..Snapshot::default() };
            (snapshot.status.users, snapshot.status.has_capabilities) = (users, has_capabilities);
            snapshot
        };
        assert_eq!(reason(&hidden((1000, 1000), false)), Some(Reason::Unreadable));
        assert_eq!(reason(&hidden((1000, 0), false)), Some(Reason::Privileged));
        assert_eq!(reason(&hidden((1000, 1000), true)), Some(Reason::Privileged));
        let system = decide(&hidden((1000, 1000), false), &Wanted::System);
        assert!(system.reason.is_none() && !system.is_known());
    }

    #[test]
    fn without_a_wish_only_the_name_is_told() {
        let system = |maps| decide(&process(maps, Executable::default()), &Wanted::System);
        assert_eq!(system(WITHOUT), InForce::yes("glibc"));
        assert_eq!(system("1-2 r-xp 0 0:0 6 /u/libjemalloc.so.2\n").malloc, "jemalloc");
        assert_eq!(system("").malloc, "unknown");
    }

    #[test]
    fn a_foreign_library_is_in_force_when_it_is_mapped() {
        let wanted = Wanted::Library("libx.so".to_owned());
        let snapshot = process("1-2 r-xp 0 0:0 6 /u/libx.so\n", Executable::default());
        assert_eq!(decide(&snapshot, &wanted), InForce::yes("libx.so"));
        assert_eq!(decide(&process(WITHOUT, Executable::default()), &wanted).reason, Some(Reason::Scrubbed));
    }
}
