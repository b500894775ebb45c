//! Lines by which a cell of a comparison is put to use.

use crate::model::compare::plan::{Cell, Family};
use crate::view::command_line;

/// The same setting for three places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paste {
    /// A command line.
    pub(crate) shell: String,
    pub(crate) dockerfile: Vec<String>,
    /// A drop-in file of a service.
    pub(crate) systemd: Vec<String>,
}

/// Where the library is put that no package brings.
const INSTALLED: &str = "/usr/local/lib/libbrkmap.so";

/// A value as a shell reads it back.
fn shell_word(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// A value between double quotes, as Dockerfiles and units read it back. `$` and, in units, `%` would be replaced.
fn quoted(value: &str, dollar: &str, percent: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@^".contains(c);
    let mut text = String::new();
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '$' => text.push_str(dollar),
            '%' => text.push_str(percent),
            c => text.push(c),
        }
    }
    if value.chars().all(is_plain) { text } else { format!("\"{text}\"") }
}

/// The lines of a cell; `None` if it needs none. `command` is the program that was measured.
pub(crate) fn paste(cell: &Cell, command: &[String]) -> Option<Paste> {
    let malloc = &cell.malloc;
    let preload = match (malloc.family, malloc.soname, &malloc.preload) {
        (Family::Brkmap, ..) => Some(INSTALLED.to_owned()),
        (_, Some(soname), _) => Some(soname.to_owned()),
        (_, None, path) => path.as_ref().map(|path| path.display().to_string()),
    };
    let mut all: Vec<(&str, String)> = preload.iter().map(|preload| ("LD_PRELOAD", preload.clone())).collect();
    all.extend(cell.set().map(|(variable, value)| (variable, value.to_owned())));
    if all.is_empty() {
        return None;
    }
    let copy = "$(brkmap lib-path)";
    let (once, mut dockerfile) = match (malloc.family, malloc.package) {
        (Family::Brkmap, _) => (
            Some(format!("# once: install -D -m 644 \"{copy}\" {INSTALLED}")),
            vec![format!("# once: cp \"{copy}\" ."), format!("COPY libbrkmap.so {INSTALLED}")],
        ),
        (_, Some(package)) => {
            let line = format!("apt-get update && apt-get install -y --no-install-recommends {package}");
            (Some(format!("# once: apt-get install {package}")), vec![format!("RUN {line}")])
        }
        _ => (None, malloc.preload.iter().map(|path| format!("COPY {0} {0}", path.display())).collect()),
    };
    let variables = |text: &dyn Fn(&str) -> String| -> Vec<String> {
        all.iter().map(|(variable, value)| format!("{variable}={}", text(value))).collect()
    };
    let docker = variables(&|value| quoted(value, "\\$", "%"));
    dockerfile.push(format!("ENV {}", docker.join(" ")));
    let unit = all.iter().map(|(variable, value)| {
        let both = quoted(&format!("{variable}={value}"), "$", "%%");
        format!("Environment={both}")
    });
    // brkmap finds its own library, wherever that is.
    let (words, start) = match malloc.family {
        Family::Brkmap => (variables(&shell_word).split_off(1), "brkmap use -- "),
        _ => (variables(&shell_word), ""),
    };
    let words = if words.is_empty() { String::new() } else { format!("env {} ", words.join(" ")) };
    Some(Paste {
        shell: format!("{words}{start}{}", command_line(command)),
        systemd: once.into_iter().chain(["[Service]".to_owned()]).chain(unit).collect(),
        dockerfile,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::compare::plan::tests::malloc;

    fn cell(name: &str, family: Family, settings: &[(&str, &str)]) -> Cell {
        let settings = settings.iter().map(|&(variable, value)| (variable.to_owned(), value.to_owned())).collect();
        Cell { malloc: malloc(name, family), settings }
    }

    #[test]
    fn a_package_is_installed_and_named_by_its_soname() {
        let cell = cell("jemalloc", Family::Jemalloc, &[("MALLOC_CONF", "background_thread:true,dirty_decay_ms:100")]);
        let paste = paste(&cell, &["./server".to_owned(), "a b".to_owned()]).unwrap();
        assert_eq!(
            paste.shell,
            "env LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=background_thread:true,dirty_decay_ms:100 ./server 'a b'"
        );
        assert!(paste.dockerfile[0].ends_with("install -y --no-install-recommends libjemalloc2"));
        assert!(paste.dockerfile[1].starts_with("ENV LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=background"));
        assert_eq!(paste.systemd[1..3], ["[Service]", "Environment=LD_PRELOAD=libjemalloc.so.2"]);
        assert_eq!(paste.systemd[0], "# once: apt-get install libjemalloc2");
    }

    #[test]
    fn brkmap_gets_a_lasting_place_and_glibc_needs_nothing() {
        let brkmap = paste(&cell("brkmap", Family::Brkmap, &[]), &["x".to_owned()]).unwrap();
        assert_eq!(brkmap.shell, "brkmap use -- x");
        assert!(brkmap.systemd[0].contains("$(brkmap lib-path)"));
        assert_eq!(brkmap.systemd[2], format!("Environment=LD_PRELOAD={INSTALLED}"));
        let set = paste(&cell("brkmap", Family::Brkmap, &[("BRKMAP_USE", "brk")]), &["x".to_owned()]).unwrap();
        assert_eq!(set.shell, "env BRKMAP_USE=brk brkmap use -- x");
        assert_eq!(paste(&cell("glibc", Family::Glibc, &[("A", "")]), &["x".to_owned()]), None);
        let set = paste(&cell("glibc", Family::Glibc, &[("MALLOC_ARENA_MAX", "1")]), &["x".to_owned()]).unwrap();
        assert_eq!((set.shell.as_str(), set.dockerfile.len()), ("env MALLOC_ARENA_MAX=1 x", 1));
    }

    #[test]
    fn values_are_read_back_as_they_are() {
        let odd = cell("glibc", Family::Glibc, &[("V", "it's $1 \"%\\")]);
        let paste = paste(&odd, &["x".to_owned()]).unwrap();
        assert_eq!(paste.shell, r#"env V='it'\''s $1 "%\' x"#);
        assert_eq!(paste.dockerfile[0], r#"ENV V="it's \$1 \"%\\""#);
        assert_eq!(paste.systemd[1], r#"Environment="V=it's $1 \"%%\\""#);
    }
}
