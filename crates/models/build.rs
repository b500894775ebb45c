//! Writes the mutants: the protocol files with one mistake each.
//!
//! A model that never fails proves nothing. Each mutant is the file's own source with one line changed; if that line is
//! no longer there exactly once, the build stops, so mutants cannot fall behind.

use std::path::Path;
use std::{env, fs};

/// A mistake: name of the mutant, file of the engine (or of another crate, `crate/file`), what is there, what is put there instead.
struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "remote_push_publishes_relaxed",
        file: "remote",
        from: "(seen, word, Ordering::Release, Ordering::Relaxed)",
        to: "(seen, word, Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        name: "remote_push_stores",
        file: "remote",
        from: "match self.0.compare_exchange_weak(seen, word, Ordering::Release, Ordering::Relaxed) {\n                Ok(_) => return seen & QUEUED == 0,\n                Err(now) => seen = now,\n            }",
        to: "self.0.store(word, Ordering::Release);\n            if true { return seen & QUEUED == 0; }\n            seen = 0;",
    },
    Mutant { name: "remote_push_forgets_parts", file: "remote", from: "| seen & !(CHAIN | QUEUED)", to: "" },
    Mutant {
        name: "remote_unqueue_loads_and_stores",
        file: "remote",
        from: "let word = self.0.swap(0, Ordering::Acquire);",
        to: "let word = self.0.load(Ordering::Acquire); self.0.store(0, Ordering::Relaxed);",
    },
    Mutant {
        name: "remote_unqueue_keeps_the_bit",
        file: "remote",
        from: "let word = self.0.swap(0, Ordering::Acquire);",
        to: "let word = self.0.fetch_and(QUEUED, Ordering::Acquire);",
    },
    Mutant {
        name: "remote_push_always_queues",
        file: "remote",
        from: "Ok(_) => return seen & QUEUED == 0,",
        to: "Ok(_) => return true,",
    },
    Mutant {
        name: "remote_queue_taken_by_load_and_store",
        file: "remote",
        from: "self.0.swap(0, Ordering::Acquire) }",
        to: "{ let seen = self.0.load(Ordering::Acquire); self.0.store(0, Ordering::Relaxed); seen } }",
    },
    Mutant {
        name: "remote_queue_links_after_publishing",
        file: "remote",
        from: "set_next(seen);\n            match self.0.compare_exchange_weak(seen, page, Ordering::Release, Ordering::Relaxed) {\n                Ok(_) => return,",
        to: "match self.0.compare_exchange_weak(seen, page, Ordering::Release, Ordering::Relaxed) {\n                Ok(_) => return set_next(seen),",
    },
    Mutant {
        name: "lifecycle_tend_without_fence",
        file: "lifecycle",
        from: "fence(Ordering::SeqCst);",
        to: "let _ = fence;",
    },
    Mutant {
        name: "lifecycle_tend_looks_once",
        file: "lifecycle",
        from: "drain();\n            self.0.store(IDLE, Ordering::Release);",
        to: "drain();\n            self.0.store(IDLE, Ordering::Release);\n            return;",
    },
    Mutant {
        name: "lifecycle_tend_checks_before_idle",
        file: "lifecycle",
        from: "drain();\n            self.0.store(IDLE, Ordering::Release);",
        to: "drain();\n            let more = waiting();\n            self.0.store(IDLE, Ordering::Release);\n            if !more { return; }",
    },
    Mutant {
        name: "lifecycle_adopt_loads_and_stores",
        file: "lifecycle",
        from: "self.0.compare_exchange(IDLE, ACTIVE, Ordering::Acquire, Ordering::Relaxed).is_ok()",
        to: "if self.0.load(Ordering::Acquire) == IDLE { self.0.store(ACTIVE, Ordering::Relaxed); true } else { false }",
    },
    Mutant {
        name: "lifecycle_hold_relaxed",
        file: "lifecycle",
        from: "self.0.compare_exchange(IDLE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()",
        to: "self.0.compare_exchange(IDLE, BUSY, Ordering::Relaxed, Ordering::Relaxed).is_ok()",
    },
    Mutant {
        name: "once_claims_by_load_and_store",
        file: "once",
        from: "match self.0.compare_exchange(NEW, RUNNING, Ordering::Acquire, Ordering::Acquire) {",
        to: "let seen = self.0.load(Ordering::Acquire);\n        if seen == NEW { self.0.store(RUNNING, Ordering::Relaxed); }\n        match if seen == NEW { Ok(seen) } else { Err(seen) } {",
    },
    Mutant {
        name: "once_opens_before_it_is_complete",
        file: "once",
        from: "first();\n                if self.0.swap(DONE, Ordering::Release) == AWAITED {",
        to: "let seen = self.0.swap(DONE, Ordering::Release);\n                first();\n                if seen == AWAITED {",
    },
    Mutant {
        name: "once_completes_relaxed",
        file: "once",
        from: "self.0.swap(DONE, Ordering::Release)",
        to: "self.0.swap(DONE, Ordering::Relaxed)",
    },
    Mutant {
        name: "once_announces_by_store",
        file: "once",
        from: "let _ = self.0.compare_exchange(RUNNING, AWAITED, Ordering::Relaxed, Ordering::Relaxed);",
        to: "self.0.store(AWAITED, Ordering::Relaxed);",
    },
    Mutant {
        name: "once_completes_by_load_and_store",
        file: "once",
        from: "if self.0.swap(DONE, Ordering::Release) == AWAITED {",
        to: "let seen = self.0.load(Ordering::Relaxed);\n                self.0.store(DONE, Ordering::Release);\n                if seen == AWAITED {",
    },
    Mutant {
        name: "once_wakes_one",
        file: "once",
        from: "parking.wake(&self.0, Wake::All);",
        to: "parking.wake(&self.0, Wake::One);",
    },
    Mutant {
        name: "lock_takes_without_contended",
        file: "lock",
        from: "self.0.compare_exchange(0, me | CONTENDED, Ordering::Acquire, Ordering::Relaxed).is_ok()",
        to: "self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok()",
    },
    Mutant {
        name: "lock_releases_relaxed",
        file: "lock",
        from: "self.0.swap(0, Ordering::Release)",
        to: "self.0.swap(0, Ordering::Relaxed)",
    },
    Mutant {
        name: "lock_acquires_relaxed",
        file: "lock",
        from: "match self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {",
        to: "match self.0.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed) {",
    },
    Mutant {
        name: "lock_spins_relaxed",
        file: "lock",
        from: "&& self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok()",
        to: "&& self.0.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed).is_ok()",
    },
    Mutant {
        name: "lock_wakes_nobody",
        file: "lock",
        from: "parking.wake(&self.0, Wake::One);",
        to: "let _ = parking;",
    },
    Mutant {
        name: "lock_sleeps_unmarked",
        file: "lock",
        from: "let marked = word | CONTENDED;",
        to: "let marked = word;",
    },
    Mutant {
        name: "tagged_head_does_not_count",
        file: "toolbox/tagged",
        from: "((head >> 32).wrapping_add(1) << 32) | first as u64",
        to: "((head >> 32) << 32) | first as u64",
    },
    Mutant {
        name: "tagged_push_publishes_relaxed",
        file: "toolbox/tagged",
        from: "changed(now, number + 1), Ordering::AcqRel, Ordering::Acquire)",
        to: "changed(now, number + 1), Ordering::Acquire, Ordering::Acquire)",
    },
    Mutant {
        name: "tagged_pop_takes_relaxed",
        file: "toolbox/tagged",
        from: "let mut now = head.load(Ordering::Acquire);\n    loop {\n        let Some",
        to: "let mut now = head.load(Ordering::Relaxed);\n    loop {\n        let Some",
    },
    Mutant {
        name: "tagged_pop_loads_and_stores",
        file: "toolbox/tagged",
        from: "match head.compare_exchange_weak(now, changed(now, next), Ordering::AcqRel, Ordering::Acquire) {",
        to: "if head.load(Ordering::Acquire) == now { head.store(changed(now, next), Ordering::Release); return Ok(Some(first)); }\n        match Err::<u64, u64>(head.load(Ordering::Acquire)) {",
    },
    Mutant {
        name: "tagged_push_links_once",
        file: "toolbox/tagged",
        from: "    loop {\n        link_to(now as u32);",
        to: "    link_to(now as u32);\n    loop {",
    },
];

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
    let output = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let crates = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    for mutant in MUTANTS {
        let (name, file) = mutant.file.split_once('/').unwrap_or(("core", mutant.file));
        let path = crates.join(name).join("src").join(file).with_extension("rs");
        println!("cargo::rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let places = source.matches(mutant.from).count();
        assert!(
            places == 1,
            "mutant {}: found {places} times in {}, expected once; adapt build.rs to it:\n{}",
            mutant.name,
            path.display(),
            mutant.from
        );
        // An included file may not open with documentation of its own.
        let source = source.replace(mutant.from, mutant.to);
        let lines: Vec<&str> = source.lines().filter(|line| !line.starts_with("//!")).collect();
        fs::write(Path::new(&output).join(mutant.name).with_extension("rs"), lines.join("\n"))
            .expect("OUT_DIR is writable");
    }
}
