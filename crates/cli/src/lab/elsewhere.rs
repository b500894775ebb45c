//! The same on programs with another malloc, where the machine has them.

use super::calls::{Call, Phases};
use super::launch::Bench;
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Object, ObjectSection};
use std::path::{Path, PathBuf};

/// Files in PATH and a few known places, by name.
fn candidates(names: &[&str], places: &[&str]) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    in_path.chain(places.iter().map(PathBuf::from)).filter(|file| file.is_file()).collect()
}

/// Runs a program that only prints its usage, and shows how it gets memory.
fn try_program(bench: &Bench, notes: &mut Notes, file: &Path) -> Result<Phases, Trouble> {
    notes.did(format!("ran {} --help and traced its calls", file.display()));
    let phases = bench.trace_program(file, &["--help"])?;
    let all = || phases.values().flatten();
    let moves = all().filter(|call| call.moves_break() && call.succeeded()).count();
    let is_map = |call: &&Call| call.name == "mmap" && call.arguments[3] & 0x20 != 0 && call.succeeded();
    let bytes: u64 = all().filter(is_map).map(|call| call.arguments[1]).sum();
    let maps = all().filter(is_map).count();
    notes.saw(format!("{moves} moves of the break, {maps} anonymous mappings of {} KiB in all", bytes / 1024));
    for call in all().filter(|call| call.name == "brk" || call.name == "mmap").filter(|call| call.succeeded()).take(7) {
        notes.saw(format!("call    {call}"));
    }
    Ok(phases)
}

/// A program of musl: static or with musl's loader.
pub(super) fn musl(bench: &Bench, notes: &mut Notes) -> Judged {
    let is_musl = |file: &PathBuf| {
        let Ok(bytes) = std::fs::read(file) else { return false };
        let Ok(elf) = ElfFile64::<object::Endianness>::parse(&*bytes) else { return false };
        let endian = elf.endian();
        let loader = elf.elf_program_headers().iter().find_map(|one| one.interpreter(endian, &*bytes).ok().flatten());
        match loader {
            Some(loader) => loader.starts_with(b"/lib/ld-musl"),
            // A static one does not say; musl's printf has this table, and glibc leaves its name.
            None => raw::contains(&bytes, b"-+   0X0x") && !raw::contains(&bytes, b"GNU C Library"),
        }
    };
    let names = ["busybox", "apk", "docker", "static-sh"];
    let files = candidates(&names, &["/usr/lib/musl/bin/busybox", "/usr/bin/busybox.static"]);
    let Some(file) = files.iter().find(|file| is_musl(file)) else {
        return Err(Trouble::NotHere(
            "no program of musl was found (busybox or apk of Alpine, a static docker)".into(),
        ));
    };
    let phases = try_program(bench, notes, file)?;
    let all = || phases.values().flatten();
    let moves = all().filter(|call| call.moves_break() && call.succeeded()).count();
    let is_guard = |call: &&Call| call.name == "mmap" && call.arguments[2] == 0 && call.arguments[3] & 0x10 != 0;
    let start = all().find(|call| call.name == "brk").map_or(0, |call| call.result as u64);
    notes.within("moves of the break", moves as u64, 1..=8);
    notes.holds("its first OS page is made a guard", all().filter(is_guard).any(|call| call.arguments[0] == start));
    Ok(Verdict::AsTold)
}

/// A program made by Go.
pub(super) fn go(bench: &Bench, notes: &mut Notes) -> Judged {
    let is_go = |file: &PathBuf, pure: bool| {
        let Ok(bytes) = std::fs::read(file) else { return false };
        let Ok(elf) = object::File::parse(&*bytes) else { return false };
        let made_by_go = elf.sections().any(|section| section.name() == Ok(".go.buildinfo"));
        made_by_go && (!pure || raw::contains(&bytes, b"CGO_ENABLED=0"))
    };
    let places = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"];
    let files = candidates(&["go", "gofmt", "gh", "kubectl", "hugo", "docker", "containerd"], &places);
    let find = |pure: bool| files.iter().find(|file| is_go(file, pure));
    let (file, pure) = match find(true) {
        Some(file) => (file, true),
        None => match find(false) {
            Some(file) => (file, false),
            None => {
                return Err(Trouble::NotHere("no program made by Go was found (go, gh, docker, kubectl, hugo)".into()));
            }
        },
    };
    let phases = try_program(bench, notes, file)?;
    let all = || phases.values().flatten();
    let moves = all().filter(|call| call.moves_break() && call.succeeded()).count() as u64;
    let reserved = all().filter(|call| call.name == "mmap" && call.succeeded() && call.arguments[2] == 0);
    let reserved: u64 = reserved.map(|call| call.arguments[1]).sum();
    if pure {
        notes.equals("moves of the break", moves, 0);
    } else {
        notes.saw("this one also contains C (cgo): its libc may move the break once, Go's heap does not");
        notes.within("moves of the break, by the C library in it", moves, 0..=4);
    }
    notes.within("MiB reserved without rights", reserved >> 20, 64..=u64::MAX);
    Ok(Verdict::AsTold)
}
