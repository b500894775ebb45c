//! The inputs of the programs: small scripts from `bench/inputs`, and generated files, the same on every machine.

use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPTS: [(&str, &str); 12] = [
    ("objects.py", include_str!("../inputs/objects.py")),
    ("objects.lua", include_str!("../inputs/objects.lua")),
    ("objects.pl", include_str!("../inputs/objects.pl")),
    ("query.sql", include_str!("../inputs/query.sql")),
    ("loops.sh", include_str!("../inputs/loops.sh")),
    ("redis-client.sh", include_str!("../inputs/redis-client.sh")),
    ("redis-cow.sh", include_str!("../inputs/redis-cow.sh")),
    ("objects.js", include_str!("../inputs/objects.js")),
    ("objects.rb", include_str!("../inputs/objects.rb")),
    ("templates.cc", include_str!("../inputs/templates.cc")),
    ("page.ps", include_str!("../inputs/page.ps")),
    ("puzzle.smt2", include_str!("../inputs/puzzle.smt2")),
];

/// Writes every input into a directory.
pub(crate) fn generate(directory: &Path) -> Result<()> {
    for (name, text) in SCRIPTS {
        write(directory, name, text)?;
    }
    write(directory, "large.c", &c_source(140))?;
    write(directory, "large.rs", &rust_source(12))?;
    write(directory, "certificates.pem", &include_str!("../inputs/certificate.pem").repeat(3000))?;
    write(directory, "text.txt", &prose(&mut Random(7), 3 << 20))?;
    if Command::new("git").arg("--version").output().is_ok() {
        repository(directory)?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("the input {} could not be written", path.display()))
}

/// xorshift64: the inputs must not depend on a library's version.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// Text with the repetition of prose: words of a small vocabulary, some numbers, lines.
fn prose(random: &mut Random, bytes: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "co", "di", "fe", "gu", "ha", "ki", "lo", "mu", "ne", "po", "ra", "se", "ti", "vo", "zu"];
    let mut text = String::with_capacity(bytes + 64);
    while text.len() < bytes {
        for _ in 0..=random.below(3) {
            text.push_str(SYLLABLES[random.below(16)]);
        }
        match random.below(12) {
            0 => text.push('\n'),
            1 => _ = write!(text, " {} ", random.below(100_000)),
            _ => text.push(' '),
        }
    }
    text
}

/// C functions with loops, switches, structures and calls to each other.
fn c_source(functions: usize) -> String {
    let mut random = Random(11);
    let mut source = String::from("struct node { struct node *next; long key; double weight; char name[24]; };\n");
    for number in 0..functions {
        let (callee, a, b) = (random.below(number.max(1)), random.below(90) + 3, random.below(900) + 7);
        let call = if number == 0 { "key".to_string() } else { format!("work_{callee}(list->next, key % {a})") };
        _ = write!(
            source,
            "long work_{number}(struct node *list, long key) {{\n    long sum = {b};\n    double weight = 0;\n    \
             for (; list; list = list->next) {{\n        switch (list->key % {a}) {{\n        case 0: sum += key; break;\n\
             case 1: sum ^= {call}; break;\n        case 2: weight += list->weight * {b}; break;\n        default:\n\
             for (int i = 0; i < {a}; i++) sum += list->name[i % 24] * (key + i);\n        }}\n        \
             if (sum > {b}000 && weight < sum) sum -= (long)(weight / {a}) + (sum >> 3);\n    }}\n    \
             return sum + key * {a};\n}}\n"
        );
    }
    source
}

/// A Rust library: modules with a structure, its trait, a map and iterators, each of which calls another.
fn rust_source(modules: usize) -> String {
    const HEAD: &str = "use std::collections::HashMap;\nuse std::fmt::Debug;\n\n\
                        pub trait Shape {\n    fn area(&self) -> f64;\n    fn name(&self) -> String;\n}\n\n\
                        pub fn largest<T: Shape + Debug>(all: &[T], least: f64) -> Option<&T> {\n    let found = \
                        all.iter().filter(|one| one.area() > least);\n    \
                        found.max_by(|a, b| a.area().partial_cmp(&b.area()).unwrap())\n}\n";
    let mut random = Random(13);
    let module = |number: usize| {
        include_str!("../inputs/module.rs")
            .replace("NUMBER", &number.to_string())
            .replace("SMALLER", &(random.below(90) + 3).to_string())
            .replace("LARGER", &(random.below(900) + 7).to_string())
            .replace("CALLEE", &random.below(number.max(1)).to_string())
    };
    HEAD.to_owned() + &(0..modules).map(module).collect::<String>()
}

/// A bare repository: 400 commits over 200 files, each commit changing a few.
fn repository(directory: &Path) -> Result<()> {
    let name = "repository.git";
    git(directory, &["init", "--quiet", "--bare", name], None)?;
    for (key, value) in
        [("pack.threads", "1"), ("gc.auto", "0"), ("gc.aggressiveWindow", "20"), ("gc.autoDetach", "false")]
    {
        git(directory, &["-C", name, "config", key, value], None)?;
    }
    let stream = directory.join("history.fast-import");
    write_history(&stream).with_context(|| format!("the input {} could not be written", stream.display()))?;
    git(directory, &["-C", name, "fast-import", "--quiet"], Some(&stream))
}

fn write_history(path: &Path) -> std::io::Result<()> {
    let mut random = Random(3);
    let mut files: Vec<String> = (0..200).map(|_| prose(&mut random, 4000)).collect();
    let mut out = BufWriter::new(File::create(path)?);
    for commit in 0..400 {
        let message = format!("change {commit}\n");
        write!(out, "commit refs/heads/main\nmark :{}\n", commit + 1)?;
        writeln!(out, "committer Bench <bench@example.invalid> {} +0000", 1_600_000_000 + commit * 60)?;
        write!(out, "data {}\n{message}", message.len())?;
        if commit > 0 {
            writeln!(out, "from :{commit}")?;
        }
        let changed: Vec<usize> =
            if commit == 0 { (0..files.len()).collect() } else { (0..8).map(|_| random.below(files.len())).collect() };
        for number in changed {
            let text = &mut files[number];
            let at = random.below(text.len() - 1);
            text.insert_str(at, &prose(&mut random, 200));
            write!(out, "M 100644 inline d{}/f{number}.txt\ndata {}\n{text}\n", number % 20, text.len())?;
        }
    }
    out.flush()
}

fn git(directory: &Path, arguments: &[&str], input: Option<&Path>) -> Result<()> {
    let stdin = match input {
        Some(path) => Stdio::from(File::open(path)?),
        None => Stdio::null(),
    };
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(stdin)
        .output()
        .context("git could not be run while the repository of the git settings was made")?;
    ensure!(
        output.status.success(),
        "git {} failed while the repository of the git settings was made: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, to pin bytes without keeping them here.
    fn digest(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    #[test]
    fn generated_inputs_never_change() {
        // With other bytes, new figures could not be compared with recorded ones.
        assert_eq!(digest(&prose(&mut Random(7), 1000)), 3_084_432_518_332_559_574);
        assert_eq!(digest(&c_source(3)), 9_084_581_265_254_297_040);
        assert_eq!(digest(&rust_source(3)), 13_318_501_318_116_548_527);
    }
}
