//! Programs inside the command, each with one disease of memory: what `brkmap demo` shows.
//!
//! ```text
//!   cmd::demo ──► a child (this very program, on the malloc of your choice) ──► act: falls ill, says so, waits
//!        │  look ──► verdict                                                       │
//!        └─ "cure" ──────────────────────────────────────────────────────────────► does what helps, says so
//! ```
//! The list and its words are here; the deeds are in [`act`], and the raw blocks in [`crate::os::blocks`].

mod act;

pub(crate) use act::run as act;

/// How the processes that fall ill are called, and what their name begins with; `ps` shows it, and `brkmap inspect` finds it.
pub(crate) const PREFIX: &str = "demo-";

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Demo {
    pub(crate) name: &'static str,
    /// Other names.
    pub(crate) also: &'static [&'static str],
    /// What is wrong, in one sentence.
    pub(crate) title: &'static str,
    /// What helps; empty for the healthy one.
    pub(crate) cure: &'static str,
    /// Class of the verdict that it gets on glibc.
    pub(crate) class: &'static str,
    /// Term that explains it.
    pub(crate) term: &'static str,
    /// Whether the figure to compare is RSS, and whether brkmap alone changes it.
    pub(crate) figure: Figure,
}

/// What tells that the cure worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// RSS; the same program on brkmap shows what another malloc does about it.
    ByMalloc,
    /// RSS; no malloc can help.
    ByProgram,
    /// What the program itself counted.
    Counted,
}

/// All of them.
pub(crate) const ALL: [Demo; 8] = [
    Demo {
        name: "healthy",
        also: &[],
        title: "a program that uses what it has",
        cure: "",
        class: "fine",
        term: "fine",
        figure: Figure::ByProgram,
    },
    Demo {
        name: "cached",
        also: &["held-back"],
        title: "malloc keeps whole OS pages that the program freed long ago",
        cure: "malloc_trim(0) after the big phase",
        class: "cached",
        term: "cached",
        figure: Figure::ByMalloc,
    },
    Demo {
        name: "top-pinned",
        also: &["pinned-top", "pinned"],
        title: "one small block at the top of the break holds everything below it",
        cure: "malloc_trim(0), which also empties the middle; or take what stays first",
        class: "top_pinned",
        term: "top-pinned",
        figure: Figure::ByMalloc,
    },
    Demo {
        name: "arena-spread",
        also: &["arenas"],
        title: "every thread has an arena, and every arena keeps what it once needed",
        cure: "malloc_trim(0); or start it with MALLOC_ARENA_MAX=1",
        class: "arena_spread",
        term: "arena-spread",
        figure: Figure::ByMalloc,
    },
    Demo {
        name: "random-survivors",
        also: &["fragmented", "fragmentation", "survivors"],
        title: "few blocks survive, but one on almost every OS page",
        cure: "copy what stays into one place, free the rest, malloc_trim(0)",
        class: "fragmented",
        term: "fragmentation",
        figure: Figure::ByProgram,
    },
    Demo {
        name: "leak",
        also: &["growing"],
        title: "a program forgets blocks, a little all the time",
        cure: "free them: the forgotten blocks are let go",
        class: "growing",
        term: "leak",
        figure: Figure::ByProgram,
    },
    Demo {
        name: "mapped-blocks",
        also: &["mapped"],
        title: "large blocks come and go, and each is a mapping of its own",
        cure: "a higher mmap threshold: the same blocks from the heap",
        class: "fine",
        term: "direct-mapping",
        figure: Figure::Counted,
    },
    Demo {
        name: "huge-pages",
        also: &["huge-page-bloat", "thp"],
        title: "a byte here and there, and each makes a huge page resident",
        cure: "the same without huge pages (MADV_NOHUGEPAGE)",
        class: "huge_pages",
        term: "huge-page-bloat",
        figure: Figure::ByProgram,
    },
];

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Demo> {
    let name = name.replace(['_', ' '], "-").to_ascii_lowercase();
    ALL.iter().find(|demo| demo.name == name || demo.also.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::terms;

    #[test]
    fn names_are_found_and_each_has_its_term() {
        assert_eq!(find("Pinned top").map(|demo| demo.name), Some("top-pinned"));
        assert_eq!(find("huge_page_bloat").map(|demo| demo.name), Some("huge-pages"));
        assert_eq!(find("measles"), None);
        for demo in &ALL {
            assert!(matches!(terms::find(demo.term), terms::Found::Exact(_)), "{}", demo.term);
            let is_named = ALL.iter().filter(|other| find(demo.name) == Some(other)).count();
            assert_eq!(is_named, 1, "{}", demo.name);
        }
    }
}
