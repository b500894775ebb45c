//! Documents whose examples are run: what a page shows is what happens.
//!
//! A page takes part by having the line [`MARK`] in it. Its blocks that begin with three backquotes and `console` (or `console any-figures`) are one
//! session of bash, from the top of the page to its end, in an empty folder of its own, with the command in `PATH`:
//!
//! ```text
//! $ command, on one line or
//! > several
//! what it wrote, to standard output or error
//! ```
//!
//! What is compared, and what may differ: see [`page`]. `DOCS=write cargo test -p brkmap-cli --test docs` writes
//! what happened into the pages, for you to read and to commit.

mod page;

use page::{Page, Step};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// The line by which a page takes part.
const MARK: &str = "<!-- kept true: cargo test -p brkmap-cli --test docs -->";
/// Seconds for one page: a guard against sessions that never end, not a measure.
const LIMIT: &str = "600";
/// What ends a step's output; no program writes it.
const END: char = '\u{1e}';

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn add_pages(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            add_pages(&path, all);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            all.push(path);
        }
    }
}

/// The pages that take part.
fn pages() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md")];
    add_pages(&root().join("docs"), &mut all);
    all.retain(|path| std::fs::read_to_string(path).unwrap().lines().any(|line| line == MARK));
    all.sort();
    all
}

/// Runs the steps as one session; what each wrote.
fn run(steps: &[Step]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let (bin, home) = (folder.path().join("bin"), folder.path().join("session"));
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_brkmap"), bin.join("brkmap")).unwrap();
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        script += &format!("{}\nprintf '{END}\\n'\n", step.command);
    }
    // What still runs in the background is over with the page.
    script += "kill $(jobs -p) 2>/dev/null; wait\n";
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, "bash", "--norc"]).arg(&file).current_dir(&home);
    // Nothing that a malloc listens to.
    command.env_clear().env("PATH", path).env("HOME", &home).env("XDG_CACHE_HOME", folder.path().join("cache"));
    command.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1").env("TERM", "dumb");
    let output = command.stdin(Stdio::null()).output().expect("timeout and bash are needed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts: Vec<Vec<String>> = text
        .split(&format!("{END}\n"))
        .map(|part| part.lines().map(|line| line.trim_end().to_owned()).collect())
        .collect();
    assert_eq!(parts.len(), steps.len() + 1, "the session broke off ({}): {text}", output.status);
    parts.pop();
    parts
}

#[test]
fn what_pages_show_is_what_happens() {
    let write = std::env::var("DOCS").is_ok_and(|value| value == "write");
    let mut wrong = Vec::new();
    let pages = pages();
    assert!(pages.len() >= 4, "the search for pages is broken: {pages:?}");
    // Two side by side: they wait more than they work, and what they wait for takes longer beside more.
    let queue = Mutex::new(pages.into_iter());
    let next = || queue.lock().unwrap().next();
    let work = || {
        let mut sessions = Vec::new();
        while let Some(path) = next() {
            let text = std::fs::read_to_string(&path).unwrap();
            let page = Page::parse(&text);
            assert!(!page.steps.is_empty(), "{} has no console block with a command", path.display());
            let seen = run(&page.steps);
            sessions.push((path, text, page, seen));
        }
        sessions
    };
    let sessions = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(work), scope.spawn(work));
        [one, other].map(|worker| worker.join().expect("its panic is above"))
    });
    for (path, text, mut page, seen) in sessions.into_iter().flatten() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for (step, actual) in page.steps.iter_mut().zip(seen) {
            let Err(why) = page::compare(&step.expected, &actual, step.any_figures) else { continue };
            let (line, command) = (step.line, step.command.lines().next().unwrap_or_default());
            wrong.push(format!("{name}:{line}: $ {command}\n{why}\n--- what happened:\n{}\n", actual.join("\n")));
            step.expected = actual;
        }
        if write {
            std::fs::write(&path, page.render(&text)).unwrap();
        }
    }
    assert!(write || wrong.is_empty(), "{}\nDOCS=write writes what happened into the pages", wrong.join("\n"));
}

#[test]
fn every_page_of_questions_takes_part_and_its_links_lead_somewhere() {
    let mut questions = Vec::new();
    add_pages(&root().join("docs/questions"), &mut questions);
    let pages = pages();
    for path in &questions {
        assert!(pages.contains(path), "{} lacks the line: {MARK}", path.display());
    }
    for path in &pages {
        let text = std::fs::read_to_string(path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_ours = !file.is_empty() && !link.contains("://");
            assert!(!is_ours || path.parent().unwrap().join(file).exists(), "{}: {link}", path.display());
        }
    }
}

#[test]
fn the_readme_shows_the_classic_program_as_it_is() {
    let program = std::fs::read_to_string(root().join("docs/classic.c")).unwrap();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("```c\n{program}```")), "README.md and docs/classic.c differ");
}
