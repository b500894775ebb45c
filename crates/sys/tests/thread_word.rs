//! The thread word where a program may have it: in the executable itself, in a library that is linked, preloaded or
//! opened at run time, in a static executable.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU32;

struct Heap {
    #[allow(dead_code)]
    number: AtomicU32,
}

static EMPTY: Heap = Heap { number: AtomicU32::new(0) };

brkmap_sys::thread_word! {
    mod current: Heap, concat!("brkmap_test_word_", env!("CARGO_PKG_VERSION")), EMPTY
}

#[test]
fn each_thread_starts_with_the_static_and_sets_its_own() {
    let initial = (&raw const EMPTY).cast_mut();
    assert_eq!(current::get(), initial);
    current::set(8 as *mut Heap);
    assert_eq!(current::get(), 8 as *mut Heap);
    std::thread::spawn(move || {
        assert_eq!(current::get(), (&raw const EMPTY).cast_mut());
        current::set(16 as *mut Heap);
        assert_eq!(current::get(), 16 as *mut Heap);
    })
    .join()
    .unwrap();
    assert_eq!(current::get(), 8 as *mut Heap, "what the other thread did is its own");
    current::set(initial);
}

#[test]
fn a_set_behind_an_opaque_call_is_seen() {
    #[inline(never)]
    fn change(to: usize) {
        current::set(std::hint::black_box(to) as *mut Heap);
    }
    std::thread::spawn(|| {
        for round in 1..100 {
            let before = current::get() as usize;
            change(before + round);
            assert_eq!(current::get() as usize, before + round);
        }
    })
    .join()
    .unwrap();
}

/// A directory for what this test builds, inside cargo's own.
fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Builds one of the programs beside this file with the file that defines the macro.
fn build(program: &str, output: &Path, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "-O", "-o"])
        .arg(output)
        .args(arguments)
        .arg(root.join("tests/programs").join(program))
        .status()
        .expect("rustc runs: the test builds small programs with it; put it on PATH or name it in RUSTC");
    assert!(status.success(), "{program} does not build");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "8 threads have their own word\n", "{command:?}");
}

#[test]
fn in_a_library_that_is_preloaded_or_opened() {
    let directory = directory("library");
    let (library, user) = (directory.join("libword.so"), directory.join("user"));
    build("word_library.rs", &library, &["--crate-type", "cdylib"]);
    build("word_user.rs", &user, &[]);
    run(Command::new(&user).env("LD_PRELOAD", &library));
    run(Command::new(&user).arg(&library).env_remove("LD_PRELOAD"));
}

#[test]
fn in_a_static_executable() {
    let program = directory("static").join("word_static");
    build("word_static.rs", &program, &["-C", "target-feature=+crt-static"]);
    run(&mut Command::new(&program));
    build("word_static.rs", &program, &["-C", "target-feature=+crt-static", "-C", "relocation-model=static"]);
    run(&mut Command::new(&program));
}
