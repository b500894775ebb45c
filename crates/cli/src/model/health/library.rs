//! Whether programs can run on brkmap's malloc here.

use super::{Check, Facts, Place};

pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    vec![kernel(facts), container(facts), libc(facts), place(facts), preload(facts)]
}

/// Major and minor number of a release.
pub(super) fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn kernel(facts: &Facts) -> Check {
    let finding = format!("Linux {} on {}", facts.release, facts.processor);
    match () {
        () if facts.processor != "x86_64" => Check::no(
            "kernel",
            finding,
            "the library and the readers of heaps are for x86-64",
            "use brkmap on an x86-64 machine",
        ),
        () if version(&facts.release) < (4, 14) => Check::limited(
            "kernel",
            finding,
            "older than what is tested; some ways of reading and giving back may be missing",
            "a kernel of 4.14 or later; of 6.7 for PAGEMAP_SCAN",
        ),
        () => Check::ok("kernel", finding),
    }
}

fn container(facts: &Facts) -> Check {
    match facts.container.as_deref() {
        Some("gVisor") => Check::limited(
            "container",
            "gVisor: its kernel is a program",
            "figures of RSS and page tables are its own idea of them",
            "inspect from the host, or run with runc",
        ),
        Some(kind) => Check::ok("container", format!("{kind}: processes outside of it are not seen")),
        None => Check::ok("container", "none noticed"),
    }
}

fn libc(facts: &Facts) -> Check {
    match &facts.glibc {
        None => Check::no(
            "libc",
            "not glibc",
            "run and use on brkmap's malloc: not covered; inspect: musl's heap is one row",
            "a system or image with glibc (Debian, Ubuntu, Fedora)",
        ),
        Some(version) if !facts.glibc_known => Check::limited(
            "libc",
            format!("glibc {version}"),
            "inspect: its heap is read only if a known layout fits in every point",
            "a newer brkmap, or glibc 2.30 to 2.41 or 2.43",
        ),
        Some(version) => Check::ok("libc", format!("glibc {version}; inspect reads its heap")),
    }
}

fn place(facts: &Facts) -> Check {
    match &facts.place {
        Place::File(path) => Check::ok("library", path),
        Place::Memory => Check::limited(
            "library",
            "in memory: no folder to unpack it to",
            "lib-path: the path is valid only while brkmap runs",
            "set XDG_CACHE_HOME to a folder of your own that is not mounted noexec",
        ),
        Place::Nowhere(why) => Check::no(
            "library",
            why,
            "run and use on brkmap's malloc; lib-path",
            "set XDG_CACHE_HOME to a folder of your own that is not mounted noexec",
        ),
    }
}

fn preload(facts: &Facts) -> Check {
    match &facts.preload {
        Ok(()) => Check::ok("preload", "LD_PRELOAD works: a child had the library"),
        Err(why) => Check::no(
            "preload",
            why,
            "run and use: programs stay on their own malloc",
            "link libbrkmap.so or libbrkmap.a instead (cargo xtask install)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::{found, healthy};
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-fc-v769"), (6, 18));
        assert_eq!(version("5.10-rc1"), (5, 10));
        assert_eq!(version(""), (0, 0));
        let old = Facts { release: "3.10.0-1160.el7".to_owned(), ..healthy() };
        assert_eq!(found(&old, "kernel").state, State::Limited);
        let foreign = Facts { processor: "aarch64".to_owned(), ..healthy() };
        assert_eq!(found(&foreign, "kernel").state, State::No);
    }

    #[test]
    fn the_place_of_the_library_decides() {
        let check = |place| found(&Facts { place, ..healthy() }, "library").state;
        assert_eq!(check(Place::Memory), State::Limited);
        assert_eq!(check(Place::Nowhere("x".to_owned())), State::No);
        let newer = Facts { glibc: Some("2.99".to_owned()), glibc_known: false, ..healthy() };
        assert_eq!(found(&newer, "libc").state, State::Limited);
        let musl = Facts { glibc: None, ..healthy() };
        assert_eq!(found(&musl, "libc").state, State::No);
    }
}
