//! Every example runs to its end; each asserts what it shows.

use std::path::PathBuf;
use std::process::Command;

/// Where cargo put the examples: beside the folder of this test.
fn folder() -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    this.ancestors().nth(2).expect("two folders above").join("examples")
}

#[test]
fn all_examples_run_to_their_end() {
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).expect("the examples are there");
    let mut names: Vec<String> = sources
        .map(|entry| {
            entry.expect("a folder can be listed").path().file_stem().expect("a name").to_string_lossy().into()
        })
        .collect();
    names.sort();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        let program = folder().join(&name);
        let output = Command::new(&program).output().unwrap_or_else(|error| {
            panic!(
                "{}: {error} (cargo builds examples with `cargo test -p brkmap-toolbox`, not with --test)",
                program.display()
            )
        });
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}\n{text}", output.status);
        assert!(!output.stdout.is_empty(), "{name} says nothing");
    }
}
