//! The machine code of the fast paths, as counts: `tests/golden/fast_path.txt` has a row per path, and no path may do more
//! than its row says.
//!
//! `tests/golden/steps.c` walks one warmed call instruction by instruction; here each address is looked up in what `objdump`
//! says of the library. So the counts are of what a call executes, through whatever it calls, and not of a function's text.

use crate::context::Context;
use crate::link;
use crate::report::Outcome;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of the Rust face: `Box::new` and its drop, inlined into `box_pair`.
const RUST_PATH: &str = "box-pair";
/// What the rows count, in the order of the table.
const COLUMNS: [&str; 6] = ["instructions", "calls", "branches", "loads", "stores", "updates"];
/// Another compiler may pick other registers and moves; it may not add a load or a branch.
const INSTRUCTION_SLACK: f64 = 1.10;

/// What a path executes, by column.
type Counts = [usize; COLUMNS.len()];

/// Compares every row of the table, or writes the table anew.
pub(crate) fn run(context: &mut Context) {
    let table = context.root.join("tests/golden/fast_path.txt");
    let rows = match read(&table) {
        Ok(rows) => rows,
        Err(why) => return context.report.check("golden", "table", || Err(why)),
    };
    let rows: Vec<_> = rows.into_iter().filter(|(path, _)| context.selects("golden", path)).collect();
    if rows.is_empty() {
        return;
    }
    let mut walker = Walker::new(context);
    for (path, most) in rows {
        let counts = walker.as_mut().map_err(|why| why.clone()).and_then(|walker| walker.counts(&path));
        context.report.check("golden", &path, || compare(counts?, most));
    }
}

/// `cargo xtask golden`: writes the table from what the paths execute now.
pub(crate) fn write(context: &mut Context) -> Result<bool, String> {
    let table = context.root.join("tests/golden/fast_path.txt");
    let mut walker = Walker::new(context)?;
    let mut text = format!("{:<18}{}\n", "# path", COLUMNS.map(|name| format!("{name:>14}")).concat());
    for (path, _) in read(&table)? {
        let counts = walker.counts(&path)?;
        text.push_str(&format!("{path:<18}{}\n", counts.map(|count| format!("{count:>14}")).concat()));
    }
    print!("{text}");
    std::fs::write(&table, text).map_err(|e| format!("cannot write {}: {e}", table.display()))?;
    Ok(true)
}

fn compare(found: Counts, most: Counts) -> Outcome {
    let too_many = |index: usize| {
        let bound = if index == 0 { (most[0] as f64 * INSTRUCTION_SLACK) as usize } else { most[index] };
        (found[index] > bound).then(|| format!("{} {}, at most {bound}", found[index], COLUMNS[index]))
    };
    let wrong: Vec<String> = (0..COLUMNS.len()).filter_map(too_many).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nif that is meant: `cargo xtask golden` writes tests/golden/fast_path.txt anew", wrong.join("; ")))
}

/// The rows of the table: path and counts.
fn read(table: &Path) -> Result<Vec<(String, Counts)>, String> {
    let text = std::fs::read_to_string(table).map_err(|e| format!("cannot read {}: {e}", table.display()))?;
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    rows.map(|line| {
        let mut words = line.split_whitespace();
        let path = words.next().unwrap_or_default().to_owned();
        let numbers: Vec<usize> = words.map_while(|word| word.parse().ok()).collect();
        let counts = Counts::try_from(numbers).map_err(|_| format!("{}: not a row: {line}", table.display()))?;
        Ok((path, counts))
    })
    .collect()
}

/// Runs paths and knows the libraries' code.
struct Walker {
    steps: PathBuf,
    library: PathBuf,
    boxes: PathBuf,
    code: BTreeMap<PathBuf, HashMap<u64, String>>,
}

impl Walker {
    fn new(context: &mut Context) -> Result<Walker, String> {
        let library = context.library()?;
        let boxes = link::rust_packages(context)?.join("libboxes.so");
        let steps = context.scratch("golden")?.join("steps");
        let source = context.root.join("tests/golden/steps.c");
        let output = Command::new("gcc").args(["-O1", "-o"]).arg(&steps).arg(&source).output();
        let output = output.map_err(|e| format!("cannot start gcc: {e}"))?;
        if !output.status.success() {
            return Err(format!("gcc {}: {}", source.display(), String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(Walker { steps, library, boxes, code: BTreeMap::new() })
    }

    /// What a warmed call of a path executes.
    fn counts(&mut self, path: &str) -> Result<Counts, String> {
        let library = if path == RUST_PATH { self.boxes.clone() } else { self.library.clone() };
        let output = Command::new(&self.steps).arg(path).arg(&library).output();
        let output = output.map_err(|e| format!("cannot start {}: {e}", self.steps.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        if !self.code.contains_key(&library) {
            self.code.insert(library.clone(), disassemble(&library)?);
        }
        let code = &self.code[&library];
        let mut counts = Counts::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(address) = u64::from_str_radix(line, 16) else { continue };
            let text = code.get(&address).ok_or_else(|| format!("objdump knows no instruction at {address:#x}"))?;
            add(&mut counts, text);
        }
        if counts[0] == 0 { Err("nothing was executed".into()) } else { Ok(counts) }
    }
}

/// The instructions of a library by address, in AT&T's notation.
fn disassemble(library: &Path) -> Result<HashMap<u64, String>, String> {
    let output = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(library).output();
    let output = output.map_err(|e| format!("cannot start objdump: {e}"))?;
    if !output.status.success() {
        return Err(format!("objdump {}: {}", library.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let row = |line: &str| {
        let (address, code) = line.trim_start().split_once(":\t")?;
        Some((u64::from_str_radix(address, 16).ok()?, code.split(['#', '<']).next()?.trim().to_owned()))
    };
    Ok(text.lines().filter_map(row).collect())
}

/// Adds one instruction to the counts.
fn add(counts: &mut Counts, text: &str) {
    let (name, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    counts[0] += 1;
    match name {
        "call" => counts[1] += 1,
        "push" => counts[4] += 1,
        "pop" => counts[3] += 1,
        _ if name.starts_with('j') && name != "jmp" => counts[2] += 1,
        _ if ["lea", "nop", "prefetch", "endbr", "jmp"].iter().any(|other| name.starts_with(other)) => {}
        _ => match memory_operand(operands) {
            None => {}
            Some(Place::Source) => counts[3] += 1,
            Some(Place::Target) if name.starts_with("cmp") || name.starts_with("test") => counts[3] += 1,
            Some(Place::Target) if name.starts_with("mov") || name.starts_with("set") => counts[4] += 1,
            Some(Place::Target) => counts[5] += 1,
        },
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Source,
    Target,
}

/// Where the operands name memory: the last one is the target.
fn memory_operand(operands: &str) -> Option<Place> {
    let is_memory = |operand: &str| operand.contains('(') || operand.contains("%fs:");
    // Commas inside parentheses belong to an address.
    let mut depth = 0;
    let split = operands.char_indices().filter(|(_, c)| {
        depth += (*c == '(') as i32 - (*c == ')') as i32;
        *c == ',' && depth == 0
    });
    let last = split.last().map(|(at, _)| at);
    let (sources, target) = match last {
        Some(at) => (&operands[..at], &operands[at + 1..]),
        None => ("", operands),
    };
    if is_memory(target) { Some(Place::Target) } else { is_memory(sources).then_some(Place::Source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Counts {
        let mut counts = Counts::default();
        add(&mut counts, text);
        counts
    }

    #[test]
    fn instructions_are_told_apart() {
        assert_eq!(counts("mov    0x10(%rax,%rcx,8),%rsi"), [1, 0, 0, 1, 0, 0]);
        assert_eq!(counts("mov    %fs:(%rax),%rcx"), [1, 0, 0, 1, 0, 0]);
        assert_eq!(counts("movb   $0x1,(%rsi,%rdx,1)"), [1, 0, 0, 0, 1, 0]);
        assert_eq!(counts("cmp    %rcx,(%rax,%rdx,1)"), [1, 0, 0, 1, 0, 0]);
        assert_eq!(counts("decl   0x10(%rax)"), [1, 0, 0, 0, 0, 1]);
        assert_eq!(counts("imul   0x10(%rcx),%rdx"), [1, 0, 0, 1, 0, 0]);
        assert_eq!(counts("lea    0xf(%rdi),%rax"), [1, 0, 0, 0, 0, 0]);
        assert_eq!(counts("prefetcht0 (%rdi)"), [1, 0, 0, 0, 0, 0]);
        assert_eq!(counts("jbe    6db3"), [1, 0, 1, 0, 0, 0]);
        assert_eq!(counts("call   6db3"), [1, 1, 0, 0, 0, 0]);
        assert_eq!(counts("ret"), [1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn more_of_anything_is_refused() {
        let row = [20, 0, 3, 5, 2, 0];
        assert!(compare(row, row).is_ok());
        assert!(compare([22, 0, 3, 5, 2, 0], row).is_ok());
        assert!(compare([23, 0, 3, 5, 2, 0], row).is_err());
        for column in 1..COLUMNS.len() {
            let mut more = row;
            more[column] += 1;
            assert!(compare(more, row).is_err(), "{}", COLUMNS[column]);
        }
    }
}
