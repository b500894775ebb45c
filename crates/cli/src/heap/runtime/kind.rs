//! Which runtimes and allocators a process has, by the files that it maps.

use crate::model::snapshot::Executable;
use crate::proc::smaps::Mapping;

/// Somebody who maps memory of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Runtime {
    CPython,
    V8,
    Jvm,
    Go,
    Jemalloc,
    Mimalloc,
    Tcmalloc,
    OtherMalloc,
}

impl Runtime {
    /// Stable name for JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Runtime::CPython => "cpython",
            Runtime::V8 => "v8",
            Runtime::Jvm => "jvm",
            Runtime::Go => "go",
            Runtime::Jemalloc => "jemalloc",
            Runtime::Mimalloc => "mimalloc",
            Runtime::Tcmalloc => "tcmalloc",
            Runtime::OtherMalloc => "other_malloc",
        }
    }

    /// Name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::CPython => "CPython's obmalloc",
            Runtime::V8 => "V8's heap",
            Runtime::Jvm => "Java heap and JVM",
            Runtime::Go => "Go's heap",
            Runtime::Jemalloc => "jemalloc's memory",
            Runtime::Mimalloc => "mimalloc's memory",
            Runtime::Tcmalloc => "tcmalloc's memory",
            Runtime::OtherMalloc => "another malloc's memory",
        }
    }

    /// Whether it takes the place of malloc.
    pub(crate) fn is_malloc(self) -> bool {
        self >= Runtime::Jemalloc
    }

    /// Whether anonymous memory that nobody else claims must be its: it is known to map nearly all there is.
    fn takes_the_rest(self) -> bool {
        !matches!(self, Runtime::CPython)
    }
}

/// File names of libraries and programs, by their beginning.
const FILES: [(&str, Runtime); 19] = [
    ("libpython", Runtime::CPython),
    ("python2", Runtime::CPython),
    ("python3", Runtime::CPython),
    ("libnode.so", Runtime::V8),
    ("libv8.so", Runtime::V8),
    ("node", Runtime::V8),
    ("electron", Runtime::V8),
    ("chrome", Runtime::V8),
    ("chromium", Runtime::V8),
    ("deno", Runtime::V8),
    ("libjvm.so", Runtime::Jvm),
    ("libjemalloc", Runtime::Jemalloc),
    ("libmimalloc", Runtime::Mimalloc),
    ("libtcmalloc", Runtime::Tcmalloc),
    ("libsnmalloc", Runtime::OtherMalloc),
    ("librpmalloc", Runtime::OtherMalloc),
    ("libscudo", Runtime::OtherMalloc),
    ("libhardened_malloc", Runtime::OtherMalloc),
    ("libtbbmalloc_proxy", Runtime::OtherMalloc),
];

/// Names of programs that must match to the letter: short words that others begin with.
const EXACT: [&str; 4] = ["node", "chrome", "deno", "electron"];

/// Texts that only a program with this allocator linked in contains.
pub(crate) const MARKS: [(&[u8], Runtime); 4] = [
    (b"<jemalloc>: ", Runtime::Jemalloc),
    (b"mimalloc: error: ", Runtime::Mimalloc),
    (b"tcmalloc: large alloc ", Runtime::Tcmalloc),
    (b"TCMALLOC_", Runtime::Tcmalloc),
];

/// The runtimes of a process by its files, each once.
pub(crate) fn of_files(mappings: &[Mapping], executable: Option<&Executable>) -> Vec<Runtime> {
    let mut all = Vec::new();
    let mut add = |runtime| {
        if !all.contains(&runtime) {
            all.push(runtime);
        }
    };
    for mapping in mappings.iter().filter(|mapping| mapping.inode != 0 && mapping.executable) {
        let file = mapping.file_name();
        let fits = |prefix: &str| if EXACT.contains(&prefix) { file == prefix } else { file.starts_with(prefix) };
        FILES.iter().filter(|(prefix, _)| fits(prefix)).for_each(|(_, runtime)| add(*runtime));
    }
    if executable.is_some_and(|executable| executable.is_go) {
        add(Runtime::Go);
    }
    all
}

/// Who must have mapped the anonymous memory that nobody claims.
pub(crate) fn of_the_rest(runtimes: &[Runtime]) -> Option<Runtime> {
    // Where two share a process (Python in a JVM), a language maps more than malloc does.
    runtimes.iter().copied().filter(|runtime| runtime.takes_the_rest()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::smaps;

    fn of(file: &str) -> Vec<Runtime> {
        of_files(&smaps::parse(&format!("10-20 r-xp 0 0:0 5 /usr/lib/{file}\n")), None)
    }

    #[test]
    fn files_tell_the_runtime() {
        assert_eq!(of("libpython3.11.so.1.0"), [Runtime::CPython]);
        assert_eq!(of("python3.13"), [Runtime::CPython]);
        assert_eq!(of("node"), [Runtime::V8]);
        assert_eq!(of("node_exporter"), []);
        assert_eq!(of("libjemalloc.so.2"), [Runtime::Jemalloc]);
        assert_eq!(of("libc.so.6"), []);
        let go = Executable { is_go: true, ..Executable::default() };
        assert_eq!(of_files(&[], Some(&go)), [Runtime::Go]);
    }

    #[test]
    fn the_rest_is_a_languages_before_it_is_a_mallocs() {
        assert_eq!(of_the_rest(&[Runtime::Jemalloc, Runtime::Jvm]), Some(Runtime::Jvm));
        assert_eq!(of_the_rest(&[Runtime::CPython]), None);
        assert_eq!(of_the_rest(&[]), None);
    }
}
